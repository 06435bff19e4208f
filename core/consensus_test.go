package core

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// lateWord agrees on commands as a manager that is alone does, but its word comes later.
type lateWord struct {
	sole
	asked int
}

func (l *lateWord) confirm(*Manager) { l.asked++ }

// confirms has the word come.
func (r *realm) confirms() {
	m := r.manager()
	m.out = &r.out
	m.confirmed()
	m.out = nil
	r.finish()
	r.serve()
}

// That a key has no group is said when no other manager can have mapped it. One word is for
// all who waited when it was asked for, and for nobody who came later.
func TestAKeyIsDeniedOnceThatIsConfirmed(t *testing.T) {
	r := newRealm(t, 3, func(o *ManagerOptions) { o.WaitersMax = 4 })
	late := new(lateWord)
	r.manager().consensus = late
	notFound := []*LookupReply{{Req: 1, Status: StatusNotFound, Placement: PlacementKey}}

	r.say("c1", &Lookup{Req: 1, Key: "a"})
	require.Equal(t, 1, late.asked)
	r.say("c2", &Lookup{Req: 1, Key: "a"})
	r.say("c3", &Lookup{Req: 1, Key: "b"})
	require.Equal(t, 1, late.asked, "one word at a time")
	require.Empty(t, received[*LookupReply](r, "c1"))

	r.confirms()
	require.Equal(t, notFound, received[*LookupReply](r, "c1"))
	require.Empty(t, received[*LookupReply](r, "c2"), "it came after the word was asked for")
	require.Equal(t, 2, late.asked)

	// Meanwhile one of the keys is mapped.
	require.EqualValues(t, 1, r.place("b"))
	r.confirms()
	require.Equal(t, notFound, received[*LookupReply](r, "c2"))
	require.Equal(t, []*LookupReply{{Req: 1, Status: StatusOK, Placement: PlacementKey, Config: r.manager().Config(1)}}, received[*LookupReply](r, "c3"))
	require.Equal(t, 2, late.asked, "nobody waits")

	for _, client := range []string{"c1", "c2", "c3", "c4"} {
		r.say(client, &Lookup{Req: 2, Key: "c"})
	}
	require.Equal(t, &LookupReply{Req: 3, Status: StatusOverloaded, Placement: PlacementKey}, r.ask("c5", &Lookup{Req: 3, Key: "c"}))
}

// ask returns the one answer to a lookup.
func (r *realm) ask(client string, l *Lookup) *LookupReply {
	r.t.Helper()
	r.say(client, l)
	list := received[*LookupReply](r, client)
	require.Len(r.t, list, 1)
	return list[0]
}

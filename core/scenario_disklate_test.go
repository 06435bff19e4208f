package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A manager whose disk hangs answers pings and questions, so nobody would know why no new
// key gets a group. It says so itself, once, and when it is over.
func TestAManagerSaysThatItsDiskIsLate(t *testing.T) {
	r := newRealm(t, 3, inDurableMode)
	r.place("a")
	r.held = true
	r.pass(2 * time.Second)
	require.Empty(t, r.happened(EventDiskLate), "nothing waits")

	r.say("c1", &Lookup{Req: 100, Key: "b", Create: true})
	r.pass(DiskLate - time.Millisecond)
	require.Empty(t, r.happened(EventDiskLate))
	r.pass(time.Millisecond)
	require.Len(t, r.happened(EventDiskLate), 1)
	r.say("c1", &Lookup{Req: 101, Key: "c", Create: true})
	r.pass(time.Second)
	require.Empty(t, r.happened(EventDiskLate), "once is enough")
	require.Equal(t, 2*time.Second, r.status(StatusQuery{Req: 1}).DiskLag, "of the oldest")

	r.sync() // the first one
	r.serve()
	r.pass(10 * time.Millisecond)
	require.Empty(t, r.happened(EventDiskInTime), "the second has waited as long by now")
	r.flush()
	r.pass(60 * time.Millisecond)
	require.Len(t, r.happened(EventDiskInTime), 1)
	require.Zero(t, r.status(StatusQuery{Req: 2}).DiskLag)
	require.Len(t, received[*LookupReply](r, "c1"), 3-1)

	r.say("c1", &Lookup{Req: 102, Key: "d", Create: true})
	r.pass(DiskLate)
	require.Len(t, r.happened(EventDiskLate), 1, "it hangs again")
}

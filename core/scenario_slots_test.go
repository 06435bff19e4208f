package core

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// inSlots is an option of a manager.
func inSlots(n Placement) func(*ManagerOptions) {
	return func(o *ManagerOptions) { o.Placement = n }
}

// keyOf is the i-th of the keys of a slot, from 0.
func keyOf(p Placement, slot, i int) string {
	for n := 0; ; n++ {
		key := fmt.Sprint("k", n)
		if p.Unit(key) != Unit(fmt.Sprint(slot)) {
			continue
		}
		if i--; i < 0 {
			return key
		}
	}
}

// The first put of any key of a slot maps the slot: to a new group while there are nodes for
// one, then by round robin. So the slots are as evenly spread as keys would be, and each of
// its keys is where the first one is (manager 1).
func TestSlotsGoRoundTheGroupsAsKeysDo(t *testing.T) {
	const slots = 16
	r := newRealm(t, 7, inSlots(slots))
	for slot := range slots {
		key := keyOf(slots, slot, 0)
		require.Equal(t, &LookupReply{Req: r.reqs + 1, Status: StatusNotFound, Placement: slots}, r.lookup(key, false), "no key of the slot was ever put")
		require.EqualValues(t, slot%2+1, r.place(key))
	}
	require.Equal(t, map[GroupID]int{1: slots / 2, 2: slots / 2}, r.spread())
	require.Equal(t, []string{"n1", "n2", "n3"}, r.members(1))
	require.Equal(t, []string{"n4", "n5", "n6"}, r.members(2))

	index := r.manager().Index()
	for slot := range slots {
		for i := range 10 {
			key := keyOf(slots, slot, i)
			want := &LookupReply{Req: r.reqs + 1, Status: StatusOK, Config: r.manager().Config(GroupID(slot%2 + 1)), Placement: slots}
			require.Equal(t, want, r.lookup(key, i%2 == 0), "its group alone says whether %q is there", key)
		}
	}
	require.Equal(t, index, r.manager().Index(), "a new key of a mapped slot changes nothing")
	require.Equal(t, slots, r.manager().Units())
}

// Two clients put two new keys of one slot while the command for the first is on its way to
// the disk. There is one mapping, and both learn it (manager 1).
func TestTwoClientsMapTwoKeysOfOneSlot(t *testing.T) {
	const slots = 4
	r := newRealm(t, 6, inDurableMode, inSlots(slots))
	index := r.manager().Index()
	r.held = true
	r.say("c1", &Lookup{Req: 1, Key: keyOf(slots, 3, 0), Create: true})
	r.say("c2", &Lookup{Req: 1, Key: keyOf(slots, 3, 1), Create: true})
	r.say("c3", &Lookup{Req: 5, Key: keyOf(slots, 3, 0)})
	require.Equal(t, []*LookupReply{{Req: 5, Status: StatusNotFound, Placement: slots}}, received[*LookupReply](r, "c3"))
	r.flush()

	require.Equal(t, index+1, r.manager().Index())
	want := []*LookupReply{{Req: 1, Status: StatusOK, Config: r.manager().Config(1), Placement: slots}}
	require.Equal(t, want, received[*LookupReply](r, "c1"))
	require.Equal(t, want, received[*LookupReply](r, "c2"))
}

// A client learns with the first reply which keys are in a slot. Of the others in there it
// asks nobody where they are: the primary says whether they exist (manager 2).
func TestANewKeyOfAMappedSlotNeedsNoManager(t *testing.T) {
	const slots = 16
	n := newClientAt(t, "c1")
	id := uint64(0)
	for slot := range slots {
		id++
		n.ask(id, OpPut, keyOf(slots, slot, 0))
		require.Len(t, sent[*Lookup](n, "m"), 1, "slot %d is not known", slot)
		n.step("m", &LookupReply{Req: id, Status: StatusOK, Config: config(1, "n1"), Placement: slots})
		if slot == 0 {
			n.opened(1)
		}
		n.answered(only[*Op](n, "n1"), StatusOK)
	}
	for i := range 1000 {
		id++
		n.ask(id, []OpKind{OpPut, OpGet, OpDelete, OpCAS}[i%4], fmt.Sprint("new", i))
		require.Empty(t, sent[*Lookup](n, "m"))
		n.answered(only[*Op](n, "n1"), StatusNotFound)
	}
	for _, r := range sent[*Result](n, "")[slots:] {
		require.Equal(t, []any{StatusNotFound, GroupID(1), NodeID(1)}, []any{r.Status, r.Group, r.Node}, "the group said so")
	}
	require.Len(t, n.node.(*Client).units, slots)
}

// A client takes the placement with the cluster. Whoever says another one later is no manager
// of that cluster: what it says would have keys of two slots taken for those of one.
func TestAClientTakesThePlacementOnce(t *testing.T) {
	for name, first := range map[string]LookupReply{
		"with a group":  {Status: StatusOK, Config: config(1, "n1", "n2")},
		"with a denial": {Status: StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			n := newClientAt(t, "c1")
			n.ask(1, OpGet, "a")
			first.Req, first.Placement = 1, 4
			n.step("m", &first)
			n.mail = nil
			n.ask(2, OpPut, keyOf(4, 0, 0))
			n.mail = nil
			for _, p := range []Placement{PlacementKey, 2, 8} {
				n.step("m", &LookupReply{Req: 2, Status: StatusOK, Config: config(1, "n1", "n2"), Placement: p})
			}
			require.Len(t, n.happened(EventDropped), 3)
			require.Empty(t, sent[*Op](n, "n1"))
			n.step("m", &LookupReply{Req: 2, Status: StatusOK, Config: config(1, "n1", "n2"), Placement: 4})
			require.Equal(t, OpOpen, only[*Op](n, "n1").Kind)
		})
	}
	n := newClientAt(t, "c1")
	n.ask(1, OpGet, "a")
	for _, p := range []Placement{0, 3, 2 * SlotsMax} {
		n.step("m", &LookupReply{Req: 1, Status: StatusNotFound, Placement: p})
	}
	require.Len(t, n.happened(EventDropped), 3, "there are no such placements")
	require.Empty(t, sent[*Result](n, ""))
}

// A placement is chosen once. A manager that starts again goes by what its data say, and
// does not start if it is told another: it would look for its units in vain. It makes no
// difference how far its Directory is folded (manager 1).
func TestAPlacementIsChosenOnce(t *testing.T) {
	for _, made := range []Placement{0, PlacementKey, 64} {
		for _, keep := range []int{1, 1000} {
			t.Run(fmt.Sprintf("%v, %d commands kept", made, keep), func(t *testing.T) {
				r := newRealm(t, 6, inDurableMode, inSlots(made), func(o *ManagerOptions) { o.CommandsKeep = keep })
				is := max(made, PlacementKey)
				keys := []string{"a", "b", "c", "{a}d"}
				for _, key := range keys {
					r.place(key)
				}
				before, hash := r.manager().dir, r.manager().DirectoryHash()
				for _, p := range []Placement{PlacementKey, 64, 128, 0} {
					o := ManagerOptions{Self: peerOf("m"), Cluster: rigCluster, Replicas: 2, Durable: true, Placement: p}
					m, err := NewManager(o, r.space)
					if p != 0 && p != is {
						require.ErrorIs(t, err, ErrPlacement)
						require.NotErrorIs(t, err, ErrDamaged)
						require.EqualError(t, err, fmt.Sprintf("core: manager %v: the placement of a cluster never changes: it is %v, and %v was asked for", peerOf("m").ID, is, p))
						continue
					}
					require.NoError(t, err)
					require.Empty(t, cmp.Diff(before, m.dir, cmp.AllowUnexported(Directory{}, nodeEntry{}, groupEntry{})))
					require.Equal(t, hash, m.DirectoryHash())
					for _, key := range keys {
						require.Equal(t, r.manager().KeyGroup(key), m.KeyGroup(key))
					}
				}
			})
		}
	}
}

// A manager that ended before it had said anything has chosen nothing: what it wrote is
// there as a whole, or not at all.
func TestAPlacementIsAsDurableAsTheIdentity(t *testing.T) {
	m, err := NewManager(ManagerOptions{Self: peerOf("m"), Cluster: rigCluster, Durable: true, Placement: 64}, Empty{})
	require.NoError(t, err)
	var out Output
	m.Tick(rigOrigin, &out)
	require.Len(t, out.Persist, 2)
	space := rigSpace{}
	space.write(out.Persist)
	for _, w := range out.Persist {
		half := rigSpace{w.Key: w.Value}
		_, err := NewManager(ManagerOptions{Self: peerOf("m"), Cluster: rigCluster, Durable: true}, half)
		require.ErrorIs(t, err, ErrDamaged, "with nothing but %q", w.Key)
		report, err := Inspect(half)
		require.NoError(t, err)
		require.NotEmpty(t, report.Damage, "with nothing but %q", w.Key)
	}
	m, err = NewManager(ManagerOptions{Self: peerOf("m"), Cluster: rigCluster, Durable: true}, space)
	require.NoError(t, err)
	require.EqualValues(t, 64, m.Placement())
	report, err := Inspect(space)
	require.NoError(t, err)
	require.Empty(t, report.Damage)
	require.EqualValues(t, 64, report.Directory.Placement)
}

// The record of a unit that the placement has not is damage.
func TestAUnitOfAnotherPlacementIsDamage(t *testing.T) {
	r := newRealm(t, 3, inDurableMode, inSlots(16), func(o *ManagerOptions) { o.CommandsKeep = 1 })
	r.place("a")
	r.flush()
	unit := prefixUnit + string(Placement(16).Unit("a"))
	require.Contains(t, r.space, unit)
	delete(r.space, unit)
	for _, u := range []string{"16", "01", "a", ""} {
		r.space[prefixUnit+u] = new(recorder).record(prefixUnit+u, tagMapping, &mapping{1})
		_, err := NewManager(ManagerOptions{Self: peerOf("m"), Cluster: rigCluster, Durable: true}, r.space)
		require.ErrorIs(t, err, ErrDamaged, u)
		require.ErrorContains(t, err, fmt.Sprintf("there is a record of unit %q, which placement slots=16 has not", u))
		delete(r.space, prefixUnit+u)
	}
}

// What a manager knows of slots does not grow with the keys.
func TestAMillionKeysTakeTheManagerLessThanTwoMegabytes(t *testing.T) {
	for _, c := range []struct {
		slots Placement
		most  float64
	}{{16384, 2e6}, {SlotsMax, 8e6}} {
		t.Run(c.slots.String(), func(t *testing.T) {
			const keys = 1_000_000
			s := newSwarm(30, inSlots(c.slots))
			s.mail = nil
			before := heapInUse()
			for range keys {
				s.newKey()
				s.mail = s.mail[:0]
			}
			s.mail = nil
			bytes := float64(heapInUse()) - float64(before)
			t.Logf("%d keys took %.2f MB", keys, bytes/1e6)
			require.Less(t, bytes, c.most)
			require.Equal(t, c.slots.Slots(), s.m.Units())
			runtime.KeepAlive(s)
		})
	}
}

// A lookup of a key in a mapped unit costs the manager its reply, and nothing for the unit
// where each key is one.
func BenchmarkLookup(b *testing.B) {
	for _, p := range []Placement{PlacementKey, 16384} {
		b.Run(p.String(), func(b *testing.B) {
			m := newSwarm(30, inSlots(p)).m
			keys := make([]string, 1<<16)
			var out Output
			now := Time(time.Hour).After(2 * time.Second)
			ask := func(i int) {
				carry(m, now, &out, Envelope{From: Peer{1 << 41, "c"}, Body: &Lookup{Req: uint64(i), Key: keys[i%len(keys)], Create: true}})
				for _, e := range out.After {
					carry(m, now, &out, Envelope{Cluster: rigCluster, From: m.self, To: m.self, Body: e.Body})
				}
				out.Reset()
			}
			for i := range keys {
				keys[i] = fmt.Sprintf("%016d", i)
				ask(i)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				ask(i)
			}
		})
	}
}

// BenchmarkUnit measures what it takes to find a key's unit.
func BenchmarkUnit(b *testing.B) {
	for _, p := range []Placement{PlacementKey, 16384} {
		b.Run(p.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if p.Unit("user:1000000001") == "" {
					b.Fatal("no unit")
				}
			}
		})
	}
}

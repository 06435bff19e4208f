package core

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// few is an option of a storage node whose bounds an attack can reach.
func few(o *StorageOptions) {
	o.PendingMax, o.ReadsMax, o.ParkedMax, o.SessionsMax, o.LogKeep, o.ChunkItems = 32, 32, 32, 32, 8, 2
	o.PendingBytesMax = 4 << 20
}

// acks has members answer what was replicated to them.
func (n *rig) acks(members ...string) {
	n.t.Helper()
	for _, m := range members {
		list := sent[*Replicate](n, m)
		if len(list) == 0 || n.node == nil {
			continue
		}
		r := list[len(list)-1]
		n.step(m, &Ack{Group: r.Group, Epoch: r.Epoch, Round: r.Round, Matched: r.Prev.Seq + Seq(len(r.Entries))})
	}
	n.mail = nil
}

// kept has a client write "acked" to a primary with these members, and is what must be
// true of the primary afterwards.
func kept(n *rig, members ...string) target {
	n.t.Helper()
	took := n.took
	n.step("c1", put(2, 1, 9, "acked", "a"))
	n.acks(members...)
	require.EqualValues(n.t, "a", n.values()["acked"].Data)
	n.took = append(took, Envelope{From: peerOf("m"), Body: config(7, append([]string{"n1", "n4"}, members...)...)}) // not the write
	honest := func() { n.acks(members...) }
	return target{rig: n, honest: honest, survives: func() {
		n.t.Helper()
		for range 20 { // what the attack has left is served first
			n.tick(50 * time.Millisecond)
			honest()
		}
		n.step("c7", get(1<<40, "acked"))
		var replies []*Reply
		for range 4 {
			replies = append(replies, sent[*Reply](n, "c7")...)
			n.tick(50 * time.Millisecond)
			for _, m := range members {
				if len(slices.DeleteFunc(slices.Clone(n.mail), func(e Envelope) bool { _, ok := e.Body.(*Replicate); return !ok || e.To.Addr != m })) > 0 {
					n.answer(m)
				}
			}
		}
		require.NotEmpty(n.t, replies)
		require.Equal(n.t, "a", replies[0].Value)
	}}
}

// holding is what must be true of a replica that holds "x".
func holding(n *rig) target {
	config := n.view().Config
	return target{rig: n, survives: func() {
		require.Equal(n.t, config, n.view().Config)
		require.Equal(n.t, "a", n.values()["x"].Data)
		require.GreaterOrEqual(n.t, n.view().Last, Seq(2))
	}}
}

func nothing(n *rig) target { return target{rig: n, survives: func() {}} }

// states are those in which a node is attacked.
var states = []struct {
	name  string
	build func(t *testing.T) target
}{
	{"a node that is not registered", func(t *testing.T) target {
		n := newStorageAt(t, "n1")
		return target{rig: n, unknown: true, survives: func() {
			n.registered()
			require.Equal(t, rigCluster, n.storage().Cluster())
		}}
	}},
	{"a spare", func(t *testing.T) target {
		n := newStorageAt(t, "n1", few).registered()
		return target{rig: n, survives: func() {
			n.step("m", config(1, "n1"))
			require.True(t, n.view().Serving)
		}}
	}},
	{"a replica", func(t *testing.T) target { return holding(heir(t, config(1, "n1", "n2", "n3"), few)) }},
	{"a replica of several epochs", func(t *testing.T) target {
		n := heir(t, config(1, "n1", "n2", "n3"), few)
		n.step("m", config(3, "n3", "n2"))
		n.step("n3", replicate(3, 1, EntryID{1, 2}, 3, opened(2), wrote(2, 4, "y", "b"), wrote(3, 5, "y", "c"), wrote(3, 6, "y", "d")))
		require.EqualValues(t, 6, n.view().Last)
		n.step("m", config(4, "n3", "n2"))
		n.step("n3", replicate(4, 1, EntryID{3, 5}, 4, wrote(3, 6, "y", "d"), wrote(4, 7, "y", "e")))
		return holding(n)
	}},
	{"a durable replica", func(t *testing.T) target { return holding(heir(t, config(1, "n1", "n2", "n3"), few, durable)) }},
	{"a primary", func(t *testing.T) target { return kept(serving(t, config(1, "n1", "n2", "n3"), few), "n2", "n3") }},
	{"a primary with leases", func(t *testing.T) target {
		return kept(serving(t, leased(100*time.Millisecond, 1, "n1", "n2", "n3"), few), "n2", "n3")
	}},
	{"a durable primary", func(t *testing.T) target {
		return kept(serving(t, config(1, "n1", "n2", "n3"), few, durable), "n2", "n3")
	}},
	{"a lone primary", func(t *testing.T) target { return kept(serving(t, config(1, "n1"), few)) }},
	{"a primary that sends a snapshot", func(t *testing.T) target {
		n := kept(serving(t, config(1, "n1", "n2"), few), "n2")
		n.step("m", joined(2, 2, "n3", "n1", "n2"))
		n.acks("n2")
		return n
	}},
	{"a primary that feeds a joining node", func(t *testing.T) target {
		return kept(feeding(t, few), "n3")
	}},
	{"a primary that reconciles", func(t *testing.T) target {
		n := heir(t, config(1, "n1", "n2", "n3"), few)
		n.step("m", config(2, "n2", "n3"))
		return holding(n)
	}},
	{"a restarted primary", func(t *testing.T) target {
		n := serving(t, config(1, "n1", "n2"), few, durable)
		n.crash(1 << 20)
		return nothing(n.restart())
	}},
	{"a joining node amid a snapshot", func(t *testing.T) target { return joining(t, 2) }},
	{"a joining node with a snapshot", func(t *testing.T) target { return joining(t, 1<<20) }},
	{"a durable joining node amid a snapshot", func(t *testing.T) target { return joining(t, 2, durable) }},
	{"a removed member", func(t *testing.T) target {
		n := heir(t, config(1, "n1", "n2", "n3"), few)
		n.step("m", config(2, "n1", "n3"))
		return nothing(n)
	}},
	{"a node that stops", func(t *testing.T) target {
		n := heir(t, config(1, "n1", "n2", "n3"), few)
		n.stepRaw(Envelope{From: n.self, To: n.self, Body: &Stop{}})
		n.took = nil
		return nothing(n)
	}},
	{"a manager of nobody", func(t *testing.T) target { return managing(newRealm(t, 0, fewWaiters)) }},
	{"a manager of spares", func(t *testing.T) target { return managing(newRealm(t, 3, fewWaiters)) }},
	{"a manager of a group", func(t *testing.T) target { return managing(grouped(t)) }},
	{"a durable manager of a group", func(t *testing.T) target { return managing(grouped(t, inDurableMode)) }},
	{"a manager of a join", func(t *testing.T) target {
		r := grouped(t, quick)
		r.ail(refusing, "n3")
		r.pass(time.Second)
		return managing(r)
	}},
	{"a manager of a drain", func(t *testing.T) target {
		r := grouped(t)
		r.say("c1", &Drain{Req: 1, Node: peerOf("n2").ID})
		return managing(r)
	}},
	{"a manager in an inquiry", func(t *testing.T) target {
		r := grouped(t)
		r.ail(silent, "n1")
		r.say("n2", suspect(1, "n1"))
		return managing(r)
	}},
	{"a client", func(t *testing.T) target {
		n := knowing(t)
		n.ask(2, OpPut, "a")
		n.opened(1)
		n.ask(3, OpGet, "a")
		n.ask(4, OpPut, "b")
		return nothing(n)
	}},
}

func joining(t *testing.T, chunks int, options ...func(*StorageOptions)) target {
	list := snapshotOf(t, 5)
	n := following(t, "n3", joined(2, 2, "n3", "n1"), append(options, few)...)
	for _, c := range list[:min(chunks, len(list))] {
		n.step("n1", c)
	}
	// It is made a member, by a manager that lies.
	n.took = append(n.took, Envelope{From: peerOf("m"), Body: config(3, "n1", "n3")}, Envelope{From: peerOf("m"), Body: config(3, "n3")})
	return target{rig: n, survives: func() {
		for _, c := range list {
			n.step("n1", c)
		}
		require.Equal(t, "v0", n.values()["k0"].Data)
		require.False(t, n.view().Partial)
	}}
}

func fewWaiters(o *ManagerOptions) { o.WaitersMax = 32 }

// grouped is a manager of a group, n1 to n3, and of a spare.
func grouped(t *testing.T, options ...func(*ManagerOptions)) *realm {
	r := newRealm(t, 4, append(options, fewWaiters, haltOnLoss)...)
	r.pass(200 * time.Millisecond)
	r.place("acked")
	r.pass(200 * time.Millisecond)
	return r
}

// managing is what must be true of a manager: its groups are as before, but for the work
// that was under way, and nobody is in one who does not answer.
func managing(r *realm) target {
	id, mapped := r.manager().dir.units["acked"]
	r.took = slices.DeleteFunc(r.took, func(e Envelope) bool { _, ok := e.Body.(*Drain); return ok })
	return target{rig: r.rig, honest: func() { r.serve(); r.pass(20 * time.Millisecond) }, survives: func() {
		r.t.Helper()
		r.serve()
		r.say("c5", &Lookup{Req: 1, Key: "late", Create: true})
		r.pass(3 * time.Second)
		require.NotNil(r.t, r.node)
		after, still := r.manager().dir.units["acked"]
		require.Equal(r.t, id, after)
		require.Equal(r.t, mapped, still)
		for g := GroupID(1); int(g) <= r.manager().Groups(); g++ {
			lost, _ := r.manager().Lost(g)
			require.False(r.t, lost)
			for _, p := range r.manager().Config(g).Chain {
				require.NotNil(r.t, r.actors[p.Addr], "%v was never heard at its address", p)
			}
		}
	}}
}

// besiege attacks a node with those choices.
func besiege(t *testing.T, data []byte) int {
	return besiegeAs(t, data, 0)
}

// besiegeAs is besiege by somebody who has the certificate of a role: of a client or an
// operator, that is an outsider; a node or a manager may be one of the cluster.
func besiegeAs(t *testing.T, data []byte, role Role) int {
	a := &attack{t: t, data: data, as: role}
	state := states[a.draw(len(states))]
	outsiders := a.draw(2) == 0
	if role != 0 {
		outsiders = role == RoleClient || role == RoleOperator
	}
	a.target = state.build(t)
	a.run(outsiders)
	if a.durable && a.node != nil { // what it made durable is whole
		a.crash(1 << 20)
		a.restart()
	}
	return a.steps
}

// Nothing that a message says ends a node, or takes what was acknowledged.
func TestHostileMessagesHarmNobody(t *testing.T) {
	for i, state := range states {
		for seed := range uint64(6) {
			t.Run(fmt.Sprintf("%s/%d", state.name, seed), func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, uint64(i)))
				data := make([]byte, 16<<10)
				for j := range data {
					data[j] = byte(random.Uint32())
				}
				data[0], data[1] = byte(i), byte(seed)
				besiege(t, data)
			})
		}
	}
}

// With certificates the same goes for whoever has one. Who has a client's, stolen or not,
// takes nothing that was acknowledged, whatever ids it claims.
func TestNobodyHarmsWhatItsRoleMayNot(t *testing.T) {
	for _, role := range Roles {
		said := 0
		for i := range states {
			random := rand.New(rand.NewPCG(uint64(role), uint64(i)))
			data := make([]byte, 16<<10)
			for j := range data {
				data[j] = byte(random.Uint32())
			}
			data[0] = byte(i)
			said += besiegeAs(t, data, role)
		}
		require.Greater(t, said, 1000, "%v", role)
	}
}

func FuzzHostile(f *testing.F) {
	for i := range states {
		f.Add([]byte{byte(i), 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		data = data[:min(len(data), 1<<14)]
		besiege(t, data)
		for _, role := range Roles {
			besiegeAs(t, data, role)
		}
	})
}

package core

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A rig drives one node by hand, and keeps the driver's contract: after each
// Step it Ticks while the Deadline asks for that, what is in After waits for
// the disk, and what the node addresses to itself comes back to it.
//
// Peers go by names: "m" is the manager, "n1", "n2"... are storage nodes, "c1",
// "c2"... are clients, and "" is the local caller of a client.
type rig struct {
	t    *testing.T
	boot func(Space) (Node, error)

	node   Node
	self   Peer
	now    Time
	halted error // why the node halted by itself

	durable bool
	held    bool     // syncs wait for sync(); else the disk is as fast as can be
	space   rigSpace // what is durable
	gate    Gate     // what is not yet

	inbox []Envelope
	took  []Envelope // what it was given
	mail  []Envelope // what left and was not looked at
	past  []Event    // what happened and was not looked at
	out   Output
	heard func(Time, *Output) // is told of each Output; nil for nobody
	fed   []Envelope          // what came from outside, and when; kept if fedAt is not nil
	fedAt []Time
}

type rigSpace map[string]string

// Range implements Space.
func (s rigSpace) Range(prefix string, f func(key, value string) error) error {
	for _, k := range slices.Sorted(maps.Keys(s)) {
		if strings.HasPrefix(k, prefix) {
			if err := f(k, s[k]); err != nil {
				return err
			}
		}
	}
	return nil
}

const rigCluster ClusterID = 0xc1

// rigOrigin is when rigs begin.
var rigOrigin = Time(time.Hour)

// peerOf is the peer of that name: its id is the number in the name, plus 0x100
// for clients; that of the manager is 0x200.
func peerOf(name string) Peer {
	if name == "" {
		return Peer{}
	}
	id := NodeID(0x200)
	if name != "m" {
		n := 0
		_, err := fmt.Sscanf(name[1:], "%d", &n)
		if err != nil || n < 1 || name[0] != 'n' && name[0] != 'c' {
			panic("no such peer: " + name)
		}
		id = NodeID(n)
		if name[0] == 'c' {
			id += 0x100
		}
	}
	return Peer{ID: id, Addr: name}
}

// newStorageAt starts a storage node, not yet registered.
func newStorageAt(t *testing.T, name string, options ...func(*StorageOptions)) *rig {
	o := StorageOptions{Self: peerOf(name), Manager: Peer{Addr: "m"}, Name: name}
	for _, option := range options {
		option(&o)
	}
	return newRig(t, name, o.Durable, func(s Space) (Node, error) { return NewStorage(o, s) })
}

// durable is an option of a storage node.
func durable(o *StorageOptions) { o.Durable = true }

// newManagerAt starts the manager "m" of the cluster.
func newManagerAt(t *testing.T, options ...func(*ManagerOptions)) *rig {
	o := ManagerOptions{Self: peerOf("m"), Cluster: rigCluster, Replicas: 2}
	for _, option := range options {
		option(&o)
	}
	return newRig(t, "m", o.Durable, func(s Space) (Node, error) { return NewManager(o, s) })
}

// newClientAt starts a client.
func newClientAt(t *testing.T, name string, options ...func(*ClientOptions)) *rig {
	o := ClientOptions{Self: peerOf(name), Manager: Peer{Addr: "m"}, Seed: 1}
	for _, option := range options {
		option(&o)
	}
	return newRig(t, name, false, func(Space) (Node, error) { return NewClient(o) })
}

func newRig(t *testing.T, name string, durable bool, boot func(Space) (Node, error)) *rig {
	n := &rig{t: t, boot: boot, self: peerOf(name), now: rigOrigin, durable: durable, space: rigSpace{}}
	n.start()
	return n
}

func (n *rig) start() {
	n.t.Helper()
	node, err := n.boot(n.space)
	require.NoError(n.t, err)
	n.node, n.halted = node, nil
	n.tick(0)
}

// registered has the manager answer the node's Register.
func (n *rig) registered() *rig {
	n.t.Helper()
	n.step("m", &Registered{Boot: n.storage().Boot()})
	sent[*Register](n, "m")
	return n
}

// step gives the node a message of the cluster and carries out what comes of it.
func (n *rig) step(from string, m Message) {
	n.t.Helper()
	n.stepRaw(Envelope{Cluster: rigCluster, From: peerOf(from), To: n.self, Body: m})
}

// stepRaw is step for an envelope that is not as it should be.
func (n *rig) stepRaw(e Envelope) {
	n.t.Helper()
	require.NotNil(n.t, n.node, "the node is down")
	n.inbox = append(n.inbox, e)
	n.took = append(n.took, e)
	if n.fedAt != nil {
		n.fed, n.fedAt = append(n.fed, e), append(n.fedAt, n.now)
	}
	n.run()
}

// tick lets d pass, and the node do what becomes due.
func (n *rig) tick(d time.Duration) {
	n.t.Helper()
	require.NotNil(n.t, n.node, "the node is down")
	end := n.now.After(d)
	for i := 0; n.node != nil && n.node.Deadline() <= end; i++ {
		require.Less(n.t, i, 10_000, "the node never comes to rest")
		n.now = max(n.now, n.node.Deadline())
		n.finish()
		n.run()
	}
	n.now = end
}

// pause lets d pass in which the process stalls.
func (n *rig) pause(d time.Duration) { n.now = n.now.After(d) }

// sync makes everything durable that was to be, and releases what waited for it.
func (n *rig) sync() {
	n.t.Helper()
	n.settle()
	n.run()
}

// crash ends the process. Of the batches that were not synced the first keep
// survive.
func (n *rig) crash(keep int) {
	for i := range min(keep, n.gate.Pending()) {
		writes, _ := n.gate.Batch(i)
		n.space.write(writes)
	}
	n.gate.Forget()
	n.inbox, n.node = nil, nil
	n.out.Reset()
}

// restart starts the process again over what is durable.
func (n *rig) restart() *rig {
	n.t.Helper()
	require.Nil(n.t, n.node, "the node is up")
	require.True(n.t, n.durable, "without data it would be another node")
	n.start()
	return n
}

func (n *rig) run() {
	n.t.Helper()
	for len(n.inbox) > 0 && n.node != nil {
		e := n.inbox[0]
		n.inbox = n.inbox[1:]
		n.node.Step(n.now, e, &n.out)
		n.finish()
	}
}

// finish Ticks as long as that is due and carries the Output out.
func (n *rig) finish() {
	n.t.Helper()
	for i := 0; n.out.Halt == nil && n.node.Deadline() <= n.now; i++ {
		require.Less(n.t, i, 100, "the node asks for another Tick at the same moment for ever")
		n.node.Tick(n.now, &n.out)
	}
	if n.heard != nil {
		n.heard(n.now, &n.out)
	}
	n.past = append(n.past, n.out.Events...)
	for i := range n.out.Send {
		n.leave(&n.out.Send[i])
	}
	if !n.durable {
		require.Empty(n.t, n.out.Persist, "in memory mode nothing is durable")
	}
	n.gate.Take(n.out.Persist, n.out.After, n.leave)
	if n.halted = n.out.Halt; n.halted != nil {
		n.crash(0)
		return
	}
	n.out.Reset()
	if !n.held {
		n.settle()
	}
}

func (n *rig) leave(e *Envelope) {
	if e.To.ID == n.self.ID && e.To.ID != 0 {
		n.inbox = append(n.inbox, *e)
	} else {
		n.mail = append(n.mail, *e)
	}
}

func (n *rig) settle() {
	if _, _, some := n.gate.Begin(); some {
		n.gate.End(n.space.write, n.leave)
	}
}

func (s rigSpace) write(writes []Write) {
	for _, w := range writes {
		if w.Delete && w.End != "" {
			maps.DeleteFunc(s, func(k, _ string) bool { return w.Key <= k && k < w.End })
		} else if w.Delete {
			delete(s, w.Key)
		} else {
			s[w.Key] = w.Value
		}
	}
}

// sent takes the messages of one type that left for a peer since they were last
// looked at.
func sent[M Message](n *rig, to string) (list []M) {
	n.mail = slices.DeleteFunc(n.mail, func(e Envelope) bool {
		m, ok := e.Body.(M)
		if ok = ok && e.To.Addr == to; ok {
			list = append(list, m)
		}
		return ok
	})
	return list
}

// only is the one message of its type that left for a peer since.
func only[M Message](n *rig, to string) M {
	n.t.Helper()
	list := sent[M](n, to)
	require.Len(n.t, list, 1, "%T to %s", *new(M), to)
	return list[0]
}

// latest is the last of the messages of its type that left for a peer since.
func latest[M Message](n *rig, to string) M {
	n.t.Helper()
	list := sent[M](n, to)
	require.NotEmpty(n.t, list, "%T to %s", *new(M), to)
	return list[len(list)-1]
}

// happened takes the events of one kind since they were last looked at.
func (n *rig) happened(k EventKind) (list []Event) {
	n.past = slices.DeleteFunc(n.past, func(e Event) bool {
		if e.Kind == k {
			list = append(list, e)
		}
		return e.Kind == k
	})
	return list
}

func (n *rig) storage() *Storage { return n.node.(*Storage) }
func (n *rig) manager() *Manager { return n.node.(*Manager) }

// view is the storage node's part in its first group.
func (n *rig) view() GroupView { return n.storage().Group(0, n.now) }

// values are the keys of the storage node's first group.
func (n *rig) values() map[string]Versioned { return maps.Collect(n.storage().Values(0)) }

// config is a configuration of group 1 that confirms reads.
func config(epoch Epoch, chain ...string) *Config {
	c := &Config{Group: 1, Epoch: epoch, Reads: ReadConfirm, MinChain: 1}
	for _, name := range chain {
		c.Chain = append(c.Chain, peerOf(name))
	}
	return c
}

// leased is a configuration of group 1 with leases of length l.
func leased(l time.Duration, epoch Epoch, chain ...string) *Config {
	c := config(epoch, chain...)
	c.Reads, c.Lease = ReadLease, l
	return c
}

package quorum

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
)

// seat is one of several managers, whose disk is as fast as can be.
type seat struct {
	peer  core.Peer
	node  *core.Manager // nil while it is down
	space map[string]string
}

// Range implements core.Space.
func (s *seat) Range(prefix string, f func(k, v string) error) error {
	for _, k := range slices.Sorted(maps.Keys(s.space)) {
		if strings.HasPrefix(k, prefix) {
			if err := f(k, s.space[k]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *seat) write(list []core.Write) {
	for _, w := range list {
		switch {
		case w.Delete && w.End != "":
			maps.DeleteFunc(s.space, func(k, _ string) bool { return w.Key <= k && k < w.End })
		case w.Delete:
			delete(s.space, w.Key)
		default:
			s.space[w.Key] = w.Value
		}
	}
}

// table is several managers among which messages take no time.
type table struct {
	t        *testing.T
	now      core.Time
	seats    []*seat
	founders []core.Peer
	mail     []core.Envelope // to others
}

func newTable(t *testing.T, size int) *table {
	w := &table{t: t}
	for i := range size {
		w.seats = append(w.seats, &seat{peer: core.Peer{ID: core.NodeID(1 + i), Addr: "m" + string(rune('1'+i))}, space: map[string]string{}})
	}
	for _, s := range w.seats {
		w.founders = append(w.founders, s.peer)
	}
	for _, s := range w.seats {
		w.start(s)
	}
	return w
}

func (w *table) start(s *seat) {
	cluster, founders := core.ClusterID(0xc1), w.founders
	if !slices.Contains(founders, s.peer) { // it has lost its data
		cluster, founders = 0, nil
	}
	node, err := core.NewManager(core.ManagerOptions{
		Self: s.peer, Cluster: cluster, Durable: true, Replicas: 0,
		Consensus: ForManager(Options{Found: founders, Durable: true, Seed: uint64(s.peer.ID), LogBytes: 100}),
	}, s)
	require.NoError(w.t, err)
	s.node = node
}

func (w *table) pass(d time.Duration) {
	for end := w.now.After(d); w.now < end; w.now = w.now.After(time.Millisecond) {
		for _, s := range w.seats {
			if s.node != nil && s.node.Deadline() <= w.now {
				w.carryOut(s, func(out *core.Output) {})
			}
		}
	}
}

func (w *table) say(to *seat, from core.Peer, m core.Message) {
	w.carryOut(to, func(out *core.Output) {
		to.node.Step(w.now, core.Envelope{Cluster: 0xc1, From: from, To: to.peer, Body: m}, out)
	})
}

// carryOut does what a manager wants done, and what comes of that.
func (w *table) carryOut(s *seat, call func(out *core.Output)) {
	var out core.Output
	call(&out)
	for s.node.Deadline() <= w.now {
		s.node.Tick(w.now, &out)
	}
	require.NoError(w.t, out.Halt)
	s.write(out.Persist)
	for _, e := range append(out.Send, out.After...) {
		if i := slices.IndexFunc(w.seats, func(s *seat) bool { return s.peer.ID == e.To.ID }); i < 0 {
			w.mail = append(w.mail, e)
		} else if to := w.seats[i]; to.node != nil {
			w.carryOut(to, func(out *core.Output) { to.node.Step(w.now, e, out) })
		}
	}
}

func answered[M core.Message](w *table) (list []M) {
	for _, e := range w.mail {
		if m, ok := e.Body.(M); ok {
			list = append(list, m)
		}
	}
	w.mail = nil
	return list
}

// leader asks all managers, of which one has to be the leader.
func (w *table) leader() *seat {
	w.t.Helper()
	var leader *seat
	for _, s := range w.seats {
		if s.node != nil {
			w.say(s, core.Peer{ID: 99, Addr: "c"}, &core.StatusQuery{Req: 1})
			if len(answered[*core.StatusReply](w)) > 0 {
				require.Nil(w.t, leader)
				leader = s
			}
		}
	}
	require.NotNil(w.t, leader)
	return leader
}

// Managers agree on one Directory. A leader that dies is followed by another, which has all
// that was agreed on, and who comes back learns what it has missed, if need be by a snapshot.
func TestManagersAgreeOnADirectory(t *testing.T) {
	w := newTable(t, 3)
	register := func(to *seat, id core.NodeID) {
		w.mail = nil
		w.say(to, core.Peer{ID: id, Addr: "n"}, &core.Register{Boot: 1, Durable: true, Secret: uint64(id)})
		list := answered[*core.Registered](w)
		require.Len(t, list, 1)
		require.Len(t, list[0].Managers, 3)
	}
	w.pass(time.Second)
	first := w.leader()
	register(first, 100)
	first.node = nil
	w.pass(2 * time.Second)
	second := w.leader()
	require.NotSame(t, first, second)
	for id := range core.NodeID(50) {
		register(second, 101+id)
	}
	require.Equal(t, 51, second.node.Nodes())
	w.start(first)
	w.pass(time.Second)
	require.NotZero(t, len(second.space))
	for _, s := range w.seats {
		require.EqualValues(t, 51, s.node.Index())
		require.Equal(t, second.node.DirectoryHash(), s.node.DirectoryHash())
	}
	for _, s := range w.seats {
		s.node = nil
	}
	for _, s := range w.seats {
		w.start(s)
	}
	w.pass(2 * time.Second)
	require.Equal(t, 51, w.leader().node.Nodes(), "all were started again")
}

// A manager that has lost its data is another one, and takes its place; but not that of one
// that is heard.
func TestAManagerWithoutDataTakesItsPlace(t *testing.T) {
	w := newTable(t, 3)
	w.pass(time.Second)
	for range 6 { // so also one that leads, and each of them again
		for i, s := range w.seats {
			s.node, s.space, s.peer.ID = nil, map[string]string{}, s.peer.ID+10
			w.pass(time.Second)
			w.say(w.leader(), core.Peer{ID: 99, Addr: "c"}, &core.Register{Boot: 1, Durable: true, Secret: 1})
			w.start(s)
			for range 10 { // until the former one has been silent for long enough
				w.say(w.leader(), s.peer, &core.Enlist{Durable: true})
				w.pass(100 * time.Millisecond)
			}
			leader := w.leader().node
			require.Len(t, leader.Council(), 3)
			require.Contains(t, leader.Council(), s.peer, "the manager at %s is taken in", s.peer.Addr)
			require.EqualValues(t, 0xc1, s.node.Cluster())
			require.Equal(t, leader.Index(), s.node.Index())
			well := w.seats[(i+1)%3]
			before := leader.Council()
			w.say(w.leader(), core.Peer{ID: 5000, Addr: well.peer.Addr}, &core.Enlist{Durable: true})
			w.pass(100 * time.Millisecond)
			require.Equal(t, before, w.leader().node.Council(), "%s is heard", well.peer.Addr)
		}
	}
}

// A leader that reaches no majority steps down, also at the moment at which it is to propose.
func TestALeaderStepsDownAmidProposals(t *testing.T) {
	w := newTable(t, 3)
	w.pass(time.Second)
	leader := w.leader()
	for _, s := range w.seats {
		if s != leader {
			s.node = nil
		}
	}
	for id := range core.NodeID(1000) {
		w.say(leader, core.Peer{ID: 200 + id, Addr: "n"}, &core.Register{Boot: 1, Durable: true, Secret: 1})
		w.pass(time.Millisecond)
	}
	require.NotEmpty(t, answered[*core.NotLeader](w))
	require.Zero(t, leader.node.Nodes())
}

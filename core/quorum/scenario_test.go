package quorum

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"gtstore/core"
)

var shortTimes = Options{HeartbeatInterval: 25 * time.Millisecond, ElectionTimeout: 200 * time.Millisecond}

func durably(o Options) Options {
	o.Durable = true
	return o
}

// fine is the end of a test without faults.
func (w *world) fine(t *testing.T) {
	t.Helper()
	require.Empty(t, w.wrong)
}

// write has the leader propose, and waits until all who are there have applied it.
func (w *world) write(t *testing.T, commands ...string) {
	t.Helper()
	l := w.leader()
	require.NotNil(t, l)
	l.do(func(*Output) {
		for _, c := range commands {
			require.True(t, l.node.Propose(c))
			l.mine[c] = true
		}
	})
	w.run(w.now.After(200 * time.Millisecond))
	w.fine(t)
	for _, c := range commands {
		require.Contains(t, w.acked, c)
	}
}

func TestAManagerAloneLeadsAtOnce(t *testing.T) {
	w := emptyWorld(1, durably(shortTimes))
	w.found(1, 0)
	w.run(core.Time(20 * time.Millisecond))
	require.NotNil(t, w.leader())
	w.write(t, "a")
}

// The Space of a manager alone has no commit point behind its last entry, unless that is the
// first. What it reads must not be from before that.
func TestAManagerAloneReadsNothingOldAfterARestart(t *testing.T) {
	w := emptyWorld(1, durably(shortTimes))
	w.found(1, 0)
	w.run(core.Time(20 * time.Millisecond))
	w.write(t, "a")
	w.write(t, "b")
	h := w.hosts[0]
	h.crash()
	h.start()
	require.Equal(t, []string{"a"}, h.commands, "nothing tells yet that more is committed")
	h.read()
	require.Zero(t, w.counts["read"])
	w.run(w.now.After(20 * time.Millisecond))
	h.read()
	w.run(w.now.After(20 * time.Millisecond))
	require.Equal(t, 1, w.counts["read"])
	w.fine(t)
}

func TestANodeWithoutAGroupSaysNothing(t *testing.T) {
	w := emptyWorld(1, shortTimes)
	w.found(0, 1)
	w.run(core.Time(time.Minute))
	require.Empty(t, w.sent)
	require.Equal(t, core.Never, w.hosts[0].node.Deadline())
}

func TestASilentLeaderIsFollowedByAnother(t *testing.T) {
	for _, c := range []struct {
		name string
		hint int
		most time.Duration
	}{
		// The first who asks for votes gets them: all have forgotten the leader by then.
		{"that only falls silent", 0, 2*shortTimes.ElectionTimeout + 40*time.Millisecond},
		{"whose connections break", 100, shortTimes.ElectionTimeout / 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(10) {
				w := calmOf(seed+1, 5, 0, durably(shortTimes))
				w.hints = c.hint
				w.write(t, "a")
				old := w.leader()
				old.crash()
				w.run(w.now.After(c.most))
				l := w.leader()
				require.NotNil(t, l)
				w.write(t, "b")
				old.start()
				w.run(w.now.After(time.Second))
				require.Equal(t, []string{"a", "b"}, old.commands)
				require.Equal(t, l, w.leader(), "who comes back disturbs nobody")
				w.fine(t)
			}
		})
	}
}

// When the leader's process ends, the others hear of it together, and ask for votes within a
// quarter of a time-out; or two heartbeats later, where a beat comes after the news. Those who ask
// at the same time do not hold each other up.
func TestALeaderWhoseProcessEndsIsFollowedSoon(t *testing.T) {
	for _, size := range []int{3, 5} {
		for seed := range uint64(300) {
			w := calmOf(seed+1, size, 0, shortTimes)
			w.hints = 100
			w.write(t, "a")
			if seed%2 == 0 {
				w.run(w.leader().wakeAt) // and its beats are under way
			}
			w.leader().crash()
			w.run(w.now.After(shortTimes.ElectionTimeout * 3 / 4))
			require.NotNil(t, w.leader(), "%d members, seed %d", size, seed+1)
			w.fine(t)
		}
	}
}

func TestAWrongHintDeposesNobody(t *testing.T) {
	w := calm(3, 0, shortTimes)
	l := w.leader()
	for range 50 {
		w.hosts[w.rng.IntN(3)].down(l.peer.ID)
		w.run(w.now.After(60 * time.Millisecond))
	}
	require.Equal(t, 1, w.counts["lead"])
}

// A member whose process has ended is said to be silent at once. Until the leader hears it again it
// may be another process that is at its address, without its data: who reads that all follow, and
// that nobody lags, takes the next one down, and with it the last copy.
func TestAMemberWhoseConnectionBrokeIsSilentAtOnce(t *testing.T) {
	w := calm(3, 0, shortTimes)
	w.write(t, "a")
	l := w.leader()
	silent := func() (list []core.NodeID) {
		for _, m := range l.node.managers() {
			if m.Silent {
				list = append(list, m.ID)
			}
		}
		return list
	}
	require.Empty(t, silent())
	others := slices.DeleteFunc(slices.Clone(w.hosts), func(h *host) bool { return h == l })
	ended, well := others[0], others[1]
	ended.crash()
	l.down(ended.peer.ID)
	require.Equal(t, []core.NodeID{ended.peer.ID}, silent())
	w.run(w.now.After(time.Second))
	require.Equal(t, []core.NodeID{ended.peer.ID}, silent())

	l.down(well.peer.ID) // wrong, or only the connection broke: it is heard by the next beat
	w.run(w.now.After(time.Second))
	require.Equal(t, []core.NodeID{ended.peer.ID}, silent())
	require.Equal(t, l, w.leader())
	w.fine(t)
}

func TestAMemberThatWasCutOffDisturbsNobody(t *testing.T) {
	w := calm(3, 0, shortTimes)
	l := w.leader()
	for _, h := range w.hosts {
		if h != l {
			w.cutOff(h)
			break
		}
	}
	w.run(w.now.After(5 * time.Second))
	clear(w.cut)
	w.run(w.now.After(time.Second))
	require.Equal(t, l, w.leader())
	require.Equal(t, 1, w.counts["lead"])
}

func (w *world) cutOff(h *host) {
	for _, other := range w.hosts {
		w.cut[[2]core.NodeID{h.peer.ID, other.peer.ID}] = true
		w.cut[[2]core.NodeID{other.peer.ID, h.peer.ID}] = true
	}
}

// What a leader proposed while it was cut off is nobody's, and what it was to confirm is not
// confirmed.
func TestALeaderThatReachesNobodyStepsDown(t *testing.T) {
	w := calm(3, 0, shortTimes)
	old := w.leader()
	w.cutOff(old)
	old.read()
	old.do(func(*Output) { require.True(t, old.node.Propose("nobody's")) })
	w.run(w.now.After(3 * shortTimes.ElectionTimeout))
	require.Zero(t, old.leads)
	require.Equal(t, 1, w.counts["follow"])
	require.Zero(t, w.counts["read"])
	w.write(t, "a")
	clear(w.cut)
	w.run(w.now.After(time.Second))
	require.Equal(t, []string{"a"}, old.commands)
	who, term := old.node.Leader()
	require.Equal(t, w.leader().peer, who)
	require.Equal(t, w.leader().leads, term)
}

func TestOneRoundConfirmsAllThatWait(t *testing.T) {
	w := calm(3, 0, shortTimes)
	w.run(w.leader().wakeAt.After(5 * time.Millisecond)) // right behind a heartbeat
	before := w.sent[KindBeat]
	w.leader().do(func(*Output) {
		for range 100 {
			w.reads++
			require.True(t, w.leader().node.Confirm(w.reads))
		}
	})
	w.run(w.now.After(10 * time.Millisecond))
	require.Equal(t, 100, w.counts["read"])
	require.Equal(t, before+2, w.sent[KindBeat], "one to each of the others")
}

// A read that comes while a round is under way waits for the next one: that a majority answers
// the first says nothing of the time after it was sent.
func TestAReadWaitsForARoundThatBeganAfterIt(t *testing.T) {
	w := calm(3, 0, shortTimes)
	w.leader().read()
	w.leader().read()
	w.until(t, func() bool { return w.counts["read"] > 0 })
	require.Equal(t, 1, w.counts["read"])
	w.run(w.now.After(10 * time.Millisecond))
	require.Equal(t, 2, w.counts["read"])
}

func TestProposalsOfOneCallAreOneBatch(t *testing.T) {
	w := calm(3, 0, shortTimes)
	before := w.sent[KindAppend]
	var commands []string
	for i := range 100 {
		commands = append(commands, fmt.Sprint("c", i))
	}
	w.write(t, commands...)
	require.LessOrEqual(t, w.sent[KindAppend], before+4, "the entries to each of the others, and that they are committed")
	require.Equal(t, commands, w.hosts[0].commands)
}

func TestWhatIsProposedIsBounded(t *testing.T) {
	opt := shortTimes
	opt.PendingBytes = 1000
	w := calm(3, 0, opt)
	l := w.leader()
	l.do(func(*Output) {
		for i := range 10 {
			require.True(t, l.node.Propose(strings.Repeat("x", 100)), i)
		}
		require.False(t, l.node.Propose("y"))
	})
	w.run(w.now.After(100 * time.Millisecond))
	w.write(t, "y")
	require.Panics(t, func() { l.node.Propose("") })
	require.Panics(t, func() { l.node.Propose(strings.Repeat("x", CommandBytesMax+1)) })
	for _, h := range w.hosts {
		if h != l {
			require.False(t, h.node.Propose("z"))
			require.False(t, h.node.Confirm(1))
		}
	}
}

// The data of one of three are gone. It comes back as another node, and takes the place of
// the one it was in a single step, of which the two others are the majority.
func TestAManagerThatLostItsDataIsReplaced(t *testing.T) {
	w := calm(3, 0, durably(shortTimes))
	w.write(t, "a", "b")
	var lost *host
	for _, h := range w.hosts {
		if h != w.leader() {
			lost = h
		}
	}
	w.renew(lost)
	fresh := w.at(lost.peer.Addr)
	l := w.leader()
	change := func() (err error) {
		l.do(func(*Output) {
			err = l.node.Change([]core.Peer{fresh.peer}, []core.NodeID{lost.peer.ID})
		})
		return err
	}
	require.NoError(t, change())
	require.False(t, l.node.Settled())
	require.ErrorIs(t, change(), ErrChanging)
	w.run(w.now.After(time.Second))
	require.True(t, l.node.Settled())
	for _, h := range w.hosts {
		require.Equal(t, l.node.Members(), h.node.Members())
		require.Equal(t, []string{"a", "b"}, h.commands)
	}
	members := l.node.Members()
	require.Equal(t, []core.NodeID{lost.peer.ID}, members.Retired)
	require.Len(t, members.Voters, 3)
	require.Empty(t, members.Outgoing)

	// Now the fresh one counts: without another the group goes on.
	for _, h := range w.hosts {
		if h != l && h != fresh {
			h.crash()
		}
	}
	w.write(t, "c")
	w.fine(t)
}

// A member that is well is not replaced, whoever says that it is at its address. Just after an
// election, and between two of the library's counts, it has not answered yet, and is well.
func TestAMemberThatIsWellIsNotReplaced(t *testing.T) {
	w := calm(3, 0, shortTimes)
	try := func(d time.Duration) {
		for end := w.now.After(d); w.now < end; {
			w.run(w.now.After(100 * time.Microsecond))
			for _, h := range w.hosts {
				if h.node != nil && h.leads != 0 {
					for _, p := range h.node.Members().Voters {
						h.do(func(*Output) { require.False(t, h.node.Replace(core.Peer{ID: 99, Addr: p.Addr}), "%v", p) })
					}
				}
			}
		}
	}
	try(500 * time.Millisecond)
	w.leader().crash()
	w.run(w.now.After(250 * time.Millisecond))
	for w.leader() == nil {
		w.run(w.now.After(100 * time.Microsecond))
	}
	try(250 * time.Millisecond) // nor the one that has just died: it has a moment
	w.fine(t)
}

func TestALeaderCanBeRemoved(t *testing.T) {
	w := calm(3, 0, shortTimes)
	w.write(t, "a")
	old := w.leader()
	old.do(func(*Output) { require.NoError(t, old.node.Change(nil, []core.NodeID{old.peer.ID})) })
	w.run(w.now.After(2 * time.Second))
	require.Zero(t, old.leads)
	require.NotNil(t, w.leader())
	require.True(t, w.leader().node.Settled())
	require.Len(t, w.leader().node.Members().Voters, 2)
	old.crash()
	w.write(t, "b")
}

func TestAMemberGetsAnotherAddress(t *testing.T) {
	w := calm(3, 0, shortTimes)
	l := w.leader()
	moved := w.hosts[0].peer
	moved.Addr = "elsewhere"
	l.do(func(*Output) { require.NoError(t, l.node.Change([]core.Peer{moved}, nil)) })
	w.run(w.now.After(time.Second))
	got, ok := w.hosts[1].node.members.peer(moved.ID)
	require.True(t, ok)
	require.Equal(t, moved, got)
	require.Empty(t, w.hosts[1].node.Members().Retired)
}

// Members have names once they have certificates. One is known by its name from then on, whatever
// somebody says; and another name does not take its place by itself.
func TestAMemberKeepsItsName(t *testing.T) {
	w := calm(3, 0, shortTimes)
	l := w.leader()
	var p core.Peer
	for _, h := range w.hosts {
		h.node.self.Addr = core.NamedAddr("manager/own", h.node.self.Addr) // it has a certificate
		if h != l {
			p = h.peer
		}
	}
	plain := p.Addr
	at := func(addr string) core.Peer { return core.Peer{ID: p.ID, Addr: addr} }
	known := func() core.Peer {
		now, _ := l.node.members.peer(p.ID)
		return now
	}
	l.do(func(*Output) { l.node.Found(at("manager/a@" + plain)); l.node.Relist() })
	w.run(w.now.After(time.Second))
	require.Equal(t, at("manager/a@"+plain), known(), "that it has a name is believed while it is heard")
	for _, addr := range []string{"manager/b@" + plain, plain, "manager/b@elsewhere"} {
		l.do(func(*Output) { l.node.Found(at(addr)); l.node.Relist() })
		w.run(w.now.After(time.Second))
		require.Equal(t, at("manager/a@"+plain), known(), addr)
	}
	l.do(func(*Output) { require.ErrorIs(t, l.node.Change([]core.Peer{at("manager/b@" + plain)}, nil), ErrName) })

	// Nor is one found where the address with its name is longer than any: no message could go there.
	w.now = w.now.After(time.Minute) // the leader has not heard it
	l.node.now = w.now
	l.node.Found(at(strings.Repeat("0", core.AddrBytesMax)))
	for _, now := range l.node.current() {
		require.LessOrEqual(t, len(now.Addr), core.AddrBytesMax)
	}

	for _, h := range w.hosts {
		if h.peer.ID == p.ID {
			h.crash()
		}
	}
	w.run(w.now.After(4 * time.Second))
	l = w.leader()
	l.do(func(*Output) {
		require.False(t, l.node.Replace(core.Peer{ID: 99, Addr: "manager/b@" + plain}), "an operator can do that")
		require.True(t, l.node.Replace(core.Peer{ID: 99, Addr: "manager/a@" + plain}))
	})
}

// Without a certificate nobody is expected by a name: a member that had one is listed without it.
func TestMembersWithoutCertificatesHaveNoNames(t *testing.T) {
	w := calm(3, 0, shortTimes)
	l := w.leader()
	p := w.hosts[0].peer
	l.do(func(*Output) {
		require.NoError(t, l.node.Change([]core.Peer{{ID: p.ID, Addr: "manager/a@" + p.Addr}}, nil))
	})
	w.run(w.now.After(time.Second))
	require.Contains(t, l.node.current(), p)
	l.do(func(*Output) { l.node.Relist() })
	w.run(w.now.After(time.Second))
	got, _ := l.node.members.peer(p.ID)
	require.Equal(t, p, got)
}

func TestChangesThatAreRefused(t *testing.T) {
	w := calm(4, 0, shortTimes)
	l := w.leader()
	var follower, other *host
	for _, h := range w.hosts {
		if h != l {
			follower, other = h, follower
		}
	}
	l.do(func(*Output) { require.NoError(t, l.node.Change(nil, []core.NodeID{other.peer.ID})) })
	w.run(w.now.After(time.Second))
	all := []core.NodeID{}
	for _, p := range l.node.Members().Voters {
		all = append(all, p.ID)
	}
	var many []core.Peer
	for i := range MembersMax {
		many = append(many, core.Peer{ID: core.NodeID(1000000 + i), Addr: fmt.Sprint("x", i)})
	}
	for _, c := range []struct {
		name   string
		at     *host
		add    []core.Peer
		remove []core.NodeID
		why    error
	}{
		{"not the leader", follower, nil, []core.NodeID{l.peer.ID}, ErrNotLeader},
		{"an id that was used", l, []core.Peer{other.peer}, nil, ErrRetired},
		{"nobody would be left", l, nil, all, ErrMembers},
		{"too many", l, many, nil, ErrMembers},
		{"no change", l, nil, nil, ErrMembers},
		{"added and removed", l, many[:1], []core.NodeID{many[0].ID}, ErrMembers},
		{"no id", l, []core.Peer{{Addr: "x"}}, nil, ErrMembers},
		{"an id of the library's", l, []core.Peer{{ID: ^core.NodeID(0), Addr: "x"}}, nil, ErrMembers},
		{"two at one place", l, []core.Peer{{ID: 1000001, Addr: "x"}, {ID: 1000002, Addr: "manager/a@x"}}, nil, ErrMembers},
		{"where another one is", l, []core.Peer{{ID: 1000001, Addr: follower.peer.Addr}}, nil, ErrMembers},
		{"moved to where another one is", l, []core.Peer{{ID: l.peer.ID, Addr: follower.peer.Addr}}, nil, ErrMembers},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.ErrorIs(t, c.at.node.Change(c.add, c.remove), c.why)
		})
	}
	where := []core.Peer{{ID: 1000001, Addr: follower.peer.Addr}}
	require.ErrorContains(t, l.node.Change(where, nil), fmt.Sprintf("manager %v cannot be at %s, where manager %v is", where[0].ID, where[0].Addr, follower.peer.ID))
	w.write(t, "a")
}

// A snapshot of many frames goes in parts, while the group goes on.
func TestASnapshotLargerThanAFrameGoesInParts(t *testing.T) {
	opt := shortTimes
	opt.LogBytes = 1 << 20
	w := calm(3, 1, opt)
	var want []string
	for i := range 12 {
		want = append(want, fmt.Sprint(i, strings.Repeat("x", CommandBytesMax-10)))
		w.write(t, want[i])
	}
	require.Greater(t, len(w.leader().Snapshot()), 2*core.FrameBytesMax)
	l, fresh := w.leader(), w.hosts[3]
	l.do(func(*Output) { require.NoError(t, l.node.Change([]core.Peer{fresh.peer}, nil)) })
	w.run(w.now.After(time.Second))
	w.write(t, "last")
	require.Equal(t, append(want, "last"), fresh.commands)
	require.Greater(t, w.sent[KindPart], 12*CommandBytesMax/partBytesMax-2)
	require.Less(t, w.longest, core.FrameBytesMax)
	require.Empty(t, l.node.transfers)
	w.fine(t)
}

// A member that is started again amid a snapshot asks for it from the beginning.
func TestASnapshotBeginsAnewAfterARestart(t *testing.T) {
	opt := durably(shortTimes)
	opt.LogBytes, opt.partBytes = 500, 50
	w := calm(3, 1, opt)
	for i := range 100 {
		w.write(t, fmt.Sprint("command ", i))
	}
	l, fresh := w.leader(), w.hosts[3]
	l.do(func(*Output) { require.NoError(t, l.node.Change([]core.Peer{fresh.peer}, nil)) })
	w.until(t, func() bool { return fresh.node.incoming.next >= 10 })
	fresh.crash()
	fresh.start()
	w.run(w.now.After(2 * time.Second))
	require.Equal(t, l.commands, fresh.commands)
	w.fine(t)
}

// The answer to a snapshot is lost. The member that answers its last part is enough.
func TestTheLogGoesOnAfterASnapshotWhoseAnswerIsLost(t *testing.T) {
	opt := durably(shortTimes)
	opt.LogBytes = 500
	w := calm(3, 1, opt)
	for i := range 100 {
		w.write(t, fmt.Sprint("command ", i))
	}
	l, fresh := w.leader(), w.hosts[3]
	w.drop = func(e Envelope) bool {
		return KindOf(e.Body) == KindAppended && e.From == fresh.peer && len(l.node.transfers) > 0
	}
	l.do(func(*Output) { require.NoError(t, l.node.Change([]core.Peer{fresh.peer}, nil)) })
	w.run(w.now.After(time.Second))
	w.write(t, "last")
	require.Equal(t, l.commands, fresh.commands)
}

// until runs until something holds.
func (w *world) until(t *testing.T, holds func() bool) {
	t.Helper()
	for end := w.now.After(time.Minute); !holds(); {
		require.Less(t, w.now, end)
		w.run(w.queue[0].at)
	}
}

// At the moment at which the leader says that a change is over, whoever was removed may go,
// and a minority of the others, the leader among them.
func TestWhoWasRemovedIsNotNeeded(t *testing.T) {
	for seed := range uint64(10) {
		w := calmOf(seed+1, 3, 1, durably(shortTimes))
		w.write(t, "a")
		l, fresh := w.leader(), w.hosts[3]
		var removed *host
		for _, h := range w.hosts[:3] {
			if h != l {
				removed = h
			}
		}
		l.do(func(*Output) {
			require.NoError(t, l.node.Change([]core.Peer{fresh.peer}, []core.NodeID{removed.peer.ID}))
		})
		w.until(t, l.node.Settled)
		w.drop = func(e Envelope) bool { return e.From == l.peer || e.From == removed.peer }
		l.crash()
		removed.crash()
		w.run(w.now.After(3 * time.Second))
		require.NotNil(t, w.leader(), "seed %d", seed+1)
		w.write(t, "b")
		require.True(t, w.leader().node.Settled())
	}
}

func TestTheLogAndTheDiskAreBounded(t *testing.T) {
	for _, durable := range []bool{true, false} {
		opt := shortTimes
		opt.Durable, opt.LogBytes = durable, 2000
		w := calm(3, 0, opt)
		for i := range 50 {
			var batch []string
			for j := range 20 {
				batch = append(batch, fmt.Sprintf("%d.%d %s", i, j, strings.Repeat("x", 50)))
			}
			w.write(t, batch...)
			for _, h := range w.hosts { // what follows is small beside it
				h.commands = h.commands[max(0, len(h.commands)-20):]
			}
			clear(w.agreed)
		}
		for _, h := range w.hosts {
			require.Less(t, h.node.log.bytes, 3*2000+20*60, "durable %v", durable)
			bytes := 0
			for k, v := range h.records {
				bytes += len(k) + len(v)
			}
			require.Equal(t, durable, bytes > 0)
			require.Less(t, bytes, 20000)
		}
		w.fine(t)
	}
}

// A member offers to lead, and the leader lets it. What is proposed meanwhile is agreed on, too: by
// the leader, if it leads on, since the word was lost.
func TestALeaderLetsAnotherOneLead(t *testing.T) {
	for _, size := range []int{2, 3, 5} {
		for _, lost := range []bool{false, true} {
			w := calm(size, 0, durably(shortTimes))
			w.write(t, "a")
			old := w.leader()
			next := w.hosts[slices.IndexFunc(w.hosts, func(h *host) bool { return h != old })]
			w.drop = func(e Envelope) bool { return lost && KindOf(e.Body) == KindLead }
			old.do(func(*Output) { old.node.Offer() })
			w.run(w.now.After(20 * time.Millisecond))
			require.Zero(t, w.counts["offer"], "it leads")

			next.do(func(*Output) { next.node.Offer() })
			w.until(t, func() bool { return w.counts["offer"] == 1 })
			require.Equal(t, old, w.leader())
			if lost {
				require.True(t, old.node.isYielding())
				require.ErrorIs(t, old.node.Change([]core.Peer{{ID: 99, Addr: "n99"}}, nil), ErrChanging)
				require.True(t, old.node.Propose("meanwhile"))
				old.mine["meanwhile"] = true
				w.run(w.now.After(2 * shortTimes.ElectionTimeout))
				require.Equal(t, old, w.leader())
				require.Equal(t, []string{"a", "meanwhile"}, next.commands)
			} else {
				w.run(w.now.After(30 * time.Millisecond))
				require.Equal(t, next, w.leader(), "%d members: before any time-out", size)
				w.run(w.now.After(time.Second))
				require.Equal(t, next, w.leader(), "who led before disturbs nobody")
				w.write(t, "b")
				require.Equal(t, []string{"a", "b"}, old.commands)
			}
			w.fine(t)
		}
	}
}

// A leader is left to nobody who is no member, nor amid a change of the members.
func TestALeaderStaysWhereNobodyCanFollow(t *testing.T) {
	w := calm(3, 1, shortTimes)
	l, fresh := w.leader(), w.hosts[3]
	stays := func(id core.NodeID) {
		l.do(func(*Output) { l.node.Yield(id) })
		require.False(t, l.node.isYielding())
	}
	stays(l.peer.ID)
	stays(fresh.peer.ID)
	l.do(func(*Output) {
		require.NoError(t, l.node.Change([]core.Peer{fresh.peer}, nil))
	})
	stays(w.hosts[slices.IndexFunc(w.hosts, func(h *host) bool { return h != l })].peer.ID)
	w.run(w.now.After(time.Second))
	require.Equal(t, l, w.leader())
	w.fine(t)
}

// A term is durable, and every leader's is higher. So one word of somebody who lies, or of a
// stranger where nobody shows who it is, must not bring the managers to the last one.
func TestALieAboutTheTermDoesNotEndTheElections(t *testing.T) {
	w := calm(3, 0, durably(shortTimes))
	w.write(t, "a")
	for _, term := range []Term{termMax - 1, termMax / 2, 1 << 40} {
		for _, h := range w.hosts {
			for _, m := range []Message{&Append{Term: term, Prev: Position{1, 1}}, &Beat{Term: term}, &Vote{Term: term, Yielded: true, Last: Position{term, countMax - 1}}, &Voted{Term: term, Refused: true}} {
				h.do(func(out *Output) {
					h.node.Step(w.now, Envelope{core.Peer{ID: 0x999, Addr: "stranger"}, h.peer, m}, out)
				})
			}
		}
		w.run(w.now.After(2 * time.Second))
		require.NotNil(t, w.leader())
		w.write(t, fmt.Sprint("after ", term))
	}
	for _, h := range w.hosts {
		require.Less(t, h.node.log.hard.term, Term(termsAhead))
	}
	// Where the last one has come all the same, nobody panics.
	for _, h := range w.hosts {
		last := hardState{term: termMax - 1, commit: h.node.log.hard.commit}
		h.crash()
		h.set(keyState, tagState, &stateRecord{id: h.peer.ID, hardState: last})
		h.start()
	}
	require.NotPanics(t, func() { w.run(w.now.After(2 * time.Second)) })
	require.Nil(t, w.leader())
}

// Many lies in the name of a manager bring the others to terms that are far from each other, each by
// one step. They find a leader all the same.
func TestManagersAtTermsFarFromEachOtherElectOne(t *testing.T) {
	for _, opt := range []Options{shortTimes, durably(shortTimes)} {
		w := calm(3, 0, opt)
		w.write(t, "a")
		for i, h := range w.hosts {
			liar := core.Peer{ID: w.hosts[(i+1)%3].peer.ID, Addr: "stranger"}
			for k := range 5 * (i + 1) {
				lie := []Message{&Beat{Term: termMax - 1}, &Voted{Term: termMax / 2, Pre: true, Refused: true}, &Vote{Term: 1 << 40}}[k%3]
				h.do(func(out *Output) { h.node.Step(w.now, Envelope{liar, h.peer, lie}, out) })
				for _, asks := range []Message{&Vote{Term: 1 << 40, Pre: true}, &Voted{Term: 1 << 40, Pre: true}} { // tells nothing of terms
					h.do(func(out *Output) { h.node.Step(w.now, Envelope{liar, h.peer, asks}, out) })
				}
			}
			w.run(w.now.After(time.Millisecond))
			require.Equal(t, Term(5*(i+1)), h.node.log.hard.term/termsAhead)
		}
		w.run(w.now.After(20 * time.Second))
		w.write(t, "b")
		w.fine(t)
	}
}

// Who says that he leads, and is believed as nobody shows who he is, does not have the managers agree on
// what none of them can read, nor restore it: that would end them all, for good where it is durable.
func TestWhatDoesNotReadIsNotAgreedOn(t *testing.T) {
	w := calm(3, 0, durably(shortTimes))
	w.write(t, "a")
	w.run(w.now.After(time.Second))
	at := w.leader().node.log
	prev := Position{at.hard.term, at.last()}
	members := Members{Voters: w.leader().node.members.Voters}
	for _, h := range w.hosts {
		for _, m := range []Message{
			&Append{Term: prev.Term + 9, Prev: prev, Entries: []Entry{{prev.Term, EntryCommand, nonsense}}, Commit: prev.Index + 1},
			&Part{Term: prev.Term + 9, At: Position{prev.Term, prev.Index + 100}, Members: members, Last: true, Data: nonsense},
		} {
			h.do(func(out *Output) {
				h.node.Step(w.now, Envelope{core.Peer{ID: 0x999, Addr: "stranger"}, h.peer, m}, out)
			})
		}
	}
	w.run(w.now.After(2 * time.Second))
	w.write(t, "b")
	w.run(w.now.After(time.Second))
	for _, h := range w.hosts {
		require.Equal(t, []string{"a", "b"}, h.commands)
	}
	w.fine(t)
}

// An operator's message may name one manager many times. The members that there would be are few
// then, but not what would have to be written of the change.
func TestAManagerThatIsNamedAgainAndAgainIsRefused(t *testing.T) {
	w := calm(3, 1, durably(shortTimes))
	l, fourth := w.leader(), w.hosts[3].peer
	for _, times := range []int{2, MembersMax, MembersMax + 1, core.ManagersMax} {
		var add []core.Peer
		for range times {
			add = append(add, fourth)
		}
		l.do(func(*Output) {
			err := l.node.Change(add, nil)
			require.ErrorIs(t, err, ErrMembers)
			require.ErrorContains(t, err, "twice")
		})
		w.run(w.now.After(200 * time.Millisecond))
		w.write(t, fmt.Sprint(times))
	}
	w.fine(t)
}

// still is a Machine without a state.
type still struct{ led int }

func (*still) Apply(string)               {}
func (m *still) Lead(Term, time.Duration) { m.led++ }
func (*still) Follow()                    {}
func (*still) Confirmed(uint64)           {}
func (*still) Offered(core.NodeID)        {}
func (*still) Reads(string) bool          { return true }
func (*still) ReadsSnapshot(string) bool  { return true }
func (*still) Snapshot() string           { return "" }
func (*still) Restore(string) error       { return nil }

// byHand is a node that a test answers as the others.
type byHand struct {
	*still
	node *Node
	now  core.Time
	held []Envelope // what waits for the disk
}

// hears steps a message in, or none, and ticks the node. What it makes durable is, at once, unless
// the disk is slow.
func (h *byHand) hears(slow bool, from core.Peer, list ...Message) {
	var out Output
	for _, m := range list {
		h.node.Step(h.now, Envelope{from, h.node.self, m}, &out)
	}
	for {
		for h.node.Deadline() <= h.now {
			h.node.Tick(h.now, &out)
		}
		h.held = append(h.held, out.After...)
		if out = (Output{}); slow || len(h.held) == 0 {
			return
		}
		if e := h.held[0]; e.To.ID == h.node.self.ID {
			h.node.Step(h.now, e, &out)
		}
		h.held = h.held[1:]
	}
}

// elected has the node elected, by the votes of others.
func (h *byHand) elected(t *testing.T, slow bool, term Term, by ...core.Peer) {
	t.Helper()
	h.now = h.now.After(time.Second)
	h.hears(false, core.Peer{})
	for _, p := range by {
		h.hears(false, p, &Voted{Term: term, Pre: true})
	}
	for _, p := range by {
		h.hears(slow, p, &Voted{Term: term})
	}
	require.Equal(t, uint64(h.node.self.ID), h.node.raft.BasicStatus().Lead)
	require.EqualValues(t, term, h.node.log.hard.term)
}

// A leader that applies a change of the members, and is deposed before it has applied the entry with
// which its term began, has left nothing of that when it leads again: the members can be changed.
func TestAChangeThatAFormerLeaderHasEndedIsOver(t *testing.T) {
	a, b, c, d := core.Peer{ID: 1, Addr: "a"}, core.Peer{ID: 2, Addr: "b"}, core.Peer{ID: 3, Addr: "c"}, core.Peer{ID: 4, Addr: "d"}
	opt := durably(shortTimes)
	opt.Self, opt.Found = a, []core.Peer{a, b, c}
	h := &byHand{still: &still{}}
	var err error
	h.node, err = New(opt, core.Empty{}, h.still)
	require.NoError(t, err)

	text, err := proto.Marshal(change([]core.Peer{d}, nil))
	require.NoError(t, err)
	h.hears(false, b, &Append{Term: 2, Prev: founded, Entries: []Entry{{2, EntryCommand, ""}, {2, EntryMembers, string(text)}}, Commit: 2})
	h.elected(t, true, 3, b, c) // its disk takes time
	h.hears(true, b, &Appended{Term: 3, Index: 4})
	h.hears(true, c, &Appended{Term: 3, Index: 4})
	require.Len(t, h.node.members.Outgoing, 3)
	require.Zero(t, h.led)

	h.hears(false, b, &Append{Term: 4, Prev: Position{3, 4}, Entries: []Entry{{4, EntryCommand, ""}, {4, EntryMembers, ""}, {4, EntryCommand, ""}}, Commit: 7})
	require.Equal(t, Position{4, 7}, h.node.Applied())
	require.Empty(t, h.node.members.Outgoing)
	h.elected(t, false, 5, b, c)
	h.hears(false, b, &Appended{Term: 5, Index: 8})
	h.hears(false, c, &Appended{Term: 5, Index: 8})
	require.Equal(t, 1, h.led)
	require.True(t, h.node.Settled())
	require.NoError(t, h.node.Change(nil, []core.NodeID{d.ID}))
}

// Each leader begins its term with an entry that holds no command. Where leaders follow each other
// again and again, those are trimmed, too.
func TestTermsWithoutCommandsDoNotFillTheLog(t *testing.T) {
	a, b, c := core.Peer{ID: 1, Addr: "a"}, core.Peer{ID: 2, Addr: "b"}, core.Peer{ID: 3, Addr: "c"}
	for _, durable := range []bool{true, false} {
		opt := shortTimes
		opt.Self, opt.Found, opt.Durable, opt.LogBytes = a, []core.Peer{a, b, c}, durable, 2000
		h := &byHand{still: &still{}}
		var err error
		h.node, err = New(opt, core.Empty{}, h.still)
		require.NoError(t, err)
		for term := Term(2); term < 2000; term++ {
			at := Position{term - 1, Index(term - 1)}
			h.hears(false, b, &Append{Term: term, Prev: at, Entries: []Entry{{term, EntryCommand, ""}}, Commit: at.Index + 1})
		}
		require.EqualValues(t, 1999, h.node.Applied().Index)
		require.Less(t, len(h.node.log.entries), 200, "durable %v", durable)
		require.NotEmpty(t, h.node.log.entries)
	}
}

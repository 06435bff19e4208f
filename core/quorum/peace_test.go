package quorum

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
)

// inPeace is a group of any size and with any times, on a network and disks of a few milliseconds, of
// which one member leads.
func inPeace(t *testing.T, seed uint64) *world {
	w := emptyWorld(seed, Options{})
	beats := 6 + w.rng.IntN(5)
	w.options.ElectionTimeout = time.Duration(150+w.rng.IntN(250)) * time.Millisecond
	w.options.HeartbeatInterval = w.options.ElectionTimeout / time.Duration(beats)
	w.options.Durable = w.chance(30)
	w.found(3+w.rng.IntN(5), 0)
	w.run(core.Time(3 * w.options.ElectionTimeout).After(time.Duration(w.rng.Int64N(int64(w.options.ElectionTimeout)))))
	require.NotNil(t, w.leader())
	return w
}

func (w *world) others(h *host) []*host {
	list := slices.DeleteFunc(slices.Clone(w.hosts), func(o *host) bool { return o == h })
	w.rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// apart has some not hear others, or each other.
func (w *world) apart(some []*host, deaf, mute bool) {
	for _, a := range some {
		for _, b := range w.others(a) {
			if slices.Contains(some, b) {
				continue
			}
			if deaf {
				w.cut[[2]core.NodeID{b.peer.ID, a.peer.ID}] = true
			}
			if mute {
				w.cut[[2]core.NodeID{a.peer.ID, b.peer.ID}] = true
			}
		}
	}
}

// always repeats something to the end.
func (w *world) always(d time.Duration, do func()) {
	w.after(d, func() {
		do()
		w.always(d, do)
	})
}

// stays tells whether the leader is who it was, in the same term.
func (w *world) stays(t *testing.T, l *host, term Term, what string) {
	t.Helper()
	w.fine(t)
	require.True(t, w.leader() == l && l.leads == term, "%s: %s does not lead term %d any more", what, l.peer.Addr, term)
}

// A group in peace, to which one thing happens: the leader goes, and is followed as soon as is promised;
// or somebody else does, is cut off, or hears wrong hints, and disturbs nobody.
func TestALeaderIsFollowedSoonAndDeposedByNobody(t *testing.T) {
	first, count := draws(t, "GTSTORE_PEACE")
	for seed := first + 1; seed <= first+max(count, 500); seed++ {
		w := inPeace(t, seed)
		l := w.leader()
		term, timeout := l.leads, w.options.ElectionTimeout
		what := fmt.Sprintf("seed %d, %d members, time-out %v", seed, len(w.hosts), timeout)
		for _, h := range w.hosts { // all the while
			w.always(time.Duration(20+w.rng.IntN(200))*time.Millisecond, func() {
				if h.node != nil && h.leads != 0 {
					h.propose()
					h.read()
				}
			})
		}
		switch minority := w.others(l)[:1+w.rng.IntN((len(w.hosts)-1)/2)]; w.rng.IntN(6) {
		case 0, 1:
			what += ": the leader's process ends"
			if w.chance(50) {
				w.run(l.wakeAt) // and its beats are under way
			}
			w.hints = 100
			l.crash()
			w.run(w.now.After(timeout * 3 / 4))
			require.NotNil(t, w.leader(), what)
			l.start()
		case 2:
			what += ": the leader falls silent"
			l.crash()
			w.run(w.now.After(2*timeout + 40*time.Millisecond))
			require.NotNil(t, w.leader(), what)
			l.start()
		case 3:
			what += ": some are cut off"
			deaf := w.chance(70)
			w.apart(minority, deaf, !deaf || w.chance(60))
			w.run(w.now.After(time.Duration(w.rng.Int64N(int64(8 * timeout)))))
			w.stays(t, l, term, what)
			clear(w.cut)
			w.run(w.now.After(4 * timeout))
			w.stays(t, l, term, what)
		case 4:
			what += ": the leader is cut off"
			deaf := w.chance(70)
			w.apart([]*host{l}, deaf, !deaf || w.chance(60))
			w.run(w.now.After(4*timeout + 100*time.Millisecond))
			require.True(t, w.leader() != nil && w.leader() != l, what)
			clear(w.cut)
		case 5:
			what += ": wrong hints"
			for range 10 {
				w.hosts[w.rng.IntN(len(w.hosts))].down(l.peer.ID)
				w.run(w.now.After(3*w.options.HeartbeatInterval + time.Duration(w.rng.Int64N(int64(timeout)))))
			}
			w.stays(t, l, term, what)
		}
		w.run(w.now.After(4 * timeout))
		acked, l := len(w.acked), w.leader()
		require.NotNil(t, l, what)
		l.propose()
		w.run(w.now.After(100 * time.Millisecond))
		require.Empty(t, w.wrong, what)
		require.Greater(t, len(w.acked), acked, what)
	}
}

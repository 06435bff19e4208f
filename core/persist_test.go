package core

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// persisted counts the bytes of keys and values in what a node wants to be durable, by the
// kind of record; deletions apart.
type persisted map[string]int

func (p persisted) count(writes []Write) (bytes int) {
	for _, w := range writes {
		kind, _, _ := strings.Cut(w.Key, "/")
		if w.Delete {
			kind = "delete"
		}
		size := len(w.Key) + len(w.Value) + len(w.End)
		p[kind] += size
		bytes += size
	}
	return bytes
}

// putsOf has so many clients write keys of 16 bytes and values of 100, in turn, at a primary
// that is alone in its group. It returns what is written to the disk, and the most that one
// Output wants to be.
func putsOf(tb testing.TB, clients, puts int) (p persisted, largest int) {
	s, err := NewStorage(StorageOptions{Self: peerOf("n1"), Manager: peerOf("m"), Durable: true}, Empty{})
	require.NoError(tb, err)
	var out Output
	now, ids := Time(0), []Seq(nil)
	p = persisted{}
	step := func(from string, body Message) {
		inbox := []Envelope{{rigCluster, peerOf(from), s.self, body}}
		for ; len(inbox) > 0; inbox = inbox[1:] {
			carry(s, now, &out, inbox[0])
			largest = max(largest, p.count(out.Persist))
			for _, e := range slices.Concat(out.Send, out.After) {
				if r, ok := e.Body.(*Reply); ok && len(ids) < clients {
					ids = append(ids, r.Version)
				} else if e.To.ID == s.self.ID {
					inbox = append(inbox, e)
				}
			}
			out.Reset()
		}
	}
	step("m", &Registered{Boot: 1})
	step("m", config(1, "n1"))
	for c := range clients {
		step(fmt.Sprint("c", c+1), open(1))
	}
	clear(p)
	for i := range puts {
		k, v := fresh(i)
		c := i % clients
		step(fmt.Sprint("c", c+1), put(uint64(i+2), ids[c], uint64(i/clients+1), k, v))
	}
	return p, largest
}

// What reaches the disk for a put of 116 bytes: its entry of the log, once more as a value,
// and little else. No batch is large, also when the log is trimmed.
func TestWhatAPutWritesToTheDisk(t *testing.T) {
	const puts = 80_000 // the log is trimmed on the way
	p, largest := putsOf(t, 16, puts)
	for kind, most := range map[string]float64{"log": 141, "value": 134, "session": 2.5, "progress": 0.2, "delete": 0.1} {
		require.NotZero(t, p[kind], kind)
		require.LessOrEqual(t, float64(p[kind])/puts, most, kind)
	}
	require.Less(t, largest, 64<<10)
}

// BenchmarkPutsToTheDisk counts the same by the number of clients, and so of sessions.
func BenchmarkPutsToTheDisk(b *testing.B) {
	for _, clients := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			const puts = 20_000
			var p persisted
			for b.Loop() {
				p, _ = putsOf(b, clients, puts)
			}
			total := 0
			for kind, bytes := range p {
				b.ReportMetric(float64(bytes)/puts, kind+"-B/put")
				total += bytes
			}
			b.ReportMetric(float64(total)/puts, "B/put")
			b.ReportMetric(b.Elapsed().Seconds()*1e9/puts/float64(b.N), "ns/put")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// randomLog is a log of all kinds of entries, such as primaries make.
func randomLog(rng *rand.Rand, entries int) (log []Entry) {
	st := newState()
	opened, numbers := []Seq(nil), map[Seq]uint64{}
	for seq := Seq(1); int(seq) <= entries; seq++ {
		e := Entry{Epoch: 1, Kind: OpOpen, Owner: NodeID(1 + rng.IntN(5))}
		if len(opened) > 0 && rng.IntN(6) > 0 {
			id := opened[rng.IntN(len(opened))]
			switch n := rng.IntN(40); n {
			case 0:
				e = Entry{Epoch: 1, Kind: OpClose, Owner: e.Owner}
			case 1, 2:
				e = Entry{Epoch: 1, Kind: OpExpire, Session: id}
			default:
				numbers[id] += uint64(rng.IntN(3)) // retries too
				e = Entry{Epoch: 1, Kind: OpPut, Session: id, OpSeq: numbers[id], Key: fmt.Sprint("k", rng.IntN(4)), Value: fmt.Sprint("v", seq)}
				if n < 10 {
					e.Kind, e.Value = OpDelete, ""
				} else if n < 25 {
					v, _ := st.values.get(e.Key)
					e.Kind, e.Version = OpCAS, v.version*Seq(rng.IntN(2))
				}
			}
		} else {
			opened = append(opened, seq)
		}
		st.apply(seq, &e)
		log = append(log, e)
	}
	return log
}

// Whenever the process ends, the durable values and sessions are the state at their position,
// and no other: what comes after is applied again, and must be judged as before.
func TestDurableValuesAreTheStateAtTheirPosition(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 1))
		log := randomLog(rng, 200)
		n := following(t, "n2", config(1, "n1", "n2"), durable, keep(1+rng.IntN(8)))
		at, round, moved := Seq(0), uint64(0), 0
		for commit := Seq(0); commit < 200; {
			round++
			to := min(200, at+Seq(rng.IntN(30)))
			commit = min(to, commit+Seq(rng.IntN(40)))
			m := replicate(1, round, EntryID{min(1, Epoch(at)), at}, commit, log[at:to]...)
			m.Trim = commit
			n.step("n1", m)
			at = to

			node, err := n.boot(n.space)
			require.NoError(t, err, "seed %d", seed)
			g := node.(*Storage).groups[0]
			want := newState()
			for seq := Seq(1); seq <= g.applied; seq++ {
				want.apply(seq, &log[seq-1])
			}
			require.Equal(t, want.sessions.records(), g.state.sessions.records(), "seed %d, at seq %d", seed, g.applied)
			require.Equal(t, len(want.values.slots), len(g.state.values.slots), "seed %d, at seq %d", seed, g.applied)
			for key := range want.values.slots {
				is, _ := g.state.values.get(key)
				was, _ := want.values.get(key)
				require.Equal(t, was, is, "seed %d, at seq %d: %s", seed, g.applied, key)
			}
			if g.applied > 0 && g.applied < n.view().Commit && g.log.base.Seq > 0 {
				moved++
			}
		}
		require.NotZero(t, moved, "seed %d: it was never between two steps", seed)
	}
}

// A batch has no more for a commit point that leaps over thousands of entries than for one
// that goes up one by one, or what came in with it.
func TestALeapOfTheCommitPointIsSavedInSteps(t *testing.T) {
	n := following(t, "n2", config(1, "n1", "n2"), durable)
	n.step("n1", replicate(1, 1, EntryID{}, 1, opened(1)))
	const writes = 4000
	value := strings.Repeat("v", 1000)
	for at := Seq(1); at <= writes; at += 200 {
		m := replicate(1, uint64(at)+1, EntryID{1, at}, 1)
		for i := range uint64(200) {
			m.Entries = append(m.Entries, wrote(1, uint64(at)+i, fmt.Sprint("k", uint64(at)+i), value))
		}
		n.step("n1", m)
	}
	n.held = true
	g := n.storage().groups[0]
	for round := uint64(writes + 2); g.applied+saveEntries <= writes; round++ {
		before := g.applied
		n.step("n1", replicate(1, round, EntryID{1, writes + 1}, writes+1))
		require.Greater(t, g.applied, before)
		writes, _ := n.gate.Batch(0)
		require.Less(t, persisted{}.count(writes), saveSteps*(saveBytes+saveBytes/8))
		n.sync()
	}
	require.EqualValues(t, writes+1, n.view().Commit)
}

// The numbers in keys sort as numbers do, can be read, and are no part of one another.
func TestNumbersInKeysSort(t *testing.T) {
	list := []uint64{0, 1, 2, 255, 256, 257, 65535, 65536, 1 << 24, 1<<56 - 1, 1 << 56, 1<<64 - 1}
	for i, n := range list {
		key := ordered("p/", n)
		read, ok := number(key[2:] + "rest")
		require.True(t, ok)
		require.Equal(t, n, read)
		for j, other := range list {
			require.Equal(t, i < j, key < ordered("p/", other), "%d, %d", n, other)
			require.Equal(t, i == j, strings.HasPrefix(ordered("p/", other, 7), key), "%d, %d", n, other)
		}
	}
	for _, rest := range []string{"", "\x01", "\x09123456789"} {
		_, ok := number(rest)
		require.False(t, ok, "%q", rest)
	}
}

// A table that is full of open sessions ends the eldest for a new one, whatever its primaries
// took in. That is durable as any other end is.
func TestASessionThatAFullTableEndedOutlivesARestart(t *testing.T) {
	n := following(t, "n2", config(1, "n1", "n2"), durable, keep(64))
	const opens = openMax + 200
	for at := Seq(0); at < opens; at += 200 {
		m := replicate(1, uint64(at)+1, EntryID{min(1, Epoch(at)), at}, at)
		for range 200 {
			m.Entries = append(m.Entries, opened(1))
		}
		n.step("n1", m)
		m = replicate(1, uint64(at)+2, EntryID{1, at + 200}, at+200)
		m.Trim = at + 200
		n.step("n1", m)
	}
	require.Equal(t, openMax, n.view().Sessions)
	before := n.storage().groups[0].state.sessions.records()[0]
	require.NotZero(t, before.Ended)
	n.crash(0)
	n.restart()
	n.registered()
	n.step("n1", replicate(1, 1, EntryID{1, n.view().Last}, n.view().Last))
	require.Equal(t, before, n.storage().groups[0].state.sessions.records()[0])
}

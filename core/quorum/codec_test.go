package quorum

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"gtstore/core"
	"gtstore/core/wire"
)

func sampleMembers() Members {
	return Members{Voters: []core.Peer{{ID: 1, Addr: "a"}, {ID: 3, Addr: "c"}}, Outgoing: []core.Peer{{ID: 2, Addr: "b"}}, Retired: []core.NodeID{9, 7}}
}

func sampleChange(t *testing.T) string {
	data, err := proto.Marshal(change([]core.Peer{{ID: 5, Addr: "e"}}, []core.NodeID{2}))
	require.NoError(t, err)
	return string(data)
}

func samples(t *testing.T) []Message {
	return []Message{
		&Vote{Term: 3, Pre: true, Last: Position{2, 9}},
		&Voted{Term: 3, Refused: true},
		&Append{Term: 3, Prev: Position{2, 9}, Entries: []Entry{{2, EntryCommand, "c"}, {3, EntryCommand, ""}, {3, EntryMembers, sampleChange(t)}, {3, EntryMembers, ""}}, Commit: 8},
		&Appended{Term: 3, Index: 9, Refused: true, Hint: Position{1, 4}},
		&Beat{Term: 3, Commit: 8, Round: 5},
		&Beaten{Term: 3, Round: 5},
		&Part{Term: 3, At: Position{2, 9}, Members: sampleMembers(), Number: 4, Last: true, Data: "d"},
		&PartTaken{Term: 3, At: 9, Next: 5, Done: true},
		&Offer{},
		&Lead{Term: 3},
	}
}

func TestMessagesRoundTrip(t *testing.T) {
	kinds := map[Kind]bool{KindStored: true}
	for _, m := range samples(t) {
		kinds[KindOf(m)] = true
		b := AppendMessage([]byte("before"), m)
		got, err := DecodeMessage(b[len("before"):])
		require.NoError(t, err)
		require.Equal(t, m, got)
		for cut := range len(b) - len("before") {
			_, err := DecodeMessage(b[len("before"):][:cut])
			require.Error(t, err, "%T cut off at %d", m, cut)
		}
	}
	require.Len(t, kinds, int(kindEnd)-1, "a kind without a sample")
}

// What the library gets of a message is all that it said.
func TestMessagesGoThroughTheLibrarysForm(t *testing.T) {
	for _, m := range samples(t)[:6] {
		require.Equal(t, m, fromRaft(toRaft(1, 2, m)))
	}
	for _, m := range []Message{&Vote{Term: 1}, &Vote{Term: 1, Yielded: true}, &Lead{Term: 1}, &Voted{Term: 1, Pre: true}, &Append{Term: 1}, &Beat{Term: 1}, &Beaten{Term: 1}} {
		require.Equal(t, m, fromRaft(toRaft(1, 2, m)))
	}
}

func TestMessagesThatNobodySends(t *testing.T) {
	encode := func(kind Kind, m Message) []byte {
		c := wire.NewEncoder(nil)
		wire.Enum(&c, &kind, kindEnd)
		codeMessage(&c, m)
		return c.Seal()
	}
	peers := func(ids ...core.NodeID) (list []core.Peer) {
		for _, id := range ids {
			list = append(list, core.Peer{ID: id})
		}
		return list
	}
	for _, c := range []struct {
		name string
		m    Message
	}{
		{"no term", &Vote{Pre: true}},
		{"a vote that only asks, and counts", &Vote{Term: 1, Pre: true, Yielded: true}},
		{"a term above any", &Beat{Term: termMax}},
		{"a commit point above any", &Beat{Term: 1, Commit: countMax}},
		{"entries behind nothing", &Append{Term: 5}},
		{"terms that fall", &Append{Term: 5, Prev: Position{1, 1}, Entries: []Entry{{3, EntryCommand, ""}, {2, EntryCommand, ""}}}},
		{"an entry of a later term", &Append{Term: 5, Prev: Position{1, 1}, Entries: []Entry{{6, EntryCommand, ""}}}},
		{"an entry of no kind", &Append{Term: 5, Prev: Position{1, 1}, Entries: []Entry{{5, 0, ""}}}},
		{"a change that is none", &Append{Term: 5, Prev: Position{1, 1}, Entries: []Entry{{5, EntryMembers, "?"}}}},
		{"too many bytes", &Append{Term: 5, Prev: Position{1, 1}, Entries: []Entry{{5, EntryCommand, "c"}, {5, EntryCommand, strings.Repeat("c", appendBytesMax)}}}},
		{"a command too large", &Append{Term: 5, Prev: Position{1, 1}, Entries: []Entry{{5, EntryCommand, strings.Repeat("c", CommandBytesMax+1)}}}},
		{"a snapshot at the end of all logs", &Part{Term: 1, At: Position{1, countMax / 2}, Members: Members{Voters: peers(1)}}},
		{"no members", &Part{Term: 1}},
		{"a member twice", &Part{Term: 1, Members: Members{Voters: peers(1, 1)}}},
		{"members out of order", &Part{Term: 1, Members: Members{Voters: peers(2, 1)}}},
		{"a member without an id", &Part{Term: 1, Members: Members{Voters: peers(0)}}},
		{"a member with an id of the library's", &Part{Term: 1, Members: Members{Voters: peers(^core.NodeID(0))}}},
		{"a part too large", &Part{Term: 1, Members: Members{Voters: peers(1)}, Data: strings.Repeat("c", partBytesMax+1)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := DecodeMessage(encode(KindOf(c.m), c.m))
			require.Error(t, err)
			require.Panics(t, func() { AppendMessage(nil, c.m) })
		})
	}
	_, err := DecodeMessage(encode(KindStored, &Beat{}))
	require.ErrorIs(t, err, wire.ErrMalformed)
	require.Panics(t, func() { AppendMessage(nil, &Stored{}) })
}

// TestHostileMessagesEndNobody: whoever speaks, and whatever it says that can be decoded, no
// node panics. What a liar under a member's name says is believed all the same.
func TestHostileMessagesEndNobody(t *testing.T) {
	for seed := uint64(1); seed <= 60; seed++ {
		rng := rand.New(rand.NewPCG(seed, 7))
		opt := durably(shortTimes)
		opt.LogBytes, opt.partBytes = 300, 100
		w := calm(3, 1, opt)
		for range 3 {
			w.leader().propose()
			w.run(w.now.After(20 * time.Millisecond))
		}
		number := func(near uint64) uint64 {
			return []uint64{0, 1, near - min(near, rng.Uint64N(4)), near + rng.Uint64N(4), countMax - 1, rng.Uint64N(countMax)}[rng.IntN(6)]
		}
		l := w.leader().node
		term := func() Term { return min(Term(number(uint64(l.leads))), termMax-1) }
		index := func() Index { return Index(number(uint64(l.log.last()))) }
		position := func() Position { return Position{term(), index()} }
		peers := func() (list []core.Peer) {
			for i := range w.hosts {
				if rng.IntN(2) == 0 {
					list = append(list, w.hosts[i].peer)
				}
			}
			return list
		}
		entries := func(most Term) (list []Entry) {
			for range rng.IntN(4) {
				list = append(list, Entry{min(most, l.leads), EntryKind(1 + rng.IntN(2)), []string{"", "c", sampleChange(t)}[rng.IntN(3)]})
			}
			return list
		}
		for range 400 {
			var m Message
			switch Kind(1 + rng.IntN(10)) {
			case KindVote:
				m = &Vote{term(), rng.IntN(2) == 0, rng.IntN(2) == 0, position()}
			case KindVoted:
				m = &Voted{term(), rng.IntN(2) == 0, rng.IntN(2) == 0}
			case KindAppend:
				a := &Append{Term: term(), Prev: Position{0, index()}, Commit: index()}
				a.Prev.Term = min(a.Term, l.leads)
				a.Entries = entries(a.Term)
				m = a
			case KindAppended:
				m = &Appended{term(), index(), rng.IntN(2) == 0, position()}
			case KindBeat:
				m = &Beat{term(), index(), number(3)}
			case KindBeaten:
				m = &Beaten{term(), number(3)}
			case KindPart:
				m = &Part{Term: term(), At: position(), Members: Members{Voters: peers(), Outgoing: peers()}, Number: number(2) % 4, Last: rng.IntN(2) == 0, Data: "d"}
			case KindPartTaken:
				m = &PartTaken{term(), index(), number(2), rng.IntN(2) == 0}
			case KindOffer:
				m = &Offer{}
			case KindLead:
				m = &Lead{term()}
			}
			c := wire.NewEncoder(nil)
			codeMessage(&c, m)
			if c.Err() != nil {
				continue
			}
			h := w.hosts[rng.IntN(len(w.hosts))]
			from := w.hosts[rng.IntN(len(w.hosts))].peer
			if rng.IntN(5) == 0 {
				from.ID = core.NodeID(rng.Uint64())
			}
			if rng.IntN(20) == 0 { // long enough for elections
				w.now = w.now.After(time.Duration(rng.Int64N(int64(time.Second))))
			}
			var out Output
			require.NotPanics(t, func() {
				h.node.Step(w.now, Envelope{from, h.peer, m}, &out)
				for h.node.Deadline() <= w.now {
					h.node.Tick(w.now, &out)
				}
				for _, e := range slices.Concat(out.Send, out.After) {
					if KindOf(e.Body) != KindStored {
						AppendMessage(nil, e.Body) // what it says others can read
					}
				}
				for i := 0; i < len(out.After); i++ {
					if e := out.After[i]; e.To.ID == h.peer.ID {
						h.node.Step(w.now, e, &out)
						for h.node.Deadline() <= w.now {
							h.node.Tick(w.now, &out)
						}
					}
				}
			}, "seed %d: %T %+v from %v", seed, m, m, from)
		}
	}
}

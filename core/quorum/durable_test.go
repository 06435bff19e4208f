package quorum

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
)

// stopped is the disk of a member that has a snapshot of several parts and a log behind it.
func stopped(t *testing.T) *host {
	opt := durably(shortTimes)
	opt.LogBytes, opt.partBytes = 300, 100
	w := calm(3, 0, opt)
	for i := range 40 {
		w.write(t, fmt.Sprint("command ", i, " ", strings.Repeat("x", 20)))
	}
	h := w.hosts[0]
	require.Greater(t, h.node.folded.Index, h.node.log.base.Index+2)
	require.Greater(t, h.node.log.last(), h.node.folded.Index)
	h.crash()
	return h
}

func restarted(h *host) (*Node, error) {
	opt := h.w.options
	opt.Self = h.peer
	h.commands, h.leads, h.mine = nil, 0, map[string]bool{}
	n, err := New(opt, h, h)
	h.node = n
	return n, err
}

func TestAStartTakesUpWhatIsDurable(t *testing.T) {
	h := stopped(t)
	before := maps.Clone(h.records)
	n, err := restarted(h)
	require.NoError(t, err)
	require.Equal(t, n.folded, n.Applied())
	require.Equal(t, n.log.hard.commit, n.log.last()-1, "of the last one it is not known")
	require.NotEmpty(t, h.commands)
	have := len(h.commands)
	h.do(func(*Output) {})
	require.Greater(t, len(h.commands), have, "what is known to be committed is applied again")
	require.Equal(t, before, h.records, "and written once")
	h.w.fine(t)
}

// A member gives one vote in a term, also over a restart between two that ask for it.
func TestAVoteIsDurableBeforeItIsGiven(t *testing.T) {
	h := stopped(t)
	n, err := restarted(h)
	require.NoError(t, err)
	first, second := h.w.hosts[1].peer, h.w.hosts[2].peer
	ask := func(from core.Peer, last Position) (vote *Voted) {
		var out Output
		n.Step(h.w.now, Envelope{from, h.peer, &Vote{Term: 50, Last: last}}, &out)
		n.Tick(h.w.now, &out)
		for _, e := range out.Send {
			require.NotEqual(t, KindVoted, KindOf(e.Body), "a vote leaves before it is durable")
		}
		h.write(out.Persist)
		for _, e := range out.After {
			if v, ok := e.Body.(*Voted); ok {
				vote = v
			}
		}
		return vote
	}
	require.True(t, ask(first, Position{1, 1}).Refused, "its log is too short; but the term is known now")
	require.False(t, ask(second, Position{40, 99}).Refused)
	n, err = restarted(h)
	require.NoError(t, err)
	require.True(t, ask(first, Position{40, 99}).Refused, "the vote was given")
	require.False(t, ask(second, Position{40, 99}).Refused, "to this one")
}

// What a deposed leader had added, and nobody committed, is gone from the disk too.
func TestEntriesThatWereReplacedAreGone(t *testing.T) {
	h := stopped(t)
	n, err := restarted(h)
	require.NoError(t, err)
	end := n.log.last()
	last, _ := n.log.term(end)
	for i, entries := range [][]Entry{{{50, EntryCommand, "a"}, {50, EntryCommand, "b"}, {50, EntryCommand, "c"}}, {{51, EntryCommand, "d"}}} {
		var out Output
		m := &Append{Term: Term(50 + i), Prev: Position{last, end}, Entries: entries, Commit: end}
		n.Step(h.w.now, Envelope{h.w.hosts[1+i].peer, h.peer, m}, &out)
		n.Tick(h.w.now, &out)
		h.write(out.Persist)
		require.Contains(t, h.records, logKey(end+Index(len(entries))))
		require.NotContains(t, h.records, logKey(end+Index(len(entries))+1))
	}
	n, err = restarted(h)
	require.NoError(t, err)
	require.Equal(t, end+1, n.log.last())
}

// A commit point is not written by itself. Where a snapshot is newer, the library would
// refuse to start.
func TestTheCommitPointMayBeOlderThanTheSnapshot(t *testing.T) {
	h := stopped(t)
	s := stateRecord{id: h.peer.ID, hardState: hardState{term: 2, commit: 1}}
	h.set(keyState, tagState, &s)
	n, err := restarted(h)
	require.NoError(t, err)
	require.Equal(t, n.folded.Index, n.log.hard.commit)
}

func TestDamageEndsAStart(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(h *host, n *Node)
		said   string
	}{
		{"a changed byte", func(h *host, n *Node) {
			k := logKey(n.log.last())
			h.records[k] = h.records[k][:5] + "!" + h.records[k][6:]
		}, "checksum"},
		{"a hole in the log", func(h *host, n *Node) { delete(h.records, logKey(n.log.last()-1)) }, "no entry at"},
		{"no first entry", func(h *host, n *Node) { delete(h.records, logKey(n.log.base.Index+1)) }, "no entry at"},
		{"the log ends too early", func(h *host, n *Node) {
			delete(h.records, logKey(n.log.last()))
			delete(h.records, logKey(n.log.last()-1))
		}, "is committed"},
		{"no log", func(h *host, n *Node) {
			h.write([]core.Write{{Key: prefixLog, Delete: true, End: prefixLog + "\xff"}})
		}, "the log ends at"},
		{"a part is missing", func(h *host, n *Node) {
			delete(h.records, ordered(prefixPart, uint64(n.folded.Index), 1))
		}, "has no part 1"},
		{"the last part is missing", func(h *host, n *Node) {
			delete(h.records, ordered(prefixPart, uint64(n.folded.Index), n.parts-1))
		}, "parts of the snapshot"},
		{"an entry in another's place", func(h *host, n *Node) {
			h.records[logKey(n.log.last())] = h.records[logKey(n.log.last()-1)]
		}, "checksum"},
		{"an entry of an earlier term", func(h *host, n *Node) {
			h.set(logKey(n.log.last()), tagLogEntry, &Entry{Term: 1, Kind: EntryCommand, Data: "old"})
		}, "is of term 1"},
		{"an entry of a later term", func(h *host, n *Node) {
			h.set(logKey(n.log.last()), tagLogEntry, &Entry{Term: 99, Kind: EntryCommand, Data: "new"})
		}, "is of term 99"},
		{"another manager's data", func(h *host, n *Node) { h.peer.ID++ }, "start it under its own id"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := stopped(t)
			n, err := restarted(h)
			require.NoError(t, err)
			c.damage(h, n)
			_, err = restarted(h)
			require.ErrorContains(t, err, c.said)
			if c.said != "start it under its own id" {
				require.ErrorIs(t, err, core.ErrDamaged)
			}
		})
	}
}

func TestASnapshotThatDoesNotReadHaltsTheNode(t *testing.T) {
	opt := durably(shortTimes)
	w := calm(3, 1, opt)
	fresh := w.hosts[3]
	m := &deaf{fresh}
	opt.Self = fresh.peer
	n, err := New(opt, core.Empty{}, m)
	require.NoError(t, err)
	var out Output
	l := w.leader()
	part := &Part{Term: 2, At: Position{1, 1}, Members: Members{Voters: []core.Peer{l.peer, fresh.peer}}, Last: true}
	n.Step(0, Envelope{l.peer, fresh.peer, part}, &out)
	require.ErrorContains(t, out.Halt, "does not read")
	require.Empty(t, out.Persist)
	for _, e := range append(out.Send, out.After...) {
		require.NotContains(t, []Kind{KindAppended, KindPartTaken}, KindOf(e.Body))
	}
}

// deaf restores nothing.
type deaf struct{ *host }

func (deaf) Restore(string) error { return fmt.Errorf("of another release") }

func TestOptionsThatAreRefused(t *testing.T) {
	self := core.Peer{ID: 1, Addr: "a"}
	for _, c := range []struct {
		name string
		opt  Options
		said string
	}{
		{"no id", Options{}, "draw one at random"},
		{"an id of the library's", Options{Self: core.Peer{ID: ^core.NodeID(0)}}, "draw one at random"},
		{"elections amid heartbeats", Options{Self: self, HeartbeatInterval: time.Second, ElectionTimeout: time.Second}, "at least twice"},
		{"no log", Options{Self: self, LogBytes: -1}, "must be above 0"},
		{"founds a group of others", Options{Self: self, Found: []core.Peer{{ID: 2}}}, "lacks this manager"},
		{"founds with one twice", Options{Self: self, Found: []core.Peer{self, self}}, "twice"},
		{"founds with nobody", Options{Self: self, Found: []core.Peer{self, {}}}, "cannot be added"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := New(c.opt, core.Empty{}, &host{})
			require.ErrorContains(t, err, c.said)
		})
	}
}

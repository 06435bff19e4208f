package core

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a start finds is what the process before it had made durable, and any difference
// shows: in the log, in an epoch, in who the node is.
func TestTheDurableBytesAreThoseThatTheNextStartFinds(t *testing.T) {
	n := serving(t, config(1, "n1"), durable)
	next := func() *Storage {
		s, err := NewStorage(StorageOptions{Self: n.self, Durable: true}, n.space)
		require.NoError(t, err)
		return s
	}
	same := func() []byte {
		t.Helper()
		b := n.storage().AppendDurable(nil)
		require.Equal(t, b, next().AppendDurable(nil))
		return b
	}
	seen := [][]byte{same()}
	differs := func(what string) {
		t.Helper()
		b := same()
		require.NotContains(t, seen, b, what)
		seen = append(seen, b)
	}
	n.step("c1", put(2, 1, 1, "x", "a"))
	differs("an entry, and a position")
	n.step("m", joined(2, 2, "n3", "n1"))
	differs("an epoch")
	n.crash(0)
	n.restart()
	differs("a start")
	n.step("m", &Registered{Boot: n.storage().Boot()})
	s := next()
	s.known++
	require.NotEqual(t, n.storage().AppendDurable(nil), s.AppendDurable(nil), "a secret")
}

// The hash of a state is that of its values, their versions and the sessions, in whatever
// order they came, and not of what is durable.
func TestTheHashOfAStateIsOfAllThatIsInIt(t *testing.T) {
	of := func(fill func(v *values, s *sessions)) uint64 {
		n := serving(t, config(1, "n1"))
		state := &n.storage().groups[0].state
		*state = newState()
		fill(&state.values, &state.sessions)
		return n.storage().StateHash(0)
	}
	long := strings.Repeat("v", 300)
	base := of(func(v *values, s *sessions) { v.set("a", "1", 5); v.set("b", long, 6); s.open(1, 7) })
	require.Equal(t, base, of(func(v *values, s *sessions) { s.open(1, 7); v.set("b", long, 6); v.set("a", "1", 5) }))
	for what, fill := range map[string]func(v *values, s *sessions){
		"a value":         func(v *values, s *sessions) { v.set("a", "2", 5); v.set("b", long, 6); s.open(1, 7) },
		"a version":       func(v *values, s *sessions) { v.set("a", "1", 4); v.set("b", long, 6); s.open(1, 7) },
		"a key":           func(v *values, s *sessions) { v.set("c", "1", 5); v.set("b", long, 6); s.open(1, 7) },
		"one value less":  func(v *values, s *sessions) { v.set("b", long, 6); s.open(1, 7) },
		"a longer value":  func(v *values, s *sessions) { v.set("a", "1", 5); v.set("b", long+"v", 6); s.open(1, 7) },
		"another session": func(v *values, s *sessions) { v.set("a", "1", 5); v.set("b", long, 6); s.open(2, 7) },
		"another owner":   func(v *values, s *sessions) { v.set("a", "1", 5); v.set("b", long, 6); s.open(1, 8) },
		"an ended session": func(v *values, s *sessions) {
			v.set("a", "1", 5)
			v.set("b", long, 6)
			s.open(1, 7)
			s.end(s.find(1), 9)
		},
		"no session at all": func(v *values, s *sessions) { v.set("a", "1", 5); v.set("b", long, 6) },
	} {
		require.NotEqual(t, base, of(fill), what)
	}
}

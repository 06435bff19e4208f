package explore

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// twoPhase is two-phase commit as Gray and Lamport specify it in "Consensus on Transaction
// Commit" (TwoPhase.tla), the model that TLC and stateright are compared with.
type twoPhase struct {
	n        int  // resource managers
	symmetry bool // states that differ in the names of these alone are one
	bug      bool // the transaction manager commits too early
}

// Of each resource manager one byte: its state in two bits, whether the transaction manager
// knows it to be prepared, and whether its message is under way. The last byte is the
// transaction manager's state, with the messages that it sent.
const (
	rmWorking, rmPrepared, rmCommitted, rmAborted = 0, 1, 2, 3

	rmKnown, rmSaid = 4, 8

	tmInit, tmCommitted, tmAborted = 0, 1, 2
)

func (m *twoPhase) Worker() Worker { return m }

func (m *twoPhase) Initial(to *Sink) { m.add(to, make([]byte, m.n+1), "begin%.0d", 0) }

func (m *twoPhase) add(to *Sink, s []byte, name string, rm int) {
	if m.symmetry {
		s = slices.Clone(s)
		slices.Sort(s[:m.n])
	}
	if to.Naming() {
		to.Name(fmt.Sprintf(name, rm))
	}
	to.Add(Print(s), s)
	committed, aborted := false, false
	for _, rm := range s[:m.n] {
		committed = committed || rm&3 == rmCommitted
		aborted = aborted || rm&3 == rmAborted
	}
	if committed && aborted {
		to.Fail("consistent", "one committed and one aborted")
	}
}

func (m *twoPhase) Next(state []byte, to *Sink) {
	var array [16]byte
	s := array[:copy(array[:], state)]
	step := func(i int, b byte, name string) {
		old := s[i]
		s[i] = b
		m.add(to, s, name, i)
		s[i] = old
	}
	tm := s[m.n]
	all := true
	for _, rm := range s[:m.n] {
		all = all && rm&rmKnown != 0
	}
	if tm == tmInit && (all || m.bug) {
		step(m.n, tmCommitted, "%d, the manager, commits")
	}
	if tm == tmInit {
		step(m.n, tmAborted, "%d, the manager, aborts")
	}
	for i, rm := range s[:m.n] {
		if tm == tmInit && rm&rmSaid != 0 {
			step(i, rm|rmKnown, "learn that %d is prepared")
		}
		if rm&3 == rmWorking {
			step(i, rm|rmPrepared|rmSaid, "%d prepares")
			step(i, rm|rmAborted, "%d aborts")
		}
		if tm == tmCommitted {
			step(i, rm&^3|rmCommitted, "%d hears of the commit")
		}
		if tm == tmAborted {
			step(i, rm&^3|rmAborted, "%d hears of the abort")
		}
	}
}

// ring is Dijkstra's detection of termination on a ring (EWD 840), as in EWD840.tla of the
// TLA+ examples by Stephan Merz.
type ring struct{ n int }

// Bytes: active, black, and where the token is and whether it is black.
func (m *ring) Worker() Worker { return m }

func (m *ring) add(to *Sink, active, black, token, tokenBlack byte) {
	s := []byte{active, black, token, tokenBlack}
	to.Add(Print(s), s)
	if token == 0 && tokenBlack == 0 && active&1 == 0 && black&1 == 0 && active != 0 {
		to.Fail("detection", "the token says that all have ended, and somebody is active")
	}
}

func (m *ring) Initial(to *Sink) {
	for active := range byte(1 << m.n) {
		for black := range byte(1 << m.n) {
			for token := range byte(m.n) {
				m.add(to, active, black, token, 1)
			}
		}
	}
}

func (m *ring) Next(s []byte, to *Sink) {
	active, black, token, tokenBlack := s[0], s[1], s[2], s[3]
	if token == 0 && (tokenBlack == 1 || black&1 != 0) {
		m.add(to, active, black&^1, byte(m.n-1), 0)
	}
	if bit := byte(1) << token; token > 0 && (active&bit == 0 || black&bit != 0 || tokenBlack == 1) {
		passed := tokenBlack
		if black&bit != 0 {
			passed = 1
		}
		m.add(to, active, black&^bit, token-1, passed)
	}
	for i := range m.n {
		if active>>i&1 == 0 {
			continue
		}
		m.add(to, active&^(1<<i), black, token, tokenBlack)
		for j := range m.n {
			if j > i {
				m.add(to, active|1<<j, black|1<<i, token, tokenBlack)
			} else if j < i {
				m.add(to, active|1<<j, black, token, tokenBlack)
			}
		}
	}
}

// mutex is Lamport's mutual exclusion by logical clocks, as in LamportMutex.tla of the TLA+
// examples by Stephan Merz, with clocks up to most.
type mutex struct{ n, most int }

// mutexState has, of each p: its clock, what it knows of each one's request, from whom it has
// an ack, whether it is in the critical section; and of each p and q what is under way.
type mutexState struct {
	clock, ack, crit [3]byte
	req              [3][3]byte
	net              [3][3][]byte // a request is its clock, an ack 100, a release 101
}

const mutexAck, mutexRelease = 100, 101

func (m *mutex) Worker() Worker { return m }

func (m *mutex) Initial(to *Sink) {
	m.add(to, &mutexState{clock: [3]byte{1, 1, 1}})
}

func (m *mutex) add(to *Sink, s *mutexState) {
	var b []byte
	for p := range m.n {
		if int(s.clock[p]) > m.most {
			// A state outside the constraint is generated and not counted as one.
			to.generated++
			return
		}
		b = append(b, s.clock[p], s.ack[p], s.crit[p])
		b = append(b, s.req[p][:]...)
		for q := range m.n {
			b = append(b, byte(len(s.net[p][q])))
			b = append(b, s.net[p][q]...)
		}
	}
	to.Add(Print(b), b)
	if s.crit[0]+s.crit[1]+s.crit[2] > 1 {
		to.Fail("mutex", "two are in the critical section")
	}
}

func (m *mutex) decode(b []byte) *mutexState {
	s := &mutexState{}
	for p := range m.n {
		s.clock[p], s.ack[p], s.crit[p] = b[0], b[1], b[2]
		copy(s.req[p][:], b[3:6])
		b = b[6:]
		for q := range m.n {
			n := 1 + int(b[0])
			s.net[p][q], b = b[1:n:n], b[n:]
		}
	}
	return s
}

func (m *mutex) beats(s *mutexState, p, q int) bool {
	mine, other := s.req[p][p], s.req[p][q]
	return other == 0 || mine < other || mine == other && p < q
}

func (m *mutex) tell(s *mutexState, p int, what byte) {
	for q := range m.n {
		if q != p {
			s.net[p][q] = append(s.net[p][q], what)
		}
	}
}

func (m *mutex) Next(state []byte, to *Sink) {
	was := m.decode(state)
	for p := range m.n {
		s := *was
		if s.req[p][p] == 0 {
			s.req[p][p], s.ack[p] = s.clock[p], 1<<p
			m.tell(&s, p, s.clock[p])
			m.add(to, &s)
		}
		s = *was
		wins := s.ack[p] == 1<<m.n-1
		for q := range m.n {
			wins = wins && (q == p || m.beats(&s, p, q))
		}
		if wins {
			s.crit[p] = 1
			m.add(to, &s)
		}
		s = *was
		if s.crit[p] == 1 {
			s.crit[p], s.req[p][p], s.ack[p] = 0, 0, 0
			m.tell(&s, p, mutexRelease)
			m.add(to, &s)
		}
		for q := range m.n {
			if len(was.net[q][p]) > 0 {
				s = *was
				m.receive(&s, p, q)
				m.add(to, &s)
			}
		}
	}
}

func (m *mutex) receive(s *mutexState, p, q int) {
	what := s.net[q][p][0]
	s.net[q][p] = s.net[q][p][1:]
	switch what {
	case mutexAck:
		s.ack[p] |= 1 << q
	case mutexRelease:
		s.req[p][q] = 0
	default:
		s.req[p][q] = what
		s.clock[p] = max(s.clock[p], what) + 1
		s.net[p][q] = append(s.net[p][q], mutexAck)
	}
}

// line counts up to an end, in steps of 1 and 2; every state from bad on is wrong.
type line struct{ end, bad uint64 }

func (m *line) Worker() Worker { return m }

func (m *line) Initial(to *Sink) { m.add(to, 0) }

func (m *line) add(to *Sink, n uint64) {
	s := binary.LittleEndian.AppendUint64(nil, n)
	if to.Naming() {
		to.Name(fmt.Sprintf("to %d", n))
	}
	to.Add(Print(s), s)
	if m.bad > 0 && n >= m.bad {
		to.Fail("line", fmt.Sprintf("at %d", n))
	}
}

func (m *line) Next(state []byte, to *Sink) {
	n := binary.LittleEndian.Uint64(state)
	for step := n + 1; step <= n+2 && step <= m.end; step++ {
		m.add(to, step)
	}
}

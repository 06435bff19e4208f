package core

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// seeker is a storage node, or a client, that looks for the one that leads among managers which know
// different terms, do not answer, come late, and are replaced.
type seeker struct {
	*rig
	rng      *rand.Rand
	seed     uint64
	client   bool
	restless bool   // managers are replaced all the time
	managers []Peer // who is where now
	term     Term
	reqs     uint64 // of the last question
	calls    uint64

	// The model.
	given []string        // the addresses that it was started with
	known map[string]bool // those that it has to try
	last  []Peer          // the managers that it was told of last
	told  Term            // of the last word that it has followed
	asked []string        // whom it asked since that was looked at
}

func newSeeker(t *testing.T, seed uint64) *seeker {
	s := &seeker{rng: rand.New(rand.NewPCG(seed, 7)), seed: seed, term: 1, known: map[string]bool{}}
	var list []Peer
	s.restless = s.chance(20)
	for i := range 2 + s.rng.IntN(4) {
		s.managers = append(s.managers, Peer{ID: NodeID(0x201 + i), Addr: fmt.Sprint("m", 1+i)})
		list = append(list, Peer{Addr: s.managers[i].Addr})
		s.given = append(s.given, list[i].Addr)
		s.known[list[i].Addr] = true
	}
	if s.client = s.chance(40); s.client {
		s.rig = newClientAt(t, "c1", func(o *ClientOptions) { o.Managers = list })
	} else {
		s.rig = newStorageAt(t, "n1", func(o *StorageOptions) { o.Managers, o.Secret, o.Durable = list, 77, true })
	}
	s.looks()
	return s
}

func (s *seeker) chance(percent int) bool { return s.rng.IntN(100) < percent }

func (s *seeker) require(ok bool, format string, args ...any) {
	s.t.Helper()
	require.True(s.t, ok, "seed %d, client: %v: %s", s.seed, s.client, fmt.Sprintf(format, args...))
}

// looks takes in whom it has asked.
func (s *seeker) looks() {
	for _, e := range s.mail {
		switch b := e.Body.(type) {
		case *Register:
			s.asked = append(s.asked, e.To.Addr)
		case *Lookup:
			s.asked, s.reqs = append(s.asked, e.To.Addr), b.Req
		}
	}
	s.mail = nil
}

// hears gives it a word, and returns whom it asks at once.
func (s *seeker) hears(from Peer, m Message) []string {
	s.asked = nil
	s.stepRaw(Envelope{Cluster: rigCluster, From: from, To: s.self, Body: m})
	s.looks()
	return s.asked
}

func (s *seeker) any() Peer { return s.managers[s.rng.IntN(len(s.managers))] }

// sendsOn has a manager say who leads, as it knows, or as it knew.
func (s *seeker) sendsOn() {
	m := &NotLeader{Term: Term(s.rng.Uint64N(uint64(s.term) + 1)), Token: 77, Req: s.reqs}
	if s.chance(85) {
		m.Leader = s.any()
	}
	asked := s.hears(s.any(), m)
	switch {
	case m.Leader.ID == 0, m.Term < s.told:
		s.require(len(asked) == 0, "it was told in term %d who leads, and asks %v at a word of term %d", s.told, asked, m.Term)
	case len(asked) > 0:
		s.require(slices.Contains(asked, m.Leader.Addr), "it was told that %v leads, and asks %v", m.Leader, asked)
		s.told = m.Term
	}
}

// registered has a manager say who the managers are.
func (s *seeker) registered() {
	if s.client {
		return
	}
	s.last = slices.Clone(s.managers)
	for _, p := range s.last {
		s.known[p.Addr] = true
	}
	if len(s.known) > ManagersMax { // it remembers no more, and these first
		s.known = map[string]bool{}
		for _, p := range s.last {
			s.known[p.Addr] = true
		}
	}
	defer func() {
		kept := len(s.storage().leaders.known)
		s.require(kept <= ManagersMax, "it knows %d managers", kept)
	}()
	s.hears(s.any(), &Registered{Boot: s.storage().Boot(), Secret: s.storage().secret, Managers: s.last})
}

// pings has a manager ping the node. It answers those that it was told of, in a term that is not over.
func (s *seeker) pings() {
	if s.client || len(s.last) == 0 || !s.storage().registered {
		return
	}
	from := s.any()
	if s.chance(20) {
		from.ID += 0x1000
	}
	boot := Boot(s.term) + Boot(s.rng.IntN(3))
	s.hears(from, &Ping{Nonce: uint64(s.now), Boot: boot, Start: uint64(boot), Token: 5})
	s.term = max(s.term, Term(boot))
}

// silence lets nobody answer, until each manager has had its turn.
func (s *seeker) silence() {
	s.asked = nil
	turn := 100 * time.Millisecond
	if s.client {
		s.calls++
		s.step("", &Call{ID: s.calls, Kind: OpPut, Key: fmt.Sprint("k", s.calls), Timeout: time.Hour})
		turn = 200 * time.Millisecond
	}
	least := time.Second // so long may a node be silent that has heard the leader
	for end := s.now.After(least + time.Duration(ManagersMax+1)*turn); s.now < end; {
		s.tick(10 * time.Millisecond)
		s.looks()
	}
	for _, addr := range slices.Sorted(maps.Keys(s.known)) {
		s.require(slices.Contains(s.asked, addr), "nobody answers, and %s is not tried: %v", addr, s.asked)
	}
}

// restarts is the node's next start: it has its list, and those of whom it was told last.
func (s *seeker) restarts() {
	if s.client {
		return
	}
	s.crash(s.gate.Pending())
	s.restart()
	s.told, s.known = 0, map[string]bool{}
	for _, a := range s.given {
		s.known[a] = true
	}
	for _, p := range s.last {
		s.known[p.Addr] = true
	}
	s.mail = nil
}

// replaces has another manager be where one was, or elsewhere.
func (s *seeker) replaces() {
	i := s.rng.IntN(len(s.managers))
	s.managers[i].ID += 0x10
	most := 9
	if s.restless {
		most = 200
	}
	if addr := fmt.Sprint("m", 1+s.rng.IntN(most)); !slices.ContainsFunc(s.managers, func(p Peer) bool { return p.Addr == addr }) {
		s.managers[i].Addr = addr
	}
}

func (s *seeker) act() {
	if s.restless && s.chance(50) {
		for range 1 + s.rng.IntN(4) {
			s.replaces()
		}
		s.registered()
		return
	}
	switch s.rng.IntN(12) {
	case 0, 1, 2, 3:
		s.sendsOn()
	case 4, 5:
		s.registered()
	case 6:
		s.pings()
	case 7:
		s.term += Term(s.rng.IntN(3))
	case 8:
		s.replaces()
	case 9:
		if s.chance(30) {
			s.restarts()
		}
	case 10:
		s.silence()
	default:
		s.tick(time.Duration(s.rng.IntN(500)) * time.Millisecond)
		s.looks()
	}
}

// Who looks for the manager that leads goes where it is sent, and is not sent back by a word of an earlier
// term; and where nobody answers it tries each manager of its list, and each of which it was told, in turn.
func TestWhoLooksForTheLeaderTriesAll(t *testing.T) {
	first, count := draws(t, "GTSTORE_SEEKERS")
	for seed := first + 1; seed <= first+max(count, 400); seed++ {
		s := newSeeker(t, seed)
		for range 40 {
			s.act()
		}
		s.silence()
	}
}

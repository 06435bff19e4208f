package cluster

import (
	"time"

	"gtstore/core"
)

// Scenario is a small cluster, what its clients ask, and how often what may happen.
type Scenario struct {
	Name  string
	About string // what it is about, for a reader

	Members int // of the group, from the beginning
	Spares  int
	Durable bool
	Reads   core.ReadMode
	LogKeep int // as in core.StorageOptions, as is the next one; 0 takes the core's own
	Chunk   int
	Settle  int // timers that go off, all calm, before the search begins

	Finish bool // from every state all operations must be answered in a run without faults
	Large  bool // it takes longer than what every test can wait for
	Expect string

	budgets [budgetCount]uint8
	ops     []op // the operations of a client stand together, in order
	before  []op
}

// Hosts is how many storage nodes there are.
func (s *Scenario) Hosts() int { return s.Members + s.Spares }

func (s *Scenario) lease() time.Duration {
	if s.Reads == core.ReadLease {
		return core.DefaultManagerOptions().Lease
	}
	return 0
}

// Budgets says how often what may happen, as in the scenario's text.
func (s *Scenario) Budgets() string {
	text := ""
	for b, n := range s.budgets {
		if n > 0 {
			text += " " + budgetNames[b] + "=" + string('0'+rune(n))
		}
	}
	if text == "" {
		return "none"
	}
	return text[1:]
}

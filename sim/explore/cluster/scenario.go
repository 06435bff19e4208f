package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gtstore/core"
)

// Scenario is a small cluster, what its clients ask, and how often what may happen.
type Scenario struct {
	Name  string
	About string // what it is about, for a reader

	// Managers is how many managers there are that found a cluster, and then there are no storage
	// nodes; 0 for a cluster of storage nodes with one manager.
	Managers int
	Founded  bool // they have a cluster before the search, and m1 leads
	// What happens then, before the search:
	Deposed   bool // m2 comes to lead, of which m1 has heard nothing
	Replacing bool // the last manager comes back without data, and the change that replaces it is proposed

	Members int // of the group, from the beginning
	Spares  int
	Durable bool
	Reads   core.ReadMode
	LogKeep int // as in core.StorageOptions, as is the next one; 0 takes the core's own
	Chunk   int
	// Sessions is how many may be open; 0 takes the core's own number.
	Sessions int
	// MinChain members at least take writes; 0 is 1.
	MinChain int
	// Drift is by how many parts per million n1's clock is slow, and the others' are fast.
	Drift  int
	Settle int // timers that go off, all calm, before the search begins

	Repeat core.Kind // the only kind of message that may come again; 0 for any

	Finish bool // from every state all operations must be answered in a run without faults
	Large  bool // it takes longer than a minute

	// Real is whether the manager is the core's. Then time passes only while nothing is under
	// way, unless it is late.
	Real         bool
	Cut          int  // the host whose messages are lost when they are late, counted from 1; 0 for none
	Fresh        bool // no group is formed before the search
	CommandsKeep int  // as in core.ManagerOptions, as is the next one; 0 takes the core's own
	Placement    core.Placement

	Mutants []Mutant // what notices that a rule is gone

	text    string
	budgets [leftSize]uint8
	asks    []ask
	ops     []op // the operations of a client stand together, in order
	before  []earlier
}

// earlier is what happened before the search: a put, or the eviction of a host, counted from 1.
type earlier struct {
	put   op
	evict int
}

// Mutant is the core without one rule, and what the scenario finds that it violates.
type Mutant struct{ Name, Property string }

// Hosts is how many storage nodes there are, or managers where these are searched.
func (s *Scenario) Hosts() int { return max(s.Managers, s.Members+s.Spares) }

func (s *Scenario) lease() time.Duration {
	if s.Reads == core.ReadLease {
		return core.DefaultManagerOptions().Lease
	}
	return 0
}

// Mode says what the cluster is.
func (s *Scenario) Mode() string {
	mode := "memory"
	if s.Durable {
		mode = "durable"
	}
	if s.Managers > 0 {
		return fmt.Sprintf("%d managers, %s", s.Managers, mode)
	}
	if s.Real {
		mode += ", real manager"
	}
	return fmt.Sprintf("%d of %d, %s, %v", s.Members, s.Hosts(), mode, s.Reads)
}

// Load reads the scenario of a file.
func Load(file string) (*Scenario, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return Parse(strings.TrimSuffix(filepath.Base(file), Suffix), string(text))
}

// Suffix is that of the names of scenario files.
const Suffix = ".scenario"

// Budgets says how often what may happen, as in the scenario's text.
func (s *Scenario) Budgets() string {
	text := ""
	for b, n := range s.budgets[:budgetCount] {
		if n > 0 {
			text += fmt.Sprintf(" %s=%d", budgetNames[b], n)
		}
	}
	for i := range s.asks {
		text += " " + strings.ReplaceAll(s.asks[i].String(), " ", "-")
	}
	if text == "" {
		return "none"
	}
	return text[1:]
}

// Text is what the scenario was parsed from.
func (s *Scenario) Text() string { return s.text }

package cluster

import (
	"context"

	"gtstore/sim/explore"
)

// Claim is what a complete search says of a scenario, or how far it came.
type Claim struct {
	Scenario string `json:"scenario"`
	Budgets  string `json:"budgets"`
	Mode     string `json:"mode"`

	States      int64   `json:"states"`
	Generated   int64   `json:"generated"` // in all passes, as are the seconds
	Depth       int     `json:"depth"`
	Seconds     float64 `json:"seconds"`
	Passes      int     `json:"passes"` // all else is of the last one
	MemoryBytes int64   `json:"memory_bytes"`
	HostStates  int     `json:"host_states"` // different states of single hosts
	Miss        float64 `json:"miss"`        // bound of the chance that a state was missed

	Complete    bool   `json:"complete"`
	Why         string `json:"why,omitempty"` // if not
	Interrupted bool   `json:"interrupted"`

	Violation *explore.Violation `json:"violation,omitempty"`
}

// Run searches a scenario. The error is one of its beginning, or of the state file.
func Run(ctx context.Context, s *Scenario, o explore.Options) (*Claim, error) {
	m, err := New(s)
	if err != nil {
		return nil, err
	}
	r, err := explore.Search(ctx, m, o)
	if err != nil {
		return nil, err
	}
	c := &Claim{
		Scenario: s.Name, Budgets: s.Budgets(), Mode: s.Mode(),
		States: r.States, Generated: r.Generated, Depth: r.Depth, Seconds: r.Elapsed.Seconds(), Passes: r.Passes, MemoryBytes: r.Memory, HostStates: m.hosts.len(), Miss: r.Miss,
		Complete: r.Complete, Why: r.Why, Interrupted: r.Interrupted, Violation: r.Violation,
	}
	return c, nil
}

// Verdict is the claim in a few words.
func (c *Claim) Verdict() string {
	switch {
	case c.Violation != nil:
		return "violates " + c.Violation.Property
	case c.Complete:
		return "holds, complete"
	}
	return "not complete: " + c.Why
}

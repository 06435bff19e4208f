package cluster

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/sim/explore"
)

func TestTry(t *testing.T) {
	s := &Scenario{Members: 2, Reads: core.ReadConfirm, Finish: true}
	s.ops = []op{{client: 0, kind: core.OpPut, key: "x", value: "a"}, {client: 1, kind: core.OpGet, key: "x"}}
	s.budgets[budgetEvict] = 1
	m, err := New(s)
	require.NoError(t, err)
	r, err := explore.Search(context.Background(), m, explore.Options{})
	require.NoError(t, err)
	t.Logf("%+v", r)
	if r.Violation != nil {
		t.Logf("%+v", r.Violation)
		for i, s := range r.Violation.Steps {
			t.Log(i+1, s)
		}
	}
	t.Log(m.hosts.len(), m.messages.len(), m.ghosts.len(), m.pasts.len(), m.edges.len())
}

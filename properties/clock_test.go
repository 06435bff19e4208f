package properties

import (
	"go/ast"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A verdict depends on the schedule alone. So nothing in the simulator may read the wall
// clock, or give up after some time. There are three exceptions, which change no verdict:
// Run measures how long the check of linearizability takes, a search (sim/fuzz) may have a
// time limit, and the explorer says now and then how far it is, and saves that.
func TestVerdictsDependOnNoClock(t *testing.T) {
	for _, f := range source(t) {
		if !within(f.dir, "sim") || within(f.dir, "sim/fuzz") || f.test {
			continue
		}
		require.Equal(t, clockAllowed[f.name], clockUses(f.ast), "%s", f.name)
	}
}

var clockAllowed = map[string][]string{
	"sim/run.go":            {"time.Now", "time.Since"},
	"sim/explore/search.go": {"time.Now", "time.NewTicker", "time.NewTimer", "time.Since"},
}

// clockUses lists the functions in a file that go by the wall clock.
func clockUses(file *ast.File) []string {
	var uses []string
	ast.Inspect(file, func(n ast.Node) bool {
		e, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		from, ok := e.X.(*ast.Ident)
		if !ok {
			return true
		}
		name := e.Sel.Name
		switch {
		case from.Name == "time" && forbidden["time"][name] != "",
			from.Name == "context" && (strings.HasPrefix(name, "WithTimeout") || strings.HasPrefix(name, "WithDeadline")),
			from.Name == "porcupine" && (strings.HasSuffix(name, "Timeout") || strings.HasSuffix(name, "Verbose")):
			uses = append(uses, from.Name+"."+name)
		}
		return true
	})
	return uses
}

package properties

import (
	"go/ast"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A verdict depends on the schedule alone, so nothing in the simulator may ask
// how late it is, or give up after a while. Run measures how long the check of
// linearizability takes, which is no part of the verdict. The search for failures
// (sim/fuzz) is apart: how long it goes on is up to who starts it.
func TestVerdictsDependOnNoClock(t *testing.T) {
	for _, f := range source(t) {
		if !within(f.dir, "sim") || within(f.dir, "sim/fuzz") || f.test {
			continue
		}
		uses := clockUses(f.ast)
		if f.name == "sim/run.go" {
			require.Equal(t, []string{"time.Now", "time.Since"}, uses, "%s", f.name)
			continue
		}
		require.Empty(t, uses, "%s", f.name)
	}
}

// clockUses lists what a file uses that goes by the wall clock.
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

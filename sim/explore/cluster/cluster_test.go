package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/sim/explore"
)

func TestTry(t *testing.T) {
	files, _ := filepath.Glob("../../../traces/explore/*" + os.Getenv("ONLY") + "*.scenario")
	for _, f := range files {
		text, err := os.ReadFile(f)
		require.NoError(t, err)
		s, err := Parse(filepath.Base(f), string(text))
		require.NoError(t, err)
		m, err := New(s)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(context.Background(), 25*time.Second)
		r, err := explore.Search(ctx, m, explore.Options{MemoryMax: 4 << 30})
		cancel()
		require.NoError(t, err)
		fmt.Printf("%-30s %-30s states %d gen %d depth %d %.1fs %s hosts %d msgs %d edges %d ends %d\n", s.Name, s.Budgets(), r.States, r.Generated, r.Depth, r.Elapsed.Seconds(), r.Why, m.hosts.len(), m.messages.len(), m.edges.len(), m.endings.len())
		if r.Violation != nil {
			fmt.Println(r.Violation.Property, r.Violation.Text)
			for i, s := range r.Violation.Steps {
				fmt.Println(i+1, s)
			}
		}
	}
}

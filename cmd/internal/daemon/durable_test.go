package daemon

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

// A node that is told to end while it reads its data does so at once, and well: to read them all
// may take minutes.
func TestANodeEndsBeforeItHasReadItsData(t *testing.T) {
	manager := []string{"--listen", "127.0.0.1:0", "--dir", filepath.Join(t.TempDir(), "manager")}
	storage := []string{"--listen", "127.0.0.1:0", "--manager", "127.0.0.1:1", "--dir", filepath.Join(t.TempDir(), "node")}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		command func() *cobra.Command
		args    []string
	}{{command: NewManager, args: manager}, {command: NewStorage, args: storage}} {
		run := func() (said, log string) {
			cmd, out, errs := c.command(), new(bytes.Buffer), new(bytes.Buffer)
			cmd.SetArgs(c.args)
			cmd.SetOut(out)
			cmd.SetErr(errs)
			require.NoError(t, cmd.ExecuteContext(ended))
			return out.String(), errs.String()
		}
		said, log := run()
		require.Contains(t, said, "listening", "there is nothing to be read yet: %s", log)
		said, log = run()
		require.Empty(t, said)
		require.Contains(t, log, "had not started yet")
	}
}

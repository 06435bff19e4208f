package daemon

import (
	"io"
	"log/slog"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"gtstore/cmd/internal/cli"
)

// The admin listener answers before the node has read its data: a probe does not wait for that,
// and takes the node for alive.
func TestTheAdminListenerAnswersWhileTheNodeStarts(t *testing.T) {
	f := adminFlags{address: cli.Address{Listen: true}, lost: func() uint64 { return 0 }}
	require.NoError(t, f.address.Set("127.0.0.1:0"))
	require.NoError(t, f.listen("storage", "node1", slog.New(slog.DiscardHandler)))
	t.Cleanup(f.of.Close)
	for path, want := range map[string]int{"/healthz": http.StatusOK, "/readyz": http.StatusServiceUnavailable} {
		r, err := http.Get("http://" + f.of.Address() + path)
		require.NoError(t, err)
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		r.Body.Close()
		require.Equal(t, want, r.StatusCode, "%s: %s", path, body)
	}
}

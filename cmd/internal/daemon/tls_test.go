package daemon

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"gtstore/netrpc"
)

// A node that others can reach without TLS says so; one of this machine alone does not, nor does
// one with TLS.
func TestListeningWithoutTLSIsSaid(t *testing.T) {
	for _, c := range []struct {
		listen string
		tls    netrpc.TLS
		warns  bool
	}{
		{listen: "127.0.0.1:7400"}, {listen: "localhost:7400"}, {listen: "[::1]:0"}, {listen: "127.8.8.8:1"},
		{listen: "10.0.0.1:7400", warns: true}, {listen: "0.0.0.0:7400", warns: true}, {listen: ":7400", warns: true}, {listen: "[::]:7400", warns: true}, {listen: "db1:7400", warns: true},
		{listen: "10.0.0.1:7400", tls: netrpc.TLS{Cert: "c", Key: "k", CA: "a"}},
	} {
		var log bytes.Buffer
		n := common{tls: c.tls}
		n.listen.Value = c.listen
		n.warn(slog.New(slog.NewTextHandler(&log, nil)))
		require.Equal(t, c.warns, log.Len() > 0, "%s: %s", c.listen, log.String())
	}
}

func TestTheFilesOfTLSBelongTogether(t *testing.T) {
	for _, args := range [][]string{{"--tls-cert", "c"}, {"--tls-cert", "c", "--tls-key", "k"}, {"--tls-ca", "a"}, {"--tls-deny", "d"}} {
		var n common
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		n.add(flags)
		require.NoError(t, flags.Parse(append(args, "--listen", "127.0.0.1:0")))
		_, _, err := n.open()
		require.ErrorContains(t, err, "belong together", args)
	}
}

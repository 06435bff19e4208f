package daemon

import (
	"fmt"
	"log/slog"

	"github.com/spf13/pflag"

	"gtstore/cmd/internal/admin"
	"gtstore/cmd/internal/cli"
	"gtstore/netrpc"
)

// adminFlags are those of the admin listener, and the listener; without --admin there is none.
type adminFlags struct {
	address cli.Address
	pprof   bool
	lost    func() uint64 // lines of the log
	of      *admin.Admin
}

func (f *adminFlags) add(flags *pflag.FlagSet) {
	f.address.Listen = true
	flags.Var(&f.address, "admin", "address for /metrics, /healthz, /readyz, /statusz and /events; without a host on loopback, as there is no authentication (default: none)")
	flags.BoolVar(&f.pprof, "admin-pprof", false, "with --admin: serve /debug/pprof/ too")
}

// listen opens the listener, if there is to be one, and answers from then on: that the node starts,
// for as long as it reads its data.
func (f *adminFlags) listen(role, name string, log *slog.Logger) (err error) {
	if f.address.Value == "" {
		if f.pprof {
			return cli.Errorf(cli.ExitUsage, "--admin-pprof says something about the admin listener: say where with --admin")
		}
		return nil
	}
	f.of, err = admin.Listen(f.address.Value, admin.Options{Role: role, Name: netrpc.Printable(name), Pprof: f.pprof, Lost: f.lost, Log: log})
	if err != nil {
		return cli.Errorf(cli.ExitError, "cannot listen on --admin %s: %w; choose another port, or 0 to let the system choose", f.address.Value, err)
	}
	if f.of.Beyond() {
		log.Warn("the admin listener is open beyond this machine, and has no authentication: whoever reaches it sees the names, addresses and sizes of the cluster", "admin", f.of.Address())
	}
	go f.of.Serve()
	return nil
}

func (f *adminFlags) observer() netrpc.Observer {
	if f.of == nil {
		return nil
	}
	return f.of.Observer()
}

func (f *adminFlags) attach(s *netrpc.Server) {
	if f.of != nil {
		f.of.Attach(s)
	}
}

// line is what the node prints of it once it has said where it listens.
func (f *adminFlags) line() string {
	if f.of == nil {
		return ""
	}
	return fmt.Sprintf("admin %s\n", f.of.Address())
}

package daemon

import (
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gtstore/cmd/internal/cli"
	"gtstore/core"
	"gtstore/core/quorum"
	"gtstore/netrpc"
	"gtstore/netrpc/disk"
)

// checkManagers tells what is wrong with the list of a manager that is at an address.
func checkManagers(managers []string, self string) error {
	switch i := placeOf(managers, self); {
	case len(managers) > quorum.MembersMax:
		return cli.Errorf(cli.ExitUsage, "--managers: %d are named, at most %d; three or five are best", len(managers), quorum.MembersMax)
	case i < 0:
		return cli.Errorf(cli.ExitUsage, "--managers %s lacks this manager, %s: name it there as the others do, and say with --listen or --advertise which of them this one is", strings.Join(managers, ","), self)
	}
	for i, address := range managers {
		if placeOf(managers[:i], address) >= 0 {
			return cli.Errorf(cli.ExitUsage, "--managers names %s twice", core.Place(address))
		}
	}
	return nil
}

// placeOf is where on a list of managers the HOST:PORT of an address is; -1 for nowhere.
func placeOf(managers []string, address string) int {
	return slices.IndexFunc(managers, func(m string) bool { return core.Place(m) == core.Place(address) })
}

// runSeveral runs one of several managers until it ends.
func (c *common) runSeveral(cmd *cobra.Command, managers []string, l net.Listener, opt core.ManagerOptions, log *slog.Logger) error {
	c.several = true
	if c.advertise.Value == "" && placeOf(managers, c.listen.Value) >= 0 {
		opt.Self.Addr = c.listen.Value // as the others name it
	}
	if err := checkManagers(managers, opt.Self.Addr); err != nil {
		l.Close()
		return err
	}
	all, err := netrpc.ManagerAddresses(managers, c.tls != netrpc.TLS{})
	if err != nil {
		l.Close()
		return refused(err)
	}
	address := l.Addr().String()
	start := func() (*netrpc.Server, error) {
		return c.serve(cmd.Context(), disk.Manager, log, func(o netrpc.Options) (*netrpc.Server, error) {
			o.NewManager = func(opt core.ManagerOptions, space core.Space) (netrpc.ManagerNode, error) {
				return quorum.NewManager(opt, all, quorum.Options{}, space)
			}
			return netrpc.ServeManager(l, opt, o)
		})
	}
	s, err := start()
	if err != nil {
		return notStarted(l, err, log)
	}
	c.again = func() (_ *netrpc.Server, err error) {
		if l, err = net.Listen("tcp", address); err != nil {
			return nil, cli.Errorf(cli.ExitError, "cannot listen on %s again: %w", address, err)
		}
		return start()
	}
	if len(managers)%2 == 0 {
		log.Warn("an even number of managers outlives no more deaths than one fewer: three or five are best", "managers", len(managers))
	}
	text := fmt.Sprintf("one of %d managers", len(managers))
	if c.dir == "" {
		text += fmt.Sprintf(", in memory: %d of them may be dead at a time; one that is started again is empty, and takes its place once the others, more than half of all, take it in", (len(managers)-1)/2)
	}
	log.Info(text, settings(cmd, s)...)
	return run(cmd, c, s, log)
}

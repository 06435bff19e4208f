package daemon

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gtstore/cmd/internal/cli"
	"gtstore/cmd/internal/notify"
	"gtstore/core"
	"gtstore/core/quorum"
	"gtstore/netrpc"
	"gtstore/netrpc/disk"
)

// stopTime is how long a node may take to end in good order.
const stopTime = 5 * time.Second

// common are the flags of every node.
type common struct {
	listen    cli.Address
	advertise cli.Address
	name      string
	label     string // the name, or the address: what the log and the admin listener go by
	dir       string
	moved     bool
	logLevel  cli.OneOf
	logFormat cli.OneOf
	withStdin bool
	tls       netrpc.TLS
	admin     adminFlags

	several bool                           // it is one of several managers
	again   func() (*netrpc.Server, error) // starts such a one again that is to begin anew
}

func (c *common) add(flags *pflag.FlagSet) {
	c.listen.Listen = true
	flags.Var(&c.listen, "listen", "address to listen on; port 0 lets the system choose")
	flags.Var(&c.advertise, "advertise", "address under which the others reach this node, if it is not that of --listen")
	flags.StringVar(&c.name, "name", "", "label for people; of a storage node with TLS it is the name in the certificate (default: that, or the address)")
	cli.Directory(flags, &c.dir, "dir", "directory for the node's data, of this node alone; without it they live in memory, and end with the process")
	flags.BoolVar(&c.moved, "moved", false, "with --dir: the directory was moved here after its node had been stopped, and no node will be started again on the original")
	c.logLevel = cli.OneOf{Value: "info", Values: []string{"debug", "info", "warn", "error"}}
	flags.Var(&c.logLevel, "log-level", "the least that is logged")
	c.logFormat = cli.OneOf{Value: "text", Values: []string{"text", "json"}}
	flags.Var(&c.logFormat, "log-format", "how it is logged")
	cli.TLS(flags, &c.tls, "this node")
	cli.Configurable(flags)
	c.admin.add(flags)
	flags.BoolVar(&c.withStdin, "exit-with-stdin", false, "end when standard input does: whoever holds its other end is gone")
	if err := flags.MarkHidden("exit-with-stdin"); err != nil {
		panic(err) // only when there is no such flag
	}
}

// open checks the flags and listens.
func (c *common) open() (net.Listener, *core.Peer, error) {
	switch {
	case c.moved && c.dir == "":
		return nil, nil, cli.Errorf(cli.ExitUsage, "--moved says something about a directory: name it with --dir")
	case c.listen.Value == "":
		return nil, nil, cli.Errorf(cli.ExitUsage, "--listen is missing: say where to listen, such as 127.0.0.1:7401")
	}
	if c.advertise.Value == "" && isEverywhere(c.listen.Value) {
		return nil, nil, cli.Errorf(cli.ExitUsage, "--listen %s is on every interface: say with --advertise HOST:PORT under which address the others reach this node", c.listen.Value)
	}
	if isEverywhere(c.advertise.Value) {
		return nil, nil, cli.Errorf(cli.ExitUsage, "--advertise %s is no address that others can reach: name one of this machine's", c.advertise.Value)
	}
	if err := cli.CheckTLS(&c.tls); err != nil {
		return nil, nil, err
	}
	ownerOnly()
	l, err := net.Listen("tcp", c.listen.Value)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, nil, cli.Errorf(cli.ExitError, "cannot listen on %s: the port is in use; choose another with --listen, or end the process that has it", c.listen.Value)
	}
	if err != nil {
		return nil, nil, cli.Errorf(cli.ExitError, "cannot listen on %s: %w", c.listen.Value, err)
	}
	self := &core.Peer{Addr: c.advertise.Value}
	if self.Addr == "" {
		self.Addr = l.Addr().String()
	}
	return l, self, nil
}

// isEverywhere tells whether an address is of every interface of a machine.
func isEverywhere(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && (host == "" || ip != nil && ip.IsUnspecified())
}

// logger returns the node's log, which never waits for whoever reads it and names the node in
// each line, and a function that waits a little for what was logged to be written.
func (c *common) logger(stderr io.Writer, self *core.Peer) (*slog.Logger, func()) {
	c.label = cmp.Or(c.name, self.Addr[:min(len(self.Addr), core.NameBytesMax)])
	if c.tls == (netrpc.TLS{}) { // else a storage node's name is that of the certificate
		c.name = c.label
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.logLevel.Value)); err != nil {
		panic(err) // the flag takes no other values
	}
	to := func(w io.Writer) *slog.Logger {
		options := &slog.HandlerOptions{Level: level}
		var h slog.Handler = slog.NewTextHandler(w, options)
		if c.logFormat.Value == "json" {
			h = slog.NewJSONHandler(w, options)
		}
		return slog.New(h).With("node", netrpc.Printable(c.label))
	}
	signal.Ignore(syscall.SIGPIPE) // nor does it end with who reads it
	w := cli.NewLogWriter(stderr, func(lines int) []byte {
		var b bytes.Buffer
		to(&b).Error("lines of this log are missing here: nobody read them in time", "lines", lines)
		return b.Bytes()
	})
	c.admin.lost = w.Lost
	return to(w), func() { w.Flush(cli.FlushTime) }
}

// NewManager returns the command that runs a manager.
func NewManager() *cobra.Command {
	var c common
	var managers cli.Managers
	f := NewManagerFlags()
	cmd := &cobra.Command{
		Use:   "manager --listen HOST:PORT [--managers [NAME@]HOST:PORT,…]",
		Short: "Run a manager",
		Long: `Runs the manager of a cluster, or with --managers one of several. Every storage node and
client is told of it, or of all of them. With --dir a manager that is started again goes on
with its cluster. Without, it is a new, empty cluster, whose messages the nodes of the old one
refuse. Either all nodes of a cluster have a --dir, or none.

Of several managers more than half must be up; the others may die. They found a cluster when
all of them are there, and empty. One that comes back without its data, as each does that has
no --dir, is taken in again by the others, while those are more than half. For one at another
address there is 'gtstore managers replace'.`,
		Example: `  node manager --listen 10.0.0.1:7400 --replicas 2 --dir /var/lib/gtstore
  node manager --listen 10.0.0.1:7400 --managers 10.0.0.1:7400,10.0.0.2:7400,10.0.0.3:7400 --dir /var/lib/gtstore`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cli.Configure(cmd); err != nil {
				return err
			}
			if err := f.Check(); err != nil {
				return err
			}
			l, self, err := c.open()
			if err != nil {
				return err
			}
			log, flush := c.logger(cmd.ErrOrStderr(), self)
			defer flush()
			if err := c.admin.listen("manager", c.label, log); err != nil {
				l.Close()
				return err
			}
			opt := f.Options()
			opt.Self, opt.Process = *self, uint64(os.Getpid())
			if len(managers) > 0 {
				return c.runSeveral(cmd, managers, l, opt, log)
			}
			s, err := c.serve(cmd.Context(), disk.Manager, log, func(o netrpc.Options) (*netrpc.Server, error) { return netrpc.ServeManager(l, opt, o) })
			if err != nil {
				return notStarted(l, err, log)
			}
			f.placement.of = s.Placement() // what it is, whatever was asked for
			if c.dir == "" {
				log.Info("manager of a new cluster, in memory: if it ends, the cluster does", settings(cmd, s)...)
			} else {
				log.Info("manager", settings(cmd, s)...)
			}
			return run(cmd, &c, s, log)
		},
	}
	c.add(cmd.Flags())
	cmd.Flags().Var(&managers, "managers", "addresses of all managers, this one among them: the same list, in the same order, for each; three or five (default: this one alone); with TLS and NAME@, who answers must have a certificate of that name")
	f.Add(cmd.Flags())
	return cmd
}

// NewStorage returns the command that runs a storage node.
func NewStorage() *cobra.Command {
	var c common
	manager := cli.Address{Several: "--managers", Manager: true}
	var managers cli.Managers
	cmd := &cobra.Command{
		Use:   "storage --listen HOST:PORT --manager [NAME@]HOST:PORT | --managers [NAME@]HOST:PORT,…",
		Short: "Run a storage node",
		Long: `Runs a storage node. With --dir it keeps its data on disk, and goes on with them when
it is started again. Without, they live as long as the process, and one that is started
again is another, empty node. Data that are damaged are put aside, and the node begins
anew: the other members of its group fill it.`,
		Example: "  node storage --listen 10.0.0.2:7401 --manager 10.0.0.1:7400 --name node1 --dir /var/lib/gtstore",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cli.Configure(cmd); err != nil {
				return err
			}
			switch {
			case manager.Value == "" && len(managers) == 0:
				return cli.Errorf(cli.ExitUsage, "--manager is missing: say where the manager is, as HOST:PORT, or where all are, with --managers")
			case manager.Value != "" && len(managers) > 0:
				return cli.Errorf(cli.ExitUsage, "--manager names one that is alone, --managers several: leave one of them out")
			case len(managers) > quorum.MembersMax:
				return cli.Errorf(cli.ExitUsage, "--managers: %d are named, at most %d", len(managers), quorum.MembersMax)
			}
			l, self, err := c.open()
			if err != nil {
				return err
			}
			log, flush := c.logger(cmd.ErrOrStderr(), self)
			defer flush()
			if err := c.admin.listen("storage", c.label, log); err != nil {
				l.Close()
				return err
			}
			opt := core.StorageOptions{Self: *self, Manager: core.Peer{Addr: manager.Value}, Name: c.name, Process: uint64(os.Getpid())}
			for _, address := range managers {
				opt.Managers = append(opt.Managers, core.Peer{Addr: address})
			}
			s, err := c.serve(cmd.Context(), disk.Storage, log, func(o netrpc.Options) (*netrpc.Server, error) { return netrpc.ServeStorage(l, opt, o) })
			if err != nil {
				return notStarted(l, err, log)
			}
			if c.dir == "" {
				log.Info("storage node, in memory", settings(cmd, s)...)
			} else {
				log.Info("storage node", settings(cmd, s)...)
			}
			return run(cmd, &c, s, log)
		},
	}
	c.add(cmd.Flags())
	cmd.Flags().Var(&manager, "manager", "address of the manager, if there is one; with TLS and NAME@, who answers must have a certificate of that name")
	cmd.Flags().Var(&managers, "managers", "addresses of all managers, if there are several; with or without NAME@, likewise")
	cli.Alternatives(cmd.Flags(), "manager", "managers")
	return cmd
}

// notStarted ends a process whose node did not start. That it was told to end is no error.
func notStarted(l net.Listener, err error, log *slog.Logger) error {
	l.Close()
	if errors.Is(err, errToldToEnd) {
		log.Info("stopping: the node had not started yet")
		return nil
	}
	return err
}

// settings are what a node logs when it starts: its id, and every flag with its value.
func settings(cmd *cobra.Command, s *netrpc.Server) []any {
	list := []any{"id", s.Self().ID.String()}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" && !f.Hidden {
			list = append(list, f.Name, f.Value.String())
		}
	})
	return list
}

// warn says in the log that anybody may connect, if they can.
func (c *common) warn(log *slog.Logger) {
	host, _, err := net.SplitHostPort(c.listen.Value)
	ip := net.ParseIP(host)
	if c.tls == (netrpc.TLS{}) && err == nil && host != "localhost" && !(ip != nil && ip.IsLoopback()) {
		log.Warn("this node listens beyond this machine without TLS: whoever reaches it may read, write and administer the cluster; give every process --tls-cert, --tls-key and --tls-ca, or keep others off the network", "listen", c.listen.Value)
	}
}

// run waits until the node ends by itself, or ends it when the context does.
func run(cmd *cobra.Command, c *common, s *netrpc.Server, log *slog.Logger) error {
	defer raiseHeap()()
	c.warn(log)
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	if c.withStdin {
		go func() {
			_, _ = io.Copy(io.Discard, cmd.InOrStdin())
			if ctx.Err() == nil {
				os.Exit(cli.ExitError) // nobody is left to hear why
			}
		}()
	}
	if _, err := fmt.Fprint(cmd.OutOrStdout(), "listening ", s.Self().Addr, "\n", c.admin.line()); err != nil {
		s.Close()
		return cli.Failed(err)
	}
	tell(notify.Ready, log)
	return c.await(ctx, s, log)
}

// tell tells systemd a state, if it has started this process. Nothing else depends on that.
func tell(state string, log *slog.Logger) {
	if err := notify.Send(state); err != nil {
		log.Warn(err.Error())
	}
}

// await waits until a node has ended, or ends it when the context does.
func (c *common) await(ctx context.Context, s *netrpc.Server, log *slog.Logger) (err error) {
	for {
		select {
		case <-ctx.Done():
			log.Info("stopping")
			tell(notify.Stopping, log)
			s.Stop(stopTime)
		case <-s.Done():
		}
		if !errors.Is(s.Err(), quorum.ErrAnew) {
			break
		}
		log.Warn(strings.TrimPrefix(s.Err().Error(), "quorum: "))
		if s, err = c.again(); errors.Is(err, errToldToEnd) {
			return nil
		} else if err != nil {
			return err
		}
	}
	switch err = s.Err(); {
	case err == nil:
		return nil
	case errors.Is(err, core.ErrGroupLost):
		return cli.Errorf(cli.ExitGroupLost, "%s", strings.TrimPrefix(err.Error(), "core: "))
	default:
		return cli.Errorf(cli.ExitError, "%s%s", strings.TrimPrefix(err.Error(), "core: "), c.advice(err))
	}
}

// advice says what to do about a node that the manager has no place for, or whose disk has
// failed.
func (c *common) advice(err error) string {
	switch {
	case c.dir != "" && (errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.EIO)):
		return ".\nThe disk takes no more writes: look for what the system says of it, and start the node again when it is well, or in an empty --dir on another disk"
	case c.dir != "" && errors.Is(err, os.ErrNotExist):
		return ".\nThe directory, or a part of it, was removed while the node ran. A storage node begins anew when it is started again, and the other members of its group, if there are any, fill it. A manager would be that of a new cluster: restore its directory first"
	case errors.Is(err, core.ErrOtherCluster):
		return fmt.Sprintf(".\nName the manager of its own cluster with --manager. To have it begin anew in this one, give it an empty --dir; %s stays as it is", c.dir)
	case errors.Is(err, core.ErrMode) && c.dir == "":
		return ".\nThe manager has a --dir: give this node one too"
	case errors.Is(err, core.ErrMode):
		return ".\nThe manager has no --dir: start it with one, or this node without"
	case errors.Is(err, core.ErrBoot):
		return fmt.Sprintf(".\nAnother process, which was started on these data or on a copy of them, has this node's place or had it since. What only that has acknowledged is not in %s, and what this one acknowledged after the copy was made is not there. Only one can go on: leave the place to the other, and keep this directory until you know that nothing is missing. To have one node more, give this one an empty --dir", c.dir)
	case errors.Is(err, core.ErrRuns):
		return fmt.Sprintf(".\nSo %s is a copy, which may lack what that has acknowledged since. To move a node, stop it before its directory is copied. To have one node more, give this one an empty --dir", c.dir)
	case errors.Is(err, core.ErrOtherManager):
		return fmt.Sprintf(".\nAnother manager was started on these data, or on a copy of them, and runs or ran since. Let one run only, the one that knows the most; %s stays as it is", c.dir)
	case errors.Is(err, core.ErrForgotten) && c.dir != "":
		return fmt.Sprintf(".\nIts data were given up for good, so %s is of no more use. To have the node again, give it an empty --dir", c.dir)
	}
	return ""
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gtstore/cmd/internal/cli"
	"gtstore/cmd/internal/daemon"
	"gtstore/core"
	"gtstore/netrpc"
	"gtstore/netrpc/disk"
)

// startTime bounds how long a process that was started may take to be found by
// the others.
const startTime = 30 * time.Second

// nodesMax is the most storage nodes that up starts on one machine.
const nodesMax = 256

// nodesUsual is how many it starts if nobody says.
const nodesUsual = 7

// managerName is what up calls the manager, and its directory.
const managerName = "manager"

// portMax is the highest port.
const portMax = 65535

type upFlags struct {
	nodes    int
	found    int // nodes that have data in dir
	basePort int
	dir      string
	moved    bool
	logLevel cli.OneOf
	output   format
	manager  *daemon.ManagerFlags
}

func newUp() *cobra.Command {
	f := upFlags{manager: daemon.NewManagerFlags()}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run a whole cluster on this machine",
		Long: `Starts a manager and storage nodes, each a process of its own, and waits. All of them
end with this command, however it ends. A process that dies is reported and not
replaced. The data live in memory; with --dir they are on disk, and the next up with the
same directory finds them again: as many nodes, and more if --nodes says so. The other
flags may differ from the last time, and hold for the groups that are there, too. A group
keeps the members that it has when --replicas is less, and gets more from the spares when
it is more. It has other --reads, --lease and --min-chain within seconds; status shows that.
Only the --placement stays what it was when the cluster was made; another one is refused.`,
		Example: `  gtstore up
  gtstore up --dir ~/gtstore
  gtstore up --nodes 3 --replicas 2 --base-port 0 -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cli.Environment(cmd); err != nil {
				return err
			}
			if err := f.resume(cmd.Flags().Changed("nodes")); err != nil {
				return err
			}
			if err := f.check(); err != nil {
				return err
			}
			return cli.Failed(runUp(cmd, &f))
		},
	}
	flags := cmd.Flags()
	cli.Int(flags, &f.nodes, "nodes", nodesUsual, 1, nodesMax, "storage nodes; by default, with a --dir that has data, as many as there are in it")
	cli.Int(flags, &f.basePort, "base-port", defaultPort, 0, portMax, "port of the manager; the storage nodes have the next ones; 0 lets the system choose all")
	cli.Directory(flags, &f.dir, "dir", "directory for the data of the whole cluster, which goes on with them when it is started again; without it they live in memory")
	flags.BoolVar(&f.moved, "moved", false, "with --dir: it was moved here, all of it, and no cluster will be started again on the original")
	f.logLevel = cli.OneOf{Value: "warn", Values: []string{"debug", "info", "warn", "error"}}
	flags.Var(&f.logLevel, "log-level", "the least that the processes log")
	f.manager.Add(flags)
	addOutput(cmd, &f.output)
	return cmd
}

func (f *upFlags) check() error {
	switch o := f.manager.Options(); {
	case f.basePort+f.nodes > portMax:
		return cli.Errorf(cli.ExitUsage, "--base-port %d: want 0, or a port with %d more after it", f.basePort, f.nodes)
	case o.Replicas >= f.nodes && f.nodes == f.found:
		return cli.Errorf(cli.ExitUsage, "--replicas %d needs groups of %d nodes, but there are %d in %s: say --replicas %d, or --nodes %d to add some",
			o.Replicas, o.Replicas+1, f.found, f.dir, f.found-1, o.Replicas+1)
	case o.Replicas >= f.nodes:
		return cli.Errorf(cli.ExitUsage, "--replicas %d needs groups of %d nodes, but --nodes is %d", o.Replicas, o.Replicas+1, f.nodes)
	case o.Replicas+1+o.Spares > f.nodes:
		return cli.Errorf(cli.ExitUsage, "--spares %d: with --nodes %d and groups of %d nodes no group could ever be formed: want at most %d spares, or more nodes",
			o.Spares, f.nodes, o.Replicas+1, f.nodes-o.Replicas-1)
	}
	return f.manager.Check()
}

// resume looks at what is in the directory. A cluster goes on with all of its nodes: who
// were left out would be missed, and replaced, and of a group of whose members none was
// started nothing could be read.
func (f *upFlags) resume(nodesGiven bool) error {
	if f.dir == "" {
		if f.moved {
			return cli.Errorf(cli.ExitUsage, "--moved says something about a directory: name it with --dir")
		}
		return nil
	}
	last := ""
	for i := range nodesMax {
		if name := nodeName(i); disk.Used(f.dirOf(name)) {
			f.found, last = i+1, name
		}
	}
	switch hasManager := disk.Used(f.dirOf(managerName)); {
	case f.found == 0:
	case !hasManager:
		return cli.Errorf(cli.ExitError, "--dir %s: %s has data there, but the manager has none: only the manager knows which node has what. Bring %s back, or choose an empty directory",
			f.dir, last, f.dirOf(managerName))
	case !nodesGiven:
		f.nodes = f.found
	case f.nodes < f.found:
		return cli.Errorf(cli.ExitUsage, "--nodes %d: %s has data in %s: start at least %d nodes, or leave --nodes out. To have fewer for good, have 'gtstore drain %s' say OK first, and then remove %s",
			f.nodes, last, f.dir, f.found, last, f.dirOf(last))
	}
	return nil
}

// nodeName is the name of the i-th storage node, from 0, and of its directory.
func nodeName(i int) string { return fmt.Sprintf("node%d", i+1) }

// dirOf is where a process keeps its data.
func (f *upFlags) dirOf(name string) string { return filepath.Join(f.dir, name) }

// dirFlag has a process keep its data there, if they are to be on disk.
func (f *upFlags) dirFlag(name string) []string {
	if f.dir == "" {
		return nil
	}
	return []string{"--dir", f.dirOf(name), fmt.Sprintf("--moved=%t", f.moved)}
}

func (f *upFlags) address(i int) string {
	port := 0
	if f.basePort != 0 {
		port = f.basePort + i
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// runUp starts the cluster, tells how to use it, and waits for its end.
func runUp(cmd *cobra.Command, f *upFlags) error {
	ctx, cancel := watchParent(cmd.Context())
	defer cancel()
	log := cli.NewLogWriter(cmd.ErrOrStderr(), nil)
	defer log.Flush(cli.FlushTime)
	b := newChildren(log)
	defer b.end()
	manager, status, err := f.startAll(ctx, b, f.managerArgs(cmd.Flags()))
	if ctx.Err() != nil {
		return errors.New("stopped before the cluster was up")
	}
	if err != nil {
		return err
	}
	if err := f.present(cmd.OutOrStdout(), newStatusResult(status)); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-manager.ended:
		if code := manager.code(); code != 0 {
			return cli.Errorf(code, "the manager has ended (%s), and with it the cluster", manager.how())
		}
	}
	return nil
}

// managerArgs are the manager's arguments, but for its address. What was said to up, on
// the command line or in the environment, it is told.
func (f *upFlags) managerArgs(flags *pflag.FlagSet) []string {
	args := []string{"node", "manager", "--log-level", f.logLevel.Value}
	own := pflag.NewFlagSet("", pflag.ContinueOnError)
	daemon.NewManagerFlags().Add(own)
	own.VisitAll(func(flag *pflag.Flag) {
		args = append(args, "--"+flag.Name+"="+flags.Lookup(flag.Name).Value.String())
	})
	return append(args, f.dirFlag(managerName)...)
}

// hint adds what to do where processes did not start, by their number from 0, the manager's, and
// one of them because another has its port.
func (f *upFlags) hint(errs ...error) error {
	err := errors.Join(errs...)
	for i, e := range errs {
		if f.basePort != 0 && errors.Is(e, errEnded) && isTaken(f.address(i)) {
			return fmt.Errorf("%w.\nAnother cluster may be running. Choose other ports with --base-port; 0 lets the system choose", err)
		}
	}
	return err
}

// isTaken tells whether another process listens there.
func isTaken(address string) bool {
	l, err := net.Listen("tcp", address)
	if err == nil {
		l.Close()
	}
	return errors.Is(err, syscall.EADDRINUSE)
}

// startAll starts the processes, and returns when all storage nodes answer the manager.
func (f *upFlags) startAll(ctx context.Context, b *children, args []string) (*child, *netrpc.Status, error) {
	if f.found > 0 {
		return f.startAgain(ctx, b, args)
	}
	manager, err := b.start(ctx, managerName, append(args, "--listen", f.address(0)))
	if err != nil {
		return nil, nil, f.hint(err)
	}
	status, err := f.startNew(ctx, b, manager.address)
	return manager, status, err
}

// startNew starts the nodes of a new cluster one after the other, so that they register in
// this order: which becomes a primary is then the same each time.
func (f *upFlags) startNew(ctx context.Context, b *children, manager string) (*netrpc.Status, error) {
	c, err := dialSoon(ctx, manager)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	started := make(map[uint64]bool) // by process
	for i := range f.nodes {
		node, err := f.startNode(ctx, b, i, manager)
		if err != nil {
			return nil, f.hint(append(make([]error, i+1), err)...)
		}
		started[node.pid()] = true
		if _, err := f.assembled(ctx, c, started, func(*core.NodeStatus) bool { return true }); err != nil {
			return nil, err
		}
	}
	return f.assembled(ctx, c, started, func(n *core.NodeStatus) bool { return n.State == core.NodeUp })
}

// startAgain starts a cluster that has data: first all nodes at once, and when each has
// read its data, the manager. A manager that was there before them would miss those that
// take longer, and have their groups do without.
func (f *upFlags) startAgain(ctx context.Context, b *children, args []string) (*child, *netrpc.Status, error) {
	manager, err := f.managerAddress()
	if err != nil {
		return nil, nil, err
	}
	nodes, errs := make([]*child, f.nodes), make([]error, 1+f.nodes) // the first is the manager's
	var all sync.WaitGroup
	for i := range f.nodes {
		all.Go(func() { nodes[i], errs[i+1] = f.startNode(ctx, b, i, manager) })
	}
	all.Wait()
	if err := f.hint(errs...); err != nil {
		return nil, nil, err
	}
	m, err := b.start(ctx, managerName, append(args, "--listen", manager))
	if err != nil {
		return nil, nil, f.hint(err)
	}
	c, err := dialSoon(ctx, manager)
	if err != nil {
		return nil, nil, err
	}
	defer c.Close()
	started := make(map[uint64]bool) // by process
	for _, n := range nodes {
		started[n.pid()] = true
	}
	status, err := f.assembled(ctx, c, started, func(n *core.NodeStatus) bool { return n.State == core.NodeUp })
	return m, status, err
}

// managerAddress is where the manager is going to listen. If the system is to choose the
// port, it does so here, since the nodes are told before.
func (f *upFlags) managerAddress() (string, error) {
	if f.basePort != 0 {
		return f.address(0), nil
	}
	l, err := net.Listen("tcp", f.address(0))
	if err != nil {
		return "", fmt.Errorf("cannot find a port for the manager: %w", err)
	}
	return l.Addr().String(), l.Close()
}

func (f *upFlags) startNode(ctx context.Context, b *children, i int, manager string) (*child, error) {
	name := nodeName(i)
	args := []string{"node", "storage", "--listen", f.address(i + 1), "--manager", manager, "--name", name, "--log-level", f.logLevel.Value}
	return b.start(ctx, name, append(args, f.dirFlag(name)...))
}

func dialSoon(ctx context.Context, manager string) (*netrpc.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	return netrpc.Dial(ctx, []string{manager})
}

// assembled waits until the nodes of all processes that were started are registered, and
// as they should be.
func (f *upFlags) assembled(ctx context.Context, c *netrpc.Client, started map[uint64]bool, well func(*core.NodeStatus) bool) (*netrpc.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		s, err := statusOf(ctx, c)
		if err != nil {
			return nil, err
		}
		there := 0
		for i := range s.Nodes {
			if started[s.Nodes[i].Process] && well(&s.Nodes[i]) {
				there++
			}
		}
		if there == len(started) {
			return s, nil
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d nodes are there after %v: see what they say above, or with --log-level info", there, f.nodes, startTime)
		}
	}
}

// present prints what was started, and what to type next.
func (f *upFlags) present(w io.Writer, s *statusResult) error {
	if f.output == formatJSON {
		return printJSON(w, s)
	}
	var b bytes.Buffer
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tPID\tADDRESS")
	fmt.Fprintf(t, "manager\t%d\t%s\n", s.Manager.PID, s.Manager.Addr)
	for _, n := range s.Nodes {
		fmt.Fprintf(t, "%s\t%d\t%s\n", n.Name, n.PID, n.Addr)
	}
	t.Flush()
	flag := ""
	if _, other := os.LookupEnv(cli.Variable("manager")); other || f.basePort != defaultPort {
		flag = " --manager " + s.Manager.Addr
	}
	where := "in memory"
	if f.dir != "" {
		where = "on disk in " + f.dir
	}
	fmt.Fprintf(&b, `
A cluster of %d storage nodes, %d replicas, %s. In another shell:

  %[4]s put hello world%[5]s
  %[4]s get hello%[5]s
  %[4]s status%[5]s

Ctrl-C stops it.
`, f.nodes, f.manager.Options().Replicas, where, self(), flag)
	_, err := w.Write(b.Bytes())
	return err
}

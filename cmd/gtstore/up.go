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
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gtstore/cmd/gtstore/internal/certs"
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

// managersMax is the most managers that up starts.
const managersMax = 5

// portMax is the highest port.
const portMax = 65535

type upFlags struct {
	nodes    int
	managers int
	found    int // nodes that have data in dir
	basePort int
	dir      string
	moved    bool
	logLevel cli.OneOf
	output   format
	manager  *daemon.ManagerFlags

	withTLS bool
	certs   *certs.Authority // nil without TLS
}

func newUp() *cobra.Command {
	f := upFlags{manager: daemon.NewManagerFlags()}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run a whole cluster on this machine",
		Long: `Starts a manager, or several, and storage nodes, each a process of its own, and waits. All of
them end with this command, however it ends. A process that dies is reported and not
replaced. The data live in memory; with --dir they are on disk, and the next up with the
same directory finds them again: as many managers and nodes, and more nodes if --nodes says so.
A directory that is a single node's, or has other files in it, is refused. The other
flags may differ from the last time, and hold for the groups that are there, too. A group
keeps the members that it has when --replicas is less, and gets more from the spares when
it is more. It has other --reads, --lease and --min-chain within seconds; status shows that.
Only the --placement stays what it was when the cluster was made; another one is refused.`,
		Example: `  gtstore up
  gtstore up --dir ~/gtstore
  gtstore up --managers 3
  gtstore up --tls
  gtstore up --nodes 3 --replicas 2 --base-port 0 -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cli.Configure(cmd); err != nil {
				return err
			}
			if err := f.resume(cmd.Flags().Changed("nodes"), cmd.Flags().Changed("managers")); err != nil {
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
	cli.Int(flags, &f.managers, "managers", 1, 1, managersMax, "managers, of which more than half must be up: 3 outlive one death, 5 two; by default, with a --dir that has data, as many as there are in it")
	cli.Int(flags, &f.basePort, "base-port", defaultPort, 0, portMax, "port of the first manager; the others have the next ones, and then the storage nodes; 0 lets the system choose all")
	cli.Directory(flags, &f.dir, "dir", "directory for the data of the whole cluster, which goes on with them when it is started again; without it they live in memory")
	flags.BoolVar(&f.moved, "moved", false, "with --dir: it was moved here, all of it, and no cluster will be started again on the original")
	f.logLevel = cli.OneOf{Value: "warn", Values: []string{"debug", "info", "warn", "error"}}
	flags.Var(&f.logLevel, "log-level", "the least that the processes log")
	flags.BoolVar(&f.withTLS, "tls", false, "all connections have TLS, with certificates that are made in --dir, or in a temporary directory, and renewed; what the other commands need is printed")
	f.manager.Add(flags)
	cli.Configurable(flags)
	addOutput(cmd, &f.output)
	return cmd
}

func (f *upFlags) check() error {
	switch o := f.manager.Options(); {
	case f.basePort+f.managers-1+f.nodes > portMax:
		return cli.Errorf(cli.ExitUsage, "--base-port %d: want 0, or a port with %d more after it", f.basePort, f.managers-1+f.nodes)
	case f.managers%2 == 0:
		return cli.Errorf(cli.ExitUsage, "--managers %d: an even number outlives no more deaths than %d do: want 1, 3 or 5", f.managers, f.managers-1)
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
func (f *upFlags) resume(nodesGiven, managersGiven bool) error {
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
	managers := f.managersThere()
	switch {
	case managers > 0 && managersGiven && managers != f.managers:
		return cli.Errorf(cli.ExitUsage, "--managers %d: there are the data of %d in %s, and that stays so: leave --managers out", f.managers, managers, f.dir)
	case managers > 0:
		f.managers = managers
	}
	switch {
	case f.found == 0 && managers == 0:
		return f.checkNew()
	case f.found == 0:
	case managers == 0:
		return cli.Errorf(cli.ExitError, "--dir %s: %s has data there, but the manager has none: only the manager knows which node has what. Bring %s back, or choose an empty directory",
			f.dir, last, f.dirOf(f.managerName(0)))
	case !nodesGiven:
		f.nodes = f.found
	case f.nodes < f.found:
		return cli.Errorf(cli.ExitUsage, "--nodes %d: %s has data in %s: start at least %d nodes, or leave --nodes out. To have fewer for good, have 'gtstore drain %s' say OK first, and then remove %s",
			f.nodes, last, f.dir, f.found, last, f.dirOf(last))
	}
	return nil
}

// checkNew refuses a directory for a new cluster that is a single node's own, or has other things
// in it. What an earlier up left that did not come far is no such thing.
func (f *upFlags) checkNew() error {
	files, err := os.ReadDir(f.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return cli.Errorf(cli.ExitError, "--dir %s: what is in it cannot be read: %w", f.dir, err)
	}
	if disk.Used(f.dir) {
		return cli.Errorf(cli.ExitError, "--dir %s: it has the data of a single node, and a whole cluster needs another directory: choose an empty one, or that of an earlier up", f.dir)
	}
	own := []string{certsName, "lost+found"}
	for _, count := range []int{1, managersMax} {
		of := upFlags{managers: count}
		for i := range count {
			own = append(own, of.managerName(i))
		}
	}
	for i := range nodesMax {
		own = append(own, nodeName(i))
	}
	for _, file := range files {
		if !slices.Contains(own, file.Name()) {
			return cli.Errorf(cli.ExitError, "--dir %s: it is no directory of a cluster: there is %q in it; choose an empty one, or that of an earlier up", f.dir, file.Name())
		}
	}
	return nil
}

// managersThere counts the managers that have data in the directory: the highest number counts,
// as one of several may have lost its own.
func (f *upFlags) managersThere() int {
	n := 0
	for _, count := range []int{1, managersMax} {
		of := upFlags{dir: f.dir, managers: count}
		for i := range count {
			if disk.Used(f.dirOf(of.managerName(i))) {
				n = max(n, i+1)
			}
		}
	}
	if n%2 == 0 && n > 0 {
		n++
	}
	return n
}

// managerName is the name of the i-th manager, from 0, and of its directory.
func (f *upFlags) managerName(i int) string {
	if f.managers == 1 {
		return "manager"
	}
	return fmt.Sprintf("manager%d", i+1)
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
	end, err := f.makeCerts()
	if err != nil {
		return err
	}
	defer end()
	b := newChildren(log)
	defer b.end()
	managers, status, err := f.startAll(ctx, b, f.managerArgs(cmd.Flags()))
	if ctx.Err() != nil {
		return errors.New("stopped before the cluster was up")
	}
	if err != nil {
		return err
	}
	if err := f.present(cmd.OutOrStdout(), managers, b.admins(), newStatusResult(status)); err != nil {
		return err
	}
	return awaitEnd(ctx, managers)
}

// awaitEnd waits until up is to end, or all managers have ended.
func awaitEnd(ctx context.Context, managers []*child) error {
	for _, m := range managers {
		select {
		case <-ctx.Done():
			return nil
		case <-m.ended:
		}
	}
	for _, m := range managers {
		if code := m.code(); code != 0 {
			return cli.Errorf(code, "the %s has ended (%s), and with it the cluster", m.name, m.how())
		}
	}
	return nil
}

// managerArgs are a manager's arguments, but for addresses and its directory. What was said to up, on
// the command line or in the environment, it is told.
func (f *upFlags) managerArgs(flags *pflag.FlagSet) []string {
	args := []string{"node", "manager", "--log-level", f.logLevel.Value}
	own := pflag.NewFlagSet("", pflag.ContinueOnError)
	daemon.NewManagerFlags().Add(own)
	own.VisitAll(func(flag *pflag.Flag) {
		args = append(args, "--"+flag.Name+"="+flags.Lookup(flag.Name).Value.String())
	})
	return args
}

// hint adds what to do where processes did not start, by their number from 0, the managers' first,
// and one of them because another has its port.
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
func (f *upFlags) startAll(ctx context.Context, b *children, args []string) ([]*child, *netrpc.Status, error) {
	addresses, err := f.managerAddresses()
	if err != nil {
		return nil, nil, err
	}
	if f.found > 0 {
		return f.startAgain(ctx, b, args, addresses)
	}
	managers, err := f.startManagers(ctx, b, args, addresses)
	if err != nil {
		return nil, nil, err
	}
	if f.managers == 1 {
		addresses[0] = managers[0].address
	}
	status, err := f.startNew(ctx, b, addresses)
	return managers, status, err
}

// startManagers starts all managers at once: they wait for each other.
func (f *upFlags) startManagers(ctx context.Context, b *children, args, addresses []string) ([]*child, error) {
	managers, errs := make([]*child, f.managers), make([]error, f.managers)
	var all sync.WaitGroup
	for i, address := range addresses {
		all.Go(func() {
			own := append(slices.Clone(args), "--listen", address, "--name", f.managerName(i))
			if f.managers > 1 {
				own = append(own, "--managers", f.managerList(addresses))
			}
			own = append(own, f.tlsFlags("manager", f.managerName(i))...)
			managers[i], errs[i] = b.start(ctx, f.managerName(i), append(own, f.dirFlag(f.managerName(i))...))
		})
	}
	all.Wait()
	return managers, f.hint(errs...)
}

// startNew starts the nodes of a new cluster one after the other, so that they register in
// this order: which becomes a primary is then the same each time.
func (f *upFlags) startNew(ctx context.Context, b *children, managers []string) (*netrpc.Status, error) {
	c, err := f.dialSoon(ctx, managers)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	started := make(map[uint64]bool) // by process
	for i := range f.nodes {
		node, err := f.startNode(ctx, b, i, managers)
		if err != nil {
			return nil, f.hint(append(make([]error, f.managers+i), err)...)
		}
		started[node.pid()] = true
		if _, err := f.assembled(ctx, b, c, started, func(*core.NodeStatus) bool { return true }); err != nil {
			return nil, err
		}
	}
	return f.assembled(ctx, b, c, started, func(n *core.NodeStatus) bool { return n.State == core.NodeUp })
}

// startAgain starts a cluster that has data: first all nodes at once, and when each has
// read its data, the managers. A manager that was there before them would miss those that
// take longer, and have their groups do without.
func (f *upFlags) startAgain(ctx context.Context, b *children, args, addresses []string) ([]*child, *netrpc.Status, error) {
	nodes, errs := make([]*child, f.nodes), make([]error, f.managers+f.nodes) // the managers' come first
	var all sync.WaitGroup
	for i := range f.nodes {
		all.Go(func() { nodes[i], errs[f.managers+i] = f.startNode(ctx, b, i, addresses) })
	}
	all.Wait()
	if err := f.hint(errs...); err != nil {
		return nil, nil, err
	}
	managers, err := f.startManagers(ctx, b, args, addresses)
	if err != nil {
		return nil, nil, err
	}
	c, err := f.dialSoon(ctx, addresses)
	if err != nil {
		return nil, nil, err
	}
	defer c.Close()
	started := make(map[uint64]bool) // by process
	for _, n := range nodes {
		started[n.pid()] = true
	}
	status, err := f.assembled(ctx, b, c, started, func(n *core.NodeStatus) bool { return n.State == core.NodeUp })
	return managers, status, err
}

// managerAddresses are where the managers are going to listen. If the system is to choose the
// ports, it does so here where others are told before: the nodes of a cluster that is started
// again, and each of several managers of the others.
func (f *upFlags) managerAddresses() ([]string, error) {
	var addresses []string
	for i := range f.managers {
		addresses = append(addresses, f.address(i))
	}
	if f.basePort != 0 || f.managers == 1 && f.found == 0 {
		return addresses, nil
	}
	for i := range addresses {
		l, err := net.Listen("tcp", addresses[i])
		if err != nil {
			return nil, fmt.Errorf("cannot find a port for a manager: %w", err)
		}
		defer l.Close() // when all have theirs, so that no two have the same
		addresses[i] = l.Addr().String()
	}
	return addresses, nil
}

func (f *upFlags) startNode(ctx context.Context, b *children, i int, managers []string) (*child, error) {
	name, flag := nodeName(i), "--manager"
	if f.managers > 1 {
		flag = "--managers"
	}
	args := []string{"node", "storage", "--listen", f.address(f.managers + i), flag, f.managerList(managers), "--name", name, "--log-level", f.logLevel.Value}
	args = append(args, f.tlsFlags("node", name)...)
	return b.start(ctx, name, append(args, f.dirFlag(name)...))
}

func (f *upFlags) dialSoon(ctx context.Context, managers []string) (*netrpc.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	return f.dialer().Dial(ctx, strings.Split(f.managerList(managers), ","))
}

// assembled waits until the nodes of all processes that were started are registered, and
// as they should be. One that has ended is waited for no longer.
func (f *upFlags) assembled(ctx context.Context, b *children, c *netrpc.Client, started map[uint64]bool, well func(*core.NodeStatus) bool) (*netrpc.Status, error) {
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
		if gone := b.ended(started); gone != nil {
			return nil, fmt.Errorf("%s has ended (%s) before the cluster was up: what it said stands above", gone.name, gone.how())
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d nodes are there after %v: see what they say above, or with --log-level info", there, f.nodes, startTime)
		}
	}
}

// present prints what was started, and what to type next.
func (f *upFlags) present(w io.Writer, managers []*child, admins map[string]string, s *statusResult) error {
	if f.output == formatJSON {
		s.Admin = admins
		for i := range s.Managers {
			if at := slices.IndexFunc(managers, func(c *child) bool { return c.address == s.Managers[i].Addr }); at >= 0 {
				s.Managers[i].PID = managers[at].pid()
			}
		}
		return printJSON(w, upResult{s, f.tlsResult()})
	}
	var b bytes.Buffer
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tPID\tADDRESS")
	var addresses []string
	for _, m := range managers {
		fmt.Fprintf(t, "%s\t%d\t%s\n", m.name, m.pid(), m.address)
		addresses = append(addresses, m.address)
	}
	for _, n := range s.Nodes {
		fmt.Fprintf(t, "%s\t%d\t%s\n", n.Name, n.PID, n.Addr)
	}
	t.Flush()
	flag := ""
	if _, other := os.LookupEnv(cli.Variable("manager")); !f.withTLS && (other || f.basePort != defaultPort || f.managers > 1) {
		flag = " --manager " + f.managerList(addresses)
	}
	count := ""
	if f.managers > 1 {
		count = fmt.Sprintf("%d managers and ", f.managers)
	}
	where := "in memory"
	if f.dir != "" {
		where = "on disk in " + f.dir
	}
	if f.withTLS {
		where += ", with TLS"
	}
	page := ""
	if len(managers) > 0 { // another one may lead, but says who
		page = fmt.Sprintf("\nIts page is http://%[1]s/statusz, its events tells %[2]s events --admin %[1]s.\n", managers[0].admin, self())
	}
	fmt.Fprintf(&b, `
A cluster of %[6]s%[1]d storage nodes, %[2]d replicas, %[3]s. In another shell:

%[7]s  %[4]s put hello world%[5]s
  %[4]s get hello%[5]s
  %[4]s status%[5]s
%[8]s
Ctrl-C stops it.
`, f.nodes, f.manager.Options().Replicas, where, self(), flag, count, f.tlsHint(addresses), page)
	_, err := w.Write(b.Bytes())
	return err
}

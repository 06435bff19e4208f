package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gtstore/cmd/internal/cli"
	"gtstore/cmd/internal/daemon"
	"gtstore/core"
	"gtstore/netrpc"
)

// startTime bounds how long a process that was started may take to be found by
// the others.
const startTime = 30 * time.Second

// nodesMax is the most storage nodes that up starts on one machine.
const nodesMax = 256

// portMax is the highest port.
const portMax = 65535

type upFlags struct {
	nodes    int
	basePort int
	dir      string
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
same directory finds them again.`,
		Example: `  gtstore up
  gtstore up --dir ~/gtstore
  gtstore up --nodes 3 --replicas 2 --base-port 0 -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cli.Environment(cmd); err != nil {
				return err
			}
			if err := f.check(); err != nil {
				return err
			}
			return cli.Failed(runUp(cmd, &f))
		},
	}
	flags := cmd.Flags()
	cli.Int(flags, &f.nodes, "nodes", 7, 1, nodesMax, "storage nodes")
	cli.Int(flags, &f.basePort, "base-port", defaultPort, 0, portMax, "port of the manager; the storage nodes have the next ones; 0 lets the system choose all")
	flags.StringVar(&f.dir, "dir", "", "directory for the data of the whole cluster, which goes on with them when it is started again; without it they live in memory")
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
	case o.Replicas >= f.nodes:
		return cli.Errorf(cli.ExitUsage, "--replicas %d needs groups of %d nodes, but --nodes is %d", o.Replicas, o.Replicas+1, f.nodes)
	case o.Replicas+1+o.Spares > f.nodes:
		return cli.Errorf(cli.ExitUsage, "--spares %d: with --nodes %d and groups of %d nodes no group could ever be formed: want at most %d spares, or more nodes",
			o.Spares, f.nodes, o.Replicas+1, f.nodes-o.Replicas-1)
	}
	return f.manager.Check()
}

// dirOf has a process keep its data in a directory of its own below --dir.
func (f *upFlags) dirOf(name string) []string {
	if f.dir == "" {
		return nil
	}
	return []string{"--dir", filepath.Join(f.dir, name)}
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
	args := []string{"node", "manager", "--listen", f.address(0), "--log-level", f.logLevel.Value}
	// What was said to up, on the command line or in the environment, the
	// manager is told.
	own := pflag.NewFlagSet("", pflag.ContinueOnError)
	daemon.NewManagerFlags().Add(own)
	own.VisitAll(func(flag *pflag.Flag) {
		args = append(args, "--"+flag.Name+"="+cmd.Flags().Lookup(flag.Name).Value.String())
	})
	args = append(args, f.dirOf("manager")...)
	manager, err := b.start(ctx, "manager", args)
	if err != nil {
		return f.hint(err)
	}
	status, err := f.startNodes(ctx, b, manager.address)
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

// hint adds what to do about a port that is in use.
func (f *upFlags) hint(err error) error {
	if f.basePort == 0 {
		return err
	}
	return fmt.Errorf("%w.\nAnother cluster may be running. Choose other ports with --base-port; 0 lets the system choose", err)
}

// startNodes starts the storage nodes. The nodes of a new cluster start one after the
// other, so that they register in this order: which becomes a primary is then the same each
// time. Those that have data start at once: each is missed by its group until it is there.
// startNodes returns when all answer.
func (f *upFlags) startNodes(ctx context.Context, b *children, manager string) (*netrpc.Status, error) {
	dialled, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	c, err := netrpc.Dial(dialled, []string{manager})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	known, err := statusOf(ctx, c)
	if err != nil {
		return nil, err
	}
	started := make(map[uint64]bool) // by process
	for i := range f.nodes {
		name := fmt.Sprintf("node%d", i+1)
		args := []string{"node", "storage", "--listen", f.address(i + 1), "--manager", manager, "--name", name, "--log-level", f.logLevel.Value}
		node, err := b.start(ctx, name, append(args, f.dirOf(name)...))
		if err != nil {
			return nil, f.hint(err)
		}
		started[uint64(node.cmd.Process.Pid)] = true
		if len(known.Nodes) > 0 {
			continue
		}
		if _, err := f.assembled(ctx, c, started, func(*core.NodeStatus) bool { return true }); err != nil {
			return nil, err
		}
	}
	return f.assembled(ctx, c, started, func(n *core.NodeStatus) bool { return n.State == core.NodeUp })
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

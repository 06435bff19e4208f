package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gtstore/cmd/internal/cli"
	"gtstore/cmd/internal/daemon"
	"gtstore/cmd/internal/notify"
)

// children are the processes that up has started. They end with it, even when it is
// killed: the standard input of each is a pipe whose other end only up holds. When up
// ends, the system closes that end, and the process sees the end of its input.
type children struct {
	log    io.Writer
	mu     sync.Mutex // of log and of the next two
	all    []*child
	ending bool
}

// child is one of the processes.
type child struct {
	name    string
	address string
	admin   string // of its admin listener
	cmd     *exec.Cmd
	stdin   io.Closer
	ended   chan struct{} // closed when it has; cmd.ProcessState is then set
}

func newChildren(log io.Writer) *children { return &children{log: log} }

var errEnded = errors.New("ended at once")

// start runs this program with other arguments and waits until it listens.
func (b *children) start(ctx context.Context, name string, args []string) (*child, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("cannot find this program itself: %w", err)
	}
	c := &child{name: name, cmd: exec.Command(program, append(args, "--admin", "127.0.0.1:0", "--exit-with-stdin")...), ended: make(chan struct{})}
	c.cmd.Env = environmentOf(os.Environ())
	ownGroup(c.cmd)
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	c.stdin = stdin
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	stderr, err := c.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", name, err)
	}
	b.mu.Lock()
	b.all = append(b.all, c)
	b.mu.Unlock()
	listening := make(chan [2]string, 1)
	go b.watch(c, stdout, stderr, listening)
	select {
	case at := <-listening:
		c.address, c.admin = at[0], at[1]
		return c, nil
	case <-c.ended:
		return nil, fmt.Errorf("%s %w (%s): what it said stands above", name, errEnded, c.how())
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// environmentOf leaves out of an environment what the flags of a node can be set with. up
// says to its nodes what they are to do; an address to advertise, for one, would be that
// of all of them.
func environmentOf(all []string) []string {
	flags := map[string]bool{notify.Socket: true} // up is not told of as ready by its nodes
	for _, node := range []*cobra.Command{daemon.NewManager(), daemon.NewStorage()} {
		node.Flags().VisitAll(func(f *pflag.Flag) { flags[cli.Variable(f.Name)] = true })
	}
	return slices.DeleteFunc(slices.Clone(all), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return flags[name]
	})
}

// watch passes on a process's log until it ends, and says how it did.
func (b *children) watch(c *child, stdout, stderr io.Reader, listening chan<- [2]string) {
	var readers sync.WaitGroup
	readers.Go(func() {
		r := bufio.NewReader(stdout)
		var at [2]string
		for i, what := range []string{"listening", "admin"} {
			if line, err := r.ReadString('\n'); err == nil {
				at[i] = strings.TrimSpace(strings.TrimPrefix(line, what))
			}
		}
		if at[1] != "" {
			listening <- at
		}
		_, _ = io.Copy(io.Discard, r)
	})
	readers.Go(func() {
		s := bufio.NewScanner(stderr)
		s.Buffer(nil, 1<<20)
		for s.Scan() {
			b.say("%s: %s", c.name, s.Text())
		}
		_, _ = io.Copy(io.Discard, stderr)
	})
	readers.Wait()
	_ = c.cmd.Wait() // how it ended is in the ProcessState
	b.mu.Lock()
	ending := b.ending
	b.mu.Unlock()
	if !ending && c.address != "" {
		b.say("%s (pid %d, %s) has ended: %s", c.name, c.cmd.Process.Pid, c.address, c.how())
	}
	close(c.ended)
}

func (b *children) say(text string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var line bytes.Buffer
	fmt.Fprintf(&line, text+"\n", args...)
	_, _ = b.log.Write(line.Bytes())
}

// ended returns one of the processes with those numbers that has ended; nil if none has.
func (b *children) ended(pids map[uint64]bool) *child {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.all {
		select {
		case <-c.ended:
			if pids[c.pid()] {
				return c
			}
		default:
		}
	}
	return nil
}

// admins are the admin listeners of all processes, by name.
func (b *children) admins() map[string]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make(map[string]string)
	for _, c := range b.all {
		list[c.name] = c.admin
	}
	return list
}

func (c *child) pid() uint64 { return uint64(c.cmd.Process.Pid) }

// how tells in what way a process has ended.
func (c *child) how() string { return c.cmd.ProcessState.String() }

// code is the exit code of a process that has ended, ExitError if a signal did
// it.
func (c *child) code() int {
	if code := c.cmd.ProcessState.ExitCode(); code >= 0 {
		return code
	}
	return cli.ExitError
}

// endTime is how long the processes have to end in good order.
const endTime = 3 * time.Second

// end stops all processes: the managers first, for they would take the farewells
// of the others for the loss of every group.
func (b *children) end() {
	b.mu.Lock()
	b.ending = true
	managers, nodes := []*child(nil), []*child(nil)
	for _, c := range b.all {
		if strings.HasPrefix(c.name, "manager") {
			managers = append(managers, c)
		} else {
			nodes = append(nodes, c)
		}
	}
	b.mu.Unlock()
	late, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	for _, list := range [][]*child{managers, nodes} {
		for _, c := range list {
			_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		}
		for _, c := range list {
			select {
			case <-c.ended:
			case <-late.Done():
				_ = c.cmd.Process.Kill()
				<-c.ended
			}
			c.stdin.Close()
		}
	}
}

// self is how a person would call this program again.
func self() string {
	if strings.Contains(os.Args[0], "go-build") {
		return "go run ./cmd/gtstore"
	}
	if filepath.Base(os.Args[0]) == os.Args[0] || strings.HasPrefix(os.Args[0], ".") {
		return os.Args[0]
	}
	return filepath.Base(os.Args[0])
}

// watchParent returns a context that ends also when the go command that runs this
// program has ended. go run passes Ctrl-C on to the program, but not a SIGTERM, and
// nothing tells the program when go run is killed.
func watchParent(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	parent := os.Getppid()
	if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", parent)); err != nil || strings.TrimSpace(string(name)) != "go" {
		return ctx, cancel
	}
	go func() {
		for ctx.Err() == nil {
			time.Sleep(100 * time.Millisecond)
			if os.Getppid() != parent {
				cancel()
			}
		}
	}()
	return ctx, cancel
}

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The kinds of system, by which client is used.
const (
	kindGTStore = "gtstore"
	kindRedis   = "redis"
	kindEtcd    = "etcd"
)

const (
	startTime = 30 * time.Second // that a system may take until it can be used
	endTime   = 3 * time.Second  // and to end
)

// system is one of those that are compared.
type system struct {
	name      string
	kind      string
	addresses []string
	pids      []int
}

// machine is where the systems run.
type machine struct {
	dir     string // for all files
	durable bool   // every copy syncs each put to it
	procs   []*exec.Cmd
}

// endsWithUs has the kernel kill a process when the thread that started it ends: main keeps
// to the process's first thread, so that is when this process ends.
func endsWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// start starts a process. What it says goes to a file.
func (m *machine) start(name, program string, args ...string) (*exec.Cmd, error) {
	log, err := os.Create(filepath.Join(m.dir, name+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has it
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = m.dir, log, log, endsWithUs()
	for _, entry := range os.Environ() { // what is set for other clusters is not for these
		if !strings.HasPrefix(entry, "ETCD_") && !strings.HasPrefix(entry, "GTSTORE_") {
			cmd.Env = append(cmd.Env, entry)
		}
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	m.procs = append(m.procs, cmd)
	return cmd, nil
}

// end ends all that was started and removes all files.
func (m *machine) end() {
	for _, cmd := range m.procs {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	}
	for _, cmd := range m.procs {
		late := time.AfterFunc(endTime, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait() // how it ended is of no interest now
		late.Stop()
	}
	if err := os.RemoveAll(m.dir); err != nil {
		fmt.Fprintln(os.Stderr, "compare: files are left behind:", err)
	}
}

// log is the end of what a process said.
func (m *machine) log(name string) string {
	text, _ := os.ReadFile(filepath.Join(m.dir, name+".log"))
	return string(text[max(0, len(text)-2000):])
}

// startGTStore starts a cluster with one mode of reading.
func (m *machine) startGTStore(ctx context.Context, program, reads string) (*system, error) {
	name := "gtstore-" + reads
	args := []string{"up", "--base-port", "0", "--nodes", "3", "--reads", reads, "-o", "json"}
	if m.durable {
		args = append(args, "--dir", filepath.Join(m.dir, name))
	}
	if _, err := m.start(name, program, args...); err != nil {
		return nil, err
	}
	var up struct {
		Manager struct {
			Addr string
			PID  int
		}
		Nodes []struct{ PID int }
	}
	err := m.until(ctx, name, func() error {
		file, err := os.Open(filepath.Join(m.dir, name+".log"))
		if err != nil {
			return err
		}
		defer file.Close()
		line, err := bufio.NewReader(file).ReadString('\n')
		if err != nil {
			return err
		}
		return json.Unmarshal([]byte(line), &up)
	})
	if err != nil {
		return nil, err
	}
	s := &system{name: "GTStore", kind: kindGTStore, addresses: []string{up.Manager.Addr}, pids: []int{up.Manager.PID}}
	if reads != "confirm" {
		s.name += ", " + reads
	}
	for _, n := range up.Nodes {
		s.pids = append(s.pids, n.PID)
	}
	return s, nil
}

// startRedis starts a primary and two replicas, without files unless each put is synced.
func (m *machine) startRedis(ctx context.Context, program string) (*system, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	s := &system{name: "Redis", kind: kindRedis}
	for i, port := range ports {
		args := []string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"}
		if m.durable {
			args = append(args, "--appendonly", "yes", "--appendfsync", "always", "--appenddirname", fmt.Sprintf("redis%d", i))
		}
		if i > 0 {
			args = append(args, "--replicaof", "127.0.0.1", ports[0])
		}
		cmd, err := m.start(fmt.Sprintf("redis%d", i), program, args...)
		if err != nil {
			return nil, err
		}
		s.pids = append(s.pids, cmd.Process.Pid)
	}
	s.addresses = []string{net.JoinHostPort("127.0.0.1", ports[0])}
	return s, m.until(ctx, "redis0", func() error {
		ctx, cancel := context.WithTimeout(ctx, time.Second) // WAIT waits for replicas that are yet to come
		defer cancel()
		r, err := dialRedis(ctx, s.addresses[0])
		if err != nil {
			return err
		}
		defer r.conn.Close()
		return r.Put(ctx, "ready", nil)
	})
}

func (m *machine) startEtcd(ctx context.Context, program string) (*system, error) {
	ports, err := freePorts(6)
	if err != nil {
		return nil, err
	}
	url := func(port string) string { return "http://127.0.0.1:" + port }
	var members []string
	for i := range 3 {
		members = append(members, fmt.Sprintf("etcd%d=%s", i, url(ports[3+i])))
	}
	s := &system{name: "etcd", kind: kindEtcd}
	for i := range 3 {
		name, client, peer := fmt.Sprintf("etcd%d", i), url(ports[i]), url(ports[3+i])
		cmd, err := m.start(name, program, "--name", name, "--data-dir", filepath.Join(m.dir, name),
			"--listen-client-urls", client, "--advertise-client-urls", client,
			"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
			"--initial-cluster", strings.Join(members, ","), "--log-level", "error", "--logger", "zap")
		if err != nil {
			return nil, err
		}
		s.pids = append(s.pids, cmd.Process.Pid)
		s.addresses = append(s.addresses, client)
	}
	return s, m.until(ctx, "etcd0", func() error {
		ctx, cancel := context.WithTimeout(ctx, dialTime)
		defer cancel()
		c, err := dialLeader(ctx, s.addresses)
		if err != nil {
			return err
		}
		defer c.Close()
		return etcdStore{c}.Put(ctx, "ready", nil)
	})
}

// until waits for a system that was started.
func (m *machine) until(ctx context.Context, name string, ready func() error) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%s cannot be used: %w; it said:\n%s", name, err, m.log(name))
		}
	}
}

// freePorts returns ports that nobody uses. Neither Redis nor etcd can be told to let the
// system choose one.
func freePorts(n int) (ports []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // when all are found, so that they differ
		ports = append(ports, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	}
	return ports, nil
}

// packages are Debian's packages of the programs. Their services are named as the programs.
var packages = map[string]string{"redis-server": "redis-server", "etcd": "etcd-server"}

// install installs the programs that are missing, and has Debian's services of them not run.
func install(ctx context.Context, programs ...string) error {
	var missing, names []string
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			missing, names = append(missing, p), append(names, packages[p])
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("%s: not installed; install it, run this as root on Debian, or leave systems out with --systems", strings.Join(missing, ", "))
	}
	lines := [][]string{{"apt-get", "update"}, append([]string{"apt-get", "install", "-y", "--no-install-recommends"}, names...)}
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		lines = append(lines, append([]string{"systemctl", "disable", "--now"}, missing...))
	}
	for _, line := range lines {
		fmt.Fprintln(os.Stderr, "+", strings.Join(line, " "))
		cmd := exec.CommandContext(ctx, line[0], line[1:]...)
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("cannot install %s: %s: %w; is there a network? Leave systems out with --systems",
				strings.Join(names, ", "), strings.Join(line, " "), err)
		}
	}
	return nil
}

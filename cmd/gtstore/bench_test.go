package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/cmd/gtstore/internal/load"
	"gtstore/cmd/internal/cli"
	"gtstore/core"
)

// bench runs a short load on a cluster and returns what it printed.
func (u *running) bench(t *testing.T, line string) *benchResult {
	t.Helper()
	return benchOf(t, u.ok(t, append(strings.Fields("bench -o json "+line), "--keys", "50")...))
}

func benchOf(t *testing.T, stdout string) *benchResult {
	t.Helper()
	var r benchResult
	d := json.NewDecoder(strings.NewReader(stdout))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&r), stdout)
	_, err := d.Token()
	require.Equal(t, io.EOF, err, "one object, and nothing else")
	for _, k := range r.kinds() {
		o := load.Operations{Latency: k.Histogram}
		l, err := o.Latencies()
		require.NoError(t, err)
		require.Equal(t, k.Operations, l.Count())
		require.Len(t, k.Series, load.Points)
		ended := int64(0)
		for _, n := range k.Series {
			ended += n
		}
		require.LessOrEqual(t, ended, k.Operations)
		require.LessOrEqual(t, k.P50, k.P99)
		require.LessOrEqual(t, k.P99, k.P999)
		require.LessOrEqual(t, k.P999, k.Max)
		require.NotNil(t, k.Errors)
	}
	return &r
}

func failures(r *benchResult) (n int64) {
	for _, k := range r.kinds() {
		for _, e := range k.Errors {
			n += e.Count
		}
	}
	return n
}

// untilLoad waits until a load has begun: the keys are written once before, and so a key
// that gets another version is under load.
func (u *running) untilLoad(t *testing.T, prefix string) {
	t.Helper()
	first := ""
	require.Eventually(t, func() bool {
		code, stdout, _ := u.on(t, "", "get", prefix+"0000000000", "-o", "json")
		if code != cli.ExitOK {
			return false
		}
		version := field(t, stdout, "version")
		first = cmp.Or(first, version)
		return version != first
	}, patience, 5*time.Millisecond)
}

func TestBench(t *testing.T) {
	u := startUp(t, nil, "--nodes", "3")
	for _, c := range []struct {
		name, line string
		due        int64 // operations, 0 if that depends on how fast they are
		puts, gets bool
	}{
		{"closed loop", "--for 200ms", 0, true, true},
		{"only gets", "--for 100ms --reads 1 --clients 1", 0, false, true},
		{"only puts, zipf", "--for 100ms --reads 0 --distribution zipf --value-size 0", 0, true, false},
		{"open loop", "--for 400ms --rate 500", 200, true, true},
		{"one key, long values", "--for 100ms --rate 100 --value-size 100000", 10, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := u.bench(t, c.line)
			all := r.Puts.Operations + r.Gets.Operations + failures(r) + r.NotStarted
			require.Positive(t, all)
			if c.due > 0 {
				require.Equal(t, c.due, all, "the rate is kept: each that is due is somewhere")
			}
			require.Zero(t, failures(r), "gets find their keys")
			if c.due == 0 {
				require.Equal(t, c.puts, r.Puts.Operations > 0)
				require.Equal(t, c.gets, r.Gets.Operations > 0)
			}
			require.Zero(t, r.Unfinished)
			require.False(t, r.Interrupted)
			require.InEpsilon(t, float64(r.Puts.Operations+r.Gets.Operations), r.OpsPerSecond*r.ElapsedSeconds, 0.001)
		})
	}
	require.NotEmpty(t, u.ok(t, "get", "bench/0000000049"), "the keys stay")

	text := u.ok(t, "bench", "--for", "50ms", "--prefix", "other\n", "--keys", "3")
	require.Contains(t, text, "closed loop, 16 clients in 1 process\n50 % gets, 3 keys (uniform), values of 100 bytes, ")
	require.Regexp(t, `(?m)^ +OPERATIONS +PER SECOND +P50 +P99 +P99.9 +MAX +FAILED$`, text)
	require.Regexp(t, `(?m)^ +puts +[\d,]+ +[\d,]+( +[\d.]+ ms){4} +0$`, text)
	require.NotEmpty(t, u.ok(t, "get", "other\n0000000002"))
}

// A cluster that stands still for a part of the time: what was due meanwhile is late, though
// none of it had been sent.
func TestAStalledClusterShowsInThePercentiles(t *testing.T) {
	u := startUp(t, nil, "--nodes", "1", "--replicas", "0", "--lost-after", "1h")
	const stall = 600 * time.Millisecond
	done := make(chan string)
	go func() {
		_, stdout, stderr := u.on(t, "", "bench", "--rate", "500", "--for", "2s", "--keys", "50", "--clients", "4", "-o", "json")
		done <- stdout + stderr
	}()
	u.untilLoad(t, "bench/")
	pid := int(u.status.Nodes[0].PID)
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	time.Sleep(stall) // this is the stall, and not a wait for something
	require.NoError(t, syscall.Kill(pid, syscall.SIGCONT))
	r := benchOf(t, <-done)
	require.EqualValues(t, 1000, r.Puts.Operations+r.Gets.Operations+failures(r)+r.NotStarted)
	for _, k := range r.kinds() {
		// Only four were under way. A third of all were due while it stood still, and so
		// a tenth is late by at least two thirds of the stall.
		o := load.Operations{Latency: k.Histogram}
		l, err := o.Latencies()
		require.NoError(t, err)
		require.Greater(t, l.Percentile(90), stall/3)
		require.Greater(t, l.Percentile(100), stall/2)
	}
}

func TestFailedOperationsAreAResult(t *testing.T) {
	u := startUp(t, nil, "--nodes", "1", "--replicas", "0", "--lost-after", "1h")
	type outcome struct {
		code           int
		stdout, stderr string
	}
	done := make(chan outcome)
	go func() {
		code, stdout, stderr := run(t, "", "bench", "--manager", u.status.Manager.Addr, "--timeout", "1s", "--for", "3s", "--keys", "50", "-o", "json")
		done <- outcome{code, stdout, stderr}
	}()
	u.untilLoad(t, "bench/")
	require.NoError(t, syscall.Kill(int(u.status.Nodes[0].PID), syscall.SIGKILL))
	o := <-done
	require.Equal(t, cli.ExitOK, o.code, o.stderr)
	r := benchOf(t, o.stdout)
	require.Positive(t, failures(r))
	for _, k := range r.kinds() {
		for _, e := range k.Errors {
			require.Contains(t, []string{"unavailable", "unknown outcome", "group lost"}, e.Class)
			require.Contains(t, e.Example, `"bench/00000000`)
		}
	}
	require.Regexp(t, `(?m)^(puts|gets) failed, [a-z ]+: [\d,]+\n  for example: (put|get) "bench/`, r.text())

	// Now that no key can be written there is no load.
	code, stdout, stderr := run(t, "", "bench", "--manager", u.status.Manager.Addr, "--timeout", "200ms", "--keys", "50")
	require.Contains(t, []int{cli.ExitUnavailable, cli.ExitGroupLost, cli.ExitUnknown}, code)
	require.Empty(t, stdout)
	require.Contains(t, stderr, "cannot write the 50 keys, so the load did not begin: put")
}

func TestBenchPlot(t *testing.T) {
	m, _ := inProcess(t, core.ManagerOptions{}, "node1")
	for _, name := range []string{"a.svg", "a.HTML"} {
		file := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(file, bytes.Repeat([]byte("old "), 10_000), 0o666))
		code, stdout, stderr := run(t, "", "bench", "--for", "50ms", "--keys", "5", "--plot", file, "--manager", m.Self().Addr)
		require.Zero(t, code, stderr)
		require.Contains(t, stdout, "closed loop")
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NotContains(t, string(text), "old ")
		require.Contains(t, string(text), "50 % gets, 5 keys")
		require.Equal(t, name == "a.HTML", bytes.HasPrefix(text, []byte("<!DOCTYPE html>")))
		require.NoError(t, xml.Unmarshal(text, new(struct{})))
	}
}

// Whoever has waited for a load must not learn then that its plot cannot be written.
func TestAPlotThatCannotBeWrittenIsSaidBeforeTheLoad(t *testing.T) {
	m, _ := inProcess(t, core.ManagerOptions{}, "node1")
	dir := t.TempDir()
	for _, name := range []string{"nowhere/a.svg", "folder.html"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "folder.html"), 0o777))
		code, stdout, stderr := run(t, "", "bench", "--for", "1h", "--plot", filepath.Join(dir, name), "--manager", m.Self().Addr)
		require.Equal(t, cli.ExitError, code)
		require.Empty(t, stdout)
		require.Contains(t, stderr, "cannot write the plot, so nothing was done: open "+filepath.Join(dir, name))
	}
	code, _, _ := run(t, "", "get", "bench/0000000000", "--manager", m.Self().Addr)
	require.Equal(t, cli.ExitNotFound, code, "nothing was done")
}

// A load that does not come to its end leaves a plot's file as it was.
func TestAPlotOfNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l.Close() // now nobody listens there
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "old.svg"), []byte("old"), 0o666))
	for _, name := range []string{"old.svg", "new.svg"} {
		code, _, _ := run(t, "", "bench", "--plot", filepath.Join(dir, name), "--manager", l.Addr().String())
		require.Equal(t, cli.ExitUnavailable, code)
	}
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 1)
	text, err := os.ReadFile(filepath.Join(dir, "old.svg"))
	require.NoError(t, err)
	require.Equal(t, "old", string(text))
}

func TestBenchWhenInterrupted(t *testing.T) {
	u := startUp(t, nil, "--nodes", "1", "--replicas", "0")
	for _, line := range []string{"", "--rate 100"} {
		t.Run(line, func(t *testing.T) {
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			var stdout, stderr lockedBuffer
			code := make(chan int)
			prefix := t.Name() // keys of its own
			go func() {
				args := append(strings.Fields("bench --for 1h -o json --keys 20 --manager "+u.status.Manager.Addr+" --prefix "+prefix), strings.Fields(line)...)
				code <- cli.Execute(ctx, newRoot(), args, nil, &stdout, &stderr)
			}()
			u.untilLoad(t, prefix)
			interrupt()
			require.Equal(t, cli.ExitOK, <-code, "%s", &stderr)
			r := benchOf(t, stdout.String())
			require.True(t, r.Interrupted)
			require.Zero(t, failures(r), "what was cut off is no failure")
			require.Contains(t, r.text(), ", interrupted\n")
		})
	}
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	var stdout, stderr bytes.Buffer
	require.Equal(t, cli.ExitUnavailable, cli.Execute(ctx, newRoot(), []string{"bench", "--manager", u.status.Manager.Addr}, nil, &stdout, &stderr))
	require.Empty(t, stdout.String())
}

func TestBenchInSeveralProcesses(t *testing.T) {
	t.Setenv(asCommand, "1") // for the processes that it starts
	u := startUp(t, nil, "--nodes", "3")
	r := u.bench(t, "--processes 3 --clients 7 --for 200ms")
	require.Zero(t, failures(r))
	require.Positive(t, r.Puts.Operations)
	require.Positive(t, r.Gets.Operations)
	require.Equal(t, 7, r.Clients)
	require.Equal(t, 3, r.Processes)
	require.Contains(t, r.title(), "7 clients in 3 processes")
	for i := range 50 {
		require.NotEmpty(t, u.ok(t, "get", fmt.Sprintf("bench/%010d", i)), "each process writes a part of the keys")
	}

	r = u.bench(t, "--processes 3 --rate 600 --for 400ms")
	require.EqualValues(t, 240, r.Puts.Operations+r.Gets.Operations+failures(r)+r.NotStarted, "200 a second by each")

	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l.Close() // now nobody listens there
	code, stdout, stderr := run(t, "", "bench", "--processes", "2", "--manager", l.Addr().String())
	require.Equal(t, cli.ExitUnavailable, code)
	require.Empty(t, stdout)
	require.Equal(t, 1, strings.Count(stderr, "connection refused"), "said once: %s", stderr)
}

// However bench ends, no client process of it is left behind.
func TestBenchLeavesNoProcessBehind(t *testing.T) {
	u := startUp(t, nil, "--nodes", "1", "--replicas", "0")
	for i, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(s.String(), func(t *testing.T) {
			prefix := fmt.Sprintf("%d/", i) // keys of its own
			cmd := exec.Command(os.Args[0], "bench", "--processes", "3", "--for", "1h", "--keys", "20", "--prefix", prefix,
				"--manager", u.status.Manager.Addr, "-o", "json")
			cmd.Env = append(os.Environ(), asCommand+"=1")
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			require.NoError(t, cmd.Start())
			u.untilLoad(t, prefix)
			parts := childrenOf(t, cmd.Process.Pid)
			require.Len(t, parts, 3)
			require.NoError(t, cmd.Process.Signal(s))
			err := cmd.Wait()
			for _, pid := range parts {
				require.Eventually(t, func() bool { return !alive(pid) }, patience, 5*time.Millisecond, "process %d is left behind", pid)
			}
			if s != syscall.SIGKILL {
				require.NoError(t, err, "exit code 0: %s", &stderr)
				require.True(t, benchOf(t, stdout.String()).Interrupted)
			}
		})
	}
}

// A client process that dies leaves a load that nobody asked for.
func TestBenchEndsWithAClientProcess(t *testing.T) {
	u := startUp(t, nil, "--nodes", "1", "--replicas", "0")
	cmd := exec.Command(os.Args[0], "bench", "--processes", "2", "--for", "1h", "--keys", "20", "--manager", u.status.Manager.Addr)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	require.NoError(t, cmd.Start())
	u.untilLoad(t, "bench/")
	parts := childrenOf(t, cmd.Process.Pid)
	require.Len(t, parts, 2)
	require.NoError(t, syscall.Kill(parts[0], syscall.SIGKILL))
	require.Error(t, cmd.Wait())
	require.Equal(t, cli.ExitError, cmd.ProcessState.ExitCode())
	require.Regexp(t, `client process [12] ended without a result: signal: killed`, stderr.String())
	require.False(t, alive(parts[1]))
}

// childrenOf returns the processes that one has started and that are there.
func childrenOf(t *testing.T, pid int) (children []int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(t, err)
	for _, name := range stats {
		stat, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended meanwhile
		}
		var child, parent int
		if _, err := fmt.Sscan(string(stat), &child); err != nil {
			continue
		}
		_, after, _ := bytes.Cut(stat, []byte(") ")) // a name may hold anything
		if _, err := fmt.Sscanf(string(after), "%1s %d", new(string), &parent); err == nil && parent == pid {
			children = append(children, child)
		}
	}
	return children
}

func TestBenchProgress(t *testing.T) {
	f := benchFlags{keys: 2000, length: 10 * time.Second}
	for text, p := range map[string]load.Progress{
		"writing the keys, which stay in the cluster: 1,200 of 2,000": {Filled: 1200},
		"2s of 10s: 30,000 operations, 15,000/s":                      {Filled: 2000, Operations: 30_000, Elapsed: 2 * time.Second},
		"2.1s of 10s: 0 operations, 0/s; 7 failed; 1,000 not started": {Errors: 7, NotStarted: 1000, Elapsed: 2100 * time.Millisecond},
	} {
		require.Equal(t, text, f.progressLine(p))
	}
}

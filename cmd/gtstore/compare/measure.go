package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gtstore/cmd/gtstore/internal/load"
)

const (
	keys      = 1000
	prefix    = "bench/"
	keySize   = 16 // of the prefix and the digits
	valueSize = 100
	opTimeout = 10 * time.Second
)

// job is one measurement: what a process for it is told.
type job struct {
	Kind      string // of the system
	Addresses []string
	PIDs      []int // of the system
	Callers   int
	Reads     float64 // 0 for puts, 1 for gets
	For       time.Duration
}

// measured is what came of a job.
type measured struct {
	Rate   float64       // operations a second
	P50    time.Duration // of an operation
	P99    time.Duration
	Server time.Duration // CPU time of the system, for an operation
	Client time.Duration // and of its client

	// Written is how many bytes the system wrote to disk, for each byte of the keys and values
	// of the puts; all copies together.
	Written float64
}

// loadArgument makes this program the process of one job, which it reads from its standard
// input. So each begins with a fresh heap, and its CPU time is its own.
const loadArgument = "load"

func runJob() error {
	var j job
	if err := json.NewDecoder(os.Stdin).Decode(&j); err != nil {
		return err
	}
	store, end, err := stores(j.Kind, j.Addresses, j.Callers)
	if err != nil {
		return err
	}
	defer end()
	l := load.New(load.Options{
		Clients: j.Callers, Reads: j.Reads, ValueSize: valueSize, Keys: keys, Prefix: prefix, Distribution: load.Uniform,
		For: j.For, Timeout: opTimeout, Seed: rand.Uint64(), Class: func(err error) string { return err.Error() },
	}, store)
	if err := l.Fill(context.Background()); err != nil {
		return err
	}
	m, err := j.measure(l)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(m)
}

func (j *job) measure(l *load.Load) (*measured, error) {
	server, err := cpuTime(j.PIDs)
	if err != nil {
		return nil, err
	}
	written, err := bytesWritten(j.PIDs)
	if err != nil {
		return nil, err
	}
	client := ownCPUTime()
	r := l.Run(context.Background())
	client = ownCPUTime() - client
	after, err := cpuTime(j.PIDs)
	if err != nil {
		return nil, err
	}
	writtenAfter, err := bytesWritten(j.PIDs)
	if err != nil {
		return nil, err
	}
	operations := &r.Puts
	if j.Reads == 1 {
		operations = &r.Gets
	}
	if len(operations.Errors) > 0 { // with errors it is another load, and no figure
		return nil, fmt.Errorf("%d operations failed: %s", operations.Errors[0].Count, operations.Errors[0].Example)
	}
	latencies, err := operations.Latencies()
	if err != nil {
		return nil, err
	}
	n := latencies.Count()
	return &measured{
		Rate: float64(n) / r.Elapsed.Seconds(), P50: latencies.Percentile(50), P99: latencies.Percentile(99),
		Server: (after - server) / time.Duration(n), Client: client / time.Duration(n),
		Written: float64(writtenAfter-written) / float64(n*(keySize+valueSize)),
	}, nil
}

// run has a process of its own do the job.
func (j *job) run(ctx context.Context) (*measured, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, loadArgument)
	cmd.Stdin, cmd.Stderr, cmd.SysProcAttr = strings.NewReader(string(text)), os.Stderr, endsWithUs()
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	m := new(measured)
	return m, json.Unmarshal(out, m)
}

// ticksPerSecond is the unit of CPU times in /proc, the same on all of Linux's platforms.
const ticksPerSecond = 100

// cpuTime is the CPU time that processes have taken so far, to a hundredth of a second each.
func cpuTime(pids []int) (sum time.Duration, err error) {
	for _, pid := range pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, err
		}
		_, after, _ := strings.Cut(string(stat), ") ") // the name may hold anything
		fields := strings.Fields(after)
		const user, system = 14 - 3, 15 - 3 // as proc(5) numbers them
		for _, field := range []int{user, system} {
			ticks, err := strconv.ParseInt(fields[field], 10, 64)
			if err != nil {
				return 0, err
			}
			sum += time.Duration(ticks) * time.Second / ticksPerSecond
		}
	}
	return sum, nil
}

// bytesWritten is how much processes have had written to disks so far.
func bytesWritten(pids []int) (sum int64, err error) {
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
		if err != nil {
			return 0, err
		}
		_, after, _ := strings.Cut(string(text), "write_bytes: ")
		line, _, _ := strings.Cut(after, "\n")
		n, err := strconv.ParseInt(line, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

func ownCPUTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // only for arguments that are wrong
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

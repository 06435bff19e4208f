package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// flags say what is measured.
type flags struct {
	rounds  int
	length  time.Duration
	callers []int
	systems []string
	dir     string // "": nothing is synced to a disk
}

// The names of the systems for --systems.
const (
	nameConfirm = "gtstore"
	nameLease   = "gtstore-lease"
	nameRedis   = "redis"
	nameEtcd    = "etcd"
)

var allSystems = []string{nameConfirm, nameLease, nameRedis, nameEtcd}

const (
	roundsMax  = 1000
	callersMax = 1024
)

func main() {
	runtime.LockOSThread() // see endsWithUs
	var err error
	switch {
	case len(os.Args) == 2 && os.Args[1] == loadArgument:
		err = runJob()
	case len(os.Args) == 2 && os.Args[1] == plotArgument:
		var all []*growth
		if all, err = readGrowth(os.Stdin); err == nil {
			err = plot(os.Stdout, all)
		}
	default:
		err = compare()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func parseFlags() (*flags, error) {
	var f flags
	flag.IntVar(&f.rounds, "rounds", 5, "how often each system is measured at each point")
	flag.DurationVar(&f.length, "for", 2*time.Second, "how long each measurement takes")
	callers := flag.String("callers", "1,16,64", "callers at a time, in one client process")
	flag.StringVar(&f.dir, "dir", "", "folder on a disk: every system then syncs each put to it, on every copy, before it is acknowledged")
	systems := flag.String("systems", strings.Join(allSystems, ","), "what is compared")
	flag.Parse()
	f.systems = strings.Split(*systems, ",")
	switch {
	case flag.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q; see --help", flag.Arg(0))
	case f.rounds < 1 || f.rounds > roundsMax:
		return nil, fmt.Errorf("--rounds %d: want 1 to %d", f.rounds, roundsMax)
	case f.length < 100*time.Millisecond || f.length > time.Hour:
		return nil, fmt.Errorf("--for %v: want 100ms to 1h", f.length)
	}
	for _, s := range f.systems {
		if !slices.Contains(allSystems, s) {
			return nil, fmt.Errorf("--systems %s: want some of %s", s, strings.Join(allSystems, ","))
		}
	}
	for _, text := range strings.Split(*callers, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > callersMax {
			return nil, fmt.Errorf("--callers %s: want numbers from 1 to %d, with commas", text, callersMax)
		}
		f.callers = append(f.callers, n)
	}
	return &f, nil
}

func compare() error {
	f, err := parseFlags()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var programs []string
	if slices.Contains(f.systems, nameRedis) {
		programs = append(programs, "redis-server")
	}
	if slices.Contains(f.systems, nameEtcd) {
		programs = append(programs, "etcd")
	}
	if err := install(ctx, programs...); err != nil {
		return err
	}
	parent := f.dir
	if parent == "" {
		parent = memoryDir()
	}
	dir, err := os.MkdirTemp(parent, "gtstore-compare-")
	if err != nil {
		return err
	}
	m := &machine{dir: dir, durable: f.dir != ""}
	defer m.end()
	systems, err := m.startAll(ctx, f.systems)
	if err != nil {
		return err
	}
	describe(dir, programs)
	r, err := f.measure(ctx, systems)
	if err != nil {
		return err
	}
	r.print(os.Stdout)
	return nil
}

// memoryDir is where files are kept in memory, or "" for the usual place.
func memoryDir() string {
	const dir, tmpfsMagic = "/dev/shm", 0x01021994
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err == nil && fs.Type == tmpfsMagic {
		return dir
	}
	fmt.Fprintln(os.Stderr, "compare: there is no tmpfs at "+dir+": etcd syncs its log to a disk, and is the slower for it")
	return ""
}

func (m *machine) startAll(ctx context.Context, names []string) (systems []*system, err error) {
	program := filepath.Join(m.dir, "gtstore")
	// In the folder of GTStore's module, as its commands need more than this one lists.
	if said, err := exec.CommandContext(ctx, "go", "build", "-C", "..", "-o", program, ".").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("cannot build gtstore in the folder above; run this as: go -C cmd/gtstore/compare run .: %w\n%s", err, said)
	}
	for _, name := range names {
		fmt.Fprintln(os.Stderr, "starting", name)
		var s *system
		switch name {
		case nameConfirm:
			s, err = m.startGTStore(ctx, program, "confirm")
		case nameLease:
			s, err = m.startGTStore(ctx, program, "lease")
		case nameRedis:
			s, err = m.startRedis(ctx, "redis-server")
		case nameEtcd:
			s, err = m.startEtcd(ctx, "etcd")
		}
		if err != nil {
			return nil, err
		}
		systems = append(systems, s)
	}
	return systems, nil
}

// describe prints where this is measured, and what.
func describe(dir string, programs []string) {
	processor := "unknown"
	text, _ := os.ReadFile("/proc/cpuinfo")
	for _, line := range strings.Split(string(text), "\n") {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			processor = strings.TrimLeft(name, "\t :")
		}
	}
	busy, _ := os.ReadFile("/proc/loadavg")
	fmt.Printf("%d cores, %s; files in %s; load averages before: %s\n", runtime.NumCPU(), processor, filepath.Dir(dir), strings.TrimSpace(string(busy)))
	for _, p := range programs {
		version, _ := exec.Command(p, "--version").Output()
		first, _, _ := strings.Cut(string(version), "\n")
		fmt.Println(first)
	}
	fmt.Println(runtime.Version())
}

// point is what is measured in each round, of each system.
type point struct {
	name    string
	reads   float64
	callers int
}

func (f *flags) points() (all []point) {
	for i, name := range []string{"put", "get"} {
		for _, n := range f.callers {
			all = append(all, point{name, float64(i), n})
		}
	}
	return all
}

// measure has the systems take turns, so that whatever else the machine does meanwhile
// meets all of them alike.
func (f *flags) measure(ctx context.Context, systems []*system) (*results, error) {
	r := &results{systems: systems, points: f.points(), durable: f.dir != ""}
	r.all = make([][][]*measured, len(r.points))
	for i := range r.all {
		r.all[i] = make([][]*measured, len(systems))
	}
	for round := range f.rounds {
		for i, p := range r.points {
			for k := range systems {
				k = (k + round) % len(systems)
				s := systems[k]
				j := job{Kind: s.kind, Addresses: s.addresses, PIDs: s.pids, Callers: p.callers, Reads: p.reads, For: f.length}
				m, err := j.run(ctx)
				if ctx.Err() != nil {
					return nil, errors.New("interrupted: a comparison needs all of its rounds")
				}
				if err != nil {
					return nil, fmt.Errorf("round %d, %s of %s with %d callers: %w", round+1, p.name, s.name, p.callers, err)
				}
				r.all[i][k] = append(r.all[i][k], m)
				fmt.Fprintf(os.Stderr, "round %d of %d: %s, %d callers, %s: %.0f/s\n", round+1, f.rounds, p.name, p.callers, s.name, m.Rate)
			}
		}
	}
	return r, nil
}

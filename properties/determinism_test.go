package properties

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"gtstore/sim"
	"gtstore/sim/check"
	"gtstore/sim/generate"
	"gtstore/sim/schedule"
)

const (
	determinismSchedules = 120
	// determinismEnv makes TestDeterminism a child, which tests nothing. It prints its
	// answer to the question in this variable: "runs" or "events SCHEDULE FROM TO".
	determinismEnv = "GTSTORE_DETERMINISM_CHILD"
	answerMark     = "answer: "
)

// An asker has schedules run in this process or in another, and returns the answer to a
// question about the runs, in lines.
type asker func(t *testing.T, question string) []string

// here answers in this process. make makes schedule i.
func here(make func(i int) *schedule.Schedule) asker {
	return func(t *testing.T, question string) []string {
		var i, from, to int
		if question == "runs" {
			return runLines(make)
		}
		_, err := fmt.Sscanf(question, "events %d %d %d", &i, &from, &to)
		require.NoError(t, err)
		return eventLines(make(i), from, to)
	}
}

func determinismSchedule(i int) *schedule.Schedule {
	return generate.Schedule(generate.NewSource(uint64(i)))
}

// runLines has a line for each schedule: the recording of its run, and the verdict. The
// hashes in it cover whole messages.
func runLines(make func(i int) *schedule.Schedule) []string {
	lines := []string{}
	for i := range determinismSchedules {
		out := check.RunWith(make(i), sim.RunOptions{FullHash: true})
		lines = append(lines, fmt.Sprintf("%v # %s", out.Recording, out.Verdict))
	}
	return lines
}

// eventLines has a line for each event of a run from one number to another: the hash
// after it, and what it was.
func eventLines(s *schedule.Schedule, from, to int) []string {
	events := map[int]string{}
	out := check.RunWith(s, sim.RunOptions{FullHash: true, KeepHashes: true, Log: func(r *sim.LogRecord) {
		if r.Event >= from && r.Event <= to {
			events[r.Event] = r.String()
		}
	}})
	lines := []string{}
	for n := from; n <= min(to, len(out.Hashes)); n++ {
		lines = append(lines, fmt.Sprintf("%016x %s", out.Hashes[n-1], events[n]))
	}
	return lines
}

// child answers in a fresh process of a test binary of this package.
func child(binary, threads string) asker {
	return func(t *testing.T, question string) []string {
		cmd := exec.Command(binary, "-test.run=^TestDeterminism$")
		cmd.Env = append(os.Environ(), determinismEnv+"="+question, "GOMAXPROCS="+threads)
		out, err := cmd.Output()
		require.NoError(t, err, "%s", out)
		lines := []string{}
		for line := range strings.SplitSeq(string(out), "\n") {
			if answer, ok := strings.CutPrefix(line, answerMark); ok {
				lines = append(lines, answer)
			}
		}
		return lines
	}
}

// firstDifference compares the runs of two askers. It says which schedule is the first
// that ran differently, and from which event on; "" when there is none. The checkpoints
// of the two recordings tell about where they part. Then both run again, and tell what
// happened there.
func firstDifference(t *testing.T, a, b asker) string {
	as, bs := a(t, "runs"), b(t, "runs")
	require.Len(t, as, determinismSchedules)
	require.Len(t, bs, determinismSchedules)
	for i := range as {
		if as[i] == bs[i] {
			continue
		}
		from, to := differenceOf(t, as[i], bs[i])
		question := fmt.Sprintf("events %d %d %d", i, from, to)
		ae, be := append(a(t, question), "it has ended"), append(b(t, question), "it has ended")
		for n := range min(len(ae), len(be)) {
			if ae[n] != be[n] {
				return fmt.Sprintf("schedule %d differs from event %d on:\n%s\n%s", i, from+n, ae[n], be[n])
			}
		}
		return fmt.Sprintf("schedule %d: the events are the same, but not what followed the last, or the verdict:\n%s\n%s", i, as[i], bs[i])
	}
	return ""
}

// differenceOf returns the range of events in which two runs begin to differ, by their
// recordings.
func differenceOf(t *testing.T, a, b string) (from, to int) {
	ra, rb := recordingIn(t, a), recordingIn(t, b)
	to = min(ra.Events, rb.Events) + 1
	every := max(ra.Every, rb.Every) // both are powers of two
	for from = every; from < to; from += every {
		if ra.Checkpoints[from/ra.Every-1] != rb.Checkpoints[from/rb.Every-1] {
			to = from
			break
		}
	}
	return from - every + 1, to
}

func recordingIn(t *testing.T, line string) *schedule.Recording {
	line, _, _ = strings.Cut(line, " # ")
	s, err := schedule.Parse(line)
	require.NoError(t, err)
	return s.Recorded
}

// TestDeterminism: the same schedule gives the same events every time. It runs twice in
// this process, and in fresh ones: with one thread and with two, with the race detector
// and without.
func TestDeterminism(t *testing.T) {
	first := here(determinismSchedule)
	if question, ok := os.LookupEnv(determinismEnv); ok {
		for _, line := range first(t, question) {
			fmt.Println(answerMark + line)
		}
		return
	}
	require.Empty(t, firstDifference(t, first, first), "twice in one process")
	for _, build := range []struct {
		name string
		race bool
	}{{"plain", false}, {"race detector", true}} {
		t.Run(build.name, func(t *testing.T) {
			binary := testBinary(t, build.race)
			for _, threads := range []string{"1", "2"} {
				require.Empty(t, firstDifference(t, first, child(binary, threads)), "in a fresh process with GOMAXPROCS=%s", threads)
			}
		})
	}
}

// testBinary is a test binary of this package, with the race detector or without. It is
// the running one, if that is of the right kind.
func testBinary(t *testing.T, race bool) string {
	if race == raceDetector {
		return os.Args[0]
	}
	args := []string{"test", "-c", "-o", filepath.Join(t.TempDir(), "properties.test")}
	if race {
		compiler, err := exec.Command("go", "env", "CC").Output()
		require.NoError(t, err)
		if _, err := exec.LookPath(strings.TrimSpace(string(compiler))); err != nil {
			t.Skipf("the race detector needs a C compiler, and there is none here (%v); .ci/run installs one", err)
		}
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, ".")...)
	if race {
		cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return args[3]
}

// TestDivergenceIsFound: where two runs differ, TestDeterminism names the first event at
// which they do.
func TestDivergenceIsFound(t *testing.T) {
	const odd = 3 // this schedule has another seed in one of the two, so other delays of messages
	changed := func(i int) *schedule.Schedule {
		s := determinismSchedule(i)
		if i == odd {
			s.Shape.Seed++
		}
		return s
	}
	text := firstDifference(t, here(determinismSchedule), here(changed))

	a := check.RunWith(determinismSchedule(odd), sim.RunOptions{FullHash: true, KeepHashes: true})
	b := check.RunWith(changed(odd), sim.RunOptions{FullHash: true, KeepHashes: true})
	at := 0
	for at < min(len(a.Hashes), len(b.Hashes)) && a.Hashes[at] == b.Hashes[at] {
		at++
	}
	require.Less(t, at, min(len(a.Hashes), len(b.Hashes)), "the first diverging event")
	require.Contains(t, text, fmt.Sprintf("schedule %d differs from event %d on:\n%016x ", odd, at+1, a.Hashes[at]))
	require.Contains(t, text, fmt.Sprintf("\n%016x ", b.Hashes[at]))
}

// TestMessagesAreImmutable: nobody changes a message after it was sent.
func TestMessagesAreImmutable(t *testing.T) {
	for i := range 200 {
		s := generate.Schedule(generate.NewSource(uint64(1000 + i)))
		out := check.RunWith(s, sim.RunOptions{CheckImmutable: true})
		require.Nil(t, out.Violation, "schedule of source %d", 1000+i)
	}
}

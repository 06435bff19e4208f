package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"gtstore/cmd/internal/cli"
	"gtstore/sim/fuzz"
	"gtstore/sim/mark"
)

// progressInterval is how often the lines change, at most.
const progressInterval = 100 * time.Millisecond

// progress is some lines on a terminal, each time written over the ones before.
type progress struct {
	w     io.Writer
	on    bool
	shown time.Time
	lines int // on the terminal now
}

func (p *progress) show(lines ...string) {
	if !p.on || time.Since(p.shown) < progressInterval {
		return
	}
	p.shown = time.Now()
	// Without wrapping: on a narrow terminal a second line would stay for ever.
	fmt.Fprint(p.w, p.top()+"\x1b[?7l"+strings.Join(lines, "\x1b[K\n")+"\x1b[J\x1b[?7h")
	p.lines = len(lines)
}

// top moves the cursor to where the first line begins.
func (p *progress) top() string {
	if p.lines > 1 {
		return fmt.Sprintf("\r\x1b[%dA", p.lines-1)
	}
	return "\r"
}

func (p *progress) clear() {
	if p.on {
		fmt.Fprint(p.w, p.top()+"\x1b[J")
		p.shown, p.lines = time.Time{}, 0
	}
}

// say writes a line that stays, also where there is no terminal.
func (p *progress) say(line string) {
	p.clear()
	fmt.Fprintln(p.w, line)
}

// searchLines are the progress of a search.
func searchLines(s *fuzz.Stats) []string {
	return []string{
		fmt.Sprintf("%s schedules, %s/s; %s events/s; %s operations checked; %v",
			cli.Grouped(s.Schedules), cli.Grouped(s.PerSecond(s.Schedules)), cli.Grouped(s.PerSecond(s.Events)),
			cli.Grouped(s.Operations), s.Wall.Round(time.Second)),
		fmt.Sprintf("marks: %d of %d reached", s.MarksReached(), len(mark.All())),
		fmt.Sprintf("faults: %s", kindsOf(s)),
	}
}

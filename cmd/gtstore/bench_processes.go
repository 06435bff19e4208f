package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gtstore/cmd/gtstore/internal/load"
	"gtstore/cmd/internal/cli"
)

// A load of several client processes. The command that was typed starts this program again
// for each of them, with the flag --part. Each writes its part of the keys and says that it
// is ready. When all are, they begin together. They tell by lines of JSON on their standard
// output how far they are, and in the end what they measured. They listen on their standard
// input: its end is theirs, so that none outlives the command, however that ends.

// partMessage is a line of a client process. One of its fields is set.
type partMessage struct {
	Progress  *load.Progress  `json:"progress,omitempty"`
	Ready     bool            `json:"ready,omitempty"`
	Recording *load.Recording `json:"recording,omitempty"`
	Error     string          `json:"error,omitempty"` // why there is no recording
	Code      int             `json:"code,omitempty"`  // the exit code for it
}

// beginLine tells a client process to begin.
const beginLine = "begin"

// runPart is what a client process does.
func (f *benchFlags) runPart(cmd *cobra.Command) error {
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	begin := make(chan struct{})
	go func() {
		defer cancel()
		for s := bufio.NewScanner(cmd.InOrStdin()); s.Scan(); {
			if s.Text() == beginLine {
				close(begin)
			}
		}
	}()
	say := func(m partMessage) {
		if err := printJSON(cmd.OutOrStdout(), m); err != nil {
			cancel() // whoever reads it has ended
		}
	}
	r, err := f.runHere(ctx, func(p load.Progress) { say(partMessage{Progress: &p}) }, func() {
		say(partMessage{Ready: true})
		select {
		case <-begin:
		case <-ctx.Done():
		}
	})
	if err != nil {
		say(partMessage{Error: err.Error(), Code: cli.Code(cli.Failed(err))})
	} else {
		say(partMessage{Recording: r})
	}
	return nil
}

// part is a client process, as the command that started it sees it.
type part struct {
	number    int // from 1
	cmd       *exec.Cmd
	stdin     io.WriteCloser
	ended     chan struct{} // closed when it has
	ready     bool
	progress  load.Progress
	recording *load.Recording
}

// partEvent is a line of a client process, or nil at the end of its lines.
type partEvent struct {
	*part
	message *partMessage
}

// parts are the client processes of a load.
type parts struct {
	all    []*part
	events chan partEvent
	over   chan struct{} // closed when nobody listens to the events any more
}

// runProcesses runs the load in client processes and returns what they measured together.
func (f *benchFlags) runProcesses(cmd *cobra.Command, p *progress) (*load.Recording, error) {
	ps := parts{events: make(chan partEvent), over: make(chan struct{})}
	defer ps.end()
	for i := range f.processes {
		if err := ps.start(cmd, i+1); err != nil {
			return nil, fmt.Errorf("cannot start client process %d of %d: %w", i+1, f.processes, err)
		}
	}
	done := cmd.Context().Done()
	for {
		select {
		case <-done:
			ps.hangUp()
			done = nil // what was measured until now is still to come
		case e := <-ps.events:
			if err := ps.take(e); err != nil {
				return nil, err
			}
			p.show(f.progressLine(ps.progress()))
			if recordings := ps.recordings(); len(recordings) == len(ps.all) {
				return load.Merge(recordings)
			}
		}
	}
}

func (ps *parts) start(cmd *cobra.Command, number int) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	args := []string{"bench", fmt.Sprintf("--part=%d", number)}
	cmd.Flags().VisitAll(func(flag *pflag.Flag) { // all, so that its environment changes nothing
		switch flag.Name {
		case "part", "plot", "output", "help", "config":
		default:
			args = append(args, "--"+flag.Name+"="+flag.Value.String())
		}
	})
	p := &part{number: number, cmd: exec.Command(program, args...), ended: make(chan struct{})}
	p.cmd.Stderr = os.Stderr // nothing, unless it crashes
	ownGroup(p.cmd)          // Ctrl-C is for the command alone, which then ends the others
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	ps.all = append(ps.all, p)
	go ps.read(p, stdout)
	return nil
}

// read passes on what a process says, until it ends.
func (ps *parts) read(p *part, stdout io.Reader) {
	pass := func(e partEvent) {
		select {
		case ps.events <- e:
		case <-ps.over:
		}
	}
	lines := json.NewDecoder(stdout)
	for {
		m := new(partMessage)
		if err := lines.Decode(m); err != nil {
			break
		}
		pass(partEvent{p, m})
	}
	_, _ = io.Copy(io.Discard, stdout)
	_ = p.cmd.Wait() // how it ended is in the ProcessState
	close(p.ended)
	pass(partEvent{p, nil})
}

// take notes what a process said, and has all begin when all are ready.
func (ps *parts) take(e partEvent) error {
	switch m := e.message; {
	case m == nil && e.recording == nil:
		return fmt.Errorf("client process %d ended without a result: %v", e.number, e.cmd.ProcessState)
	case m == nil: // it has done what it had to
	case m.Error != "":
		return cli.Errorf(m.Code, "%s", m.Error)
	case m.Progress != nil:
		e.progress = *m.Progress
	case m.Recording != nil:
		e.recording = m.Recording
	case m.Ready:
		e.ready = true
		for _, p := range ps.all {
			if !p.ready {
				return nil
			}
		}
		for _, p := range ps.all {
			_, _ = fmt.Fprintln(p.stdin, beginLine) // if it has ended, that is said by its end
		}
	}
	return nil
}

// progress is that of all processes together.
func (ps *parts) progress() (sum load.Progress) {
	for _, p := range ps.all {
		sum.Filled += p.progress.Filled
		sum.Operations += p.progress.Operations
		sum.Errors += p.progress.Errors
		sum.NotStarted += p.progress.NotStarted
		sum.Elapsed = max(sum.Elapsed, p.progress.Elapsed)
	}
	return sum
}

func (ps *parts) recordings() (all []*load.Recording) {
	for _, p := range ps.all {
		if p.recording != nil {
			all = append(all, p.recording)
		}
	}
	return all
}

// hangUp tells all processes to end.
func (ps *parts) hangUp() {
	for _, p := range ps.all {
		p.stdin.Close()
	}
}

// end sees to it that no process is left.
func (ps *parts) end() {
	close(ps.over)
	ps.hangUp()
	late, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	for _, p := range ps.all {
		select {
		case <-p.ended:
		case <-late.Done():
			_ = p.cmd.Process.Kill()
			<-p.ended
		}
	}
}

package view

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// mermaidStepsMax is how many lines a diagram may have and still be read.
const mermaidStepsMax = 400

// TooLongError says that a run has too many steps for a readable sequence diagram.
type TooLongError struct{ Steps int }

func (e *TooLongError) Error() string {
	return fmt.Sprintf("the run has %d steps worth showing, and a Mermaid diagram is readable up to %d", e.Steps, mermaidStepsMax)
}

// WriteMermaid writes the first run of a page as a Mermaid sequence diagram, up to the
// step at which it went wrong. It leaves out heartbeats. It refuses a run that is too
// long with a TooLongError.
func WriteMermaid(w io.Writer, p *Page) error {
	run := p.Runs[0]
	last := len(run.Steps.Kind) - 1
	if run.Bad >= 0 {
		last = run.Bad
	}
	shown := 0
	for i := range last + 1 {
		shown += 1 - run.Steps.Routine[i]
	}
	if shown > mermaidStepsMax {
		return &TooLongError{shown}
	}
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "---\ntitle: %q\n---\nsequenceDiagram\n", mermaidText(run.Headline))
	for _, h := range run.Hosts {
		fmt.Fprintf(b, "    participant %s as %s (%s)\n", h.Name, h.Name, h.Role)
	}
	for i := range last + 1 {
		if run.Steps.Routine[i] == 0 {
			run.mermaidStep(b, i)
		}
	}
	return b.Flush()
}

func (run *Run) mermaidStep(b io.Writer, i int) {
	s, m := &run.Steps, &run.Messages
	all := run.Hosts[0].Name + "," + run.Hosts[len(run.Hosts)-1].Name
	text := run.Strings[s.Text[i]]
	if said := run.Strings[s.Events[i]]; said != "" && s.Message[i] < 0 {
		text = strings.TrimPrefix(text+": "+said, "a deadline passed: ")
	}
	n := s.Message[i]
	switch {
	case n >= 0 && s.Kind[i] == StepLose:
		fmt.Fprintf(b, "    %s-x%s: %s, lost (%s)\n", run.Hosts[m.From[n]].Name, run.Hosts[m.To[n]].Name, mermaidText(run.Strings[m.Text[n]]), mermaidText(text))
	case n >= 0:
		said := ""
		if e := run.Strings[s.Events[i]]; e != "" {
			said = " (" + e + ")"
		}
		fmt.Fprintf(b, "    %s->>%s: %s\n", run.Hosts[m.From[n]].Name, run.Hosts[m.To[n]].Name, mermaidText(run.Strings[m.Text[n]]+said))
	case s.Kind[i] == StepCall:
		fmt.Fprintf(b, "    Note over %s: calls %s\n", run.Hosts[s.Host[i]].Name, mermaidText(text))
	case s.Kind[i] == StepFault || s.Kind[i] == StepBad || s.Host[i] < 0:
		fmt.Fprintf(b, "    Note over %s: ⚡ %s\n", all, mermaidText(text))
	default:
		fmt.Fprintf(b, "    Note over %s: %s\n", run.Hosts[s.Host[i]].Name, mermaidText(text))
	}
	if i == run.Bad && s.Kind[i] != StepBad {
		fmt.Fprintf(b, "    Note over %s: ✕ %s\n", all, mermaidText(run.Headline))
	}
}

// mermaidText makes a text fit for a line of a diagram. To Mermaid # and ; are syntax,
// and HTML is markup.
func mermaidText(s string) string {
	return strings.NewReplacer("#", "#35;", ";", "#59;", "<", "#60;", ">", "#62;", "&", "#38;", "%%", "%", "\n", " ", "\r", " ").Replace(s)
}

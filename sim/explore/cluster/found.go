package cluster

import (
	"errors"
	"fmt"
	"strings"

	"gtstore/sim/explore"
)

// Found is a counterexample: a scenario, the steps that lead to a violation, and which
// property that is of.
type Found struct {
	Scenario *Scenario
	Property string
	Steps    []string
}

const (
	lineViolates = "violates "
	lineStep     = "step "
)

// FoundText is the file of a counterexample: the scenario's own text, and the steps.
func FoundText(s *Scenario, v *explore.Violation) string {
	text := strings.TrimRight(s.text, "\n") + "\n\n"
	for i, line := range strings.Split(strings.TrimSpace(v.Text), "\n") {
		if i == 0 {
			line = v.Property + ": " + line
		}
		text += "# " + line + "\n"
	}
	text += lineViolates + v.Property + "\n"
	for _, step := range v.Steps {
		text += lineStep + step + "\n"
	}
	return text
}

// ParseFound reads what FoundText wrote.
func ParseFound(name, text string) (*Found, error) {
	var f Found
	var scenario []string
	for _, line := range strings.Split(text, "\n") {
		if step, ok := strings.CutPrefix(line, lineStep); ok {
			f.Steps = append(f.Steps, step)
		} else if property, ok := strings.CutPrefix(line, lineViolates); ok {
			f.Property = strings.TrimSpace(property)
		} else {
			scenario = append(scenario, line)
		}
	}
	if f.Property == "" {
		return nil, fmt.Errorf("%s: it has no line that says what is violated, so it is no counterexample", name)
	}
	var err error
	f.Scenario, err = Parse(name, strings.Join(scenario, "\n"))
	return &f, err
}

// ErrNotApplicable is that of a counterexample with a step that cannot be taken any more: the
// code behaves otherwise than it did.
var ErrNotApplicable = errors.New("not applicable")

// Replay takes the steps of a counterexample, and returns what is violated in the end; nil
// when nothing is.
func (f *Found) Replay() (*explore.Violation, error) {
	m, err := New(f.Scenario)
	if err != nil {
		return nil, err
	}
	m.drops = false // which messages are dead was learnt by the search
	v, err := explore.Replay(m, f.Steps)
	if err != nil && v == nil {
		return nil, fmt.Errorf("%w: %w", ErrNotApplicable, err)
	}
	return v, nil
}

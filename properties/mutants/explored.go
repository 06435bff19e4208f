package mutants

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Explored says what the explorer found in a mutant; By is "" for nothing.
type Explored struct {
	By, Scenario string
	Text         string
	Steps        int     // of the shortest way
	States       int64   // searched until then, of all scenarios
	Seconds      float64 // likewise
}

// Explore builds the explorer with the mutant as its core, in dir, and has it search the
// scenarios of the module at root, so many states of each at most. What the core says by
// ending counts too: that is a panic outside of a step.
func (m *Mutant) Explore(root, dir string, states int64, scenarios []string) (*Explored, error) {
	binary, err := m.build(root, dir, "./properties/mutants/explorer")
	if err != nil {
		return nil, err
	}
	defer os.Remove(binary)
	args := []string{fmt.Sprint(states)}
	for _, s := range scenarios {
		file, err := filepath.Abs(s)
		if err != nil {
			return nil, err
		}
		args = append(args, file)
	}
	cmd := exec.Command(binary, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		if text := stderr.String(); strings.Contains(text, "panic: core: ") {
			return &Explored{By: "panic", Text: text}, nil
		}
		return nil, fmt.Errorf("the explorer ended otherwise: %w\n%s", err, stderr.Bytes())
	} else if err != nil {
		return nil, err
	}
	var found struct {
		Explored
		Property string
	}
	if err := json.Unmarshal(out, &found); err != nil {
		return nil, err
	}
	found.By = found.Property
	return &found.Explored, nil
}

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

// Searcher is a program that searches with a mutant as its core: see package searcher.
type Searcher struct {
	mutant            *Mutant
	root, dir, binary string // the binary is "" until it is built
}

// Searcher is one of the module at root, which is built in dir by the first search. Close removes it.
func (m *Mutant) Searcher(root, dir string) *Searcher { return &Searcher{m, root, dir, ""} }

// Close removes the program, if there is one.
func (s *Searcher) Close() error {
	if s.binary == "" {
		return nil
	}
	return os.Remove(s.binary)
}

// Found says what a search found; By, a property, is "" for nothing.
type Found struct {
	By        string `json:"Property"`
	Text      string
	Scenario  string  // of the explorer
	Steps     int     // of the shortest way
	States    int64   // searched until then, of all scenarios
	Schedules int     // run until then
	Seconds   float64 // until then
}

// Explore searches the scenarios in files, so many states of each at most. What the core says by
// ending counts too: that is a panic outside of a step.
func (s *Searcher) Explore(states int64, files []string) (*Found, error) {
	words := []string{"explore", fmt.Sprint(states)}
	for _, f := range files {
		file, err := filepath.Abs(f)
		if err != nil {
			return nil, err
		}
		words = append(words, file)
	}
	return s.run(words...)
}

// Draw runs so many schedules of a seed at most, each drawn from nothing, or learning. Without
// learning each may have so many managers; 0 for as they are drawn.
func (s *Searcher) Draw(learn bool, seed, schedules, managers int) (*Found, error) {
	how := "draw"
	if learn {
		how = "learn"
	}
	return s.run(how, fmt.Sprint(seed), fmt.Sprint(schedules), fmt.Sprint(managers))
}

func (s *Searcher) run(words ...string) (*Found, error) {
	if s.binary == "" {
		var err error
		if s.binary, err = s.mutant.build(s.root, s.dir, "./properties/mutants/searcher"); err != nil {
			return nil, err
		}
	}
	cmd := exec.Command(s.binary, words...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		if text := stderr.String(); strings.Contains(text, "panic: core: ") {
			return &Found{By: "panic", Text: text}, nil
		}
		return nil, fmt.Errorf("the searcher ended otherwise: %w\n%s", err, stderr.Bytes())
	} else if err != nil {
		return nil, err
	}
	f := &Found{}
	return f, json.Unmarshal(out, f)
}

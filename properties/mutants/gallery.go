package mutants

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"gtstore/sim/schedule"
)

// Exhibit is a trace of the gallery: a schedule that the core survives, and that the
// mutant named in it does not.
type Exhibit struct {
	File     string // relative to the module's root
	Schedule *schedule.Schedule
	Mutant   *Mutant
	Property string // the one that the mutant violates
}

// Gallery reads the gallery of the module at root.
func Gallery(root string) ([]Exhibit, error) {
	files, err := filepath.Glob(filepath.Join(root, "traces/gallery/*.trace"))
	if err != nil {
		return nil, err
	}
	var list []Exhibit
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		s, err := schedule.Parse(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		name, property := s.Broken()
		m := Find(name)
		if m == nil {
			return nil, fmt.Errorf("%s: there is no mutant %q: want one of properties/mutants/table*.go", file, name)
		}
		if file, err = filepath.Rel(root, file); err != nil {
			return nil, err
		}
		list = append(list, Exhibit{file, s, m, property})
	}
	return list, nil
}

// replay runs a trace with a command line of a mutant, without the file's name, which is
// relative to root. It returns the property that is violated, or else the verdict.
func replay(root, file, binary string, words ...string) (string, error) {
	cmd := exec.Command(binary, append(words, file)...)
	cmd.Dir = root
	out, runErr := cmd.Output() // also an error when the verdict is not the one that the trace expects
	line, _, _ := strings.Cut(string(out), "\n")
	var result struct{ Verdict, Property string }
	if err := json.Unmarshal([]byte(line), &result); err != nil {
		return "", fmt.Errorf("the replay of %s printed no result: %w (%w)\n%s", file, err, runErr, out)
	}
	if result.Property != "" {
		return result.Property, nil
	}
	return result.Verdict, nil
}

package mutants

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// Find returns the mutant of that name, or nil.
func Find(name string) *Mutant {
	for i := range Table {
		if Table[i].Name == name {
			return &Table[i]
		}
	}
	return nil
}

// sources returns the files that the mutant changes, as it has them, by their names
// relative to the module's root.
func (m *Mutant) sources(root string) (map[string][]byte, error) {
	texts := map[string][]byte{}
	for _, e := range append([]Edit{{m.File, m.Old, m.New}}, m.Also...) {
		text, ok := texts[e.File]
		if !ok {
			var err error
			if text, err = os.ReadFile(filepath.Join(root, e.File)); err != nil {
				return nil, fmt.Errorf("mutant %s: %w", m.Name, err)
			}
		}
		if n := bytes.Count(text, []byte(e.Old)); n != 1 {
			return nil, fmt.Errorf("mutant %s: its old text %q stands %d times in %s, not once: the source has changed, so change the mutant too", m.Name, e.Old, n, e.File)
		}
		texts[e.File] = bytes.Replace(text, []byte(e.Old), []byte(e.New), 1)
	}
	return texts, nil
}

// Overlay writes into dir what the go command needs to build the mutant of the module at
// root. It returns the file for the -overlay flag.
func (m *Mutant) Overlay(root, dir string) (string, error) {
	texts, err := m.sources(root)
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for file, text := range texts {
		original, err := filepath.Abs(filepath.Join(root, file))
		if err != nil {
			return "", err
		}
		mutated := filepath.Join(dir, m.Name+"-"+filepath.Base(file))
		if err := os.WriteFile(mutated, text, 0o666); err != nil {
			return "", err
		}
		replace[original] = mutated
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, m.Name+".json")
	return name, os.WriteFile(name, overlay, 0o666)
}

// Build builds in dir a gtstore with the mutant as its core, and returns its path.
func (m *Mutant) Build(root, dir string) (string, error) {
	return m.build(root, dir, "./cmd/gtstore")
}

// build builds one of the project's programs with the mutant as its core.
func (m *Mutant) build(root, dir, program string, flags ...string) (string, error) {
	overlay, err := m.Overlay(root, dir)
	if err != nil {
		return "", err
	}
	binary, err := filepath.Abs(filepath.Join(dir, m.Name))
	if err != nil {
		return "", err
	}
	// Nobody debugs it, and linking without symbols takes a third less time.
	cmd := exec.Command("go", slices.Concat([]string{"build", "-ldflags=-s -w", "-overlay", overlay, "-o", binary}, flags, []string{program})...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("mutant %s does not build: %w\n%s", m.Name, err, out)
	}
	return binary, nil
}

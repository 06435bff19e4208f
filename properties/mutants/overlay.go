package mutants

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
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

// source returns the mutant's file with its rule removed. The root is the
// module's folder.
func (m *Mutant) source(root string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(root, m.File))
	if err != nil {
		return nil, fmt.Errorf("mutant %s: %w", m.Name, err)
	}
	if n := bytes.Count(text, []byte(m.Old)); n != 1 {
		return nil, fmt.Errorf("mutant %s: its old text stands %d times in %s, not once: the source has changed, so change the mutant too", m.Name, n, m.File)
	}
	return bytes.Replace(text, []byte(m.Old), []byte(m.New), 1), nil
}

// Overlay writes into dir what the go command needs to build the mutant of the
// module at root, and returns the file for its -overlay flag.
func (m *Mutant) Overlay(root, dir string) (string, error) {
	text, err := m.source(root)
	if err != nil {
		return "", err
	}
	original, err := filepath.Abs(filepath.Join(root, m.File))
	if err != nil {
		return "", err
	}
	mutated := filepath.Join(dir, m.Name+".go")
	if err := os.WriteFile(mutated, text, 0o666); err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {original: mutated}})
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, m.Name+".json")
	return name, os.WriteFile(name, overlay, 0o666)
}

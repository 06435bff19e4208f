package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"gtstore/properties/mutants"
	"gtstore/sim/schedule"
	"gtstore/sim/view"
)

// moduleLine begins the go.mod of this project.
const moduleLine = "module gtstore\n"

// sourceRoot finds the project's source, which mutants are built from: the
// folder that was named, or this one, or one above.
func sourceRoot(named string) (string, error) {
	isRoot := func(dir string) bool {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		return err == nil && strings.HasPrefix(string(text), moduleLine)
	}
	if named != "" {
		if !isRoot(named) {
			return "", fmt.Errorf("%s is not the project's source: want the folder with its go.mod", named)
		}
		return named, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for !isRoot(dir) {
		above := filepath.Dir(dir)
		if above == dir {
			return "", errors.New("a mutant is built from the project's source, which is not here: run this in a checkout, or name one with --source")
		}
		dir = above
	}
	return dir, nil
}

// runMutant builds the core without a rule, has it run the schedule, and returns
// what it did. It takes some seconds, the first time.
func runMutant(ctx context.Context, name, source string, s *schedule.Schedule) (*view.Run, error) {
	m := mutants.Find(name)
	if m == nil {
		return nil, fmt.Errorf("there is no mutant %q: the tables are properties/mutants/table*.go", name)
	}
	root, err := sourceRoot(source)
	if err != nil {
		return nil, err
	}
	if _, err := exec.LookPath("go"); err != nil {
		return nil, fmt.Errorf("a mutant is built with Go, which is not installed: %w", err)
	}
	dir, err := os.MkdirTemp("", "gtstore-mutant-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	overlay, err := m.Overlay(root, dir)
	if err != nil {
		return nil, err
	}
	binary := filepath.Join(dir, "gtstore")
	if _, err := output(ctx, root, nil, "go", "build", "-buildvcs=false", "-overlay", overlay, "-o", binary, "./cmd/gtstore"); err != nil {
		return nil, err
	}
	text, err := output(ctx, root, []byte(s.String()), binary, "view", "-", "--mutant", noMutant, "--format", string(formatRun))
	if err != nil {
		return nil, err
	}
	var run view.Run
	if err := json.Unmarshal(text, &run); err != nil {
		return nil, fmt.Errorf("the mutant wrote what is no run: %w", err)
	}
	run.Core, run.Removed, run.Without = m.Name, m.Rule, m.Story
	return &run, nil
}

// output runs a command in a directory and returns what it printed; an error
// quotes what it complained of.
func output(ctx context.Context, dir string, stdin []byte, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(stdin)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), args[0], err, indent(complaint.String()))
	}
	return out.Bytes(), nil
}

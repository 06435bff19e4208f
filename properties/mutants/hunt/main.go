package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gtstore/properties/mutants"
)

func main() {
	seeds := flag.Int("seeds", 3, "seeds of the search over generated schedules")
	schedules := flag.Int("schedules", 4000, "schedules of a seed, at most")
	learn := flag.Bool("learn", false, "vary the schedules that did something new: gtstore fuzz --learn")
	states := flag.Int64("explore", 0, "search the scenarios in traces/explore instead, so many states of each at most")
	beside := flag.Bool("beside", false, "tests that draw, the explorer if --explore says how far, plain search and a search that learns, side by side")
	once := flag.Bool("once", false, "with --beside: end with a mutant when something has found it")
	by := flag.String("by", "plain,learning,explorer,drawn", "with --beside: which of these search")
	first := flag.Int("first", 1, "with --beside: the first seed")
	managers := flag.Int("managers", 0, "with --beside: each schedule has so many managers, and no search learns; 0 for as they are drawn")
	scenarios := flag.String("scenarios", "traces/explore/*.scenario", "with --explore: which files")
	out := flag.String("out", "", "directory for binaries and shrunk schedules (default: one that is removed)")
	flag.Parse()
	do := func(dir string, names []string) error { return hunt(*seeds, *schedules, *learn, dir, names) }
	l := &limit{*states, *scenarios}
	if *states > 0 {
		do = func(dir string, names []string) error { return explore(l, dir, names) }
	}
	if *beside { // without --explore: all but the explorer
		do = func(dir string, names []string) error {
			return compare(l, &drawing{*first, *seeds, *schedules, *managers}, strings.Split(*by, ","), *once, dir, names)
		}
	}
	if err := inDir(*out, flag.Args(), do); err != nil {
		fmt.Fprintf(os.Stderr, "hunt: %v\n", err)
		os.Exit(1)
	}
}

// inDir does something with the mutants of these names, or with all, in a directory.
func inDir(dir string, names []string, do func(dir string, names []string) error) error {
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "mutants"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	if len(names) == 0 {
		for i := range mutants.Table {
			names = append(names, mutants.Table[i].Name)
		}
	}
	return do(dir, names)
}

func hunt(seeds, schedules int, learn bool, dir string, names []string) error {
	var sizes []int
	survivors := 0
	fmt.Println("| mutant | without rule | caught by | seeds | schedules | seconds | size before | after |\n|---|---|---|---|---|---|---|---|")
	for _, name := range names {
		m := mutants.Find(name)
		if m == nil {
			return fmt.Errorf("there is no mutant %q: the tables are properties/mutants/table*.go", name)
		}
		if m.Equivalent != "" {
			fmt.Printf("| %s | %s | equivalent: %s | | | | | |\n", m.Name, m.Rule, m.Equivalent)
			continue
		}
		c, err := m.Hunt(".", dir, seeds, schedules, learn)
		if err != nil {
			return fmt.Errorf("mutant %s: %w", name, err)
		}
		fmt.Println(row(m, c))
		switch {
		case c.Found > 0:
			sizes = append(sizes, c.After)
		case c.By == "":
			survivors++
		}
	}
	if len(sizes) > 0 {
		fmt.Printf("\n%d of %d mutants caught by generated schedules; median size after shrinking: %d\n", len(sizes), len(names), mutants.Median(sizes))
	}
	if survivors > 0 {
		return fmt.Errorf("nobody caught %d mutants", survivors)
	}
	return nil
}

func row(m *mutants.Mutant, c *mutants.Caught) string {
	head := fmt.Sprintf("| %s | %s ", m.Name, m.Rule)
	switch {
	case c.Found > 0:
		return head + fmt.Sprintf("| %s | %d of %d | %d | %.1f | %d | %d |", c.By, c.Found, c.Seeds, c.Schedules, c.Seconds, c.Before, c.After)
	case c.By == "":
		return head + fmt.Sprintf("| **nobody** | 0 of %d | | | | |", c.Seeds)
	}
	return head + fmt.Sprintf("| %s | 0 of %d | | | | |", c.By, c.Seeds)
}

// searched has something done for each mutant of these names that is not equivalent.
func searched(dir string, names []string, do func(m *mutants.Mutant, s *mutants.Searcher) error) error {
	for _, name := range names {
		m := mutants.Find(name)
		if m == nil {
			return fmt.Errorf("there is no mutant %q: the tables are properties/mutants/table*.go", name)
		}
		if m.Equivalent != "" {
			continue
		}
		s := m.Searcher(".", dir)
		if err := errors.Join(do(m, s), s.Close()); err != nil {
			return fmt.Errorf("mutant %s: %w", name, err)
		}
	}
	return nil
}

// limit is how far the explorer goes.
type limit struct {
	states    int64 // of each scenario; 0 for none at all
	scenarios string
}

// explore has the explorer search all scenarios that match. The client is no part of its model,
// and the manager of those with the line "manager real", or managers=N, only.
func (l *limit) explore(m *mutants.Mutant, s *mutants.Searcher) (*mutants.Found, error) {
	if l.states == 0 || m.File == "core/client.go" {
		return &mutants.Found{}, nil
	}
	files, err := filepath.Glob(l.scenarios)
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no scenarios in %s: run this at the root of the module (%v)", l.scenarios, err)
	}
	return s.Explore(l.states, files)
}

// explore prints what the explorer finds.
func explore(l *limit, dir string, names []string) error {
	found, all := 0, 0
	fmt.Println("| mutant | without rule | explorer: violates | scenario | steps | states | seconds |\n|---|---|---|---|---|---|---|")
	err := searched(dir, names, func(m *mutants.Mutant, s *mutants.Searcher) error {
		e, err := l.explore(m, s)
		if err != nil {
			return err
		}
		if all++; e.By == "" {
			fmt.Printf("| %s | %s | - | | | %d | %.1f |\n", m.Name, m.Rule, e.States, e.Seconds)
			return nil
		}
		found++
		fmt.Printf("| %s | %s | %s | %s | %d | %d | %.1f |\n", m.Name, m.Rule, e.By, e.Scenario, e.Steps, e.States, e.Seconds)
		return nil
	})
	if err == nil {
		fmt.Printf("\n%d of %d mutants caught by the explorer\n", found, all)
	}
	return err
}

// compare has everything that draws or enumerates search the mutants: what is left falls to
// tests by hand only, or to nothing. A mutant after the other is printed when it is done. With
// once each is done with when something has found it. The tests that draw are run only where
// nothing else has, as they take the longest to build.
func compare(l *limit, d *drawing, by []string, once bool, dir string, names []string) error {
	all, any, found := 0, 0, [4]int{}
	fmt.Println("| mutant | without rule | plain | learning | explorer | tests that draw |\n|---|---|---|---|---|---|")
	err := searched(dir, names, func(m *mutants.Mutant, s *mutants.Searcher) error {
		cells, fell := [4]string{}, false
		for i, search := range []struct {
			name string
			run  func() (cell string, err error)
		}{
			{"plain", func() (string, error) { return d.draw(s, false) }},
			{"learning", func() (string, error) { return d.draw(s, true) }},
			{"explorer", func() (string, error) {
				e, err := l.explore(m, s)
				if err != nil || e.By == "" {
					return "", err
				}
				return fmt.Sprintf("%s, %s: %d steps, %d states", e.By, e.Scenario, e.Steps, e.States), nil
			}},
			{"drawn", func() (string, error) { return m.Drawn(".", dir) }},
		} {
			if fell && (once || i == 3) || !slices.Contains(by, search.name) || d.managers > 0 && search.name == "learning" {
				continue
			}
			cell, err := search.run()
			if err != nil {
				return err
			}
			if cells[i] = cmp.Or(cell, "-"); cell != "" {
				found[i]++
				fell = true
			}
		}
		if all++; fell {
			any++
		}
		fmt.Printf("| %s | %s | %s |\n", m.Name, m.Rule, strings.Join(cells[:], " | "))
		return nil
	})
	if err == nil {
		fmt.Printf("\n%d of %d mutants caught: %d by plain search, %d by a search that learns, %d by the explorer, %d by tests that draw\n", any, all, found[0], found[1], found[2], found[3])
	}
	return err
}

// drawing says which schedules are drawn.
type drawing struct{ first, seeds, schedules, managers int }

// draw runs schedules of some seeds. It returns what was violated first, after how many schedules
// and in how many seeds; "" for nothing.
func (d *drawing) draw(s *mutants.Searcher, learn bool) (cell string, err error) {
	var counts []int
	property := ""
	for seed := d.first; seed < d.first+d.seeds; seed++ {
		f, err := s.Draw(learn, seed, d.schedules, d.managers)
		if err != nil {
			return "", err
		}
		if f.By != "" {
			property = cmp.Or(property, f.By)
			counts = append(counts, f.Schedules)
		}
	}
	if property == "" {
		return "", nil
	}
	return fmt.Sprintf("%s: %d, %d of %d", property, mutants.Median(counts), len(counts), d.seeds), nil
}

package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gtstore/properties/mutants"
)

func main() {
	seeds := flag.Int("seeds", 3, "seeds of the search over generated schedules")
	schedules := flag.Int("schedules", 4000, "schedules of a seed, at most")
	learn := flag.Bool("learn", false, "vary the schedules that did something new: gtstore fuzz --learn")
	states := flag.Int64("explore", 0, "search the scenarios in traces/explore instead, so many states of each at most")
	beside := flag.Bool("beside", false, "with --explore: the explorer, plain search and a search that learns side by side, and nothing else")
	scenarios := flag.String("scenarios", "traces/explore/*.scenario", "with --explore: which files")
	out := flag.String("out", "", "directory for binaries and shrunk schedules (default: one that is removed)")
	flag.Parse()
	do := func(dir string, names []string) error { return hunt(*seeds, *schedules, *learn, dir, names) }
	if *states > 0 {
		do = func(dir string, names []string) error { return explore(*states, *scenarios, dir, names) }
	}
	if *beside {
		do = func(dir string, names []string) error {
			return compare(*states, *seeds, *schedules, *scenarios, dir, names)
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

// explored has something done for each mutant that is not equivalent, with what the explorer
// finds in it in all scenarios that match. The client is no part of its model, and the manager of
// those with the line "manager real" only; the consensus of several managers is none either.
func explored(states int64, match, dir string, names []string, do func(m *mutants.Mutant, e *mutants.Explored) error) error {
	scenarios, err := filepath.Glob(match)
	if err != nil || len(scenarios) == 0 {
		return fmt.Errorf("no scenarios in %s: run this at the root of the module (%v)", match, err)
	}
	for _, name := range names {
		m := mutants.Find(name)
		if m == nil {
			return fmt.Errorf("there is no mutant %q: the tables are properties/mutants/table*.go", name)
		}
		if m.Equivalent != "" {
			continue
		}
		e, err := &mutants.Explored{}, error(nil)
		if !strings.HasPrefix(m.File, "core/quorum/") { // the library's state cannot be copied
			e, err = m.Explore(".", dir, states, scenarios)
		}
		if err == nil {
			err = do(m, e)
		}
		if err != nil {
			return fmt.Errorf("mutant %s: %w", name, err)
		}
	}
	return nil
}

// explore prints what the explorer finds.
func explore(states int64, match, dir string, names []string) error {
	found, all := 0, 0
	fmt.Println("| mutant | without rule | explorer: violates | scenario | steps | states | seconds |\n|---|---|---|---|---|---|---|")
	err := explored(states, match, dir, names, func(m *mutants.Mutant, e *mutants.Explored) error {
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
// tests by hand only, or to nothing. A mutant after the other is printed when it is done.
func compare(states int64, seeds, schedules int, match, dir string, names []string) error {
	if states == 0 {
		return fmt.Errorf("--beside needs --explore STATES")
	}
	all, any, found := 0, 0, [3]int{}
	fmt.Println("| mutant | without rule | explorer | plain | learning |\n|---|---|---|---|---|")
	err := explored(states, match, dir, names, func(m *mutants.Mutant, e *mutants.Explored) error {
		plain, learnt, err := m.Search(".", dir, seeds, schedules)
		if err != nil {
			return err
		}
		cell := "-"
		if e.By != "" {
			cell = fmt.Sprintf("%s, %s: %d steps, %d states, %.1f s", e.By, e.Scenario, e.Steps, e.States, e.Seconds)
		}
		fell := false
		for i, by := range []string{e.By, plain.By, learnt.By} {
			if by != "" {
				found[i]++
				fell = true
			}
		}
		if all++; fell {
			any++
		}
		fmt.Printf("| %s | %s | %s | %s | %s |\n", m.Name, m.Rule, cell, searched(plain), searched(learnt))
		return nil
	})
	if err == nil {
		fmt.Printf("\n%d of %d mutants caught: %d by the explorer, %d by plain search, %d by a search that learns\n", any, all, found[0], found[1], found[2])
	}
	return err
}

// searched is a cell of the table: what was violated, after how many schedules, in how many seeds.
func searched(c *mutants.Caught) string {
	if c.Found == 0 {
		return "-"
	}
	return fmt.Sprintf("%s: %d, %d of %d, %.1f s", c.By, c.Schedules, c.Found, c.Seeds, c.Seconds)
}

package main

import (
	"flag"
	"fmt"
	"os"

	"gtstore/properties/mutants"
)

func main() {
	seeds := flag.Int("seeds", 3, "seeds of the search over generated schedules")
	schedules := flag.Int("schedules", 4000, "schedules of a seed, at most")
	learn := flag.Bool("learn", false, "vary the schedules that did something new: gtstore fuzz --learn")
	out := flag.String("out", "", "directory for binaries and shrunk schedules (default: one that is removed)")
	flag.Parse()
	if err := hunt(*seeds, *schedules, *learn, *out, flag.Args()); err != nil {
		fmt.Fprintf(os.Stderr, "hunt: %v\n", err)
		os.Exit(1)
	}
}

func hunt(seeds, schedules int, learn bool, dir string, names []string) error {
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

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"

	"gtstore/sim/explore"
	"gtstore/sim/explore/cluster"
	"gtstore/sim/fuzz"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "searcher:", err)
		os.Exit(1)
	}
}

// found is what was violated first; Property is empty if nothing was.
type found struct {
	Property, Text, Scenario string
	Steps                    int
	Way                      []string
	States                   int64
	Schedules                int
	Seconds                  float64 // of all scenarios, or schedules, until then
}

func run(words []string) error {
	if len(words) < 3 || words[0] != "explore" && len(words) != 4 {
		return errors.New("want explore STATES FILE..., draw SEED SCHEDULES MANAGERS or learn SEED SCHEDULES 0")
	}
	first, err := strconv.ParseUint(words[1], 10, 63)
	if err != nil {
		return fmt.Errorf("the number after %s: %w", words[0], err)
	}
	began, f := time.Now(), &found{}
	switch words[0] {
	case "explore":
		err = f.explore(int64(first), words[2:])
	case "draw", "learn":
		o := fuzz.Options{Seed: first, Learn: words[0] == "learn", Workers: runtime.GOMAXPROCS(0)}
		if o.Schedules, err = strconv.Atoi(words[2]); err != nil {
			return fmt.Errorf("the number of schedules: %w", err)
		}
		if o.Managers, err = strconv.Atoi(words[3]); err != nil {
			return fmt.Errorf("the number of managers: %w", err)
		}
		err = f.draw(o)
	default:
		err = fmt.Errorf("want explore, draw or learn, and not %s", words[0])
	}
	if err != nil {
		return err
	}
	f.Seconds = time.Since(began).Seconds()
	return json.NewEncoder(os.Stdout).Encode(f)
}

func (f *found) draw(o fuzz.Options) error {
	stats, failure, err := fuzz.Search(context.Background(), o)
	if err != nil {
		return err
	}
	if f.Schedules = stats.Schedules; failure != nil {
		f.Property, f.Text = failure.Violation.Property, failure.Violation.Text
	}
	return nil
}

func (f *found) explore(most int64, files []string) error {
	for _, file := range files {
		s, err := cluster.Load(file)
		if err != nil {
			return err
		}
		c, err := cluster.Run(context.Background(), s, explore.Options{StatesMax: most})
		if err != nil { // the mutant breaks what comes before the search
			f.Property, f.Text, f.Scenario = "before the search", err.Error(), s.Name
			return nil
		}
		f.States += c.States
		if v := c.Violation; v != nil {
			f.Property, f.Text, f.Scenario, f.Steps, f.Way = v.Property, v.Text, s.Name, len(v.Steps), v.Steps
			return nil
		}
	}
	return nil
}

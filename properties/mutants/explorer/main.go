package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"

	"gtstore/sim/explore"
	"gtstore/sim/explore/cluster"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "explorer: want the most states to search of a scenario, and files of scenarios")
		os.Exit(2)
	}
	if err := search(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "explorer:", err)
		os.Exit(1)
	}
}

// found is what was violated first; Property is empty if nothing was.
type found struct {
	Property, Text, Scenario string
	Steps                    int
	Way                      []string
	States                   int64
	Seconds                  float64 // of all scenarios until then
}

func search(states string, files []string) error {
	most, err := strconv.ParseInt(states, 10, 64)
	if err != nil {
		return err
	}
	began := time.Now()
	var f found
	for _, file := range files {
		s, err := cluster.Load(file)
		if err != nil {
			return err
		}
		c, err := cluster.Run(context.Background(), s, explore.Options{StatesMax: most})
		if err != nil { // the mutant breaks what comes before the search
			f = found{Property: "before the search", Text: err.Error(), Scenario: s.Name}
			break
		}
		f.States += c.States
		if v := c.Violation; v != nil {
			f.Property, f.Text, f.Scenario, f.Steps, f.Way = v.Property, v.Text, s.Name, len(v.Steps), v.Steps
			break
		}
	}
	f.Seconds = time.Since(began).Seconds()
	return json.NewEncoder(os.Stdout).Encode(f)
}

package main

import (
	"encoding/json"
	"fmt"
	"os"

	"gtstore/sim/check"
	"gtstore/sim/schedule"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "player: want the file of one trace")
		os.Exit(2)
	}
	if err := play(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "player:", err)
		os.Exit(1)
	}
}

func play(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	s, err := schedule.Parse(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	o := check.Run(s)
	result := struct{ Verdict, Property string }{Verdict: o.Verdict}
	if o.Violation != nil {
		result.Property = o.Violation.Property
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// Package mutants shows that the checks have teeth. A mutant is the core with
// one rule removed: a piece of its source that must match exactly once, and what
// stands there instead. It is built by an overlay of the source, so the core
// itself carries no switch, and a mutant that no longer matches fails a test.
//
//	GTSTORE_MUTANTS=1 go test ./properties/mutants -run TestMutants -timeout 1h -v
//
// runs them all, one after the other, and prints who caught each: first the
// simulator, over generated schedules, then the scenario tests of the core. A
// mutant that nobody catches fails the test. To add one, add a row to the table.
package mutants

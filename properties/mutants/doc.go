// Package mutants shows that the checks have teeth. A mutant is the core with
// one rule removed, and where needed with what else stands in for that rule:
// pieces of its source that must each match exactly once, and what stands there
// instead. It is built by an overlay of the source, so the core itself carries no
// switch, and a mutant that no longer matches fails a test.
//
//	go run ./properties/mutants/hunt
//	GTSTORE_MUTANTS=1 go test ./properties/mutants -run TestMutants -timeout 1h -v
//	GTSTORE_GALLERY=1 go test ./properties/mutants -run TestGallery -timeout 1h
//
// The first two run them all, one after the other, and say who caught each: the
// simulator over generated schedules, else a trace of traces/gallery, else the
// scenario tests of the core. A mutant that nobody catches is a failure. The last
// shows that each trace of the gallery breaks the mutant that it names. To add a
// mutant, add a row to a table. README.md has the table of results.
package mutants

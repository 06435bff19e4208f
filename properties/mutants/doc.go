// Package mutants shows that the checks notice a missing rule. A mutant is the core
// without one rule, and without whatever else would prevent the same failure. It says
// which pieces of the source change, and into what. Each piece must stand in its file
// exactly once, else a test fails. A mutant is built by an overlay of the source, so the
// core has no switch for it.
//
//	go run ./properties/mutants/hunt
//	GTSTORE_MUTANTS=1 go test ./properties/mutants -run TestMutants -timeout 1h -v
//	GTSTORE_GALLERY=1 go test ./properties/mutants -run TestGallery -timeout 1h
//	GTSTORE_MUTANTS=1 go test ./properties/mutants -run TestSweepMutants -timeout 1h -v
//
// The first two run all mutants of the core, one after the other, and say who caught
// each: the simulator over generated schedules, else a trace of traces/gallery, else the
// scenario tests of the core. A mutant that nobody catches is a failure. To add one, add
// a row to a table: table.go has most, table_disk.go those of what is on the disk,
// table_managers.go, table_quorum.go and table_founding.go those of several managers, table_peers.go those of whom a message is believed, table_rejoin.go those of nodes that
// come back, table_suspicion.go those of how deaths are found out, table_stripped.go those
// that lack more than one rule, table_unseen.go those that nobody had looked for, and
// table_outside.go which of all no simulated run can come to. README.md has the results.
//
// The third shows that each trace of the gallery breaks the mutant that it names;
// GTSTORE_GALLERY=2/3 has the second third of the mutants do. The
// last is about the check of linearizability: its mutants, in sweep_test.go, lack one rule
// of the sweep (package history), and the tests of that package must catch each.
package mutants

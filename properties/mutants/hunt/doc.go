// Command hunt prints who catches each mutant of the core, as the table that
// properties/mutants/README.md shows. Run it in the module's root:
//
//	go run ./properties/mutants/hunt [--seeds 3] [--schedules 4000] [--out DIR] [NAME...]
//
// DIR keeps the mutants' binaries and the shrunk schedules that they violate,
// from which an entry of the gallery is made. It fails when nobody catches one.
package main

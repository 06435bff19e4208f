// Command hunt prints who catches each mutant of the core, as the table in
// properties/mutants/README.md. Run it in the module's root:
//
//	go run ./properties/mutants/hunt [--seeds 3] [--schedules 4000] [--learn] [--out DIR] [NAME...]
//
//	go run ./properties/mutants/hunt --explore 30000 [--scenarios GLOB] [NAME...]
//	go run ./properties/mutants/hunt [--explore 30000] --beside [--once] [--seeds 3] [--schedules 4000] [NAME...]
//	go run ./properties/mutants/hunt --beside --by plain [--managers 3] [--first 2] [--seeds 1] [--schedules 1500] [NAME...]
//
// The second has the explorer search them, the third everything that draws or enumerates, side by
// side, and no test by hand; the fourth plain search alone. Each row is printed as soon as it is
// known. With --once a mutant is done with when something has found it. None shrinks what it finds.
//
// It leaves in DIR the mutants' binaries, and the shrunk schedules that break them: from
// such a schedule a trace of the gallery is made. It fails when nobody catches a mutant.
package main

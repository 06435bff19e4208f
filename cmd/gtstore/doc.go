// Gtstore is everything of GTStore that a person types.
//
// Usage:
//
//	gtstore COMMAND [FLAGS]
//
// The commands:
//
//	gtstore fuzz [--schedules N | --for 5m] [--seed S] [--workers W] [--out DIR] [-o json]
//
// searches for a schedule of calls and faults that violates a property. It runs
// schedules in the simulator, 2,000 unless told otherwise, on all cores. The
// same seed gives the same schedules; without one it is taken from the clock,
// and printed. The first schedule that fails is shrunk to a small one, saved as
// a trace in DIR (by default traces, if there is such a directory here, else
// traces/found), and the command that replays it is printed.
//
//	gtstore replay FILE... [--trace] [-o json]
//
// runs saved traces, each twice, and says of each what came of it: it holds,
// violates a property, is not applicable (an action or deviation of it no
// longer has anything to act on), or is not deterministic. The file says what is
// expected. With --trace every event is printed. The file - is standard input.
//
// Results go to standard output, progress and errors to standard error. With
// -o json a result is one JSON object on a line.
//
// Exit codes: 0 all is well, 1 an error, 2 a wrong command line, 6 a property
// was violated.
package main

// Package view shows a run of the simulator to a person.
//
// Record runs a schedule with every check on, and collects what is worth seeing: each
// step and message, what a step changed of a node's state, the operations, the faults,
// and the few moments that decided the run. The result, a Run, is plain data. It is
// written as
//
//   - one self-contained page of HTML (WriteHTML), which works without a network;
//   - Perfetto's JSON (WritePerfetto), for long runs;
//   - a Mermaid sequence diagram (WriteMermaid), for short ones.
//
// WayPage makes the same of a counterexample of the explorer, whose steps have no times.
//
// A person sees two things in the first ten seconds: the sentence on top, and the
// moments. Both are made here, in Go, where they are tested (see sumUp); the page only
// draws them. Its files are in web/: a template, a style sheet and plain JavaScript. They
// are put together at run time, without a build step.
package view

// Package view shows a run of the simulator to a person.
//
// Record runs a schedule with every check on and collects what is worth seeing:
// each step and message, the state of each node as what a step changed of it,
// the operations, the faults, and the few moments that decided the run. The
// result, a Run, is plain data. It is written as
//
//   - one self-contained page of HTML (WriteHTML), which works without a network;
//   - Perfetto's JSON (WritePerfetto), for long runs;
//   - a Mermaid sequence diagram (WriteMermaid), for short ones.
//
// What a person sees in ten seconds is settled here, in Go, where it is tested:
// the sentence on top and the moments (see judge). The page only draws them. Its
// files are in web/: a template, a style sheet and plain
// JavaScript, put together at run time, without a build step.
package view

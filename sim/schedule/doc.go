// Package schedule is the language of the simulator: a Schedule says everything that
// happens to a cluster from outside, as data. It is written as text and read again
// (String, Parse), checked (Validate), and may carry the Recording of a run. What a
// schedule does when it is run, it does not know.
//
// All kinds of Action share one struct, of which each uses some fields. The table in
// verb.go says which, and text, checks and usage lines come from that table alone. A
// type of its own for each kind was tried and is longer: what generates, shrinks, counts
// and draws schedules looks at actions of all kinds alike.
//
// A message is named by link, kind and ordinal, as in "drop n1>n2 Replicate#3", so
// that a saved trace still means what it says after a small change of code.
package schedule

// Package fuzz searches for a schedule that violates a property: it generates
// schedules from a seed, runs them on several workers, and makes of the first
// that fails a small trace for a person to read and for tests to replay.
//
// Schedule i of a seed is the same for ever, whatever the number of workers,
// and results count in the order of i. So a search over a given number of
// schedules always ends in the same result: the same totals, or the same first
// failure.
//
// With an Archive a search goes on after failures, for a night or for many: it
// keeps the shortest trace of each Place, and can be ended and taken up again. A
// Shard of it runs on another machine.
package fuzz

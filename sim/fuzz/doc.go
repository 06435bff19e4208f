// Package fuzz searches for a schedule that violates a property. It generates schedules
// from a seed and runs them on several workers. It shrinks the first that fails into a
// small trace, which a person can read and a test can replay.
//
// Schedule i of a seed is always the same, whatever the number of workers, and results
// are counted in the order of i. So a search over a given number of schedules always
// ends with the same totals, or with the same first failure.
//
// With an Archive a search goes on after failures, for a night or for many nights. The
// archive keeps the shortest trace of each Place, and the search can be ended and taken
// up again. A Shard is the part of a search that runs on one of several machines; Merge
// makes one archive of theirs. An archive is of one Build.
//
// A search may learn: it then varies schedules whose runs came to a situation for the first
// time (see learner), instead of drawing each from nothing.
//
// Before it begins, a search looks for failures that are planted (Canary), since one that
// is not able to find these would find no others.
package fuzz

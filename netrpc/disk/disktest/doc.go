// Package disktest has file systems for the engine that fail, as disks do, and copies of
// directories whose process still runs, as a kill would leave them. Tests and the processes
// of tests use them.
package disktest

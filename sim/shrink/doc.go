// Package shrink makes a schedule smaller while it still fails. The caller says whether
// a schedule fails; this package does not know how schedules are run.
package shrink

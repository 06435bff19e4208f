// Package shrink makes a schedule smaller while it still fails. What failing is, the
// caller says: it knows the language of schedules and nothing of how they are run.
package shrink

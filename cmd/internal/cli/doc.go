// Package cli is what the project's commands share: exit codes and errors that
// carry one, flags with bounds, flags that are taken from environment variables
// (GTSTORE_LOST_AFTER is --lost-after) or a YAML file, what --version says, manual pages, a log that never waits for its reader, and
// what can be known about the terminal.
package cli

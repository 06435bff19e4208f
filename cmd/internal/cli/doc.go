// Package cli is what the project's commands share: exit codes, errors that
// carry one, and what can be known about the terminal.
package cli

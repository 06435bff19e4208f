package sim

import (
	"fmt"

	"gtstore/sim/history"
)

// An Observer watches a run, to check invariants or to collect what is worth
// showing. It may look at everything, change nothing, and call World.Fail.
type Observer interface {
	// Begin comes before everything else; no host is up yet.
	Begin(w *World)
	// AfterEvent comes after each Step and Tick, before the Output is carried out.
	AfterEvent(w *World, h *Host)
	// AfterChange comes after any Change of a host: of its process, or of its disk.
	AfterChange(w *World, h *Host, c Change)
	// AfterResult comes when an operation returned.
	AfterResult(w *World, op *history.Operation)
	// Settled is asked in the final phase of a run, after each thing that happens once all
	// operations have ended. The run goes on until it is true, or Shape.FinalMax has
	// passed since that phase began.
	Settled(w *World) bool
	// End comes last, also when the run has failed.
	End(w *World)
}

// Change is what happened to a host.
type Change uint8

const (
	HostStarted Change = iota + 1 // a new process runs
	HostCrashed                   // the process ended; what was not synced is lost, but for what the schedule keeps
	HostWiped                     // the disk is empty; the process, if one ran, ended
	HostHalted                    // the process ended by itself, or could not start
	HostPaused
	HostResumed
	HostMoved // a node's data has come to the host, which is down
)

var changeNames = [...]string{
	HostStarted: "started", HostCrashed: "crashed", HostWiped: "wiped", HostHalted: "halted",
	HostPaused: "paused", HostResumed: "resumed", HostMoved: "given another node's data",
}

func (c Change) String() string {
	if int(c) < len(changeNames) && changeNames[c] != "" {
		return changeNames[c]
	}
	return fmt.Sprintf("Change(%d)", uint8(c))
}

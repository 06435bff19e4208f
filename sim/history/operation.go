package history

import (
	"fmt"
	"time"

	"gtstore/core"
)

// Operation is one call of a user, and how it ended. A history is a list of these.
type Operation struct {
	Client  string // the host at which it was called
	Action  int    // its index in Schedule.Actions; -1 for a Final one
	Final   bool   // it belongs to the probe for liveness, after the faults
	Kind    core.OpKind
	Key     string
	Value   string   // what a put or cas writes
	Version core.Seq // the version that a cas expects

	Called, Returned time.Duration // virtual times; they mean nothing where the number below is 0
	// CallOrder and ReturnOrder number the calls and returns of a run together, from
	// 1, in the order in which they happened; 0 means not yet. Times alone do not
	// order a call and a return at the same moment.
	CallOrder, ReturnOrder int
	Result                 *core.Result // nil until it returned
}

func (op *Operation) String() string {
	text := op.Client + " " + op.Kind.String() + " " + op.Key
	switch op.Kind {
	case core.OpPut:
		text += " " + op.Value
	case core.OpCAS:
		text += fmt.Sprintf(" %d %s", op.Version, op.Value)
	}
	return text
}

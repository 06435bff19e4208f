package history

import (
	"fmt"
	"time"

	"gtstore/core"
)

// Operation is one call of a user and how it ended: an entry of the history
// that must be linearizable.
type Operation struct {
	Client  string // the host it was called at
	Action  int    // its index in Schedule.Actions; -1 for a Final one
	Final   bool   // of the probe for liveness, after the faults
	Kind    core.OpKind
	Key     string
	Value   string   // that a put or cas writes
	Version core.Seq // that a cas expects

	Called, Returned time.Duration // virtual times; good when the next two are not 0
	// CallOrder and ReturnOrder number all calls and returns of a run from 1, as
	// they happened; 0 for not yet. Times alone cannot tell a call at the moment
	// of a return from one before it.
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

package history

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"gtstore/core"
)

// verdict is what a check says of the operations on one key.
type verdict uint8

const (
	explained   verdict = iota + 1 // an order of the operations explains their results
	unexplained                    // none does
	undecided                      // the check took more steps than it may
)

// CheckLinearizable looks for an order that explains the history, key by key. Where
// there is none, it returns the property that is violated, and how. The verdict depends
// on the history alone: the check is bounded by its work, never by time.
//
// The sweep gives the verdict. Where it finds no order, Porcupine judges the history,
// too, up to the result that makes it wrong. If Porcupine does find an order, one of the
// two checks is at fault, and that is reported. If it gives up, the sweep's verdict
// stands.
func CheckLinearizable(ops []Operation) (property, text string) {
	keys, byKey := operationsByKey(ops)
	for _, key := range keys {
		ops := byKey[key]
		switch judge(ops) {
		case unexplained:
			stuck := firstStuck(ops)
			if searchOrder(historyUntil(ops, stuck.ReturnOrder), searchStepsMax) == explained {
				return "linearizable disputed", fmt.Sprintf("of the two checks, one finds an order of the operations on key %q and one does not:\n%s", key, explain(ops, stuck))
			}
			return "linearizable", fmt.Sprintf("no order of the operations on key %q explains their results:\n%s", key, explain(ops, stuck))
		case undecided:
			return "linearizable undecided", fmt.Sprintf("the check of the %d operations on key %q took more steps than it may", len(ops), key)
		}
	}
	return "", ""
}

// operationsByKey sorts the operations that were called by their keys, and those of a
// key by their calls. The keys are in the order in which the history first has them.
func operationsByKey(ops []Operation) (keys []string, byKey map[string][]*Operation) {
	byKey = map[string][]*Operation{}
	for i := range ops {
		op := &ops[i]
		if op.CallOrder == 0 {
			continue
		}
		if byKey[op.Key] == nil {
			keys = append(keys, op.Key)
		}
		byKey[op.Key] = append(byKey[op.Key], op)
	}
	for _, key := range keys {
		slices.SortFunc(byKey[key], func(a, b *Operation) int { return a.CallOrder - b.CallOrder })
	}
	return keys, byKey
}

// Unexplained returns the operation with the first result that no order explains; nil
// when an order explains them all, or when that is undecided.
func Unexplained(ops []Operation) *Operation {
	keys, byKey := operationsByKey(ops)
	for _, key := range keys {
		if judge(byKey[key]) == unexplained {
			return firstStuck(byKey[key])
		}
	}
	return nil
}

// explain lists the operations on a key, and points at the one that is stuck.
func explain(ops []*Operation, stuck *Operation) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  %-13s %-13s %s\n", "called", "returned", "operation")
	for _, op := range ops {
		pointer, returned := " ", "never"
		if op == stuck {
			pointer = ">"
		}
		if op.Result != nil {
			returned = op.Returned.String()
		}
		fmt.Fprintf(&b, "%s %-13v %-13s %v: %s\n", pointer, op.Called, returned, op, resultText(op))
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func resultText(op *Operation) string {
	r := op.Result
	switch {
	case r == nil:
		return "no result"
	case op.Kind == core.OpGet && r.Status == core.StatusOK:
		return fmt.Sprintf("ok %s, version %d", r.Value, r.Version)
	case r.Status == core.StatusOK || r.Status == core.StatusConflict:
		return fmt.Sprintf("%v, version %d", r.Status, r.Version)
	}
	return r.Status.String()
}

// firstStuck returns the operation with whose return a history becomes unexplained.
// Some order explains all that had returned before it.
func firstStuck(ops []*Operation) *Operation {
	var ended []*Operation
	for _, op := range ops {
		if op.Result != nil {
			ended = append(ended, op)
		}
	}
	slices.SortFunc(ended, func(a, b *Operation) int { return a.ReturnOrder - b.ReturnOrder })
	n := sort.Search(len(ended)-1, func(n int) bool {
		return judge(historyUntil(ops, ended[n].ReturnOrder)) == unexplained
	})
	return ended[n]
}

// historyUntil is the history as it was after the return with that number. Operations
// that had not returned then are of unknown outcome.
func historyUntil(ops []*Operation, order int) []*Operation {
	var before []*Operation
	for _, op := range ops {
		switch {
		case op.CallOrder > order:
		case op.ReturnOrder > order:
			open := *op
			open.Result, open.ReturnOrder = nil, 0
			before = append(before, &open)
		default:
			before = append(before, op)
		}
	}
	return before
}

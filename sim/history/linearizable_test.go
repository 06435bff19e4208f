package history

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"gtstore/core"
)

// ended is an operation on key k. call and ret are its CallOrder and ReturnOrder.
func ended(kind core.OpKind, value string, expected core.Seq, call, ret int, r core.Result) Operation {
	return Operation{
		Client: "c1", Kind: kind, Key: "k", Value: value, Version: expected, CallOrder: call, ReturnOrder: ret, Result: &r,
	}
}

func ok(v core.Seq) core.Result       { return core.Result{Status: core.StatusOK, Version: v} }
func conflict(v core.Seq) core.Result { return core.Result{Status: core.StatusConflict, Version: v} }

var (
	notFound = core.Result{Status: core.StatusNotFound}
	unknown  = core.Result{Status: core.StatusUnknown}
)

func put(value string, call, ret int, r core.Result) Operation {
	return ended(core.OpPut, value, 0, call, ret, r)
}

func del(call, ret int, r core.Result) Operation {
	return ended(core.OpDelete, "", 0, call, ret, r)
}

func cas(expected core.Seq, value string, call, ret int, r core.Result) Operation {
	return ended(core.OpCAS, value, expected, call, ret, r)
}

func got(value string, v core.Seq, call, ret int) Operation {
	return ended(core.OpGet, "", 0, call, ret, core.Result{Status: core.StatusOK, Value: value, Version: v})
}

func absent(call, ret int) Operation { return ended(core.OpGet, "", 0, call, ret, notFound) }

func refused(op Operation, s core.Status) Operation {
	op.Result = &core.Result{Status: s}
	return op
}

func open(op Operation) Operation {
	op.Result, op.ReturnOrder = nil, 0
	return op
}

func TestLinearizable(t *testing.T) {
	for _, c := range []struct {
		name string
		good bool
		ops  []Operation
	}{
		{"nothing", true, nil},
		{"one after the other", true, []Operation{
			absent(1, 2), put("a", 3, 4, ok(2)), got("a", 2, 5, 6), cas(2, "b", 7, 8, ok(3)), cas(2, "c", 9, 10, conflict(3)),
			got("b", 3, 11, 12), del(13, 14, ok(5)), absent(15, 16), cas(0, "d", 17, 18, ok(6)), got("d", 6, 19, 20),
			del(21, 22, ok(8)), del(23, 24, notFound),
		}},
		{"concurrent with a put, a get sees either", true, []Operation{
			put("a", 1, 10, ok(2)), absent(2, 3), got("a", 2, 4, 5),
		}},
		{"stale read", false, []Operation{
			put("a", 1, 2, ok(1)), put("b", 3, 4, ok(2)), got("a", 1, 5, 6),
		}},
		{"stale read of absence", false, []Operation{put("a", 1, 2, ok(1)), absent(3, 4)}},
		{"a get sees a write that is later lost", false, []Operation{
			put("a", 1, 2, ok(1)), put("b", 3, 20, unknown), got("b", 2, 5, 6), got("a", 1, 7, 8),
		}},
		{"lost update", false, []Operation{
			put("a", 1, 2, ok(1)), cas(1, "b", 3, 6, ok(2)), cas(1, "c", 4, 5, ok(3)),
		}},
		{"duplicate effect of a put", false, []Operation{
			put("a", 1, 2, ok(1)), put("b", 3, 4, ok(2)), got("a", 3, 5, 6),
		}},
		{"duplicate effect of an unknown put", false, []Operation{
			put("a", 1, 2, unknown), got("a", 1, 3, 4), put("b", 5, 6, ok(2)), got("a", 3, 7, 8),
		}},
		{"a get says another version than the put", false, []Operation{put("a", 1, 2, ok(4)), got("a", 5, 3, 4)}},
		{"version goes back", false, []Operation{put("a", 1, 2, ok(5)), put("b", 3, 4, ok(4))}},
		{"version repeats", false, []Operation{put("a", 1, 2, ok(5)), put("b", 3, 4, ok(5))}},
		{"version goes back across a delete", false, []Operation{
			put("a", 1, 2, ok(5)), del(3, 4, ok(6)), put("b", 5, 6, ok(6)),
		}},
		{"version goes on across a delete", true, []Operation{
			put("a", 1, 2, ok(5)), del(3, 4, ok(6)), put("b", 5, 6, ok(7)),
		}},
		{"a put without a version", false, []Operation{put("a", 1, 2, ok(0))}},
		{"an unknown put takes effect late", true, []Operation{
			put("a", 1, 2, unknown), absent(3, 4), put("b", 5, 6, ok(3)), got("b", 3, 7, 8), got("a", 4, 9, 10), got("a", 4, 11, 12),
		}},
		{"an unknown put never takes effect", true, []Operation{
			put("b", 1, 2, ok(3)), put("a", 3, 4, unknown), got("b", 3, 5, 6),
		}},
		{"a put without a result takes effect", true, []Operation{open(put("a", 1, 0, unknown)), got("a", 1, 3, 4)}},
		{"a get without a result", true, []Operation{open(absent(1, 0)), put("a", 2, 3, ok(1))}},
		{"an unknown put takes effect before its call", false, []Operation{got("a", 1, 1, 2), put("a", 3, 4, unknown)}},
		{"an unknown put seen with a version that is passed", false, []Operation{
			put("a", 1, 2, unknown), put("b", 3, 4, ok(5)), got("b", 5, 5, 6), got("a", 4, 7, 8),
		}},
		{"a delete finds an unknown put", true, []Operation{put("a", 1, 2, unknown), del(3, 4, ok(2)), absent(5, 6)}},
		{"a delete finds what never was", false, []Operation{del(1, 2, ok(2))}},
		{"an unknown delete takes effect late", true, []Operation{
			put("a", 1, 2, ok(1)), del(3, 4, unknown), got("a", 1, 5, 6), absent(7, 8),
		}},
		{"an unknown delete takes effect twice", false, []Operation{
			put("a", 1, 2, ok(1)), del(3, 4, unknown), absent(5, 6), put("b", 7, 8, ok(3)), absent(9, 10),
		}},
		{"delete reports not-found although it existed", false, []Operation{put("a", 1, 2, ok(1)), del(3, 4, notFound)}},
		{"conflict reported wrongly", false, []Operation{put("a", 1, 2, ok(1)), cas(1, "b", 3, 4, conflict(1))}},
		{"conflict with a version that is not current", false, []Operation{
			put("a", 1, 2, ok(1)), put("b", 3, 4, ok(2)), cas(7, "c", 5, 6, conflict(1)),
		}},
		{"conflict with an absent key", true, []Operation{cas(4, "a", 1, 2, conflict(0)), absent(3, 4)}},
		{"conflict reported, but it took effect", false, []Operation{
			put("a", 1, 2, ok(1)), cas(1, "b", 3, 4, conflict(2)), got("b", 2, 5, 6),
		}},
		{"create of a key that exists", false, []Operation{put("a", 1, 2, ok(1)), cas(0, "b", 3, 4, ok(2))}},
		{"an unknown cas explains a conflict", true, []Operation{
			put("a", 1, 2, ok(1)), cas(1, "b", 3, 4, unknown), cas(1, "c", 5, 6, conflict(2)), put("d", 7, 8, ok(3)),
		}},
		{"an unknown cas cannot have matched", false, []Operation{
			put("a", 1, 2, ok(1)), cas(9, "b", 3, 4, unknown), got("b", 2, 5, 6),
		}},
		{"an unknown delete and an unknown create explain a conflict", true, []Operation{
			put("a", 1, 2, ok(1)), del(3, 4, unknown), cas(0, "b", 5, 6, unknown), cas(1, "c", 7, 8, conflict(3)),
		}},
		{"a conflict binds the version of an unknown put", false, []Operation{
			put("a", 1, 2, unknown), cas(9, "b", 3, 4, conflict(5)), got("a", 6, 5, 6),
		}},
		{"a refused put has no effect", true, []Operation{refused(put("a", 1, 2, unknown), core.StatusUnavailable), absent(3, 4)}},
		{"a refused put has an effect", false, []Operation{
			refused(put("a", 1, 2, unknown), core.StatusOverloaded), got("a", 1, 3, 4),
		}},
		{"a refused get says nothing", true, []Operation{
			put("a", 1, 2, ok(1)), refused(absent(3, 4), core.StatusGroupLost), got("a", 1, 5, 6),
		}},
		{"a get of a value that nobody wrote", false, []Operation{got("a", 1, 1, 2)}},
		{"a get of an empty value that nobody wrote", false, []Operation{put("a", 1, 2, unknown), got("", 1, 3, 4)}},
		{"a get of an empty value", true, []Operation{put("a", 1, 2, unknown), put("", 3, 4, unknown), got("", 1, 5, 6)}},
		{"a status that a put cannot have", false, []Operation{put("a", 1, 2, notFound)}},
		{"another status that a put cannot have", false, []Operation{put("a", 1, 2, ok(1)), put("b", 3, 4, conflict(1))}},
		{"a get returns the version of a delete", false, []Operation{put("a", 1, 2, ok(1)), del(3, 4, ok(2)), got("a", 2, 5, 6)}},
		{"two values of one version", false, []Operation{
			put("a", 1, 2, unknown), put("b", 3, 4, unknown), got("a", 1, 5, 6), got("b", 1, 7, 8),
		}},
		{"an unknown delete between two values explains both absences at once", true, []Operation{
			put("a", 1, 2, ok(1)), del(3, 4, unknown), absent(5, 12), absent(6, 11), put("b", 7, 8, ok(3)), got("b", 3, 9, 10),
		}},
		{"an unknown delete is called after the absence", false, []Operation{put("a", 1, 2, ok(1)), absent(3, 4), del(5, 6, unknown)}},
		{"an unknown delete before a create", true, []Operation{
			put("a", 1, 2, ok(1)), del(3, 4, unknown), cas(0, "b", 5, 6, ok(3)),
		}},
		{"a create uses up the only unknown delete", false, []Operation{
			put("a", 1, 2, ok(1)), del(3, 4, unknown), cas(0, "b", 5, 6, ok(3)), absent(7, 8),
		}},
		{"a put is kept for what a create cannot do", true, []Operation{
			del(1, 20, ok(2)), cas(0, "a", 2, 3, unknown), put("b", 4, 5, unknown), put("c", 6, 21, ok(4)), cas(9, "d", 22, 23, conflict(5)),
		}},
		{"an unknown cas replaced a version that nobody else tells", true, []Operation{
			put("a", 1, 2, unknown), cas(5, "b", 3, 4, unknown), got("b", 7, 5, 6),
		}},
		{"an unknown cas replaced a version that nobody can have written", false, []Operation{
			cas(5, "b", 3, 4, unknown), got("b", 7, 5, 6), put("a", 7, 8, unknown),
		}},
		{"one of two equal puts was seen", true, []Operation{
			put("a", 1, 2, unknown), put("a", 3, 4, unknown), got("a", 1, 5, 6), put("b", 7, 8, ok(2)), got("a", 3, 9, 10),
		}},
		{"two equal puts were seen thrice", false, []Operation{
			put("a", 1, 2, unknown), put("a", 3, 4, unknown), got("a", 1, 5, 6), got("a", 2, 7, 8), got("a", 3, 9, 10),
		}},
		{"one of two equal creates was seen", true, []Operation{
			cas(0, "a", 1, 2, unknown), cas(0, "a", 3, 4, unknown), got("a", 1, 5, 6),
		}},
		{"one of two equal creates was seen where the key exists", false, []Operation{
			put("b", 1, 2, ok(1)), cas(0, "a", 3, 4, unknown), cas(0, "a", 5, 6, unknown), got("a", 2, 7, 8),
		}},
		{"one of two equal cas was seen", true, []Operation{
			put("b", 1, 2, ok(1)), cas(1, "a", 3, 4, unknown), cas(1, "a", 5, 6, unknown), got("a", 2, 7, 8),
		}},
		{"one of two equal cas was seen before their calls", false, []Operation{
			put("b", 1, 2, ok(1)), got("a", 2, 3, 4), cas(1, "a", 5, 6, unknown), cas(1, "a", 7, 8, unknown),
		}},
		{"one of two equal cas was seen that replaced a version that nobody else tells", true, []Operation{
			put("b", 1, 2, ok(1)), put("c", 3, 4, unknown), cas(2, "a", 5, 6, unknown), cas(2, "a", 7, 8, unknown), got("a", 3, 9, 10),
		}},
		{"new then old, by two readers", false, []Operation{
			put("a", 1, 2, ok(1)), put("b", 3, 20, ok(2)), got("b", 2, 4, 5), got("a", 1, 6, 7),
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, text := CheckLinearizable(c.ops)
			require.Equal(t, c.good, text == "", "%s", text)
			require.Equal(t, c.good, newSlowCheck(c.ops).explains(slowState{}, 0), "the slow check disagrees")
			if len(c.ops) > 0 {
				_, byKey := operationsByKey(c.ops)
				require.Equal(t, c.good, searchOrder(byKey["k"], searchStepsMax) == explained, "Porcupine disagrees")
			}
		})
	}
}

// Each key is judged by itself, and the verdict names the one with the stale read.
func TestLinearizableNamesTheKeyAndTheResult(t *testing.T) {
	other := put("x", 1, 2, ok(9))
	other.Key = "other"
	_, text := CheckLinearizable([]Operation{
		other, put("a", 3, 4, ok(1)), put("b", 5, 6, ok(2)), got("a", 1, 7, 8), got("b", 2, 9, 10), absent(11, 12),
	})
	require.Contains(t, text, `key "k"`)
	require.NotContains(t, text, "other")
	marked := ""
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, ">") {
			marked += line
		}
	}
	require.Contains(t, marked, "get k: ok a, version 1", "the first result that nothing explains is marked:\n%s", text)
}

// Forty writes of unknown outcome must not take the checker 2^40 steps.
func TestLinearizableWithManyUnknown(t *testing.T) {
	ops := []Operation{put("a", 1, 2, ok(1))}
	n := 3
	for i := range 40 {
		value := fmt.Sprintf("v%d", i)
		ops = append(ops, put(value, n, n+1, unknown), del(n+2, n+3, unknown), cas(1, value+"c", n+4, n+5, unknown), got("a", 1, n+6, n+7))
		n += 8
	}
	_, text := CheckLinearizable(ops)
	require.Empty(t, text)
	ops = append(ops, absent(n, n+1), absent(n+2, n+3), got("a", 1, n+4, n+5))
	property, text := CheckLinearizable(ops)
	require.Equal(t, "linearizable", property)
	require.Contains(t, text, "no order")
}

// slowCheck tries every order and every version.
type slowCheck struct {
	ops      []Operation
	versions []core.Seq // those in any call or result
}

type slowState struct {
	present       bool
	value         string
	version, high core.Seq
}

func newSlowCheck(ops []Operation) *slowCheck {
	c := &slowCheck{ops: ops}
	for i := range ops {
		c.versions = append(c.versions, ops[i].Version)
		if ops[i].Result != nil {
			c.versions = append(c.versions, ops[i].Result.Version)
		}
	}
	return c
}

// explains reports whether some order of the operations not in done explains their
// results, from state s on.
func (c *slowCheck) explains(s slowState, done uint) bool {
	horizon, left := 1<<30, false // the first return that is left: what was called later comes later
	for i := range c.ops {
		if r := c.ops[i].Result; done>>i&1 == 0 && r != nil && definite(r.Status) {
			horizon, left = min(horizon, c.ops[i].ReturnOrder), true
		}
	}
	if !left {
		return true
	}
	for i := range c.ops {
		op := &c.ops[i]
		if done>>i&1 == 1 || op.CallOrder > horizon {
			continue
		}
		switch r := op.Result; {
		case r == nil || r.Status == core.StatusUnknown:
			for _, v := range append(slices.Clone(c.versions), s.high+1) {
				next := s
				if v > s.high && next.apply(op, v).Status == core.StatusOK && c.explains(next, done|1<<i) {
					return true
				}
			}
		case definite(r.Status):
			next := s
			v := r.Version
			if r.Status != core.StatusOK || op.Kind == core.OpGet {
				v = s.high + 1
			}
			if v > s.high && next.apply(op, v) == *r && c.explains(next, done|1<<i) {
				return true
			}
		}
	}
	return false
}

func definite(s core.Status) bool {
	return s == core.StatusOK || s == core.StatusNotFound || s == core.StatusConflict
}

// apply lets an operation take effect, and returns its result. v is the version that a
// write gets.
func (s *slowState) apply(op *Operation, v core.Seq) core.Result {
	switch op.Kind {
	case core.OpGet:
		if !s.present {
			return notFound
		}
		return core.Result{Status: core.StatusOK, Value: s.value, Version: s.version}
	case core.OpDelete:
		if !s.present {
			return notFound
		}
		*s = slowState{high: v}
		return ok(v)
	case core.OpCAS:
		if s.version != op.Version {
			return conflict(s.version)
		}
	}
	*s = slowState{true, op.Value, v, v}
	return ok(v)
}

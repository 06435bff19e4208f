package history

import (
	"math"

	"github.com/anishathalye/porcupine"

	"gtstore/core"
)

// Porcupine searches all orders. It depends on none of the reasons in sweep.go, and
// shares no code with it. So it is a second judge where the sweep finds no order, and the
// only one where values do not tell the writes apart.

// searchStepsMax is how many steps of the model Porcupine may take. They take some
// tenths of a second.
const searchStepsMax = 1 << 18

// searchOrder has Porcupine judge the operations on one key. After stepsMax steps the
// model allows nothing more, which ends the search. A bound on time instead would give
// another verdict on another machine.
func searchOrder(ops []*Operation, stepsMax int) verdict {
	steps := 0
	model := porcupine.Model{
		Init: func() any { return keyState{} },
		Step: func(state, input, output any) (bool, any) {
			if steps++; steps > stepsMax {
				return false, state
			}
			ok, next := state.(keyState).step(input.(*keyInput), output.(*keyOutput))
			return ok, next
		},
		Equal: func(a, b any) bool { return a.(keyState) == b.(keyState) },
	}
	switch {
	case porcupine.CheckOperations(model, keyHistory(ops)):
		return explained
	case steps > stepsMax:
		return undecided
	}
	return unexplained
}

// The model of one key. An operation takes effect at one moment between its call and
// its return. Porcupine looks for an order of these moments in which every result is
// right.
//
// A write that was refused had no effect. It is left out, so that a get which sees it
// after all finds no explanation.
//
// A write whose outcome is unknown may take effect at any time after its call, or never.
// If a get returned its value, it did take effect, at the version that the get saw. This
// version is settled before the search, so that a second effect of the same write cannot
// hide behind another version.
//
// All other writes of unknown outcome are free. They may be put after the end of the
// history, where they mean nothing. Porcupine would try all permutations of them, so the
// model allows only those that can matter. This loses no explanation:
//
//   - A free write may come before the end only if the very next operation finds what it
//     did: the absence that a delete left; or the version, or the existence, of a value
//     that no get has seen. If another operation comes next, the history is explained
//     without the free write as well. There is one more use: a free delete lets a free
//     cas create the key.
//   - Free writes that do the same take effect in the order of their calls: the one that
//     was called first can stand in for the other.

// keyState is what a key holds.
type keyState struct {
	present bool
	fresh   bool // the last operation was a free write
	ended   bool // all of the history is explained
	unread  bool // the value is that of a free write, which no get returns
	value   string
	version core.Seq // of the value; 0 when absent, or when present and not known yet
	high    core.Seq // the highest version so far: the next write has a higher one
	used    [alikeMax]uint16
}

// alikeMax is how many sets of like free writes are kept: those that do the same. Free
// writes beyond these may come in any order, which only takes longer.
const alikeMax = 16

// keyInput is an operation on a key, as the model knows it.
type keyInput struct {
	kind     core.OpKind // 0 for the end of the history
	free     bool
	alike    uint8  // of a free write: the set of those that do the same; alikeMax for none
	rank     uint16 // how many of that set were called before it
	value    string
	expected core.Seq
}

// keyOutput is its result.
type keyOutput struct {
	status  core.Status // OK, NotFound, Conflict or Unknown
	value   string
	version core.Seq // with Unknown: the version at which a get saw the value, or 0
}

// bind reports whether the current value can have that version. If its version was not
// known, it is settled with that.
func (s *keyState) bind(v core.Seq) bool {
	if !s.present {
		return v == 0
	}
	if s.version != 0 {
		return s.version == v
	}
	if v <= s.high {
		return false
	}
	s.version, s.high = v, v
	return true
}

// write writes a value. Its version must be above all before; 0 means not known yet.
func (s *keyState) write(value string, v core.Seq) bool {
	if v != 0 && v <= s.high {
		return false
	}
	s.present, s.value, s.version, s.unread = true, value, v, false
	s.high = max(s.high, v)
	return true
}

// step is the model. It reports whether the operation can have that result in that
// state, and returns the state after it.
func (s keyState) step(in *keyInput, out *keyOutput) (bool, keyState) {
	switch {
	case in.kind == 0:
		s.ended = true
		return true, s
	case s.ended:
		return true, s // only operations of unknown outcome come after the end
	case in.free:
		return s.stepFree(in), s
	}
	fresh := s.fresh
	s.fresh = false
	ok := false
	switch in.kind {
	case core.OpGet:
		switch out.status {
		case core.StatusOK:
			ok = s.present && !s.unread && s.value == out.value && s.bind(out.version)
		case core.StatusNotFound:
			ok = !s.present
		}
	case core.OpPut:
		switch out.status {
		case core.StatusOK:
			ok = !fresh && out.version != 0 && s.write(in.value, out.version)
		case core.StatusUnknown:
			ok = !fresh && s.write(in.value, out.version)
		}
	case core.OpDelete:
		ok = s.stepDelete(out)
	case core.OpCAS:
		ok = s.stepCAS(in, out)
	}
	return ok, s
}

// stepFree lets a free write take effect before the end of the history, if it may.
func (s *keyState) stepFree(in *keyInput) bool {
	create := in.kind == core.OpCAS && in.expected == 0
	if s.fresh && (s.present || !create) {
		return false
	}
	if in.alike < alikeMax {
		if s.used[in.alike] != in.rank {
			return false
		}
		s.used[in.alike]++
	}
	s.fresh = true
	switch in.kind {
	case core.OpDelete:
		if !s.present {
			return false
		}
		s.remove()
		return true
	case core.OpCAS:
		if !s.bind(in.expected) {
			return false
		}
	}
	s.write("", 0)
	s.unread = true
	return true
}

func (s *keyState) remove() { s.present, s.value, s.version, s.unread = false, "", 0, false }

func (s *keyState) stepDelete(out *keyOutput) bool {
	switch out.status {
	case core.StatusOK:
		if !s.present || out.version <= s.high {
			return false
		}
		s.high = out.version
	case core.StatusNotFound:
		return !s.present
	default:
		return false
	}
	s.remove()
	return true
}

func (s *keyState) stepCAS(in *keyInput, out *keyOutput) bool {
	switch out.status {
	case core.StatusOK:
		return s.bind(in.expected) && out.version != 0 && s.write(in.value, out.version)
	case core.StatusConflict:
		return in.expected != out.version && s.bind(out.version)
	case core.StatusUnknown:
		before := *s
		if s.bind(in.expected) && s.write(in.value, out.version) {
			return true
		}
		*s = before
		// A get saw its value. With version 0 another write has that value, too, and
		// this one may have had no effect.
		return out.version == 0
	}
	return false
}

// keyHistory turns the operations on one key into those of Porcupine.
func keyHistory(ops []*Operation) []porcupine.Operation {
	var free freeWrites
	seen := versionsSeen(ops)
	history := make([]porcupine.Operation, 0, len(ops)+1)
	inputs, outputs := make([]keyInput, len(ops)+1), make([]keyOutput, len(ops)+1)
	last := int64(0)
	for i, op := range ops {
		in, out := &inputs[i], &outputs[i]
		*in = keyInput{kind: op.Kind, value: op.Value, expected: op.Version}
		*out = keyOutput{status: core.StatusUnknown}
		end := int64(math.MaxInt64)
		if op.Result != nil {
			out.status = op.Result.Status
		}
		switch out.status {
		case core.StatusOK, core.StatusNotFound, core.StatusConflict:
			out.value, out.version = op.Result.Value, op.Result.Version
			end = int64(op.ReturnOrder)
			last = max(last, end)
		case core.StatusUnknown:
			if op.Kind == core.OpGet {
				continue
			}
			version, got := seen[op.Value]
			if got && op.Kind != core.OpDelete {
				out.version = version
			} else {
				free.add(in)
			}
		default:
			continue // refused: it had no effect, and tells nothing
		}
		history = append(history, porcupine.Operation{Input: in, Output: out, Call: int64(op.CallOrder), Return: end})
	}
	return append(history, porcupine.Operation{
		Input: &inputs[len(ops)], Output: &outputs[len(ops)], Call: last + 1, Return: last + 2,
	})
}

// freeWrites sorts free writes into sets of those that do the same.
type freeWrites struct {
	sets  [alikeMax]keyInput
	sizes [alikeMax]uint16
}

// add gives a free write its set and its rank there. Free writes are added in the order
// of their calls.
func (f *freeWrites) add(in *keyInput) {
	in.free, in.alike = true, alikeMax
	for i := range f.sets {
		if f.sizes[i] == 0 {
			f.sets[i] = *in
		}
		if f.sets[i].kind == in.kind && f.sets[i].expected == in.expected {
			in.alike, in.rank = uint8(i), f.sizes[i]
			f.sizes[i]++
			return
		}
	}
}

// versionsSeen maps each value that a get returned to its version. Where several writes
// have the value, it tells nothing about any of them, and the version is 0.
func versionsSeen(ops []*Operation) map[string]core.Seq {
	seen := map[string]core.Seq{}
	for _, op := range ops {
		if r := op.Result; op.Kind == core.OpGet && r != nil && r.Status == core.StatusOK && seen[r.Value] == 0 {
			seen[r.Value] = r.Version
		}
	}
	writers := map[string]int{}
	for _, op := range ops {
		if op.Kind != core.OpPut && op.Kind != core.OpCAS {
			continue
		}
		writers[op.Value]++
		if _, got := seen[op.Value]; got && writers[op.Value] > 1 {
			seen[op.Value] = 0
		}
	}
	return seen
}

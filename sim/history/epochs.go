package history

import (
	"math"
	"slices"

	"gtstore/core"
)

// epoch is what lies between two writes of a key that some result tells the
// versions of: the write, and those who saw what it left.
type epoch struct {
	version core.Seq
	writer  *Operation // nil while it can be any of the unknown writes
	read    bool       // a get tells the value
	value   string     // and that it is
	called  int        // the last call of those who saw the version
	// returned is the first return among those, the writer, and all of the later
	// epochs: who takes effect before this epoch was called before that.
	returned int
}

// noReturn is when an operation returns whose outcome is unknown.
const noReturn = math.MaxInt

// absent tells whether the key does not exist from the epoch's write on.
func (e *epoch) absent() bool {
	return e.version == 0 || e.writer != nil && e.writer.Kind == core.OpDelete
}

// The classes of the unknown writes that any gap may have use for: those of a
// class can stand in for each other, but for their calls.
const (
	classDelete = iota
	classPut
	classCreate // a cas that expects no key
	classes
)

// mention is a result that tells a version.
type mention struct {
	version core.Seq
	op      *Operation
	part    mentionPart
}

// mentionPart is what the operation has to do with the version.
type mentionPart uint8

const (
	partWrote mentionPart = iota
	partSaw
	partReplaced // by a cas: the version was the last before the cas's own
)

// collect sorts the operations, which come in the order of their calls, into
// epochs, absences and unknown writes. It reports whether the results agree with
// each other as far as that takes no order to tell.
func (s *sweep) collect(ops []*Operation) bool {
	mentions := make([]mention, 0, len(ops))
	var unknown []*Operation
	for _, op := range ops {
		status := core.StatusUnknown
		if op.Result != nil {
			status = op.Result.Status
		}
		switch status {
		case core.StatusOK:
			if op.Result.Version == 0 {
				return false
			}
			m := mention{op.Result.Version, op, partWrote}
			if op.Kind == core.OpGet {
				m.part = partSaw
			} else if op.Kind == core.OpCAS && op.Version != 0 {
				mentions = append(mentions, mention{op.Version, op, partReplaced})
			}
			mentions = append(mentions, m)
		case core.StatusNotFound:
			if op.Kind != core.OpGet && op.Kind != core.OpDelete {
				return false
			}
			s.absences = append(s.absences, op)
		case core.StatusConflict:
			if op.Kind != core.OpCAS || op.Result.Version == op.Version {
				return false
			}
			if op.Result.Version == 0 {
				s.absences = append(s.absences, op)
			} else {
				mentions = append(mentions, mention{op.Result.Version, op, partSaw})
			}
		case core.StatusUnknown:
			if op.Kind != core.OpGet {
				unknown = append(unknown, op)
			}
		}
		// Any other status is a refusal: no effect, and nothing said. Whoever sees
		// the effect after all finds no writer.
	}
	if !s.fold(mentions) || !s.bind(unknown) {
		return false
	}
	for i := len(s.epochs) - 2; i >= 0; i-- {
		s.epochs[i].returned = min(s.epochs[i].returned, s.epochs[i+1].returned)
	}
	return true
}

// fold makes an epoch of each version, in their order, after the one before all
// writes.
func (s *sweep) fold(mentions []mention) bool {
	slices.SortFunc(mentions, func(a, b mention) int {
		if a.version < b.version {
			return -1
		} else if a.version > b.version {
			return 1
		}
		return int(a.part) - int(b.part)
	})
	s.epochs = append(make([]epoch, 0, len(mentions)+1), epoch{returned: noReturn})
	for i := range mentions {
		m := &mentions[i]
		e := &s.epochs[len(s.epochs)-1]
		if e.version != m.version {
			s.epochs = append(s.epochs, epoch{version: m.version, returned: noReturn})
			e = &s.epochs[len(s.epochs)-1]
		}
		switch m.part {
		case partWrote:
			if e.writer != nil {
				return false // one version, two writes
			}
			e.writer, e.value = m.op, m.op.Value
			e.returned = m.op.ReturnOrder
		case partSaw:
			if e.absent() {
				return false
			}
			e.called, e.returned = max(e.called, m.op.CallOrder), min(e.returned, m.op.ReturnOrder)
			if m.op.Kind != core.OpGet {
				continue
			}
			if (e.writer != nil || e.read) && e.value != m.op.Result.Value {
				return false
			}
			e.read, e.value = true, m.op.Result.Value
		}
	}
	return true
}

// bind finds the writers of the epochs of which a get tells the value, and puts
// the other unknown writes into their classes.
func (s *sweep) bind(unknown []*Operation) bool {
	byValue := map[string][]*Operation{}
	bound := map[*Operation]bool{}
	for i := range s.epochs {
		e := &s.epochs[i]
		if e.writer != nil || !e.read {
			continue
		}
		if len(byValue) == 0 {
			for _, op := range unknown {
				if op.Kind != core.OpDelete {
					byValue[op.Value] = append(byValue[op.Value], op)
				}
			}
		}
		writers := byValue[e.value]
		if len(writers) > 1 {
			s.alike = true
			continue
		}
		if len(writers) == 0 || bound[writers[0]] {
			return false // nobody wrote it, or one write has two versions
		}
		e.writer, bound[writers[0]] = writers[0], true
	}
	for _, op := range unknown {
		switch {
		case bound[op]:
			// What a cas replaced existed, though no result tells it.
			if op.Kind == core.OpCAS && op.Version != 0 {
				s.insert(op.Version)
			}
		case op.Kind == core.OpDelete:
			s.calls[classDelete] = append(s.calls[classDelete], op.CallOrder)
		case op.Kind == core.OpPut:
			s.calls[classPut] = append(s.calls[classPut], op.CallOrder)
		case op.Version == 0:
			s.calls[classCreate] = append(s.calls[classCreate], op.CallOrder)
		default:
			s.swaps = append(s.swaps, op)
		}
	}
	return true
}

// insert makes an epoch of a version that only an unknown cas speaks of.
func (s *sweep) insert(version core.Seq) {
	i, found := slices.BinarySearchFunc(s.epochs, version, func(e epoch, v core.Seq) int {
		if e.version < v {
			return -1
		} else if e.version > v {
			return 1
		}
		return 0
	})
	if !found {
		s.epochs = slices.Insert(s.epochs, i, epoch{version: version, returned: noReturn})
	}
}

package history

import (
	"math"
	"slices"

	"gtstore/core"
)

// era is a version of a key that some result tells: the write that made the version, and
// those who saw it.
type era struct {
	version core.Seq   // 0 for the time before the first write
	writer  *Operation // nil when any of the unknown writes can be it
	read    bool       // a get returned the value
	value   string     // good when read, or with a writer
	called  int        // the last call of those who saw the version
	// returned is the first return of this era and all later ones. Whatever takes
	// effect before this era was called before that.
	returned int
}

// noReturn is the ReturnOrder of an operation whose outcome is unknown.
const noReturn = math.MaxInt

// absent tells whether the key does not exist after the era's write.
func (e *era) absent() bool {
	return e.version == 0 || e.writer != nil && e.writer.Kind == core.OpDelete
}

// The classes of the unknown writes that can be of use in any gap. Those of a class do
// the same, and differ in their calls alone.
const (
	classDelete = iota
	classPut
	classCreate // a cas that expects no key
	classes
)

// mention is an operation that tells a version.
type mention struct {
	version core.Seq
	op      *Operation
	part    mentionPart
}

// mentionPart is what a mention's operation has to do with the version.
type mentionPart uint8

const (
	partWrote mentionPart = iota
	partSaw
	partReplaced // by a cas, with the next version of the key
)

// collect sorts the operations into eras, absences and unknown writes. They come in the
// order of their calls. It reports false where the results alone, whatever the calls and
// returns, show that no order explains them.
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
		// Any other status is a refusal, which has no effect and tells nothing. A get
		// that sees an effect after all finds no writer of its value.
	}
	if !s.fold(mentions) || !s.bind(unknown) {
		return false
	}
	for i := len(s.eras) - 2; i >= 0; i-- {
		s.eras[i].returned = min(s.eras[i].returned, s.eras[i+1].returned)
	}
	return true
}

// fold makes an era of each version, in their order. The first era is the time before
// the first write.
func (s *sweep) fold(mentions []mention) bool {
	slices.SortFunc(mentions, func(a, b mention) int {
		if a.version < b.version {
			return -1
		} else if a.version > b.version {
			return 1
		}
		return int(a.part) - int(b.part)
	})
	s.eras = append(make([]era, 0, len(mentions)+1), era{returned: noReturn})
	for i := range mentions {
		m := &mentions[i]
		e := &s.eras[len(s.eras)-1]
		if e.version != m.version {
			s.eras = append(s.eras, era{version: m.version, returned: noReturn})
			e = &s.eras[len(s.eras)-1]
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

// bind finds the unknown write of each era whose value a get returned, and puts the
// other unknown writes into their classes.
func (s *sweep) bind(unknown []*Operation) bool {
	byValue := map[string][]*Operation{}
	bound := map[*Operation]bool{}
	for i := range s.eras {
		e := &s.eras[i]
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
			return false // nobody wrote the value, or one write has two versions
		}
		e.writer, bound[writers[0]] = writers[0], true
	}
	for _, op := range unknown {
		switch {
		case bound[op]:
			// The version that a cas replaced existed, even if no result tells it.
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

// insert makes an era of a version that an unknown cas expects, unless there is one.
func (s *sweep) insert(version core.Seq) {
	i, found := slices.BinarySearchFunc(s.eras, version, func(e era, v core.Seq) int {
		if e.version < v {
			return -1
		} else if e.version > v {
			return 1
		}
		return 0
	})
	if !found {
		s.eras = slices.Insert(s.eras, i, era{version: version, returned: noReturn})
	}
}

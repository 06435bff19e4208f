package explore

import (
	"errors"
	"fmt"
	"slices"
)

// Successor is a state to which one step leads.
type Successor struct {
	Name  string // of the step; different from the others'
	Print uint64
	State []byte
	Wrong *Violation // what is wrong with the step, without the way to it
}

// Initial returns the states in which a model may begin.
func Initial(m Model) []Successor {
	var list []Successor
	m.Worker().Initial(&Sink{step: -1, list: &list})
	return list
}

// Next returns the states to which one step leads from a state, and what is wrong with the
// state itself, if anything is.
func Next(m Model, state []byte) ([]Successor, *Violation) {
	var list []Successor
	sink := &Sink{step: -1, list: &list}
	m.Worker().Next(state, sink)
	times := map[string]int{}
	for i := range list {
		name := list[i].Name
		if times[name]++; times[name] > 1 {
			list[i].Name += fmt.Sprintf(" (%d)", times[name])
		}
	}
	return list, sink.self
}

// Replay takes the named steps from the only initial state. It returns what is wrong with
// the last of them, or with where it leads; nil if nothing is. The error says which step
// there is not.
func Replay(m Model, steps []string) (*Violation, error) { return Follow(m, steps, nil) }

// Follow is Replay, with a function that is called for each step that is taken, unless it is
// nil: which one of the steps of Next it is, and where it leads.
func Follow(m Model, steps []string, taken func(index int, to *Successor)) (*Violation, error) {
	begin := Initial(m)
	if len(begin) != 1 {
		return nil, fmt.Errorf("there are %d initial states, want one", len(begin))
	}
	at := begin[0]
	for i, name := range steps {
		list, _ := Next(m, at.State)
		next := slices.IndexFunc(list, func(s Successor) bool { return s.Name == name })
		if next < 0 {
			return nil, fmt.Errorf("step %d, %q, cannot be taken there", i+1, name)
		}
		at = list[next]
		if taken != nil {
			taken(next, &at)
		}
		if at.Wrong != nil && i < len(steps)-1 {
			return at.Wrong, fmt.Errorf("step %d, %q, is wrong already: %s: %s", i+1, name, at.Wrong.Property, at.Wrong.Text)
		}
	}
	if at.Wrong != nil {
		return at.Wrong, nil
	}
	_, wrong := Next(m, at.State)
	return wrong, nil
}

var errNoWay = errors.New("the way there cannot be found again: the model does not give the same states to the same question")

// steps finds the names of the steps that lead to a finding, by asking the model again.
func (s *search) steps(f *finding) ([]string, error) {
	if f.depth == 0 && f.step >= 0 {
		return nil, nil // an initial state
	}
	prints := []uint64{f.parent} // from the last state back to an initial one
	for {
		parent, depth, ok := s.table.parent(prints[len(prints)-1])
		if !ok {
			return nil, errNoWay
		}
		if depth == 0 {
			break
		}
		prints = append(prints, parent)
	}
	slices.Reverse(prints)
	var names []string
	list := Initial(s.model)
	for i, print := range prints {
		next := slices.IndexFunc(list, func(s Successor) bool { return s.Print == print })
		if next < 0 {
			return names, errNoWay
		}
		if i > 0 {
			names = append(names, list[next].Name)
		}
		list, _ = Next(s.model, list[next].State)
	}
	if f.step < 0 {
		return names, nil
	}
	if f.step >= len(list) {
		return names, errNoWay
	}
	return append(names, list[f.step].Name), nil
}

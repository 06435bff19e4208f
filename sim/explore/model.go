package explore

// A Model is a system with states and steps between them. A state is its encoding: equal
// bytes mean equal states within one search. What a model says must not depend on how many
// workers there are, nor on who asks first.
type Model interface {
	// Worker returns a view of the model for one goroutine. It may keep memory of its own.
	Worker() Worker
}

// A Worker gives the states of its model, for one goroutine.
type Worker interface {
	// Initial gives the sink every state in which the system may begin.
	Initial(to *Sink)
	// Next gives the sink every state that one step leads to, always in the same order, and
	// says what is wrong with the state or a step. It keeps neither the state nor the sink.
	Next(state []byte, to *Sink)
}

// A Keeper is a Model that holds something beside the states that are given to the search.
type Keeper interface {
	// Memory is about how many bytes it holds.
	Memory() int64
	// Save returns what Load needs, so that the states that were given to the search mean the
	// same in another process. No worker is at work meanwhile.
	Save() ([]byte, error)
	Load(saved []byte) error
}

// A Prover is a Model that leaves out what it guesses to make no difference.
type Prover interface {
	// Proven tells whether nothing that was left out makes a difference. If something
	// does, the model has learnt of it, and is searched once more. No worker is at work meanwhile.
	Proven() bool
}

// Violation says what is wrong, and the steps that lead there.
type Violation struct {
	Property string
	Text     string
	Steps    []string // their names, in order; the last is the one that is wrong, if a step is
}

// finding is a violation while its level is searched.
type finding struct {
	depth          int    // steps to what is wrong
	parent         uint64 // print of the state whose successors were asked for
	step           int    // which of its steps is wrong; -1 for the state itself
	property, text string
}

// before orders findings, so that the one that is reported does not depend on the workers.
func (f *finding) before(g *finding) bool {
	switch {
	case g == nil:
		return true
	case f.depth != g.depth:
		return f.depth < g.depth
	case f.parent != g.parent:
		return f.parent < g.parent
	case f.step != g.step:
		return f.step < g.step
	}
	return f.property+f.text < g.property+g.text
}

// A Sink takes what a Worker finds.
type Sink struct {
	search *search
	out    *chunk // new states of the next level
	first  *finding

	parent    uint64
	depth     int // of the states that are added
	step      int // of the state added last; -1 before
	generated int64

	list *[]Successor // what is gathered instead of all that
	self *Violation   // what is then wrong with the state itself
	name string
}

// Naming tells whether the names of steps are wanted: only then are they worth making.
func (s *Sink) Naming() bool { return s.list != nil }

// Name names the step of the next Add.
func (s *Sink) Name(text string) { s.name = text }

// Add takes a state to which a step leads, which it copies. The print is a hash of all that
// makes two states differ, whichever process asks. Two states with one print are taken for
// one.
func (s *Sink) Add(print uint64, state []byte) {
	print = max(print, 1)
	s.step++
	if s.list != nil {
		*s.list = append(*s.list, Successor{Name: s.name, Print: print, State: append([]byte(nil), state...)})
		s.name = ""
		return
	}
	s.generated++
	switch s.search.table.insert(print, s.parent, uint16(s.depth)) {
	case insertFull:
		s.search.full.Store(true)
	case insertNew:
		s.keep(print, state)
	}
}

// keep puts a state on the next level.
func (s *Sink) keep(print uint64, state []byte) {
	if s.out == nil || !s.out.fits(state) {
		s.flush()
		if s.out = s.search.newChunk(len(state)); s.out == nil {
			return // the search ends here, and is not complete
		}
	}
	s.out.add(print, state)
}

// flush hands over what was gathered.
func (s *Sink) flush() {
	if s.out != nil {
		s.search.push(s.out)
		s.out = nil
	}
}

// Fail says what is wrong with the step of the last Add, or before any Add with the state
// itself. The search ends with its level, and reports one of the shortest ways.
func (s *Sink) Fail(property, text string) {
	if s.list != nil {
		v := &Violation{Property: property, Text: text}
		if s.step < 0 {
			s.self = v
		} else {
			(*s.list)[s.step].Wrong = v
		}
		return
	}
	depth := s.depth
	if s.step < 0 {
		depth--
	}
	f := &finding{depth, s.parent, s.step, property, text}
	if f.before(s.first) {
		s.first = f
	}
}

// begin prepares for the successors of a state.
func (s *Sink) begin(parent uint64) { s.parent, s.step = parent, -1 }

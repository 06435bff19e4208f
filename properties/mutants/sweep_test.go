package mutants

import (
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	erasFile  = "sim/history/eras.go"
	sweepFile = "sim/history/sweep.go"
)

// sweepMutants are the check of linearizability without one rule. Each lets some wrong
// history pass, or finds no order for some right one. The tests of package history must
// catch each.
var sweepMutants = []Mutant{
	{
		Name: `success-without-a-version`, Story: `a write that says it succeeded, with version 0`, File: erasFile,
		Old: `			if op.Result.Version == 0 {
				return false
			}
`, New: ``,
	},
	{
		Name: `not-found-of-a-put`, Story: `a put is taken for an observer`, File: erasFile,
		Old: `if op.Kind != core.OpGet && op.Kind != core.OpDelete {`, New: `if false {`,
	},
	{
		Name: `conflict-with-what-was-expected`, Story: `a cas that should have succeeded`, File: erasFile,
		Old: ` || op.Result.Version == op.Version {`, New: ` {`,
	},
	{
		Name: `conflict-of-a-put`, Story: `a put is taken for an observer`, File: erasFile,
		Old: `if op.Kind != core.OpCAS || op.Result`, New: `if op.Result`,
	},
	{
		Name: `replaced-version-forgotten`, Story: `what a cas replaced may be unknown to all others`, File: erasFile,
		Old: `				mentions = append(mentions, mention{op.Version, op, partReplaced})
`, New: ``,
	},
	{
		Name: `two-writes-of-one-version`, Story: `one of the two is forgotten`, File: erasFile,
		Old: `			if e.writer != nil {
				return false // one version, two writes
			}
`, New: ``,
	},
	{
		Name: `delete-that-is-read`, Story: `a get returns the version of a delete`, File: erasFile,
		Old: `			if e.absent() {
				return false
			}
`, New: ``,
	},
	{
		Name: `wrong-value`, Story: `a get returns another value than was written`, File: erasFile,
		Old: `(e.writer != nil || e.read) &&`, New: `e.read &&`,
	},
	{
		Name: `two-values-of-one-version`, Story: `two gets return different values of a version`, File: erasFile,
		Old: `(e.writer != nil || e.read) &&`, New: `e.writer != nil &&`,
	},
	{
		Name: `value-from-nowhere`, Story: `nobody wrote what a get returned`, File: erasFile,
		Old: `		if len(writers) == 0 ||`, New: `		if len(writers) == 0 {
			continue
		}
		if`,
	},
	{
		Name: `one-write-at-two-versions`, Story: `a write of unknown outcome takes effect twice`, File: erasFile,
		Old: ` || bound[writers[0]] {`, New: ` {`,
	},
	{
		Name: `bound-write-is-free-too`, Story: `a write that was seen takes effect once more, hidden`, File: erasFile,
		Old: `writers[0], true
`, New: `writers[0], false
`,
	},
	{
		Name: `first-of-equal-writes`, Story: `one of several writes of a value was seen, but which`, File: erasFile,
		Old: `		if len(writers) > 1 {
			s.alike = true
			continue
		}
`, New: ``,
	},
	{
		Name: `version-that-only-an-unknown-cas-tells`, Story: `the version before it has no place among the others`, File: erasFile,
		Old: `				s.insert(op.Version)
`, New: ``,
	},
	{
		Name: `returns-of-the-next-era-alone`, Story: `who was called after a later era ended comes before it`, File: erasFile,
		Old: `s.eras[i].returned = min(s.eras[i].returned, s.eras[i+1].returned)`, New: `_ = i`,
	},
	{
		Name: `writer-of-no-return`, Story: `who was called after a write returned comes before it`, File: erasFile,
		Old: `			e.returned = m.op.ReturnOrder
`, New: ``,
	},
	{
		Name: `read-after-the-next-write-returned`, Story: `a stale read`, File: sweepFile,
		Old: `if s.eras[i].called > ahead {`, New: `if false {`,
	},
	{
		Name: `read-while-an-absence-waits`, Story: `an absence that returned before the value was read comes after it`, File: sweepFile,
		Old: `st.waiting = min(st.waiting, first); s.eras[i].called < st.waiting {`,
		New: `st.waiting = min(st.waiting, first); true {`,
	},
	{
		Name: `absences-are-not-awaited`, Story: `an absence that no time explains`, File: sweepFile,
		Old: `		if st.waiting == noReturn {
			s.add(st)
		}`, New: `		s.add(st)`,
	},
	{
		Name: `absences-too-early`, Story: `an absence before what returned before its call`, File: sweepFile,
		Old: `reached < len(s.absences) && s.absences[reached].CallOrder < ahead {`, New: `reached < len(s.absences) {`,
	},
	{
		Name: `absence-after-a-delete-waits-on`, Story: `an absence after a delete is not explained by it`, File: sweepFile,
		Old: `		st.waiting = noReturn
		s.enter`, New: `		s.enter`,
	},
	{
		Name: `no-hidden-delete`, Story: `an unknown delete that absences tell of`, File: sweepFile,
		Old: `min(s.ahead(i), st.waiting)); ok {`, New: `0); ok {`,
	},
	{
		Name: `hidden-delete-of-the-future`, Story: `it takes effect before what returned before its call`, File: sweepFile,
		Old: `min(s.ahead(i), st.waiting)); ok {`, New: `st.waiting); ok {`,
	},
	{
		Name: `hidden-delete-after-the-absence`, Story: `it was called after the absence returned`, File: sweepFile,
		Old: `min(s.ahead(i), st.waiting)); ok {`, New: `s.ahead(i)); ok {`,
	},
	{
		Name: `create-without-a-hidden-delete`, Story: `a cas creates a key that an unknown delete has removed`, File: sweepFile,
		Old: `if st.waiting == noReturn && !s.mayCreate(i+1) {`, New: `if st.waiting == noReturn {`,
	},
	{
		Name: `create-of-unknown-writer`, Story: `the writer of a version is an unknown create after an unknown delete`, File: sweepFile,
		Old: `return w == nil || w.Kind`, New: `return w != nil && w.Kind`,
	},
	{
		Name: `write-of-the-future`, Story: `a write takes effect before what returned before its call`, File: sweepFile,
		Old: `case w.CallOrder > limit:`, New: `case false:`,
	},
	{
		Name: `write-while-an-absence-waits`, Story: `an absence that returned before the write was called comes after it`, File: sweepFile,
		Old: `limit := min(e.returned, st.waiting)`, New: `limit := e.returned`,
	},
	{
		Name: `unknown-write-of-the-future`, Story: `it takes effect before what returned before its call`, File: sweepFile,
		Old: `limit := min(e.returned, st.waiting)`, New: `limit := st.waiting
	if w := e.writer; w != nil && w.CallOrder > e.returned {
		return
	}`,
	},
	{
		Name: `delete-of-nothing`, Story: `a delete finds what never was`, File: sweepFile,
		Old: `w.Kind == core.OpDelete && !absent,`, New: `w.Kind == core.OpDelete,`,
	},
	{
		Name: `delete-of-hidden-writes`, Story: `a delete finds what an unknown put left`, File: sweepFile,
		Old: `		s.useAny(st, 0, limit)
	}
}`, New: `	}
}`,
	},
	{
		Name: `lost-update`, Story: `a cas replaces another version than it expects`, File: sweepFile,
		Old: `w.Kind == core.OpCAS && w.Version == present:`, New: `w.Kind == core.OpCAS:`,
	},
	{
		Name: `cas-over-a-hidden-delete`, Story: `a cas replaces a version that is gone`, File: sweepFile,
		Old: `	if absent {
		present = 0
	}
`, New: `	if present == 0 {
		absent = true
	}
`,
	},
	{
		Name: `unknown-writer-of-no-value`, Story: `nobody can have written what a conflict saw`, File: sweepFile,
		Old: `	case w == nil:
		s.useAny(st, present, limit)`, New: `	case w == nil:
		s.add(st)`,
	},
	{
		Name: `any-cas`, Story: `the writer of a version is an unknown cas`, File: sweepFile,
		Old: `op.Version == present && op.CallOrder < limit })`, New: `false && op.CallOrder < limit })`,
	},
	{
		Name: `any-cas-of-any-version`, Story: `a cas replaces another version than it expects`, File: sweepFile,
		Old: `return op.Version == present && op.CallOrder`, New: `return op.CallOrder`,
	},
	{
		Name: `any-cas-of-the-future`, Story: `it takes effect before what returned before its call`, File: sweepFile,
		Old: `op.Version == present && op.CallOrder < limit })`, New: `op.Version == present })`,
	},
	{
		Name: `put-before-create`, Story: `a put is used up where a create would have done`, File: sweepFile,
		Old: `	} else if after, ok := s.use(st, classCreate, limit); ok {
		s.add(after)
		return
	}`, New: `	} else if after, ok := s.use(st, classPut, limit); ok {
		s.add(after)
		return
	}`,
	},
	{
		Name: `unknown-write-is-used-again`, Story: `a write of unknown outcome takes effect twice`, File: sweepFile,
		Old: `	st.used[class]++
`, New: ``,
	},
	{
		Name: `unknown-write-before-its-call`, Story: `it takes effect before what returned before its call`, File: sweepFile,
		Old: ` || s.calls[class][n] > limit {`, New: ` {`,
	},
	{
		Name: `first-choice-only`, Story: `one state displaces another that could do more`, File: sweepFile,
		Old: `	if st.waiting < other.waiting {
		return false
	}
`, New: ``,
	},
	{
		Name: `choices-cost-nothing`, Story: `a state that has used more displaces one that has used less`, File: sweepFile,
		Old: `		if n > other.used[class] {
			return false
		}`, New: `		_, _ = class, n`,
	},
}

// TestSweepMutantsStillApply: each mutant of the sweep matches the source.
func TestSweepMutantsStillApply(t *testing.T) {
	for i := range sweepMutants {
		_, err := sweepMutants[i].sources(root)
		require.NoError(t, err)
	}
}

// TestSweepMutants: the tests of package history catch every mutant of the sweep.
func TestSweepMutants(t *testing.T) {
	fallToTests(t, len(sweepMutants), func(i int) (*Mutant, string, string) {
		return &sweepMutants[i], "./sim/history", "^(TestLinearizable|TestChecksAgree)"
	})
}

package history

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"gtstore/core"
)

// The sweep and Porcupine must come to the same verdict. On the shortest histories so
// must a search that leaves nothing out.
func TestChecksAgree(t *testing.T) {
	const rounds = 40_000
	verdicts, swept := map[verdict]int{}, 0
	for seed := range uint64(rounds) {
		want, bySweep := compareChecks(t, seed, 2+int(seed%11))
		verdicts[want]++
		if bySweep {
			swept++
		}
	}
	t.Logf("of %d histories, of which the sweep judges %d, %d are linearizable and %d are not", rounds, swept, verdicts[explained], verdicts[unexplained])
	require.Greater(t, swept, rounds*3/4)
	require.Greater(t, verdicts[explained], rounds/5)
	require.Greater(t, verdicts[unexplained], rounds/5)
	require.Zero(t, verdicts[undecided], "Porcupine gave up")
}

// FuzzChecksAgree goes on with histories of any seed.
func FuzzChecksAgree(f *testing.F) {
	f.Add(uint64(1), uint8(6))
	f.Fuzz(func(t *testing.T, seed uint64, n uint8) { compareChecks(t, seed, 2+int(n%15)) })
}

// compareChecks draws a history of n operations, and fails if two checks differ. It
// returns Porcupine's verdict, and whether the sweep came to its own without Porcupine.
func compareChecks(t *testing.T, seed uint64, n int) (want verdict, bySweep bool) {
	ops := drawHistory(rand.New(rand.NewPCG(seed, uint64(n))), n)
	_, byKey := operationsByKey(ops)
	got := judge(byKey["k"])
	want = searchOrder(byKey["k"], 1<<20)
	if want != undecided && got != want {
		t.Fatalf("seed %d, %d operations: explained is %v to the sweep and %v to Porcupine:\n%s", seed, n, got == explained, want == explained, explain(byKey["k"], nil))
	}
	if n <= 6 {
		if slow := newSlowCheck(ops).explains(slowState{}, 0); slow != (got == explained) {
			t.Fatalf("seed %d, %d operations: explained is %v to the sweep and %v to the slow check:\n%s", seed, n, got == explained, slow, explain(byKey["k"], nil))
		}
	}
	s := &sweep{}
	s.collect(byKey["k"])
	return want, !s.alike
}

// historyTaste is in what drawn histories differ.
type historyTaste struct {
	values  int // how many different values are written
	span    int // how many operations may take effect while one is under way
	unknown int // how many of 8 operations have no known outcome
	kinds   []core.OpKind
}

func drawTaste(r *rand.Rand, n int) historyTaste {
	kinds := []core.OpKind{core.OpGet, core.OpPut, core.OpDelete, core.OpCAS}
	for range r.IntN(4) { // some kinds are drawn more often
		kinds = append(kinds, kinds[r.IntN(4)])
	}
	return historyTaste{values: []int{1, 2, 3, n, n, n}[r.IntN(6)], span: r.IntN(n + 2), unknown: r.IntN(7), kinds: kinds}
}

// drawHistory applies operations to a correct key, with calls and returns that overlap.
// Often it then spoils a result.
func drawHistory(r *rand.Rand, n int) []Operation {
	taste := drawTaste(r, n)
	ops := make([]Operation, n)
	calls, returns := make([]float64, n), make([]float64, n)
	var s slowState
	versions := []core.Seq{0}
	for i := range ops {
		// Operation i takes effect at time i, or, where its outcome is unknown, perhaps
		// never.
		calls[i] = float64(i) - r.Float64()*float64(1+taste.span)
		returns[i] = float64(i) + r.Float64()*float64(1+taste.span)
		op := open(ended(taste.kinds[r.IntN(len(taste.kinds))], "", 0, 0, 0, unknown))
		switch op.Kind {
		case core.OpCAS:
			if op.Version = s.version; r.IntN(2) == 0 {
				op.Version = versions[r.IntN(len(versions))]
			}
			fallthrough
		case core.OpPut:
			op.Value = fmt.Sprintf("v%d", i%taste.values)
		}
		lost := r.IntN(8) < taste.unknown
		if !lost || r.IntN(2) == 0 {
			seq := core.Seq(100 * (i + 1))
			result := s.apply(&op, seq)
			versions = append(versions, seq)
			op.Result = &result
		}
		if lost {
			if op.Result = &unknown; r.IntN(2) == 0 {
				op.Result = nil
			}
		}
		ops[i] = op
	}
	for range r.IntN(4) {
		spoil(r, &ops[r.IntN(n)], versions)
	}
	order(ops, calls, returns)
	return ops
}

// spoil changes a result, which may make the history wrong.
func spoil(r *rand.Rand, op *Operation, versions []core.Seq) {
	if op.Result == nil || !definite(op.Result.Status) {
		return
	}
	other := *op.Result
	switch r.IntN(4) {
	case 0:
		other.Version = versions[r.IntN(len(versions))]
	case 1:
		other.Version += 50
	case 2:
		other = notFound
		if op.Kind == core.OpCAS {
			other = conflict(0)
		}
	case 3:
		other.Value = fmt.Sprintf("v%d", r.IntN(3))
	}
	if op.Kind != core.OpGet || other.Status != core.StatusOK {
		other.Value = ""
	}
	if other.Status == core.StatusNotFound {
		other.Version = 0
	}
	op.Result = &other
}

// order numbers the calls and returns by their times.
func order(ops []Operation, calls, returns []float64) {
	for i := range ops {
		ops[i].CallOrder, ops[i].ReturnOrder = 1, 1
		for j := range ops {
			for _, at := range []float64{calls[j], returns[j]} {
				if at < calls[i] {
					ops[i].CallOrder++
				}
				if at < returns[i] {
					ops[i].ReturnOrder++
				}
			}
		}
		if ops[i].Result == nil {
			ops[i].ReturnOrder = 0
		}
	}
}

// Where two writes of unknown outcome have the same value, and a get returned it,
// Porcupine judges, and may give up. That is a verdict of its own, the same every time. A
// schedule cannot have such writes.
func TestUndecidedIsAVerdict(t *testing.T) {
	var ops []Operation
	for i := range 24 {
		ops = append(ops, put(fmt.Sprintf("v%d", i), 1+i, 101+i, ok(core.Seq(100+i))))
	}
	ops = append(ops, put("x", 201, 202, unknown), put("x", 203, 204, unknown), got("x", 200, 205, 206), got("v3", 103, 207, 208))
	for range 2 {
		property, _ := CheckLinearizable(ops)
		require.Equal(t, "linearizable undecided", property)
		require.Nil(t, Unexplained(ops))
	}
	ops[len(ops)-3].Value = "y"
	property, _ := CheckLinearizable(ops)
	require.Equal(t, "linearizable", property, "the sweep needs no search")
	require.Same(t, &ops[len(ops)-1], Unexplained(ops))

	_, byKey := operationsByKey(stormy())
	s := &sweep{}
	require.True(t, s.collect(byKey["k"]))
	require.Equal(t, undecided, s.run(10))
}

// stormy is the history of a key in a run with crashes of all nodes, partitions and
// failing disks. A check that was bounded by time once came to no verdict on it.
func stormy() []Operation {
	return []Operation{
		refused(put("v2", 1, 7, unknown), core.StatusUnavailable),
		refused(absent(2, 8), core.StatusUnavailable),
		refused(absent(3, 10), core.StatusUnavailable),
		del(4, 12, notFound),
		refused(put("v10", 5, 14, unknown), core.StatusUnavailable),
		refused(absent(6, 16), core.StatusUnavailable),
		cas(0, "v11", 9, 18, unknown),
		put("v8", 11, 19, unknown),
		put("v12", 13, 40, ok(29)),
		del(15, 30, ok(15)),
		absent(17, 23),
		put("v13", 20, 43, ok(30)),
		put("v22", 21, 37, ok(24)),
		cas(0, "v14", 22, 46, conflict(30)),
		absent(24, 25),
		cas(0, "v30", 26, 27, ok(10)),
		absent(28, 32),
		cas(0, "v24", 29, 34, ok(17)),
		absent(31, 33),
		got("v24", 17, 35, 36),
		got("v22", 24, 38, 41),
		cas(0, "v28", 39, 51, conflict(34)),
		put("v34", 42, 49, ok(34)),
		got("v13", 30, 44, 45),
		put("v20", 47, 52, ok(36)),
		del(48, 54, ok(37)),
		cas(34, "v35", 50, 55, conflict(0)),
		cas(36, "v31", 53, 56, conflict(0)),
		absent(57, 58),
		put("final-b", 59, 60, ok(45)),
		got("final-b", 45, 61, 62),
	}
}

// The sweep and Porcupine come to the same verdict on the stormy history, and on each
// that differs from it in one result.
func TestStormyHistory(t *testing.T) {
	ops := stormy()
	require.Equal(t, explained, judgeBoth(t, ops))
	wrong, versions := 0, []core.Seq{0}
	for i := range ops {
		versions = append(versions, ops[i].Result.Version)
	}
	r := rand.New(rand.NewPCG(1, 1))
	for i := range ops {
		for range 20 {
			ops := stormy()
			if spoil(r, &ops[i], versions); judgeBoth(t, ops) == unexplained {
				wrong++
			}
		}
	}
	require.Greater(t, wrong, 5*len(ops))
}

// judgeBoth returns the verdict of the sweep, which must be Porcupine's.
func judgeBoth(t *testing.T, ops []Operation) verdict {
	_, byKey := operationsByKey(ops)
	got := judge(byKey["k"])
	require.Equal(t, searchOrder(byKey["k"], searchStepsMax), got)
	return got
}

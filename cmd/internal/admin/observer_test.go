package admin

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
)

// perOperation is what an observer is told for one put.
func perOperation(o *observer) {
	o.Events([]core.Event{{Kind: core.EventApplied, Group: 1}, {Kind: core.EventCommitted, Group: 1}}, nil)
	o.Answered(core.OpPut, core.StatusOK, time.Millisecond)
}

// What each operation causes is counted without an allocation, and asks for no name.
func TestAnOperationIsCountedWithoutAllocation(t *testing.T) {
	o := newObserver("n")
	perOperation(o) // the first makes its histogram
	require.Zero(t, testing.AllocsPerRun(100, func() { perOperation(o) }))
	list, _ := o.recent.after(0)
	require.Empty(t, list)
	require.EqualValues(t, 102, o.events[core.EventApplied].Load())
}

func BenchmarkObserver(b *testing.B) {
	o := newObserver("n")
	b.ReportAllocs()
	for b.Loop() {
		perOperation(o)
	}
}

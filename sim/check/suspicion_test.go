package check

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/sim"
	"gtstore/sim/history"
	"gtstore/sim/schedule"
)

func TestInquiriesMustComeToSomething(t *testing.T) {
	inquire := func(times int, ends core.Event, q inquiries) string {
		c, w := &checker{}, &sim.World{}
		for range times {
			q.open = true
			c.onInquiry(w, &q, nil, &ends)
		}
		if w.Failed() == nil {
			return ""
		}
		return w.Failed().Property
	}
	answered, alone := inquiries{accuser: 1, answered: true}, inquiries{accuser: 1}
	cleared := core.Event{Kind: core.EventCleared, Group: 1, Epoch: 1}
	require.Empty(t, inquire(inquiriesMax, cleared, answered))
	require.Equal(t, "inquiry-without-end", inquire(inquiriesMax+1, cleared, answered))
	require.Empty(t, inquire(10*inquiriesMax, cleared, alone), "nobody but the accuser answered")
	require.Empty(t, inquire(10*inquiriesMax, cleared, inquiries{answered: true}), "no primary began it")
	moved := cleared
	moved.Effect = true
	require.Empty(t, inquire(10*inquiriesMax, moved, answered), "the accuser got what it waited for")
	inturn := func(nodes ...core.NodeID) string {
		c, w, q := &checker{}, &sim.World{}, inquiries{}
		for range inquiriesMax {
			for i, node := range nodes {
				q.open, q.accuser, q.accused, q.answered = true, 1, node, true
				ends := core.Event{Kind: core.EventCleared, Group: 1, Epoch: 1, Node: node, Effect: i == len(nodes)-1}
				c.onInquiry(w, &q, nil, &ends)
			}
		}
		if w.Failed() == nil {
			return ""
		}
		return w.Failed().Property
	}
	require.Empty(t, inturn(2, 2, 2), "a hiccup now and then, in an epoch that lasts long")
	require.Equal(t, "inquiry-without-end", inturn(2, 2, 3), "one member moves, but the other never does")
	decided := core.Event{Kind: core.EventReconfigured, Group: 1, Epoch: 2}
	require.Empty(t, inquire(10*inquiriesMax, decided, answered), "a new epoch is a decision")
}

func TestCallsEndWellWithinTheBounds(t *testing.T) {
	well := func(status core.Status, change func(*schedule.Shape, *history.Operation)) bool {
		sh, op := schedule.DefaultShape(), &history.Operation{Called: 2 * time.Second, Result: &core.Result{Status: status}}
		sh.OpTimeout = schedule.CalmTimeout
		change(&sh, op)
		return endedWell(&sh, op)
	}
	same := func(*schedule.Shape, *history.Operation) {}
	require.False(t, well(core.StatusUnavailable, same))
	require.False(t, well(core.StatusUnknown, same))
	require.True(t, well(core.StatusOK, same))
	require.True(t, well(core.StatusNotFound, same))
	require.True(t, well(core.StatusConflict, same))
	for _, change := range []func(*schedule.Shape, *history.Operation){
		func(sh *schedule.Shape, _ *history.Operation) { sh.OpTimeout-- },
		func(sh *schedule.Shape, _ *history.Operation) { sh.Replicas = 3 },
		func(sh *schedule.Shape, op *history.Operation) { op.Called = sh.ReturnTime() - 1 },
	} {
		require.True(t, well(core.StatusUnavailable, change))
	}
}

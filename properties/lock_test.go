package properties

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/sim/schedule"
)

// The manager does not lock a group during a request. A lock would show in one of two
// ways: a request would wait for a message from the manager, or the manager would wait
// for the requests under way before it changed the group. So here the manager is silent
// while many requests are served. And it changes a group in the middle of a put, while it
// can reach no client.
func TestManagerDoesNotLockAGroup(t *testing.T) {
	for _, away := range []struct{ how, from, to string }{
		{"stalls", "pause m", "resume m"},
		{"is down", "crash m", "restart m"},
	} {
		for _, reads := range []core.ReadMode{core.ReadConfirm, core.ReadLease} {
			t.Run(fmt.Sprintf("requests while the manager %s, reads=%v", away.how, reads), func(t *testing.T) {
				requireNoNeedOfTheManager(t, away.from, away.to, reads)
			})
		}
	}
	t.Run("a replica is evicted under a put", func(t *testing.T) {
		put := requireNoLock(t, "reconfigured-under-a-put")
		require.Equal(t, 1, put.tries, "the primary stays, and so does the client")
	})
	t.Run("a replica is promoted under a put", func(t *testing.T) {
		put := requireNoLock(t, "promoted-under-a-put")
		require.Greater(t, put.tries, 1, "the deposed primary sends the client on to its successor")
	})
}

// There are two groups of two, and four keys that all three clients have used. From
// awayFrom on the manager is away, and the operations are done without it.
const (
	awayFrom, awayTo = 500 * time.Millisecond, 4 * time.Second
	awayOperations   = 250
)

func busyWithoutTheManager(away, back string, reads core.ReadMode) string {
	var b strings.Builder
	fmt.Fprintf(&b, "expect holds\ncluster nodes=4 replicas=1 clients=3 mode=durable reads=%v\ndisk sync=1ms\n", reads)
	for c := range 3 {
		for k := range 4 {
			fmt.Fprintf(&b, "at %dms c%d put k%d warm%d\n", 20+100*c+20*k, c+1, k, 10*c+k)
		}
	}
	fmt.Fprintf(&b, "at %v %s\n", awayFrom, away)
	for i := range awayOperations {
		// The clients take turns with five operations each, on the next key. Each
		// operation depends on what the one before has left.
		client, key := i/5%3+1, i/5%4
		step := [...]string{"put k%d a%d", "get k%d", "cas k%d last b%d", "get k%d", "delete k%d"}[i%5]
		if strings.Count(step, "%") == 2 {
			step = fmt.Sprintf(step, key, i)
		} else {
			step = fmt.Sprintf(step, key)
		}
		fmt.Fprintf(&b, "at %v c%d %s\n", awayFrom+time.Duration(10*(i+1))*time.Millisecond, client, step)
	}
	fmt.Fprintf(&b, "at %v %s\n", awayTo, back)
	return b.String()
}

// requireNoNeedOfTheManager has clients use keys that they know while the manager is
// away. It requires that all goes as if the manager were there.
func requireNoNeedOfTheManager(t *testing.T, away, back string, reads core.ReadMode) {
	s, err := schedule.Parse(busyWithoutTheManager(away, back, reads))
	require.NoError(t, err)
	p := perform(t, s)
	require.Equal(t, "holds", p.Verdict, "%v", p.Violation)
	require.Empty(t, p.IdleActions)

	done, groups := 0, map[core.GroupID]int{}
	for i := range p.Ops {
		op := &p.Ops[i]
		if op.Called <= awayFrom || op.Called >= awayTo {
			continue
		}
		done++
		groups[op.Result.Group]++
		require.Equal(t, core.StatusOK, op.Result.Status, "%v", op)
		require.LessOrEqual(t, op.Returned-op.Called, 7*time.Millisecond, "%v: two round trips and the syncs, and no wait", op)
	}
	require.Equal(t, awayOperations, done)
	require.Len(t, groups, 2)

	for _, r := range p.between(awayFrom, awayTo-1, 0) {
		require.NotEqual(t, "m", r.From, "all of it is done without any message from the manager")
		if r.To == "m" { // a node that has heard nothing for a second registers again
			require.Equal(t, core.KindRegister, core.KindOf(r.Env.Body), "%s to m at %v", r.From, r.At)
			require.Greater(t, r.At, awayFrom+900*time.Millisecond, "%s", r.From)
		}
	}
}

// unlocked is a put under which its group changed.
type unlocked struct{ tries int }

// requireNoLock plays a trace in which the manager changes a group while c1's put of x=b
// is under way. The manager can reach no client. It waits for nobody, and nobody waits
// for it: it asks for proofs, decides, and tells the nodes. The put takes effect once, is
// acknowledged once, and can be read afterwards.
func requireNoLock(t *testing.T, trace string) unlocked {
	t.Helper()
	p := play(t, trace)
	const op = "c1 put x b"
	put := p.result(op, 1)
	require.Equal(t, core.StatusOK, put.Result.Status)
	require.EqualValues(t, 2, put.Result.Epoch, "the epoch changed while it was under way")

	configs := 0
	for _, r := range p.between(put.Called, put.Returned, 0) {
		if r.From != "m" {
			continue
		}
		switch m := r.Env.Body.(type) {
		case *core.Config:
			configs++
			require.EqualValues(t, 2, m.Epoch)
		case *core.Ping, *core.Probe:
		default:
			require.Fail(t, "the manager has nothing else to say", "%v to %s at %v", core.KindOf(m), r.To, r.At)
		}
		require.NotEqual(t, byte('c'), r.To[0], "it tells the nodes, and no client")
	}
	require.Equal(t, 3, configs, "each of the three is told once, the one that leaves too")

	var first *core.Op
	tries, acks := 0, 0
	for _, r := range p.sent {
		switch m := r.Env.Body.(type) {
		case *core.Op:
			if r.From == "c1" && m.Value == put.Value {
				tries++
				if first == nil {
					first = m
				}
				require.Equal(t, first, m, "every try is the same operation")
			}
		case *core.Reply:
			if r.To == "c1" && first != nil && m.Req == first.Req && m.Status == core.StatusOK {
				acks++
			}
		}
	}
	require.Equal(t, 1, acks, "acknowledged once")

	get := p.result("c2 get x", 2)
	require.Equal(t, []any{core.StatusOK, "b", put.Result.Version}, []any{get.Result.Status, get.Result.Value, get.Result.Version})
	require.Equal(t, put.Result.Version+1, p.result("c1 put x final-x", 1).Result.Version, "no second entry of it in between")
	return unlocked{tries}
}

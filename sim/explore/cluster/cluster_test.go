package cluster

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"gtstore/sim/explore"
)

// parse makes a scenario of lines.
func parse(t *testing.T, lines ...string) *Scenario {
	s, err := Parse("test", "# A test.\n"+strings.Join(lines, "\n"))
	require.NoError(t, err)
	return s
}

// scenarios are those of the project that end soon.
func scenarios(t *testing.T) (list []*Scenario) {
	files, err := filepath.Glob("../../../traces/explore/*" + Suffix)
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		s, err := Load(file)
		require.NoError(t, err)
		list = append(list, s)
	}
	return list
}

// quickStates is how far a scenario is searched in a test: the smaller ones to their end.
const quickStates = 5_000

func TestEveryScenarioHoldsAsFarAsATestSearchesIt(t *testing.T) {
	complete := 0
	for _, s := range scenarios(t) {
		t.Run(s.Name, func(t *testing.T) {
			c, err := Run(context.Background(), s, explore.Options{StatesMax: quickStates})
			require.NoError(t, err)
			require.Nil(t, c.Violation)
			if c.Complete {
				complete++
			} else {
				require.GreaterOrEqual(t, c.States, int64(quickStates), c.Why)
			}
		})
	}
	require.GreaterOrEqual(t, complete, 10)
}

func TestTheClaimDoesNotDependOnTheWorkers(t *testing.T) {
	var first *Claim
	for _, workers := range []int{1, 2, 4} {
		s := parse(t, "cluster members=2 mode=durable", "before put x old", "c1 put x a", "c2 get x", "budget evict=1 crash=1 restart=1", "finish")
		c, err := Run(context.Background(), s, explore.Options{Workers: workers})
		require.NoError(t, err)
		require.True(t, c.Complete)
		if first == nil {
			first = c
		}
		require.Equal(t, first.States, c.States)
		require.Equal(t, first.Generated, c.Generated)
		require.Equal(t, first.Depth, c.Depth)
	}
}

func TestAnInterruptedScenarioGoesOnInAnotherProcess(t *testing.T) {
	s := parse(t, "cluster members=2 mode=durable", "before put x old", "c1 put x a", "budget crash=2 restart=2", "finish")
	m, err := New(s)
	require.NoError(t, err)
	whole, err := explore.Search(context.Background(), m, explore.Options{})
	require.NoError(t, err)
	require.True(t, whole.Complete)
	require.Greater(t, whole.Passes, 1, "an interruption is to come in a later pass too")
	file := filepath.Join(t.TempDir(), "state")
	interruptions := 0
	for {
		ctx, cancel := context.WithCancel(context.Background())
		m, err := New(s) // as another process would
		require.NoError(t, err)
		r, err := explore.Search(ctx, &interrupting{m, 8000 * (interruptions + 1), cancel}, explore.Options{Workers: 1, State: file, Key: s.Text()})
		cancel()
		require.NoError(t, err)
		if !r.Interrupted {
			require.True(t, r.Complete)
			require.Equal(t, whole.States, r.States)
			require.Equal(t, whole.Generated, r.Generated)
			require.Equal(t, whole.Depth, r.Depth)
			break
		}
		interruptions++
	}
	require.Greater(t, interruptions, 1)
}

// interrupting is a Model that ends its search when so many states were asked for.
type interrupting struct {
	*Model
	after  int
	cancel func()
}

func (m *interrupting) Worker() explore.Worker { return &interruptingWorker{m.Model.Worker(), m} }

type interruptingWorker struct {
	explore.Worker
	m *interrupting
}

func (w *interruptingWorker) Next(state []byte, to *explore.Sink) {
	if w.m.after--; w.m.after == 0 {
		w.m.cancel()
	}
	w.Worker.Next(state, to)
}

// TestTheReductionsLeaveNothingOut holds a search that leaves messages where they are that do
// nothing, and one that drops those that are dead, against one that does neither.
func TestTheReductionsLeaveNothingOut(t *testing.T) {
	woken := 0
	for _, lines := range [][]string{
		{"cluster members=3", "c1 put x a", "budget evict=1"},
		{"cluster members=2 mode=durable", "c1 put x a", "budget evict=1 crash=1 restart=1"},
		{"cluster members=1 spares=1", "c1 put x a", "budget join=2 end-join=1"},
		{"cluster members=1 spares=1 chunk=1", "before put x old", "before put y old", "c1 put x a", "budget join=1"},
		{"cluster members=2", "before put x old", "c1 put x a", "c2 get x", "budget evict=1"},
		{"cluster members=2", "c1 put x a", "budget evict=1 timeout=1 again=1"},
		{"cluster members=1 spares=1", "before put x old", "c1 put x a", "budget join=1"},
		{"cluster members=2 mode=durable", "c1 put x a", "budget crash=1 restart=1"},
		{"cluster managers=2 mode=durable", "budget timeout=1"},
		{"cluster managers=2 mode=memory", "budget crash=1 restart=1"},
	} {
		m, err := New(parse(t, lines...))
		require.NoError(t, err)
		m.drops = false
		left, states := reached(t, m)
		require.NotEmpty(t, left)
		m.whole = true
		whole, _ := reached(t, m)
		// Every state of hosts, manager and history is there, whatever is under way.
		require.Equal(t, whole, left)

		m.whole, m.drops = false, true
		dropped, fewer := reached(t, m)
		first := len(dropped)
		for m.learn() > 0 {
			dropped, fewer = reached(t, m)
		}
		require.Equal(t, whole, dropped)
		require.Less(t, fewer, states)
		if first < len(whole) {
			woken++
		}
	}
	require.Positive(t, woken, "no first pass was wrong, so this does not show that learn is needed")
}

// reached is what the hosts, the manager and the history can be together, and how many states
// there are with what is under way.
func reached(t *testing.T, m *Model) (map[string]bool, int) {
	parts, seen := map[string]bool{}, map[string]bool{}
	var todo [][]byte
	add := func(list []explore.Successor) {
		for _, s := range list {
			require.Nil(t, s.Wrong)
			if seen[string(s.State)] {
				continue
			}
			seen[string(s.State)] = true
			todo = append(todo, s.State)
			var w world
			m.decode(&w, s.State)
			name := ""
			for _, id := range w.hosts {
				name += m.key(m.hosts.at(id).key)
			}
			parts[name+m.key(m.managers.at(w.manager).key)+m.key(m.pasts.at(w.past).key)] = true
		}
	}
	add(explore.Initial(m))
	for len(todo) > 0 {
		next, _ := explore.Next(m, todo[0])
		todo = todo[1:]
		add(next)
	}
	return parts, len(seen)
}

func (m *Model) key(k key) string { return string(appendNumber(appendNumber(nil, k[0]), k[1])) }

func TestAWrongScenarioIsRefusedWithTheLine(t *testing.T) {
	for _, c := range []struct{ text, wrong string }{
		{"cluster members=2\nc1 put x a", "what it is about"},
		{"# x\nc1 put x a", "members"},
		{"# x\ncluster members=2", "a client asks"},
		{"# x\ncluster members=0\nc1 put x a", "line 2"},
		{"# x\ncluster members=2 members=3\nc1 put x a", "each name once"},
		{"# x\ncluster members=2\ncluster members=2\nc1 put x a", "line 3"},
		{"# x\ncluster members=2 colour=red\nc1 put x a", "no such option"},
		{"# x\ncluster members=2\nc1 put x", "line 3"},
		{"# x\ncluster members=2\nc1 put x a\nc2 get x\nc1 get x", "stand together"},
		{"# x\ncluster members=2\nc1 put x a\nbudget evict=0", "from 1 to 20"},
		{"# x\ncluster members=2\nc1 put x a\nbudget luck=1", "want one of evict"},
		{"# x\ncluster members=2\nc1 put x a\nbudget restart=1", "mode=durable"},
		{"# x\ncluster members=2\nc1 put x a\nbudget join=1", "spare"},
		{"# x\ncluster members=2\nc1 put x a\nfinish soon", "nothing behind"},
		{"# x\ncluster members=8 spares=1\nc1 put x a", "at most 8"},
		{"# x\ncluster members=2\nc1 put x a\nask drain n1", "manager real"},
		{"# x\ncluster members=2\nmanager unreal", "manager real"},
		{"# x\ncluster members=2\nmanager real\nask drain n3", "line 4"},
		{"# x\ncluster members=2\nmanager real\nask drain", "line 4"},
		{"# x\ncluster members=2\nmanager real\nask dance n1", "no such choice"},
		{"# x\ncluster members=2\nmanager real\nbudget evict=1", "decides by itself"},
		{"# x\ncluster members=2\nmanager real\nbudget manager-crash=1", "mode=durable"},
		{"# x\ncluster members=2\nmanager real\ncut n1", "budget late=1"},
		{"# x\ncluster members=2\nmanager real\nbefore nothing\nc1 get x", "no operations"},
		{"# x\ncluster managers=1", "from 2 to 5"},
		{"# x\ncluster managers=2 members=2", "no storage nodes"},
		{"# x\ncluster managers=2\nc1 put x a", "no storage nodes"},
		{"# x\ncluster managers=2\nbudget evict=1", "no evict happens"},
		{"# x\ncluster managers=2\nask lookup y", "before founded"},
		{"# x\ncluster managers=2\nbefore founded\nask drain m1", "lookup KEY or find KEY"},
		{"# x\ncluster members=2\nc1 put x a\nbudget wipe=1", "managers=2"},
	} {
		_, err := Parse("test", c.text)
		require.ErrorContains(t, err, c.wrong, c.text)
	}
}

func TestACounterexampleCanBeReplayed(t *testing.T) {
	s := parse(t, "cluster members=2", "c1 put x a", "c2 get x", "budget evict=1")
	m, err := New(s)
	require.NoError(t, err)
	// No scenario is violated, so the way to some state stands for one.
	at := explore.Initial(m)[0]
	var steps []string
	for range 6 {
		list, wrong := explore.Next(m, at.State)
		require.Nil(t, wrong)
		at = list[len(list)-1]
		steps = append(steps, at.Name)
	}
	text := FoundText(s, &explore.Violation{Property: "linearizable", Text: "as if", Steps: steps})
	found, err := ParseFound("test.way", text)
	require.NoError(t, err)
	require.Equal(t, "linearizable", found.Property)
	require.Equal(t, steps, found.Steps)
	v, err := found.Replay()
	require.NoError(t, err)
	require.Nil(t, v, "the core keeps what this way does")
	found.Steps[3] = "n9 dances"
	_, err = found.Replay()
	require.ErrorIs(t, err, ErrNotApplicable)
	require.ErrorContains(t, err, "step 4")
	_, err = ParseFound("test.way", s.Text())
	require.ErrorContains(t, err, "no counterexample")
}

package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
)

// Processes of a durable cluster are killed at random moments under load: all of them, managers,
// a node, two, a whole group, or the manager that leads together with a primary. They are started
// again in random order with random pauses, and some are killed again as they start. Or they stand
// still for a moment, or a manager has lost its disk. Whatever was acknowledged is there, every
// operation gets a result, and the groups return to full strength.
//
//	GTSTORE_ROUNDS  rounds (default 3)
//	GTSTORE_SEED    of what is killed, and when (default: by the clock)
func TestNothingAcknowledgedIsLostWhenProcessesAreKilled(t *testing.T) {
	rounds, seed := number("GTSTORE_ROUNDS", 3), number("GTSTORE_SEED", int(time.Now().UnixNano()%1e6))
	t.Logf("GTSTORE_SEED=%d GTSTORE_ROUNDS=%d", seed, rounds)
	random := rand.New(rand.NewPCG(uint64(seed), 0))
	t.Run("one manager", func(t *testing.T) {
		d := startDurable(t, 7, "--replicas", "2")
		c := crashes{durable: d, managers: d.all[:1], random: random}
		c.goThrough(rounds)
	})
	t.Run("three managers", func(t *testing.T) {
		d := startCouncil(t, t.TempDir(), 3, 7, "--replicas", "2")
		c := crashes{durable: d.durable, managers: d.managers, random: random}
		c.goThrough(rounds)
	})
}

// crashes is a cluster, and what draws what is killed.
type crashes struct {
	*durable
	managers []*member
	random   *rand.Rand
	lost     int // disks of managers so far
}

func (c *crashes) goThrough(rounds int) {
	c.put("group1", "")
	c.put("group2", "")
	c.whole(2, 3)
	ids := c.ids()
	var done []*load
	for round := range rounds {
		l := c.startLoad(6, keysOf(round)...)
		l.grow(100 + c.random.IntN(300))
		kind := c.disturb(round)
		took := c.whole(2, 3)
		c.eventually(c.agree, "the managers agree")
		l.grow(50)
		require.Equal(c.t, ids, c.ids(), "every node is who it was")
		c.t.Logf("round %d: %s: whole again after %v", round+1, kind, took.Round(time.Millisecond))
		l.end()
		l.readAll()
		l.everyResult()
		done = append(done, l)
	}
	for _, l := range done { // and it is still there after all that came later
		l.readAll()
		l.everyResult()
	}
}

// agree tells whether each of several managers has all that the others have.
func (c *crashes) agree() bool {
	return len(c.managers) == 1 || (&council{durable: c.durable}).agree(len(c.managers))
}

// disturb does what the seed says; in the first round it kills everything.
func (c *crashes) disturb(round int) (kind string) {
	kind, victims := c.draw(round)
	switch {
	case c.random.IntN(4) == 0 && round > 0:
		c.pause(victims)
		kind += ", paused"
	case kind == "a manager":
		if m := victims[0]; c.random.IntN(2) == 0 {
			c.lost++
			m.args = slices.Clone(m.args)
			m.args[len(m.args)-1] = fmt.Sprint(m.dir, "-anew", c.lost)
			kind += " whose disk is lost"
		}
		c.crash(victims)
	default:
		c.crash(victims)
	}
	return fmt.Sprintf("%s (%d)", kind, len(victims))
}

// keysOf are a round's own, so that its history can be judged by itself.
func keysOf(round int) (list []string) {
	for i := range 12 {
		list = append(list, fmt.Sprintf("r%d-%d", round, i))
	}
	return list
}

// draw says whom it meets: all in the first round, then whom the seed says.
func (c *crashes) draw(round int) (kind string, victims []*member) {
	nodes := slices.Clone(c.all[1:])
	c.random.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	members := func(chain []*process) []*member {
		return slices.DeleteFunc(slices.Clone(nodes), func(m *member) bool { return !slices.Contains(chain, m.process) })
	}
	group := core.GroupID(1 + c.random.IntN(2))
	draw := c.random.IntN(9)
	switch {
	case round == 0 || draw < 2:
		return "everything", slices.Concat(c.managers, c.all[1:])
	case draw == 2:
		return "all managers", c.managers
	case draw == 3:
		return "a node", nodes[:1]
	case draw == 4:
		return "two nodes", nodes[:2]
	case draw == 5:
		return "a group", members(c.chain(group))
	case draw == 6 && len(c.managers) > 1:
		return "a manager", []*member{c.managers[c.random.IntN(len(c.managers))]}
	case draw == 7:
		return "a group and a manager", append(members(c.chain(group)), c.managers[c.random.IntN(len(c.managers))])
	}
	return "who leads, and a primary", append(members(c.chain(group)[:1]), c.leads())
}

func (c *crashes) leads() *member {
	if len(c.managers) == 1 {
		return c.managers[0]
	}
	return (&council{durable: c.durable, managers: c.managers}).leads()
}

// pause has processes stand still for up to two seconds, each for a time of its own.
func (c *crashes) pause(victims []*member) {
	c.t.Helper()
	var wg sync.WaitGroup
	for _, m := range victims {
		long := time.Duration(c.random.IntN(2000)) * time.Millisecond
		wg.Go(func() {
			m.signal(syscall.SIGSTOP)
			time.Sleep(long)
			m.signal(syscall.SIGCONT)
		})
	}
	wg.Wait()
}

// crash kills processes, almost at once, and starts them again.
func (c *crashes) crash(victims []*member) {
	c.t.Helper()
	victims = slices.Clone(victims)
	c.random.Shuffle(len(victims), func(i, j int) { victims[i], victims[j] = victims[j], victims[i] })
	for _, m := range victims {
		m.kill()
		time.Sleep(time.Duration(c.random.IntN(3)) * time.Millisecond)
	}
	for _, m := range victims {
		m.end()
	}
	for _, m := range victims {
		time.Sleep(time.Duration(c.random.IntN(300)) * time.Millisecond)
		m.launch()
		if c.random.IntN(5) == 0 { // amid its start
			time.Sleep(time.Duration(c.random.IntN(100)) * time.Millisecond)
			m.end()
			m.launch()
		}
	}
	for _, m := range victims {
		m.ready()
	}
	c.renew()
}

package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
)

// Processes of a durable cluster are killed at random moments under load: all of them,
// the manager, one node, two, or a whole group. They are started again in random order
// with random pauses, and some are killed again as they start. Whatever was acknowledged
// is there, every operation gets a result, and the groups return to full strength.
//
//	GTSTORE_ROUNDS  rounds (default 3)
//	GTSTORE_SEED    of what is killed, and when (default: by the clock)
func TestNothingAcknowledgedIsLostWhenProcessesAreKilled(t *testing.T) {
	rounds, seed := number("GTSTORE_ROUNDS", 3), number("GTSTORE_SEED", int(time.Now().UnixNano()%1e6))
	t.Logf("GTSTORE_SEED=%d GTSTORE_ROUNDS=%d", seed, rounds)
	c := crashes{durable: startDurable(t, 7, "--replicas", "2"), random: rand.New(rand.NewPCG(uint64(seed), 0))}
	c.put("group1", "")
	c.put("group2", "")
	c.whole(2, 3)
	ids := c.ids()
	var done []*load
	for round := range rounds {
		l := c.startLoad(6, keysOf(round)...)
		l.grow(100 + c.random.IntN(300))
		kind, victims := c.draw(round)
		c.crash(victims)
		took := c.whole(2, 3)
		l.grow(50)
		require.Equal(t, ids, c.ids(), "every node is who it was")
		t.Logf("round %d: killed %s (%d): whole again after %v", round+1, kind, len(victims), took.Round(time.Millisecond))
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

// crashes is a cluster, and what draws what is killed.
type crashes struct {
	*durable
	random *rand.Rand
}

// keysOf are a round's own, so that its history can be judged by itself.
func keysOf(round int) (list []string) {
	for i := range 12 {
		list = append(list, fmt.Sprintf("r%d-%d", round, i))
	}
	return list
}

// draw says who is to be killed: all in the first round, then whom the seed says.
func (c *crashes) draw(round int) (kind string, victims []*member) {
	nodes := slices.Clone(c.all[1:])
	c.random.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	draw := c.random.IntN(6)
	switch {
	case round == 0 || draw < 2:
		return "everything", c.all
	case draw == 2:
		return "the manager", c.all[:1]
	case draw == 3:
		return "a node", nodes[:1]
	case draw == 4:
		return "two nodes", nodes[:2]
	}
	chain := c.chain(core.GroupID(1 + c.random.IntN(2)))
	return "a group", slices.DeleteFunc(nodes, func(m *member) bool { return !slices.Contains(chain, m.process) })
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

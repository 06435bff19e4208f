package view

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"gtstore/sim/explore"
	"gtstore/sim/explore/cluster"
)

// drifting is a scenario that the core violates: its clocks drift by more than leases allow for.
const drifting = `# Clocks drift by more than leases allow for.
cluster members=2 reads=lease drift=50000
before put x old
settle 2
c1 get x
budget evict=1 timeout=6
`

const wayOfDrift = `---
title: "Violated: two-readers: n1 still serves alone at epoch 1 while a primary serves at epoch 2"
---
sequenceDiagram
    participant m as m (manager)
    participant n1 as n1 (storage)
    participant n2 as n2 (storage)
    participant c1 as c1 (client)
    Note over m: the manager evicts n1
    m->>n2: Config epoch 2, n2
    Note over n1: n1's timer goes off after 35.087719ms
    Note over n1: n1's timer goes off after 35.087719ms
    Note over n1: n1's timer goes off after 7.017545ms
    Note over n2: n2's timer goes off after 18.235782ms
    Note over m,c1: ⚡ two-readers: n1 still serves alone at epoch 1 while a primary serves at epoch 2
`

func TestACounterexampleOfTheExplorerIsPictured(t *testing.T) {
	s, err := cluster.Parse("drift", drifting)
	require.NoError(t, err)
	c, err := cluster.Run(context.Background(), s, explore.Options{})
	require.NoError(t, err)
	require.NotNil(t, c.Violation)
	text := cluster.FoundText(s, c.Violation)
	found, err := cluster.ParseFound("drift.way", text)
	require.NoError(t, err)
	p, err := WayPage("drift.way", text, found)
	require.NoError(t, err)
	require.Empty(t, p.Note)
	var mermaid, html strings.Builder
	require.NoError(t, WriteMermaid(&mermaid, p))
	require.Equal(t, wayOfDrift, mermaid.String())
	require.NoError(t, WriteHTML(&html, p))
	require.Contains(t, html.String(), "n1 still serves alone")
	require.NoError(t, WritePerfetto(&strings.Builder{}, p))
	run := p.Runs[0]
	require.Equal(t, len(run.Steps.Kind)-1, run.Bad)
	require.Equal(t, meanings["two-readers"], run.Meaning)
	require.Contains(t, run.Strings, "primary", "the states of hosts are shown from the beginning")
	require.Equal(t, []int{0, 1}, run.Steps.Changes[0][:2])

	found.Steps[2] = "n1 dances"
	p, err = WayPage("drift.way", text, found)
	require.NoError(t, err)
	require.Contains(t, p.Note, `step 3, "n1 dances"`)
	require.Len(t, p.Runs[0].Steps.Kind, 2, "the way ends before the step that cannot be taken")
}

// TestAWayShowsItsMessagesAndOperations follows a way with every kind of thing in it: a write
// with its messages, one of which comes again, a disk, a crash and a start.
func TestAWayShowsItsMessagesAndOperations(t *testing.T) {
	s, err := cluster.Parse("durable", `# A put, a crash and a start.
cluster members=2 mode=durable
c1 put x a
budget crash=1 restart=1 repeat=1
`)
	require.NoError(t, err)
	m, err := cluster.New(s)
	require.NoError(t, err)
	at := explore.Initial(m)[0]
	var steps []string
	for _, want := range []string{
		"n1 takes in c1 put x", "n1's disk", "n2 takes in, and not for the last time, Replicate", "n2's disk", "n1 takes in Ack", "n2 takes in Replicate", "n2 crashes", "n2 starts",
	} {
		list, wrong := explore.Next(m, at.State)
		require.Nil(t, wrong)
		i := slices.IndexFunc(list, func(s explore.Successor) bool { return strings.HasPrefix(s.Name, want) })
		require.GreaterOrEqual(t, i, 0, "%s of %v", want, list)
		at = list[i]
		steps = append(steps, at.Name)
	}
	text := cluster.FoundText(s, &explore.Violation{Property: "as-if", Steps: steps})
	found, err := cluster.ParseFound("x.way", text)
	require.NoError(t, err)
	p, err := WayPage("x.way", text, found)
	require.NoError(t, err)
	run := p.Runs[0]
	require.Equal(t, "holds", run.Verdict)
	require.Equal(t, []Op{{Host: 3, Text: "put x a", Result: "ok", Status: "ok", Call: 0, Return: 6}}, run.Ops)
	require.Equal(t, []StepKind{StepCall, StepTake, StepTick, StepTake, StepTick, StepTake, StepReturn, StepTake, StepHost, StepHost}, run.Steps.Kind)
	require.Equal(t, run.Steps.Message[3], run.Steps.Message[7], "one message is taken in twice")
	require.Equal(t, []Band{{Host: 2, Kind: bandDown, From: 8, To: 9, Text: "down"}}, run.Bands)
	for i, cause := range run.Messages.Cause {
		require.Less(t, cause, len(run.Steps.Kind), "message %d", i)
	}
}

package cluster

import (
	"cmp"
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/sim/explore"
)

// searched is the model of a scenario that was searched.
func searched(t *testing.T, lines ...string) *Model {
	m, err := New(parse(t, lines...))
	require.NoError(t, err)
	r, err := explore.Search(context.Background(), m, explore.Options{StatesMax: 5_000})
	require.NoError(t, err)
	require.Nil(t, r.Violation)
	return m
}

// severalScenarios come to all that a manager may hold: promises, a cluster, elections, a change
// of the managers, a snapshot in parts, lookups, and a denial.
var severalScenarios = [][]string{
	{"cluster managers=2 mode=durable", "budget timeout=1 crash=1 restart=1"},
	{"cluster managers=2 mode=memory", "budget wipe=1 restart=1 timeout=1 again=1"},
	{"cluster managers=3 mode=durable", "before replacing", "ask lookup y", "ask find y", "budget timeout=1 crash=1 restart=1"},
	{"cluster managers=3 mode=durable", "before deposed", "ask lookup y", "ask find y", "budget timeout=1"},
}

func TestPlayingBackMakesTheSameManager(t *testing.T) {
	for _, lines := range severalScenarios {
		m := searched(t, lines...)
		made := 0
		for id := range uint32(m.hosts.len()) {
			h := *m.hosts.at(id)
			if !h.up() || id%2 != 0 {
				continue
			}
			m.live = alive{} // from the start
			m.encodeSeat(&h, m.revive(id))
			require.Equal(t, m.hosts.at(id).key, h.key)
			made++
		}
		require.Greater(t, made, 50)
	}
}

// TestManagersThatAreSaidToBeEqualRunOnAlike goes on from both of two managers with the same
// encoding that came about in different ways.
func TestManagersThatAreSaidToBeEqualRunOnAlike(t *testing.T) {
	compared := 0
	for _, lines := range severalScenarios {
		m := searched(t, lines...)
		inputs := map[uint32][]uint32{} // that were worked out, by host
		var others []uint64             // hosts with an input that came to what was known already
		for i := range m.edges.shards {
			for k, e := range m.edges.shards[i].m {
				from, input := uint32(k>>32), uint32(k)
				inputs[from] = append(inputs[from], input)
				if o := m.hosts.at(e.to).origin; (o.from != from || o.input != input) && e.to != from && m.hosts.at(e.to).up() && input != inputStart {
					others = append(others, k)
				}
			}
		}
		slices.Sort(others)
		for i, k := range others {
			if i%(1+len(others)/60) != 0 {
				continue
			}
			from, input := uint32(k>>32), uint32(k)
			to := m.after(from, input).to
			slices.Sort(inputs[to])
			for _, next := range inputs[to] {
				s := m.stepper(m.hosts.at(from), from, input)
				s.take(input)
				s.own()
				n := m.stepper(s.h, to, next)
				n.node = s.node // of the other way, by its own clock
				n.take(next)
				m.keepSeat(n)
				want := m.after(to, next)
				require.Equal(t, m.hosts.at(want.to).key, n.h.key)
				n.e.to = want.to
				require.Equal(t, want, n.e)
				compared++
			}
		}
	}
	require.Greater(t, compared, 500)
	require.Empty(t, seatCanon.Unused(), "these were left out of nothing")
}

func TestASearchOfSeveralManagersGoesOnInAnotherProcess(t *testing.T) {
	s := parse(t, "cluster managers=2 mode=durable", "budget timeout=1", "finish")
	require.Greater(t, goesOn(t, s, 400), 1)
}

func TestTheClaimOfSeveralManagersDoesNotDependOnTheWorkers(t *testing.T) {
	s := parse(t, "cluster managers=2 mode=durable", "budget timeout=1 crash=1 restart=1", "finish")
	var first *Claim
	for _, workers := range []int{1, 4} {
		c, err := Run(context.Background(), s, explore.Options{Workers: workers, StatesMax: 20_000})
		require.NoError(t, err)
		first = cmp.Or(first, c)
		require.Equal(t, first.States, c.States)
		require.Equal(t, first.Generated, c.Generated)
	}
}

// TestManagersComeToWhatAScenarioIsAbout looks for what each scenario must reach: one that never
// gets there would hold for nothing.
func TestManagersComeToWhatAScenarioIsAbout(t *testing.T) {
	leads := func(h *host) bool { return h.seat.leads != 0 }
	is := func(starts byte) func(h *host) bool { // of a cluster, by the id of that start
		return func(h *host) bool { return h.seat.self == drawn(h.index, starts) && h.seat.view.Cluster != 0 }
	}
	for scenario, reach := range map[string][]func(h *host) bool{
		"found-two-crash":  {leads, func(h *host) bool { return h.seat.starts == 2 && is(1)(h) }},
		"found-two-wipe":   {is(2)},
		"found-two-memory": {is(2)},
		"found-two-timers": {leads},
		"found-two-again":  {is(1)},
		"found-three":      {is(1)},
		"elect":            {func(h *host) bool { return h.index > 0 && leads(h) }},
		"lookup-crash":     {func(h *host) bool { return h.index > 0 && h.seat.index == 3 }},
		"depose": {
			func(h *host) bool { return h.index > 0 && h.seat.index == 3 }, // the key is mapped
			func(h *host) bool { return h.index == 0 && !leads(h) },        // m1 has heard of it
		},
		"replace": {
			func(h *host) bool { return h.seat.starts == 3 && h.seat.index > 0 }, // it has the Directory
			func(h *host) bool { // and the change is over
				v := &h.seat.view
				return v.Settled && slices.Contains(idsOf(v.Members.Voters), drawn(2, 3)) && len(v.Members.Outgoing) == 0
			},
		},
	} {
		t.Run(scenario, func(t *testing.T) {
			s, err := Load("../../../traces/explore/managers-" + scenario + Suffix)
			require.NoError(t, err)
			s.Finish = false // what follows is not asked here
			m, err := New(s)
			require.NoError(t, err)
			_, err = explore.Search(context.Background(), m, explore.Options{StatesMax: 60_000})
			require.NoError(t, err)
			for i, reaches := range reach {
				reached := false
				for id := range m.hosts.len() {
					h := m.hosts.at(uint32(id))
					reached = reached || h.up() && reaches(h)
				}
				require.True(t, reached, i)
			}
		})
	}
}

// TestWhatManagersMustNotDoIsNoticed has the checks judge what no manager does.
func TestWhatManagersMustNotDoIsNoticed(t *testing.T) {
	m := &Model{scenario: &Scenario{Managers: 3, asks: []ask{{verb: askLookup, key: "y"}, {verb: askFind, key: "y"}}}}
	member := func(index int, cluster core.ClusterID, state uint64, change func(s *seat)) *host {
		s := &seat{up: true, self: core.NodeID(index + 1), state: state, index: 1}
		s.view.Cluster, s.view.Applied.Index, s.view.Applied.Term = cluster, 5, 2
		for i := range 3 {
			s.view.Members.Voters = append(s.view.Members.Voters, core.Peer{ID: core.NodeID(i + 1)})
		}
		if change != nil {
			change(s)
		}
		return &host{index: index, seat: s}
	}
	record := func(gone ...core.NodeID) *record {
		r := &record{Answers: make([]answered, 2), Gone: gone}
		require.Nil(t, r.sees(member(0, 7, 1, func(s *seat) { s.view.Led, s.leads = 2, 2 })))
		return r
	}
	for _, c := range []struct {
		property string
		gone     []core.NodeID
		next     *host
	}{
		{"another-cluster", nil, member(0, 8, 1, nil)},
		{"another-cluster", nil, member(1, 8, 1, nil)},
		{"one-leader", nil, member(1, 7, 1, func(s *seat) { s.view.Led = 2 })},
		{"state-agreement", nil, member(1, 7, 2, nil)},
		{"leader-complete", nil, member(1, 7, 2, func(s *seat) { s.view.Applied.Index, s.leads, s.view.Led = 4, 3, 3 })},
		{"one-cluster", nil, member(3, 8, 1, func(s *seat) { s.view.Members.Voters = []core.Peer{{ID: 4}} })},
		{"", []core.NodeID{1, 2}, member(3, 8, 1, func(s *seat) { s.view.Members.Voters = []core.Peer{{ID: 4}} })},
		{"", nil, member(1, 7, 1, func(s *seat) { s.view.Led, s.leads = 3, 3 })},
	} {
		b := record(c.gone...).sees(c.next)
		if c.property == "" {
			require.Nil(t, b)
			continue
		}
		require.NotNil(t, b, c.property)
		require.Equal(t, c.property, b.property)
	}
	b := record().ends(member(1, 7, 1, nil), &edge{gone: 2, anew: true})
	require.NotNil(t, b)
	require.Equal(t, "anew-though-relied-on", b.property)
	require.Nil(t, record(1, 3).ends(member(1, 7, 1, nil), &edge{gone: 2, anew: true}))

	r := record()
	require.Nil(t, r.hear(m, &answer{1, core.StatusNotFound, 0}, "m1"), "nobody had been told")
	require.Nil(t, r.hear(m, &answer{0, core.StatusOK, 1}, "m1"))
	require.Equal(t, "key-moved", r.hear(m, &answer{1, core.StatusOK, 2}, "m2").property)
	require.Nil(t, r.hear(m, &answer{1, core.StatusNotFound, 0}, "m2"), "it was asked before")
	require.Equal(t, "denied-falsely", r.put(1).hear(m, &answer{1, core.StatusNotFound, 0}, "m2").property)
}

func TestAWayOfSeveralManagersCanBePictured(t *testing.T) {
	s := parse(t, "cluster managers=2 mode=durable", "budget crash=1 restart=1")
	m, err := New(s)
	require.NoError(t, err)
	at := explore.Initial(m)[0]
	var steps []string
	for len(steps) < 8 {
		list, wrong := explore.Next(m, at.State)
		require.Nil(t, wrong)
		at = list[0]
		steps = append(steps, at.Name)
	}
	found, err := ParseFound("test.way", FoundText(s, &explore.Violation{Property: "one-cluster", Text: "as if", Steps: steps}))
	require.NoError(t, err)
	v, err := found.Replay()
	require.NoError(t, err)
	require.Nil(t, v)
	w, err := found.Way()
	require.NoError(t, err)
	require.NoError(t, w.NotApplicable)
	require.Equal(t, []string{"m1", "m2"}, w.Hosts)
	require.Len(t, w.Steps, len(steps))
	require.NotEmpty(t, w.Messages)
	require.Contains(t, w.Messages[0].Text, "Ask in round")
}

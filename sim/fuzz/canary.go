package fuzz

import (
	"fmt"
	"slices"
	"strings"

	"gtstore/core"
	"gtstore/sim"
	"gtstore/sim/schedule"
)

const (
	// canarySeed is the seed of the schedules that look for the canaries.
	canarySeed = 6
	// canarySchedules is how many of them may miss one. One of the first two dozen finds it.
	canarySchedules = 64
)

// A canary is a failure that is planted, and that generated schedules and the checks must
// find. A search that does not find it would find no other one either: its checks are
// broken, or its schedules bring nothing about, or it was not built as it should be.
type canary struct {
	name     string
	property string                                     // that one of the schedules must violate
	plant    func() func(h *sim.Host, out *core.Output) // for one run
}

// canaries need a check of each kind: of a restart, of the nodes' states, of the history, of
// suspicion, and that everything comes to a good end.
var canaries = []canary{
	{"a disk that loses writes", "restored", loseWrites},
	{"acks that do not wait for the disk", "commit-durable", ackTooSoon},
	{"gets that are answered with what nobody wrote", "linearizable", answerFalsely},
	{"acks that never come", "eviction-without-cause", loseAcks},
	{"requests that are never answered", "usable", neverAnswer},
}

// Canary looks for each canary, as a search looks for a failure. That takes a few dozen
// runs. The error says which one was missed: then "holds", said by this build, would mean
// nothing.
func Canary() error { return findCanaries(Check) }

func findCanaries(run func(*schedule.Schedule, sim.RunOptions) *sim.Outcome) error {
	var missed []string
	for i := range canaries {
		if c := &canaries[i]; c.find(run) < 0 {
			missed = append(missed, fmt.Sprintf("%s, so that %s is violated", c.name, c.property))
		}
	}
	if len(missed) == 0 {
		return nil
	}
	return fmt.Errorf("this build does not find what was planted for it to be found, so it would say that everything holds. %d schedules of seed %d missed: %s\nBuild it anew, from a clean checkout. If that does not help, a check or the generator is broken, and go test ./sim/... says which",
		canarySchedules, canarySeed, strings.Join(missed, "; "))
}

// find returns the index of the first schedule that finds the canary, or -1. One that
// fails without the canary, too, counts as well: then the core itself is broken, as in a
// mutant, and the search is going to say so.
func (c *canary) find(run func(*schedule.Schedule, sim.RunOptions) *sim.Outcome) int {
	for i := range canarySchedules {
		s := Schedule(canarySeed, i)
		v := run(s, sim.RunOptions{Tamper: c.plant()}).Violation
		if v != nil && (v.Property == c.property || run(s, sim.RunOptions{}).Violation != nil) {
			return i
		}
	}
	return -1
}

// loseWrites has the disk of every storage node keep only the first batches, and say of
// all others that they are durable, too.
func loseWrites() func(*sim.Host, *core.Output) {
	const kept = 20
	batches := map[int]int{} // by host
	return func(h *sim.Host, out *core.Output) {
		if h.Role() != sim.RoleStorage || len(out.Persist) == 0 {
			return
		}
		if batches[h.Index()]++; batches[h.Index()] > kept {
			out.Persist = out.Persist[:0]
		}
	}
}

// ackTooSoon sends at once what must wait for the disk.
func ackTooSoon() func(*sim.Host, *core.Output) {
	return func(h *sim.Host, out *core.Output) {
		if h.Role() == sim.RoleStorage {
			out.Send, out.After = append(out.Send, out.After...), out.After[:0]
		}
	}
}

// answerFalsely changes every value with which a node answers.
func answerFalsely() func(*sim.Host, *core.Output) {
	return func(_ *sim.Host, out *core.Output) {
		for _, list := range [][]core.Envelope{out.Send, out.After} {
			for i := range list {
				if r, ok := list[i].Body.(*core.Reply); ok && r.Value != "" {
					planted := *r // others may share the message
					planted.Value = "planted"
					list[i].Body = &planted
				}
			}
		}
	}
}

// loseAcks drops all acks, so that healthy members are taken for dead.
func loseAcks() func(*sim.Host, *core.Output) { return drop(core.KindAck) }

// neverAnswer drops all replies to clients.
func neverAnswer() func(*sim.Host, *core.Output) { return drop(core.KindReply) }

func drop(kind core.Kind) func(*sim.Host, *core.Output) {
	dropped := func(e core.Envelope) bool { return core.KindOf(e.Body) == kind }
	return func(_ *sim.Host, out *core.Output) {
		out.Send = slices.DeleteFunc(out.Send, dropped)
		out.After = slices.DeleteFunc(out.After, dropped)
	}
}

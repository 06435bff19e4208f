package check

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/sim"
	"gtstore/sim/schedule"
)

// planted is a checker that sees something else than what a process has done: plant changes what it
// wants done before the checks look at it, in the event under way.
type planted struct {
	*checker
	plant func(c *checker, w *sim.World, h *sim.Host)
}

func (o *planted) AfterEvent(w *sim.World, h *sim.Host) {
	o.plant(o.checker, w, h)
	o.checker.AfterEvent(w, h)
}

// runPlanted runs a schedule, and returns what is violated, and what the check says.
func runPlanted(t *testing.T, text string, plant func(c *checker, w *sim.World, h *sim.Host)) (property, says string) {
	t.Helper()
	s, err := schedule.Parse(text)
	require.NoError(t, err)
	out := sim.Run(s, sim.RunOptions{Observer: &planted{&checker{}, plant}, SkipLinearizability: true})
	if out.Violation == nil {
		return "", ""
	}
	return out.Violation.Property, out.Violation.Text
}

// drops loses messages of a kind that hosts of a role want sent, if they are such.
func drops[M core.Message](role sim.Role, such func(w *sim.World, b M) bool) func(*checker, *sim.World, *sim.Host) {
	return func(_ *checker, w *sim.World, h *sim.Host) {
		is := func(e core.Envelope) bool {
			b, ok := e.Body.(M)
			return ok && h.Role() == role && such(w, b)
		}
		out := h.Output()
		out.Send, out.After = slices.DeleteFunc(out.Send, is), slices.DeleteFunc(out.After, is)
	}
}

// alters changes copies of messages of a kind.
func alters[T any, M interface {
	*T
	core.Message
}](change func(b M)) func(*checker, *sim.World, *sim.Host) {
	return func(_ *checker, _ *sim.World, h *sim.Host) {
		for _, list := range [][]core.Envelope{h.Sent(), h.Held()} {
			for i := range list {
				if b, ok := list[i].Body.(M); ok && h.Role() == sim.RoleStorage && list[i].To.ID != h.Peer().ID {
					other := *b
					change(&other)
					list[i].Body = M(&other)
				}
			}
		}
	}
}

// early sends at once what waits for the disk.
func early[M core.Message](_ *checker, _ *sim.World, h *sim.Host) {
	out := h.Output()
	for i := len(out.After) - len(h.Held()); i < len(out.After); i++ {
		if _, ok := out.After[i].Body.(M); ok {
			out.Send = append(out.Send, out.After[i])
			out.After = slices.Delete(out.After, i, i+1)
			i--
		}
	}
}

const (
	three = "cluster nodes=3 replicas=2 clients=1 mode=durable\nat 100ms c1 put a v1\nat 150ms c1 get a\nat 200ms c1 put a v2\n"
	// apart has two members that do not reach each other, and a get that waits for that.
	apart = three + "at 205ms cut n1>n2\nat 205ms cut n2>n1\nat 210ms c1 get a\nat 4s heal\nat 4.2s c1 put a v4\n"
)

func any1[M core.Message](*sim.World, M) bool { return true }

// TestWhatIsSaidWronglyIsNoticed plants one wrong word after the other.
func TestWhatIsSaidWronglyIsNoticed(t *testing.T) {
	for _, c := range []struct {
		name, schedule string
		plant          func(*checker, *sim.World, *sim.Host)
		property, says string
	}{
		{"a ping without an answer", three, drops(sim.RoleStorage, any1[*core.Pong]), "said", "of a ping, and said nothing"},
		{"a probe without an answer", apart, drops(sim.RoleStorage, any1[*core.ProbeReply]), "said", "of a probe, and said nothing"},
		{"a proof without a write", apart, early[*core.ProbeReply], "said", "has not written to its disk for that"},
		{"an ack beyond what is verified", three, alters(func(b *core.Ack) { b.Matched += 5 }), "said", "knows that it is the primary's up to"},
		{"no ack", three, drops(sim.RoleStorage, func(_ *sim.World, b *core.Ack) bool { return b.Matched > 0 && b.Round > 0 }), "said", "of entries that it has taken in, and said nothing"},
		{"a commit point beyond the own", three, alters(func(b *core.Replicate) { b.Commit++ }), "said", "is committed to"},
		{"an epoch that is not durable", three, early[*core.Replicate], "said", "of that it had made 0 durable"},
		{"a new epoch of which nobody is told", three, drops(sim.RoleStorage, any1[*core.Replicate]), "waits", "has told nobody"},
		{"gets and puts of the deposed", apart, drops(sim.RoleStorage, func(_ *sim.World, b *core.Reply) bool { return b.Status == core.StatusNotPrimary }), "said", "who waited"},
		{"a session that is left open", three + "at 300ms c1 close\n", drops(sim.RoleClient, func(_ *sim.World, b *core.Op) bool { return b.Kind == core.OpClose }), "said", "session"},
		{"of a write that happened, that it never does", "cluster nodes=1 replicas=0 clients=1\nat 100ms c1 put a v1\n", alters(func(b *core.Reply) {
			if b.Req&1 == 0 { // not the opening of the session
				b.Status = core.StatusSessionEnded
			}
		}), "exactly-once", "that it never takes effect, and it did"},
		{"of a write that is going to happen, that it never does", three, func(_ *checker, w *sim.World, h *sim.Host) {
			if in := w.Taken(); in != nil {
				if b, ok := in.Body.(*core.Op); ok && b.Kind == core.OpPut {
					reply := &core.Reply{Group: b.Group, Req: b.Req, Status: core.StatusSessionEnded, Version: b.Session}
					h.Output().Send = append(h.Output().Send, core.Envelope{Cluster: in.Cluster, From: in.To, To: in.From, Body: reply})
				}
			}
		}, "exactly-once", "its client was told that it never does"},
		{"a question with an old number", three + "at 300ms crash m\nat 310ms restart m\n", func(_ *checker, _ *sim.World, h *sim.Host) {
			sent := h.Sent()
			for i := range sent {
				if p, ok := sent[i].Body.(*core.Ping); ok {
					other := *p
					other.Nonce &= 1<<32 - 1
					sent[i].Body = &other
				}
			}
		}, "said", "an earlier start of it has used numbers up to"},
	} {
		t.Run(c.name, func(t *testing.T) {
			property, _ := runPlanted(t, c.schedule, func(*checker, *sim.World, *sim.Host) {})
			require.Empty(t, property, "what is not planted is not there")
			property, says := runPlanted(t, c.schedule, c.plant)
			require.Equal(t, c.property, property, says)
			require.Contains(t, says, c.says)
		})
	}
}

// TestWhatAPrimaryCountsOnWasSaidToIt looks at views of a primary that count on what nobody has said.
func TestWhatAPrimaryCountsOnWasSaidToIt(t *testing.T) {
	for _, c := range []struct {
		name, says string
		change     func(said *words, v *core.GroupView)
	}{
		{"nothing", "", func(*words, *core.GroupView) {}},
		{"it serves, and nobody has acked", "has acked nothing in that", func(said *words, _ *core.GroupView) { said.serves, said.heard = false, nil }},
		{"it goes on serving, and has heard nobody since", "", func(said *words, _ *core.GroupView) { said.heard = nil }},
		{"it commits what nobody has acked", "has acked up to", func(said *words, _ *core.GroupView) { said.commit = 0; said.heard = nil }},
		{"it does not serve", "", func(said *words, v *core.GroupView) { v.Serving = false; said.heard = nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			looked := false
			_, says := runPlanted(t, three, func(k *checker, w *sim.World, h *sim.Host) {
				s, ok := h.Node().(*core.Storage)
				if looked || !ok || w.Now() < 180*time.Millisecond || s.Groups() == 0 || !s.Group(0, w.Local(h)).Serving {
					return
				}
				looked = true
				v, said := s.Group(0, w.Local(h)), k.hosts[h.Index()].group(1).words
				c.change(&said, &v)
				k.checkCounted(w, h, &said, &v)
			})
			require.True(t, looked)
			if c.says == "" {
				require.Empty(t, says)
			} else {
				require.Contains(t, says, c.says)
			}
		})
	}
}

// TestSessionsThatNobodyUsesEnd looks at views of a primary long after its session was used.
func TestSessionsThatNobodyUsesEnd(t *testing.T) {
	for _, c := range []struct {
		name, says string
		change     func(said *words, v *core.GroupView)
	}{
		{"it has one open", "nobody has used one for", func(*words, *core.GroupView) {}},
		{"it has none", "", func(_ *words, v *core.GroupView) { v.Sessions = 0 }},
		{"a write is under way", "", func(_ *words, v *core.GroupView) { v.Pending = 1 }},
		{"a write was under way until now", "", func(said *words, _ *core.GroupView) { said.pending = true }},
		{"it was used a while ago", "", func(said *words, _ *core.GroupView) { said.busy = 1200 * time.Millisecond }},
	} {
		t.Run(c.name, func(t *testing.T) {
			looked := false
			_, says := runPlanted(t, three+"limits session-ttl=200ms\nat 1.6s c1 get a\n", func(k *checker, w *sim.World, h *sim.Host) {
				s, ok := h.Node().(*core.Storage)
				if looked || !ok || w.Now() < 1500*time.Millisecond || w.Taken() != nil || !s.Group(0, w.Local(h)).Serving {
					return
				}
				looked = true
				v, said := s.Group(0, w.Local(h)), words{busy: time.Second}
				v.Sessions, v.Pending = 1, 0
				c.change(&said, &v)
				k.checkIdle(w, h, &said, &v)
			})
			require.True(t, looked)
			if c.says == "" {
				require.Empty(t, says)
			} else {
				require.Contains(t, says, c.says)
			}
		})
	}
}

// TestAWrongWordIsNotLookedForWhereATraceShowsMore: what a missing rule does to users comes later.
func TestAWrongWordIsNotLookedForWhereATraceShowsMore(t *testing.T) {
	property, _ := runPlanted(t, "mutant x violates linearizable\n"+three, alters(func(b *core.Replicate) { b.Commit++ }))
	require.NotEqual(t, "said", property)
	property, _ = runPlanted(t, "mutant x violates said\n"+three, alters(func(b *core.Replicate) { b.Commit++ }))
	require.Equal(t, "said", property)
}

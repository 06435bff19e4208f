package core

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The scenarios of a backup, which reads a group's state part by part.

// backup is the operator's side of one.
type backup struct {
	*rig
	next  Export // what it asks for
	parts []*Exported
	anew  int
}

// ask asks for the next part, and returns the answer when n2, if it is a member, has
// confirmed that n1 is the primary.
func (b *backup) ask(fresh uint64) *Exported {
	b.t.Helper()
	b.next.Group, b.next.Req, b.next.Fresh = 1, b.next.Req+1, fresh
	m := b.next
	b.step("c9", &m)
	if len(b.view().Config.Chain) > 1 {
		b.answer("n2")
	}
	return only[*Exported](b.rig, "c9")
}

// take goes on from an answer.
func (b *backup) take(r *Exported) {
	b.t.Helper()
	require.Equal(b.t, StatusOK, r.Status)
	if r.Anew {
		b.parts = nil
		b.anew++
	}
	b.parts = append(b.parts, r)
	b.next.Tenure, b.next.Cursor, b.next.Position = r.Tenure, r.Cursor, r.Position
}

// whole is what a backup has of its parts.
func whole(parts []*Exported) map[string]Versioned {
	var chunks []*Chunk
	for _, p := range parts {
		chunks = append(chunks, &Chunk{Items: p.Items})
	}
	return model(chunks)
}

// Whatever is put and deleted between two parts of a backup, and however often answers
// are lost, the whole is the state at exactly the position that the last one names, and
// no write that was acknowledged before it began is missing.
func TestABackupHasWhatIsWrittenMeanwhile(t *testing.T) {
	anew := 0
	for seed := range uint64(400) {
		random := rand.New(rand.NewPCG(seed, 1))
		b := &backup{rig: serving(t, config(1, "n1"), chunkItems(2+random.IntN(4)), keep(1), func(o *StorageOptions) { o.JoinLagMax = 10 })}
		opSeq, states := uint64(0), map[Seq]map[string]Versioned{1: {}}
		write := func() {
			opSeq++
			op := put(opSeq+1, 1, opSeq, fmt.Sprint("k", random.IntN(12)), fmt.Sprint("v", opSeq))
			if random.IntN(3) == 0 {
				op.Kind, op.Value = OpDelete, ""
			}
			b.step("c1", op)
			states[b.view().Commit] = b.values()
		}
		for range random.IntN(30) {
			write()
		}
		began := b.view().Commit
		for steps := 0; len(b.parts) == 0 || !b.parts[len(b.parts)-1].All; steps++ {
			require.Less(t, steps, 1000, "seed %d: it ends though writes go on", seed)
			for range random.IntN(3) {
				write()
			}
			if random.IntN(20) == 0 {
				for range 20 { // more than is kept for it
					write()
				}
			}
			if r := b.ask(uint64(random.IntN(12))); random.IntN(4) > 0 { // else the answer is lost
				b.take(r)
			}
		}
		last := b.parts[len(b.parts)-1]
		require.GreaterOrEqual(t, last.Position, began)
		require.Equal(t, last.Commit, last.Position)
		require.Equal(t, states[last.Position], whole(b.parts), "seed %d", seed)
		require.EqualValues(t, len(states[last.Position]), last.Keys)
		anew += b.anew - 1
	}
	require.Greater(t, anew, 20, "begun anew since the log was trimmed")
}

// Rule R8: a primary that was cut off does not know that a successor has taken over. It
// serves no part of a backup.
func TestAStalePrimaryServesNoPartOfABackup(t *testing.T) {
	n := written(t, config(1, "n1", "n2", "n3"))
	n.step("c9", &Export{Group: 1, Req: 1, Fresh: 100})
	n.answer("n3")
	n.tick(10 * time.Second)
	require.Empty(t, sent[*Exported](n, "c9"), "n2 is the primary of epoch 2 by now")

	current := config(2, "n2", "n3")
	n.step("n2", &Nack{Group: 1, Epoch: 2, Round: 4, Config: current})
	same(t, &Exported{Group: 1, Req: 1, Status: StatusNotPrimary, Epoch: 2, Config: current}, only[*Exported](n, "c9"))
	n.step("c9", &Export{Group: 1, Req: 2})
	same(t, &Exported{Group: 1, Req: 2, Status: StatusNotPrimary, Epoch: 2, Config: current}, only[*Exported](n, "c9"))
	n.step("c9", &Export{Group: 7, Req: 3})
	same(t, &Exported{Group: 7, Req: 3, Status: StatusNotPrimary}, only[*Exported](n, "c9"))
}

// A part is served by a round that began after the request came, also under a lease.
func TestAPartIsServedByALaterRoundOnly(t *testing.T) {
	n := written(t, leased(time.Second, 1, "n1", "n2"))
	n.tick(50 * time.Millisecond)
	n.answer("n2")
	require.True(t, n.view().Alone)
	round := n.storage().groups[0].tenure.round
	n.step("c9", &Export{Group: 1, Req: 1, Fresh: 100})
	n.step("n2", &Ack{Group: 1, Epoch: 1, Round: round, Matched: 2})
	require.Empty(t, sent[*Exported](n, "c9"))
	n.answer("n2")
	same(t, &Exported{Group: 1, Req: 1, Status: StatusOK, Epoch: 1, Tenure: 1, Anew: true, Items: []Item{{"x", "a", 2}}, Fresh: 2,
		Position: 2, Commit: 2, Keys: 1, All: true}, only[*Exported](n, "c9"))
}

// Keys have other slots at another node, and after a restart. So a backup goes on in later
// epochs of the same tenure, and begins anew in another one.
func TestABackupBeginsAnewInAnotherTenure(t *testing.T) {
	b := &backup{rig: serving(t, config(1, "n1", "n2"))}
	for i := range uint64(5) {
		b.step("c1", put(i+2, 1, i+1, fmt.Sprint("k", i), "v"))
		b.answer("n2")
	}
	b.take(b.ask(1))
	require.Equal(t, 1, b.anew)
	b.step("m", config(2, "n1", "n2"))
	b.answer("n2")
	b.take(b.ask(1))
	require.Equal(t, 1, b.anew, "it goes on")
	require.Len(t, whole(b.parts), 2)

	b.step("m", config(3, "n2", "n1"))
	require.Equal(t, StatusNotPrimary, func() Status {
		b.step("c9", &b.next)
		return only[*Exported](b.rig, "c9").Status
	}())
	b.step("n2", &Replicate{Group: 1, Epoch: 3, Round: 1, Prev: EntryID{1, 6}, Commit: 6})
	b.step("m", config(4, "n1", "n2"))
	require.Equal(t, StatusUnavailable, func() Status {
		b.step("c9", &b.next)
		return only[*Exported](b.rig, "c9").Status
	}(), "it reconciles first")
	b.answer("n2")
	require.True(t, b.view().Serving)
	b.take(b.ask(100))
	require.Equal(t, 2, b.anew)
	require.Equal(t, b.values(), whole(b.parts))
}

// The log is kept for a backup that goes on, within the bounds of what is kept for a
// joining node, and only here: the members trim theirs.
func TestTheLogIsKeptForABackup(t *testing.T) {
	begin := func(t *testing.T, options ...func(*StorageOptions)) (b *backup, write func(n int)) {
		b = &backup{rig: serving(t, config(1, "n1", "n2"), append(options, keep(1))...)}
		opSeq := uint64(0)
		write = func(n int) {
			for range n {
				opSeq++
				b.step("c1", put(opSeq+1, 1, opSeq, fmt.Sprint("k", opSeq%5), strings.Repeat("v", 100)))
				b.answer("n2")
			}
		}
		write(10)
		b.take(b.ask(1))
		return b, write
	}
	t.Run("between two parts", func(t *testing.T) {
		b, write := begin(t)
		write(50)
		require.LessOrEqual(t, b.view().Base, b.next.Position, "the rest is kept")
		b.tick(60 * time.Millisecond)
		require.Greater(t, latest[*Replicate](b.rig, "n2").Trim, b.next.Position, "not at the members")
		for !b.parts[len(b.parts)-1].All {
			b.take(b.ask(100))
		}
		require.Equal(t, 1, b.anew)
		require.Equal(t, b.values(), whole(b.parts))
	})
	t.Run("not for one that has gone", func(t *testing.T) {
		b, write := begin(t)
		for range 5 {
			b.tick(exportPatience / 4)
			b.answer("n2")
		}
		write(50)
		require.Greater(t, b.view().Base, b.next.Position)
		b.take(b.ask(1))
		require.Equal(t, 2, b.anew)
	})
	for name, option := range map[string]func(*StorageOptions){
		"not for one that is far behind":    func(o *StorageOptions) { o.JoinLagMax = 20 },
		"not for one that lacks many bytes": func(o *StorageOptions) { o.LogKeepBytes, o.JoinLagBytes = 1000, 2000 },
	} {
		t.Run(name, func(t *testing.T) {
			b, write := begin(t, option)
			write(50)
			require.Greater(t, b.view().Base, b.next.Position)
			b.take(b.ask(100))
			require.Equal(t, 2, b.anew)
		})
	}
}

// A part has a MiB of keys and values at most, or one key, however many are asked for; and
// few wait at a time.
func TestPartsOfABackupAreBounded(t *testing.T) {
	b := &backup{rig: serving(t, config(1, "n1"))}
	for i := range uint64(5) {
		b.step("c1", put(i+2, 1, i+1, fmt.Sprint("k", i), strings.Repeat("v", BatchBytesMax/2)))
	}
	b.step("c1", put(7, 1, 6, "large", strings.Repeat("v", ValueBytesMax)))
	for len(b.parts) == 0 || !b.parts[len(b.parts)-1].All {
		r := b.ask(math.MaxUint64)
		bytes := 0
		for _, it := range r.Items {
			bytes += len(it.Key) + len(it.Value)
		}
		require.True(t, bytes <= BatchBytesMax || len(r.Items) == 1, "%d bytes in %d keys", bytes, len(r.Items))
		require.NotPanics(t, func() { AppendEnvelope(nil, enveloped(r)) })
		b.take(r)
	}
	require.Equal(t, b.values(), whole(b.parts))
	require.Less(t, len(b.parts), 8)

	n := serving(t, config(1, "n1", "n2"))
	for req := range uint64(exportsMax + 1) {
		n.step("c9", &Export{Group: 1, Req: req + 1})
		n.step("c9", &Export{Group: 1, Req: 1}) // asked for again: it has its place
	}
	same(t, &Exported{Group: 1, Req: exportsMax + 1, Status: StatusOverloaded, Epoch: 1}, only[*Exported](n, "c9"))
	operations, _ := n.storage().UnderWay()
	require.Equal(t, exportsMax, operations)
	n.answer("n2")
	require.Len(t, sent[*Exported](n, "c9"), exportsMax)
	operations, _ = n.storage().UnderWay()
	require.Zero(t, operations)
}

// What a request says of where the reading stands may be anything.
func TestARequestThatMakesNoSenseBeginsAnew(t *testing.T) {
	for name, m := range map[string]*Export{
		"a tenure to come":         {Tenure: 2, Cursor: 1, Position: 2},
		"no tenure":                {Cursor: 1, Position: 2},
		"beyond what is committed": {Tenure: 1, Cursor: 1, Position: 3},
		"more keys than there are": {Tenure: 1, Cursor: math.MaxUint64, Position: 2},
	} {
		t.Run(name, func(t *testing.T) {
			n := written(t, config(1, "n1"))
			m.Group, m.Req, m.Fresh = 1, 1, math.MaxUint64
			n.step("c9", m)
			r := only[*Exported](n, "c9")
			require.Equal(t, name != "more keys than there are", r.Anew)
			require.Equal(t, []Item{{"x", "a", 2}}, r.Items)
			require.True(t, r.All)
		})
	}
	n := written(t, config(1, "n1"))
	n.step("c9", &Export{Group: 1, Req: 1, Position: countMax + 1})
	require.Empty(t, sent[*Exported](n, "c9"))
	require.Len(t, n.happened(EventDropped), 1)
}

// flight is a group of three nodes, a client that writes and an operator that makes a
// backup. Messages between them are lost, repeated and reordered, and the primary changes.
type flight struct {
	t      *testing.T
	random *rand.Rand
	nodes  map[string]*rig
	names  []string // of the chain, those who are left
	epoch  Epoch
	gone   map[string]bool // crashed
	cut    map[string]bool // heard by client and operator, and by no node
	states map[Seq]map[string]Versioned
	commit map[string]Seq

	asked  string // by client and operator
	writer Op
	acked  Seq
	backup Export // Req is 0 before it begins
	parts  []*Exported
	anew   int
}

func newFlight(t *testing.T, seed uint64) *flight {
	f := &flight{
		t: t, random: rand.New(rand.NewPCG(seed, 2)), nodes: map[string]*rig{}, names: []string{"n1", "n2", "n3"}, gone: map[string]bool{}, cut: map[string]bool{},
		states: map[Seq]map[string]Versioned{0: {}}, commit: map[string]Seq{}, backup: Export{Group: 1},
	}
	for _, name := range f.names {
		f.nodes[name] = newStorageAt(t, name, chunkItems(2+f.random.IntN(3)), keep(2), func(o *StorageOptions) { o.JoinLagMax = 20 }).registered()
	}
	f.promote()
	f.writer, f.asked = *open(1), "n1"
	return f
}

// promote has the next config adopted by some of those who are left; the others learn of
// it from the primary.
func (f *flight) promote() {
	f.epoch++
	for i, name := range f.names {
		if i == 0 || f.random.IntN(2) == 0 {
			f.nodes[name].step("m", config(f.epoch, f.names...))
		}
	}
}

// failOver removes the primary, which may have crashed, or not know it.
func (f *flight) failOver() {
	switch f.random.IntN(3) {
	case 0:
		f.gone[f.names[0]] = true
	case 1:
		f.cut[f.names[0]] = true
	}
	f.names = f.names[1:]
	f.promote()
}

// send has what the client and the operator ask for now reach whom they take for the
// primary, rightly or not.
func (f *flight) send() {
	if f.random.IntN(30) == 0 {
		f.asked = fmt.Sprint("n", 1+f.random.IntN(3))
		if f.random.IntN(2) == 0 {
			f.asked = f.names[0]
		}
	}
	to := f.asked
	if f.gone[to] {
		return
	}
	op, m := f.writer, f.backup
	if m.Req == 0 || f.random.IntN(2) == 0 {
		f.nodes[to].step("c1", &op)
	} else {
		f.nodes[to].step("c9", &m)
	}
}

// deliver has one of the messages under way arrive, if the network lets it.
func (f *flight) deliver() {
	from := f.nodes[fmt.Sprint("n", 1+f.random.IntN(3))]
	if len(from.mail) == 0 {
		return
	}
	i := f.random.IntN(min(4, len(from.mail)))
	e := from.mail[i]
	if fate := f.random.IntN(20); fate > 0 { // else it comes again
		from.mail = append(from.mail[:i:i], from.mail[i+1:]...)
		if fate == 1 {
			return
		}
	}
	switch m := e.Body.(type) {
	case *Reply:
		if m.Req == f.writer.Req && m.Status == StatusOK {
			f.acked = max(f.acked, m.Version)
			f.nextWrite()
		}
	case *Exported:
		if m.Req == f.backup.Req && m.Status == StatusOK {
			f.take(m)
		}
	default:
		if to := f.nodes[e.To.Addr]; to != nil && !f.gone[e.To.Addr] && !f.cut[e.To.Addr] && !f.cut[from.self.Addr] {
			to.stepRaw(e)
		}
	}
}

func (f *flight) nextWrite() {
	n := f.writer.Req
	f.writer = *put(n+1, 1, n, fmt.Sprint("k", f.random.IntN(10)), fmt.Sprint("v", n))
	if f.random.IntN(3) == 0 {
		f.writer.Kind, f.writer.Value = OpDelete, ""
	}
}

func (f *flight) take(m *Exported) {
	if m.Anew {
		f.parts = nil
		f.anew++
	}
	f.parts = append(f.parts, m)
	f.backup = Export{Group: 1, Req: m.Req + 1, Tenure: m.Tenure, Cursor: m.Cursor, Position: m.Position, Fresh: uint64(f.random.IntN(9))}
}

// look notes the states, which are the same where as much is committed.
func (f *flight) look() {
	for name, n := range f.nodes {
		if n.storage().Groups() == 0 || n.view().Commit == f.commit[name] {
			continue
		}
		f.commit[name] = n.view().Commit
		if known, ok := f.states[f.commit[name]]; ok {
			require.Equal(f.t, known, n.values())
		}
		f.states[f.commit[name]] = n.values()
	}
}

// Whoever is the primary, and whatever the network does: a backup is the state at one
// position, and has all that was acknowledged before it began.
func TestABackupIsOfOneStateWhateverHappens(t *testing.T) {
	again := 0
	for seed := range uint64(150) {
		f := newFlight(t, seed)
		began, done := Seq(0), 0
		failAt := []int{310 + f.random.IntN(150), 460 + f.random.IntN(300)}
		for step := 0; done < 5; step++ {
			require.Less(t, step, 50_000, "seed %d: it does not end", seed)
			switch {
			case len(failAt) > 0 && step >= failAt[0]:
				f.failOver()
				failAt = failAt[1:]
			case step%10 == 0:
				for i := range 3 {
					n := f.nodes[fmt.Sprint("n", 1+i)]
					n.tick(time.Duration(1+f.random.IntN(20)) * time.Millisecond)
					n.took, n.past = nil, nil
				}
			case step%5 == 0:
				f.send()
			default:
				f.deliver()
			}
			f.look()
			if step == 300 { // the first keys are there
				f.backup.Req, began = 1, f.acked
			}
			if len(f.parts) == 0 || !f.parts[len(f.parts)-1].All {
				continue
			}
			last := f.parts[len(f.parts)-1]
			require.GreaterOrEqual(t, last.Position, began, "seed %d", seed)
			require.Equal(t, f.states[last.Position], whole(f.parts), "seed %d", seed)
			again += min(1, f.anew-1)
			done++
			f.backup, f.parts, f.anew, began = Export{Group: 1, Req: last.Req + 1}, nil, 0, f.acked
		}
	}
	require.Greater(t, again, 30, "of these were begun anew")
}

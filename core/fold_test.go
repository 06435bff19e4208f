package core

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// folding is a durable manager's Directory with its disk, and no manager around it.
type folding struct {
	t     testing.TB
	m     *Manager
	space rigSpace
	most  int // records in one batch, so far
}

func newFolding(t testing.TB, keep int) *folding {
	m, err := NewManager(foldOptions(keep), Empty{})
	require.NoError(t, err)
	f := &folding{t: t, m: m, space: rigSpace{}}
	m.out = new(Output)
	m.persistIdentity()
	f.sync()
	return f
}

func foldOptions(keep int) ManagerOptions {
	return ManagerOptions{Self: peerOf("m"), Cluster: rigCluster, Durable: true, CommandsKeep: keep}
}

// apply has a command made durable, and applied.
func (f *folding) apply(c *Command) {
	f.m.persistCommand(f.m.dir.index+1, c)
	f.sync()
	a := f.m.dir.apply(c)
	f.m.noteChange(c, &a)
	f.m.persistFold()
	f.sync()
}

func (f *folding) sync() {
	f.most = max(f.most, len(f.m.out.Persist))
	f.space.write(f.m.out.Persist)
	f.m.out.Reset()
}

// restarted is the manager that starts over the disk.
func (f *folding) restarted() *Manager {
	f.t.Helper()
	m, err := NewManager(foldOptions(f.m.opt.CommandsKeep), f.space)
	require.NoError(f.t, err)
	return m
}

// count is how many records there are with a prefix.
func (s rigSpace) count(prefix string) (n int) {
	for k := range s {
		if strings.HasPrefix(k, prefix) {
			n++
		}
	}
	return n
}

// randomCommand is a command of any kind before end, most of which change something.
func randomCommand(rng *rand.Rand, d *Directory, end CommandKind) *Command {
	name := fmt.Sprint("n", 1+rng.IntN(10))
	id := peerOf(name).ID
	c := &Command{Kind: CommandKind(1 + rng.IntN(int(end)-1)), Node: NodeRecord{Peer: Peer{ID: id}}}
	if len(d.groups) > 0 {
		g := d.groups[rng.IntN(len(d.groups))].config
		c.Group, c.Epoch = g.Group, g.Epoch
		if c.Kind == CommandReconfigure && rng.IntN(2) > 0 {
			c.Remove = []NodeID{g.Chain[rng.IntN(len(g.Chain))].ID}
		}
		if c.Kind == CommandMember || c.Kind == CommandJoin && rng.IntN(4) == 0 {
			c.Node.ID = g.Joining.ID
		}
	}
	switch n := d.node(id); c.Kind {
	case CommandRegister:
		c.Node = NodeRecord{Peer: Peer{id, fmt.Sprint(name, ":", rng.IntN(2))}, Name: name, Boot: Boot(1 + rng.IntN(5))}
	case CommandPlace:
		c.Unit, c.Members, c.Terms = Unit(fmt.Sprint("k", rng.IntN(50))), []NodeID{id, peerOf(fmt.Sprint("n", 1+rng.IntN(10))).ID}, Terms{Reads: ReadConfirm, MinChain: 1}
		if c.Members[0] == c.Members[1] {
			c.Members = nil
		}
	case CommandTerms:
		c.Terms = Terms{Reads: ReadConfirm, MinChain: uint32(1 + rng.IntN(2))}
	case CommandGone:
		if rng.IntN(8) > 0 {
			c.Node.ID = 999
		}
	case CommandRetire:
		if n != nil {
			c.Node.Boot = n.Boot
		}
	}
	return c
}

// Manager 7: whatever was folded, and wherever the fold ended, a restart finds the same Directory.
func TestAFoldedDirectoryIsTheSame(t *testing.T) {
	groups, epochs := 0, 0
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 2))
		f := newFolding(t, 1+int(seed)%7)
		kinds := map[CommandKind]bool{}
		for i := range 10 {
			f.apply(&Command{Kind: CommandRegister, Node: NodeRecord{Peer: peerOf(fmt.Sprint("n", 1+i)), Boot: 1}})
		}
		f.apply(&Command{Kind: CommandPlace, Unit: "k", Members: []NodeID{1, 2, 3}, Terms: Terms{Reads: ReadConfirm, MinChain: 1}})
		for i := range 300 {
			c := randomCommand(rng, f.m.dir, CommandFound)
			kinds[c.Kind] = true
			f.apply(c)
			m := f.restarted()
			require.Equal(t, f.m.dir, m.dir, "seed %d, after command %d, %+v", seed, i+1, c)
			require.Equal(t, f.m.fold.from, m.fold.from)
			require.Equal(t, m.dir.index, m.proposed)
			require.Less(t, f.space.count(prefixCommand), f.m.opt.CommandsKeep)
		}
		require.Len(t, kinds, int(CommandFound)-1)
		groups, epochs = groups+len(f.m.dir.groups), epochs+f.m.dir.epochs()
	}
	require.Greater(t, groups, 20)
	require.Greater(t, epochs, 10*groups)
}

// epochs is the sum of the groups' epochs.
func (d *Directory) epochs() (sum int) {
	for _, g := range d.groups {
		sum += int(g.config.Epoch)
	}
	return sum
}

// Neither what happened, nor how many nodes and keys there are, makes a batch larger; and
// what happened makes the disk no fuller.
func TestADirectoryTakesNoMoreThanItsState(t *testing.T) {
	const keep = 16
	f := newFolding(t, keep)
	for i := range 5 {
		f.apply(&Command{Kind: CommandRegister, Node: NodeRecord{Peer: peerOf(fmt.Sprint("n", i+1)), Boot: 1}})
	}
	for i := range 5000 {
		f.apply(&Command{Kind: CommandPlace, Unit: Unit(fmt.Sprint("k", i)), Members: []NodeID{1, 2}, Terms: Terms{Reads: ReadConfirm, MinChain: 1}})
	}
	full := len(f.space)
	for i := range 5000 {
		f.apply(&Command{Kind: CommandRegister, Node: NodeRecord{Peer: peerOf(fmt.Sprint("n", 1+i%5)), Boot: Boot(2 + i)}})
	}
	require.LessOrEqual(t, len(f.space), full+keep)
	require.LessOrEqual(t, f.most, 3*keep)
	for _, id := range []NodeID{3, 4, 5} { // a node that is taken off the list leaves nothing
		f.apply(&Command{Kind: CommandRetire, Node: NodeRecord{Peer: Peer{ID: id}, Boot: f.m.dir.node(id).Boot}})
	}
	for i := range keep {
		f.apply(&Command{Kind: CommandPlace, Unit: Unit(fmt.Sprint("l", i)), Terms: Terms{Reads: ReadConfirm, MinChain: 1}})
	}
	require.Equal(t, 2, f.space.count(prefixNode))
	require.Equal(t, f.m.dir, f.restarted().dir)
}

// After a restart there may be commands of which many folds are made: they leave one by one.
func TestManyCommandsFoundAreFoldedOneBatchAtATime(t *testing.T) {
	const keep = 10
	f := newFolding(t, 1000)
	f.apply(&Command{Kind: CommandRegister, Node: NodeRecord{Peer: peerOf("n1"), Boot: 1}})
	for i := range 500 {
		f.apply(&Command{Kind: CommandPlace, Unit: Unit(fmt.Sprint("k", i)), Members: []NodeID{1}, Terms: Terms{Reads: ReadConfirm, MinChain: 1}})
	}
	require.Equal(t, 501, f.space.count(prefixCommand))
	n := &rig{t: t, self: peerOf("m"), durable: true, space: f.space, boot: func(s Space) (Node, error) { return NewManager(foldOptions(keep), s) }}
	n.start()
	for rounds := 0; n.space.count(prefixCommand) >= keep; rounds++ {
		require.Less(t, rounds, 60)
		before := n.space.count(prefixCommand)
		n.tick(50 * time.Millisecond)
		require.GreaterOrEqual(t, n.space.count(prefixCommand), before-2*keep, "two rounds of pings at most")
		n.crash(0)
		require.Equal(t, f.m.dir, f.restarted().dir, "wherever it ends")
		n.restart()
	}
}

// foldedSpace is a disk whose records are the state at index 8, with two commands behind.
func foldedSpace(t *testing.T) rigSpace {
	f := newFolding(t, 8)
	for i := range 4 {
		f.apply(&Command{Kind: CommandRegister, Node: NodeRecord{Peer: peerOf(fmt.Sprint("n", i+1)), Boot: 1}})
	}
	for i := range 6 {
		f.apply(&Command{Kind: CommandPlace, Unit: Unit(fmt.Sprint("k", i)), Members: []NodeID{NodeID(2*i%4 + 1), NodeID(2*i%4 + 2)}, Terms: Terms{Reads: ReadConfirm, MinChain: 1}})
	}
	require.Equal(t, 2, f.space.count(prefixCommand))
	require.Equal(t, 2, f.space.count(prefixGroup))
	return f.space
}

// Every record of the Directory is missed, and noticed when it is damaged, or stands in the
// place of another; and so is the record of a key that nobody wrote.
func TestADamagedRecordOfTheDirectoryIsNoticed(t *testing.T) {
	s := foldedSpace(t)
	start := func() error {
		_, err := startManager(s)
		return err
	}
	require.NoError(t, start())
	last := ordered(prefixCommand, 10)
	for key, record := range s {
		delete(s, key)
		if err := start(); key == last {
			require.NoError(t, err, "a crash may lose the last command")
		} else {
			require.ErrorIs(t, err, ErrDamaged, "without %q", key)
		}
		for other, content := range s {
			s[key] = content
			require.ErrorIs(t, start(), ErrDamaged, "%q read as %q", key, other)
		}
		for bit := range 8 * len(record) {
			flipped := []byte(record)
			flipped[bit/8] ^= 1 << (bit % 8)
			s[key] = string(flipped)
			require.ErrorIs(t, start(), ErrDamaged, "%q, bit %d", key, bit)
		}
		s[key] = record
	}
	for _, r := range []struct {
		key string
		tag byte
		v   coded
	}{
		{prefixUnit + "of no group", tagMapping, &mapping{3}},
		{prefixUnit + "of too many", tagMapping, &mapping{1}},
		{ordered(prefixGroup, 4), tagConfig, &Config{Group: 4, Epoch: 1, Chain: []Peer{peerOf("n9")}, Reads: ReadConfirm}},
		{ordered(prefixGroup, 3), tagConfig, &Config{Group: 3, Epoch: 1, Chain: []Peer{peerOf("n9")}, Reads: ReadConfirm}},
		{ordered(prefixGroup, 3), tagConfig, &Config{Group: 3, Epoch: 1, Chain: []Peer{peerOf("n1")}, Reads: ReadConfirm}},
		{ordered(prefixNode, 9), tagNode, &nodeEntry{NodeRecord: NodeRecord{Peer: peerOf("n1"), Boot: 1}}},
		{ordered(prefixNode, 9), tagNode, &nodeEntry{NodeRecord: NodeRecord{Peer: peerOf("n9"), Boot: 1}}},
		{ordered(prefixCommand, 8), tagCommand, &Command{Kind: CommandGone}},
	} {
		s[r.key] = new(recorder).record(r.key, r.tag, r.v)
		require.ErrorIs(t, start(), ErrDamaged, "with %q", r.key)
		delete(s, r.key)
	}
	require.NoError(t, start())
}

// foldedKeys is a Space, in the order of its keys, of so many keys in one group.
type foldedKeys []Write

func newFoldedKeys(t testing.TB, keys int) (s foldedKeys) {
	f := newFolding(t, 1)
	f.apply(&Command{Kind: CommandRegister, Node: NodeRecord{Peer: peerOf("n1"), Boot: 1}})
	f.apply(&Command{Kind: CommandPlace, Unit: "k", Members: []NodeID{1}, Terms: Terms{Reads: ReadConfirm, MinChain: 1}})
	d := f.m.dir
	delete(d.units, "k")
	delete(f.space, prefixUnit+"k")
	for i := range keys {
		d.units[Unit(fmt.Sprintf("%016d", i))] = 1
	}
	f.m.fold.from--
	f.space.write(f.m.makeFold())
	for k, v := range f.space {
		s = append(s, Write{Key: k, Value: v})
	}
	for u := range d.units {
		at := prefixUnit + string(u)
		s = append(s, Write{Key: at, Value: f.m.record(at, tagMapping, &mapping{1})})
	}
	slices.SortFunc(s, func(a, b Write) int { return strings.Compare(a.Key, b.Key) })
	return s
}

// Range implements Space. It makes each string anew, as a disk does.
func (s foldedKeys) Range(prefix string, f func(key, value string) error) error {
	at, _ := slices.BinarySearchFunc(s, prefix, func(w Write, k string) int { return strings.Compare(w.Key, k) })
	for ; at < len(s) && strings.HasPrefix(s[at].Key, prefix); at++ {
		if err := f(strings.Clone(s[at].Key), strings.Clone(s[at].Value)); err != nil {
			return err
		}
	}
	return nil
}

func restoreKeys(t testing.TB, s Space, keys int) *Manager {
	m, err := NewManager(foldOptions(256), s)
	require.NoError(t, err)
	require.Equal(t, keys, m.Units())
	return m
}

// A key takes no more at a manager that has restarted than at any other.
func TestWhatARestoredKeyTakes(t *testing.T) {
	const keys = 300_000
	s := newFoldedKeys(t, keys)
	require.Less(t, taken(keys, func(int) *Manager { return restoreKeys(t, s, keys) }), 100.0)
}

// BenchmarkRestoreDirectory measures the start of a manager over a million keys.
func BenchmarkRestoreDirectory(b *testing.B) {
	const keys = 1_000_000
	s := newFoldedKeys(b, keys)
	bytes := 0
	for _, w := range s {
		bytes += len(w.Key) + len(w.Value)
	}
	runtime.GC()
	b.ReportAllocs()
	for b.Loop() {
		restoreKeys(b, s, keys)
	}
	b.ReportMetric(float64(bytes)/keys, "B/key")
}

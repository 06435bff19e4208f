package core

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// inspect reads what the node made durable.
func inspect(t *testing.T, space Space) *DiskReport {
	t.Helper()
	r, err := Inspect(space)
	require.NoError(t, err)
	return r
}

// trimmed is n1, alone in its group, after eight writes to three keys: so many that it has
// made values, a session and its progress durable.
func trimmed(t *testing.T) *rig {
	t.Helper()
	n := written(t, config(1, "n1"), durable, func(o *StorageOptions) { o.LogKeep = 1 })
	for i := range uint64(8) {
		n.step("c1", put(10+i, 1, 2+i, fmt.Sprint("k", i%3), fmt.Sprint(i)))
	}
	n.step("n1", &Probe{Nonce: 1})
	return n
}

func TestInspectTellsWhatAStorageNodeHolds(t *testing.T) {
	n := trimmed(t)
	n.step("m", &Config{Group: 2, Epoch: 1, Chain: []Peer{peerOf("n2"), peerOf("n1")}, Reads: ReadConfirm, MinChain: 1})
	view := n.view()
	n.crash(0)
	n.restart()
	n.crash(0)

	r := inspect(t, n.space)
	require.Empty(t, r.Damage)
	require.Equal(t, peerOf("n1").ID, r.ID)
	require.Equal(t, rigCluster, r.Cluster)
	require.EqualValues(t, 2, r.Boot)
	require.Equal(t, peerOf("m").ID, r.Manager)
	require.Len(t, r.Groups, 2)
	g := r.Groups[0]
	require.EqualValues(t, 1, g.Group)
	require.Equal(t, config(1, "n1"), g.Config)
	require.Equal(t, EntryID{1, view.Base}, g.Base)
	require.Equal(t, view.Last, g.Last)
	require.EqualValues(t, view.Last-view.Base, g.Entries)
	require.Positive(t, g.Base.Seq)
	require.Positive(t, g.Entries)
	require.GreaterOrEqual(t, g.Applied, g.Base.Seq)
	require.Equal(t, 4, g.Keys, "x and three more")
	require.EqualValues(t, 4, g.ValueBytes, "of one byte each")
	require.Equal(t, 1, g.Sessions)
	require.Zero(t, g.Ended)
	require.Equal(t, DiskGroup{Group: 2, Config: r.Groups[1].Config, known: true}, r.Groups[1])
	require.Equal(t, len(n.space), r.Records)
	bytes := 0
	for k, v := range n.space {
		bytes += len(k) + len(v)
	}
	require.EqualValues(t, bytes, r.Bytes)
	require.Zero(t, r.Directory)
}

func TestInspectTellsWhatAManagerHolds(t *testing.T) {
	r := newRealm(t, 5, inDurableMode)
	r.place("a")
	r.place("b")
	r.say("c1", &Drain{Req: 1, Node: peerOf("n5").ID})
	r.forget(2, peerOf("n4").ID)
	index := r.manager().Index()
	r.crash(0)

	report := inspect(t, r.space)
	require.Empty(t, report.Damage)
	require.Equal(t, peerOf("m").ID, report.ID)
	require.Equal(t, rigCluster, report.Cluster)
	require.EqualValues(t, 1, report.Boot)
	require.Empty(t, report.Groups)
	d := report.Directory
	require.Equal(t, index, d.Index)
	require.Equal(t, 2, d.Units)
	require.Len(t, d.Nodes, 5)
	require.Equal(t, "n1", d.Nodes[0].Name)
	require.EqualValues(t, 1, d.Nodes[0].Group)
	require.True(t, d.Nodes[3].Gone)
	require.True(t, d.Nodes[4].Draining)
	require.Len(t, d.Groups, 1)
	require.Equal(t, 2, d.Groups[0].Units)
	require.Equal(t, config(1, "n1", "n2", "n3").Chain, d.Groups[0].Config.Chain)
}

// What the commands did is shown whether or not they are in the records already.
func TestInspectTellsWhatAManagerHasFolded(t *testing.T) {
	space := foldedSpace(t)
	m, err := NewManager(foldOptions(256), space)
	require.NoError(t, err)
	report := inspect(t, space)
	require.Empty(t, report.Damage)
	d := report.Directory
	require.Equal(t, m.dir.index, d.Index)
	require.Equal(t, 2, d.Commands)
	require.Equal(t, d.Index-2, d.Folded)
	require.Equal(t, m.Units(), d.Units)
	require.Len(t, d.Nodes, len(m.dir.nodes))
	require.Len(t, d.Groups, 2)
	require.False(t, d.Cut)
	mapped := 0
	for i, g := range d.Groups {
		require.Equal(t, m.dir.groups[i].config, g.Config)
		mapped += g.Units
	}
	require.Equal(t, d.Units, mapped)
	space.damage(ordered(prefixGroup, 1))
	d = inspect(t, space).Directory
	require.True(t, d.Cut)
	require.Len(t, d.Nodes, len(m.dir.nodes))
	require.Empty(t, d.Groups)
	require.Equal(t, 2, d.Commands)
}

// Half a snapshot is shown as one: a start discards it.
func TestInspectTellsOfAPartialJoin(t *testing.T) {
	chunks := snapshotOf(t, 5)
	n := following(t, "n3", joined(2, 2, "n3", "n1"), durable)
	n.step("n1", chunks[0])
	half := inspect(t, n.space)
	require.Empty(t, half.Damage)
	require.True(t, half.Groups[0].Partial)
	require.EqualValues(t, 2, half.Groups[0].Start)
	require.Equal(t, 2, half.Groups[0].Keys)
	for _, c := range chunks[1:] {
		n.step("n1", c)
	}
	whole := inspect(t, n.space).Groups[0]
	require.False(t, whole.Partial)
	require.Equal(t, 5, whole.Keys)
	require.Equal(t, chunks[len(chunks)-1].At, whole.Base)
	require.Equal(t, whole.Base.Seq, whole.Last)
}

func TestInspectOfNothing(t *testing.T) {
	require.Zero(t, *inspect(t, Empty{}))
}

// Each kind of damage is named, with the record and what is wrong with it, and the rest
// is read all the same.
func TestInspectGoesOnAfterDamage(t *testing.T) {
	node := func(t *testing.T) rigSpace { return trimmed(t).space }
	log := func(seq uint64) string { return ordered(prefixLog, 1, seq) }
	const first, last = 9, 10 // entries of trimmed
	for name, c := range map[string]struct {
		space func(*testing.T) rigSpace
		harm  func(s rigSpace)
		want  []string // record: what is said
	}{
		"identity":         {node, func(s rigSpace) { s.damage(keyIdentity) }, []string{"identity: wire: checksum mismatch"}},
		"no identity":      {node, func(s rigSpace) { delete(s, keyIdentity) }, []string{"identity: there are records, but not who they belong to"}},
		"config":           {node, func(s rigSpace) { s.damage(ordered(prefixConfig, 1)) }, []string{"config/1: wire: checksum mismatch"}},
		"no config":        {node, func(s rigSpace) { delete(s, ordered(prefixConfig, 1)) }, []string{"config/1: there are records of this group, but no config"}},
		"progress":         {node, func(s rigSpace) { s.damage(ordered(prefixProgress, 1)) }, []string{"progress/1: wire: checksum mismatch"}},
		"no progress":      {node, func(s rigSpace) { delete(s, ordered(prefixProgress, 1)) }, []string{"log/1/1: no entries from here to seq 8"}},
		"entry":            {node, func(s rigSpace) { s.damage(log(last)) }, []string{"log/1/10: wire: checksum mismatch"}},
		"cut entry":        {node, func(s rigSpace) { s[log(last)] = s[log(last)][:3] }, []string{"log/1/10: wire: truncated"}},
		"entry of another": {node, func(s rigSpace) { s[log(last)] = s[log(first)] }, []string{"log/1/10: wire: checksum mismatch"}},
		"hole in the log":  {node, func(s rigSpace) { delete(s, log(first)) }, []string{"log/1/9: no entries from here to seq 9"}},
		"two holes": {node, func(s rigSpace) { delete(s, log(first)); s[log(13)] = s[log(last)] },
			[]string{"log/1/9: no entries from here to seq 9", "log/1/11: no entries from here to seq 12", "log/1/13: wire: checksum mismatch"}},
		"log too short": {node, func(s rigSpace) { delete(s, log(first)); delete(s, log(last)) }, []string{"log/1/9: the log ends before this, and the values are of seq 10"}},
		"entry of before": {node, func(s rigSpace) { s[log(3)] = s[log(last)] },
			[]string{"log/1/3: the log begins at seq 9", "log/1/3: wire: checksum mismatch"}},
		"value":   {node, func(s rigSpace) { s.damage(ordered(prefixValue, 1) + "k1") }, []string{`value/1/"k1": wire: checksum mismatch`}},
		"session": {node, func(s rigSpace) { s.damage(ordered(prefixSession, 1, 1)) }, []string{"session/1/1: wire: checksum mismatch"}},
		"several": {node, func(s rigSpace) { s.damage(keyIdentity); s.damage(log(first)); s.damage(ordered(prefixValue, 1) + "x") },
			[]string{"identity: ", "log/1/9: ", `value/1/"x": `}},
		"no key of ours": {node, func(s rigSpace) { s[prefixValue+"\xff"] = "?" }, []string{`value/"\xff": no node writes such a key`}},
		"nor this one":   {node, func(s rigSpace) { s[ordered(prefixLog, 1)] = "?" }, []string{`log/1: no node writes such a key`}},
		"values of before the log": {node, func(s rigSpace) {
			s.make(ordered(prefixProgress, 1), tagProgress, &progress{base: EntryID{1, 8}, applied: 7})
		}, []string{"progress/1: the values are of seq 7, and the log begins at seq 9"}},
		"directory":       {foldedSpace, func(s rigSpace) { s.damage(keyDirectory) }, []string{"directory: wire: checksum mismatch"}},
		"no directory":    {foldedSpace, func(s rigSpace) { delete(s, keyDirectory) }, []string{"directory: there is no record of the Directory"}},
		"node":            {foldedSpace, func(s rigSpace) { s.damage(ordered(prefixNode, 1)) }, []string{"node/1: wire: checksum mismatch"}},
		"no node":         {foldedSpace, func(s rigSpace) { delete(s, ordered(prefixNode, 1)) }, []string{"group/1: node "}},
		"no group":        {foldedSpace, func(s rigSpace) { delete(s, ordered(prefixGroup, 1)) }, []string{"group/2: there is a record of group 2, but none of group 1"}},
		"mapping":         {foldedSpace, func(s rigSpace) { s.damage(prefixUnit + "k1") }, []string{`unit/"k1": wire: checksum mismatch`}},
		"folded too much": {foldedSpace, func(s rigSpace) { s.make(ordered(prefixCommand, 1), tagCommand, &Command{Kind: CommandGone}) }, []string{"command/9: no command at this index"}},
		"several of a Directory": {foldedSpace, func(s rigSpace) {
			s.damage(ordered(prefixGroup, 1))
			s.damage(prefixUnit + "k1")
			s.damage(ordered(prefixCommand, 9))
		},
			[]string{"group/1: wire: ", `unit/"k1": wire: `, "command/9: wire: "}},
		"command":    {managerSpace, func(s rigSpace) { s.damage(ordered(prefixCommand, 2)) }, []string{"command/2: wire: checksum mismatch"}},
		"no command": {managerSpace, func(s rigSpace) { delete(s, ordered(prefixCommand, 3)) }, []string{"command/3: no command at this index"}},
	} {
		t.Run(name, func(t *testing.T) {
			space := c.space(t)
			c.harm(space)
			r := inspect(t, space)
			var got []string
			for _, d := range r.Damage {
				got = append(got, d.Record+": "+d.Err.Error())
			}
			require.Len(t, got, len(c.want), "%q", got)
			for i := range got {
				require.True(t, strings.HasPrefix(got[i], c.want[i]), "%q, want %q", got, c.want)
			}
			require.Equal(t, len(c.want), r.Damaged)
			require.Equal(t, len(space), r.Records, "all of it was read")
		})
	}
}

// What is behind damage in the Directory's commands is not applied: it would make another
// Directory than there ever was.
func TestInspectShowsTheDirectoryBeforeTheDamage(t *testing.T) {
	space := managerSpace(t)
	space.damage(ordered(prefixCommand, 3))
	d := inspect(t, space).Directory
	require.EqualValues(t, 2, d.Index)
	require.Len(t, d.Nodes, 2)
	require.Empty(t, d.Groups)
}

// make puts a record there that is whole, whatever it says.
func (s rigSpace) make(key string, tag byte, v coded) { s[key] = new(recorder).record(key, tag, v) }

// strays are records that are whole each, and that do not fit what is there.
func strays() (list []Write) {
	add := func(key string, tag byte, v coded) {
		list = append(list, Write{Key: key, Value: new(recorder).record(key, tag, v)})
	}
	for g := range uint64(4) {
		add(ordered(prefixConfig, g), tagConfig, &Config{Group: GroupID(g), Epoch: 9, Chain: []Peer{peerOf("n1")}, Reads: ReadConfirm})
		for _, p := range []progress{{}, {applied: 9}, {applied: 10}, {base: EntryID{1, 9}, applied: 8}, {base: EntryID{1, 10}, applied: 10}, {partial: true}} {
			add(ordered(prefixProgress, g), tagProgress, &p)
		}
		for seq := range uint64(12) {
			add(ordered(prefixLog, g, seq), tagEntry, &Entry{Kind: OpOpen})
		}
		add(ordered(prefixValue, g)+"new", tagValue, &value{"v", 1})
		add(ordered(prefixSession, g, 99), tagSession, &SessionRecord{ID: 99})
		add(ordered(prefixGroup, g), tagConfig, &Config{Group: GroupID(g), Epoch: 1, Chain: []Peer{peerOf("n9")}, Reads: ReadConfirm})
		add(prefixUnit+fmt.Sprint("of", g), tagMapping, &mapping{GroupID(g)})
	}
	for i := range uint64(12) {
		add(ordered(prefixCommand, i), tagCommand, &Command{Kind: CommandGone})
		add(ordered(prefixNode, i), tagNode, &nodeEntry{NodeRecord: NodeRecord{Peer: peerOf(fmt.Sprint("n", i+1)), Boot: 1}})
	}
	add(prefixUnit, tagMapping, &mapping{1})
	add(keyDirectory, tagDirectory, &directoryRecord{placement: PlacementKey, index: 8, turn: 9, nodes: 3, groups: 2, units: 3})
	return list
}

// agreement counts how often a start and Inspect agreed on a space.
type agreement struct{ damaged, whole int }

func (a *agreement) on(t *testing.T, space rigSpace, start func(Space) (Node, error), what ...any) {
	_, err := start(space)
	r := inspect(t, space)
	require.Equal(t, errors.Is(err, ErrDamaged), r.Damaged > 0, "%q: %v, %v", what, err, r.Damage)
	if err != nil {
		a.damaged++
	} else {
		a.whole++
	}
}

// halfJoined is the disk of a node that has a part of a snapshot, and of another group all.
func halfJoined(t *testing.T) rigSpace {
	n := following(t, "n3", joined(2, 2, "n3", "n1"), durable)
	n.step("n1", snapshotOf(t, 5)[0])
	n.step("m", &Config{Group: 2, Epoch: 1, Chain: []Peer{peerOf("n3")}, Reads: ReadConfirm, MinChain: 1})
	n.step("c1", &Op{Group: 2, Req: 1, Kind: OpOpen})
	n.crash(0)
	return n.space
}

// A node starts over a space if and only if Inspect finds it whole.
func TestInspectAndAStartAgree(t *testing.T) {
	for name, c := range map[string]struct {
		space func(*testing.T) rigSpace
		start func(Space) (Node, error)
	}{
		"manager":                 {managerSpace, startManager},
		"manager that has folded": {foldedSpace, startManager},
		"storage":                 {func(t *testing.T) rigSpace { return trimmed(t).space }, startStorage},
		"half a snapshot":         {halfJoined, startStorage},
	} {
		t.Run(name, func(t *testing.T) {
			var a agreement
			space := c.space(t)
			a.on(t, space, c.start, "nothing")
			require.Equal(t, 1, a.whole)
			keys := slices.Sorted(maps.Keys(space))
			for _, key := range keys {
				record := space[key]
				delete(space, key)
				a.on(t, space, c.start, "without", key)
				for _, other := range keys {
					if left, there := space[other]; there {
						delete(space, other)
						a.on(t, space, c.start, "without", key, other)
						space[other] = left
					}
				}
				for _, content := range []string{"", "x", space[keyIdentity], record + "x", record[:len(record)/2]} {
					space[key] = content
					a.on(t, space, c.start, "other content in", key)
				}
				space[key] = record
				if record != "" { // that of a probe is
					space.damage(key)
					a.on(t, space, c.start, "a flipped bit in", key)
				}
				space[key] = record
			}
			require.Greater(t, a.damaged, len(space))
			require.Greater(t, a.whole, 1)
		})
	}
}

// The same holds when records are whole, and do not fit together.
func TestInspectAndAStartAgreeOnStrayRecords(t *testing.T) {
	manager := func(key string) bool {
		return strings.HasPrefix(key, prefixNode) || strings.HasPrefix(key, prefixGroup) || strings.HasPrefix(key, prefixUnit) || strings.HasPrefix(key, prefixCommand) || key == keyDirectory
	}
	for name, c := range map[string]struct {
		space     func(*testing.T) rigSpace
		start     func(Space) (Node, error)
		isManager bool
	}{
		"manager":                 {managerSpace, startManager, true},
		"manager that has folded": {foldedSpace, startManager, true},
		"storage":                 {func(t *testing.T) rigSpace { return trimmed(t).space }, startStorage, false},
		"half a snapshot":         {halfJoined, startStorage, false},
	} {
		t.Run(name, func(t *testing.T) {
			var a agreement
			space := c.space(t)
			for _, w := range strays() {
				if manager(w.Key) != c.isManager {
					continue // no node reads records of the other role
				}
				with := maps.Clone(space)
				with[w.Key] = w.Value
				a.on(t, with, c.start, "with", w.Key)
			}
			require.Positive(t, a.damaged)
		})
	}
}

func TestInspectDescribesOnlySomeOfMuchDamage(t *testing.T) {
	space := rigSpace{}
	for i := range uint64(DamageMax + 20) {
		space[ordered(prefixSession, 1, i)] = "?"
	}
	r := inspect(t, space)
	require.Equal(t, DamageMax+22, r.Damaged, "with the identity and the config")
	require.Len(t, r.Damage, DamageMax)
}

// unreadable is a space of which a part cannot be read.
type unreadable struct {
	rigSpace
	prefix string
	err    error
}

func (s unreadable) Range(prefix string, f func(key, value string) error) error {
	if err := s.rigSpace.Range(prefix, f); err != nil || prefix != s.prefix {
		return err
	}
	return s.err
}

// Damage below the records, in the engine's files, ends the reading of one kind of
// record. An error that is no damage ends all of it: nothing is said of what was not read.
func TestInspectOfWhatCannotBeRead(t *testing.T) {
	space := trimmed(t).space
	r := inspect(t, unreadable{space, prefixValue, fmt.Errorf("table 5: %w", ErrDamaged)})
	require.Equal(t, len(space), r.Records)
	require.Equal(t, 1, r.Damaged)
	require.Equal(t, `value/1/"x"`, r.Damage[0].Record)
	require.ErrorContains(t, r.Damage[0].Err, "what comes after it cannot be read: table 5")

	failed := errors.New("input/output error")
	_, err := Inspect(unreadable{space, prefixLog, failed})
	require.ErrorIs(t, err, failed)
}

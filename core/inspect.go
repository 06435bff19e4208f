package core

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"gtstore/core/wire"
)

// DamageMax bounds the damage that a DiskReport describes; what is beyond is counted.
const DamageMax = 100

// DiskReport is what a node's durable records say, as far as they can be read.
type DiskReport struct {
	ID      NodeID    // 0 when there is no identity, or none that can be read
	Cluster ClusterID // 0 while a storage node is not registered
	Boot    Boot      // how often the node was started
	Seen    Index     // a storage node's: the highest index of the Directory that it knows of
	Manager NodeID    // a storage node's; 0 while it is not registered

	Groups    []DiskGroup   // a storage node's, by their ids
	Directory DiskDirectory // a manager's; of one of several, package core/quorum reads it
	Quorum    int           // records of one of several managers, in which its Directory is: of these Inspect reads only the checksums

	Records int   // that were read, damaged ones included
	Bytes   int64 // of their keys and contents

	Damaged int          // how many things are wrong
	Damage  []DiskDamage // the first DamageMax of them
}

// DiskGroup is a storage node's part in one group.
type DiskGroup struct {
	Group  GroupID
	Config *Config // of the highest epoch adopted; nil when it is missing or damaged

	// The log goes from Base+1 to Last. The keys and sessions are the state at Applied:
	// what the log has after that, a start takes up once it is known to be committed.
	Base          EntryID
	Last, Applied Seq
	Entries       int
	Keys          int
	ValueBytes    int64 // without the keys
	Sessions      int   // open ones; Ended are those that ended and are remembered
	Ended         int

	Start   Epoch // of the join by which the node came, or is coming, into the group, or 0
	Partial bool  // it has a part of a snapshot, which a start discards

	known      bool // there is a config, which may be damaged
	unreadable bool // the progress is, so that nothing is known of the log's bounds
}

// DiskDirectory is a manager's Directory: its records, with the commands since.
type DiskDirectory struct {
	Index    Index // with the commands
	Folded   Index // which the records are of
	Commands int   // that are after that, damaged ones included
	Pending  int   // the last of them, which may not be agreed on by several managers
	Cut      bool  // it shows only what was read before the first damage

	Nodes     []NodeView // in the order of registration
	Groups    []DirectoryGroup
	Placement Placement // 0 if its record cannot be read
	Units     int       // that are mapped
}

// DirectoryGroup is a group of the Directory.
type DirectoryGroup struct {
	Config *Config
	Units  int // that are mapped to it
}

// DiskDamage is one thing that is not as it was written.
type DiskDamage struct {
	Record string // its key, made printable, as in log/1/42: group 1, seq 42
	Err    error
}

// inspection is what Inspect knows on the way.
type inspection struct {
	DiskReport
	identified bool // there is an identity, which may be damaged
	groups     map[GroupID]*DiskGroup
	dir        directoryReader
	folded     bool // all of the Directory's records were read
	commands   int
	cut        bool // there is damage in the Directory: what follows from that is none
}

// inspected are all kinds of record, in the order in which Inspect wants them: what is held
// of a group is judged by its progress, and a Directory is read as by a start.
var inspected = []struct {
	prefix string
	read   func(in *inspection, key, text string)
}{
	{keyIdentity, (*inspection).identity},
	{keyManagers, (*inspection).managers},
	{keyProbe, func(*inspection, string, string) {}},
	{prefixConfig, (*inspection).config},
	{prefixProgress, (*inspection).progress},
	{prefixLog, (*inspection).entry},
	{prefixValue, (*inspection).value},
	{prefixSession, (*inspection).session},
	{prefixQuorum, (*inspection).quorum},
	{keyDirectory, func(in *inspection, k, v string) {
		in.folding(k, v, in.dir.readHead, tagDirectory, new(directoryRecord))
	}},
	{prefixNode, func(in *inspection, k, v string) { in.folding(k, v, in.dir.readNode, tagNode, new(nodeEntry)) }},
	{prefixGroup, func(in *inspection, k, v string) { in.folding(k, v, in.dir.readGroup, tagConfig, new(Config)) }},
	{prefixUnit, func(in *inspection, k, v string) { in.folding(k, v, in.dir.readUnit, tagMapping, new(mapping)) }},
	{prefixCommand, (*inspection).command},
}

// Inspect reads all that a node made durable, of either role. Where NewStorage and
// NewManager refuse damaged records, it notes the damage and goes on. The error is one
// of reading that is no damage.
func Inspect(space Space) (*DiskReport, error) {
	in := &inspection{groups: make(map[GroupID]*DiskGroup), dir: directoryReader{Directory: newDirectory(0)}}
	for _, kind := range inspected {
		last := kind.prefix
		err := space.Range(kind.prefix, func(k, v string) error {
			in.Records, in.Bytes = in.Records+1, in.Bytes+int64(len(k)+len(v))
			kind.read(in, k, v)
			last = k
			return nil
		})
		if errors.Is(err, ErrDamaged) {
			in.damage(last, fmt.Errorf("what comes after it cannot be read: %w", err))
			in.cut = true
		} else if err != nil {
			return nil, err
		}
	}
	in.finish()
	return &in.DiskReport, nil
}

func (in *inspection) damage(key string, err error) {
	if what := (*wire.Error)(nil); errors.As(err, &what) {
		err = what // the type of the record stands in its key
	}
	in.Note(DiskDamage{printable(key), err})
}

// read reads a record. It notes the damage, and returns false, if that fails.
func (in *inspection) read(key, text string, tag byte, v coded) bool {
	err := readRecord(key, text, tag, v)
	if err != nil {
		in.damage(key, err)
	}
	return err == nil
}

// readHeld reads a record of what is held of a group. If that is half a snapshot, nothing in
// it is damage: a start discards it unread.
func (in *inspection) readHeld(g *DiskGroup, key, text string, tag byte, v coded) bool {
	if g.Partial {
		return readRecord(key, text, tag, v) == nil
	}
	return in.read(key, text, tag, v)
}

// group returns the group of a record; nil, with the damage noted, if the key names none.
func (in *inspection) group(prefix, key string) *DiskGroup {
	id, ok := number(key[len(prefix):])
	if !ok {
		in.damage(key, errors.New("no node writes such a key"))
		return nil
	}
	g := in.groups[GroupID(id)]
	if g == nil {
		g = &DiskGroup{Group: GroupID(id)}
		in.groups[g.Group] = g
	}
	return g
}

func (in *inspection) identity(key, text string) {
	in.identified = true
	var i identity
	if in.read(key, text, tagIdentity, &i) {
		in.ID, in.Cluster, in.Boot, in.Seen, in.Manager = i.id, i.cluster, i.boot, i.seen.index, i.manager
	}
}

func (in *inspection) config(key, text string) {
	if g := in.group(prefixConfig, key); g != nil {
		g.known = true
		if c := new(Config); in.read(key, text, tagConfig, c) {
			g.Config = c
		}
	}
}

func (in *inspection) progress(key, text string) {
	g := in.group(prefixProgress, key)
	if g == nil {
		return
	}
	var p progress
	if g.unreadable = !in.read(key, text, tagProgress, &p); !g.unreadable {
		g.Base, g.Last, g.Applied, g.Start, g.Partial = p.base, p.base.Seq, p.applied, p.start, p.partial
		if !p.partial && p.applied < p.base.Seq {
			in.damage(key, fmt.Errorf("the values are of seq %d, and the log begins at seq %d", p.applied, p.base.Seq+1))
		}
	}
}

func (in *inspection) entry(key, text string) {
	g := in.group(prefixLog, key)
	if g == nil {
		return
	}
	_, rest, _ := cutNumber(key[len(prefixLog):])
	n, rest, ok := cutNumber(rest)
	switch seq := Seq(n); {
	case g.Partial:
	case !ok || rest != "":
		in.damage(key, errors.New("no node writes such a key"))
		return
	default:
		in.place(g, key, seq)
	}
	g.Entries++
	in.readHeld(g, key, text, tagEntry, new(Entry))
}

// place notes which entry of its group's log comes next.
func (in *inspection) place(g *DiskGroup, key string, seq Seq) {
	switch unknown := g.unreadable && g.Entries == 0; {
	case unknown:
		g.Base.Seq = seq - 1
	case seq <= g.Last:
		in.damage(key, fmt.Errorf("the log begins at seq %d", g.Base.Seq+1))
	case seq > g.Last+1:
		in.damage(ordered(prefixLog, uint64(g.Group), uint64(g.Last+1)), fmt.Errorf("no entries from here to seq %d", seq-1))
	}
	g.Last = max(g.Last, seq)
}

func (in *inspection) value(key, text string) {
	var v value
	if g := in.group(prefixValue, key); g != nil && in.readHeld(g, key, text, tagValue, &v) {
		g.Keys, g.ValueBytes = g.Keys+1, g.ValueBytes+int64(len(v.data))
	}
}

func (in *inspection) session(key, text string) {
	var r SessionRecord
	if g := in.group(prefixSession, key); g != nil && in.readHeld(g, key, text, tagSession, &r) {
		if r.Ended > 0 {
			g.Ended++
		} else {
			g.Sessions++
		}
	}
}

// folding reads a record of the Directory as a start does. After damage it only looks
// whether the record can be read.
func (in *inspection) folding(key, text string, start func(key, text string) error, tag byte, v coded) {
	if in.cut {
		in.read(key, text, tag, v)
	} else if err := start(key, text); err != nil {
		in.damage(key, err)
		in.cut = true
	}
}

// endFolding judges the Directory's records when all of them are read.
func (in *inspection) endFolding() {
	if in.folded {
		return
	}
	in.folded = true
	if in.cut {
		return
	}
	if manager := in.Cluster != 0 && in.Manager == 0; manager && in.Quorum == 0 && in.dir.placement == 0 {
		in.damage(keyDirectory, errNoDirectory)
		in.cut = true
	} else if err := in.dir.complete(); err != nil {
		in.damage(keyDirectory, err)
		in.cut = true
	}
}

func (in *inspection) managers(key, text string) {
	if _, err := readManagers(key, text); err != nil {
		in.damage(key, err)
	}
}

func (in *inspection) quorum(key, text string) {
	in.Quorum++
	var c wire.Coder
	if c.OpenRecord(text, key); c.Err() != nil {
		in.damage(key, c.Err())
	}
}

func (in *inspection) command(key, text string) {
	in.endFolding()
	in.commands++
	if next := ordered(prefixCommand, uint64(in.dir.index)+1); !in.cut && key != next {
		in.damage(next, errors.New("no command at this index: the Directory is shown as it was before"))
		in.cut = true
	}
	var c Command
	if in.read(key, text, tagCommand, &c) && !in.cut {
		in.dir.apply(&c)
	} else {
		in.cut = true
	}
}

// finish draws the conclusions for which all records must be known.
func (in *inspection) finish() {
	in.endFolding()
	if in.Records > in.Quorum && !in.identified { // an empty one of several managers has promises at most
		in.damage(keyIdentity, errors.New("there are records, but not who they belong to"))
	}
	for _, id := range slices.Sorted(maps.Keys(in.groups)) {
		g := in.groups[id]
		if !g.known {
			in.damage(ordered(prefixConfig, uint64(g.Group)), errors.New("there are records of this group, but no config of it"))
		}
		if !g.Partial && g.Last < g.Applied {
			in.damage(ordered(prefixLog, uint64(g.Group), uint64(g.Last+1)), fmt.Errorf("the log ends before this, and the values are of seq %d", g.Applied))
		}
		in.Groups = append(in.Groups, *g)
	}
	in.Directory = in.dir.report()
	in.Directory.Folded, in.Directory.Commands, in.Directory.Cut = in.dir.head.index, in.commands, in.cut
}

func (d *Directory) report() DiskDirectory {
	r := DiskDirectory{Index: d.index, Placement: d.placement, Units: len(d.units)}
	for _, n := range d.nodes {
		r.Nodes = append(r.Nodes, n.view())
	}
	for _, g := range d.groups {
		r.Groups = append(r.Groups, DirectoryGroup{Config: g.config})
	}
	for _, id := range slices.Sorted(maps.Values(d.units)) {
		r.Groups[id-1].Units++
	}
	return r
}

// cutNumber is number, with what comes after it.
func cutNumber(text string) (n uint64, rest string, ok bool) {
	if n, ok = number(text); ok {
		text = text[1+text[0]:]
	}
	return n, text, ok
}

// numbersOf tells how many numbers the keys of a kind have; a value's key goes on with
// that of the user.
var numbersOf = []struct {
	prefix  string
	numbers int
}{{prefixConfig, 1}, {prefixProgress, 1}, {prefixLog, 2}, {prefixValue, 1}, {prefixSession, 2}, {prefixNode, 1}, {prefixGroup, 1}, {prefixUnit, 0}, {prefixCommand, 1}}

// printable writes the key of a record for people: log/1/42, value/1/"colour".
func printable(key string) string {
	for _, kind := range numbersOf {
		rest, found := strings.CutPrefix(key, kind.prefix)
		if !found {
			continue
		}
		text := strings.TrimSuffix(kind.prefix, "/")
		for range kind.numbers {
			n, left, ok := cutNumber(rest)
			if !ok {
				break
			}
			text, rest = text+"/"+strconv.FormatUint(n, 10), left
		}
		if rest != "" {
			text += "/" + strconv.Quote(rest)
		}
		return text
	}
	return strings.Trim(strconv.Quote(key), `"`)
}

package core

import (
	"encoding/binary"
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
	Directory DiskDirectory // a manager's

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

// DiskDirectory is a manager's Directory. After damage it is the one before that.
type DiskDirectory struct {
	Index  Index
	Nodes  []NodeView // in the order of registration
	Groups []DirectoryGroup
	Keys   int // that are mapped
}

// DirectoryGroup is a group of the Directory.
type DirectoryGroup struct {
	Config *Config
	Keys   int // that are mapped to it
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
	dir        *Directory
	broken     bool // the commands from here on do not continue the Directory
}

// inspected are all kinds of record, in the order in which Inspect wants them: a log is
// judged by what the progress says, and all by the config.
var inspected = []struct {
	prefix string
	read   func(in *inspection, key, text string)
}{
	{keyIdentity, (*inspection).identity},
	{keyProbe, func(*inspection, string, string) {}},
	{prefixConfig, (*inspection).config},
	{prefixProgress, (*inspection).progress},
	{prefixLog, (*inspection).entry},
	{prefixValue, (*inspection).value},
	{prefixSession, (*inspection).session},
	{prefixCommand, (*inspection).command},
}

// Inspect reads all that a node made durable, of either role. Where NewStorage and
// NewManager refuse damaged records, it notes the damage and goes on. The error is one
// of reading that is no damage.
func Inspect(space Space) (*DiskReport, error) {
	in := &inspection{groups: make(map[GroupID]*DiskGroup), dir: newDirectory()}
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
		} else if err != nil {
			return nil, err
		}
	}
	in.finish()
	return &in.DiskReport, nil
}

func (in *inspection) damage(key string, err error) {
	if in.Damaged++; len(in.Damage) < DamageMax {
		in.Damage = append(in.Damage, DiskDamage{printable(key), err})
	}
}

// read reads a record. It notes the damage, and returns false, if that fails.
func (in *inspection) read(key, text string, tag byte, v coded) bool {
	err := readRecord(key, text, tag, v)
	if err == nil {
		return true
	}
	if what := (*wire.Error)(nil); errors.As(err, &what) {
		err = what // the type of the record stands in its key
	}
	in.damage(key, err)
	return false
}

// group returns the group of a record; nil, with the damage noted, if the key names none.
func (in *inspection) group(prefix, key string) *DiskGroup {
	id, _, ok := leadingNumber(key[len(prefix):])
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
		in.ID, in.Cluster, in.Boot, in.Seen, in.Manager = i.id, i.cluster, i.boot, i.index, i.manager
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
	}
}

func (in *inspection) entry(key, text string) {
	g := in.group(prefixLog, key)
	if g == nil {
		return
	}
	_, rest, _ := leadingNumber(key[len(prefixLog):])
	n, _, ok := leadingNumber(rest)
	if !ok {
		in.damage(key, errors.New("no node writes such a key"))
		return
	}
	if seq := Seq(n); !g.Partial {
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
	g.Entries++
	in.read(key, text, tagEntry, new(Entry))
}

func (in *inspection) value(key, text string) {
	var v value
	if g := in.group(prefixValue, key); g != nil && in.read(key, text, tagValue, &v) {
		g.Keys, g.ValueBytes = g.Keys+1, g.ValueBytes+int64(len(v.data))
	}
}

func (in *inspection) session(key, text string) {
	var r SessionRecord
	if g := in.group(prefixSession, key); g != nil && in.read(key, text, tagSession, &r) {
		if r.Ended > 0 {
			g.Ended++
		} else {
			g.Sessions++
		}
	}
}

func (in *inspection) command(key, text string) {
	next := ordered(prefixCommand, uint64(in.dir.index)+1)
	if !in.broken && key != next {
		in.damage(next, errors.New("no command at this index: the Directory is shown as it was before"))
		in.broken = true
	}
	var c Command
	if in.read(key, text, tagCommand, &c) && !in.broken {
		in.dir.apply(&c)
	} else {
		in.broken = true
	}
}

// finish draws the conclusions for which all records must be known.
func (in *inspection) finish() {
	if in.Records > 0 && !in.identified {
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
}

func (d *Directory) report() DiskDirectory {
	r := DiskDirectory{Index: d.index, Keys: len(d.keys)}
	for _, n := range d.nodes {
		r.Nodes = append(r.Nodes, n.view())
	}
	for _, g := range d.groups {
		r.Groups = append(r.Groups, DirectoryGroup{Config: g.config})
	}
	for _, id := range slices.Sorted(maps.Values(d.keys)) {
		r.Groups[id-1].Keys++
	}
	return r
}

// leadingNumber reads the number that a key goes on with, as ordered wrote it; ok is false
// for none.
func leadingNumber(text string) (n uint64, rest string, ok bool) {
	if len(text) < 8 {
		return 0, text, false
	}
	return binary.BigEndian.Uint64([]byte(text[:8])), text[8:], true
}

// numbersOf tells how many numbers the keys of a kind have; a value's key goes on with
// that of the user.
var numbersOf = []struct {
	prefix  string
	numbers int
}{{prefixConfig, 1}, {prefixProgress, 1}, {prefixLog, 2}, {prefixValue, 1}, {prefixSession, 2}, {prefixCommand, 1}}

// printable writes the key of a record for people: log/1/42, value/1/"colour".
func printable(key string) string {
	for _, kind := range numbersOf {
		rest, found := strings.CutPrefix(key, kind.prefix)
		if !found {
			continue
		}
		text := strings.TrimSuffix(kind.prefix, "/")
		for range kind.numbers {
			n, left, ok := leadingNumber(rest)
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

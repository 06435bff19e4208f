package core

import (
	"bytes"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// everyState calls f with a node in each state that tests know how to reach, and again after
// some random messages.
func everyState(t *testing.T, f func(t *testing.T, n *rig, seed uint64)) {
	build := map[string]func(*testing.T) *rig{}
	for _, s := range states {
		build[s.name] = func(t *testing.T) *rig { return s.build(t).rig }
	}
	maps.Copy(build, moreStates)
	for i, name := range slices.Sorted(maps.Keys(build)) {
		t.Run(name, func(t *testing.T) {
			n := build[name](t)
			for round := range uint64(3) {
				seed := uint64(i)<<32 + round<<16
				f(t, n, seed)
				if assail(t, n, seed, 300); n.node == nil {
					return
				}
			}
		})
	}
}

// mayShare is the memory that a copy and its original may share. A list that only grows at its
// end is cut off there in the copy, so that its next element goes elsewhere.
var mayShare = map[string]string{
	"Storage.opt":      "options never change",
	"log.entries":      "only grows at its end; what is cut off or trimmed leaves the rest as it is",
	"unsaved.effects":  "only grows at its end, and loses its beginning",
	"unsaved.sessions": "likewise",
	"transfer.window":  "likewise",
	"Manager.waiters":  "a key's waiters only grow at the end",
	"Manager.early":    "only grows at its end",
	"Manager.refused":  "only grows at its end, and loses its beginning",
	"fold.batches":     "likewise",
	"fold.batches[]":   "a batch is never changed",

	"StorageOptions.Managers": "options never change",
	"leaders.known":           "never changed in place",
	"leaders.kept":            "never changed in place",
}

// memory is a piece of memory that can be changed, and the field that leads there.
type memory struct {
	field   string
	at, end uintptr
	grows   bool // a list has room for more
}

// memoryOf lists what a value consists of, without strings and messages: neither is ever
// changed.
func memoryOf(field string, v reflect.Value, list []memory) []memory {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			list = memoryOf(v.Type().Name()+"."+v.Type().Field(i).Name, writable(v.Field(i)), list)
		}
	case reflect.Array:
		for i := range v.Len() {
			list = memoryOf(field, v.Index(i), list)
		}
	case reflect.Pointer:
		at := v.Pointer()
		if v.IsNil() || v.Type().Implements(reflect.TypeFor[Message]()) || slices.ContainsFunc(list, func(m memory) bool { return m.at == at && m.field == field }) {
			return list
		}
		list = append(list, memory{field, at, at + max(1, v.Type().Elem().Size()), false})
		list = memoryOf(field, v.Elem(), list)
	case reflect.Interface:
		if !v.IsNil() {
			list = memoryOf(field, v.Elem(), list)
		}
	case reflect.Slice:
		if v.Cap() > 0 {
			list = append(list, memory{field, v.Pointer(), v.Pointer() + uintptr(v.Cap())*v.Type().Elem().Size(), v.Cap() > v.Len()})
		}
		for i := range v.Len() {
			list = memoryOf(field+"[]", v.Index(i), list)
		}
	case reflect.Map:
		if v.IsNil() {
			return list
		}
		list = append(list, memory{field, v.Pointer(), v.Pointer() + 1, false})
		for it := v.MapRange(); it.Next(); {
			at := reflect.New(v.Type().Elem()).Elem() // a value in a map has no place of its own
			at.Set(it.Value())
			list = memoryOf(field, at, list)
		}
	}
	return list
}

func TestACopySharesOnlyWhatNeverChanges(t *testing.T) {
	shared := map[string]bool{}
	everyState(t, func(t *testing.T, n *rig, _ uint64) {
		c := copyOf(n.node)
		require.Equal(t, encode(n.node, n.now), encode(c, n.now))
		of, its := memoryOf("", reflect.ValueOf(n.node), nil), memoryOf("", reflect.ValueOf(c), nil)
		for _, m := range its {
			for _, o := range of {
				if m.at < o.end && o.at < m.end {
					require.NotEmpty(t, mayShare[m.field], "%s of the copy is %s of the original", m.field, o.field)
					require.False(t, m.grows && m.field != "fold.batches[]", "%s can grow in the memory of the original", m.field)
					shared[m.field] = true
				}
			}
		}
	})
	for field := range mayShare {
		require.True(t, shared[field], "%s is said to be shared, and is not", field)
	}
}

func TestACopyAndItsOriginalGoOnByThemselves(t *testing.T) {
	everyState(t, func(t *testing.T, n *rig, seed uint64) {
		twin, c := n.with(copyOf(n.node)), n.with(copyOf(n.node))
		for i := range uint64(3) {
			gone := n.with(copyOf(n.node))
			assail(t, gone, seed+i, 300)
			alike(t, n, twin, seed+i, 300, "the original, after its copy has gone on")
			other := n.with(copyOf(c.node))
			assail(t, c, seed+i, 300)
			alike(t, other, twin, seed+i, 300, "the copy, after its original has gone on")
			c = other
		}
	})
}

// What has happened in another order, or at another time of day, does not matter where the
// encoding says so.
func TestNodesThatAreEncodedAlikeRunOnAlike(t *testing.T) {
	pairs := map[string]int{}
	everyState(t, func(t *testing.T, n *rig, seed uint64) {
		way := n.with(copyOf(n.node))
		way.fedAt = []Time{}
		assail(t, way, seed+1, 300)
		at, fed, now := way.fedAt, way.fed, n.with(copyOf(n.node))
		for i := 0; i+1 < len(fed) && now.node != nil; i++ {
			now.tick(at[i].Since(now.now))
			meet(t, pairs, seed+uint64(i), now, func(x *rig) { x.feed(fed[i], fed[i+1]) }, func(x *rig) { x.feed(fed[i+1], fed[i]) })
			meet(t, pairs, seed+uint64(i), now, func(x *rig) { x.feed(fed[i]) }, func(x *rig) { x.feed(fed[i], fed[i]) })
			meet(t, pairs, seed+uint64(i), now, func(x *rig) { x.feed(fed[i]) }, func(x *rig) { x.tick(time.Second); x.feed(fed[i]) })
			meet(t, pairs, seed+uint64(i), now, func(x *rig) { x.tick(time.Millisecond); x.feed(fed[i]) }, func(x *rig) { x.feed(fed[i]); x.tick(time.Millisecond) })
			now.feed(fed[i])
		}
	})
	for kind, n := range pairs {
		t.Logf("%s: %d pairs of nodes that had come to the same state on two ways", kind, n)
		require.Greater(t, n, 100, kind)
	}
}

// feed steps messages in, as long as the node lives.
func (n *rig) feed(list ...Envelope) {
	for _, e := range list {
		if n.node != nil {
			n.stepRaw(e)
		}
	}
}

// meet has copies of a node go two ways, and on together if they are encoded alike then.
func meet(t *testing.T, pairs map[string]int, seed uint64, n *rig, one, other func(*rig)) {
	x, y := n.with(copyOf(n.node)), n.with(copyOf(n.node))
	one(x)
	if x.node != nil {
		other(y)
	}
	if x.node == nil || y.node == nil || !bytes.Equal(encode(x.node, x.now), encode(y.node, y.now)) {
		return
	}
	pairs[reflect.TypeOf(n.node).String()]++
	alike(t, x, y, seed, 100, "two ways")
}

// The same history at another time of day leads to the same encodings.
func TestTheEncodingKnowsNoTimeOfDay(t *testing.T) {
	origin := rigOrigin
	defer func() { rigOrigin = origin }()
	var all [2]map[uint64][]byte
	for i, shift := range []time.Duration{0, 12_345_678_901} {
		rigOrigin, all[i] = origin.After(shift), map[uint64][]byte{}
		everyState(t, func(t *testing.T, n *rig, seed uint64) { all[i][seed] = encode(n.node, n.now) })
	}
	require.NotEmpty(t, all[0])
	require.Equal(t, all[0], all[1])
}

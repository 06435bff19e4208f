package core

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// state is a node that can be copied and encoded.
type stateful interface {
	Node
	AppendState(b []byte, now Time) []byte
}

func encode(n Node, now Time) []byte { return n.(stateful).AppendState(nil, now) }

// encodeAnything encodes a node that may be in a state that cannot be, with a number that
// says how long something is: it is read, so it shows.
func encodeAnything(n Node, now Time) (b []byte) {
	defer func() {
		if recover() != nil {
			b = nil
		}
	}()
	return encode(n, now)
}

func copyOf(n Node) Node {
	switch n := n.(type) {
	case *Storage:
		return n.Clone()
	case *Manager:
		return n.Clone()
	case *Client:
		return n.Clone()
	}
	panic(fmt.Sprintf("%T cannot be copied", n))
}

// hidden says why a field does not show in the encoding.
type hidden struct {
	how shows
	why string
}

// shows says when a change of a field alone shows in the encoding. A field of which
// nothing is said must always show.
type shows uint8

const (
	// never: it may have any value; nodes that differ in it run on alike.
	never shows = iota
	// sometimes: where it does not show, nodes that differ in it run on alike.
	sometimes
	// follows: it follows from what shows, so it cannot differ alone.
	follows
	// apart: it is not looked at here.
	apart
	// parts: only the elements of the list are looked at.
	parts
)

// writable is a field or an element, exported or not.
func writable(v reflect.Value) reflect.Value {
	return reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem()
}

// changes walks through all that a node consists of, changes one thing after the other,
// and takes each change back.
type changes struct {
	now   Time
	table map[string]hidden
	try   func(field string, isTime bool)    // is called after each change
	used  map[string]bool                    // entries of the table
	times func(field string, set func(Time)) // is given each time, to try several; nil for nobody
}

// walk visits v, which is the value of a field or is in it. Where v is in a map, sync puts
// it back there.
func (c *changes) walk(field string, v reflect.Value, sync func()) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			name := v.Type().Name() + "." + v.Type().Field(i).Name
			h, listed := c.table[name]
			if c.used[name] = true; listed && (h.how == apart || h.how == follows) {
				continue
			}
			if above, ok := c.table[field]; ok && !listed && (above.how == never || above.how == sometimes) {
				name = field // what is said of the whole is said of its parts
			}
			c.walk(name, writable(v.Field(i)), sync)
		}
	case reflect.Pointer:
		was := reflect.ValueOf(v.Interface())
		v.Set(reflect.New(v.Type().Elem()))
		if was.IsNil() {
			sync()
			c.try(field, v.Type() == reflect.TypeFor[Time]())
		} else {
			v.Elem().Set(was.Elem())
			sync()
			c.walk(field, v.Elem(), func() {})
		}
		v.Set(was)
		sync()
	case reflect.Slice:
		if v.Len() == 0 {
			return
		}
		was := reflect.ValueOf(v.Interface())
		v.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		reflect.Copy(v, was)
		sync()
		for i := range v.Len() {
			if i < 4 || i >= v.Len()-4 { // of a long list all are alike
				c.walk(field, v.Index(i), func() {})
			}
		}
		if c.table[field].how != parts {
			v.Set(v.Slice(0, v.Len()-1))
			sync()
			c.try(field, false)
		}
		v.Set(was)
		sync()
	case reflect.Array:
		for i := range v.Len() {
			c.walk(field, writable(v.Index(i)), sync)
		}
	case reflect.Map:
		c.walkMap(field, v, sync)
	case reflect.Interface, reflect.Func, reflect.Chan:
		panic("core: a " + v.Kind().String() + " in a node: " + field)
	default:
		was := reflect.ValueOf(v.Interface())
		for _, other := range c.others(v) {
			v.Set(other)
			sync()
			c.try(field, v.Type() == reflect.TypeFor[Time]())
		}
		if at, is := was.Interface().(Time); is && at != Never && c.times != nil {
			c.times(field, func(t Time) { v.Set(reflect.ValueOf(t)); sync() })
		}
		v.Set(was)
		sync()
	}
}

func (c *changes) walkMap(field string, v reflect.Value, sync func()) {
	was := reflect.ValueOf(v.Interface())
	for _, key := range was.MapKeys() {
		less := reflect.MakeMap(v.Type())
		for it := was.MapRange(); it.Next(); {
			less.SetMapIndex(it.Key(), it.Value())
		}
		v.Set(less)
		sync()
		at := reflect.New(v.Type().Elem()).Elem()
		at.Set(was.MapIndex(key))
		c.walk(field, at, func() { less.SetMapIndex(key, at) })
		less.SetMapIndex(key, reflect.Value{})
		c.try(field, v.Type() == reflect.TypeFor[Time]())
	}
	v.Set(was)
	sync()
}

// others are values that v does not have.
func (c *changes) others(v reflect.Value) (list []reflect.Value) {
	add := func(x any) {
		if o := reflect.ValueOf(x).Convert(v.Type()); !o.Equal(v) {
			list = append(list, o)
		}
	}
	switch x := v.Interface().(type) {
	case Time:
		for _, t := range []Time{Never, longAgo, 0, c.now, c.now.After(-1), c.now.After(-500 * time.Millisecond), c.now.After(-3 * time.Second), c.now.After(-time.Hour / 2), c.now.After(77 * time.Millisecond)} {
			add(t)
		}
		return list
	case time.Duration:
		add(x + 1)
		add(x + 3*time.Second)
		return list
	}
	switch v.Kind() {
	case reflect.Bool:
		add(!v.Bool())
	case reflect.String:
		add(v.String() + "x")
	case reflect.Int, reflect.Int64:
		add(v.Int() + 1)
	case reflect.Uint8:
		add(uint8(v.Uint() + 1))
	default:
		add(v.Uint() + 1)
		add(v.Uint() + 1000)
	}
	return list
}

// fieldsOf are the fields of all structs that a node of that type can consist of, but those
// that are looked at elsewhere.
func fieldsOf(t reflect.Type, table map[string]hidden, list map[string]bool) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		fieldsOf(t.Elem(), table, list)
	case reflect.Struct:
		for i := range t.NumField() {
			name := t.Name() + "." + t.Field(i).Name
			if h, listed := table[name]; list[name] || listed && (h.how == apart || h.how == follows) {
				continue
			}
			is := t.Field(i).Type
			frame := is.Kind() == reflect.Struct || is.Kind() == reflect.Pointer && is.Elem().Kind() == reflect.Struct
			if h, listed := table[name]; listed && (h.how == never || h.how == sometimes) {
				list[name] = true
				continue // what is said of the whole is said of its parts
			}
			list[name] = !frame // of which the fields count
			fieldsOf(is, table, list)
		}
	}
}

// fieldCheck is what was seen of the fields of one kind of node.
type fieldCheck struct {
	table         map[string]hidden
	used          map[string]bool
	shown, unseen map[string]int
	runOn         int
}

func newFieldCheck(table map[string]hidden) *fieldCheck {
	return &fieldCheck{table: table, used: map[string]bool{}, shown: map[string]int{}, unseen: map[string]int{}}
}

// look changes each field of a copy of the node. Where a change does not show, the changed
// node must run on as the node does.
func (f *fieldCheck) look(t *testing.T, n *rig, seed uint64) {
	before := encode(n.node, n.now)
	changed := copyOf(n.node)
	require.Equal(t, before, encode(changed, n.now), "a copy is encoded as its original")
	tried, bound := map[string]int{}, map[string]int{}
	c := &changes{now: n.now, table: f.table, used: f.used}
	c.try = func(field string, isTime bool) {
		h, listed := f.table[field]
		if !bytes.Equal(before, encodeAnything(changed, n.now)) {
			f.shown[field]++
			require.False(t, listed && h.how == never, "%s shows, but is said to be left out", field)
			return
		}
		f.unseen[field]++
		if !listed && !isTime { // all times that are over may be alike
			require.Fail(t, "not in the encoding", "%s has changed and does not show: encode it, or list it with the reason", field)
		}
		if tried[field]++; tried[field] <= 2 {
			f.runOn++
			alike(t, n, n.with(copyOf(changed)), seed+uint64(f.runOn), 300, field)
		}
	}
	c.times = func(field string, set func(Time)) {
		if bound[field]++; bound[field] <= 6 {
			f.bound(t, n, changed, field, set, seed)
		}
	}
	c.walk("", reflect.ValueOf(changed).Elem(), func() {})
	require.Equal(t, before, encode(changed, n.now), "each change was taken back")
}

// ages are how long ago something may have been.
var ages = []time.Duration{
	time.Millisecond, 20 * time.Millisecond, 55 * time.Millisecond, 85 * time.Millisecond, 130 * time.Millisecond, 270 * time.Millisecond,
	600 * time.Millisecond, 1100 * time.Millisecond, 1700 * time.Millisecond, 2500 * time.Millisecond, 3500 * time.Millisecond, 7 * time.Second,
	15 * time.Second, 25 * time.Second, 2 * time.Minute, 15 * time.Minute,
}

// bound finds from where on it does not matter any more how long ago something was, as the
// encoding says, and has nodes run on for which that is just so and more than that.
func (f *fieldCheck) bound(t *testing.T, n *rig, changed Node, field string, set func(Time), seed uint64) {
	var last Node
	var lastBytes []byte
	for _, age := range ages {
		set(n.now.After(-age))
		b := encodeAnything(changed, n.now)
		if b != nil && bytes.Equal(b, lastBytes) {
			f.runOn++
			alike(t, n.with(last), n.with(copyOf(changed)), seed+uint64(f.runOn), 300, field)
			return
		}
		if lastBytes = b; b != nil {
			last = copyOf(changed)
		}
	}
}

// finish holds what was seen against all fields that there are.
func (f *fieldCheck) finish(t *testing.T, node reflect.Type) {
	fields := map[string]bool{}
	fieldsOf(node, f.table, fields)
	for name, h := range f.table {
		assert.True(t, f.used[name], "%s is listed, and was never come by", name)
		assert.True(t, h.how == apart || h.how == follows || h.how == parts || f.unseen[name] > 0, "%s is listed, and always shows", name)
		assert.True(t, h.how != sometimes || f.shown[name] > 0, "%s is said to show sometimes, and never does", name)
		assert.NotEmpty(t, h.why)
		fields[name] = false
	}
	for name, open := range fields {
		assert.True(t, !open || f.shown[name] > 0, "%s never showed: reach a state in which it does, encode it, or list it with the reason", name)
	}
}

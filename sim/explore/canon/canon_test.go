package canon

import (
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
)

// thing has a field of each kind that is encoded.
type thing struct {
	flag    bool
	small   int8
	count   uint64
	span    time.Duration
	at      core.Time
	name    string
	data    []byte
	list    []int
	pair    [2]uint16
	set     map[string]int
	next    *thing
	any     any
	logger  func()
	scratch scratch
}

type scratch struct{ n int }

func (t *thing) clone() *thing {
	n := *t
	n.data, n.list, n.set = append([]byte(nil), t.data...), append([]int(nil), t.list...), map[string]int{}
	for k, v := range t.set {
		n.set[k] = v
	}
	return &n
}

const now = core.Time(time.Hour)

func example() *thing {
	return &thing{flag: true, small: -3, count: 7, span: 9, at: now, name: "x", data: []byte("d"), list: []int{1, 2}, pair: [2]uint16{3, 4}, set: map[string]int{"a": 1, "b": 2}, next: &thing{}, any: 5}
}

var leftOut = map[string]string{"canon.thing.logger": "it is told, and never asked", "canon.scratch": "memory that is used again", "canon.thing.gone": "there is no such field"}

func TestEachFieldShows(t *testing.T) {
	e := New(leftOut)
	was := e.Append(nil, example(), now)
	require.Equal(t, was, e.Append(nil, example().clone(), now), "maps have no order")
	shown := map[string]bool{}
	for field, change := range map[string]func(x *thing){
		"flag": func(x *thing) { x.flag = false }, "small": func(x *thing) { x.small = 3 }, "count": func(x *thing) { x.count = 1 << 63 },
		"span": func(x *thing) { x.span++ }, "at": func(x *thing) { x.at++ }, "name": func(x *thing) { x.name += "y" },
		"data": func(x *thing) { x.data[0]++ }, "list": func(x *thing) { x.list = x.list[:1] }, "pair": func(x *thing) { x.pair[1]++ },
		"set": func(x *thing) { x.set["a"] = 2 }, "next": func(x *thing) { x.next.next = &thing{} }, "any": func(x *thing) { x.any = uint(5) },
	} {
		x := example()
		x.next = x.next.clone()
		change(x)
		require.NotEqual(t, was, e.Append(nil, x, now), field)
		shown[field] = true
	}
	for i := range reflect.TypeFor[thing]().NumField() {
		name := reflect.TypeFor[thing]().Field(i).Name
		require.True(t, shown[name] != (name == "logger" || name == "scratch"), name)
	}
}

func TestWhatIsLeftOutDoesNotShow(t *testing.T) {
	e, x := New(leftOut), example()
	was := e.Append(nil, x, now)
	x.logger, x.scratch.n = func() {}, 1
	require.Equal(t, was, e.Append(nil, x, now))
	require.Equal(t, []string{"canon.thing.gone"}, e.Unused(), "a name of nothing is a mistake")
}

func TestTimesAreRelative(t *testing.T) {
	e, x, y := New(leftOut), example(), example()
	y.at = x.at.After(time.Second)
	require.Equal(t, e.Append(nil, x, now), e.Append(nil, y, now.After(time.Second)))
	for _, at := range []core.Time{0, -5, core.Never} { // these are at no distance
		x.at, y.at = at, at
		require.Equal(t, e.Append(nil, x, now), e.Append(nil, y, now.After(time.Second)))
		y.at = now
		require.NotEqual(t, e.Append(nil, x, now), e.Append(nil, y, now))
	}
}

func TestWhatHasNoEncodingIsRefused(t *testing.T) {
	require.PanicsWithValue(t, "canon: a func() has no encoding", func() { New(nil).Append(nil, example(), now) })
	x := example()
	x.next = x
	require.Panics(t, func() { New(leftOut).Append(nil, x, now) })
}

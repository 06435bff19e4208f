package canon

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"gtstore/core"
)

// An Encoder encodes values. It works out how to once for each type, and may be used by several
// goroutines.
type Encoder struct {
	leftOut map[string]string
	used    sync.Map // names of leftOut
	plans   sync.Map // by reflect.Type
}

// New returns an Encoder. Left out are fields by their names, such as raft.Config.Logger, or all
// fields of a type by its name, each with the reason why it makes no difference.
func New(leftOut map[string]string) *Encoder { return &Encoder{leftOut: leftOut} }

// Unused returns the names that were left out of nothing so far.
func (e *Encoder) Unused() (list []string) {
	for name := range e.leftOut {
		if _, ok := e.used.Load(name); !ok {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

// Append appends the encoding of a value to b. Times are relative to now, but for those that are
// not above 0, or Never. It panics at what has no encoding, such as a function, and at what
// refers to itself.
func (e *Encoder) Append(b []byte, v any, now core.Time) []byte {
	c := &coder{b: b, now: now}
	rv := reflect.ValueOf(v)
	e.plan(rv.Type())(c, rv)
	return c.b
}

type coder struct {
	b     []byte
	now   core.Time
	depth int
}

func (c *coder) num(n uint64) {
	if n < 0x80 {
		c.b = append(c.b, byte(n))
		return
	}
	c.b = binary.AppendUvarint(c.b, n)
}

func (c *coder) signed(n int64) { c.num(uint64(n)<<1 ^ uint64(n>>63)) }

// time: a time of 0 is none, and one below, like Never, has no distance that counts.
func (c *coder) time(t core.Time) {
	if t <= 0 || t == core.Never {
		c.b = append(c.b, 'a')
		c.signed(int64(t))
		return
	}
	c.b = append(c.b, 'r')
	c.signed(int64(t.Since(c.now)))
}

// plan says how values of a type are encoded.
type plan func(c *coder, v reflect.Value)

// depthMost is deeper than anything that does not refer to itself.
const depthMost = 100

func (e *Encoder) plan(t reflect.Type) plan {
	if p, ok := e.plans.Load(t); ok {
		return p.(plan)
	}
	// A type may be a part of itself, so while its plan is made another one stands for it.
	var made atomic.Value
	e.plans.LoadOrStore(t, plan(func(c *coder, v reflect.Value) {
		p := made.Load()
		if p == nil { // another goroutine is making it
			p = e.make(t)
		}
		p.(plan)(c, v)
	}))
	p := e.make(t)
	made.Store(p)
	e.plans.Store(t, p)
	return p
}

func (e *Encoder) make(t reflect.Type) plan {
	if t == reflect.TypeFor[core.Time]() {
		return func(c *coder, v reflect.Value) { c.time(core.Time(v.Int())) }
	}
	switch t.Kind() {
	case reflect.Bool:
		return func(c *coder, v reflect.Value) {
			n := byte(0)
			if v.Bool() {
				n = 1
			}
			c.b = append(c.b, n)
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return func(c *coder, v reflect.Value) { c.signed(v.Int()) }
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return func(c *coder, v reflect.Value) { c.num(v.Uint()) }
	case reflect.String:
		return func(c *coder, v reflect.Value) {
			s := v.String()
			c.num(uint64(len(s)))
			c.b = append(c.b, s...)
		}
	case reflect.Struct:
		return e.makeStruct(t)
	case reflect.Pointer:
		elem := e.plan(t.Elem())
		return func(c *coder, v reflect.Value) {
			if v.IsNil() {
				c.b = append(c.b, 0)
				return
			}
			c.b = append(c.b, 1)
			c.into(t, func() { elem(c, v.Elem()) })
		}
	case reflect.Interface:
		return func(c *coder, v reflect.Value) {
			if v.IsNil() {
				c.b = append(c.b, 0)
				return
			}
			name := v.Elem().Type().String()
			c.num(uint64(len(name)))
			c.b = append(c.b, name...)
			c.into(t, func() { e.plan(v.Elem().Type())(c, v.Elem()) })
		}
	case reflect.Slice, reflect.Array:
		return e.makeList(t)
	case reflect.Map:
		return e.makeMap(t)
	}
	return func(*coder, reflect.Value) { panic(fmt.Sprintf("canon: a %v has no encoding", t)) }
}

func (c *coder) into(t reflect.Type, do func()) {
	if c.depth++; c.depth > depthMost {
		panic(fmt.Sprintf("canon: a %v refers to itself", t))
	}
	do()
	c.depth--
}

func (e *Encoder) makeStruct(t reflect.Type) plan {
	type field struct {
		index int
		do    plan
	}
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		if !e.leavesOut(t.String()+"."+f.Name) && !e.leavesOut(f.Type.String()) {
			fields = append(fields, field{i, e.plan(f.Type)})
		}
	}
	return func(c *coder, v reflect.Value) {
		for _, f := range fields {
			f.do(c, v.Field(f.index))
		}
	}
}

func (e *Encoder) leavesOut(name string) bool {
	_, ok := e.leftOut[name]
	if ok {
		e.used.Store(name, true)
	}
	return ok
}

func (e *Encoder) makeList(t reflect.Type) plan {
	if t.Elem().Kind() == reflect.Uint8 && t.Kind() == reflect.Slice {
		return func(c *coder, v reflect.Value) {
			c.num(uint64(v.Len()))
			c.b = append(c.b, v.Bytes()...)
		}
	}
	elem := e.plan(t.Elem())
	return func(c *coder, v reflect.Value) {
		n := v.Len()
		c.num(uint64(n))
		for i := range n {
			elem(c, v.Index(i))
		}
	}
}

// makeMap: the entries stand in the order of their encodings.
func (e *Encoder) makeMap(t reflect.Type) plan {
	key, elem := e.plan(t.Key()), e.plan(t.Elem())
	return func(c *coder, v reflect.Value) {
		c.num(uint64(v.Len()))
		if v.Len() == 0 {
			return
		}
		var list []string
		b := c.b
		for it := v.MapRange(); it.Next(); {
			c.b = nil
			key(c, it.Key())
			elem(c, it.Value())
			list = append(list, string(c.b))
		}
		slices.Sort(list)
		c.b = append(b, strings.Join(list, "")...)
	}
}

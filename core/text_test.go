package core

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
)

// The scenarios in testdata pin all that a node says and does, line by line:
//
//	storage n1 [durable]     starts a node, as manager, client: see scene.start
//	held                     from now on a sync ends only when sync says so
//	step                     takes in the messages of its lines: FROM KIND FIELD=VALUE...
//	tick 50ms                lets time pass
//	sync                     all that was written is durable
//	crash, restart
//
// What follows is what left the node, what it made durable and what happened, in that
// order. go test ./core -run Text -rewrite writes it anew: read the difference.
func TestText(t *testing.T) {
	datadriven.Walk(t, "testdata/text", func(t *testing.T, path string) {
		var s scene
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return s.do(t, d) })
	})
}

// scene is one node under test.
type scene struct{ *rig }

func (s *scene) do(t *testing.T, d *datadriven.TestData) string {
	switch d.Cmd {
	case "storage", "manager", "client":
		s.start(t, d)
		return s.shown()
	}
	s.t = t
	switch d.Cmd {
	case "held":
		s.held = true
	case "step":
		for _, line := range strings.Split(strings.TrimSpace(d.Input), "\n") {
			s.take(line)
		}
	case "tick":
		length, err := time.ParseDuration(d.CmdArgs[0].Key)
		require.NoError(t, err)
		s.tick(length)
	case "sync":
		s.sync()
	case "crash":
		s.crash(0)
	case "restart":
		s.restart()
	default:
		t.Fatalf("%s: there is no command %q", d.Pos, d.Cmd)
	}
	return s.shown()
}

func (s *scene) start(t *testing.T, d *datadriven.TestData) {
	name, durably := d.CmdArgs[0].Key, d.HasArg("durable")
	switch d.Cmd {
	case "storage":
		s.rig = newStorageAt(t, name, func(o *StorageOptions) { o.Durable = durably })
	case "manager":
		replicas := 2
		d.MaybeScanArgs(t, "replicas", &replicas)
		s.rig = newManagerAt(t, func(o *ManagerOptions) { o.Durable, o.Replicas = durably, replicas })
	case "client":
		s.rig = newClientAt(t, name)
	}
}

// take steps the message of a line: FROM KIND FIELD=VALUE... From "self" it is one of the
// driver's, and "user" is a client's caller.
func (s *scene) take(line string) {
	s.t.Helper()
	from, rest, _ := strings.Cut(line, " ")
	kind, rest, _ := strings.Cut(rest, " ")
	e := Envelope{Cluster: rigCluster, To: s.self, Body: messageOf(s.t, kind)}
	switch from {
	case "user":
	case "self":
		e.From = s.self
	default:
		e.From = peerOf(from)
	}
	(&textParser{s.t, rest}).fields(reflect.ValueOf(e.Body).Elem(), "")
	s.stepRaw(e)
}

func messageOf(t *testing.T, name string) Message {
	for k := Kind(1); k < kindEnd; k++ {
		if k.String() == name {
			return kinds[k].make()
		}
	}
	t.Fatalf("there is no message %q", name)
	return nil
}

// shown is what happened since it was last looked at.
func (s *scene) shown() string {
	var b strings.Builder
	for _, e := range s.mail {
		to := e.To.Addr
		if to == "" {
			to = "user"
		}
		fmt.Fprintf(&b, "-> %s %v%s\n", to, KindOf(e.Body), textOf(reflect.ValueOf(e.Body).Elem()))
	}
	for i := range s.gate.Pending() {
		writes, _ := s.gate.Batch(i)
		for _, w := range writes {
			verb := "set"
			if w.Delete {
				verb = "delete"
			}
			fmt.Fprintf(&b, "not durable: %s %s", verb, keyText(w.Key))
			if w.End != "" {
				fmt.Fprintf(&b, " and on, before %s", keyText(w.End))
			}
			b.WriteByte('\n')
		}
	}
	for _, e := range s.past {
		fmt.Fprintf(&b, "event%s\n", textOf(reflect.ValueOf(e)))
	}
	if s.halted != nil {
		fmt.Fprintf(&b, "halted: %v\n", s.halted)
	}
	s.mail, s.past = nil, nil
	if b.Len() == 0 {
		return "ok\n"
	}
	return b.String()
}

// keyText shows a key of the durable space, whose numbers are not printable.
func keyText(key string) string {
	prefix, rest, ok := strings.Cut(key, "/")
	for n := uint64(0); ok; rest = rest[1+rest[0]:] {
		if n, ok = number(rest); !ok {
			break
		}
		prefix += "/" + strconv.FormatUint(n, 10)
	}
	if rest != "" {
		prefix += "/" + rest
	}
	return prefix
}

// textOf shows the fields of a struct that are not zero, each as FIELD=VALUE after a
// space. Peers and nodes go by their names, positions as SEQ@EPOCH.
func textOf(v reflect.Value) string {
	var b strings.Builder
	for i := range v.NumField() {
		if f := v.Field(i); !f.IsZero() {
			fmt.Fprintf(&b, " %s=%s", v.Type().Field(i).Name, valueText(f))
		}
	}
	return b.String()
}

func valueText(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case Peer:
		return x.Addr
	case NodeID:
		return nodeText(x)
	case EntryID:
		return fmt.Sprintf("%d@%d", x.Seq, x.Epoch)
	case fmt.Stringer:
		return x.String()
	}
	switch v.Kind() {
	case reflect.Pointer:
		return valueText(v.Elem())
	case reflect.Struct:
		return "{" + strings.TrimSpace(textOf(v)) + "}"
	case reflect.Slice:
		var list []string
		for i := range v.Len() {
			list = append(list, valueText(v.Index(i)))
		}
		return "[" + strings.Join(list, " ") + "]"
	}
	return fmt.Sprint(v.Interface())
}

func nodeText(id NodeID) string {
	switch {
	case id == 0x200:
		return "m"
	case id > 0x100:
		return fmt.Sprintf("c%d", id-0x100)
	}
	return fmt.Sprintf("n%d", id)
}

// textParser reads what textOf writes.
type textParser struct {
	t    *testing.T
	rest string
}

// fields reads FIELD=VALUE until the end, which is a closing bracket or that of the line.
func (p *textParser) fields(v reflect.Value, end string) {
	p.t.Helper()
	for {
		p.rest = strings.TrimLeft(p.rest, " ")
		if end != "" && strings.HasPrefix(p.rest, end) {
			p.rest = p.rest[len(end):]
			return
		}
		if p.rest == "" {
			require.Empty(p.t, end, "a bracket is not closed")
			return
		}
		name, rest, ok := strings.Cut(p.rest, "=")
		field := v.FieldByName(name)
		require.True(p.t, ok && field.IsValid(), "%v has no field %q", v.Type(), name)
		p.rest = rest
		p.value(field)
	}
}

func (p *textParser) value(v reflect.Value) {
	p.t.Helper()
	switch {
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		p.value(v.Elem())
		return
	case strings.HasPrefix(p.rest, "{"):
		p.rest = p.rest[1:]
		p.fields(v, "}")
		return
	case strings.HasPrefix(p.rest, "["):
		for p.rest = p.rest[1:]; !strings.HasPrefix(p.rest, "]"); p.rest = strings.TrimLeft(p.rest, " ") {
			v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
			p.value(v.Index(v.Len() - 1))
		}
		p.rest = p.rest[1:]
		return
	}
	end := strings.IndexAny(p.rest, " }]")
	if end < 0 {
		end = len(p.rest)
	}
	word := p.rest[:end]
	p.rest = p.rest[end:]
	p.word(v, word)
}

func (p *textParser) word(v reflect.Value, word string) {
	p.t.Helper()
	switch v.Interface().(type) {
	case Peer:
		v.Set(reflect.ValueOf(peerOf(word)))
		return
	case NodeID:
		v.Set(reflect.ValueOf(peerOf(word).ID))
		return
	case EntryID:
		m := EntryID{}
		_, err := fmt.Sscanf(word, "%d@%d", &m.Seq, &m.Epoch)
		require.NoError(p.t, err, word)
		v.Set(reflect.ValueOf(m))
		return
	case time.Duration:
		d, err := time.ParseDuration(word)
		require.NoError(p.t, err)
		v.SetInt(int64(d))
		return
	case Placement:
		placement, err := ParsePlacement(word)
		require.NoError(p.t, err)
		v.Set(reflect.ValueOf(placement))
		return
	case fmt.Stringer: // one of an enumeration
		for n := range uint64(64) {
			if v.SetUint(n); fmt.Sprint(v.Interface()) == word {
				return
			}
		}
		p.t.Fatalf("%v has no %q", v.Type(), word)
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(word)
	case reflect.Bool:
		v.SetBool(word == "true")
	default:
		n, err := strconv.ParseUint(word, 0, 64)
		require.NoError(p.t, err)
		v.SetUint(n)
	}
}

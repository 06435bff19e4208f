package transport

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/core/wire"
)

func entriesOf(values ...string) *core.Replicate {
	r := &core.Replicate{Group: 1, Epoch: 1}
	for _, v := range values {
		r.Entries = append(r.Entries, core.Entry{Epoch: 1, Kind: core.OpPut, Key: "k", Value: v})
	}
	return r
}

func putOf(value string) *core.Op {
	return &core.Op{Group: 1, Kind: core.OpPut, Key: "k", Value: value}
}

// Memory of a frame that became part of a value is used for nothing else: what came first
// is the same when all the others have come.
func TestValuesStayWhatTheyAreWhateverComesAfter(t *testing.T) {
	e := newEnd(t, 1, listen(t, "127.0.0.1:0"))
	sender := newEnd(t, 2, nil)
	fill := byte('a')
	value := func(size int) string {
		fill = 'a' + (fill-'a'+1)%26
		return strings.Repeat(string(fill), size)
	}
	var sent, got []core.Message
	for range 4 {
		for _, m := range []core.Message{
			putOf(value(100)), putOf(value(1 << 20)), putOf(value(1<<20 - 1)), putOf(value(64 << 10)), putOf(value(keepBytesMax)), putOf(value(5 * keepBytesMax)),
			entriesOf(value(1 << 20)), entriesOf(value(64<<10), value(64<<10), value(64<<10)), entriesOf(value(20<<10), value(100)),
			entriesOf(value(500<<10), value(500<<10)), putOf(value(1 << 20)), putOf(value(wire.AsideBytesMin)), putOf(value(wire.AsideBytesMin - 1)),
		} {
			sender.Send([]core.Envelope{{From: core.Peer{ID: 2}, To: core.Peer{ID: 1, Addr: e.addr}, Body: m}})
			got = append(got, e.received(1)[0].Body)
			sent = append(sent, m)
		}
	}
	for i := range sent {
		require.True(t, sameValues(sent[i], got[i]), "message %d", i)
	}
}

func sameValues(a, b core.Message) bool {
	return slices.Equal(slices.Collect(valuesOf(a)), slices.Collect(valuesOf(b)))
}

// Whoever keeps a small value keeps that, and not the frame in which it came.
func TestASmallValueKeepsNoFrame(t *testing.T) {
	const frames = 8
	large := strings.Repeat("l", core.ValueBytesMax-100) // all of a batch has a limit
	half := large[:len(large)/2]
	for name, list := range map[string][]core.Message{
		"beside a large one":     {entriesOf("small", large)},
		"beside halves":          {entriesOf("small", half, half)},
		"in a message of itself": {putOf(large[:wire.AsideBytesMin]), putOf(large)},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnd(t, 1, listen(t, "127.0.0.1:0"))
			c := dialRaw(t, e.addr, true)
			var frame []core.Envelope
			for _, m := range list {
				frame = append(frame, envelopeOf(core.Peer{ID: 5}, m))
			}
			var kept []string
			exchange := func() {
				_, err := c.Write(append(deliverOf(envelopeOf(core.Peer{ID: 5}, putOf(large))), deliverOf(frame...)...))
				require.NoError(t, err)
				for v := range valuesOf(e.received(1 + len(frame))[1].Body) {
					kept = append(kept, v)
					break
				}
			}
			exchange() // what is made once is made
			before := inUse()
			for range frames {
				exchange()
			}
			e.eventually(func() bool { return inUse()-before < frames*len(large)/4 }, "less than a quarter is left of what each had")
			require.Len(t, kept, 1+frames)
		})
	}
}

// pairOf returns the two ends of a connection.
func pairOf(t *testing.T) (dialled, accepted net.Conn) {
	t.Helper()
	l := listen(t, "127.0.0.1:0")
	defer l.Close()
	dialled, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { dialled.Close() })
	accepted, err = l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { accepted.Close() })
	return dialled, accepted
}

// Nobody has memory taken by the head of a frame, whatever came before.
func TestAFrameTakesNoMoreMemoryThanFiveTimesWhatHasCome(t *testing.T) {
	for _, mostly := range []bool{false, true} {
		for _, came := range []int{100, 20 << 10, keepBytesMax + 1, 200 << 10, 4*keepBytesMax + 1} {
			t.Run(fmt.Sprintf("mostly one value %v, %d bytes", mostly, came), func(t *testing.T) {
				near, far := pairOf(t)
				s := newStream(near, patience)
				if mostly {
					s.single = largeBytes
				}
				done := make(chan error)
				go func() {
					_, err := s.readFrame()
					done <- err
				}()
				_, err := far.Write(append(binary.LittleEndian.AppendUint32(nil, largeBytes), make([]byte, came)...))
				require.NoError(t, err)
				far.Close()
				require.ErrorIs(t, <-done, io.ErrUnexpectedEOF)
				require.LessOrEqual(t, cap(s.in.b), max(keepBytesMax, 5*came))
			})
		}
	}
}

// What a write leaves over is what is written next, wherever it was cut.
func TestABufferIsWrittenInAnyParts(t *testing.T) {
	frames := func() *buffer {
		b := new(buffer)
		for _, a := range []string{"", "first", "second", "", "third"} {
			b.b = append(b.b, "head"...)
			if a != "" {
				b.LeaveAside(len(b.b), a, 0)
			}
		}
		b.LeaveAside(len(b.b), "last", 0)
		return b
	}
	const all = "headheadfirstheadsecondheadheadthirdlast"
	for first := range len(all) + 1 {
		for second := range len(all) - first + 1 {
			b := frames()
			b.drop(first)
			b.drop(second)
			m := b.begin()
			b.b = append(b.b, "new"...)
			b.LeaveAside(len(b.b), "est", 0)
			b.end(m)
			want := all[first+second:] + "\x06\x00\x00\x00newest"
			require.Equal(t, want, string(bytes.Join(b.pieces(nil), nil)), "%d and %d bytes", first, second)
			require.Equal(t, len(want), b.size())
		}
	}
}

// Not every connection is one of the system's, and not every write has few parts.
func TestAllOfABufferIsWritten(t *testing.T) {
	dialled, accepted := pairOf(t)
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	for name, ends := range map[string][2]net.Conn{"tcp": {dialled, accepted}, "pipe": {near, far}} {
		for _, parts := range []int{0, 1, 100} {
			t.Run(fmt.Sprint(name, " ", parts), func(t *testing.T) {
				b := new(buffer)
				var want strings.Builder
				for i := range parts {
					b.b = append(b.b, fmt.Sprint(i)...)
					b.LeaveAside(len(b.b), strings.Repeat("v", 60<<10), 0)
					want.WriteString(fmt.Sprint(i) + strings.Repeat("v", 60<<10))
				}
				b.b = append(b.b, "end"...)
				want.WriteString("end")
				s := newStream(ends[0], patience)
				before := s.writer.written.Load()
				done := make(chan error)
				go func() { done <- s.writeFrames(b) }()
				got := make([]byte, want.Len())
				_, err := io.ReadFull(ends[1], got)
				require.NoError(t, err)
				require.NoError(t, <-done)
				require.True(t, want.String() == string(got))
				require.EqualValues(t, want.Len(), s.writer.written.Load()-before)
			})
		}
	}
}

// Memory of its own is for a frame that is likely to become a value.
func TestWhatAFrameWasIsExpectedOfThoseOfItsSize(t *testing.T) {
	s := new(stream)
	for i, step := range []struct {
		n      int
		single bool
		likely bool // before it is learnt
	}{
		{100, true, false}, // nothing is known
		{100, true, true},
		{200, false, false}, // two of them
		{100, true, true},
		{30, true, true}, // less can be one as well
		{100, true, false},
		{60, false, true},
		{100, true, false},
	} {
		require.Equal(t, step.likely, s.likelySingle(step.n), "step %d", i)
		s.learn(step.n, step.single)
	}
}

// A buffer that waits for its next use is charged to nobody.
func TestAFreeBufferKeepsNoValue(t *testing.T) {
	b := new(buffer).grow(batchBytes)
	b.LeaveAside(0, "value", 0)
	b.free()
	require.Zero(t, b.size())
	require.Equal(t, make([]aside, cap(b.aside)), b.aside[:cap(b.aside)])
}

package transport

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"gtstore/core"
)

// preface is what both ends of a connection send first. Its last byte is the
// version of the frames and of the methods that follow.
const preface = "GTStore\x03"

// Bounds of what a connection carries.
const (
	batchBytesMax = 256 << 10 // an outgoing batch is closed when it holds this much
	batchCountMax = 512       // or so many envelopes
	frameBytesMax = core.FrameBytesMax + 1<<20

	// decodedBytesMax bounds the memory that the envelopes of a batch take: that of a
	// batch that is closed as late as possible, by the largest envelope. Small elements
	// take many times the bytes that they have on the wire: up to decodedFactor.
	decodedBytesMax = batchBytesMax + core.ValueBytesMax + 1<<20
	decodedFactor   = 16

	frameHeadBytes = 4
	readBytes      = 16 << 10 // of the reader's buffer
	peekBytesMax   = readBytes - frameHeadBytes
	writeBytes     = 64 << 10 // at a time, so that the progress of a large frame shows
	keepBytesMax   = 64 << 10 // a larger buffer is not used again
)

var errFrameTooLong = fmt.Errorf("transport: a frame of more than %d bytes", frameBytesMax)

// stream is a connection as a sequence of frames: four bytes of length, then
// that many bytes. One goroutine reads and one writes.
type stream struct {
	net.Conn
	r            *bufio.Reader
	skip         int           // bytes of the reader's buffer that the last frame took
	in           *buffer       // that holds the last frame, if the reader's does not
	owner        *conn         // whose memory the frames take; nil on a connection of ours
	frameTimeout time.Duration // for the rest of a frame that has begun, in either direction

	got, written atomic.Uint64 // bytes, of frames

	now rawWriter // writes what needs no waiting
}

// Read implements io.Reader.
func (s *stream) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	s.got.Add(uint64(n))
	return n, err
}

// handshake sends and expects the preface, within the time-out.
func handshake(c net.Conn, timeout, frameTimeout time.Duration) (*stream, error) {
	if err := c.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(c, preface); err != nil {
		return nil, err
	}
	var got [len(preface)]byte
	if _, err := io.ReadFull(c, got[:]); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, errors.New("it closed the connection without the preface of GTStore: is it a GTStore port?")
		}
		return nil, err
	}
	const name = len(preface) - 1
	switch {
	case string(got[:name]) != preface[:name]:
		return nil, fmt.Errorf("it does not speak GTStore: it began with %q", got[:])
	case got[name] != preface[name]:
		return nil, fmt.Errorf("it speaks version %d of the protocol, and this program version %d", got[name], preface[name])
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	return newStream(c, frameTimeout), nil
}

func newStream(c net.Conn, frameTimeout time.Duration) *stream {
	s := &stream{Conn: c, frameTimeout: frameTimeout}
	s.now.init(c)
	s.r = bufio.NewReaderSize(s, readBytes)
	return s
}

// readFrame returns the next frame; it is good until the next call, or freeFrame. A frame may
// be waited for without end, but once begun it must be complete in time. It takes
// no more memory than five times what has come of it, or a buffer that is there anyway.
func (s *stream) readFrame() ([]byte, error) {
	if err := s.skipFrame(); err != nil {
		return nil, err
	}
	if _, err := s.r.Peek(1); err != nil {
		return nil, err
	}
	whole := s.whole()
	if !whole {
		if err := s.begin(); err != nil {
			return nil, err
		}
	}
	head, err := s.r.Peek(frameHeadBytes)
	if err != nil {
		return nil, err
	}
	n := int(binary.LittleEndian.Uint32(head))
	if n > frameBytesMax {
		return nil, errFrameTooLong
	}
	if s.owner != nil {
		if n > peekBytesMax { // nobody has memory reserved by a few bytes
			if _, err := s.r.Peek(readBytes); err != nil {
				return nil, err
			}
		}
		if !s.owner.admit(n) {
			return nil, net.ErrClosed
		}
		if !whole { // the time that there was no room is not the peer's
			if err := s.begin(); err != nil {
				return nil, err
			}
		}
	}
	b, err := s.readBody(n)
	if err == nil && !whole {
		err = s.completed()
	}
	return b, err
}

// skipFrame leaves the last frame behind.
func (s *stream) skipFrame() error {
	_, err := s.r.Discard(s.skip)
	s.skip = 0
	s.freeFrame()
	return err
}

// freeFrame gives back the memory of the last frame, if that is not the reader's own.
func (s *stream) freeFrame() {
	s.in.free()
	s.in = nil
}

// whole tells whether a whole frame has been read into the buffer.
func (s *stream) whole() bool {
	have := s.r.Buffered()
	if have < frameHeadBytes {
		return false
	}
	head, _ := s.r.Peek(frameHeadBytes)
	return have-frameHeadBytes >= int(binary.LittleEndian.Uint32(head))
}

// begin sets the time by which a frame must be complete, completed takes it back.
func (s *stream) begin() error {
	if s.owner != nil {
		s.owner.frameAt.Store(s.owner.clock())
	}
	return s.SetReadDeadline(time.Now().Add(s.frameTimeout))
}

func (s *stream) completed() error {
	if s.owner != nil {
		s.owner.frameAt.Store(0)
	}
	return s.SetReadDeadline(time.Time{})
}

// readBody reads the n bytes after the head. A small frame stays where it is.
func (s *stream) readBody(n int) ([]byte, error) {
	if n <= peekBytesMax {
		b, err := s.r.Peek(frameHeadBytes + n)
		if err != nil {
			return nil, err
		}
		s.skip = len(b)
		return b[frameHeadBytes:], nil
	}
	if _, err := s.r.Discard(frameHeadBytes); err != nil {
		return nil, err
	}
	s.in = newBuffer()
	b := s.in.b
	for first := true; len(b) < n; first = false {
		have := len(b)
		next := min(n, max(keepBytesMax, 4*have))
		if next > cap(b) {
			s.in = growBuffer(s.in, next)
			b = s.in.b
		}
		b = b[:next]
		s.in.b = b
		if _, err := io.ReadFull(s.r, b[have:]); err != nil {
			return nil, err
		}
		if first && s.owner != nil && !s.owner.pace() {
			return nil, net.ErrClosed
		}
	}
	return b, nil
}

// buffer is memory that connections use in turn, so that one that is idle has none.
type buffer struct{ b []byte }

var buffers = sync.Pool{New: func() any { return &buffer{make([]byte, 0, 4<<10)} }}

func newBuffer() *buffer { return buffers.Get().(*buffer) }

// largeBuffers keeps a few buffers for the largest frames that are usual, as many as are
// read at a time. Without them a flood of such frames would have the collector of garbage
// at work all the time. They are few, so nobody is charged for them while they are unused.
var largeBuffers = make(chan *buffer, largeBuffersMax)

const (
	largeBuffersMax = 2
	largeBytes      = batchBytesMax + core.ValueBytesMax + 64<<10
)

// growBuffer returns a buffer with the contents of b and room for n bytes in all. It gives
// back b.
func growBuffer(b *buffer, n int) *buffer {
	var next *buffer
	if n <= largeBytes {
		select {
		case next = <-largeBuffers:
		default:
		}
	}
	if next == nil {
		if n > keepBytesMax*4 && n <= largeBytes {
			n = largeBytes // so that it can be used again
		}
		next = &buffer{make([]byte, 0, n)}
	}
	next.b = append(next.b[:0], b.b...)
	b.free()
	return next
}

// free gives back a buffer, unless it is nil, or large and there are enough of those.
func (b *buffer) free() {
	switch {
	case b == nil:
	case cap(b.b) <= keepBytesMax:
		b.b = b.b[:0]
		buffers.Put(b)
	case cap(b.b) == largeBytes:
		select {
		case largeBuffers <- b:
		default:
		}
	}
}

// writeFrames writes what beginFrame and endFrame have put together. After an
// error the connection is closed: nobody knows how much of it has left.
func (s *stream) writeFrames(b []byte) error {
	err := s.SetWriteDeadline(time.Now().Add(s.frameTimeout))
	for len(b) > 0 && err == nil {
		var n int
		n, err = s.Write(b[:min(len(b), writeBytes)])
		s.written.Add(uint64(n))
		b = b[n:]
	}
	if err == nil {
		err = s.SetWriteDeadline(time.Time{}) // or writeNow would find that it has passed
	}
	if err != nil {
		s.Close()
	}
	return err
}

// writeNow writes as much as needs no waiting, and returns how much. After an error the
// connection is closed.
func (s *stream) writeNow(b []byte) int {
	n, err := s.now.write(b)
	if err != nil {
		s.Close()
	}
	s.written.Add(uint64(n))
	return n
}

// beginFrame leaves room for the length of a frame, which endFrame fills in.
func beginFrame(b []byte) (buf []byte, start int) {
	return append(b, 0, 0, 0, 0), len(b)
}

func endFrame(b []byte, start int) []byte {
	binary.LittleEndian.PutUint32(b[start:], uint32(len(b)-start-frameHeadBytes))
	return b
}

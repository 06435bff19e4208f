package transport

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"gtstore/core"
	"gtstore/netrpc/internal/identity"
)

// preface is what both ends of a connection send first. Its last byte is the
// version of the frames and of the methods that follow.
const preface = "GTStore\x07"

// alertOfTLS is how a peer begins that expected TLS and got the preface.
const alertOfTLS = "\x15\x03"

var errWantsTLS = errors.New("it wants TLS: give this process --tls-cert, --tls-key and --tls-ca")

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

	got     atomic.Uint64 // bytes, of frames
	writer  writer
	carrier *carrier       // the connection under TLS; nil without
	peer    *identity.Peer // who is at the other end, with TLS
	single  int            // bytes of the last frame that was mostly one value; 0 when one of about that size was not
}

// Read implements io.Reader.
func (s *stream) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if s.carrier != nil { // it counts what comes, also of a record that is not complete
		s.pay()
	} else {
		s.got.Add(uint64(n))
	}
	return n, err
}

// greet sends and expects the preface.
func greet(c net.Conn, o *Options) (*stream, error) {
	if _, err := io.WriteString(c, preface); err != nil {
		return nil, err
	}
	var got [len(preface)]byte
	if _, err := io.ReadFull(c, got[:]); err != nil {
		if strings.HasPrefix(string(got[:]), alertOfTLS) {
			return nil, errWantsTLS
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, errors.New("it closed the connection without the preface of GTStore: is it a GTStore port?")
		}
		return nil, err
	}
	const name = len(preface) - 1
	switch {
	case strings.HasPrefix(string(got[:]), alertOfTLS):
		return nil, errWantsTLS
	case string(got[:name]) != preface[:name]:
		return nil, fmt.Errorf("it does not speak GTStore: it began with %q", got[:])
	case got[name] != preface[name]:
		return nil, fmt.Errorf("it speaks version %d of the protocol, and this program version %d", got[name], preface[name])
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	return newStream(c, o.FrameTimeout), nil
}

func newStream(c net.Conn, frameTimeout time.Duration) *stream {
	s := &stream{Conn: c, frameTimeout: frameTimeout}
	s.writer.init(c)
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
	for first := true; len(s.in.b) < n; first = false {
		have := len(s.in.b)
		next := min(n, max(keepBytesMax, 4*have))
		switch {
		case next == n && s.likelySingle(n):
			s.in = s.in.growForValues(n)
		case next > cap(s.in.b):
			s.in = s.in.grow(next)
		}
		s.in.b = s.in.b[:next]
		if _, err := io.ReadFull(s.r, s.in.b[have:]); err != nil {
			return nil, err
		}
		if first && s.owner != nil && !s.owner.pace() {
			return nil, net.ErrClosed
		}
	}
	return s.in.b, nil
}

// likelySingle tells whether a frame of n bytes is likely to be mostly one value. Two of the
// size of the last one are not: callers whose values are all alike share frames, or have one
// each, as it happens.
func (s *stream) likelySingle(n int) bool { return n < s.single+s.single/2 }

// learn notes whether a frame of n bytes was mostly one value.
func (s *stream) learn(n int, single bool) {
	switch {
	case single:
		s.single = n
	case s.likelySingle(n):
		s.single = 0
	}
}

// writeFrames writes all of b. After an error the connection is closed: nobody knows how much
// of it has left.
func (s *stream) writeFrames(b *buffer) error {
	err := s.SetWriteDeadline(time.Now().Add(s.frameTimeout))
	if err == nil {
		_, err = s.writer.write(b, true)
	}
	if err == nil {
		err = s.SetWriteDeadline(time.Time{}) // or writeNow would find that it has passed
	}
	if err != nil {
		s.Close()
	}
	return err
}

// writeNow writes as much of b as needs no waiting, and returns how much. After an error the
// connection is closed.
func (s *stream) writeNow(b *buffer) int {
	n, err := s.writer.write(b, false)
	if err != nil {
		s.Close()
	}
	return n
}

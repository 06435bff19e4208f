package transport

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"gtstore/core"
)

// preface is what both ends of a connection send first. Its last byte is the
// version of the frames and of the methods that follow.
const preface = "GTStore\x01"

// Bounds of what a connection carries.
const (
	batchBytesMax = 256 << 10 // an outgoing batch is closed when it holds this much
	batchCountMax = 512       // or so many envelopes
	frameBytesMax = core.FrameBytesMax + 1<<20

	frameHeadBytes = 4
	readBytes      = 16 << 10 // of the reader's buffer
	writeBytes     = 64 << 10 // at a time, so that the progress of a large frame shows
	keepBytesMax   = 64 << 10 // a larger buffer is given back after use
)

var errFrameTooLong = fmt.Errorf("transport: a frame of more than %d bytes", frameBytesMax)

// stream is a connection as a sequence of frames: four bytes of length, then
// that many bytes. One goroutine reads and one writes.
type stream struct {
	net.Conn
	r            *bufio.Reader
	in           []byte
	frameTimeout time.Duration // for the rest of a frame that has begun, in either direction

	got, written atomic.Uint64 // bytes, of frames
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
	s := &stream{Conn: c, frameTimeout: frameTimeout}
	s.r = bufio.NewReaderSize(s, readBytes)
	return s, nil
}

// readFrame returns the next frame; it is good until the next call. A frame may
// be waited for without end, but once begun it must be complete in time, and it
// takes no more memory than twice what has come of it.
func (s *stream) readFrame() ([]byte, error) {
	if cap(s.in) > keepBytesMax {
		s.in = nil
	}
	head, err := s.r.Peek(frameHeadBytes)
	if err != nil {
		return nil, err
	}
	n := int(binary.LittleEndian.Uint32(head))
	if n > frameBytesMax {
		return nil, errFrameTooLong
	}
	if _, err := s.r.Discard(frameHeadBytes); err != nil {
		return nil, err
	}
	whole := s.r.Buffered() >= n
	if !whole {
		if err := s.SetReadDeadline(time.Now().Add(s.frameTimeout)); err != nil {
			return nil, err
		}
	}
	s.in = s.in[:0]
	for len(s.in) < n {
		have := len(s.in)
		next := min(n, max(readBytes, 2*have))
		if next > cap(s.in) {
			s.in = append(make([]byte, 0, next), s.in...)
		}
		s.in = s.in[:next]
		if _, err := io.ReadFull(s.r, s.in[have:]); err != nil {
			return nil, err
		}
	}
	if !whole {
		if err := s.SetReadDeadline(time.Time{}); err != nil {
			return nil, err
		}
	}
	return s.in, nil
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
	if err != nil {
		s.Close()
	}
	return err
}

// beginFrame leaves room for the length of a frame, which endFrame fills in.
func beginFrame(b []byte) (buf []byte, start int) {
	return append(b, 0, 0, 0, 0), len(b)
}

func endFrame(b []byte, start int) []byte {
	binary.LittleEndian.PutUint32(b[start:], uint32(len(b)-start-frameHeadBytes))
	return b
}

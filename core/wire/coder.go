package wire

import (
	"encoding/binary"
	"math"
)

// A Coder encodes by appending to a byte slice, or decodes from one; which of
// the two is settled when it is made. The zero Coder encodes to a new slice.
type Coder struct {
	buf      []byte // encoding: what was appended so far; decoding: the input, without a frame's checksum
	start    int    // encoding: where in buf this value or frame began
	off      int    // decoding: the next byte of buf to read
	decoding bool
	framed   bool // encoding: Seal appends a checksum
	err      *Error

	aside  Aside  // encoding: takes large strings; nil for nobody
	summed int    // encoding: of buf, before this are in sum
	sum    uint32 // encoding: the checksum so far
	text   string // decoding: what buf is, as a string; empty when strings are to be copied
}

// NewEncoder returns a Coder that appends to dst, without a frame.
func NewEncoder(dst []byte) Coder { return Coder{buf: dst, start: len(dst)} }

// NewDecoder returns a Coder that reads b, which has no frame. It neither
// changes nor keeps b after End.
func NewDecoder(b []byte) Coder { return Coder{buf: b, decoding: true} }

// Decoding reports the direction.
func (c *Coder) Decoding() bool { return c.decoding }

// Err returns the first error so far, an *Error, or nil.
func (c *Coder) Err() error {
	if c.err == nil { // a nil *Error in a non-nil interface would read as an error
		return nil
	}
	return c.err
}

// End returns the first error of a decoder, or an ErrMalformed if bytes are
// left over.
func (c *Coder) End() error {
	if c.err == nil && c.off < len(c.buf) {
		c.fail(ErrMalformed, "bytes after the value", uint64(len(c.buf)-c.off), 0)
	}
	return c.Err()
}

// Check fails with an ErrMalformed, saying what, unless ok.
func (c *Coder) Check(ok bool, what string) {
	if !ok {
		c.fail(ErrMalformed, what, 0, 0)
	}
}

// CheckMax fails with an ErrLimit, saying what, if got is above limit.
func (c *Coder) CheckMax(got, limit int, what string) {
	if got > limit {
		c.fail(ErrLimit, what, uint64(got), uint64(limit))
	}
}

// Bool codes a byte that is 0 or 1.
func (c *Coder) Bool(v *bool) {
	if !c.decoding {
		b := byte(0)
		if *v {
			b = 1
		}
		c.buf = append(c.buf, b)
		return
	}
	b := c.octet("bool")
	if b > 1 {
		c.failAt(c.off-1, ErrMalformed, "bool", uint64(b), 1)
	}
	if c.err == nil {
		*v = b == 1
	}
}

// Tag codes a constant byte: it tells apart records that could otherwise be
// taken for one another.
func (c *Coder) Tag(tag byte) {
	if !c.decoding {
		c.buf = append(c.buf, tag)
		return
	}
	if b := c.octet("tag"); b != tag {
		c.failAt(c.off-1, ErrMalformed, "tag of another record", uint64(b), uint64(tag))
	}
}

// Fixed64 codes 8 bytes, for values that a varint would only make longer.
func Fixed64[T ~uint64](c *Coder, v *T) {
	if !c.decoding {
		c.buf = binary.LittleEndian.AppendUint64(c.buf, uint64(*v))
		return
	}
	if c.need("fixed64", 8) {
		*v = T(binary.LittleEndian.Uint64(c.buf[c.off:]))
		c.off += 8
	}
}

// Uint codes an unsigned varint of 1 to 10 bytes. Decoding refuses a value that
// T cannot hold and an encoding that is not the shortest.
func Uint[T ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uint](c *Coder, v *T) {
	if !c.decoding {
		c.buf = binary.AppendUvarint(c.buf, uint64(*v))
		return
	}
	x := c.uvarint("uint", uint64(^T(0)))
	if c.err == nil {
		*v = T(x)
	}
}

// Int codes a signed varint of 1 to 10 bytes, short for values near 0.
func Int[T ~int64](c *Coder, v *T) {
	if !c.decoding {
		x := int64(*v)
		c.buf = binary.AppendUvarint(c.buf, uint64(x)<<1^uint64(x>>63))
		return
	}
	x := c.uvarint("int", math.MaxUint64)
	if c.err == nil {
		*v = T(int64(x>>1) ^ -int64(x&1))
	}
}

// Enum codes one byte from 1 to end-1.
func Enum[T ~uint8](c *Coder, v *T, end T) {
	b, at := byte(*v), len(c.buf)-c.start
	if c.decoding {
		at = c.off
		b = c.octet("enum")
	} else {
		c.buf = append(c.buf, b)
	}
	if b == 0 || b >= byte(end) {
		c.failAt(at, ErrMalformed, "enum", uint64(b), uint64(end)-1)
	}
	if c.decoding && c.err == nil {
		*v = T(b)
	}
}

// String codes a string of at most max bytes. Decoding copies the bytes, unless
// *s already equals them: then *s is kept, which saves a caller who can guess
// the value the allocation. For large ones see NewFrameAside and
// OpenFrameShared.
func String[T ~string](c *Coder, s *T, max int) {
	if !c.decoding {
		c.CheckMax(len(*s), max, "string bytes")
		c.buf = binary.AppendUvarint(c.buf, uint64(len(*s)))
		if c.aside != nil && len(*s) >= AsideBytesMin {
			c.leaveAside(string(*s))
			return
		}
		c.buf = append(c.buf, *s...)
		return
	}
	n, ok := c.length("string bytes", max, 1)
	if !ok {
		return
	}
	if b := c.buf[c.off : c.off+n]; c.text != "" && IsMost(n, len(c.text)) {
		*s = T(c.text[c.off : c.off+n])
	} else if string(b) != string(*s) {
		*s = T(b)
	}
	c.off += n
}

// Slice codes the number of elements of *s, at most max, and returns *s for the
// caller to code each element in place. When decoding, *s is first made new, of
// zero elements, or nil if there are none; elemBytesMin, at least 1, is the
// least number of bytes that an element can take, and bounds what a lying count
// can make it allocate.
func Slice[T any](c *Coder, s *[]T, max, elemBytesMin int) []T {
	if !c.decoding {
		c.CheckMax(len(*s), max, "slice elements")
		c.buf = binary.AppendUvarint(c.buf, uint64(len(*s)))
		return *s
	}
	n, ok := c.length("slice elements", max, elemBytesMin)
	if !ok {
		return nil
	}
	*s = nil
	if n > 0 {
		*s = make([]T, n)
	}
	return *s
}

// Optional codes whether *p is not nil, and reports it, for the caller to then
// code **p. When decoding, *p is first made new or nil.
func Optional[T any](c *Coder, p **T) bool {
	present := *p != nil
	c.Bool(&present)
	if !c.decoding {
		return present
	}
	if c.err != nil {
		return false
	}
	*p = nil
	if present {
		*p = new(T)
	}
	return present
}

// octet reads one byte, or 0 after an error.
func (c *Coder) octet(what string) byte {
	if !c.need(what, 1) {
		return 0
	}
	c.off++
	return c.buf[c.off-1]
}

// length reads a count that is at most max, of elements of at least elemBytesMin
// bytes each, all of which must fit in what is left of the input.
func (c *Coder) length(what string, max, elemBytesMin int) (n int, ok bool) {
	at := c.off
	x := c.uvarint(what, math.MaxUint64)
	if c.err != nil {
		return 0, false
	}
	if x > uint64(max) {
		c.failAt(at, ErrLimit, what, x, uint64(max))
		return 0, false
	}
	if fit := uint64(len(c.buf)-c.off) / uint64(elemBytesMin); x > fit {
		c.failAt(at, ErrTruncated, what, x, fit)
		return 0, false
	}
	return int(x), true
}

// uvarint reads a varint of at most max, in its shortest form.
func (c *Coder) uvarint(what string, max uint64) uint64 {
	if c.err != nil {
		return 0
	}
	x, n := binary.Uvarint(c.buf[c.off:])
	switch {
	case n == 0:
		c.fail(ErrTruncated, what, 0, 0)
		return 0
	case n < 0:
		c.fail(ErrMalformed, "varint of more than 64 bits", 0, 0)
		return 0
	case n > 1 && c.buf[c.off+n-1] == 0:
		c.fail(ErrMalformed, "varint that is not the shortest", 0, 0)
		return 0
	case x > max:
		c.fail(ErrMalformed, what, x, max)
		return 0
	}
	c.off += n
	return x
}

// need reports whether the decoder has no error and n more bytes.
func (c *Coder) need(what string, n int) bool {
	if c.err != nil {
		return false
	}
	if left := len(c.buf) - c.off; left < n {
		c.fail(ErrTruncated, what, uint64(n), uint64(left))
		return false
	}
	return true
}

func (c *Coder) fail(class error, what string, got, limit uint64) {
	at := c.off
	if !c.decoding {
		at = len(c.buf) - c.start
	}
	c.failAt(at, class, what, got, limit)
}

// failAt keeps the first error only: those after it are its consequences.
func (c *Coder) failAt(at int, class error, what string, got, limit uint64) {
	if c.err == nil {
		c.err = &Error{Class: class, What: what, Offset: at, Got: got, Limit: limit}
	}
}

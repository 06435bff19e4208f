package wire_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"gtstore/core/wire"
)

type color uint8

const colorEnd color = 4

type point struct{ x, y int64 }

// everything has a field of every kind that a Coder knows.
type everything struct {
	u8    uint8
	u32   uint32
	u64   uint64
	i64   int64
	id    uint64
	flag  bool
	color color
	text  string
	nums  []uint32
	point *point
}

func (e *everything) code(c *wire.Coder) {
	c.Tag(7)
	wire.Uint(c, &e.u8)
	wire.Uint(c, &e.u32)
	wire.Uint(c, &e.u64)
	wire.Int(c, &e.i64)
	wire.Fixed64(c, &e.id)
	c.Bool(&e.flag)
	wire.Enum(c, &e.color, colorEnd)
	wire.String(c, &e.text, 40)
	for i := range wire.Slice(c, &e.nums, 9, 1) {
		wire.Uint(c, &e.nums[i])
	}
	if wire.Optional(c, &e.point) {
		wire.Int(c, &e.point.x)
		wire.Int(c, &e.point.y)
	}
}

func drawEverything(t *rapid.T) everything {
	e := everything{
		u8: rapid.Uint8().Draw(t, "u8"), u32: rapid.Uint32().Draw(t, "u32"), u64: rapid.Uint64().Draw(t, "u64"),
		i64: rapid.Int64().Draw(t, "i64"), id: rapid.Uint64().Draw(t, "id"), flag: rapid.Bool().Draw(t, "flag"),
		color: color(rapid.Uint8Range(1, 3).Draw(t, "color")),
		text:  rapid.StringN(0, 10, 40).Draw(t, "text"),
		nums:  rapid.SliceOfN(rapid.Uint32(), 0, 9).Draw(t, "nums"),
	}
	if len(e.nums) == 0 {
		e.nums = nil
	}
	if rapid.Bool().Draw(t, "hasPoint") {
		e.point = &point{rapid.Int64().Draw(t, "x"), rapid.Int64().Draw(t, "y")}
	}
	return e
}

func TestWhatIsEncodedDecodesToItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawEverything(t)
		c := wire.NewFrame([]byte("before"))
		in.code(&c)
		require.NoError(t, c.Err())
		frame := c.Seal()[len("before"):]

		var out everything
		d := wire.OpenFrame(frame)
		out.code(&d)
		require.NoError(t, d.End())
		require.Equal(t, in, out)
	})
}

func TestWhatDecodesEncodesToItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawEverything(t)
		c := wire.NewEncoder(nil)
		in.code(&c)
		b := c.Seal()
		for range rapid.IntRange(0, 3).Draw(t, "damages") {
			b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		var out everything
		d := wire.NewDecoder(b)
		out.code(&d)
		if d.End() != nil {
			return
		}
		again := wire.NewEncoder(nil)
		out.code(&again)
		require.NoError(t, again.Err())
		require.Equal(t, b, again.Seal())
	})
}

func TestFrameDetectsEveryFlippedBitAndEveryTruncation(t *testing.T) {
	in := everything{u8: 1, u32: 1 << 20, u64: math.MaxUint64, i64: -1, id: 9, color: 1, text: "text", nums: []uint32{1, 2}}
	c := wire.NewFrame(nil)
	in.code(&c)
	frame := c.Seal()

	for bit := range 8 * len(frame) {
		frame[bit/8] ^= 1 << (bit % 8)
		require.ErrorIs(t, open(frame), wire.ErrChecksum, "bit %d", bit)
		frame[bit/8] ^= 1 << (bit % 8)
	}
	for n := range len(frame) {
		err := open(frame[:n])
		if n < wire.FrameBytes {
			require.ErrorIs(t, err, wire.ErrTruncated, "%d bytes", n)
		} else {
			require.ErrorIs(t, err, wire.ErrChecksum, "%d bytes", n)
		}
	}
	require.ErrorIs(t, open(make([]byte, len(frame))), wire.ErrChecksum, "a block of zeros is no frame")
	require.NoError(t, open(frame))
}

func TestFrameFormatIsFixed(t *testing.T) {
	c := wire.NewFrame(nil)
	n := uint64(300)
	wire.Uint(&c, &n)
	// Bytes on disk outlive the program that wrote them: this text must not change.
	require.Equal(t, "09ac02a9c4994b", fmt.Sprintf("%x", c.Seal()))
}

func TestFrameOfAnotherVersion(t *testing.T) {
	frame := []byte{wire.MessageVersion + 1, 5}
	frame = binary.LittleEndian.AppendUint32(frame, crc32.Checksum(frame, crc32.MakeTable(crc32.Castagnoli)))
	err := open(frame)
	require.ErrorIs(t, err, wire.ErrVersion)
	require.EqualError(t, err, "wire: unknown version: frame at offset 0: 10, want 9")
}

func open(frame []byte) error {
	c := wire.OpenFrame(frame)
	return c.Err()
}

func TestDecoderRefuses(t *testing.T) {
	uint8s := func(c *wire.Coder) { var v uint8; wire.Uint(c, &v) }
	uint64s := func(c *wire.Coder) { var v uint64; wire.Uint(c, &v) }
	text := func(c *wire.Coder) { var v string; wire.String(c, &v, 1024) }
	nums := func(c *wire.Coder) { var v []uint64; wire.Slice(c, &v, 256, 8) }
	tests := []struct {
		name  string
		in    []byte
		code  func(*wire.Coder)
		class error
		text  string
	}{
		{"no byte for a varint", nil, uint64s, wire.ErrTruncated, "wire: truncated: uint at offset 0"},
		{"half a varint", []byte{0x80}, uint64s, wire.ErrTruncated, "wire: truncated: uint at offset 0"},
		{"a varint that could be shorter", []byte{0x81, 0x00}, uint64s, wire.ErrMalformed,
			"wire: malformed: varint that is not the shortest at offset 0"},
		{"a varint of 65 bits", []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02}, uint64s, wire.ErrMalformed,
			"wire: malformed: varint of more than 64 bits at offset 0"},
		{"a varint of 11 bytes", []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01}, uint64s, wire.ErrMalformed,
			"wire: malformed: varint of more than 64 bits at offset 0"},
		{"256 for a uint8", []byte{0x80, 0x02}, uint8s, wire.ErrMalformed, "wire: malformed: uint at offset 0: 256, limit 255"},
		{"7 bytes of 8", make([]byte, 7), func(c *wire.Coder) { var v uint64; wire.Fixed64(c, &v) }, wire.ErrTruncated,
			"wire: truncated: fixed64 at offset 0: 8, left 7"},
		{"a bool of 2", []byte{2}, func(c *wire.Coder) { var v bool; c.Bool(&v) }, wire.ErrMalformed,
			"wire: malformed: bool at offset 0: 2, limit 1"},
		{"an enum of 0", []byte{0}, func(c *wire.Coder) { var v color; wire.Enum(c, &v, colorEnd) }, wire.ErrMalformed,
			"wire: malformed: enum at offset 0: 0, limit 3"},
		{"an enum of end", []byte{4}, func(c *wire.Coder) { var v color; wire.Enum(c, &v, colorEnd) }, wire.ErrMalformed,
			"wire: malformed: enum at offset 0: 4, limit 3"},
		{"another tag", []byte{4}, func(c *wire.Coder) { c.Tag(5) }, wire.ErrMalformed,
			"wire: malformed: tag of another record at offset 0: 4, limit 5"},
		{"a string above the limit", binary.AppendUvarint(nil, 70000), text, wire.ErrLimit,
			"wire: limit exceeded: string bytes at offset 0: 70000, limit 1024"},
		{"a string of 2^64-1", binary.AppendUvarint(nil, math.MaxUint64), text, wire.ErrLimit,
			"wire: limit exceeded: string bytes at offset 0: 18446744073709551615, limit 1024"},
		{"a string longer than the input", []byte{3, 'a', 'b'}, text, wire.ErrTruncated,
			"wire: truncated: string bytes at offset 0: 3, left 2"},
		{"a slice above the limit", binary.AppendUvarint(nil, 257), nums, wire.ErrLimit,
			"wire: limit exceeded: slice elements at offset 0: 257, limit 256"},
		{"a slice longer than the input", append([]byte{2}, make([]byte, 15)...), nums, wire.ErrTruncated,
			"wire: truncated: slice elements at offset 0: 2, left 1"},
		{"bytes left over", []byte{1, 2, 3}, uint64s, wire.ErrMalformed,
			"wire: malformed: bytes after the value at offset 1: 2, limit 0"},
		{"a failed check", []byte{1}, func(c *wire.Coder) { uint64s(c); c.Check(false, "odd sock") }, wire.ErrMalformed,
			"wire: malformed: odd sock at offset 1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := wire.NewDecoder(test.in)
			test.code(&c)
			err := c.End()
			require.ErrorIs(t, err, test.class)
			require.EqualError(t, err, test.text)
			var typed *wire.Error
			require.True(t, errors.As(err, &typed))
		})
	}
}

func TestFirstErrorSticks(t *testing.T) {
	c := wire.NewDecoder([]byte{9, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1})
	var e everything
	e.code(&c) // fails at the tag
	require.Equal(t, everything{}, e, "nothing is read after an error")
	require.ErrorContains(t, c.End(), "tag of another record at offset 0")
}

func TestEncoderGoesOnAfterAnError(t *testing.T) {
	encode := func(s string, n uint64) ([]byte, error) {
		c := wire.NewEncoder(nil)
		wire.String(&c, &s, 3)
		wire.Uint(&c, &n)
		return c.Seal(), c.Err()
	}
	a, err := encode("four", 1)
	require.ErrorIs(t, err, wire.ErrLimit)
	b, _ := encode("four", 2)
	require.NotEqual(t, wire.Hash(a), wire.Hash(b))
}

func TestStringKeepsAnEqualOne(t *testing.T) {
	in := strings.Repeat("address", 10)
	c := wire.NewEncoder(nil)
	wire.String(&c, &in, 100)
	b := c.Seal()
	got := strings.Clone(in)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		d := wire.NewDecoder(b)
		wire.String(&d, &got, 100)
	}))
	b[1] ^= 1
	d := wire.NewDecoder(b)
	wire.String(&d, &got, 100)
	require.Equal(t, string(b[1:]), got)
}

func TestHashIsFixedAndSensitive(t *testing.T) {
	require.Equal(t, uint64(0xd11b1a2a12d367c5), wire.Hash([]byte("gtstore hashes the same everywhere")))

	seen := map[uint64]string{}
	for n := range 40 {
		b := make([]byte, n)
		for bit := -1; bit < 8*n; bit++ {
			if bit >= 0 {
				b[bit/8] ^= 1 << (bit % 8)
			}
			what := fmt.Sprintf("%d bytes, bit %d", n, bit)
			require.Empty(t, seen[wire.Hash(b)], what)
			seen[wire.Hash(b)] = what
			if bit >= 0 {
				b[bit/8] ^= 1 << (bit % 8)
			}
		}
	}
}

// A record is damage under any key but its own.
func TestARecordIsReadUnderItsKeyOnly(t *testing.T) {
	seal := func(key string) []byte {
		c := wire.NewRecord([]byte("before"))
		c.Tag(7)
		return c.SealFor(key)[len("before"):]
	}
	for _, key := range []string{"", "a", "b", "a longer key than the frame itself"} {
		for _, other := range []string{"", "a", "b", "a longer key than the frame itself"} {
			var c wire.Coder
			c.OpenRecord(string(seal(key)), other)
			c.Tag(7)
			if key == other {
				require.NoError(t, c.End())
			} else {
				require.ErrorIs(t, c.End(), wire.ErrChecksum, "%q read under %q", key, other)
			}
		}
	}
}

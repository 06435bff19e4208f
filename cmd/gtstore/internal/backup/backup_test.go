package backup

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/core/wire"
)

var header = Header{Cluster: 0xc1, Time: 1e18, Replicas: 2, Groups: 2}

func items(keys ...string) (list []core.Item) {
	for i, k := range keys {
		list = append(list, core.Item{Key: k, Value: "value of " + k, Version: core.Seq(i + 1)})
	}
	return list
}

// written is a backup of two groups. The first one is begun anew; a key of it changes, and
// one is deleted.
func written(t *testing.T) []byte {
	t.Helper()
	var file bytes.Buffer
	w, err := NewWriter(&file, header)
	require.NoError(t, err)
	for _, step := range []func() error{
		func() error { return w.Begin(1) },
		func() error { return w.Items(items("void", "a")) },
		func() error { return w.Begin(1) },
		func() error { return w.Items(items("a", "b")) },
		func() error { return w.Items(nil) },
		func() error { return w.Items([]core.Item{{Key: "b", Value: "changed", Version: 7}, {Key: "a"}}) },
		func() error { return w.Group(Group{ID: 1, Epoch: 3, Position: 9, Keys: 1}) },
		func() error { return w.Begin(2) },
		func() error { return w.Items([]core.Item{{Key: "\x00\xff", Version: 4}}) },
		func() error { return w.Group(Group{ID: 2, Epoch: 1, Position: 4, Keys: 1}) },
		w.End,
	} {
		require.NoError(t, step())
	}
	require.EqualValues(t, file.Len(), w.Bytes())
	return file.Bytes()
}

func TestWhatWasWrittenIsRead(t *testing.T) {
	file := written(t)
	c, err := Verify(bytes.NewReader(file))
	require.NoError(t, err)
	require.Equal(t, header, c.Header)
	require.Equal(t, []Group{{1, 3, 9, 1}, {2, 1, 4, 1}}, c.Done)
	require.EqualValues(t, 2, c.Keys)
	require.EqualValues(t, len(file), c.Bytes)

	var got []string
	require.NoError(t, c.Items(bytes.NewReader(file), func(it core.Item) error {
		got = append(got, fmt.Sprintf("%q=%q v%d", it.Key, it.Value, it.Version))
		return nil
	}))
	require.Equal(t, []string{`"a"="value of a" v1`, `"b"="value of b" v2`, `"b"="changed" v7`, `"a"="" v0`, `"\x00\xff"="" v4`}, got)
	stop := errors.New("stop")
	require.ErrorIs(t, c.Items(bytes.NewReader(file), func(core.Item) error { return stop }), stop)
}

// A file in whose place another backup was written since it was verified is noticed, though that
// one is whole and has as many groups and keys.
func TestAnotherBackupThanTheOneThatWasVerifiedIsNoticed(t *testing.T) {
	write := func(value string) []byte {
		var file bytes.Buffer
		w, err := NewWriter(&file, Header{Groups: 1})
		require.NoError(t, err)
		require.NoError(t, errors.Join(w.Begin(1), w.Items([]core.Item{{Key: "a", Value: value, Version: 1}}), w.Group(Group{ID: 1, Keys: 1}), w.End()))
		return file.Bytes()
	}
	c, err := Verify(bytes.NewReader(write("monday")))
	require.NoError(t, err)
	none := func(core.Item) error { return nil }
	require.NoError(t, c.Items(bytes.NewReader(write("monday")), none))
	require.ErrorContains(t, c.Items(bytes.NewReader(write("sunday")), none), "changed since it was verified")
}

// A file that is cut anywhere is truncated, and one in which a bit has flipped is damaged or
// truncated: its bytes are never taken for a backup.
func TestAFileThatIsNotWholeIsRefused(t *testing.T) {
	file := written(t)
	_, err := Verify(bytes.NewReader(nil))
	require.ErrorIs(t, err, ErrNoBackup)
	for n := 1; n < len(file); n++ {
		_, err := Verify(bytes.NewReader(file[:n]))
		require.ErrorIs(t, err, ErrTruncated, "the first %d bytes", n)
	}
	for i := range 8 * len(file) {
		bad := bytes.Clone(file)
		bad[i/8] ^= 1 << (i % 8)
		_, err := Verify(bytes.NewReader(bad))
		switch {
		case i/8 < len(magic):
			require.ErrorIs(t, err, ErrNoBackup, "bit %d", i)
		case !errors.Is(err, ErrTruncated):
			require.ErrorIs(t, err, ErrDamaged, "bit %d", i)
		}
	}
	_, err = Verify(bytes.NewReader(append(bytes.Clone(file), 0)))
	require.ErrorIs(t, err, ErrDamaged)
	_, err = Verify(strings.NewReader("PK\x03\x04 something else"))
	require.ErrorIs(t, err, ErrNoBackup)
	broken := errors.New("the disk is broken")
	_, err = Verify(io.MultiReader(bytes.NewReader(file[:40]), readerOf{broken}))
	require.ErrorIs(t, err, broken)
}

type readerOf struct{ err error }

func (r readerOf) Read([]byte) (int, error) { return 0, r.err }

// records splits a file.
func records(file []byte) (list [][]byte) {
	for file = file[len(magic):]; len(file) > 0; {
		n := lengthBytes + int(binary.LittleEndian.Uint32(file))
		list, file = append(list, file[:n]), file[n:]
	}
	return list
}

// Records that are intact, each of them, but missing, in another order, or there twice,
// are no backup.
func TestRecordsThatAreMissingOrElsewhereAreNoticed(t *testing.T) {
	list := records(written(t))
	refused := func(list [][]byte, what string, args ...any) {
		t.Helper()
		_, err := Verify(bytes.NewReader(append([]byte(magic), bytes.Join(list, nil)...)))
		require.True(t, errors.Is(err, ErrDamaged) || errors.Is(err, ErrTruncated), "%s: %v", fmt.Sprintf(what, args...), err)
	}
	for i := range list {
		refused(append(append([][]byte{}, list[:i]...), list[i+1:]...), "without record %d", i)
		refused(append(append([][]byte{}, list[:i+1]...), list[i:]...), "record %d twice", i)
		for j := range i {
			swapped := append([][]byte{}, list...)
			if swapped[i], swapped[j] = swapped[j], swapped[i]; bytes.Equal(list[i], list[j]) {
				continue // both begin the same group
			}
			refused(swapped, "records %d and %d changed places", j, i)
		}
	}
}

func TestAnotherVersionIsTold(t *testing.T) {
	c := wire.NewBackup(nil)
	h := header
	h.code(&c)
	frame := c.Seal()
	frame = frame[:len(frame)-4]
	frame[0]++
	frame = binary.LittleEndian.AppendUint32(frame, crc32.Checksum(frame, crc32.MakeTable(crc32.Castagnoli)))
	file := append([]byte(magic), binary.LittleEndian.AppendUint32(nil, uint32(len(frame)))...)
	_, err := Verify(bytes.NewReader(append(file, frame...)))
	require.ErrorIs(t, err, ErrVersion)
	require.ErrorContains(t, err, fmt.Sprintf("version %d, and this is version %d", wire.BackupVersion+1, wire.BackupVersion))
}

// Whatever stands in a file, reading it ends, and takes no more memory than a record.
func FuzzVerify(f *testing.F) {
	f.Add([]byte(magic))
	f.Add([]byte(magic + "\xff\xff\xff\xff"))
	f.Add([]byte(magic + "\xff\xff\x00\x00"))
	f.Fuzz(func(t *testing.T, file []byte) {
		if _, err := Verify(bytes.NewReader(file)); err == nil {
			t.Fatal("nobody wrote that")
		}
	})
}

// The longest part of a group fits in a record.
func TestTheLongestPartFits(t *testing.T) {
	var part []core.Item
	for i := range core.ChunkItemsMax {
		part = append(part, core.Item{Key: fmt.Sprintf("%08d", i), Value: strings.Repeat("v", core.BatchBytesMax/core.ChunkItemsMax-8), Version: 1<<56 - 1})
	}
	for _, list := range [][]core.Item{part, {{Key: strings.Repeat("k", core.KeyBytesMax), Value: strings.Repeat("v", core.ValueBytesMax), Version: core.Seq(rand.Uint64())}}} {
		var file bytes.Buffer
		w, err := NewWriter(&file, Header{Groups: 1})
		require.NoError(t, err)
		require.NoError(t, w.Begin(1))
		require.NoError(t, w.Items(list))
		require.NoError(t, w.Group(Group{ID: 1, Keys: uint64(len(list))}))
		require.NoError(t, w.End())
		c, err := Verify(bytes.NewReader(file.Bytes()))
		require.NoError(t, err)
		n := 0
		require.NoError(t, c.Items(bytes.NewReader(file.Bytes()), func(core.Item) error { n++; return nil }))
		require.Equal(t, len(list), n)
	}
}

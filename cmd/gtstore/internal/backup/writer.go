package backup

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"

	"gtstore/core"
	"gtstore/core/wire"
)

const sumBytes = sha256.Size

// Writer writes a backup. Its calls are Begin, Items and Group for each group, and then
// End. After an error it is of no use.
type Writer struct {
	w    io.Writer
	sum  hash.Hash // of all that was written
	buf  []byte
	n    int64
	last end
}

// NewWriter begins a backup.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	b := &Writer{w: w, sum: sha256.New()}
	if err := b.write([]byte(magic)); err != nil {
		return nil, err
	}
	return b, b.record(h.code)
}

// Begin begins a group, or begins it anew.
func (b *Writer) Begin(id core.GroupID) error {
	return b.record(func(c *wire.Coder) { codeBegin(c, &id) })
}

// Items adds what a part of the group says.
func (b *Writer) Items(items []core.Item) error {
	if len(items) == 0 {
		return nil
	}
	return b.record(func(c *wire.Coder) { codeItems(c, &items) })
}

// Group ends a group.
func (b *Writer) Group(g Group) error {
	b.last.groups++
	b.last.keys += g.Keys
	return b.record(g.code)
}

// End ends the backup.
func (b *Writer) End() error {
	e := b.last
	e.sum = string(b.sum.Sum(nil))
	return b.record(e.code)
}

// Bytes is how many were written.
func (b *Writer) Bytes() int64 { return b.n }

func (b *Writer) record(code func(*wire.Coder)) error {
	c := wire.NewBackup(append(b.buf[:0], make([]byte, lengthBytes)...))
	code(&c)
	if err := c.Err(); err != nil {
		return fmt.Errorf("a record of the backup: %w", err) // no part of a group is outside the limits
	}
	b.buf = c.Seal()
	binary.LittleEndian.PutUint32(b.buf, uint32(len(b.buf)-lengthBytes))
	b.last.records++
	return b.write(b.buf)
}

func (b *Writer) write(p []byte) error {
	b.sum.Write(p)
	n, err := b.w.Write(p)
	b.n += int64(n)
	return err
}

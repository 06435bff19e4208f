package core

import (
	"fmt"

	"gtstore/core/wire"
)

// The first byte of a durable record, above every Kind, so that no record can
// be taken for one of another type, nor for a message.
const (
	tagCommand = 0x80 + iota
	tagEntry
	tagConfig
	tagIdentity
	tagProgress
	tagValue
	tagSession
	tagDirectory
	tagNode
	tagMapping
	tagCluster
	tagLoss
	tagAddresses
	tagManagers
)

// coded is what has one list of its fields, for both directions.
type coded interface{ code(c *wire.Coder) }

// recorder makes durable records, and uses its memory again.
type recorder struct {
	coder wire.Coder
	buf   []byte
}

// record makes the durable record of v under that key; read in another place it is
// damage. It panics if readRecord would refuse it.
func (r *recorder) record(key string, tag byte, v coded) string {
	r.coder = wire.NewRecord(r.buf[:0])
	r.coder.Tag(tag)
	v.code(&r.coder)
	if err := r.coder.Err(); err != nil {
		panic(fmt.Sprintf("core: a %T to be made durable is outside the limits: %v", v, err))
	}
	r.buf = r.coder.SealFor(key)
	return string(r.buf)
}

// reader reads durable records, and uses its memory again.
type reader struct{ coder wire.Coder }

// read reads the record that stood under that key into v. The error matches one of
// package wire's classes.
func (r *reader) read(key, text string, tag byte, v coded) error {
	r.coder.OpenRecord(text, key)
	r.coder.Tag(tag)
	v.code(&r.coder)
	if err := r.coder.End(); err != nil {
		return fmt.Errorf("core: %T: %w", v, err)
	}
	return nil
}

func readRecord(key, text string, tag byte, v coded) error {
	return new(reader).read(key, text, tag, v)
}

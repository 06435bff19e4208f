package backup

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"gtstore/core"
	"gtstore/core/wire"
)

// The classes of error of a file, to be matched with errors.Is. What else goes wrong is an
// error of whom it was read from.
var (
	ErrNoBackup  = errors.New("it is no backup of GTStore")
	ErrTruncated = errors.New("it is truncated")
	ErrDamaged   = errors.New("it is damaged")
	ErrVersion   = errors.New("it is of a version that this program does not read")
)

// recordBytesMax bounds a record's frame: what a part of a group, the longest, takes.
const recordBytesMax = core.FrameBytesMax

// Contents is what a whole backup has.
type Contents struct {
	Header
	Done  []Group // in the order in which they stand in the file
	Keys  uint64
	Bytes int64 // of the file

	counts []bool // of each begin of a group, whether what follows it counts
	last   end
}

// Verify reads a whole backup and tells what it has, if all of it is as it was written.
func Verify(r io.Reader) (*Contents, error) {
	c := &Contents{}
	var err error
	c.Bytes, c.last, err = read(r, func(record any) error {
		switch m := record.(type) {
		case Header:
			c.Header = m
		case core.GroupID:
			c.counts = append(c.counts, false)
		case Group:
			c.counts[len(c.counts)-1] = true
			c.Done = append(c.Done, m)
			c.Keys += m.Keys
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Items reads a backup again that was verified, and calls item with each item that counts,
// in order: of several of a key the last counts, and version 0 means that the key is absent.
func (c *Contents) Items(r io.Reader, item func(core.Item) error) error {
	begins := -1
	_, last, err := read(r, func(record any) error {
		switch m := record.(type) {
		case core.GroupID:
			if begins++; begins == len(c.counts) {
				return errChanged
			}
		case []core.Item:
			for i := 0; c.counts[begins] && i < len(m); i++ {
				if err := item(m[i]); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err == nil && last != c.last { // it is whole, but another one
		err = errChanged
	}
	return err
}

var errChanged = fmt.Errorf("%w: it has changed since it was verified", ErrDamaged)

// reader is where the reading of a file is.
type reader struct {
	r       *bufio.Reader
	sum     hash.Hash // of all that was read
	at      int64     // bytes read
	buf     []byte
	header  *Header
	group   core.GroupID // that has begun, or 0
	done    map[core.GroupID]bool
	so      end // what was read, as the end must tell it
	hasLast bool
}

// read calls each with every record but the last: a Header, a core.GroupID that begins, a
// []core.Item, or a Group. It returns how many bytes the file has, and its last record.
func read(from io.Reader, each func(record any) error) (int64, end, error) {
	r := &reader{r: bufio.NewReaderSize(from, 1<<16), sum: sha256.New(), done: map[core.GroupID]bool{}}
	head := make([]byte, len(magic))
	n, err := io.ReadFull(r.r, head)
	switch {
	case !bytes.Equal(head[:n], []byte(magic)[:n]) || n == 0 && err == io.EOF:
		return 0, end{}, ErrNoBackup
	case err != nil:
		return 0, end{}, r.cut(err)
	}
	r.sum.Write(head)
	r.at = int64(n)
	for !r.hasLast {
		record, err := r.next()
		if err == nil && record != nil {
			err = each(record)
		}
		if err != nil {
			return 0, end{}, err
		}
	}
	if _, err := r.r.ReadByte(); err == nil {
		return 0, end{}, r.damaged("there is more after its end")
	} else if err != io.EOF {
		return 0, end{}, err
	}
	return r.at, r.so, nil
}

// cut is what it means that no more can be read.
func (r *reader) cut(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: after byte %d it goes on with no whole record, and none has ended the backup before", ErrTruncated, r.at)
	}
	return err
}

func (r *reader) damaged(format string, args ...any) error {
	return fmt.Errorf("%w: at byte %d, %s", ErrDamaged, r.at, fmt.Sprintf(format, args...))
}

// next reads a record; nil is the last.
func (r *reader) next() (any, error) {
	var length [lengthBytes]byte
	if _, err := io.ReadFull(r.r, length[:]); err != nil {
		return nil, r.cut(err)
	}
	n := int(binary.LittleEndian.Uint32(length[:]))
	if n <= wire.FrameBytes || n > recordBytesMax {
		return nil, r.damaged("a record of %d bytes", n)
	}
	if cap(r.buf) < n {
		r.buf = make([]byte, n)
	}
	frame := r.buf[:n]
	if _, err := io.ReadFull(r.r, frame); err != nil {
		return nil, r.cut(err)
	}
	record, err := r.decode(frame)
	if err != nil {
		return nil, err
	}
	r.sum.Write(length[:])
	r.sum.Write(frame)
	r.at += int64(lengthBytes + n)
	r.so.records++
	return record, nil
}

// decode reads the record in a frame, and holds it against those before.
func (r *reader) decode(frame []byte) (record any, err error) {
	c := wire.OpenBackup(frame)
	wrong := ""
	switch kind := frame[1]; {
	case c.Err() != nil:
	case r.header == nil && kind != recordHeader:
		wrong = "a record before the header"
	case kind == recordHeader:
		h := Header{}
		h.code(&c)
		record = h
		if r.header != nil {
			wrong = "a second header"
		}
		r.header = &h
	case kind == recordBegin:
		id := core.GroupID(0)
		codeBegin(&c, &id)
		record = id
		if id == 0 || r.done[id] || r.group != 0 && r.group != id {
			wrong = fmt.Sprintf("group %d begins where it cannot", id)
		}
		r.group = id
	case kind == recordItems:
		var items []core.Item
		codeItems(&c, &items)
		record = items
		if r.group == 0 {
			wrong = "keys of no group"
		}
	case kind == recordGroup:
		g := Group{}
		g.code(&c)
		record = g
		if g.ID == 0 || g.ID != r.group {
			wrong = fmt.Sprintf("group %d ends, but has not begun", g.ID)
		}
		r.done[g.ID], r.group = true, 0
		r.so.groups++
		r.so.keys += g.Keys
	case kind == recordEnd:
		e := end{}
		e.code(&c)
		r.so.sum, r.hasLast = string(r.sum.Sum(nil)), true
		if e != r.so || r.group != 0 || r.so.groups != r.header.Groups {
			wrong = "the end does not fit what is before it: records are missing, or in another order"
		}
	default:
		wrong = fmt.Sprintf("a record of kind %d", kind)
	}
	return record, r.judge(c.End(), wrong)
}

// judge turns what is wrong with a record into an error.
func (r *reader) judge(err error, wrong string) error {
	switch e := (*wire.Error)(nil); {
	case errors.Is(err, wire.ErrVersion) && errors.As(err, &e):
		return fmt.Errorf("%w: version %d, and this is version %d", ErrVersion, e.Got, e.Limit)
	case err != nil:
		return r.damaged("%v", err)
	case wrong != "":
		return r.damaged("%s", wrong)
	}
	return nil
}

package explore

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"os"
	"path/filepath"
	"time"
)

// A state file has a head, and behind it the table, the chunks and what the model keeps. The
// last eight bytes are a checksum of all before.
const stateMagic = "gtstore explore 2\n"

// head is what is known of a search beside its states.
type head struct {
	Depth, Generated, Elapsed int64
	Passes                    int64
	Shards, Level, Next       int64 // how many of each follow
	Key, Model                int64 // bytes of each
}

var checksums = crc64.MakeTable(crc64.ECMA)

// save writes the state file as a whole, in the place of the last one.
func (s *search) save() (err error) {
	if s.options.State == "" {
		return nil
	}
	var kept []byte
	if k, ok := s.model.(Keeper); ok {
		if kept, err = k.Save(); err != nil {
			return err
		}
	}
	f, err := os.CreateTemp(filepath.Dir(s.options.State), ".explore-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // of no effect once it was renamed
	defer f.Close()
	sum := crc64.New(checksums)
	buffered := bufio.NewWriterSize(io.MultiWriter(f, sum), 1<<20)
	w := &writer{w: buffered}
	w.write([]byte(stateMagic))
	w.write(&head{
		Depth: int64(s.depth), Generated: s.generated.Load(), Elapsed: int64(s.elapsed()), Passes: int64(s.passes),
		Shards: shardCount, Level: int64(len(s.level)), Next: int64(len(s.next)), Key: int64(len(s.options.Key)), Model: int64(len(kept)),
	})
	w.write([]byte(s.options.Key))
	w.write(kept)
	for i := range s.table.shards {
		d := &s.table.shards[i]
		w.write([]int64{int64(len(d.prints)), int64(d.count)})
		w.write(d.prints)
		w.write(d.parents)
		w.write(d.depths)
	}
	for _, list := range [][]*chunk{s.level, s.next} {
		for _, c := range list {
			w.write([]int64{int64(len(c.bytes)), int64(len(c.ends))})
			w.write(c.bytes)
			w.write(c.ends)
			w.write(c.prints)
		}
	}
	if err := errors.Join(w.err, buffered.Flush()); err != nil {
		return err
	}
	if err := binary.Write(f, binary.LittleEndian, sum.Sum64()); err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), s.options.State)
}

// forget removes the state file: the search has ended.
func (s *search) forget() error {
	if s.options.State == "" {
		return nil
	}
	if err := os.Remove(s.options.State); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// load takes up what a state file says; false if there is none.
func (s *search) load() (bool, error) {
	if s.options.State == "" {
		return false, nil
	}
	text, err := os.ReadFile(s.options.State)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	bad := func(what string) (bool, error) {
		return false, fmt.Errorf("state file %s: %s; remove it to begin anew", s.options.State, what)
	}
	n := len(text) - 8
	if n < len(stateMagic) || string(text[:len(stateMagic)]) != stateMagic || crc64.Checksum(text[:n], checksums) != binary.LittleEndian.Uint64(text[n:]) {
		return bad("it is not one of this version, or is damaged")
	}
	r := &reader{r: bytes.NewReader(text[len(stateMagic):n])}
	var h head
	r.read(&h)
	if key := string(r.bytes(h.Key)); key != s.options.Key {
		return bad("it is of another search, or of another build of the program, whose claim this one could not make")
	}
	kept := r.bytes(h.Model)
	if k, ok := s.model.(Keeper); ok {
		if err := k.Load(kept); err != nil {
			return bad(err.Error())
		}
	}
	for i := range s.table.shards {
		d := &s.table.shards[i]
		size := r.sizes()
		d.prints, d.parents, d.depths, d.count = make([]uint64, size[0]), make([]uint64, size[0]), make([]uint16, size[0]), int(size[1])
		r.read(d.prints)
		r.read(d.parents)
		r.read(d.depths)
		s.table.used.Add(size[0] * slotBytes)
	}
	s.level, s.next = s.readChunks(r, h.Level), s.readChunks(r, h.Next)
	if r.err != nil {
		return bad(r.err.Error())
	}
	s.depth, s.before, s.passes = int(h.Depth), time.Duration(h.Elapsed), int(h.Passes)
	s.generated.Store(h.Generated)
	return true, nil
}

func (s *search) readChunks(r *reader, n int64) (list []*chunk) {
	for range n {
		size := r.sizes()
		c := s.newChunk(int(size[0]))
		if c == nil {
			r.err = errors.New("what it holds is beyond the bound on memory: give a larger one")
			return nil
		}
		c.bytes, c.ends, c.prints = c.bytes[:size[0]], c.ends[:size[1]], c.prints[:size[1]]
		r.read(c.bytes)
		r.read(c.ends)
		r.read(c.prints)
		list = append(list, c)
	}
	return list
}

// writer writes until something fails.
type writer struct {
	w   io.Writer
	err error
}

func (w *writer) write(v any) {
	if w.err == nil {
		w.err = binary.Write(w.w, binary.LittleEndian, v)
	}
}

// reader reads until something fails. What it reads has the right checksum.
type reader struct {
	r   io.Reader
	err error
}

func (r *reader) read(v any) {
	if r.err == nil {
		r.err = binary.Read(r.r, binary.LittleEndian, v)
	}
}

func (r *reader) bytes(n int64) []byte {
	b := make([]byte, n)
	r.read(b)
	return b
}

func (r *reader) sizes() (size [2]int64) {
	r.read(&size)
	return size
}

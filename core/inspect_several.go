package core

import (
	"fmt"
	"time"
)

// DirectoryReader is a Machine that only keeps a Directory, to be looked at: what one of several
// managers holds on a disk is read by it. The zero value is empty.
type DirectoryReader struct {
	dir      *Directory // nil before Restore
	folded   Index
	commands int
	err      error
}

// Restore implements Machine, as do all up to Confirmed.
func (r *DirectoryReader) Restore(text string) error {
	d, _, err := readDirectory(text)
	if err == nil {
		r.dir, r.folded, r.commands = d, d.index, 0
	}
	return err
}

// Apply takes in a command. One that does not read ends the Directory: see Err.
func (r *DirectoryReader) Apply(text string) {
	if r.dir == nil || r.err != nil {
		return
	}
	c, err := readCommand(text)
	if err != nil {
		r.err = fmt.Errorf("the command after index %d of the Directory does not read: %w", r.dir.index, err)
		return
	}
	r.commands++
	r.dir.apply(&c)
}

// Reads and ReadsSnapshot are asked by nobody.
func (*DirectoryReader) Reads(string) bool         { return true }
func (*DirectoryReader) ReadsSnapshot(string) bool { return true }

func (*DirectoryReader) Lead(Term, time.Duration) {}
func (*DirectoryReader) Follow()                  {}
func (*DirectoryReader) Confirmed(uint64)         {}
func (*DirectoryReader) Offered(NodeID)           {}

// Snapshot is asked by nobody.
func (*DirectoryReader) Snapshot() string { return "" }

// Err is why the Directory ends before its last command; nil if it does not.
func (r *DirectoryReader) Err() error { return r.err }

// Directory returns what was read; nil before there was a Directory.
func (r *DirectoryReader) Directory() *DiskDirectory {
	if r.dir == nil {
		return nil
	}
	d := r.dir.report()
	d.Folded, d.Commands, d.Cut = r.folded, r.commands, r.err != nil
	return &d
}

// Note adds damage to a report.
func (r *DiskReport) Note(d DiskDamage) {
	if r.Damaged++; len(r.Damage) < DamageMax {
		r.Damage = append(r.Damage, d)
	}
}

package disk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gtstore/core/wire"
)

// Format is the format of a directory: of its files, and what they are called. The
// records have one of their own, wire.RecordVersion.
const Format = 2

// descriptor says what a directory is.
type descriptor struct {
	Format  int    `json:"format"`
	Records int    `json:"records"`
	Role    Role   `json:"role"`
	Places  places `json:"places"`
	Begun   bool   `json:"begun"` // a batch was told to be durable since the data were made
	Sum     string `json:"sum"`   // of the text before it; always the last
}

// places tell a directory from a copy. That of the file alone is not enough: a copy may be made
// of links to the same file, or the data be those of an older copy. Each is empty where the file
// system does not tell, and that of the data from SetAside to the next start.
type places struct {
	File      string `json:"file,omitempty"` // see placeOf
	Directory string `json:"directory,omitempty"`
	Data      string `json:"data,omitempty"`
}

// places are those of now.
func (d *directory) places() places {
	return places{placeOf(d.fs, d.path(descriptorFile)), placeOf(d.fs, d.name), placeOf(d.fs, d.path(dataDir))}
}

// isCopy tells whether this is not the directory that was made. Data that are gone, or not made
// yet, are not those of another.
func (d *directory) isCopy(found *descriptor) bool {
	now := d.places()
	if found.Places.Data == "" || now.Data == "" {
		now.Data = found.Places.Data
	}
	return !now.are(found.Places)
}

// are tells whether these may be those places.
func (p places) are(q places) bool {
	return isPlace(p.File, q.File) && isPlace(p.Directory, q.Directory) && isPlace(p.Data, q.Data)
}

// isPlace tells whether two words of placeOf are of one file. With another kernel a system may begin
// to tell when a file was made, or cease to: then the number counts alone, or no directory on it
// would be taken for its own any more.
func isPlace(a, b string) bool {
	number, born, _ := strings.Cut(a, "-")
	other, otherBorn, _ := strings.Cut(b, "-")
	return number == other && (born == otherBorn || number != "" && (born == "" || otherBorn == ""))
}

func newDescriptor(role Role) *descriptor {
	return &descriptor{Format: Format, Records: wire.RecordVersion, Role: role}
}

const sumMark = `"sum": "`

// text is what stands in the file. What comes before the checksum may differ between formats,
// but not how it is summed: damage is told from a newer format.
func (c *descriptor) text() []byte {
	text, err := json.MarshalIndent(c, "", "  ")
	must(err) // it has no field that cannot be written
	head, _, _ := bytes.Cut(text, []byte(sumMark))
	return append(head, sumText(head)...)
}

func sumText(head []byte) string { return fmt.Sprintf("%s%016x\"\n}\n", sumMark, wire.Hash(head)) }

// read takes a descriptor from its text. It returns false if that is not as it was written.
// Before format 2 there was no checksum.
func (c *descriptor) read(text []byte) bool {
	head, _, summed := bytes.Cut(text, []byte(sumMark))
	if summed && string(text[len(head):]) != sumText(head) || json.Unmarshal(text, c) != nil {
		return false
	}
	if c.Format == Format {
		return summed && (c.Role == Manager || c.Role == Storage)
	}
	return c.Format > 0
}

// describe reads the descriptor; nil if there is none.
func (d *directory) describe() (*descriptor, error) {
	text, err := d.read(d.path(descriptorFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if errors.Is(err, errIrregular) {
		return nil, fmt.Errorf("disk: %w. Removed, it is like one that is missing. %s", err, adviceUnnamed)
	}
	if err != nil {
		return nil, fmt.Errorf("disk: %s: %w", d.path(descriptorFile), err)
	}
	var found descriptor
	if !found.read(text) {
		return nil, fmt.Errorf("disk: %s: %w: it is not as it was written (%q). The data beside it may be whole. %s", d.path(descriptorFile), ErrUnnamed, shorten(text), adviceUnnamed)
	}
	return &found, nil
}

// adviceUnnamed is what to do about data that nothing says whose they are.
const adviceUnnamed = "If they are all of the data, and no node runs, or will run, on another copy of them, start the node with --moved: it goes on with them. Else choose an empty directory: a storage node is filled from its group, where that has other members; a manager would be that of a new cluster"

func shorten(text []byte) []byte { return text[:min(len(text), 80)] }

// check refuses a directory of another format, role or place.
func (d *directory) check(found *descriptor, role Role, moved bool) error {
	switch {
	case found.Format != Format:
		return fmt.Errorf("disk: %s: %w: it has format %d, and this program knows format %d: start it with the program that wrote it", d.name, ErrFormat, found.Format, Format)
	case found.Records != wire.RecordVersion:
		return fmt.Errorf("disk: %s: %w: its records have version %d, and this program knows version %d: start it with the program that wrote it", d.name, ErrFormat, found.Records, wire.RecordVersion)
	case found.Role != role:
		return belongs(d.name, found.Role, role)
	case !moved && d.isCopy(found):
		instead := "choose an empty directory: the node is filled from its group, where that has other members"
		if role == Manager {
			instead = "start the manager on the original: one on an empty directory would be that of a new cluster"
		}
		return fmt.Errorf("disk: %s: %w of another directory, or its %s is: a copy may lack what its node has acknowledged since, and one node must not run twice. If it was moved (its node was stopped before that), and no node will ever be started on the original, say so with --moved; else %s", d.name, ErrCopied, dataDir, instead)
	}
	return nil
}

func belongs(name string, whose, role Role) error {
	return fmt.Errorf("disk: %s belongs to a %s: a %s needs another directory", name, whose.what(), role.what())
}

// begun notes that there are records from now on. It comes before the first batch is told to
// be durable, and stays: data that are empty then are no new ones, but damaged.
func (d *Disk) begun() error {
	d.selfMu.Lock()
	defer d.selfMu.Unlock()
	if d.self.Begun {
		return nil
	}
	d.self.Begun = true
	return d.dir.writeDescriptor(d.self)
}

// writeDescriptor writes it whole or not at all. The place of the file itself is known only once
// it is there, so it is written twice. The caller says where the data are.
func (d *directory) writeDescriptor(c *descriptor) error {
	tmp := d.path(descriptorFile + ".new")
	c.Places.File, c.Places.Directory = "", placeOf(d.fs, d.name)
	err := d.writeFile(tmp, c)
	if c.Places.File = placeOf(d.fs, tmp); err == nil && c.Places.File != "" {
		err = d.rewriteFile(tmp, c)
	}
	if err == nil {
		err = d.fs.Rename(tmp, d.path(descriptorFile))
	}
	if err == nil {
		err = d.sync()
	}
	if err != nil {
		return fmt.Errorf("disk: writing %s: %w", d.path(descriptorFile), err)
	}
	return nil
}

func (d *directory) writeFile(name string, c *descriptor) error {
	f, err := d.fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	return fill(f, c)
}

// rewriteFile writes over a file in its place.
func (d *directory) rewriteFile(name string, c *descriptor) error {
	f, err := d.fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	return fill(f, c)
}

func fill(f vfs.File, c *descriptor) error {
	_, err := f.WriteAt(c.text(), 0)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"gtstore/core"
	"gtstore/core/wire"
)

// sealFile is there while a directory is closed in good order. It has a checksum of the
// engine's lists of its tables: the engine takes damage there for a torn end, and would go
// on without the tables behind it.
const sealFile = "closed"

// listsSum is that checksum.
func (d *directory) listsSum() (string, error) {
	files, err := d.fs.List(d.path(dataDir))
	if err != nil {
		return "", err
	}
	slices.Sort(files)
	sum := uint64(0)
	for _, f := range files {
		if !strings.HasPrefix(f, "MANIFEST-") && !strings.HasPrefix(f, "marker.") {
			continue
		}
		text, err := d.read(d.inData(f))
		if err != nil {
			return "", err
		}
		sum = wire.Hash(fmt.Appendf(text, " %s %d", f, sum))
	}
	return fmt.Sprintf("%016x\n", sum), nil
}

var errIrregular = errors.New("it is no regular file: remove it, or bring back the one that was there")

func (d *directory) read(name string) ([]byte, error) {
	if info, err := d.fs.Stat(name); err == nil && !info.Mode().IsRegular() { // to read a pipe would wait for who writes to it
		return nil, fmt.Errorf("%s: %w", name, errIrregular)
	}
	f, err := d.fs.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// seal is the last that is done in a directory.
func (d *directory) seal() error {
	sum, err := d.listsSum()
	if err != nil {
		return err
	}
	return d.replace(d.name, sealFile, sum)
}

// replace writes a file whole or not at all.
func (d *directory) replace(dir, file, text string) error {
	name := d.fs.PathJoin(dir, file)
	f, err := d.fs.Create(name+".new", vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := d.fs.Rename(name+".new", name); err != nil {
		return err
	}
	return syncDir(d.fs, dir)
}

// checkSeal tells whether there is a seal. Its error matches core.ErrDamaged if it is not
// intact.
func (d *directory) checkSeal() (sealed bool, err error) {
	want, err := d.read(d.path(sealFile))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil || !d.hasData() {
		return true, err
	}
	got, err := d.listsSum()
	if err == nil && got != string(want) {
		err = fmt.Errorf("%w: the lists of its tables are not as they were when it was closed", core.ErrDamaged)
	}
	return true, err
}

// unseal breaks the seal before the directory is used, unless it is not intact. The list of
// logs is of the start before, and goes before the seal: it means nothing under one.
func (d *directory) unseal() error {
	sealed, err := d.checkSeal()
	if err != nil {
		return err
	}
	if err := d.remove(d.path(dataDir), logListFile); err != nil {
		return err
	}
	if !sealed {
		return nil
	}
	return d.remove(d.name, sealFile)
}

// remove removes a file for good, if it is there.
func (d *directory) remove(dir, file string) error {
	name := d.fs.PathJoin(dir, file)
	if _, err := d.fs.Stat(name); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err := d.fs.Remove(name); err != nil {
		return err
	}
	return syncDir(d.fs, dir)
}

package disk

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	// reserveBytes stays free on a disk, or on a small one its reserveShare-th part: the
	// engine needs room to give up what is no longer needed.
	reserveBytes = 64 << 20
	reserveShare = 50

	spaceInterval = time.Second // between two looks at what is left
)

// errFull is the class of the errors of a disk on which too little is left.
var errFull = errors.New("the disk is full")

// checkSpace returns an error when too little is left.
func (d *Disk) checkSpace() error {
	usage, err := d.fs.GetDiskUsage(d.dir.name)
	if errors.Is(err, vfs.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("disk: %s: asking for the space left: %w", d.dir.name, err)
	}
	if want := min(reserveBytes, usage.TotalBytes/reserveShare); usage.AvailBytes < want {
		return fmt.Errorf("disk: %s: %w: %d KiB are left of %d KiB, and at least %d KiB must be: free some, or move the directory to a larger disk, and start the node again",
			d.dir.name, errFull, usage.AvailBytes>>10, usage.TotalBytes>>10, want>>10)
	}
	return nil
}

// engineMarker begins the name of a file that the engine makes once and keeps.
const engineMarker = "marker.format-version."

// checkThere returns an error when the directory is not there any more, or another one stands
// under its name, as after an unmount. To the engine all is well: it writes to files that
// nobody is going to find. That no more files can be opened just now says nothing of the
// directory: any process of the machine may have them all.
func (d *Disk) checkThere() error {
	d.selfMu.Lock()
	defer d.selfMu.Unlock()
	names, err := d.fs.List(d.dir.path(dataDir))
	switch {
	case isOutOfFiles(err):
		return nil // it is looked again
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("disk: %s: %w", d.dir.name, err)
	}
	if d.self.Places == d.dir.places() && slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, engineMarker) }) {
		return nil
	}
	return fmt.Errorf("disk: %s: it was removed, replaced or unmounted while it was in use: %w", d.dir.name, os.ErrNotExist)
}

// watchSpace has the disk fail before it is full: the engine tries for ever to write a
// table for which there is no room. It also notices a directory that is gone.
func (d *Disk) watchSpace() {
	tick := time.NewTicker(spaceInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := cmp.Or(d.checkThere(), d.checkSpace()); err != nil {
				d.fail.with(err)
				return
			}
		case <-d.quit:
			return
		}
	}
}

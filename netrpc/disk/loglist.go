package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/record"

	"gtstore/core"
)

// logListFile is in dataDir while a node runs. It lists the logs of the engine since the start
// that were synced, oldest first: to the engine a log that is gone is one that never was, and
// it would start without what only that log held.
//
// It is removed before the engine is opened, which makes tables of all logs and removes them,
// and then for a moment has none.
const logListFile = "logs"

// logListMax is how many logs are listed: more than the engine ever needs at a time, as that is
// one for each table in memory.
const logListMax = 4 * memTablesMax

// listLog adds a log, which was just synced for the first time, before anything in it is told
// to be durable. The engine syncs one log at a time.
func (d *Disk) listLog(number uint64) error {
	d.logs = append(d.logs, number)
	d.logs = d.logs[max(0, len(d.logs)-logListMax):]
	var text strings.Builder
	for _, n := range d.logs {
		fmt.Fprintln(&text, n)
	}
	return d.dir.replace(d.dir.path(dataDir), logListFile, text.String())
}

// neededLogs returns the listed logs of which the engine needs what they hold. Its error
// matches core.ErrDamaged if the list is not as it was written.
func (d *directory) neededLogs() (list []uint64, err error) {
	text, err := d.read(d.inData(logListFile))
	if errors.Is(err, os.ErrNotExist) || d.exists(sealFile) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	unflushed, known := d.unflushedLog()
	for _, line := range strings.Fields(string(text)) {
		n, err := strconv.ParseUint(line, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("%w: it is not as it was written (%q)", core.ErrDamaged, shorten(text))
		}
		if known && n >= unflushed { // else the engine is going to say what is wrong
			list = append(list, n)
		}
	}
	return list, nil
}

// dropLogs removes the logs that are all in tables. The engine keeps some, to use their files
// again, for as long as it is open. They may be what fills the disk.
func (d *directory) dropLogs() error {
	unflushed, known := d.unflushedLog()
	if !known {
		return nil
	}
	names, err := d.fs.List(d.path(dataDir))
	for _, name := range names {
		if n, isLog := logNumber(name); isLog && uint64(n) < unflushed {
			err = errors.Join(err, d.fs.Remove(d.inData(name)))
		}
	}
	return err
}

// unflushedLog returns the first log that is not all in tables, as the engine's list of its
// tables says; 0 before the first table.
func (d *directory) unflushedLog() (number uint64, known bool) {
	engine, err := pebble.Peek(d.path(dataDir), d.fs)
	if err != nil || !engine.Exists {
		return 0, false
	}
	f, err := d.fs.Open(engine.ManifestFilename)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	for edits := record.NewReader(f, 0); ; known = true {
		edit, err := edits.Next()
		if err != nil {
			return number, known
		}
		text, err := io.ReadAll(edit)
		if err != nil {
			return number, known
		}
		number = max(number, unflushedIn(text))
	}
}

// unflushedIn finds the number of that log in one change of the list; 0 if it has none. Such a
// change is a sequence of fields, each after its tag. The log comes first, or right after the
// name of the order of keys.
func unflushedIn(edit []byte) uint64 {
	const orderTag, logTag = 1, 2
	next := func() uint64 {
		v, n := binary.Uvarint(edit)
		edit = edit[max(n, 0):]
		return v
	}
	tag := next()
	if tag == orderTag {
		edit = edit[min(next(), uint64(len(edit))):]
		tag = next()
	}
	if tag == logTag {
		return next()
	}
	return 0
}

// logNumber is the number of a log, from its name.
func logNumber(name string) (number uint32, isLog bool) {
	digits, isLog := strings.CutSuffix(name, ".log")
	n, err := strconv.ParseUint(digits, 10, 32)
	return uint32(n), isLog && err == nil
}

func logName(number uint64) string { return fmt.Sprintf("%06d.log", number) }

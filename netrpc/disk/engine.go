package disk

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"gtstore/core"
)

const (
	// engineFormat is the first in which each part of a table has a checksum: the engine
	// panics over a footer that is damaged. And each part of a log says how far all before
	// it was synced, which tells most damage from a torn tail.
	engineFormat = pebble.FormatTableFormatV6

	memTableBytes = 64 << 20 // written to memory before it goes to a table
	memTablesMax  = 4        // of these, before the engine takes no more for a while
	cacheBytes    = 8 << 20  // a node reads its data only when it starts

	// openFilesMax bounds the tables that the engine keeps open, but for up to closingMax that
	// it is about to close. By default it would keep a thousand, all those that a start reads:
	// there is no start then where a process may have 1,024 files, nor a file for a connection.
	openFilesMax = 96
	closingMax   = 100

	// queueLen is how many batches Write takes without waiting: more than a host has
	// under way.
	queueLen = 64

	// closeTime bounds how long Close waits for a disk that does not answer.
	closeTime = 10 * time.Second
)

// Disk is one node's data in the engine.
type Disk struct {
	db  *pebble.DB
	dir *directory
	fs  vfs.FS

	selfMu sync.Mutex
	self   *descriptor // as it stands in the directory

	logs []uint64 // that listLog has listed
	log  *slog.Logger
	fail failure

	memTable  uint64 // bytes, of each
	closeTime time.Duration

	applying, syncing chan *pebble.Batch
	synced            func()
	telling           sync.Mutex // held while synced or failed is called
	running           sync.WaitGroup
	quit              chan struct{} // closed by Close

	mu      sync.Mutex
	started bool  // by Start
	found   error // damage that the engine found before
}

// failure is the first error of a disk: no other counts.
type failure struct {
	once sync.Once
	done chan struct{} // closed once there is one
	err  error
}

func (f *failure) with(err error) {
	f.once.Do(func() {
		f.err = err
		close(f.done)
	})
}

// why is the error, or nil.
func (f *failure) why() error {
	select {
	case <-f.done:
		return f.err
	default:
		return nil
	}
}

// options are the engine's.
func (d *Disk) options() *pebble.Options {
	o := &pebble.Options{
		FS:                          &holdFS{d.fs, d},
		FormatMajorVersion:          engineFormat,
		MemTableSize:                d.memTable,
		MemTableStopWritesThreshold: memTablesMax,
		CacheSize:                   cacheBytes,
		MaxOpenFiles:                openFilesMax,
		Logger:                      engineLog{d},
		EventListener: &pebble.EventListener{
			BackgroundError: d.backgroundFailed,
			// Whoever reads it gets the error: by default the engine ends the process.
			DataCorruption: func(i pebble.DataCorruptionInfo) { d.log.Error("the engine has found damage", "what", i.String()) },
		},
	}
	o.Experimental.FileCacheShards = 1 // each has closingMax
	return o
}

// backgroundFailed takes an error of what the engine does by itself. The engine would try
// again, at once and for ever, so it is held here with its locks. Not so where it has found
// damage before Start: it is closed then, so that its files can be put aside.
func (d *Disk) backgroundFailed(err error) {
	err = fmt.Errorf("disk: %s: writing tables: %w", d.dir.name, classify(err))
	if d.foundEarly(err) {
		return
	}
	d.fail.with(err)
	select {}
}

func (d *Disk) foundEarly(err error) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.started || !errors.Is(err, core.ErrDamaged) {
		return false
	}
	d.found = cmp.Or(d.found, err)
	return true
}

// start returns what was found before.
func (d *Disk) start() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.started = true
	return d.found
}

// open opens the engine's files in that part of the directory.
func (d *Disk) open(part string, isNew bool) error {
	o := d.options()
	o.ErrorIfNotExists, o.ErrorIfExists = !isNew, isNew
	o.EnsureDefaults()
	return d.guard(func() (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("the engine: %w", &engineError{fmt.Sprint(r), []any{r}})
			}
			if err != nil && !isNew {
				err = classifyOpen(err)
			}
		}()
		d.db, err = pebble.Open(d.dir.path(part), o)
		return err
	})
}

// guard waits for something that the engine does, unless it is held for a failure.
func (d *Disk) guard(do func() error) error {
	ended := make(chan error, 1)
	go func() { ended <- do() }()
	select {
	case err := <-ended:
		return err
	case <-d.fail.done:
		return d.fail.err
	}
}

// classify makes damage that the engine has found match core.ErrDamaged.
func classify(err error) error {
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: %w", core.ErrDamaged, err)
	}
	return err
}

// classifyOpen does so for an error of opening what was there: all that the engine has
// against it is damage, and not what the system has. A file that is gone is damage too.
func classifyOpen(err error) error {
	var system syscall.Errno
	if errors.As(err, &system) && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return fmt.Errorf("%w: %w", core.ErrDamaged, err)
}

// Range implements core.Space.
func (d *Disk) Range(prefix string, f func(key, value string) error) (err error) {
	reading := true // and not in f
	defer func() {
		if reading {
			if r := recover(); r != nil {
				err = d.readFailed(classifyOpen(fmt.Errorf("the engine: %w", &engineError{fmt.Sprint(r), []any{r}})))
			}
		}
	}()
	var from []byte // to the engine a bound that is there is not empty
	if prefix != "" {
		from = []byte(prefix)
	}
	it, err := d.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: after(prefix)})
	if err != nil {
		return d.readFailed(err)
	}
	defer func() {
		if closed := it.Close(); err == nil && closed != nil {
			err = d.readFailed(closed)
		}
	}()
	for valid := it.First(); valid; valid = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return d.readFailed(err)
		}
		key := string(it.Key())
		reading = false
		err = f(key, string(value))
		if reading = true; err != nil {
			return err
		}
	}
	return nil
}

func (d *Disk) readFailed(err error) error {
	return fmt.Errorf("disk: %s: reading: %w", d.dir.name, classify(err))
}

// after is the first key behind all that begin with the prefix; nil if there is none.
func after(prefix string) []byte {
	end := []byte(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// Start implements netrpc.Disk.
func (d *Disk) Start(synced func(), failed func(error)) {
	d.synced = synced
	if err := d.start(); err != nil {
		d.fail.with(err)
	}
	d.applying, d.syncing = make(chan *pebble.Batch, queueLen), make(chan *pebble.Batch, queueLen)
	d.running.Add(2)
	go d.apply()
	go d.awaitSyncs()
	go d.watchSpace()
	go func() { // whoever notices a failure may hold locks of the engine
		select {
		case <-d.fail.done:
			d.telling.Lock() // nothing is synced after it
			defer d.telling.Unlock()
			failed(d.fail.err)
		case <-d.quit:
		}
	}()
}

// Write implements netrpc.Disk.
func (d *Disk) Write(persists func(yield func([]core.Write) bool)) {
	b := d.db.NewBatch()
	for writes := range persists {
		for i := range writes {
			add(b, &writes[i])
		}
	}
	d.applying <- b
}

// add appends a write to a batch. Building a batch in memory cannot fail.
func add(b *pebble.Batch, w *core.Write) {
	switch {
	case w.Delete && w.End != "":
		must(b.DeleteRange([]byte(w.Key), []byte(w.End), nil))
	case w.Delete:
		op := b.DeleteDeferred(len(w.Key))
		copy(op.Key, w.Key)
		must(op.Finish())
	default:
		op := b.SetDeferred(len(w.Key), len(w.Value))
		copy(op.Key, w.Key)
		copy(op.Value, w.Value)
		must(op.Finish())
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// apply applies the batches to the engine's log and tables in memory, in order. That may
// wait, for a table that is being written or for a new file.
func (d *Disk) apply() {
	defer d.running.Done()
	defer close(d.syncing)
	defer func() { // the engine panics when its log takes no more
		if r := recover(); r != nil {
			d.fail.with(fmt.Errorf("disk: %s: the engine: %w", d.dir.name, &engineError{fmt.Sprint(r), []any{r}}))
			d.log.Debug("the engine's panic", "stack", string(debug.Stack()))
		}
	}()
	for b := range d.applying {
		if d.fail.why() != nil {
			continue
		}
		if err := d.db.ApplyNoSyncWait(b, pebble.Sync); err != nil {
			d.fail.with(fmt.Errorf("disk: %s: writing: %w", d.dir.name, err))
			continue
		}
		d.syncing <- b
	}
}

// awaitSyncs tells, in order, that the batches are durable.
func (d *Disk) awaitSyncs() {
	defer d.running.Done()
	for b := range d.syncing {
		if err := b.SyncWait(); err != nil {
			d.fail.with(fmt.Errorf("disk: %s: a sync failed: %w", d.dir.name, err))
		} else if err := d.begun(); err != nil {
			d.fail.with(err)
		}
		d.tellSynced(b)
	}
}

func (d *Disk) tellSynced(b *pebble.Batch) {
	d.telling.Lock()
	defer d.telling.Unlock()
	if d.fail.why() == nil {
		b.Close()
		d.synced()
	}
}

// Close implements netrpc.Disk. What it leaves is all in tables, of which each part has a
// checksum: where a log ends, damage may look as if the power had gone. After a failure it
// leaves the engine as it stands, and the directory locked until the process ends, since
// the engine may be at work in it. The error is nil then: Start's failed was told.
func (d *Disk) Close() error {
	told := d.fail.why() != nil
	close(d.quit)
	ended := make(chan error, 1)
	go func() {
		if d.applying != nil {
			close(d.applying)
			d.running.Wait()
		}
		if d.fail.why() == nil {
			ended <- d.end()
		}
	}()
	select {
	case err := <-ended:
		return errors.Join(err, d.dir.unlock())
	case <-d.fail.done:
		if told {
			return nil
		}
		return d.fail.err
	case <-time.After(d.closeTime):
		return fmt.Errorf("disk: %s: the disk did not answer for %v; what was not durable by then is lost", d.dir.name, d.closeTime)
	}
}

// end closes the engine. Nothing can be written to it any more when it is sealed.
func (d *Disk) end() error {
	if d.applying == nil {
		return d.db.Close()
	}
	if err := errors.Join(d.db.Flush(), d.db.Close()); err != nil {
		return err
	}
	if err := d.dir.seal(); err != nil {
		return fmt.Errorf("disk: %s: writing %s: %w", d.dir.name, sealFile, err)
	}
	return nil
}

// engineLog is where the engine logs.
type engineLog struct{ d *Disk }

func (l engineLog) Infof(format string, args ...any) {
	l.d.log.Debug("engine", "says", fmt.Sprintf(format, args...))
}

func (l engineLog) Errorf(format string, args ...any) {
	l.d.log.Error("engine", "says", fmt.Sprintf(format, args...))
}

// Fatalf never returns: the engine calls it where it cannot go on, and would go on all
// the same.
func (l engineLog) Fatalf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	for _, a := range args {
		if err, is := a.(error); is { // which the format may print with its stack
			text = err.Error()
		}
	}
	l.d.fail.with(fmt.Errorf("disk: %s: the engine: %w", l.d.dir.name, &engineError{text, args}))
	select {}
}

// engineError is an error that the engine has put into words; its cause may be among those.
type engineError struct {
	text  string
	words []any
}

func (e *engineError) Error() string { return e.text }

func (e *engineError) Unwrap() error {
	for _, w := range e.words {
		if err, ok := w.(error); ok {
			return err
		}
	}
	return nil
}

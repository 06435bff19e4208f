package disk

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"gtstore/core"
)

const (
	// engineFormat tells the torn tail of a log from damage in its middle: each part of
	// the log says how far everything before it was synced.
	engineFormat = pebble.FormatWALSyncChunks

	memTableBytes = 64 << 20 // written to memory before it goes to a table
	memTablesMax  = 4        // of these, before the engine takes no more for a while
	cacheBytes    = 8 << 20  // a node reads its data only when it starts

	// queueLen is how many batches Write takes without waiting: more than a host has
	// under way.
	queueLen = 64

	// closeTime bounds how long Close waits for a disk that does not answer.
	closeTime = 10 * time.Second
)

// Disk is one node's data in the engine.
type Disk struct {
	db   *pebble.DB
	dir  *directory
	fs   vfs.FS
	log  *slog.Logger
	fail failure

	applying, syncing chan *pebble.Batch
	synced            func()
	running           sync.WaitGroup
	quit              chan struct{} // closed by Close
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
		FS:                          d.fs,
		FormatMajorVersion:          engineFormat,
		MemTableSize:                memTableBytes,
		MemTableStopWritesThreshold: memTablesMax,
		CacheSize:                   cacheBytes,
		Logger:                      engineLog{d},
		EventListener: &pebble.EventListener{BackgroundError: func(err error) {
			d.fail.with(fmt.Errorf("disk: %s: writing tables: %w", d.dir.name, err))
		}},
	}
	return o
}

// open opens the engine's files.
func (d *Disk) open(name string, isNew bool) (err error) {
	o := d.options()
	o.ErrorIfNotExists = !isNew
	o.EnsureDefaults()
	if d.db, err = pebble.Open(name, o); err != nil {
		return classify(err)
	}
	return nil
}

// classify makes damage that the engine has found match core.ErrDamaged.
func classify(err error) error {
	if pebble.IsCorruptionError(err) || errors.Is(err, pebble.ErrDBDoesNotExist) {
		return fmt.Errorf("%w: %w", core.ErrDamaged, err)
	}
	return err
}

// Range implements core.Space.
func (d *Disk) Range(prefix string, f func(key, value string) error) (err error) {
	it, err := d.db.NewIter(&pebble.IterOptions{LowerBound: []byte(prefix), UpperBound: after(prefix)})
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
		if err := f(string(it.Key()), string(value)); err != nil {
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
	d.applying, d.syncing = make(chan *pebble.Batch, queueLen), make(chan *pebble.Batch, queueLen)
	d.running.Add(2)
	go d.apply()
	go d.awaitSyncs()
	go d.watchSpace()
	go func() { // whoever notices a failure may hold locks of the engine
		select {
		case <-d.fail.done:
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
			d.fail.with(fmt.Errorf("disk: %s: the engine: %v", d.dir.name, r))
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
		}
		if d.fail.why() == nil {
			b.Close()
			d.synced()
		}
	}
}

// Close implements netrpc.Disk. After a failure it leaves the engine as it stands: what it
// would still write may be wrong. The directory then stays locked until the process ends,
// since the engine may be at work in it. The error is nil: Start's failed was told.
func (d *Disk) Close() error {
	close(d.quit)
	ended := make(chan error, 1)
	go func() {
		if d.applying != nil {
			close(d.applying)
			d.running.Wait()
		}
		if d.fail.why() == nil {
			ended <- d.db.Close()
		}
	}()
	select {
	case err := <-ended:
		return errors.Join(err, d.dir.unlock())
	case <-d.fail.done:
		return nil
	case <-time.After(closeTime):
		return fmt.Errorf("disk: %s: the disk did not answer for %v; what was not durable by then is lost", d.dir.name, closeTime)
	}
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
	l.d.fail.with(fmt.Errorf("disk: %s: the engine: "+format, append([]any{l.d.dir.name}, args...)...))
	select {}
}

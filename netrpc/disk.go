package netrpc

import (
	"sync/atomic"

	"gtstore/core"
)

// A Disk is where a durable node keeps its data: the Space that it starts over, and what
// makes durable what it writes from then on. Package disk has one. A Disk serves one
// node, once.
type Disk interface {
	core.Space

	// Start has the Disk tell what becomes of the batches: synced, once for each of them,
	// in order, when it is durable, and failed when no more of them will be. Neither is
	// called by Write.
	Start(synced func(), failed func(error))

	// Write has a batch made durable after all earlier ones, all or nothing: the Persists
	// of some Outputs, in order. It does not wait for the disk, and keeps nothing of what it is
	// given. At most syncsMax of them are under way.
	Write(persists func(yield func([]core.Write) bool))

	// Close ends what is under way, and the Disk.
	Close() error
}

// syncsMax bounds the batches of writes that are under way to the disk. While so many
// are, what comes shares the next one.
const syncsMax = 8

// syncer is how a host keeps an Output's promise about its After with a Disk.
type syncer struct {
	disk Disk
	gate core.Gate
	left []core.Envelope // what leaves in this turn
	host *host

	done   atomic.Int64          // syncs that have ended, and have not been taken up yet
	failed atomic.Pointer[error] // why there are no more of them
}

// start lets whoever ends a sync step the node.
func (s *syncer) start(h *host) {
	s.host = h
	s.disk.Start(func() {
		s.done.Add(1)
		h.looks.Add(1)
		h.drive()
	}, func(err error) {
		s.failed.CompareAndSwap(nil, &err)
		h.looks.Add(1)
		h.drive()
	})
}

// take takes over what an Output wants to be durable, and what is to leave then. It
// returns what waits for nothing, good until the next call.
func (s *syncer) take(out *core.Output) []core.Envelope {
	clear(s.left)
	s.left = s.left[:0]
	s.gate.Take(out.Persist, out.After, s.leave)
	s.begin()
	return s.left
}

// ended ends the syncs that the disk has ended. It returns what may leave now, good until
// the next call, whether any sync has ended, and why the disk has failed, if it has.
func (s *syncer) ended() (left []core.Envelope, some bool, err error) {
	if err := s.failed.Load(); err != nil {
		return nil, false, *err
	}
	done := s.done.Swap(0)
	if done == 0 {
		return nil, false, nil
	}
	clear(s.left)
	s.left = s.left[:0]
	for range done {
		if s.host.seen != nil {
			s.host.seen.syncEnds(s.host.now())
		}
		s.gate.End(func([]core.Write) {}, s.leave)
	}
	s.begin()
	return s.left, true, nil
}

func (s *syncer) leave(e *core.Envelope) { s.left = append(s.left, *e) }

// begin begins a sync, if there is something to sync and not too many are under way.
func (s *syncer) begin() {
	if s.gate.UnderWay() >= syncsMax {
		return
	}
	first, end, some := s.gate.Begin()
	if !some {
		return
	}
	if s.host.seen != nil {
		s.host.seen.syncBegins(s.host.now())
	}
	s.disk.Write(func(yield func([]core.Write) bool) {
		for i := first; i < end; i++ {
			if writes, _ := s.gate.Batch(i); !yield(writes) {
				return
			}
		}
	})
}

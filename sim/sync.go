package sim

import (
	"time"

	"gtstore/core"
	"gtstore/sim/mark"
)

// sync starts one if there is something to sync and none is under way.
func (w *World) sync(h *Host) {
	if h.disk.gate.UnderWay() > 0 {
		return
	}
	if _, _, some := h.disk.gate.Begin(); !some {
		return
	}
	it := w.queue.push(w.now+h.disk.latency, tieLocal)
	it.kind, it.to, it.life = itemSync, int16(h.index), h.life
}

// stallDisk lets no sync end for some time.
func (w *World) stallDisk(h *Host, took int64) {
	w.ledger.DiskStall(h.index, w.now, took)
	h.disk.stalled = max(h.disk.stalled, w.now+took)
	it := w.queue.push(h.disk.stalled, tieLocal)
	it.kind, it.to = itemDisk, int16(h.index)
}

// resumeDisk lets the sync end that waited for the end of a stall.
func (w *World) resumeDisk(h *Host) {
	if h.disk.stalled > w.now {
		return
	}
	for _, slot := range h.disk.waiting {
		w.queue.pushSlot(w.now, tieLocal, slot)
	}
	h.disk.waiting = h.disk.waiting[:0]
}

// onSync ends a sync. A process that is paused learns of it when it resumes.
func (w *World) onSync(h *Host, slot uint32) {
	life := w.queue.items[slot].life
	if life == h.life && h.disk.stalled > w.now {
		h.disk.waiting = append(h.disk.waiting, slot)
		w.reachIf(mark.SyncBehindAStall, h.role == RoleStorage)
		return
	}
	if life == h.life && h.paused {
		h.backlog = append(h.backlog, slot)
		return
	}
	w.queue.release(slot)
	if life != h.life {
		return
	}
	if f := h.disk.failing; f != nil {
		w.failDisk(h, errSyncFailed, f.Keep, f.Torn)
		return
	}
	if h.disk.full {
		w.failDisk(h, errDiskFull, 0, 0)
		return
	}
	if w.log != nil {
		w.log(&LogRecord{At: time.Duration(w.now), What: LogSynced, To: h.name})
	}
	h.disk.finish(func(e *core.Envelope) { w.send(h, e) })
	w.sync(h)
}

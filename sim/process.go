package sim

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"gtstore/core"
	"gtstore/core/quorum"
	"gtstore/sim/schedule"
	"gtstore/sim/splitmix"
)

// Salts that make independent draws of one process, or of its timers. The network's
// salts are greater than these.
const (
	saltNode uint64 = iota + 1
	saltCluster
	saltSeed
	saltStart
	saltTimer
)

// Why a process halted, beside what its core says.
var (
	ErrNotStarted = errors.New("cannot start")
	ErrDiskFailed = errors.New("the disk failed")
)

// staggerMax is the most that a storage node starts after the manager.
const staggerMax = 2 * time.Millisecond

// startAll starts the manager and the clients at once, before the first action,
// and the storage nodes soon after, so that the order in which they register
// differs.
func (w *World) startAll() {
	for _, h := range w.hosts {
		if h.role != RoleStorage {
			w.start(h)
			continue
		}
		at := int64(h.index) * int64(100*time.Microsecond)
		if w.seed != 0 {
			at = int64(splitmix.Mix(splitmix.Mix(w.seed, saltStart), h.code) % uint64(staggerMax))
		}
		it := w.queue.push(at, tieFree)
		it.kind, it.to = itemStart, int16(h.index)
	}
}

// start runs a new process on a host that is down.
func (w *World) start(h *Host) {
	h.incarnation++
	h.life++
	h.stopped, h.halted = false, nil
	if h.incarnation == 1 || !w.schedule.Shape.Durable || h.disk.empty() || len(w.managers) > 1 && h.role == RoleManager {
		// Without data it is a new node; otherwise it is what its data says. One of several
		// managers reads itself whether it has any.
		h.peer.ID = core.NodeID(w.identity(h, saltNode))
		h.cluster = core.ClusterID(w.identity(h, saltCluster))
	}
	w.net.Forget(h.index)
	w.inCore = h
	node, err := w.options.newNode(w.schedule, h, w.identity(h, saltSeed))
	w.inCore = nil
	if err != nil {
		h.halted = fmt.Errorf("%w: %w", ErrNotStarted, err)
		w.noteHalt(h)
		w.changed(h, HostHalted)
		return
	}
	h.node, h.paused = node, false
	w.setUp(h, true)
	if self, ok := node.(interface{ Self() core.Peer }); ok {
		h.peer = self.Self()
	}
	w.changed(h, HostStarted)
	h.timerAt, h.deadline = never, node.Deadline()
	w.arm(h)
}

// identity draws a number that is not 0 for one process.
func (w *World) identity(h *Host, salt uint64) uint64 {
	return max(1, splitmix.Mix(splitmix.Mix(w.seed, salt<<32|h.code), uint64(h.incarnation)))
}

const (
	// joinTimeout is shorter than a real cluster's, for the few seconds of a run.
	joinTimeout = time.Second
	// joinTrips is by how many of the round trips beyond those of one site it grows.
	joinTrips = 10
)

// newNode makes the core of a host's role. It is the one place that knows the
// core's constructors.
func newNode(s *schedule.Schedule, h *Host, seed uint64) (core.Node, error) {
	var space core.Space = core.Empty{}
	if s.Shape.Durable {
		space = &h.disk
	}
	manager, l := core.Peer{Addr: schedule.ManagerHost}, &s.Shape.Limits
	var managers []core.Peer
	if s.Shape.Managers > 1 {
		manager = core.Peer{}
		for _, name := range s.Shape.ManagerHosts() {
			managers = append(managers, core.Peer{Addr: name})
		}
	}
	switch h.role {
	case RoleManager:
		opt := core.ManagerOptions{
			Seed: [32]byte(binary.LittleEndian.AppendUint64(make([]byte, 24), seed)),
			Self: h.peer, Cluster: h.cluster, Durable: s.Shape.Durable,
			CommandsKeep: s.Shape.Commands, Placement: s.Shape.Placement, Replicas: s.Shape.Replicas, MinChain: int(h.terms.MinChain), Reads: h.terms.Reads, Lease: h.terms.Lease, HaltOnLoss: s.Shape.Halt,
			QuarantineMin: s.Shape.Quarantine, QuarantineMax: 10 * s.Shape.Quarantine, JoinTimeout: joinTimeout + joinTrips*s.Shape.BeyondNear(),
		}
		if len(managers) == 0 {
			return core.NewManager(opt, space)
		}
		return quorum.NewManager(opt, s.Shape.ManagerHosts(), quorum.Options{LogBytes: managerLogBytes}, space)
	case RoleStorage:
		return core.NewStorage(core.StorageOptions{
			Self: h.peer, Manager: manager, Managers: managers, Name: h.name, Secret: seed, Durable: s.Shape.Durable,
			LogKeep: s.Shape.LogKeep, SessionsMax: s.Shape.Sessions, JoinLagMax: 8 * s.Shape.LogKeep, ChunkItems: s.Shape.Chunk,
			PendingMax: l.Pending, ReadsMax: l.Reads, ParkedMax: l.Parked, JoinRate: l.JoinRate, SessionTTL: l.SessionTTL,
		}, space)
	}
	return core.NewClient(core.ClientOptions{Self: h.peer, Manager: manager, Managers: managers, Seed: seed, SessionIdleMax: l.SessionIdle})
}

// managerLogBytes is so little that managers fold their log in a run of some seconds.
const managerLogBytes = 2 << 10

// setTerms says with which terms the next process of the manager starts.
func (h *Host) setTerms(t *core.Terms) bool {
	before := h.terms
	h.terms = core.Terms{
		Reads: cmp.Or(t.Reads, before.Reads), Lease: cmp.Or(t.Lease, before.Lease), MinChain: cmp.Or(t.MinChain, before.MinChain),
	}
	return h.terms != before
}

// setUp notes whether a process runs on a host, also with the network.
func (w *World) setUp(h *Host, up bool) {
	h.up = up
	w.net.SetUp(h.index, up)
}

// setSlow has whatever a host does begin so much later, also what arrives there.
func (w *World) setSlow(h *Host, by int64) {
	h.slow = by
	w.net.SetSlow(h.index, by)
}

// kill ends a host's process. Of the batches that were not synced the first keep
// survive, and perhaps the next, of which torn bytes were written.
func (w *World) kill(h *Host, keep, torn int, change Change) {
	w.breakConnections(h)
	w.setUp(h, false)
	h.paused = false
	h.life++
	h.timerAt = never
	for _, slot := range h.backlog {
		w.queue.release(slot)
	}
	h.backlog = h.backlog[:0]
	for _, m := range h.inbox {
		w.queue.release(m.slot)
	}
	h.inbox, h.working, h.busy = nil, false, h.cost > 0
	w.carryOut(w.net.DropUnsent(h.index))
	h.disk.crash(keep, torn)
	h.out.Reset()
	w.changed(h, change)
}

// halt carries out a node's own wish to end. For a client that has closed another one
// goes on with what is left to do, and a manager that begins anew is started again.
func (w *World) halt(h *Host, why error) {
	h.halted = why
	if errors.Is(why, quorum.ErrAnew) {
		w.kill(h, 0, 0, HostHalted)
		w.start(h)
		return
	}
	if h.role == RoleClient && errors.Is(why, core.ErrStopped) {
		w.kill(h, 0, 0, HostHalted)
		w.start(h)
		w.takeOver(h)
		return
	}
	w.noteHalt(h)
	w.kill(h, 0, 0, HostHalted)
}

// failDisk ends a process whose disk took no more: it can keep no promise.
func (w *World) failDisk(h *Host, why error, keep, torn int) {
	h.halted = why
	w.noteHalt(h)
	w.kill(h, keep, torn, HostHalted)
}

func (w *World) noteHalt(h *Host) {
	w.halts = append(w.halts, Halt{Host: h.name, Node: h.peer.ID, At: time.Duration(w.now), Why: h.halted.Error()})
}

func (w *World) pause(h *Host) {
	h.paused = true
	w.changed(h, HostPaused)
}

// resume lets a process take in, at once and in order, what arrived during the
// pause, and then do what has become due.
func (w *World) resume(h *Host) {
	h.paused = false
	w.changed(h, HostResumed)
	for _, slot := range h.backlog {
		w.queue.pushSlot(w.now, tieLocal, slot)
	}
	h.backlog = h.backlog[:0]
	w.work(h)
	h.timerAt = never
	w.arm(h)
}

// move brings a node's data to another host, which must be down and loses its own
// data. The host that the data came from is empty afterwards.
func (w *World) move(from, to *Host) bool {
	if to == nil || to.up || from == to || from.peer.ID == 0 || from.incarnation == 0 {
		return false
	}
	if from.up {
		w.kill(from, 0, 0, HostCrashed)
	}
	to.disk.wipe()
	w.changed(to, HostWiped)
	to.disk.take(&from.disk)
	to.peer.ID, from.peer.ID = from.peer.ID, 0
	w.changed(to, HostMoved)
	return true
}

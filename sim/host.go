package sim

import (
	"fmt"
	"time"

	"gtstore/core"
	"gtstore/sim/bounds"
	"gtstore/sim/mark"
	"gtstore/sim/schedule"
	"gtstore/sim/splitmix"
)

// Role is what a host runs.
type Role uint8

const (
	RoleManager Role = iota + 1
	RoleStorage
	RoleClient
)

// Host is a machine of the simulated cluster, and the process that it runs. A
// host is named by its place in the cluster ("m", "n1", "c1"), which is also
// its address.
type Host struct {
	name  string
	role  Role
	index int
	code  uint64 // names the host in draws, whatever the size of the cluster

	up, paused, stopped bool
	halted              error
	life                uint32 // counts starts and ends: what is meant for one process does not reach the next
	incarnation         int
	node                core.Node
	peer                core.Peer
	cluster             core.ClusterID // of the manager

	clock    hostClock
	deadline core.Time
	timerAt  int64 // the earliest timer in the queue, or never

	out     core.Output
	mark    int      // events of out that were seen by earlier events
	backlog []uint32 // what arrived during a pause, in order
	disk    disk
	slow    int64 // by how much whatever it does begins later

	cost     int64 // time that each message takes it
	busy     bool  // messages wait in the inbox, or would
	working  bool  // the first of the inbox is being taken in
	inbox    []waiting
	pausedAt int64
	broken   bool // it stays as broken as it is, though the faults are over
}

// waiting is a message that a busy process has not taken in yet.
type waiting struct {
	slot  uint32
	since int64
}

// Name returns the host's name, which is also its address.
func (h *Host) Name() string { return h.name }

// Role returns what the host runs.
func (h *Host) Role() Role { return h.role }

// Index returns the host's place in World.Hosts.
func (h *Host) Index() int { return h.index }

// Up reports that a process runs, paused or not.
func (h *Host) Up() bool { return h.up }

// Paused reports that the process is stalled.
func (h *Host) Paused() bool { return h.paused }

// Stopped reports that the process was asked to stop, and not restarted since.
func (h *Host) Stopped() bool { return h.stopped }

// Halted returns why the last process halted by itself, or nil.
func (h *Host) Halted() error { return h.halted }

// Incarnation counts the processes that were started, from 1; 0 before.
func (h *Host) Incarnation() int { return h.incarnation }

// Node returns the state machine of the process; when the host is down that of
// the last one, as it was. Nil before the first start.
func (h *Host) Node() core.Node { return h.node }

// Peer returns the identity and address of the process, or of the last one.
func (h *Host) Peer() core.Peer { return h.peer }

// Broken reports that the host stays as broken as it is, though the faults are
// over for the others.
func (h *Host) Broken() bool { return h.broken }

// Intact reports that what the host made durable can be read as it was written.
func (h *Host) Intact() bool { return h.disk.intact() }

// Disk returns what would survive if the host lost all that is not synced.
// Without durable mode it is empty.
func (h *Host) Disk() core.Space { return &h.disk }

// Output returns what the process wants done, so far; it is good only within an
// Observer's AfterEvent and must not be changed.
func (h *Host) Output() *core.Output { return &h.out }

// Events returns what the event under way added to the Output's Events; it is
// good only within an Observer's AfterEvent.
func (h *Host) Events() []core.Event { return h.out.Events[h.mark:] }

// Salts that make independent draws of one process, or of its timers. Those from 5
// on, and above, are the network's.
const (
	saltNode uint64 = iota + 1
	saltCluster
	saltSeed
	saltStart
	saltTimer
)

// makeHosts builds the cluster's hosts, all of them down.
func (w *World) makeHosts() {
	s := &w.schedule.Shape
	w.storages = s.Nodes
	all := make([]Host, 1+s.Nodes+s.Clients)
	w.hosts = make([]*Host, len(all))
	for i := range all {
		h := &all[i]
		w.hosts[i] = h
		h.index, h.timerAt, h.deadline = i, never, core.Never
		switch {
		case i == 0:
			h.name, h.role, h.code = schedule.ManagerHost, RoleManager, 0
		case i <= s.Nodes:
			h.name, h.role, h.code = fmt.Sprintf("n%d", i), RoleStorage, uint64(i)
		default:
			h.name, h.role, h.code = fmt.Sprintf("c%d", i-s.Nodes), RoleClient, uint64(2*schedule.HostsMax+i-s.Nodes)
		}
		h.clock = newClock(schedule.Clock{})
		h.peer.Addr = h.name
		h.disk.latency = int64(s.SyncLatency)
	}
	for _, c := range s.Clocks {
		if h := w.hostNamed(c.Host); h != nil {
			h.clock = newClock(c)
		}
	}
}

// hostNamed finds a host by its name, or returns nil. Every message is routed
// by it, hence no map.
func (w *World) hostNamed(name string) *Host {
	if name == schedule.ManagerHost {
		return w.hosts[0]
	}
	if len(name) < 2 || len(name) > 3 || name[1] == '0' {
		return nil
	}
	n := 0
	for i := 1; i < len(name); i++ {
		if name[i] < '0' || name[i] > '9' {
			return nil
		}
		n = 10*n + int(name[i]-'0')
	}
	switch {
	case name[0] == 'n' && n <= w.storages:
		return w.hosts[n]
	case name[0] == 'c' && w.storages+n < len(w.hosts):
		return w.hosts[w.storages+n]
	}
	return nil
}

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
	if h.incarnation == 1 || !w.schedule.Shape.Durable || h.disk.empty() {
		// Without data it is a new node; otherwise it is what its data says.
		h.peer.ID = core.NodeID(w.identity(h, saltNode))
		h.cluster = core.ClusterID(w.identity(h, saltCluster))
	}
	w.net.Forget(h.index)
	w.inCore = h
	node, err := w.options.newNode(w.schedule, h, w.identity(h, saltSeed))
	w.inCore = nil
	if err != nil {
		h.halted = fmt.Errorf("cannot start: %w", err)
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
	manager := core.Peer{Addr: schedule.ManagerHost}
	switch h.role {
	case RoleManager:
		return core.NewManager(core.ManagerOptions{
			Self: h.peer, Cluster: h.cluster, Durable: s.Shape.Durable,
			Replicas: s.Shape.Replicas, MinChain: s.Shape.MinChain, Reads: s.Shape.Reads, HaltOnLoss: s.Shape.Halt,
			QuarantineMin: s.Shape.Quarantine, QuarantineMax: 10 * s.Shape.Quarantine, JoinTimeout: joinTimeout + joinTrips*s.Shape.BeyondNear(),
		}, space)
	case RoleStorage:
		return core.NewStorage(core.StorageOptions{
			Self: h.peer, Manager: manager, Name: h.name, Durable: s.Shape.Durable,
			LogKeep: s.Shape.LogKeep, JoinLagMax: 8 * s.Shape.LogKeep, ChunkItems: s.Shape.Chunk,
		}, space)
	}
	return core.NewClient(core.ClientOptions{Self: h.peer, Manager: manager, Seed: seed})
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

// halt carries out a node's own wish to end.
func (w *World) halt(h *Host, why error) {
	h.halted = why
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

// pushLocal makes an envelope reach the process that runs on a host now, and no
// later one. The item is good until the next push.
func (w *World) pushLocal(h *Host, at int64, tie uint32, e *core.Envelope) *item {
	it := w.queue.push(at, tie)
	it.kind, it.env, it.life = itemLocal, *e, h.life
	it.from, it.to = int16(h.index), int16(h.index)
	return it
}

// arm makes sure that a timer goes off by the host's deadline. A timer that is
// in the queue already and comes first is left alone, and looks at the deadline
// when it goes off: most deadlines move away before they come.
func (w *World) arm(h *Host) {
	if h.deadline == core.Never {
		return
	}
	at := max(h.clock.virtual(h.deadline), w.now) + h.slow
	if at >= h.timerAt {
		return
	}
	h.timerAt = at
	tie := w.net.Tie(splitmix.Mix(splitmix.Mix(w.seed, saltTimer<<32|h.code), uint64(at)), h.index, at)
	if w.batch > 1 {
		tie |= 0xffff // after all that is due at this host at the same time
	}
	it := w.queue.push(at, tie)
	it.kind, it.to, it.life = itemTimer, int16(h.index), h.life
}

// onTimer ticks a host whose deadline has come.
func (w *World) onTimer(h *Host, life uint32) {
	if h.life != life || h.timerAt != w.now {
		return // of an earlier process, or overtaken by an earlier timer
	}
	h.timerAt = never
	if h.paused {
		return
	}
	if h.deadline > h.clock.local(w.now) {
		w.arm(h)
		return
	}
	w.finish(h)
}

// arrive gives what the slot holds to its host, and with it all that is due
// there at the same time, up to the size of a batch.
func (w *World) arrive(h *Host, slot uint32) {
	if !w.ready(h, slot) {
		return
	}
	if h.busy {
		h.inbox = append(h.inbox, waiting{slot, w.now})
		w.work(h)
		return
	}
	w.step(h, slot)
	for n := 1; n < w.batch && w.violation == nil && h.out.Halt == nil && len(w.queue.heap) > 0; n++ {
		e := w.queue.top()
		it := &w.queue.items[e.slot]
		if e.at != w.now || int(it.to) != h.index || it.kind != itemMessage && it.kind != itemLocal {
			break
		}
		slot := w.queue.pop().slot
		if w.ready(h, slot) {
			w.step(h, slot)
		}
	}
	w.finish(h)
}

// work has a busy process take in the first of its inbox, as soon as it can.
func (w *World) work(h *Host) {
	if h.working || h.paused || len(h.inbox) == 0 {
		return
	}
	h.working = true
	it := w.queue.push(w.now+h.cost, tieFree)
	it.kind, it.to, it.life = itemWork, int16(h.index), h.life
}

// onWork ends the work on a message. A process that is paused meanwhile does it
// again when it goes on.
func (w *World) onWork(h *Host, life uint32) {
	if life != h.life {
		return
	}
	h.working = false
	if h.paused {
		return
	}
	m := h.inbox[0]
	h.inbox = h.inbox[1:]
	if w.now-m.since > int64(bounds.WorkMax) {
		w.troubleIf(h, true)
	}
	w.cameIf(mark.OverloadedNode, h.role == RoleStorage && w.now-m.since > int64(mark.Wait))
	h.busy = h.cost > 0 || len(h.inbox) > 0
	w.step(h, m.slot)
	w.finish(h)
	w.work(h)
}

// setCost makes a process busy with each message from now on; 0 ends it, and what
// waits is taken in at once.
func (w *World) setCost(h *Host, cost int64) {
	h.cost = cost
	h.busy = cost > 0 || len(h.inbox) > 0
}

// move brings a node's data to another host, which is down and loses its own.
// Where it was there is then nothing.
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

// ready tells whether an item can be stepped now, and disposes of it if not.
func (w *World) ready(h *Host, slot uint32) bool {
	it := &w.queue.items[slot]
	switch {
	case it.kind == itemLocal && it.life != h.life:
	case !h.up:
		w.refuse(it)
	case h.paused:
		h.backlog = append(h.backlog, slot)
		return false
	default:
		return true
	}
	w.queue.release(slot)
	return false
}

// step is one event: a message is taken in. The envelope stays in its slot until
// then: a copy here would be an allocation.
func (w *World) step(h *Host, slot uint32) {
	it := &w.queue.items[slot]
	env, from := &it.env, w.hosts[it.from]
	k := core.KindOf(env.Body)
	if it.kind == itemMessage {
		if w.options.CheckImmutable && it.sum != w.hashEnvelope(env) {
			w.Fail("immutability", "a %v from %s to %s was changed after it was sent", k, from.name, h.name)
		}
		w.net.Talk(from.index, h.index)
	} else if down, ok := env.Body.(*core.PeerDown); ok {
		w.net.ToldDown(from.index, h.index, down.Peer.ID)
	}
	w.count(h, k, env)
	if w.log != nil {
		w.logMessage(LogDelivered, from, h, it.number, env, "")
	}
	w.inCore = h
	h.node.Step(h.clock.local(w.now), *env, &h.out)
	w.inCore = nil
	w.taken = env
	w.afterEvent(h)
	w.taken = nil
	w.queue.release(slot)
}

// ticksMax is how many Ticks in a row a node may ask for at one moment.
const ticksMax = 100

// finish ticks the node as long as it asks for it, carries out the Output and
// sets the timer.
func (w *World) finish(h *Host) {
	now := h.clock.local(w.now)
	for n := 0; w.violation == nil && h.out.Halt == nil; n++ {
		w.inCore = h
		h.deadline = h.node.Deadline()
		w.inCore = nil
		if h.deadline > now {
			break
		}
		if n == ticksMax {
			w.Fail("livelock", "%s asks for another Tick after %d at the same moment", h.name, ticksMax)
			return
		}
		w.count(h, 0, nil)
		if w.log != nil {
			w.logMessage(LogTicked, h, h, 0, nil, "")
		}
		w.inCore = h
		h.node.Tick(now, &h.out)
		w.inCore = nil
		w.afterEvent(h)
	}
	w.flush(h)
	if h.up {
		w.arm(h)
	}
}

// flush carries out a host's Output.
func (w *World) flush(h *Host) {
	out := &h.out
	for i := range out.Send {
		w.send(h, &out.Send[i])
	}
	if len(out.Persist) > 0 && w.schedule.Shape.Durable {
		h.disk.write(out.Persist)
		w.sync(h)
	}
	for i := range out.After {
		if h.disk.clean() {
			w.send(h, &out.After[i])
		} else {
			h.disk.await(&out.After[i])
		}
	}
	why := out.Halt
	out.Reset()
	h.mark = 0
	if why != nil {
		w.halt(h, why)
	}
}

// sync starts one if there is something to sync and none is under way.
func (w *World) sync(h *Host) {
	if !h.disk.begin() {
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
		w.cameIf(mark.SyncBehindAStall, h.role == RoleStorage)
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
		w.failDisk(h, errDiskFailed, f.Keep, f.Torn)
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

// cameIf notes a situation that the engine alone sees.
func (w *World) cameIf(situation mark.Mark, reached bool) {
	if reached {
		w.came[situation] = true
	}
}

package sim

import (
	"fmt"
	"time"

	"gtstore/core"
	"gtstore/core/quorum"
	"gtstore/sim/schedule"
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
	cluster             core.ClusterID // of the manager: what it calls one that it founds
	terms               core.Terms     // of the manager, from its next start on

	clock    hostClock
	deadline core.Time
	timerAt  int64 // the earliest timer in the queue, or never

	out     core.Output
	told    int      // events of out of which Observers were told
	sent    int      // messages of out, likewise
	held    int      // those that wait for the disk, likewise
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

// Manager returns the manager that the process is, or was: nil for another role, and for one of
// several that is of no cluster yet.
func (h *Host) Manager() *core.Manager {
	switch n := h.node.(type) {
	case *core.Manager:
		return n
	case *quorum.Manager:
		return n.Core()
	}
	return nil
}

// Peer returns the identity and address of the process, or of the last one.
func (h *Host) Peer() core.Peer { return h.peer }

// Broken reports that the host stays as broken as it is, though the faults are
// over for the others.
func (h *Host) Broken() bool { return h.broken }

// Slow is how much later than it could the host takes in each message.
func (h *Host) Slow() time.Duration { return time.Duration(h.slow) }

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
func (h *Host) Events() []core.Event { return h.out.Events[h.told:] }

// Sent returns what the event under way added to the Output's Send; it is good only within an
// Observer's AfterEvent.
func (h *Host) Sent() []core.Envelope { return h.out.Send[h.sent:] }

// Held returns what the event under way added to the Output's After; it is good only within an
// Observer's AfterEvent.
func (h *Host) Held() []core.Envelope { return h.out.After[h.held:] }

// PausedAt returns when the process was last paused, in virtual time.
func (h *Host) PausedAt() time.Duration { return time.Duration(h.pausedAt) }

// HasData reports that something is durable on the host's disk.
func (h *Host) HasData() bool { return !h.disk.empty() }

// Unsynced reports that something was written that is not durable yet.
func (h *Host) Unsynced() bool { return h.disk.gate.Pending() > 0 }

// SyncLatency returns how long a sync of the disk takes that begins now.
func (h *Host) SyncLatency() time.Duration { return time.Duration(h.disk.latency) }

// LastCrash tells what the last crash has done to what was not durable.
func (h *Host) LastCrash() Crash { return h.disk.crashed }

// ClockRate returns by how much the host's clock goes on in a million nanoseconds.
func (h *Host) ClockRate() uint64 { return h.clock.rate }

// What names hosts in draws: the clients come behind the first clientCode nodes, and the
// nodes after those behind the clients.
const (
	clientCode = 32
	farCode    = 256
	// managerCode is where the managers after the first are named.
	managerCode = 200
)

func codeOf(node int) uint64 {
	if node >= clientCode {
		node += farCode
	}
	return uint64(node)
}

// makeHosts builds the cluster's hosts, all of them down.
func (w *World) makeHosts() {
	s := &w.schedule.Shape
	w.storages = s.Nodes
	w.clientsEnd = 1 + s.Nodes + s.Clients
	all := make([]Host, w.clientsEnd+max(1, s.Managers)-1)
	w.hosts = make([]*Host, len(all))
	for i := range all {
		h := &all[i]
		w.hosts[i] = h
		h.index, h.timerAt, h.deadline = i, never, core.Never
		switch {
		case i == 0:
			h.name, h.role, h.code = s.ManagerHosts()[0], RoleManager, 0
			w.managers = append(w.managers, h)
		case i >= w.clientsEnd:
			n := len(w.managers)
			h.name, h.role, h.code = s.ManagerHosts()[n], RoleManager, managerCode+uint64(n)
			w.managers = append(w.managers, h)
		case i <= s.Nodes:
			h.name, h.role, h.code = fmt.Sprintf("n%d", i), RoleStorage, codeOf(i)
		default:
			h.name, h.role, h.code = fmt.Sprintf("c%d", i-s.Nodes), RoleClient, uint64(clientCode+i-s.Nodes)
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
	if name != "" && name[0] == schedule.ManagerHost[0] {
		for _, h := range w.managers {
			if h.name == name {
				return h
			}
		}
		return nil
	}
	if len(name) < 2 || len(name) > 5 || name[1] == '0' {
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
	case name[0] == 'c' && w.storages+n < w.clientsEnd:
		return w.hosts[w.storages+n]
	}
	return nil
}

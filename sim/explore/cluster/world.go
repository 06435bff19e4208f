package cluster

import (
	"encoding/binary"
	"slices"
)

// budget names what may happen a limited number of times on a way.
type budget uint8

const (
	budgetEvict budget = iota
	budgetJoin
	budgetEndJoin
	budgetCrash
	budgetRestart
	budgetTimeout
	budgetLate
	budgetLose // of answers to clients; any other message may be late for ever
	budgetRepeat
	budgetAgain
	budgetManagerCrash
	budgetWipe
	budgetCount

	awaySlot = int(budgetCount) // which hosts were ever down, asked about, or late
	askSlot  = awaySlot + 1     // 1 for each ask that is not put yet
	leftSize = askSlot + asksMax
)

var budgetNames = [budgetCount]string{"evict", "join", "end-join", "crash", "restart", "timeout", "late", "lose", "repeat", "again", "manager-crash", "wipe"}

// world is a state: which of the parts it consists of, and what is left of the budgets.
type world struct {
	hosts    []uint32
	manager  uint32
	ghost    uint32
	past     uint32
	left     [leftSize]uint8
	messages []uint32 // under way, in the order of their keys; one may be there twice
	sum      uint64   // of the messages' keys
}

func (w *world) encode(b []byte) []byte {
	for _, id := range w.hosts {
		b = binary.LittleEndian.AppendUint32(b, id)
	}
	b = binary.LittleEndian.AppendUint32(b, w.manager)
	b = binary.LittleEndian.AppendUint32(b, w.ghost)
	b = binary.LittleEndian.AppendUint32(b, w.past)
	b = append(b, w.left[:]...)
	for _, id := range w.messages {
		b = binary.LittleEndian.AppendUint32(b, id)
	}
	return b
}

func (m *Model) decode(w *world, b []byte) {
	next := func() uint32 {
		n := binary.LittleEndian.Uint32(b)
		b = b[4:]
		return n
	}
	w.hosts = w.hosts[:0]
	for range m.scenario.Hosts() {
		w.hosts = append(w.hosts, next())
	}
	w.manager, w.ghost, w.past = next(), next(), next()
	b = b[copy(w.left[:], b):]
	w.messages, w.sum = w.messages[:0], 0
	for len(b) > 0 {
		id := next()
		w.messages = append(w.messages, id)
		w.sum += m.messages.at(id).key[1]
	}
}

func (w *world) set(from *world) {
	w.hosts = append(w.hosts[:0], from.hosts...)
	w.manager, w.ghost, w.past, w.left = from.manager, from.ghost, from.past, from.left
	w.messages, w.sum = append(w.messages[:0], from.messages...), from.sum
}

// print is a hash of the state without the messages and the budgets: of the keys of its
// parts, so that it is the same in every process.
func (m *Model) print(w *world) uint64 {
	sum := uint64(0)
	for _, id := range w.hosts {
		sum += m.hosts.at(id).name
	}
	sum += mix(m.managers.at(w.manager).key[0], 1<<32)
	sum += mix(m.ghosts.at(w.ghost).key[0], 2<<32)
	sum += mix(m.pasts.at(w.past).key[0], 3<<32)
	return mix(sum, 4<<32)
}

func (w *world) budgets() (n uint64) {
	for _, left := range w.left {
		n = n*257 + uint64(left)
	}
	return n
}

// send puts a message on the network.
func (m *Model) send(w *world, id uint32) {
	k := m.messages.at(id).key
	i := len(w.messages)
	for i > 0 && m.messages.at(w.messages[i-1]).key[0] > k[0] {
		i--
	}
	w.messages = slices.Insert(w.messages, i, id)
	w.sum += k[1]
}

// take takes the i-th message off the network.
func (m *Model) take(w *world, i int) {
	w.sum -= m.messages.at(w.messages[i]).key[1]
	w.messages = slices.Delete(w.messages, i, i+1)
}

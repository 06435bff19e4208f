package view

import (
	"fmt"
	"strconv"
	"strings"

	"gtstore/core"
	"gtstore/sim"
	"gtstore/sim/schedule"
)

const (
	tailMax = 4  // how many of a log's last entries are shown
	keysMax = 12 // how many of a group's keys are shown

	// laneField tells the page how to draw a storage node's lane; it is not shown.
	laneField = "_lane"
)

// fields collects the state of a host, as names and values in order.
type fields struct {
	list  []field
	known map[string]string // the last value of each field there ever was
}

type field struct{ name, value string }

func (f *fields) set(name, value string) { f.list = append(f.list, field{name, value}) }

// changes returns the fields whose values differ from last time, and begins a new list.
// A field that is not set any more has become "".
func (f *fields) changes() []field {
	var changed []field
	told := make(map[string]bool, len(f.list))
	for _, x := range f.list {
		told[x.name] = true
		if old, ok := f.known[x.name]; !ok && x.value != "" || ok && old != x.value {
			f.known[x.name] = x.value
			changed = append(changed, x)
		}
	}
	for _, name := range sortedKeys(f.known) {
		if !told[name] && f.known[name] != "" {
			f.known[name] = ""
			changed = append(changed, field{name, ""})
		}
	}
	f.list = f.list[:0]
	return changed
}

// stateOf lists the state of a host.
func (r *recorder) stateOf(w *sim.World, h *sim.Host, f *fields) {
	process := "up"
	switch {
	case !h.Up() && h.Halted() != nil:
		process = "halted: " + h.Halted().Error()
	case !h.Up():
		process = "down"
	case h.Paused():
		process = "paused"
	}
	f.set("process", process)
	switch node := h.Node().(type) {
	case *core.Storage:
		r.storageState(node, w.Local(h), f)
	case *core.Client:
		f.set("calls under way", strconv.Itoa(node.Calls()))
	default: // a manager, alone or one of several
		if m := h.Manager(); m != nil {
			r.managerState(m, w.Local(h), f)
		} else {
			f.set("cluster", "none yet")
		}
	}
}

func (r *recorder) storageState(s *core.Storage, now core.Time, f *fields) {
	lane := "spare"
	for i := range s.Groups() {
		v := s.Group(i, now)
		if v.Config == nil {
			continue
		}
		role := roleOf(s, &v)
		if role != "left" {
			lane = fmt.Sprintf("%s,%d,%d", role, v.Group, v.Config.Epoch)
		} else if lane == "spare" {
			lane = fmt.Sprintf("left,%d,%d", v.Group, v.Config.Epoch)
		}
		r.groupState(s, i, &v, role, f)
	}
	f.set(laneField, lane)
}

func roleOf(s *core.Storage, v *core.GroupView) string {
	switch {
	case v.Joining:
		return "joining"
	case v.Primary && v.Serving:
		return "primary"
	case v.Primary:
		return "reconciling"
	}
	for i, p := range v.Config.Chain {
		if p.ID == s.ID() && i == 0 {
			return "primary-to-be"
		}
		if p.ID == s.ID() {
			return "replica"
		}
	}
	return "left"
}

func (r *recorder) groupState(s *core.Storage, i int, v *core.GroupView, role string, f *fields) {
	prefix := fmt.Sprintf("group %d/", v.Group)
	f.set(prefix+"role", role)
	epoch := strconv.FormatUint(uint64(v.Config.Epoch), 10)
	if v.Durable < v.Config.Epoch {
		epoch += fmt.Sprintf(" (durable: %d)", v.Durable)
	}
	f.set(prefix+"epoch", epoch)
	f.set(prefix+"chain", r.names.chain(v.Config))
	f.set(prefix+"commit point", strconv.FormatUint(uint64(v.Commit), 10))
	var tail strings.Builder
	from := max(v.Base+1, v.Last+1-min(v.Last, tailMax))
	if from > 1 {
		tail.WriteString("… ")
	}
	for seq := from; seq <= v.Last; seq++ {
		e := s.Entry(i, seq)
		fmt.Fprintf(&tail, "%d:%s", seq, entryText(e))
		if e.Epoch != v.Config.Epoch {
			fmt.Fprintf(&tail, " (epoch %d)", e.Epoch)
		}
		if seq > v.Commit {
			tail.WriteString(" ?")
		}
		if seq < v.Last {
			tail.WriteString(" · ")
		}
	}
	f.set(prefix+"log tail", tail.String())
	var values strings.Builder
	n := 0
	for key, x := range s.Values(i) {
		if n++; n > keysMax {
			fmt.Fprintf(&values, " … %d keys", v.Keys)
			break
		}
		if n > 1 {
			values.WriteString(" · ")
		}
		fmt.Fprintf(&values, "%s=%s v%d", show(key), show(x.Data), x.Version)
	}
	f.set(prefix+"map", values.String())
	if v.Primary {
		f.set(prefix+"requires", fmt.Sprintf("%d members", v.Required))
		f.set(prefix+"pending", strconv.Itoa(v.Pending))
	}
	if v.Alone {
		f.set(prefix+"reads", "alone, by its leases")
	}
}

func (r *recorder) managerState(m *core.Manager, now core.Time, f *fields) {
	f.set("directory index", strconv.FormatUint(uint64(m.Index()), 10))
	for id := core.GroupID(1); id <= core.GroupID(m.Groups()); id++ {
		prefix := fmt.Sprintf("group %d/", id)
		c := m.Config(id)
		f.set(prefix+"epoch", strconv.FormatUint(uint64(c.Epoch), 10))
		f.set(prefix+"chain", r.names.chain(c))
		if lost, certain := m.Lost(id); certain {
			f.set(prefix+"lost", "certainly")
		} else if lost {
			f.set(prefix+"lost", "presumably")
		}
	}
	for i := range min(m.Nodes(), 2*schedule.ClientsMax) {
		v := m.Node(i, now)
		state := "spare"
		switch {
		case v.Gone:
			state = "gone"
		case v.Group != 0:
			state = fmt.Sprintf("group %d", v.Group)
		case v.Joining != 0:
			state = fmt.Sprintf("joins group %d", v.Joining)
		case v.Unfit:
			state = "in quarantine"
		}
		if !v.Gone && v.Missed > 1 {
			state += ", silent"
		}
		f.set("nodes/"+r.names.of(v.Peer), state)
	}
	for _, key := range r.keys {
		if id := m.KeyGroup(key); id != 0 {
			f.set("keys/"+show(key), fmt.Sprintf("group %d", id))
		}
	}
}

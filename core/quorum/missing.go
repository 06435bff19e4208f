package quorum

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.etcd.io/raft/v3"

	"gtstore/core"
)

// What a manager tells people while nobody leads: who is missing, and why that cannot be mended
// by waiting.

const (
	// waitMax is how long nobody may lead, or found a cluster, before a person is told why.
	waitMax = 5 * time.Second
	// saidMax is how old a manager's last answer may be: three of the longest rounds.
	saidMax = 3 * askWaitMax
)

// said is what was last heard from a place, over all rounds.
type said struct {
	place   string
	from    core.NodeID
	cluster core.ClusterID
	state   state
	at      core.Time
}

// saidPlacesMax bounds the places of which an answer is kept: those of the list and of all members,
// amid a change of them, too. More there are only where one that was asked answers from elsewhere.
const saidPlacesMax = 3 * MembersMax

// note keeps an answer. The oldest makes room.
func (f *founding) note(now core.Time, from core.Peer, s *say) {
	place := core.Place(from.Addr)
	i := slices.IndexFunc(f.said, func(o said) bool { return o.place == place })
	switch {
	case i >= 0:
	case len(f.said) < saidPlacesMax:
		i, f.said = len(f.said), append(f.said, said{})
	default:
		oldest := slices.MinFunc(f.said, func(a, b said) int { return cmp.Compare(a.at, b.at) })
		i = slices.Index(f.said, oldest)
	}
	f.said[i] = said{place, from.ID, s.cluster, s.state, now}
}

// last is the last answer from an address, if it is not old.
func (f *founding) last(now core.Time, address string) (s said, ok bool) {
	i := slices.IndexFunc(f.said, func(o said) bool { return o.place == core.Place(address) && now.Since(o.at) <= saidMax })
	if i < 0 {
		return s, false
	}
	return f.said[i], true
}

// isAt tells at which address a manager of a cluster has answered lately.
func (f *founding) isAt(now core.Time, c core.ClusterID, id core.NodeID) bool {
	return slices.ContainsFunc(f.said, func(o said) bool { return o.from == id && o.cluster == c && now.Since(o.at) <= saidMax })
}

// absent says which of some members are not there. Gone is how many of them have lost their
// data: somebody else answers at their addresses.
func (m *Manager) absent(members []core.Peer) (text []string, gone int) {
	for _, p := range members {
		if p.ID == m.Self().ID || m.isAt(m.now, m.cluster(), p.ID) {
			continue
		}
		p = m.node.peerNow(p)
		place := core.Place(p.Addr)
		if _, answers := m.last(m.now, place); answers || place == core.Place(m.Self().Addr) {
			gone++
			text = append(text, place+" has lost its data")
		} else {
			text = append(text, place+" does not answer")
		}
	}
	return text, gone
}

// missing says who is missing, where so many are that nobody can lead, and whether so many have
// lost their data that nobody ever can; "" while there are enough, or for too short a time.
func (m *Manager) missing() (text string, forever bool) {
	if m.inner == nil || !m.knowsFounders() || m.node.role.Lead != raft.None || m.now.Since(m.node.lostAt) < waitMax {
		return "", false
	}
	for _, members := range [][]core.Peer{m.node.members.Voters, m.node.members.Outgoing} {
		absent, gone := m.absent(members)
		if most := len(members)/2 + 1; len(members) > 0 && len(members)-len(absent) < most {
			forever = forever || len(members)-gone < most
			text = fmt.Sprintf("of %d managers %d have to be there, but %s", len(members), most, strings.Join(absent, ", "))
		}
	}
	return text, forever
}

// awaited says for whom a manager waits that is of no cluster yet, or of one that nobody has
// led; "" for nobody.
func (m *Manager) awaited() string {
	if m.now.Since(m.startedAt) < waitMax {
		return ""
	}
	if m.inner != nil && m.isBlank() {
		text, _ := m.missing()
		return text
	}
	if m.inner != nil {
		return ""
	}
	var list []string
	for i, address := range m.managers {
		address = core.Place(address)
		s, answers := m.last(m.now, address)
		switch {
		case i == m.place:
		case !answers:
			list = append(list, address+" does not answer")
		case s.state == statePromised && s.cluster != m.promise:
			list = append(list, address+" has promised itself to another founder, which has not come back for it yet")
		case s.state == stateTaken || s.state == stateBlank:
			list = append(list, address+" is of a cluster that was begun, and waits for its other founders")
		}
	}
	return strings.Join(list, ", ")
}

// explain tells a person, once each, why nothing goes on. It is called with every round.
func (m *Manager) explain(out *core.Output) {
	if text := m.awaited(); text != m.awaits {
		if m.awaits = text; text != "" {
			out.Events = append(out.Events, core.Event{Kind: core.EventAwaits, Text: text})
		}
	}
	if m.inner == nil || m.isBlank() {
		return
	}
	text, forever := m.missing()
	if text == m.absentees {
		return
	}
	kind := core.EventTooFew
	if forever {
		kind = core.EventDirectoryGone
	}
	if m.absentees = text; text != "" {
		out.Events = append(out.Events, core.Event{Kind: kind, Text: text})
	}
}

// refusal is what an operator is told who asks for the managers while so many are missing that
// none leads; "" for nothing.
func (m *Manager) refusal() string {
	text, forever := m.missing()
	switch {
	case text == "":
	case forever:
		text = "the Directory is gone, as " + text + ": start one that has its data somewhere, else restore a backup into a new cluster"
	default:
		text = "no manager leads: " + text + ": start those"
	}
	return text[:min(len(text), core.WhyBytesMax)]
}

// verdict is what a manager says of the one that asks it.
type verdict uint8

const (
	verdictNone      verdict = iota + 1
	verdictRemoved           // it was a member, and is none any more
	verdictElsewhere         // a member with its identity is heard at another address
	verdictEnd
)

// verdict tells what this manager knows of one that claims an identity, at an address. Who leads
// knows whom it hears; who follows, only that it hears the leader.
func (n *Node) verdict(id core.NodeID, address string) (verdict, string) {
	p, member := n.members.peer(id)
	at := core.Place(n.peerNow(p).Addr)
	switch {
	case slices.Contains(n.members.Retired, id):
		return verdictRemoved, ""
	case member && at != core.Place(address) && (n.leads != 0 && id != n.self.ID && n.hears(id) || n.leads == 0 && n.role.Lead == uint64(id)):
		return verdictElsewhere, at
	}
	return verdictNone, ""
}

// heed tells a person what another member says of this manager. It takes part in nothing then.
func (m *Manager) heed(from core.Peer, s *say, out *core.Output) {
	if m.inner == nil || s.cluster != m.cluster() || m.isBlank() {
		return
	}
	switch s.verdict {
	case verdictRemoved:
		m.tellOf(core.EventRemoved, from.ID, "", &m.removed, out)
	case verdictElsewhere:
		m.tellOf(core.EventCopyRuns, 0, s.elsewhere, &m.copied, out)
	}
}

// difference says how another manager was started otherwise than this one.
func (f *founding) difference(address string, durable bool, managers []string) string {
	var parts []string
	if durable != f.durable {
		parts = append(parts, map[bool]string{true: "has a --dir, and this one has none", false: "has no --dir, and this one has one"}[durable])
	}
	lacks := func(a, b []string) (list []string) {
		for _, address := range a {
			if indexOf(b, address) < 0 {
				list = append(list, address)
			}
		}
		return list
	}
	if only := lacks(managers, f.managers); len(only) > 0 {
		parts = append(parts, "has "+strings.Join(only, ", ")+" in its list, which this one has not")
	}
	if only := lacks(f.managers, managers); len(only) > 0 {
		parts = append(parts, "has not "+strings.Join(only, ", ")+", which this one has")
	}
	if len(parts) == 0 {
		parts = append(parts, "has the same addresses in another order: "+strings.Join(managers, ","))
	}
	return "the manager at " + core.Place(address) + " " + strings.Join(parts, "; it ")
}

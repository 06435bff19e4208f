package quorum

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"go.etcd.io/raft/v3"

	"gtstore/core"
	"gtstore/core/wire"
)

// Manager is one of several managers, from its first start on: empty until it has founded a
// cluster with the others, or hears from the leader of one. From then on it is a core.Manager.
// How a cluster is founded is in the documentation of this package. It is a core.Node.
type Manager struct {
	opt   core.ManagerOptions
	group Options

	inner *core.Manager // nil while this one is empty
	node  *Node         // of inner
	founding
	now       core.Time
	started   bool
	startedAt core.Time
	enlists   core.Envelope // of whom this leader has asked whether it is still there
	ending    bool          // it begins anew once what it held is deleted
}

// anewNonce is that of the Synced that ends a manager that begins anew. Nodes count theirs up
// from 1.
const anewNonce = 1 << 63

// NewManager starts one of several managers over what it made durable before. All of them are
// given the same list of addresses, in the same order, the own Self.Addr among them. The ID of
// Self is drawn at random for each start, and counts only while the Space is empty. So does
// Cluster: it is what the first of the list calls a cluster that it founds. Of the options for
// the group Self, Found, Durable and Seed are set here.
func NewManager(opt core.ManagerOptions, managers []string, group Options, space core.Space) (*Manager, error) {
	m := &Manager{opt: opt, group: group}
	group.Self, group.Found = opt.Self, nil
	if err := group.complete(); err != nil {
		return nil, err
	}
	if err := opt.Validate(); err != nil {
		return nil, err
	}
	var err error
	if m.founding, err = newFounding(managers, opt.Self.Addr, opt.Durable); err != nil {
		return nil, err
	}
	seed := opt.Seed
	seed[0] ^= 1 // the tokens of the manager are drawn from the other
	random := rand.NewChaCha8(seed)
	m.group.Durable, m.group.Seed, m.round = opt.Durable, random.Uint64(), (1+random.Uint64()%(countMax/4/questionsMax))*questionsMax
	if !opt.Durable {
		return m, nil
	}
	var promised promiseRecord
	empty := true
	if err := space.Range("", func(k, text string) error {
		if k == keyPromise {
			return read(k, text, tagPromise, &promised)
		}
		empty = false
		return nil
	}); err != nil {
		return nil, err
	}
	if empty {
		if promised.cluster != 0 {
			m.opt.Self.ID, m.promise = promised.id, promised.cluster
		}
		return m, nil
	}
	m.opt.Cluster = 0
	return m, m.enter(0, nil, space)
}

// enter makes this manager one of a cluster, as a founder with a list of those, or as one who
// is told the rest.
func (m *Manager) enter(cluster core.ClusterID, founders []core.Peer, space core.Space) error {
	opt, group := m.opt, m.group
	opt.Cluster, group.Found = cluster, founders
	opt.Consensus = func(machine core.Machine, self core.Peer, space core.Space) (core.Consensus, error) {
		own := group
		own.Self = self
		node, err := New(own, space, machine)
		if err != nil {
			return nil, err
		}
		m.node = node
		return &council{node: node}, nil
	}
	inner, err := core.NewManager(opt, space)
	if err != nil {
		m.node = nil
		return err
	}
	if p, member := m.node.members.peer(inner.Self().ID); member && core.OtherName(p.Addr, inner.Self().Addr) {
		m.node = nil
		return fmt.Errorf("quorum: manager %v is %s in its cluster, and now %s by its certificate: give it one of the name that it had, or start it empty and have it replace that one by 'gtstore managers replace'", p.ID, p.Addr, inner.Self().Addr)
	}
	m.inner, m.promise = inner, 0
	m.node.Far(m.trip)
	return nil
}

// Core is the manager that this one is in its cluster; nil before it is in one. It is for views.
func (m *Manager) Core() *core.Manager { return m.inner }

// ElectionTimeout is for how long a leader has to be silent, as this manager counts it now, before
// another one is elected; 0 before it is in a cluster. It grows with the way to the others.
func (m *Manager) ElectionTimeout() time.Duration {
	if m.node == nil {
		return 0
	}
	return m.node.timeout
}

// Self is who this manager is: it stays so until it ends.
func (m *Manager) Self() core.Peer {
	if m.inner != nil {
		return m.inner.Self()
	}
	return m.opt.Self
}

// Placement is that of its cluster; 0 while it knows of none.
func (m *Manager) Placement() core.Placement {
	if m.inner == nil || m.isBlank() {
		return 0
	}
	return m.inner.Placement()
}

// Peers are those of core.Manager.
func (m *Manager) Peers() iter.Seq[core.Peer] {
	if m.inner == nil {
		return func(func(core.Peer) bool) {}
	}
	return m.inner.Peers()
}

// Step implements core.Node.
func (m *Manager) Step(now core.Time, in core.Envelope, out *core.Output) {
	m.begin(now)
	if m.ending {
		if s, ok := in.Body.(*core.Synced); ok && s.Nonce == anewNonce && in.From.ID == m.Self().ID {
			m.halt(out)
		}
		return
	}
	switch b := in.Body.(type) {
	case *core.Quorum:
		if isFounding(b.Text) {
			m.onFounding(in, b.Text, out)
			return
		}
		if m.inner == nil && !m.takenUp(&in, out) {
			return
		}
	case *core.Enlist:
		// It may come late, of a process that has ended since. It would put another one out then
		// that has taken the place meanwhile.
		if m.inner != nil && m.node.leads != 0 {
			// Nobody else is in the way of one that can be taken in.
			if _, ok := m.node.former(in.From); !ok {
				return
			}
			m.enlists = in
			if !m.asksOthers() {
				m.round += questionsMax // what was said before does not count
			}
			m.send(in.From, textOf(m.question()), out)
			return
		}
	case *core.ManagersQuery:
		if why := m.refusal(); why != "" && (in.Cluster == 0 || in.Cluster == m.cluster()) {
			out.Send = append(out.Send, core.Envelope{Cluster: m.cluster(), From: m.Self(), To: in.From, Body: &core.ManagersReply{Req: b.Req, Status: core.StatusUnavailable, Why: why}})
			return
		}
		if m.inner != nil && m.node.leads != 0 && (in.Cluster == 0 || in.Cluster == m.cluster()) && (in.To.ID == 0 || in.To.ID == m.Self().ID) {
			m.onManagersQuery(in, b, out)
			return
		}
	}
	if m.inner != nil {
		m.inner.Step(now, in, out)
	} else if answer, ok := core.Elsewhere(in.Body); ok {
		// It is of no cluster, and says nothing of one: the sender is to try the next manager.
		out.Send = append(out.Send, core.Envelope{Cluster: in.Cluster, From: m.Self(), To: in.From, Body: &answer})
	}
}

// Tick implements core.Node.
func (m *Manager) Tick(now core.Time, out *core.Output) {
	m.begin(now)
	if m.ending {
		return
	}
	if m.inner != nil && m.inner.Deadline() <= now {
		m.inner.Tick(now, out)
	}
	if m.asksOthers() && now >= m.askAt {
		m.askAll(0, out)
	}
	if m.inner != nil && m.node.leads != 0 {
		m.node.Relist()
	}
	if m.inner != nil && slices.Contains(m.node.members.Retired, m.Self().ID) {
		m.tellOf(core.EventRemoved, 0, "", &m.removed, out)
	}
}

// Deadline implements core.Node.
func (m *Manager) Deadline() core.Time {
	if m.ending {
		return core.Never
	}
	at := core.Never
	if m.inner != nil {
		at = m.inner.Deadline()
	}
	if m.asksOthers() {
		at = min(at, m.askAt)
	}
	return at
}

func (m *Manager) begin(now core.Time) {
	m.now = now
	if !m.started {
		m.started = true
		m.askAt, m.startedAt, m.promisedAt = now, now, now
	}
}

// isBlank tells whether this manager is of a cluster of which it has applied no command. Nodes
// and clients are told something only after one.
func (m *Manager) isBlank() bool { return m.inner.Index() == 0 }

func (m *Manager) knowsFounders() bool { return len(m.node.members.Voters) > 0 }

// asksOthers tells whether this manager asks the others of its list what they are: until it is
// of a cluster that somebody relies on; and while it knows no leader, as they may be at other
// addresses than before. Where they seem far it asks some times more: what it has measured may
// have been a stall, and makes elections longer.
func (m *Manager) asksOthers() bool {
	return m.inner == nil || m.isBlank() || m.node.role.Lead == raft.None || m.looks > 0 && m.node.isFar()
}

// cluster is the one of which this manager is, or to which it has promised itself.
func (m *Manager) cluster() core.ClusterID {
	if m.inner != nil {
		return m.inner.Cluster()
	}
	return m.promise
}

func (m *Manager) state() state {
	switch {
	case m.inner != nil && !m.knowsFounders():
		return stateTaken
	case m.inner != nil && m.isBlank():
		return stateBlank
	case m.inner != nil:
		return stateMember
	case m.promise != 0:
		return statePromised
	}
	return stateEmpty
}

// askAll begins a round. A manager that is alone on the list need not ask anybody.
func (m *Manager) askAll(founding core.ClusterID, out *core.Output) {
	if m.looks--; m.inner == nil || m.node.role.Lead == raft.None {
		m.looks = looksMax
	}
	if m.inner != nil {
		m.resolve(m.node.current())
	}
	a := m.founding.begin(m.now, founding)
	text := textOf(a)
	for i, address := range m.managers {
		if i != m.place {
			m.send(core.Peer{Addr: address}, text, out)
		}
	}
	if m.inner != nil { // who was replaced, or moved, may know of none of the list
		for _, p := range m.node.members.Voters {
			if p = m.node.peerNow(p); p.ID != m.Self().ID && !slices.Contains(m.managers, p.Addr) {
				m.send(core.Peer{Addr: p.Addr}, text, out)
			}
		}
	}
	m.explain(out)
	m.judge(out)
}

func (m *Manager) send(to core.Peer, text string, out *core.Output) {
	out.Send = append(out.Send, core.Envelope{From: m.Self(), To: to, Body: &core.Quorum{Text: text}})
}

func textOf(v coded) string {
	c := wire.NewEncoder(nil)
	v.code(&c)
	if err := c.Err(); err != nil {
		panic(fmt.Sprintf("quorum: a word between founders is outside the limits: %v", err))
	}
	return string(c.Seal())
}

func (m *Manager) onFounding(in core.Envelope, text string, out *core.Output) {
	if in.From.ID == m.Self().ID || !isMember(in.From.ID) {
		return
	}
	c := wire.NewDecoder([]byte(text))
	if text[0] == tagAsk {
		var a ask
		if a.code(&c); c.End() == nil {
			m.onAsk(in, &a, out)
		}
		return
	}
	var s say
	if s.code(&c); c.End() != nil {
		return
	}
	if in.From == m.enlists.From && m.isOfThisRound(&s) && s.state <= statePromised && m.inner != nil {
		m.inner.Step(m.now, m.enlists, out)
		m.enlists = core.Envelope{}
	}
	if m.asksOthers() {
		m.onSay(in.From, &s, out)
	}
}

func (m *Manager) onAsk(in core.Envelope, a *ask, out *core.Output) {
	v, elsewhere := verdictNone, ""
	if m.inner != nil { // it may be a member that has moved, and that a leader cannot find
		v, elsewhere = m.node.verdict(in.From.ID, a.address)
		m.node.Found(core.Peer{ID: in.From.ID, Addr: a.address})
	}
	agrees := m.agrees(a.durable, a.managers)
	if !agrees && m.inner == nil && !(m.waits && m.promise != 0) { // who waits to be taken in founds nothing
		m.tellOf(core.EventListsDiffer, in.From.ID, m.difference(a.address, a.durable, a.managers), &m.differs, out)
	}
	if a.founding != 0 && agrees && m.inner == nil && m.place != 0 {
		m.promiseTo(a.founding, out)
	}
	if m.ending {
		return
	}
	m.vow(core.Envelope{From: m.Self(), To: in.From, Body: &core.Quorum{Text: textOf(&say{a.round, m.state(), m.cluster(), m.durable, m.managers, v, elsewhere})}}, out)
	// Somebody is there who was not, or is far away: it is asked in this round yet. A new round
	// would not do, since those who are far from each other would end each other's before the
	// answers come.
	if m.asksOthers() && m.misses(a.address) {
		m.send(core.Peer{Addr: a.address}, textOf(m.again(m.now, a.address)), out)
	}
}

func (m *Manager) onSay(from core.Peer, s *say, out *core.Output) {
	if !m.isOfThisRound(s) {
		return
	}
	m.take(m.now, from, s)
	if m.inner != nil {
		m.node.Far(m.trip)
	}
	m.note(m.now, from, s)
	m.heed(from, s, out)
	if m.inner != nil && s.cluster == m.cluster() && indexOf(m.managers, from.Addr) >= 0 {
		m.node.Found(from)
	}
	switch {
	case s.verdict == verdictRemoved && m.inner == nil && s.cluster == m.promise:
		m.beginAnew(out) // it was taken in, and removed before it heard of either
		return
	case s.state >= stateBlank && m.inner == nil:
		m.enlist(from, s.cluster, out)
	case s.state <= statePromised && !m.agrees(s.durable, s.managers) && m.inner == nil:
		m.tellOf(core.EventListsDiffer, from.ID, m.difference(from.Addr, s.durable, s.managers), &m.differs, out)
	}
	m.judge(out)
}

// enlist asks to be taken in by a cluster: under this id, by no other.
func (m *Manager) enlist(to core.Peer, cluster core.ClusterID, out *core.Output) {
	if m.promise == 0 {
		m.tellOf(core.EventWaits, to.ID, "", &m.waits, out)
	}
	if m.promiseTo(cluster, out); m.promise == cluster && !m.ending {
		m.vow(core.Envelope{From: m.Self(), To: core.Peer{Addr: to.Addr}, Body: &core.Enlist{Durable: m.durable}}, out)
	}
}

// promiseTo has this empty manager be of that cluster, if it is of one. It may begin anew
// instead: under another id it can be of that one.
func (m *Manager) promiseTo(c core.ClusterID, out *core.Output) {
	before := m.promise
	if m.promises(m.now, c) {
		m.beginAnew(out)
	} else if m.durable && m.promise != before {
		out.Persist = append(out.Persist, write(keyPromise, tagPromise, &promiseRecord{m.Self().ID, c}))
	}
}

// vow sends what others may count on this manager for, once what it rests on is durable.
func (m *Manager) vow(e core.Envelope, out *core.Output) {
	if m.durable && m.promise != 0 {
		out.After = append(out.After, e)
	} else {
		out.Send = append(out.Send, e)
	}
}

// tellOf tells a person something, once.
func (m *Manager) tellOf(k core.EventKind, node core.NodeID, text string, told *bool, out *core.Output) {
	if !*told {
		*told = true
		out.Events = append(out.Events, core.Event{Kind: k, Node: node, Text: text})
	}
}

// judge does what follows from the answers of this round. Only the first of the list founds a
// cluster: so no two do.
func (m *Manager) judge(out *core.Output) {
	switch {
	case m.ending:
	case m.inner != nil:
		switch gone := m.noteGone(m.cluster()); {
		case !m.isBlank():
		case m.isDead(m.cluster(), m.Self().ID, &m.node.members, m.node.log.holdsData()):
			m.beginAnew(out)
		case gone && !m.knowsFounders(): // the others are to be asked after that
			m.askAt = m.now
		}
	case m.place != 0:
	case m.asks == 0:
		if m.all(func(a *answer) bool { return a.state <= statePromised && m.agrees(a.durable, a.managers) }) {
			switch {
			case m.promise == 0:
				m.askAll(m.opt.Cluster, out)
			case m.isLapsed(m.now) || m.all(func(a *answer) bool { return a.cluster != m.promise }):
				m.beginAnew(out) // it has asked a cluster that is no more to take it in
			}
		}
	case m.promise != 0: // it has asked another cluster since to take it in, by this id
	case m.all(func(a *answer) bool {
		return a.state == statePromised && a.cluster == m.asks && m.agrees(a.durable, a.managers)
	}):
		m.found(out)
	}
}

// found writes down who the founders are. From here on they alone count, by these ids.
func (m *Manager) found(out *core.Output) {
	founders := []core.Peer{m.opt.Self}
	for i := range m.answers {
		if i != m.place {
			name, _ := core.SplitAddr(m.answers[i].from.Addr)
			p := core.Peer{ID: m.answers[i].from.ID, Addr: core.NamedAddr(name, m.managers[i])}
			if find(founders, p.ID) >= 0 { // drawn twice, or somebody answers for another: both have promised
				m.beginAnew(out)
				return
			}
			founders = append(founders, p)
		}
	}
	if err := m.enter(m.opt.Cluster, founders, core.Empty{}); err != nil {
		out.Halt = err
		return
	}
	out.Events = append(out.Events, core.Event{Kind: core.EventFounded})
	m.anew(m.now)
	m.inner.Tick(m.now, out)
}

// takenUp makes this empty manager one of the cluster whose leader, or founder, speaks to it by
// its id. It returns false if that is none of those to which it may belong.
func (m *Manager) takenUp(in *core.Envelope, out *core.Output) bool {
	switch {
	case in.To.ID != m.opt.Self.ID || in.Cluster == 0 || !isMember(in.From.ID):
		return false
	case m.promise != 0 && m.promise != in.Cluster:
		if m.isLapsed(m.now) {
			m.beginAnew(out)
		}
		return false
	}
	if err := m.enter(in.Cluster, nil, core.Empty{}); err != nil {
		out.Halt = err
		return false
	}
	m.anew(m.now)
	return true
}

// beginAnew gives up a cluster that cannot be founded any more, or never took this one in, and
// the id that others may know.
func (m *Manager) beginAnew(out *core.Output) {
	m.ending = true
	if m.durable {
		out.Persist = append(out.Persist, core.Write{Key: keyState[:len("quorum/")], Delete: true, End: "quorum0"}, core.Write{Key: "identity", Delete: true}, write(keyPromise, tagPromise, &promiseRecord{id: m.Self().ID}))
	}
	out.After = append(out.After, core.Envelope{From: m.Self(), To: m.Self(), Body: &core.Synced{Nonce: anewNonce}})
}

func (m *Manager) halt(out *core.Output) {
	out.Halt = fmt.Errorf("quorum: manager %v: %w", m.Self().ID, ErrAnew)
}

// onManagersQuery tells an operator who the managers are and how far, and begins a change of
// them.
func (m *Manager) onManagersQuery(in core.Envelope, b *core.ManagersQuery, out *core.Output) {
	r := &core.ManagersReply{Req: b.Req, Status: core.StatusOK}
	if len(b.Add)+len(b.Remove) > 0 {
		if err := m.node.Change(b.Add, b.Remove); err != nil {
			r.Status, r.Why = core.StatusUnavailable, strings.TrimPrefix(err.Error(), "quorum: ")
			r.Why = r.Why[:min(len(r.Why), core.WhyBytesMax)]
		}
	}
	r.Term, r.Changing = m.node.leads, !m.node.Settled()
	r.Managers = m.node.managers()
	out.Send = append(out.Send, core.Envelope{Cluster: m.cluster(), From: m.Self(), To: in.From, Body: r})
}

// managers are all members as a leader sees them.
func (n *Node) managers() (list []core.ManagerStatus) {
	status := n.raft.Status()
	add := func(p core.Peer, leaving bool) {
		progress, known := status.Progress[uint64(p.ID)]
		s := core.ManagerStatus{Peer: p, Leads: p.ID == n.self.ID, Leaving: leaving, Lag: uint64(n.log.last())}
		if known {
			s.Lag -= min(s.Lag, progress.Match)
		}
		s.Silent = !s.Leads && n.silent(p.ID)
		list = append(list, s)
	}
	for _, p := range n.members.Voters {
		add(p, false)
	}
	for _, p := range n.members.Outgoing {
		if find(n.members.Voters, p.ID) < 0 {
			add(p, true)
		}
	}
	return list
}

package quorum

import (
	"maps"
	"slices"
	"time"

	"gtstore/core"
	"gtstore/core/wire"
)

// What always holds of managers that found a cluster, are taken in, by what they have said to
// each other and what their disks have. Nothing here looks into the managers, but for who the members are.

// oaths is what the managers of a site have said so far, by their ids.
type oaths struct {
	sworn   map[core.NodeID]core.ClusterID // of which each is
	endedAt map[core.NodeID]core.Time      // since when its data are gone
	noted   map[core.NodeID]bool           // that it has applied a command is on its disk; or it runs on, in memory
	vouched map[core.NodeID]core.Time      // when the round began in which it has said last that it is there, and empty
	known   map[core.NodeID]bool           // founders, and who was taken in and judged
}

func newOaths() oaths {
	return oaths{map[core.NodeID]core.ClusterID{}, map[core.NodeID]core.Time{}, map[core.NodeID]bool{}, map[core.NodeID]core.Time{}, map[core.NodeID]bool{}}
}

// words reads what goes between founders; nil for all else.
func words(e *core.Envelope) (*ask, *say) {
	q, ok := e.Body.(*core.Quorum)
	if !ok || !isFounding(q.Text) {
		return nil, nil
	}
	c := wire.NewDecoder([]byte(q.Text))
	if q.Text[0] == tagAsk {
		a := new(ask)
		a.code(&c)
		return a, nil
	}
	s := new(say)
	s.code(&c)
	return nil, s
}

// leaves judges a word as it leaves. A manager is of one cluster under one id, whatever it is asked; what
// it has promised is on its disk; and who has applied a command never says again that it has none, also
// where it was started anew since.
func (c *chair) leaves(e *core.Envelope) {
	if q, ok := e.Body.(*core.Quorum); ok && q.Text[0] == byte(KindAppend) {
		c.judgeChange(q.Text)
	}
	a, s := words(e)
	if s != nil && s.state < stateMember && c.s.noted[e.From.ID] {
		c.s.fail("%s, as %v, says that it is in state %d, and has applied a command", c.addr, e.From.ID, s.state)
	}
	switch id := e.From.ID; {
	case a != nil && a.round-a.round%questionsMax != c.round:
		c.round, c.roundAt = a.round-a.round%questionsMax, c.s.now
	case s == nil || s.cluster == 0:
	case c.s.sworn[id] != 0 && c.s.sworn[id] != s.cluster:
		c.s.fail("%s, as %v, is of cluster %v, and has said that it is of %v", c.addr, id, s.cluster, c.s.sworn[id])
	default:
		c.s.sworn[id] = s.cluster
		if c.s.durable && s.state == statePromised && !c.node.ending { // else it has given up what it was about to say
			var p promiseRecord
			if err := readOne(c, keyPromise, tagPromise, &p); err != nil || p != (promiseRecord{id, s.cluster}) {
				c.s.fail("%s, as %v, says that it is promised to %v, and its disk has %+v (%v)", c.addr, id, s.cluster, p, err)
			}
		}
	}
}

// arrives notes who has said in this round that it is there, and empty.
func (c *chair) arrives(e *core.Envelope) {
	if _, s := words(e); s != nil && s.state <= statePromised && s.round-s.round%questionsMax == c.round {
		c.s.vouched[e.From.ID] = c.roundAt
	}
}

// judgeFounded: each founder was there when the last round began, in which all have promised.
func (c *chair) judgeFounded() {
	for _, p := range c.node.node.Members().Voters {
		c.s.known[p.ID] = true
		if at, gone := c.s.endedAt[p.ID]; gone && at < c.roundAt {
			c.s.fail("%s founds with %v at %s, which was gone when the round began", c.addr, p.ID, p.Addr)
		}
	}
}

// judgeChange: whom a leader takes in has said that it is there, to a question that was asked before it ended.
func (c *chair) judgeChange(text string) {
	m, err := DecodeMessage([]byte(text))
	if err != nil {
		c.s.fail("%s sends what does not read: %v", c.addr, err)
		return
	}
	for _, e := range m.(*Append).Entries {
		if e.Kind != EntryMembers {
			continue
		}
		ch, err := readChange(e.Data)
		if err != nil {
			c.s.fail("%s sends a change of the members that does not read: %v", c.addr, err)
		}
		for _, p := range ch.added {
			if c.s.known[p.ID] {
				continue
			}
			c.s.known[p.ID] = true
			c.s.counts["taken in"]++
			began, vouched := c.s.vouched[p.ID]
			if at, gone := c.s.endedAt[p.ID]; !vouched || gone && at < began {
				c.s.fail("%s takes %v at %s in, which has not said that it is there", c.addr, p.ID, p.Addr)
			}
		}
	}
}

// judgeStarted: who has applied a command knows so when it was started anew. Nodes and clients were told
// what followed from it; and where all others have lost their data it would give its cluster up.
func (c *chair) judgeStarted() {
	if c.node != nil && c.s.noted[c.node.Self().ID] && c.node.Placement() == 0 {
		c.s.fail("%s, as %v, has applied a command, and does not know when it was started anew", c.addr, c.node.Self().ID)
	}
}

// judgeAnew: who has applied a command never gives its cluster up, whoever else is left.
func (c *chair) judgeAnew() {
	if c.s.noted[c.node.Self().ID] {
		c.s.fail("%s begins anew, and has applied a command", c.addr)
	}
}

// disaster takes the data of any managers at once, and ends the processes of all, where that is drawn.
func (s *site) disaster() {
	if s.faults && s.reckless {
		s.counts["disaster"]++
		s.endAll(60)
	}
}

// blackout ends the processes of all, and leaves their data. Most clusters are founded once the other
// faults are over, and then is when little is on a disk that tells of them.
func (s *site) blackout() {
	if s.durable {
		s.counts["blackout"]++
		s.endAll(0)
	}
}

// endAll ends all processes, of which so many percent lose their data, and starts others soon after.
func (s *site) endAll(gone int) {
	for _, c := range s.hosts {
		c.crash(s.chance(gone))
	}
	for _, c := range s.hosts {
		s.after(time.Duration(s.rng.IntN(500))*time.Millisecond, func() {
			if c.node == nil {
				c.start()
			}
		})
	}
}

// copied starts copies of the managers' directories elsewhere, while these run. Nobody takes one for the
// manager, wherever that leads or follows: two that are one could vote twice.
func (s *site) copied() {
	for range 2 {
		original := s.hosts[s.rng.IntN(s.size)]
		c := &chair{s: s, addr: "copy", records: maps.Clone(original.records)}
		s.hosts = append(s.hosts[:s.size:s.size], c)
		c.start()
		s.run(s.now.After(time.Duration(500+s.rng.IntN(1500)) * time.Millisecond))
		for _, h := range s.hosts[:s.size] {
			if s.wrong == "" && slices.ContainsFunc(h.node.node.current(), func(p core.Peer) bool { return p.Addr == c.addr }) {
				s.fail("to %s a copy is the manager at %s, which runs", h.addr, original.addr)
			}
		}
		if c.node != nil {
			c.crash(true)
		}
		s.hosts = s.hosts[:s.size]
		s.counts["copied"]++
	}
}

// isLost tells whether a cluster that somebody relies on has lost a majority.
func (s *site) isLost() bool {
	for _, r := range s.relied {
		if !s.lives(r) {
			return true
		}
	}
	return false
}

// cutSome takes some managers off the network for some time.
func (s *site) cutSome() {
	clear(s.cut)
	for _, c := range s.hosts {
		if s.faults && s.chance(15) {
			s.cut[c.addr] = true
		}
	}
}

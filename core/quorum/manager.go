package quorum

import "gtstore/core"

// ForManager returns the consensus of one of several managers, for core.ManagerOptions. The
// Self of the options need not be given: it is the manager's.
func ForManager(opt Options) func(core.Machine, core.Peer, core.Space) (core.Consensus, error) {
	return func(machine core.Machine, self core.Peer, space core.Space) (core.Consensus, error) {
		own := opt
		own.Self = self
		node, err := New(own, space, machine)
		if err != nil {
			return nil, err
		}
		return &council{node: node}, nil
	}
}

// council is a Node whose messages travel in core's envelopes.
type council struct {
	node    *Node
	out     Output
	scratch []byte // of the message that is being read, or written
	// Nearly all messages are these, and the node keeps none of them: their memory is used again.
	beat   Beat
	beaten Beaten
}

// Step implements core.Consensus, as do all that follow. What does not decode is dropped.
func (c *council) Step(now core.Time, from core.Peer, text string, out *core.Output) {
	c.scratch = append(c.scratch[:0], text...)
	if m, err := decodeMessage(c.scratch, c.message); err == nil {
		c.node.Step(now, Envelope{from, c.node.self, m}, &c.out)
	}
	c.handOut(out)
}

// message is an empty message to be read into, which is good until the next one.
func (c *council) message(kind Kind) Message {
	switch kind {
	case KindBeat:
		c.beat = Beat{}
		return &c.beat
	case KindBeaten:
		c.beaten = Beaten{}
		return &c.beaten
	}
	return newMessage(kind)
}

func (c *council) Stored(now core.Time, nonce uint64, out *core.Output) {
	c.node.Step(now, Envelope{c.node.self, c.node.self, &Stored{Nonce: nonce}}, &c.out)
	c.handOut(out)
}

func (c *council) Tick(now core.Time, out *core.Output) {
	c.node.Tick(now, &c.out)
	c.handOut(out)
}

func (c *council) Down(now core.Time, id core.NodeID, out *core.Output) {
	c.node.Down(now, id, &c.out)
	c.handOut(out)
}

func (c *council) Deadline() core.Time         { return c.node.Deadline() }
func (c *council) Propose(command string) bool { return c.node.Propose(command) }
func (c *council) Confirm(read uint64) bool    { return c.node.Confirm(read) }
func (c *council) Leader() (core.Peer, Term)   { return c.node.Leader() }

func (c *council) Replace(p core.Peer)  { c.node.Replace(p) }
func (c *council) Offer()               { c.node.Offer() }
func (c *council) Yield(id core.NodeID) { c.node.Yield(id) }

func (c *council) Managers() []core.Peer { return c.node.current() }

// handOut puts what the node wants done into core's form.
func (c *council) handOut(out *core.Output) {
	out.Send = c.appendEnvelopes(out.Send, c.out.Send)
	out.After = c.appendEnvelopes(out.After, c.out.After)
	out.Persist = append(out.Persist, c.out.Persist...)
	out.Halt = c.out.Halt
	clear(c.out.Send) // so that they keep no message alive
	clear(c.out.After)
	clear(c.out.Persist)
	c.out = Output{Send: c.out.Send[:0], After: c.out.After[:0], Persist: c.out.Persist[:0]}
}

func (c *council) appendEnvelopes(to []core.Envelope, list []Envelope) []core.Envelope {
	for _, e := range list {
		var body core.Message
		if stored, ok := e.Body.(*Stored); ok {
			body = &core.Synced{Nonce: stored.Nonce}
		} else {
			c.scratch = AppendMessage(c.scratch[:0], e.Body)
			body = &core.Quorum{Text: string(c.scratch)}
		}
		to = append(to, core.Envelope{From: e.From, To: e.To, Body: body})
	}
	return to
}

package core

// common is what the manager, the storage node and the client share: who they are, and
// what belongs to the call under way.
type common struct {
	self    Peer
	cluster ClusterID // 0 while it is not known

	now   Time    // of the call under way, or of the last one
	out   *Output // of the call under way; nil between two calls
	alarm Time    // no later than the next moment at which anything is due

	recorder *recorder // nil before the first record
}

// Self is who the node is: what its options say, and after a restart what its Space says.
func (n *common) Self() Peer { return n.self }

// wakeBy makes sure that a Tick comes no later than t.
func (n *common) wakeBy(t Time) { n.alarm = min(n.alarm, t) }

// send lets a message leave at once. after lets it leave when all is durable that this
// node has asked to make durable so far.
func (n *common) send(to Peer, m Message) {
	n.out.Send = append(n.out.Send, Envelope{n.cluster, n.self, to, m})
}

func (n *common) after(to Peer, m Message) {
	n.out.After = append(n.out.After, Envelope{n.cluster, n.self, to, m})
}

func (n *common) event(e Event) { n.out.Events = append(n.out.Events, e) }

// drop notes that a message made no sense here.
func (n *common) drop(from Peer) { n.event(Event{Kind: EventDropped, Node: from.ID}) }

// refuse notes a message that this node must not take in. Its sender is told why if it
// waits for an answer, or if it was forgotten. The reply names the cluster that the
// sender named, as the sender would refuse a message of another cluster. With the Secret
// of the sender it tells a storage node to stop.
func (n *common) refuse(in Envelope, why Refusal, secret uint64) {
	n.event(Event{Kind: EventRefused, Node: in.From.ID})
	if why == RefusedForgotten || isRequest(in.Body) {
		r := &Refused{Reason: why, Wanted: in.To.ID, What: KindOf(in.Body), Token: secret}
		if p, ok := in.Body.(*Ping); ok {
			r.Token = p.Token
		}
		n.out.Send = append(n.out.Send, Envelope{in.Cluster, n.self, in.From, r})
	}
}

// record makes a durable record.
func (n *common) record(key string, tag byte, v coded) string {
	if n.recorder == nil {
		n.recorder = new(recorder)
	}
	return n.recorder.record(key, tag, v)
}

// persist sets a record of the durable space; the node is in durable mode.
func (n *common) persist(key string, tag byte, v coded) {
	n.out.Persist = append(n.out.Persist, Write{Key: key, Value: n.record(key, tag, v)})
}

// unpersist deletes a record of the durable space, and unpersistRange all those from a key
// on and before another. A range takes one Write, whatever is in it.
func (n *common) unpersist(key string) {
	n.out.Persist = append(n.out.Persist, Write{Key: key, Delete: true})
}

func (n *common) unpersistRange(from, end string) {
	n.out.Persist = append(n.out.Persist, Write{Key: from, Delete: true, End: end})
}

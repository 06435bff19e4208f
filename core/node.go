package core

// A Node is a deterministic state machine: the same calls, in the same order,
// always give the same outputs. Manager, Storage and Client are Nodes.
type Node interface {
	// Step takes in one message that arrived at time now.
	Step(now Time, in Envelope, out *Output)
	// Tick does what is due at time now.
	Tick(now Time, out *Output)
	// Deadline is when the node next wants a Tick, or Never. A deadline that is
	// not after now asks for a Tick before the Output leaves: it is how the work
	// of several Steps is sent as one batch.
	Deadline() Time
}

// An Envelope carries one immutable message between two peers.
type Envelope struct {
	Cluster  ClusterID
	From, To Peer
	Body     Message
}

// A Write sets a key of the node's durable space, or deletes it. With Delete and an End it
// deletes every key from Key on and before End, in the order of the keys' bytes.
type Write struct {
	Key    string
	Value  string
	Delete bool
	End    string // above Key, or "" for Key alone
}

// A Space is what a node made durable before it stopped. Each record has a
// checksum that its key is part of, so a node notices damage within a record, and
// a record in the place of another; where the log or the commands have a hole it
// notices that too. That all the rest is there, and nothing of an earlier time
// in its stead, is the Space's to guarantee, or to return an error.
type Space interface {
	// Range calls f for every key with the prefix, in ascending order of the
	// key's bytes, until f returns an error, which it then returns.
	Range(prefix string, f func(key, value string) error) error
}

// Empty is the Space of a node that has nothing durable: every start in memory
// mode, the first start in durable mode.
type Empty struct{}

// Range finds nothing.
func (Empty) Range(string, func(key, value string) error) error { return nil }

// Output collects what the driver must do. The driver owns it, may let it
// gather several Steps, and resets it when it has carried it out.
type Output struct {
	Send    []Envelope // may leave at once
	Persist []Write    // to be made durable, in order, all or nothing
	After   []Envelope // may leave only once this and every earlier Persist is durable
	Events  []Event    // what happened: for logs, metrics, checks and viewers
	Halt    error      // the node stops after this output, and why; nil to go on
}

// Reset empties the Output and keeps its memory. The slices are cleared so
// that they keep no message alive.
func (o *Output) Reset() {
	clear(o.Send)
	clear(o.Persist)
	clear(o.After)
	o.Send, o.Persist, o.After, o.Events, o.Halt = o.Send[:0], o.Persist[:0], o.After[:0], o.Events[:0], nil
}

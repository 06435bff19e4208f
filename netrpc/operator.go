package netrpc

import (
	"context"
	"time"

	"gtstore/core"
)

// Status is what the manager knows of the cluster. It is gathered page by page,
// so parts of it can be a little older than others.
type Status struct {
	Cluster  core.ClusterID
	Manager  core.Peer
	Process  uint64 // the manager's
	Replicas int    // k
	Keys     uint64 // mapped to groups
	Nodes    []core.NodeStatus
	Groups   []core.GroupStatus
}

// Status asks the manager what it knows of nodes and groups.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	s := &Status{}
	for {
		e, err := c.ask(ctx, "status", func(req uint64) core.Message {
			return &core.StatusQuery{Req: req, NodeFrom: uint32(len(s.Nodes)), GroupFrom: uint32(len(s.Groups))}
		})
		if err != nil {
			return nil, err
		}
		r, ok := e.Body.(*core.StatusReply)
		if !ok {
			return nil, &Error{Class: ErrUnavailable, Op: "status", Detail: "the manager answered something else"}
		}
		s.Cluster, s.Manager, s.Process, s.Replicas, s.Keys = e.Cluster, e.From, r.Process, int(r.Replicas), r.Keys
		s.Nodes = append(s.Nodes, r.Nodes...)
		s.Groups = append(s.Groups, r.Groups...)
		if len(r.Nodes) == 0 && len(r.Groups) == 0 || len(s.Nodes) >= int(r.NodeCount) && len(s.Groups) >= int(r.GroupCount) {
			return s, nil
		}
	}
}

// Forget tells the manager that a node's data is gone for good: the node is
// refused from then on, and its group goes on without it. ErrNotFound says that
// no such node is registered. It must not be said of a node that may come back:
// if it was the last with an acknowledged write, that write is lost.
func (c *Client) Forget(ctx context.Context, node core.NodeID) error {
	e, err := c.ask(ctx, "forget", func(req uint64) core.Message { return &core.Forget{Req: req, Node: node} })
	if err != nil {
		return err
	}
	r, ok := e.Body.(*core.Forgotten)
	switch {
	case ok && r.Status == core.StatusOK:
		return nil
	case ok && r.Status == core.StatusNotFound:
		return &Error{Class: ErrNotFound, Op: "forget", Key: node.String(), Detail: "no such node is registered"}
	}
	return &Error{Class: ErrOverloaded, Op: "forget", Key: node.String()}
}

// Drain has a node's place in its group moved to a spare, and returns when the
// node is in no group and will not be used again: it is safe to stop then, and it
// stays reserved for that until it is started again. ErrNotFound says that no such
// node is registered. ErrUnavailable says that nothing can take the node's place,
// and that the node stays as it is; ErrUnknownOutcome, that the context ended
// first: the drain goes on, and may be asked for again.
func (c *Client) Drain(ctx context.Context, node core.NodeID) error {
	e, err := c.ask(ctx, "drain", func(req uint64) core.Message { return &core.Drain{Req: req, Node: node} })
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return &Error{Class: ErrUnknownOutcome, Op: "drain", Key: node.String(), Cause: cause,
			Detail: "the time ran out before a spare had taken its place; the drain goes on: ask again, with more time, to wait for it"}
	}
	if err != nil {
		return err
	}
	failed := &Error{Class: ErrUnavailable, Op: "drain", Key: node.String()}
	r, ok := e.Body.(*core.Drained)
	switch {
	case !ok:
		failed.Detail = "the manager answered something else"
	case r.Status == core.StatusOK:
		return nil
	case r.Status == core.StatusNotFound:
		failed.Class, failed.Detail = ErrNotFound, "no such node is registered"
	case r.Status == core.StatusGroupLost:
		failed.Class, failed.Detail = ErrGroupLost, "there is nothing that a spare could take over"
	case r.Status == core.StatusOverloaded:
		failed.Class = ErrOverloaded
	default:
		failed.Detail = "no spare can take its place: the node stays; start another storage node, and drain again"
	}
	return failed
}

// askAgain is when an operator's request is repeated: the first may be lost.
const askAgain = 200 * time.Millisecond

// ask sends a request to the manager until it is answered.
func (c *Client) ask(ctx context.Context, op string, request func(req uint64) core.Message) (core.Envelope, error) {
	req := c.last.Add(1)
	answer := make(chan core.Envelope, 1)
	c.mu.Lock()
	if c.asked == nil {
		c.mu.Unlock()
		return core.Envelope{}, &Error{Class: ErrClosed, Op: op}
	}
	c.asked[req] = answer
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.asked, req)
		c.mu.Unlock()
	}()
	again := time.NewTicker(askAgain)
	defer again.Stop()
	for {
		c.host.driver.PutAll([]core.Envelope{{Cluster: core.ClusterID(c.cluster.Load()), From: c.host.self, To: c.manager, Body: request(req)}})
		select {
		case e, ok := <-answer:
			switch {
			case !ok:
				return core.Envelope{}, &Error{Class: ErrClosed, Op: op}
			case c.foreign(&e):
				return core.Envelope{}, &Error{Class: ErrUnavailable, Op: op, Detail: c.displaced(), Cause: ErrOtherCluster}
			}
			return e, nil
		case <-again.C:
		case <-ctx.Done():
			return core.Envelope{}, &Error{Class: ErrUnavailable, Op: op,
				Detail: "the manager at " + c.manager.Addr + " did not answer in time", Cause: context.Cause(ctx)}
		}
	}
}

// foreign tells whether an answer comes from another manager than the one that
// the client connected to, which is that of another cluster.
func (c *Client) foreign(e *core.Envelope) bool {
	known := core.ClusterID(c.cluster.Load())
	return e.From.ID != c.manager.ID || known != 0 && e.Cluster != known
}

// operate takes the requests of an operator and the answers to them past the
// client node, which knows nothing of them. It takes note of the cluster, and of
// another that has taken the manager's address.
func (c *Client) operate(e *core.Envelope) bool {
	switch m := e.Body.(type) {
	case *core.StatusQuery, *core.Forget, *core.Drain:
		c.host.net.Send([]core.Envelope{*e})
		return true
	case *core.LookupReply:
		if !c.foreign(e) {
			c.cluster.CompareAndSwap(0, uint64(e.Cluster))
		}
	case *core.StatusReply:
		if m.Req == 0 {
			c.onOther(e)
			return true
		}
		return c.answer(m.Req, e)
	case *core.Forgotten:
		return c.answer(m.Req, e)
	case *core.Drained:
		return c.answer(m.Req, e)
	case *core.Refused:
		if m.Wanted == c.manager.ID && (m.Reason == core.RefusedOtherNode || m.Reason == core.RefusedOtherCluster) {
			// Whoever is there is asked who it is, by a request of no number.
			c.host.net.Send([]core.Envelope{{From: c.host.self, To: core.Peer{Addr: c.manager.Addr}, Body: &core.StatusQuery{}}})
		}
		return m.What == core.KindStatusQuery || m.What == core.KindForget || m.What == core.KindDrain
	}
	return false
}

// answer hands an answer to who waits for it.
func (c *Client) answer(req uint64, e *core.Envelope) bool {
	if !c.foreign(e) {
		c.cluster.CompareAndSwap(0, uint64(e.Cluster))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if answer := c.asked[req]; answer != nil {
		select {
		case answer <- *e:
		default: // answered twice
		}
	}
	return true
}

// onOther takes in who is at the manager's address, after one there did not want
// to be taken for it. If it is another's, those who wait hear no more from this one.
func (c *Client) onOther(e *core.Envelope) {
	if !c.foreign(e) {
		return
	}
	c.other.Store(uint64(e.Cluster))
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, answer := range c.asked {
		select {
		case answer <- *e:
		default:
		}
	}
}

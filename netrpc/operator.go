package netrpc

import (
	"context"
	"fmt"
	"time"

	"gtstore/core"
)

// Status is what the manager knows of the cluster. It is gathered page by page,
// so parts of it can be a little older than others.
type Status struct {
	Cluster   core.ClusterID
	Manager   core.Peer
	Process   uint64 // the manager's
	Replicas  int    // k
	Keys      uint64 // that exist, as the primaries said last
	Mapped    uint64 // keys, or slots by Placement, that have a group, also when no key of them exists
	Placement core.Placement
	Nodes     []core.NodeStatus
	Groups    []core.GroupStatus
	// DiskLag is how long the manager has waited for its disk: until that has made a command
	// durable, no new key gets a group and nothing is repaired.
	DiskLag time.Duration
}

// nodesMax bounds the nodes of a cluster, and with them its groups.
const nodesMax = core.SparesMax

// Status asks the manager what it knows of nodes and groups.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	s := &Status{}
	for {
		e, err := c.ask(ctx, "status", c.manager, askAgain, func(req uint64) core.Message {
			return &core.StatusQuery{Req: req, NodeFrom: uint32(len(s.Nodes)), GroupFrom: uint32(len(s.Groups))}
		})
		if err != nil {
			return nil, err
		}
		r, ok := e.Body.(*core.StatusReply)
		if !ok {
			return nil, &Error{Class: ErrUnavailable, Op: "status", Detail: "the manager answered something else"}
		}
		s.Cluster, s.Manager, s.Process, s.Replicas, s.Keys, s.Mapped = e.Cluster, e.From, r.Process, int(r.Replicas), r.Keys, r.Mapped
		s.Placement, s.DiskLag = r.Placement, r.DiskLag
		s.Nodes = append(s.Nodes, r.Nodes...)
		s.Groups = append(s.Groups, r.Groups...)
		if len(s.Nodes) > nodesMax || len(s.Groups) > nodesMax {
			return nil, &Error{Class: ErrUnavailable, Op: "status", Detail: fmt.Sprintf("the manager goes on and on: a cluster has at most %d nodes", nodesMax)}
		}
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
	e, err := c.ask(ctx, "forget", c.manager, askAgain, func(req uint64) core.Message { return &core.Forget{Req: req, Node: node} })
	if err != nil {
		return err
	}
	failed := &Error{Class: ErrUnavailable, Op: "forget", Key: node.String()}
	r, ok := e.Body.(*core.Forgotten)
	switch {
	case !ok:
		failed.Detail = "the manager answered something else"
	case r.Status == core.StatusOK:
		return nil
	case r.Status == core.StatusNotFound:
		failed.Class, failed.Detail = ErrNotFound, "no such node is registered"
	default:
		failed.Class = ErrOverloaded
	}
	return failed
}

// Drain has a node's place in its group moved to a spare, and returns when the
// node is in no group and will not be used again: it is safe to stop then, and it
// stays reserved for that until it is started again. ErrNotFound says that no such
// node is registered. ErrUnavailable says that nothing can take the node's place,
// and that the node stays as it is; ErrUnknownOutcome, that the context ended
// first: the drain goes on, unless the manager has ended, and may be asked for again.
func (c *Client) Drain(ctx context.Context, node core.NodeID) error {
	e, err := c.ask(ctx, "drain", c.manager, askAgain, func(req uint64) core.Message { return &core.Drain{Req: req, Node: node} })
	if cause := context.Cause(ctx); err != nil && cause != nil {
		detail := "the time ran out before a spare had taken its place; the drain goes on: ask again, with more time, to wait for it"
		if c.refused.Load() {
			detail = c.silence() + "; in memory mode the cluster, and the drain with it, ended with its manager"
		}
		return &Error{Class: ErrUnknownOutcome, Op: "drain", Key: node.String(), Cause: cause, Detail: detail}
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

// ask sends a request, again and again, until it is answered.
func (c *Client) ask(ctx context.Context, op string, to core.Peer, every time.Duration, request func(req uint64) core.Message) (core.Envelope, error) {
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
	again := time.NewTicker(every)
	defer again.Stop()
	for {
		c.host.bring(core.Envelope{Cluster: core.ClusterID(c.cluster.Load()), From: c.host.self, To: to, Body: request(req)})
		select {
		case e, ok := <-answer:
			switch {
			case !ok:
				return core.Envelope{}, &Error{Class: ErrClosed, Op: op}
			case core.KindOf(e.Body) != core.KindExported && c.foreign(&e):
				return core.Envelope{}, &Error{Class: ErrUnavailable, Op: op, Detail: c.displaced(), Cause: ErrOtherCluster}
			}
			return e, nil
		case <-again.C:
		case <-ctx.Done():
			return core.Envelope{}, &Error{Class: ErrUnavailable, Op: op,
				Detail: c.silence(), Cause: context.Cause(ctx)}
		}
	}
}

// silence says that the manager did not answer, and why, if that is known.
func (c *Client) silence() string {
	text := "the manager at " + c.manager.Addr + " did not answer in time"
	if c.refused.Load() {
		text += ": its address refuses connections, so its process has ended"
	}
	return text
}

// foreign tells whether an answer is of another cluster than the client's. A manager has
// one identity for as long as its cluster exists, so another manager is of another
// cluster.
func (c *Client) foreign(e *core.Envelope) bool {
	known := core.ClusterID(c.cluster.Load())
	return e.From.ID != c.manager.ID || known != 0 && e.Cluster != known
}

// operate sees every envelope before the client of package core does. It returns true
// for those that it has dealt with: an operator's requests and their answers, of which
// the core's client knows nothing. On the way it learns the client's cluster, and
// whether another cluster's manager has taken the address.
func (c *Client) operate(e *core.Envelope) bool {
	if e.From.ID == c.manager.ID {
		c.refused.Store(false)
	}
	switch m := e.Body.(type) {
	case *core.PeerDown:
		if m.Peer.Addr == c.manager.Addr {
			c.refused.Store(m.Refused)
		}
	case *core.StatusQuery, *core.Forget, *core.Drain, *core.Export:
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
	case *core.Exported:
		return c.answer(m.Req, e)
	case *core.Refused:
		if m.Wanted == c.manager.ID && (m.Reason == core.RefusedOtherNode || m.Reason == core.RefusedOtherCluster) {
			// Ask whoever is there of which cluster it is. No caller has request number 0,
			// so the answer to it goes to onOther.
			c.host.net.Send([]core.Envelope{{From: c.host.self, To: core.Peer{Addr: c.manager.Addr}, Body: &core.StatusQuery{}}})
		}
		return m.What == core.KindStatusQuery || m.What == core.KindForget || m.What == core.KindDrain || m.What == core.KindExport
	}
	return false
}

// answer hands an answer to the caller that waits for it.
func (c *Client) answer(req uint64, e *core.Envelope) bool {
	if !c.foreign(e) {
		c.cluster.CompareAndSwap(0, uint64(e.Cluster))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if answer := c.asked[req]; answer != nil {
		select {
		case answer <- *e:
		default: // a repeated request is answered again
		}
	}
	return true
}

// onOther learns who is at the manager's address, after somebody there has refused what
// was for the manager. If that is another cluster's manager, nobody will answer the
// requests that wait: each gets this answer, which ask then tells to be foreign.
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

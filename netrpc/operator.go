package netrpc

import (
	"context"
	"fmt"
	"slices"
	"time"

	"gtstore/core"
	"gtstore/netrpc/internal/transport"
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

	// Managers are all of them, of which this one leads in the Term; one that is alone has none,
	// and whose certificate is a client's is told of none.
	Managers []core.ManagerStatus
	Term     core.Term
}

// nodesMax bounds the nodes of a cluster, and with them its groups.
const nodesMax = core.SparesMax

// Status asks the manager what it knows of nodes and groups.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	s, err := c.status(ctx)
	if err == nil {
		s.Manager.Addr = hostPort(s.Manager.Addr)
		for i := range s.Nodes {
			s.Nodes[i].Addr = hostPort(s.Nodes[i].Addr)
		}
	}
	return s, err
}

// status is Status with the addresses of nodes as the cluster has them.
func (c *Client) status(ctx context.Context) (*Status, error) {
	s := &Status{}
	if c.leaders.several() && core.KindManagersQuery.MaySend(c.role, core.RoleManager) { // first: where none leads, that says who is missing
		m, err := c.Managers(ctx)
		if err != nil {
			return nil, err
		}
		s.Managers, s.Term = m.Managers, m.Term
	}
	for {
		e, err := c.askManager(ctx, "status", func(req uint64) core.Message {
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
			break
		}
	}
	return s, nil
}

// Managers are those of a cluster, as the one that leads sees them, each at its HOST:PORT, with TLS
// as NAME@HOST:PORT. One that is alone leads in term 0.
type Managers struct {
	Cluster  core.ClusterID
	Term     core.Term
	Changing bool // a change is not over: those who are Leaving are still needed
	Managers []core.ManagerStatus
}

// Managers asks who the managers are.
func (c *Client) Managers(ctx context.Context) (*Managers, error) {
	m, err := c.askManagers(ctx, nil, nil)
	if err == nil {
		for i := range m.Managers {
			m.Managers[i].Addr = ShownAddress(m.Managers[i].Addr)
		}
	}
	return m, err
}

// ChangeManagers adds managers, which must be started and empty, and removes others, in one
// step: after that the new ones count, and no others. It returns when those who were removed
// are not needed any more. ErrUnavailable says that nothing is changed, and why;
// ErrUnknownOutcome, that the context ended first, and the change may go on.
func (c *Client) ChangeManagers(ctx context.Context, add []core.Peer, remove []core.NodeID) error {
	var refused error // the answer to the wish: one that was said twice is refused, as it is being done
	asked := false
	for {
		m, err := c.askManagers(ctx, nil, nil)
		if err == nil && !m.Changing {
			switch {
			case m.are(add, remove):
				return nil
			case refused != nil:
				return refused
			}
			asked = true
			_, refused = c.askManagers(ctx, add, remove)
		}
		if cause := whyEnded(ctx); cause != nil && asked {
			return &Error{Class: ErrUnknownOutcome, Op: "managers", Cause: cause, Detail: "the time ran out before the change was over; it may go on: see 'gtstore managers'"}
		}
		if err != nil {
			return err
		}
		select {
		case <-time.After(askAgain / 4):
		case <-ctx.Done():
		}
	}
}

// are tells whether the managers are as somebody wants them.
func (m *Managers) are(add []core.Peer, remove []core.NodeID) bool {
	for _, p := range add {
		if !slices.ContainsFunc(m.Managers, func(s core.ManagerStatus) bool { return s.Peer == p }) {
			return false
		}
	}
	return !slices.ContainsFunc(m.Managers, func(s core.ManagerStatus) bool { return slices.Contains(remove, s.ID) })
}

func (c *Client) askManagers(ctx context.Context, add []core.Peer, remove []core.NodeID) (*Managers, error) {
	e, err := c.askManager(ctx, "managers", func(req uint64) core.Message {
		return &core.ManagersQuery{Req: req, Add: add, Remove: remove}
	})
	if err != nil {
		return nil, err
	}
	r, ok := e.Body.(*core.ManagersReply)
	if !ok {
		return nil, &Error{Class: ErrUnavailable, Op: "managers", Detail: "the manager answered something else"}
	}
	if r.Status != core.StatusOK {
		return nil, &Error{Class: ErrUnavailable, Op: "managers", Detail: Printable(r.Why)}
	}
	return &Managers{e.Cluster, r.Term, r.Changing, r.Managers}, nil
}

// AskManager asks an address, of the forms that Dial takes, which manager is there, one of several.
// With TLS the peer's address has the name in its certificate.
func AskManager(ctx context.Context, address string) (core.Peer, error) {
	return new(Dialer).AskManager(ctx, address)
}

// AskManager is the function AskManager with the options of the Dialer.
func (d *Dialer) AskManager(ctx context.Context, address string) (core.Peer, error) {
	list, err := ManagerAddresses([]string{address}, d.TLS != TLS{})
	if err != nil {
		return core.Peer{}, err
	}
	id, err := d.TLS.load(logger(d.Logger), "a client", core.RoleOperator, core.RoleClient)
	if err != nil {
		return core.Peer{}, err
	}
	hello, err := transport.Ask(ctx, id, list[0])
	switch {
	case err != nil:
		return core.Peer{}, &Error{Class: ErrUnavailable, Op: "managers", Detail: Printable(fmt.Sprintf("manager %s: %v", address, err)), Cause: whyEnded(ctx)}
	case hello.Role != transport.RoleSeveral:
		return core.Peer{}, &Error{Class: ErrUnavailable, Op: "managers", Detail: fmt.Sprintf("at %s there is a %v: start one with 'node manager --managers'", address, hello.Role)}
	}
	return core.Peer{ID: hello.ID, Addr: hello.Addr}, nil
}

// Forget tells the manager that a node's data is gone for good: the node is
// refused from then on, and its group goes on without it. ErrNotFound says that
// no such node is registered. It must not be said of a node that may come back:
// if it was the last with an acknowledged write, that write is lost.
func (c *Client) Forget(ctx context.Context, node core.NodeID) error {
	e, err := c.askManager(ctx, "forget", func(req uint64) core.Message { return &core.Forget{Req: req, Node: node} })
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
	e, err := c.askManager(ctx, "drain", func(req uint64) core.Message { return &core.Drain{Req: req, Node: node} })
	if cause := whyEnded(ctx); err != nil && cause != nil {
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

// triesMax is how often in a row a request goes to one of several managers before another one
// is asked. That knows who leads, so one that only takes its time is asked again.
const triesMax = 2

// askManager asks the manager, or of several the one that leads.
func (c *Client) askManager(ctx context.Context, op string, request func(req uint64) core.Message) (core.Envelope, error) {
	return c.ask(ctx, op, core.Peer{}, askAgain, request)
}

// allowed tells why the client's certificate is not good for a request; nil if it is.
func (c *Client) allowed(op string, k core.Kind) error {
	if k.MaySend(c.role, core.RoleManager) || k.MaySend(c.role, core.RoleNode) {
		return nil
	}
	return &Error{Class: ErrNotAllowed, Op: op, Detail: fmt.Sprintf("the certificate is of a %v, and this needs one of an operator", c.role)}
}

// ask sends a request, again and again, until it is answered: to the manager, if to is zero.
func (c *Client) ask(ctx context.Context, op string, to core.Peer, every time.Duration, request func(req uint64) core.Message) (core.Envelope, error) {
	if err := c.allowed(op, core.KindOf(request(0))); err != nil {
		return core.Envelope{}, err
	}
	several := to == core.Peer{} && c.leaders.several()
	if to == (core.Peer{}) {
		to = c.manager
	}
	answer := make(chan core.Envelope, 1)
	c.mu.Lock()
	if c.asked == nil {
		c.mu.Unlock()
		return core.Envelope{}, &Error{Class: ErrClosed, Op: op}
	}
	req := newID(c.asked)
	c.asked[req] = answer
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.asked, req)
		c.mu.Unlock()
	}()
	again := time.NewTicker(every)
	defer again.Stop()
	for tries := 1; ; tries++ {
		if several {
			if tries%(triesMax+1) == 0 {
				c.leaders.next(to)
			}
			to = c.leaders.asked()
		}
		c.host.bring(core.Envelope{Cluster: core.ClusterID(c.cluster.Load()), From: c.host.self, To: to, Body: request(req)})
		select {
		case e, ok := <-answer:
			switch {
			case !ok:
				return core.Envelope{}, &Error{Class: ErrClosed, Op: op}
			case core.KindOf(e.Body) == core.KindNotLeader:
				c.leaders.meet(e.From)
				if c.leaders.follow(e.Body.(*core.NotLeader)) {
					continue
				}
				c.leaders.next(to)
				select { // none leads, or that one has just been asked
				case <-again.C:
				case <-ctx.Done():
				}
				continue
			case core.KindOf(e.Body) != core.KindExported && c.foreign(&e):
				return core.Envelope{}, &Error{Class: ErrUnavailable, Op: op, Detail: c.displaced(), Cause: ErrOtherCluster}
			}
			return e, nil
		case <-again.C:
		case <-ctx.Done():
			return core.Envelope{}, &Error{Class: ErrUnavailable, Op: op,
				Detail: c.silence(), Cause: whyEnded(ctx)}
		}
	}
}

// silence says that the manager did not answer, and why, if that is known.
func (c *Client) silence() string {
	if c.leaders.several() {
		return "none of the managers, " + c.leaders.text() + ", has answered in time as the one that leads: more than half of them must be up, with their data"
	}
	text := "the manager at " + hostPort(c.manager.Addr) + " did not answer in time"
	if c.refused.Load() {
		text += ": its address refuses connections, so its process has ended"
	}
	return text
}

// foreign tells whether an answer is of another cluster than the client's. A manager has
// one identity for as long as its cluster exists, so another manager is of another
// cluster, unless there are several.
func (c *Client) foreign(e *core.Envelope) bool {
	known := core.ClusterID(c.cluster.Load())
	return e.From.ID != c.manager.ID && !c.leaders.several() || known != 0 && e.Cluster != known
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
		if c.leaders.several() {
			c.leaders.next(m.Peer)
		} else if m.Peer.Addr == c.manager.Addr {
			c.refused.Store(m.Refused)
		}
	case *core.StatusQuery, *core.Forget, *core.Drain, *core.Export, *core.ManagersQuery:
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
	case *core.ManagersReply:
		return c.answer(m.Req, e)
	case *core.NotLeader:
		return c.leaders.several() && c.asks(m.Req) && c.answer(m.Req, e)
	case *core.Refused:
		if m.Wanted == c.manager.ID && (m.Reason == core.RefusedOtherNode || m.Reason == core.RefusedOtherCluster) {
			// Ask whoever is there of which cluster it is. No caller has request number 0,
			// so the answer to it goes to onOther.
			c.host.net.Send([]core.Envelope{{From: c.host.self, To: core.Peer{Addr: c.manager.Addr}, Body: &core.StatusQuery{}}})
		}
		return m.What == core.KindStatusQuery || m.What == core.KindForget || m.What == core.KindDrain || m.What == core.KindExport || m.What == core.KindManagersQuery
	}
	return false
}

// asks tells whether that is an operator's request that waits. It has the number of no call.
func (c *Client) asks(req uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked[req] != nil
}

// answer hands an answer to the caller that waits for it.
func (c *Client) answer(req uint64, e *core.Envelope) bool {
	if !c.foreign(e) && core.KindOf(e.Body) != core.KindNotLeader {
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

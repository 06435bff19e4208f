package netrpc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gtstore/core"
)

// Exporter reads all that groups hold, while they are written to: for a backup. It is for
// one goroutine at a time.
type Exporter struct {
	client   *Client
	rate     int
	patience time.Duration

	paid    time.Time // what was read so far is within the rate until then
	primary core.Peer // of the group that is being read, as far as is known
	epoch   core.Epoch
}

const (
	// exportTry is how long a primary is waited for before the manager is asked who it is
	// now. It doubles, as the answer may be large and the network slow.
	exportTry = time.Second
	// exportSteps is how many parts a second are asked for while the rate is what bounds them.
	exportSteps = 20
	// exportsAnew is how often a group is begun anew because its writes outran the reading.
	exportsAnew = 5
	// exportAgain is how long to wait for a primary that does not serve yet.
	exportAgain = 20 * time.Millisecond
)

// Exporter returns one that reads so many bytes of keys and values a second, more than 0,
// of all groups together. Only what is read for the first time counts: what is written
// meanwhile comes on top, as fast as it is written. Patience is how long it waits for a
// group without a primary that answers.
func (c *Client) Exporter(rate int, patience time.Duration) *Exporter {
	return &Exporter{client: c, rate: rate, patience: patience}
}

// Group reads a group. It calls part for each part of it, in order, until one says that
// it is the last (All). Of what several parts say about a key the last counts, and version
// 0 means that it is absent. A part that begins anew (Anew), as the first one does, makes
// those before it void: the group has another primary, or its writes outran the reading.
//
// What was read is the state of the group at one position of its log, and has all writes
// that were acknowledged before the call. An error of part is returned as it is. Others are
// of class ErrUnavailable, ErrGroupLost or ErrClosed; or ErrOverloaded, when the writes
// outran the reading again and again.
func (e *Exporter) Group(ctx context.Context, group core.GroupID, part func(*core.Exported) error) error {
	e.primary, e.epoch = core.Peer{}, 0
	next := core.Export{Group: group}
	for anew := 0; ; {
		next.Fresh = uint64(max(0, e.allowance()))
		r, err := e.ask(ctx, next)
		if err != nil {
			return err
		}
		if r.Anew && r.Tenure == next.Tenure {
			if anew++; anew > exportsAnew {
				return &Error{Class: ErrOverloaded, Op: "export", Group: group,
					Detail: fmt.Sprintf("the writes to group %d outran the reading of it %d times: try again when fewer are written, or from a machine nearer to the cluster", group, anew)}
			}
		}
		e.paid = e.paid.Add(e.timeOf(int(min(r.Fresh, core.BatchBytesMax+core.KeyBytesMax))))
		if err := part(r); err != nil || r.All {
			return err
		}
		next.Tenure, next.Cursor, next.Position = r.Tenure, r.Cursor, r.Position
		if lacks := e.rate/exportSteps - e.allowance(); lacks > 0 && r.Position == r.Commit {
			// No longer than a step, as what changes meanwhile is not kept for long.
			if err := sleep(ctx, min(e.timeOf(lacks), time.Second/exportSteps)); err != nil {
				return &Error{Class: ErrUnavailable, Op: "export", Group: group, Detail: "it was given up before its end", Cause: err}
			}
		}
	}
}

// Allowed tells, before any group is asked, whether the client's certificate is good for that: if not,
// the error is of class ErrNotAllowed.
func (e *Exporter) Allowed() error { return e.client.allowed("export", core.KindExport) }

// Keys tells how many keys a group has. The errors are those of Group.
func (e *Exporter) Keys(ctx context.Context, group core.GroupID) (uint64, error) {
	e.primary, e.epoch = core.Peer{}, 0
	r, err := e.ask(ctx, core.Export{Group: group})
	if err != nil {
		return 0, err
	}
	return r.Keys, nil
}

// allowance is how many bytes may be read now; below 0 while too many were. It does not add
// up to more than a few steps.
func (e *Exporter) allowance() int {
	now := time.Now()
	if least := now.Add(-4 * time.Second / exportSteps); e.paid.Before(least) {
		e.paid = least
	}
	return int(now.Sub(e.paid).Seconds() * float64(e.rate))
}

// timeOf is how long so many bytes take at the rate.
func (e *Exporter) timeOf(bytes int) time.Duration {
	return time.Duration(float64(bytes) / float64(e.rate) * float64(time.Second))
}

// ask asks for one part, until it is there or patience is over.
func (e *Exporter) ask(ctx context.Context, next core.Export) (*core.Exported, error) {
	failed := &Error{Class: ErrUnavailable, Op: "export", Group: next.Group}
	begin, try := time.Now(), exportTry
	for {
		err := e.find(ctx, next.Group)
		if err == nil {
			var r *core.Exported
			if r, err = e.try(ctx, next, try); err == nil && r.Status == core.StatusOK {
				return r, nil
			}
			if err != nil {
				try *= 2
				e.primary = core.Peer{}
			} else {
				err = e.refused(r)
			}
		}
		switch cause := whyEnded(ctx); {
		case errors.Is(err, ErrGroupLost), errors.Is(err, ErrClosed), errors.Is(err, ErrNotAllowed), errors.Is(err, ErrOtherCluster):
			return nil, err
		case cause != nil:
			failed.Detail, failed.Cause = err.Error(), cause
			return nil, failed
		case time.Since(begin) > e.patience:
			failed.Detail = fmt.Sprintf("for %v no primary of group %d has answered; the last cause: %v; see 'gtstore status'", e.patience, next.Group, err)
			return nil, failed
		}
		_ = sleep(ctx, exportAgain) // the next round tells that the context has ended
	}
}

// find asks the manager for the group's primary, unless that is known.
func (e *Exporter) find(ctx context.Context, group core.GroupID) error {
	if e.primary.ID != 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, e.patience)
	defer cancel()
	s, err := e.client.status(ctx)
	if err != nil {
		return err
	}
	for i := range s.Groups {
		g := &s.Groups[i]
		if g.Group != group || len(g.Chain) == 0 {
			continue
		}
		if g.State == core.GroupLost {
			return &Error{Class: ErrGroupLost, Op: "export", Group: group, Detail: fmt.Sprintf("group %d, epoch %d", group, g.Epoch)}
		}
		for j := range s.Nodes {
			if n := &s.Nodes[j]; n.ID == g.Chain[0] {
				e.primary, e.epoch = n.Peer, g.Epoch
				return nil
			}
		}
	}
	return fmt.Errorf("the manager tells no primary of group %d", group)
}

// try asks the primary once.
func (e *Exporter) try(ctx context.Context, next core.Export, timeout time.Duration) (*core.Exported, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	answer, err := e.client.ask(ctx, "export", e.primary, 2*timeout, func(req uint64) core.Message {
		m := next
		m.Req = req
		return &m
	})
	if err != nil && errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrOtherCluster) {
		return nil, fmt.Errorf("node %v at %s did not answer in %v", e.primary.ID, hostPort(e.primary.Addr), timeout)
	}
	if err != nil {
		return nil, err
	}
	r, ok := answer.Body.(*core.Exported)
	if !ok || answer.From.ID != e.primary.ID || r.Group != next.Group {
		return nil, fmt.Errorf("node %v at %s was asked, and something else was answered", e.primary.ID, hostPort(e.primary.Addr))
	}
	return r, nil
}

// refused learns from a refusal who the primary is.
func (e *Exporter) refused(r *core.Exported) error {
	err := fmt.Errorf("node %v at %s: %v, in epoch %d", e.primary.ID, hostPort(e.primary.Addr), r.Status, r.Epoch)
	if c := r.Config; c != nil && c.Group == r.Group && c.Epoch > e.epoch {
		e.primary, e.epoch = c.Chain[0], c.Epoch
	} else if r.Status == core.StatusNotPrimary {
		e.primary = core.Peer{}
	}
	return err
}

// sleep waits, or returns why the context has ended.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return whyEnded(ctx)
	}
}

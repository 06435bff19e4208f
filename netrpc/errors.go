package netrpc

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gtstore/core"
)

// The classes of error of an operation, to be matched with errors.Is.
var (
	ErrNotFound       = errors.New("the key is absent")
	ErrConflict       = errors.New("the key has another version")
	ErrUnavailable    = errors.New("unavailable: nothing was done")
	ErrUnknownOutcome = errors.New("the outcome is unknown: what was asked for may have happened")
	ErrGroupLost      = errors.New("the group is lost: no copy of its data is left")
	ErrTooLarge       = errors.New("the key or the value is outside the limits")
	ErrOverloaded     = errors.New("overloaded: nothing was done")
	ErrClosed         = errors.New("the client is closed")
	ErrNotAllowed     = errors.New("not allowed: nothing was done")
	ErrOtherCluster   = errors.New("another cluster's manager has taken the manager's address")
)

// Error says what became of an operation. It matches its Class, and its Cause: a
// write of unknown outcome to a group that is lost matches both ErrUnknownOutcome
// and ErrGroupLost.
type Error struct {
	Class   error  // one of the above
	Op      string // "get", "put", "delete", "cas", "status", "forget", "drain", "export"
	Key     string
	Version core.Seq // with ErrConflict: the current one; 0 means absent
	Group   core.GroupID
	Detail  string // the last cause, and what to do next
	Cause   error  // another of the classes, or the context's error (context.Canceled or DeadlineExceeded), or nil
}

// whyEnded is the context's error, with the words of its cause if it has one of its own; nil while the
// context has not ended. The cause itself matches nothing: it may be the error of another
// operation, as where a group of goroutines ends with the first that fails, and would be taken for
// what became of this one.
func whyEnded(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if err == nil || cause == err {
		return err
	}
	return fmt.Errorf("%w: %v", err, cause)
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Key != "" {
		fmt.Fprintf(&b, " %q", clip(e.Key))
	}
	fmt.Fprintf(&b, ": %v", e.Class)
	if e.Detail != "" {
		fmt.Fprintf(&b, ": %s", e.Detail)
	}
	if e.Cause != nil && !strings.Contains(e.Detail, e.Cause.Error()) { // once is enough
		fmt.Fprintf(&b, " (%v)", e.Cause)
	}
	return b.String()
}

// Unwrap returns the class and the cause.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Class}
	}
	return []error{e.Class, e.Cause}
}

func clip(key string) string {
	const most = 64
	if len(key) > most {
		return key[:most] + "…"
	}
	return key
}

// outcome returns the error that a result stands for, or nil.
func (c *Client) outcome(ctx context.Context, call *core.Call, r *core.Result) error {
	e := &Error{Op: call.Kind.String(), Key: call.Key, Group: r.Group}
	switch r.Status {
	case core.StatusOK:
		return nil
	case core.StatusNotFound:
		e.Class = ErrNotFound
	case core.StatusConflict:
		e.Class, e.Version = ErrConflict, r.Version
		e.Detail = fmt.Sprintf("expected version %d, it is at %d", call.Version, r.Version)
	case core.StatusTooLarge:
		e.Class = ErrTooLarge
		e.Detail = fmt.Sprintf("a key of %d bytes and a value of %d; a key has 1 to %d bytes, a value up to %d",
			len(call.Key), len(call.Value), core.KeyBytesMax, core.ValueBytesMax)
	case core.StatusOverloaded:
		e.Class, e.Detail = ErrOverloaded, "too many operations at once: try again with fewer"
	case core.StatusGroupLost:
		e.Class = ErrGroupLost
		e.Detail = fmt.Sprintf("group %d, epoch %d: keys of other groups may still be served", r.Group, r.Epoch)
	case core.StatusUnknown:
		e.Class, e.Detail = ErrUnknownOutcome, c.lastCause(r)
	default:
		e.Class, e.Detail = ErrUnavailable, c.lastCause(r)
	}
	if e.Class == ErrUnknownOutcome || e.Class == ErrUnavailable {
		switch e.Cause = whyEnded(ctx); {
		case r.Displaced:
			e.Cause = ErrOtherCluster
		case r.Cause == core.StatusGroupLost:
			e.Cause = ErrGroupLost
		case r.Cause == core.StatusOverloaded && e.Class == ErrUnavailable:
			e.Class = ErrOverloaded
		case r.Cause == core.StatusOverloaded:
			e.Cause = ErrOverloaded
		}
	}
	return e
}

// displaced says which cluster is now at the manager's address, and what to do.
func (c *Client) displaced() string {
	return Displaced(hostPort(c.manager.Addr), core.ClusterID(c.cluster.Load()), core.ClusterID(c.other.Load()))
}

// Displaced says that another cluster's manager is now at the address of a cluster's
// manager. A cluster that is not known is 0.
func Displaced(manager string, was, is core.ClusterID) string {
	text := "at " + manager + " there is now the manager of another cluster"
	if is != 0 {
		text += ", " + is.String()
	}
	if was != 0 {
		text += "; it was that of " + was.String()
	}
	return text + ": connect anew to use the cluster that is there now; in memory mode the earlier one ended with its manager"
}

// lastCause says why an operation ended without a result, and what to do.
func (c *Client) lastCause(r *core.Result) string {
	switch {
	case r.Displaced:
		return c.displaced()
	case r.Need > 0:
		return fmt.Sprintf("%d of %d nodes registered: start more storage nodes", r.Have, r.Need)
	case r.Cause == core.StatusGroupLost:
		return fmt.Sprintf("group %d", r.Group)
	case r.Cause == core.StatusSessionExpired:
		return "its session expired"
	case r.Cause == core.StatusOverloaded:
		return "the node is overloaded: try again with fewer operations at once"
	case r.Group == 0:
		return c.silence()
	case r.Cause == core.StatusNotPrimary:
		return fmt.Sprintf("group %d has no primary that serves: see 'gtstore status'", r.Group)
	}
	return fmt.Sprintf("the primary of group %d did not answer in time: see 'gtstore status'", r.Group)
}

package netrpc

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gtstore/core"
	"gtstore/netrpc/internal/identity"
	"gtstore/netrpc/internal/transport"
)

const (
	watchInterval = time.Second     // between two looks at whether the manager was heard
	quietMax      = 3 * time.Second // without a word from the manager before that is worth telling; it pings far more often
	askAgainAfter = 10 * time.Second
	askTimeout    = 2 * time.Second
)

// managerWatch says in a storage node's log for what it waits while it hears nothing
// from its manager. The node itself tries on and on, whatever is at the address. It is
// for people only: nothing that the node does depends on it.
type managerWatch struct {
	log     *slog.Logger
	id      *identity.Source
	self    core.Peer
	several bool   // there may be others than those that were named, perhaps one
	address string // of all that were named, for people

	mu       sync.Mutex
	managers []string // their addresses, each with its name once that is known

	manager atomic.Uint64 // id of the manager that registered the node last, 0 before
	heardAt atomic.Int64  // since began
	began   time.Time
}

func newManagerWatch(self core.Peer, managers []string, several bool, id *identity.Source, log *slog.Logger) *managerWatch {
	return &managerWatch{log: log, id: id, self: self, several: several, managers: managers, address: shownList(managers), began: time.Now()}
}

// shownList is a list of managers for people.
func shownList(managers []string) string {
	list := make([]string, len(managers))
	for i, a := range managers {
		list[i] = ShownAddress(a)
	}
	return strings.Join(list, ",")
}

// meet learns the name of a manager.
func (w *managerWatch) meet(address string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.IndexFunc(w.managers, func(m string) bool { return core.SameAddr(m, address) }); i >= 0 && hostPort(address) != address {
		w.managers[i] = address
	}
}

// known are the addresses of the managers, as far as is known by now.
func (w *managerWatch) known() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.managers)
}

// note looks at what arrives. It leaves everything to the node.
func (w *managerWatch) note(e *core.Envelope) bool {
	switch e.Body.(type) {
	case *core.Registered:
		w.meet(e.From.Addr)
		if w.manager.CompareAndSwap(0, uint64(e.From.ID)) || w.several && w.manager.Swap(uint64(e.From.ID)) != uint64(e.From.ID) {
			w.log.Info("registered with the manager", "manager", Printable(hostPort(e.From.Addr)), "id", e.From.ID.String(), "cluster", e.Cluster.String())
		}
	case *core.Ping:
	default:
		return false
	}
	if w.several || uint64(e.From.ID) == w.manager.Load() {
		w.heardAt.Store(int64(time.Since(w.began)))
	}
	return false
}

// run looks until the node has ended.
func (w *managerWatch) run(ended <-chan struct{}) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		<-ended
		cancel()
	}()
	look := time.NewTicker(watchInterval)
	defer look.Stop()
	var told time.Duration // 0 while there is nothing to tell
	known := false         // the manager, when it was told
	for {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
		now := time.Since(w.began)
		switch {
		case w.manager.Load() != 0 && w.quiet() < quietMax:
			if told != 0 && known {
				w.log.Info("the manager is heard again", "manager", w.address)
			}
			told = 0
		case told == 0 || now-told >= askAgainAfter:
			told, known = now, w.manager.Load() != 0
			if why := w.why(ctx); why != "" && ctx.Err() == nil {
				w.log.Warn("hears nothing from the manager", "manager", w.address, "why", why, "for", w.quiet().Round(time.Second))
			}
		}
	}
}

// quiet is for how long nothing was heard.
func (w *managerWatch) quiet() time.Duration {
	return time.Since(w.began) - time.Duration(w.heardAt.Load())
}

// why asks whoever is at the manager's address who it is, and says what is wrong.
func (w *managerWatch) why(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if w.several {
		return w.whySeveral(ctx)
	}
	hello, err := transport.Ask(ctx, w.id, w.known()[0])
	known := core.NodeID(w.manager.Load())
	switch {
	case err != nil:
		return "nobody there answers as a GTStore node: " + Printable(err.Error())
	case hello.ID == w.self.ID:
		return "that is this node's own address: name the manager's with --manager"
	case hello.Role == transport.RoleSeveral:
		return "at this address there is one of several managers: name all of them with --managers"
	case hello.Role != transport.RoleManager:
		return fmt.Sprintf("at this address there is a %v, not a manager: name the manager's with --manager", hello.Role)
	case known != 0 && hello.ID != known:
		return "at this address there is now another manager, of a new cluster: a manager that is started again knows none of the old nodes; this node still serves the clients of the old cluster: start it again to have it, empty, in the new one"
	}
	select { // it may have stood still itself, and be about to send
	case <-time.After(watchInterval):
	case <-ctx.Done():
	}
	if known != 0 && w.quiet() < quietMax {
		return ""
	}
	return fmt.Sprintf("the manager is there, but its words do not reach this node: it sends them to %s, which --advertise must make an address of this node that the manager can connect to", hostPort(w.self.Addr))
}

// whySeveral is why of several managers: each is asked who it is, all at once, since one that stands
// still takes all the time that there is.
func (w *managerWatch) whySeveral(ctx context.Context) string {
	addresses := w.known()
	answers := make([]string, len(addresses)) // what is wrong there; "" where a manager answers
	var all sync.WaitGroup
	for i, address := range addresses {
		all.Go(func() {
			switch hello, err := transport.Ask(ctx, w.id, address); {
			case err != nil:
				answers[i] = "nobody at " + ShownAddress(address) + " answers as a GTStore node: " + Printable(err.Error())
			case hello.Role != transport.RoleSeveral:
				answers[i] = fmt.Sprintf("at %s there is a %v", ShownAddress(address), hello.Role)
			}
		})
	}
	all.Wait()
	wrong := slices.DeleteFunc(answers, func(text string) bool { return text == "" })
	there := len(addresses) - len(wrong)
	text := fmt.Sprintf("%d of %d managers are there", there, len(w.managers))
	if 2*there > len(w.managers) {
		text += fmt.Sprintf(", enough for one of them to lead; if one does, its words do not reach this node: it sends them to %s, which --advertise must make an address of this node that the managers can connect to", hostPort(w.self.Addr))
	} else {
		text += ": until more than half are, none of them leads"
	}
	return strings.Join(append([]string{text}, wrong...), "; ")
}

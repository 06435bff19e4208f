package admin

import (
	"context"
	"crypto/rand"
	"sync"
	"time"
)

// ringMax bounds the events that a node keeps; each is a few hundred bytes at most, since
// names are bounded.
const ringMax = 1024

// Event is an event of a node as /events shows it, one JSON object on a line.
type Event struct {
	Time  time.Time `json:"time"`
	Node  string    `json:"node"`  // whose event it is
	Kind  string    `json:"event"` // the core's word for it
	Text  string    `json:"text"`  // as the log says it
	Group uint64    `json:"group,omitempty"`
	Epoch uint64    `json:"epoch,omitempty"`
	Seq   uint64    `json:"seq,omitempty"`
	Other string    `json:"other,omitempty"` // the id of the node that is meant
	Name  string    `json:"name,omitempty"`  // and its name, or its address, where that is known
	Cause string    `json:"cause,omitempty"`
	Times int       `json:"times,omitempty"` // more than once, the last of them at Time

	Number uint64 `json:"number"` // of all events of the run, from 1; one that is repeated gets another
}

// RunHeader names the header of /events that has the run, another one for each start of a process:
// numbers of one run tell which events are new, whatever the clock does.
const RunHeader = "Gtstore-Run"

// same tells whether two events differ in their times only. One that comes again and again
// takes one place.
func (e *Event) same(o *Event) bool {
	return e.Kind == o.Kind && e.Group == o.Group && e.Epoch == o.Epoch && e.Other == o.Other && e.Seq == o.Seq
}

// ring keeps the last events. Who adds one waits for nobody but who copies some.
type ring struct {
	mu    sync.Mutex
	run   string
	list  []Event // the oldest first
	last  uint64
	added chan struct{} // closed when something is added, and then another one
}

func newRing() *ring { return &ring{run: rand.Text(), added: make(chan struct{})} }

// lookBack is how many events are searched for the same one.
const lookBack = 8

func (r *ring) add(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	e.Number = r.last
	for i := len(r.list) - 1; i >= max(0, len(r.list)-lookBack); i-- {
		if r.list[i].same(&e) {
			e.Times = max(r.list[i].Times, 1) + 1
			r.list = append(r.list[:i], r.list[i+1:]...)
			break
		}
	}
	if len(r.list) == ringMax {
		r.list = r.list[:copy(r.list, r.list[1:])]
	}
	r.list = append(r.list, e)
	close(r.added)
	r.added = make(chan struct{})
}

// after returns the events above a number.
func (r *ring) after(number uint64) ([]Event, chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := len(r.list)
	for i > 0 && r.list[i-1].Number > number {
		i--
	}
	return append([]Event(nil), r.list[i:]...), r.added
}

// await returns the events above a number as soon as there are some; none when the context
// has ended.
func (r *ring) await(ctx context.Context, number uint64) []Event {
	for {
		list, added := r.after(number)
		if len(list) > 0 {
			return list
		}
		select {
		case <-added:
		case <-ctx.Done():
			return nil
		}
	}
}

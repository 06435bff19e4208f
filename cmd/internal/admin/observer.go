package admin

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gtstore/core"
	"gtstore/netrpc"
)

// The tables below are as large as any kind of operation or status can be: a byte from
// elsewhere never gets so far, as the core refuses what it does not know.
const (
	opsMax      = 16
	statusesMax = 16
)

// phases of a failover, as far as a node sees them.
const (
	phaseInquiry   = "inquiry"   // a manager: from the suspicion to the epoch without the member
	phaseReconcile = "reconcile" // a new primary: from its epoch to its service
)

// observer counts what happens in a node. The node's loop calls it.
type observer struct {
	self   string
	events [core.EventKindCount]atomic.Uint64
	causes [core.CauseCount]atomic.Uint64
	recent *ring

	removed atomic.Bool // the manager that this is of was removed from its cluster, for good

	requests *prometheus.HistogramVec
	answered [opsMax][statusesMax]prometheus.Observer // of requests, once there was one
	syncs    prometheus.Histogram
	phases   *prometheus.HistogramVec

	// Of whoever calls Events. As many as there are groups.
	suspected, adopted map[core.GroupID]time.Time
}

// buckets go from 50 µs to 6.5 s: an answer from memory, and a time-out.
var buckets = prometheus.ExponentialBuckets(50e-6, 2, 18)

func newObserver(self string) *observer {
	return &observer{
		self: self, recent: newRing(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "gtstore_request_duration_seconds", Help: "Clients' operations by kind and result, from their arrival at the node to the answer.", Buckets: buckets}, []string{"op", "result"}),
		syncs:    prometheus.NewHistogram(prometheus.HistogramOpts{Name: "gtstore_sync_duration_seconds", Help: "From a batch of writes leaving for the disk to its being durable.", Buckets: buckets}),
		phases:   prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "gtstore_failover_phase_duration_seconds", Help: "Parts of failovers: inquiry (of the manager) from the suspicion to the epoch without the member, reconcile (of the new primary) from its epoch to its service.", Buckets: buckets}, []string{"phase"}),

		suspected: make(map[core.GroupID]time.Time), adopted: make(map[core.GroupID]time.Time),
	}
}

// Answered implements netrpc.Observer, as do Synced and Events.
func (o *observer) Answered(kind core.OpKind, status core.Status, took time.Duration) {
	if kind >= opsMax || status >= statusesMax {
		return
	}
	h := o.answered[kind][status]
	if h == nil {
		h = o.requests.WithLabelValues(kind.String(), status.String())
		o.answered[kind][status] = h
	}
	h.Observe(took.Seconds())
}

func (o *observer) Synced(took time.Duration) { o.syncs.Observe(took.Seconds()) }

func (o *observer) Events(list []core.Event, name func(core.NodeID) string) {
	for i := range list {
		e := &list[i]
		o.events[e.Kind].Add(1)
		if e.Kind == core.EventRemoved {
			o.removed.Store(true)
		}
		_, text := netrpc.Said(e)
		if text == "" {
			continue
		}
		now := time.Now()
		o.phase(e, now)
		out := Event{Time: now, Node: o.self, Kind: e.Kind.String(), Text: text, Group: uint64(e.Group), Epoch: uint64(e.Epoch), Seq: uint64(e.Seq)}
		if e.Node != 0 {
			out.Other, out.Name = e.Node.String(), netrpc.Printable(name(e.Node))
		}
		if e.Cause != 0 {
			o.causes[e.Cause].Add(1)
			out.Cause = e.Cause.String()
		}
		o.recent.add(out)
	}
}

// phase measures how long the parts of a failover take.
func (o *observer) phase(e *core.Event, now time.Time) {
	ends := func(since map[core.GroupID]time.Time, phase string) {
		if at, begun := since[e.Group]; begun {
			o.phases.WithLabelValues(phase).Observe(now.Sub(at).Seconds())
			delete(since, e.Group)
		}
	}
	switch e.Kind {
	case core.EventProbing:
		if _, begun := o.suspected[e.Group]; !begun {
			o.suspected[e.Group] = now
		}
	case core.EventCleared:
		delete(o.suspected, e.Group)
	case core.EventEvicted:
		ends(o.suspected, phaseInquiry)
	case core.EventAdopted:
		o.adopted[e.Group] = now
	case core.EventServing:
		ends(o.adopted, phaseReconcile)
	}
}

package transport

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"gtstore/netrpc/internal/identity"
)

// note is a kind of line that the transport logs.
type note uint8

const (
	noteAccept    note = iota // what stands in the way of new connections
	noteEnded                 // a connection that another made
	noteDial                  // one that this process wanted to make
	noteBroke                 // one that it had made
	noteSilent                // one on which nothing moves
	noteReplaced              // a silent one that another took the place of
	noteHandshake             // one that another made, and that was refused
	noteLeft                  // one that another gave up while it was being made
	noteStranger              // one that this process gave up, as somebody else was there
	noteForbidden             // one that ended for what was said on it
	noteOver                  // one that ended with a certificate
	noteCount
)

// noteGap is the least time between two lines of a kind: a peer may cause any number of
// the events that they tell of.
const noteGap = time.Second

// notes logs what happens on connections: of each kind the first, and then at most one
// in each noteGap, with the number of those that were left out. It must not be called
// under a lock: whoever reads the log may have stopped reading.
type notes struct {
	log   *slog.Logger
	began time.Time
	kinds [noteCount]struct {
		next    atomic.Int64 // when the next may be said, in nanoseconds since began
		skipped atomic.Int64
	}
}

func (n *notes) say(kind note, text, peer string, err error) {
	level := slog.LevelDebug
	switch kind {
	case noteAccept, noteHandshake, noteStranger, noteForbidden:
		level = slog.LevelWarn
	}
	if !n.log.Enabled(context.Background(), level) {
		return
	}
	k := &n.kinds[kind]
	now, next := int64(time.Since(n.began)), k.next.Load()
	if now < next || !k.next.CompareAndSwap(next, now+int64(noteGap)) {
		k.skipped.Add(1)
		return
	}
	attrs := make([]slog.Attr, 0, 4)
	if peer != "" {
		name, address := identity.SplitAddress(peer)
		attrs = append(attrs, slog.String("peer", address))
		if name != "" {
			attrs = append(attrs, slog.String("name", name))
		}
	}
	if err != nil {
		attrs = append(attrs, slog.Any("err", err))
	}
	if skipped := k.skipped.Swap(0); skipped > 0 {
		attrs = append(attrs, slog.Int64("more", skipped))
	}
	n.log.LogAttrs(context.Background(), level, text, attrs...)
}

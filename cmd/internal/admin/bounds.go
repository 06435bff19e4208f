package admin

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// Bounds of what strangers may cost: there is no authentication, and a node must not run out of
// files, memory or time because of who watches it.
const (
	headerTime   = 5 * time.Second
	headerMax    = 16 << 10
	callersMax   = 64                    // connections; who comes then is hung up on
	pagesMax     = 2                     // that are made at a time
	pageTime     = 20 * time.Millisecond // that each takes up its place, at least: 100 a second
	makeTime     = 10 * time.Second      // until a page is made
	takeTime     = 10 * time.Second      // for whoever asked to take it, or some more events
	followersMax = 16                    // who follow the events
)

// few is a listener with no more than callersMax connections at a time.
type few struct {
	net.Listener
	places chan struct{}
}

// Accept implements net.Listener.
func (l few) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.places <- struct{}{}:
			return &caller{Conn: c, leave: sync.OnceFunc(func() { <-l.places })}, nil
		default:
			c.Close()
		}
	}
}

// caller is a connection that takes up a place.
type caller struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (c *caller) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

// page makes an answer when few others are being made, and in memory: who is slow to take it
// takes up no place.
func (a *Admin) page(h http.HandlerFunc) http.Handler {
	return http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case a.pages <- struct{}{}:
		case <-r.Context().Done():
			return // it was answered
		}
		begun := time.Now()
		defer func() {
			time.AfterFunc(pageTime-time.Since(begun), func() { <-a.pages })
		}()
		h(w, r)
	}), makeTime, "too many ask this node at once: ask again\n")
}

// allow gives whoever asked so much time from now on to take what comes; 0 for any.
func allow(w http.ResponseWriter, d time.Duration) {
	until := time.Time{}
	if d > 0 {
		until = time.Now().Add(d)
	}
	_ = http.NewResponseController(w).SetWriteDeadline(until) // of a connection that has ended
}

package transport

import (
	"errors"
	"net"
	"runtime"
	"strconv"
	"sync"
	"time"
)

// server is the listening side: the connections that others made.
type server struct {
	t      *Transport
	budget *budget                  // of all connections together
	pace   [laneCount]chan struct{} // has a token for each large frame that is read
	heavy  heavy
	turns  turnstile     // of handshakes
	opened chan struct{} // a connection is no longer being made

	mu      sync.Mutex
	conns   map[string]*conn     // by address: the mark and a number
	opening []*conn              // of conns, those whose preface has not come yet, the first one first
	names   map[string]*namesake // by role and name
	last    uint64
	closed  bool
	pressAt time.Time // when to look again for connections that are to give up their memory
	wg      sync.WaitGroup
}

func newServer(t *Transport) *server {
	s := &server{t: t, budget: newBudget(t.opt.MemoryMax), conns: make(map[string]*conn), names: make(map[string]*namesake), opened: make(chan struct{}, 1)}
	s.turns.free = max(1, runtime.GOMAXPROCS(0)/4)
	for l := range s.pace {
		s.pace[l] = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))
	}
	return s
}

// serve accepts connections until the listener is closed.
func (s *server) serve(l net.Listener) {
	defer s.wg.Done()
	for {
		s.awaitRoom()
		nc, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			s.t.notes.say(noteAccept, "cannot accept a connection", "", err)
			if outOfFiles(err) && s.makeRoom() {
				continue // with the file of the connection that made room
			}
			select {
			case <-time.After(100 * time.Millisecond):
			case <-s.t.ctx.Done():
			}
			continue
		}
		if c := s.add(nc); c != nil {
			go c.run()
		} else {
			nc.Close()
		}
	}
}

// add makes room for a connection if it must.
func (s *server) add(nc net.Conn) *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	if len(s.opening) >= openingMax || len(s.conns) >= s.t.opt.ConnectionsMax {
		if old := s.leastUsed(nil); old != nil {
			s.drop(old)
			go old.end(errEvicted)
		}
	}
	s.last++
	c := newConn(s, nc, string(clientMark)+strconv.FormatUint(s.last, 10))
	s.conns[c.address] = c
	s.opening = append(s.opening, c)
	s.wg.Add(1)
	return c
}

// makeRoom ends the connection that is unused for longest, so that its file can be used
// for another. It returns false when there is none.
func (s *server) makeRoom() bool {
	s.mu.Lock()
	old := s.leastUsed(nil)
	s.mu.Unlock()
	if old == nil {
		return false
	}
	old.end(errEvicted)
	return true
}

var (
	errEvicted = errors.New("it was unused for longest, and there are too many")
	errQuota   = errors.New("it was unused for longest, and its name has too many")
)

// leastUsed prefers connections that have not even said the preface. It looks only at those of
// a name, if one is given.
func (s *server) leastUsed(of *namesake) *conn {
	if of == nil && len(s.opening) > 0 {
		return s.opening[0]
	}
	var least *conn
	for _, c := range s.conns {
		if (of == nil || c.of == of) && (least == nil || c.usedAt.Load() < least.usedAt.Load()) {
			least = c
		}
	}
	return least
}

const (
	pressGap = 50 * time.Millisecond  // between two looks for connections that are to give up their memory
	stallMin = 500 * time.Millisecond // that a connection must have held others up, to be ended for it
)

// pressed is called while there is no memory for a message. It ends the connections that
// hold more than a little by what they do not do: read or answer what is delivered to them,
// or complete a frame. Those that have done so for less than stallMin are spared.
func (s *server) pressed() {
	now := time.Now()
	s.mu.Lock()
	early := now.Before(s.pressAt)
	if !early {
		s.pressAt = now.Add(pressGap)
	}
	s.mu.Unlock()
	if early {
		return
	}
	for _, c := range s.all() {
		if t := c.stalled(); c.account.held.Load() > smallBytes && !t.IsZero() && now.Sub(t) > stallMin {
			c.end(errStalled)
		}
	}
}

var (
	errStalled = errors.New("it held memory that others need, by what it did not read, answer or complete")
	errUntaken = errors.New("it does not take what it is answered")
	errUnused  = errors.New("it was not used for a long time")
)

// watch ends, until the transport does, the connections that do not answer what is
// delivered to them, and those that nobody has used for twice the time after which a caller
// closes one.
func (s *server) watch() {
	defer s.wg.Done()
	look := time.NewTicker(s.t.opt.FrameTimeout / 8)
	defer look.Stop()
	for {
		select {
		case <-look.C:
		case <-s.t.ctx.Done():
			return
		}
		for _, c := range s.all() {
			if d := c.duplex.Load(); d != nil {
				if err := d.expired(); err != nil {
					s.t.refusals.Ended.Add(1)
					c.end(err)
					continue
				}
			}
			switch t := c.outbox.waits(); {
			case !t.IsZero() && time.Since(t) > s.t.opt.FrameTimeout:
				c.end(errUntaken)
			case c.unused() > 2*s.t.opt.IdleTimeout:
				c.end(errUnused)
			}
		}
	}
}

// find returns the connection with that address, or nil.
func (s *server) find(address string) *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns[address]
}

func (s *server) all() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*conn, 0, len(s.conns))
	for _, c := range s.conns {
		all = append(all, c)
	}
	return all
}

// close ends every connection and waits for what runs on them.
func (s *server) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	for _, c := range s.all() {
		c.end(net.ErrClosed)
	}
	s.wg.Wait()
}

package netrpc

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"iter"
	"log/slog"
	"net"
	"slices"
	"time"

	"gtstore/core"
	"gtstore/netrpc/internal/identity"
	"gtstore/netrpc/internal/transport"
)

// Options are a server's own; the core's come beside them. The zero value is
// good.
type Options struct {
	Logger         *slog.Logger // default: none; it must not block, or the node stands still
	ConnectionsMax int          // that others have made; default 4096, or three quarters of the files that the process may open
	MemoryMax      int          // bytes held for those connections together; default 96 MiB, at least 16 MiB
	TLS            TLS          // who the server is; the zero value: no TLS

	// NewManager makes a manager, core.NewManager by default. One of several is made by package
	// core/quorum, which a program that has only a client need not compile.
	NewManager func(core.ManagerOptions, core.Space) (ManagerNode, error)

	// Observer is told what happens in the server; nil for nobody.
	Observer Observer

	// Disk is where a durable node keeps its data. The server closes it when it ends; an
	// error of ServeManager or ServeStorage leaves it open. nil: the data lives in memory,
	// and ends with the process.
	Disk Disk
}

// ManagerNode is a manager as a server drives it: a core.Manager, or a quorum.Manager.
type ManagerNode interface {
	core.Node
	Self() core.Peer
	Placement() core.Placement
	Peers() iter.Seq[core.Peer]
}

// Server is a manager or a storage node at work.
type Server struct {
	host     *host
	listener net.Listener
	watch    *managerWatch // of a storage node; nil of a manager
	done     chan struct{}
	err      error
}

// ServeManager runs a manager on a listener until Stop, Close or its own end.
// Self.Addr is by default the listener's address; Self.ID and Cluster are drawn
// at random if they are 0, and Seed always; who it was on its Disk it is again. Durable
// follows from the Disk. The error says which option is out of bounds, or matches
// core.ErrDamaged; the listener then stays open. One of several managers is run by it, too:
// see Options.NewManager.
func ServeManager(l net.Listener, opt core.ManagerOptions, o Options) (*Server, error) {
	opt.Durable = o.Disk != nil
	identify(&opt.Self, l)
	id, err := o.TLS.load(logger(o.Logger), "a manager", core.RoleManager)
	if err == nil {
		err = ofCertificate(id, &opt.Self)
	}
	if err != nil {
		return nil, err
	}
	if opt.Cluster == 0 {
		opt.Cluster = core.ClusterID(random())
	}
	_, _ = rand.Read(opt.Seed[:]) // it never fails
	var node ManagerNode
	role := transport.RoleManager
	if o.NewManager != nil {
		role = transport.RoleSeveral
		node, err = o.NewManager(opt, o.space())
	} else {
		node, err = core.NewManager(opt, o.space())
	}
	if err != nil {
		return nil, err
	}
	return serve(l, node, node.Self(), role, nil, id, o), nil
}

// ServeStorage runs a storage node on a listener, as ServeManager does a manager. Of several
// managers all are named, in opt.Managers. Their addresses have the forms that Dial takes.
func ServeStorage(l net.Listener, opt core.StorageOptions, o Options) (*Server, error) {
	opt.Durable = o.Disk != nil
	identify(&opt.Self, l)
	id, err := o.TLS.load(logger(o.Logger), "a storage node", core.RoleNode)
	if err == nil {
		err = named(id, &opt)
	}
	if err != nil {
		return nil, err
	}
	managers := []string{opt.Manager.Addr}
	if len(opt.Managers) > 0 {
		managers = nil
		for _, m := range opt.Managers {
			managers = append(managers, m.Addr)
		}
	}
	if managers, err = ManagerAddresses(managers, id != nil); err != nil {
		return nil, err
	}
	if len(opt.Managers) == 0 {
		opt.Manager.Addr = managers[0]
	}
	opt.Managers = slices.Clone(opt.Managers)
	for i := range opt.Managers {
		opt.Managers[i].Addr = managers[i]
	}
	opt.Secret = random()
	node, err := core.NewStorage(opt, o.space())
	if err != nil {
		return nil, err
	}
	watch := newManagerWatch(node.Self(), managers, len(opt.Managers) > 0, id, logger(o.Logger))
	s := serve(l, node, node.Self(), transport.RoleStorage, watch.note, id, o)
	s.watch = watch
	go watch.run(s.done)
	return s, nil
}

func (o *Options) space() core.Space {
	if o.Disk == nil {
		return core.Empty{}
	}
	return o.Disk
}

func identify(self *core.Peer, l net.Listener) {
	if self.ID == 0 {
		self.ID = core.NodeID(random())
	}
	if self.Addr == "" {
		self.Addr = l.Addr().String()
	}
}

// random draws a number that is not 0.
func random() uint64 {
	for {
		var b [8]byte
		_, _ = rand.Read(b[:]) // it never fails
		if n := binary.LittleEndian.Uint64(b[:]); n != 0 {
			return n
		}
	}
}

func serve(l net.Listener, node core.Node, self core.Peer, role transport.Role, note func(*core.Envelope) bool, id *identity.Source, o Options) *Server {
	log := logger(o.Logger)
	s := &Server{host: &host{node: node, self: self, log: &eventLog{Logger: log}, id: id, other: note, seen: observe(o.Observer)}, listener: l, done: make(chan struct{})}
	if role != transport.RoleStorage {
		s.host.other = newVouch(s.host.vouched, id).withhold
	}
	if o.Disk != nil {
		s.host.disk = &syncer{disk: o.Disk}
	}
	s.host.start(l, transport.Options{Role: role, Logger: log, ConnectionsMax: o.ConnectionsMax, MemoryMax: o.MemoryMax})
	go s.await()
	return s
}

// await ends the server when the node has halted, or the loop was ended.
func (s *Server) await() {
	<-s.host.done
	s.listener.Close()
	s.host.stop()
	if err := s.host.halt; !errors.Is(err, core.ErrStopped) {
		s.err = err
	}
	if d := s.host.disk; d != nil {
		if err := d.disk.Close(); s.err == nil {
			s.err = err
		}
	}
	close(s.done)
}

// Self returns the server's identity and address.
func (s *Server) Self() core.Peer {
	return core.Peer{ID: s.host.self.ID, Addr: hostPort(s.host.self.Addr)}
}

// Placement returns that of a manager's cluster, which never changes; 0 of a storage node, and
// of one of several managers before it knows. It is for before the server is asked anything.
func (s *Server) Placement() core.Placement {
	if m, ok := s.host.node.(ManagerNode); ok {
		return m.Placement()
	}
	return 0
}

// Done is closed when the server has ended.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err tells, once Done is closed, why the node halted by itself: an error that
// matches one of package core's. It is nil after Stop and Close.
func (s *Server) Err() error { return s.err }

// Stop ends the server as an operator does: a storage node stops serving and
// says farewell, which in memory mode gives up its data; a manager just ends. It
// returns when the server has ended, and ends it by force after the time-out.
func (s *Server) Stop(timeout time.Duration) {
	if _, ok := s.host.node.(*core.Storage); ok && s.host.tell(s.host.self, &core.Stop{}) {
		select {
		case <-s.done:
		case <-time.After(timeout):
		}
	}
	s.Close()
}

// Close ends the server at once, as a crash would but for the process.
func (s *Server) Close() {
	s.host.end()
	<-s.done
}

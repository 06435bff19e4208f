package admin

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"gtstore/netrpc"
)

// Options are an Admin's.
type Options struct {
	Role  string        // manager or storage
	Name  string        // of the node, for people
	Pprof bool          // serve /debug/pprof/
	Lost  func() uint64 // lines of the log that were lost so far
	Log   *slog.Logger
}

// Admin watches one node and answers over HTTP.
type Admin struct {
	role, name string
	pprof      bool
	linesLost  func() uint64
	listener   net.Listener
	http       http.Server
	observer   *observer
	pages      chan struct{}                 // holds a token for each that is being made
	followers  chan struct{}                 // for each that follows the events
	server     atomic.Pointer[netrpc.Server] // nil before it was attached
}

// Listen makes an Admin that listens at an address. One without a host is on loopback.
func Listen(address string, o Options) (*Admin, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if host == "" {
		host = "127.0.0.1"
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, err
	}
	a := &Admin{role: o.Role, name: o.Name, pprof: o.Pprof, linesLost: o.Lost, listener: few{l, make(chan struct{}, callersMax)}, observer: newObserver(o.Name), pages: make(chan struct{}, pagesMax), followers: make(chan struct{}, followersMax)}
	a.http = http.Server{
		Handler: a.handler(), ReadHeaderTimeout: headerTime, ReadTimeout: headerTime, IdleTimeout: time.Minute, MaxHeaderBytes: headerMax,
		ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	return a, nil
}

// Observer is to be given to the server, in its Options.
func (a *Admin) Observer() netrpc.Observer { return a.observer }

// Address is where it listens.
func (a *Admin) Address() string { return a.listener.Addr().String() }

// Beyond tells whether it listens beyond this machine.
func (a *Admin) Beyond() bool {
	ip := net.IP(nil)
	if tcp, ok := a.listener.Addr().(*net.TCPAddr); ok {
		ip = tcp.IP
	}
	return !ip.IsLoopback()
}

// Attach says which server the Admin is of: another one, when a manager begins anew.
func (a *Admin) Attach(s *netrpc.Server) {
	a.observer.removed.Store(false)
	a.server.Store(s)
}

func (a *Admin) id() string {
	if s := a.server.Load(); s != nil {
		return s.Self().ID.String()
	}
	return ""
}

// Serve answers until the process ends, or Close.
func (a *Admin) Serve() { _ = a.http.Serve(a.listener) } // it ends with Close only

// Close ends the listener, and all that is being answered.
func (a *Admin) Close() {
	a.http.Close()
	a.listener.Close() // if nobody serves it
}

func (a *Admin) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", a.page(promhttp.HandlerFor(a.newRegistry(), promhttp.HandlerOpts{}).ServeHTTP))
	mux.Handle("GET /healthz", a.page(a.healthz))
	mux.Handle("GET /readyz", a.page(a.readyz))
	mux.Handle("GET /statusz", a.page(a.statusz))
	recent := a.page(a.recent)
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("follow") == "1" {
			a.follow(w, r)
		} else {
			recent.ServeHTTP(w, r)
		}
	})
	mux.Handle("GET /{$}", http.RedirectHandler("/statusz", http.StatusFound))
	if a.pprof {
		long := func(h http.HandlerFunc) http.HandlerFunc { // a profile takes as long as it is to
			return func(w http.ResponseWriter, r *http.Request) {
				allow(w, 0)
				h(w, r)
			}
		}
		mux.HandleFunc("GET /debug/pprof/", long(pprof.Index))
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", long(pprof.Profile))
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", long(pprof.Trace))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		allow(w, makeTime+takeTime)
		mux.ServeHTTP(w, r)
	})
}

// healthz fails only where a restart may help. A node that starts is not restarted for that: it
// would have to read its data once more.
func (a *Admin) healthz(w http.ResponseWriter, _ *http.Request) {
	if s := a.server.Load(); s != nil && take(s) == nil {
		http.Error(w, "the node's loop does not answer", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (a *Admin) readyz(w http.ResponseWriter, _ *http.Request) {
	if _, why := a.look(); len(why) > 0 {
		http.Error(w, strings.Join(why, "\n"), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

// recent writes the recent events as JSON lines, the oldest first.
func (a *Admin) recent(w http.ResponseWriter, _ *http.Request) {
	a.announceEvents(w)
	list, _ := a.observer.recent.after(0)
	_ = writeEvents(w, list) // who asked may be gone
}

// follow writes the recent events, and then those that come, until the caller is gone, or takes
// nothing any more.
func (a *Admin) follow(w http.ResponseWriter, r *http.Request) {
	select {
	case a.followers <- struct{}{}:
		defer func() { <-a.followers }()
	default:
		http.Error(w, fmt.Sprintf("%d follow the events of this node already", followersMax), http.StatusServiceUnavailable)
		return
	}
	a.announceEvents(w)
	list, _ := a.observer.recent.after(0)
	for last := uint64(0); ; {
		allow(w, takeTime)
		if writeEvents(w, list) != nil || http.NewResponseController(w).Flush() != nil {
			return
		}
		if len(list) > 0 {
			last = list[len(list)-1].Number
		}
		if list = a.observer.recent.await(r.Context(), last); r.Context().Err() != nil {
			return
		}
	}
}

func (a *Admin) announceEvents(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set(RunHeader, a.observer.recent.run)
}

func writeEvents(w io.Writer, list []Event) error {
	enc := json.NewEncoder(w)
	for i := range list {
		if err := enc.Encode(&list[i]); err != nil {
			return err
		}
	}
	return nil
}

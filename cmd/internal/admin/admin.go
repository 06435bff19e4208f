package admin

import (
	"context"
	"encoding/json"
	"fmt"
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
	a := &Admin{role: o.Role, name: o.Name, pprof: o.Pprof, linesLost: o.Lost, listener: l, observer: newObserver(o.Name)}
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
func (a *Admin) Attach(s *netrpc.Server) { a.server.Store(s) }

func (a *Admin) id() string {
	if s := a.server.Load(); s != nil {
		return s.Self().ID.String()
	}
	return ""
}

// Bounds of what strangers may cost: there is no authentication.
const (
	headerTime = 5 * time.Second
	headerMax  = 16 << 10
)

// Serve answers until the process ends, or Close.
func (a *Admin) Serve() { _ = a.http.Serve(a.listener) } // it ends with Close only

// Close ends the listener, and all that is being answered.
func (a *Admin) Close() {
	a.http.Close()
	a.listener.Close() // if nobody serves it
}

func (a *Admin) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.newRegistry(), promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second}))
	mux.HandleFunc("GET /healthz", a.healthz)
	mux.HandleFunc("GET /readyz", a.readyz)
	mux.HandleFunc("GET /events", a.events)
	mux.HandleFunc("GET /statusz", a.statusz)
	mux.Handle("GET /{$}", http.RedirectHandler("/statusz", http.StatusFound))
	if a.pprof {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

func (a *Admin) healthz(w http.ResponseWriter, _ *http.Request) {
	if take(a.server.Load()) == nil {
		http.Error(w, "the node's loop does not answer", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (a *Admin) readyz(w http.ResponseWriter, _ *http.Request) {
	if why := take(a.server.Load()).unready(); len(why) > 0 {
		http.Error(w, strings.Join(why, "\n"), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

// events writes the recent events as JSON lines, the oldest first. With ?follow=1 it goes on
// with those that come, until the caller is gone.
func (a *Admin) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	out, last := http.NewResponseController(w), uint64(0)
	write := func(list []Event) bool {
		enc := json.NewEncoder(w)
		for i := range list {
			if enc.Encode(&list[i]) != nil {
				return false
			}
			last = list[i].number
		}
		return out.Flush() == nil
	}
	list, _ := a.observer.recent.after(0)
	for ok := write(list); ok && r.FormValue("follow") == "1"; {
		next, cancel := context.WithTimeout(r.Context(), time.Minute)
		list = a.observer.recent.await(next, last)
		cancel()
		ok = r.Context().Err() == nil && write(list)
	}
}

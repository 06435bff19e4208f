// Package netrpc runs the core on real hosts: net/rpc over TCP between
// processes, and the client that a Go program imports.
//
// A host is one loop around a core node: take what arrived, step the node
// through it, tick it while it asks for that, carry out its Output. Manager,
// storage node and client are the same loop; package internal/transport moves
// the envelopes. Nothing here decides anything about groups, epochs or retries.
//
// # The driver's duties
//
// They are listed in package core. Here: one goroutine calls the node; the time
// is read for each message after it was taken from the queue; what the node
// says to itself never comes from the network, whatever a peer claims; a
// refused or broken connection becomes a PeerDown hint; identities and seeds
// come from crypto/rand. Without a Disk (Options) nothing is persisted: a process that ends
// takes its data along, and a manager that restarts is a new cluster. With one, a host
// keeps the promise of an Output's After by the Gate that the simulator uses, too, with
// several syncs under way. Package disk has a Disk; a program with the client does not
// compile it.
//
// # Several managers
//
// Dial and ServeStorage take the addresses of all. One of them leads, and whoever is asked
// says who. How they agree is for package core/quorum, whose managers are given to
// ServeManager by Options.NewManager: a program with the client does not compile it. They
// speak with each other as with nodes; each answers at its own address, so that the end of a
// process is noticed by the end of its connections.
//
// # Time and leases
//
// Time is Go's monotonic clock, which on Linux stands still while the machine
// is suspended. Lease-reads assume that clocks drift by no more than a bound,
// so they are not for machines that are suspended and resumed; confirm-reads,
// the default, assume nothing.
//
// # Trust
//
// With TLS (Options.TLS, Dialer.TLS) each process shows a certificate, and says only what its
// role may. The addresses of nodes and managers have their names, by which whoever connects expects
// them; those of managers that people write down, too, where they write NAME@HOST:PORT: tls.go,
// address.go, package internal/identity, and PROTOCOL.md on identities. Without, peers are
// trusted to be GTStore nodes and clients of one cluster. What is defended against is nonsense and greed: other protocols,
// damaged or endless frames, connections without end, readers that do not read,
// floods. Whoever floods a node delays itself; LIMITS.md has the bounds. A manager
// takes in a node only if the address that it names answers as that node.
//
// # An operator's requests
//
// Status, Forget, Drain, Managers and ChangeManagers (operator.go) go to the manager that leads, past the client node,
// which knows nothing of them: the Client repeats each until it is answered. So do the
// requests of a backup to the primaries (export.go).
package netrpc

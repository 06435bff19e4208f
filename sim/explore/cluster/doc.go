// Package cluster is the model of a small cluster for package explore: storage nodes, which are
// the core that is deployed, with their clocks and disks; a network on which any message may
// be late for ever; a stub or the core itself for the manager, and stubs for
// the clients. Or several managers in the place of the nodes: see seat.go. A Scenario says how
// many there are, what the clients ask, and how often what may go wrong.
//
// A state is what its parts are, each of which is kept once and never changed: so what an
// input makes of a host is worked out once for all states in which the host is like that.
// sim/explore/README.md says what is searched, what is checked, what is left out, and why the
// reductions are sound.
package cluster

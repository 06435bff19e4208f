// Package admin is a node's admin listener: what a person, or a program that watches over
// people's clusters, asks a node over HTTP.
//
//	/metrics        in Prometheus' text format
//	/healthz        whether the node's loop works
//	/readyz         whether the node does what it is there for; the body says why not
//	/statusz        a page for people
//	/events         the recent events as JSON lines; ?follow=1 goes on
//	/debug/pprof/   only if asked for
//
// There is no authentication, so it listens on loopback unless told otherwise. Nothing here
// can change a node, and what all callers together cost it is bounded (bounds.go).
//
// What happens often is counted by an Observer, which the node's loop calls: a few atomic
// additions for each message. What is so at a moment is read when somebody asks, between two
// steps of the node (netrpc.Server.Look): the node stands still while a few numbers are copied,
// and does nothing for it otherwise.
package admin

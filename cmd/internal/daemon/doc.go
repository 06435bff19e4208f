// Package daemon is the commands that run one node, a manager or a storage
// node, until it ends: the whole of cmd/node, and what gtstore up runs as the
// processes of its cluster.
//
// A node prints one line on standard output, "listening HOST:PORT", when it can
// be reached, and its log on standard error. SIGINT and SIGTERM end it in good
// order, a second one at once.
package daemon

// Package daemon has the commands that run one node, a manager or a storage node,
// until it ends. cmd/node consists of them; gtstore up runs them as the processes of
// its cluster.
//
// A node prints a line on standard output, "listening HOST:PORT", when it can
// be reached, with an admin listener a second one, "admin HOST:PORT", and its log on
// standard error. SIGINT and SIGTERM end it in good
// order, a second one at once.
package daemon

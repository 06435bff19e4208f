// Node runs one node of a GTStore cluster, on a machine of its own or beside
// others.
//
// Usage:
//
//	node manager --listen HOST:PORT [--managers [NAME@]HOST:PORT,...] [--replicas 2] [--lost-after 2s] [--on-group-loss halt|continue]
//	             [--reads confirm|lease] [--lease 100ms] [--min-chain 1] [--ping-interval 50ms] [--misses 3] [--spares 0]
//	             [--placement key|slots=N] [--dir DIR]
//	node storage --listen HOST:PORT --manager [NAME@]HOST:PORT [--advertise HOST:PORT] [--name NAME] [--dir DIR]
//
// With --managers a manager is one of several. All of them are started with the same list, and
// storage nodes with --managers in place of --manager. With TLS and NAME@, who answers at an address
// must have a certificate of that name.
//
// Both take --name, --advertise, --moved, --log-level and --log-format; and --tls-cert, --tls-key,
// --tls-ca and --tls-deny, by which they show who they are and who may connect. With --admin
// HOST:PORT a node answers over HTTP: /metrics, /healthz, /readyz, /statusz, /events, and with
// --admin-pprof /debug/pprof/. Without a host that is on loopback, as there is no
// authentication. With --dir a node keeps its
// data on disk, and goes on with them when it is started again. What is not on the
// command line is taken from the environment: GTSTORE_LOST_AFTER is
// --lost-after, and so on; else from the YAML file that --config names, which has flags
// without dashes, such as "lost-after: 2s". Files and directories are for their owner only.
// Systemd is told when the node serves and when it stops (Type=notify).
//
// When the node can be reached it prints "listening HOST:PORT" on standard
// output, and with --admin "admin HOST:PORT" on a second line. Whether the manager takes it in shows later: in its log, or by its end. Its log goes to standard error and begins with the settings in
// effect. A line that is repeated is said once, and then how often; a log that
// nobody reads loses lines, and says how many, but holds nobody up. SIGINT and SIGTERM end it in good order: a storage node leaves its
// chain first, so that another one is the primary, and says farewell, which in memory mode
// gives up its data. A second one ends it at once.
//
// Exit codes: 0 ended as asked, 1 an error, 2 a wrong command line, 8 (manager)
// no copy of a group is left.
package main

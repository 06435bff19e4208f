// Gtstore is everything of GTStore that a person types.
//
// Usage:
//
//	gtstore COMMAND [FLAGS]
//
// On a cluster:
//
//	gtstore up [--nodes 7] [--managers 1] [--base-port 7400] [--replicas 2] [--min-chain 1] [--reads confirm|lease]
//	           [--placement key|slots=N] [--on-group-loss halt|continue] [--lost-after 2s] [--dir DIR] [--tls] ...
//
// runs a manager, or several, and storage nodes, each a process of its own, until it is
// interrupted; they end with it, however it ends. With --dir the data are on disk, and the
// next up with that directory goes on with them. With --tls it makes certificates, and prints
// how the other commands are to use them.
//
//	gtstore certs --dir DIR [--cluster dev] [--hosts HOST,...] [ROLE:NAME...]
//	gtstore certs --dir DIR --renew ROLE:NAME,...|all | --new-ca | --drop-old-ca
//
// makes a CA and certificates for TLS in a directory, and keeps what is there.
//
//	gtstore put KEY VALUE | get KEY | delete KEY | cas KEY VERSION VALUE
//	gtstore status [--watch]
//	gtstore events --admin HOST:PORT,... [--follow]
//	gtstore managers [add ADDRESS | remove MANAGER | replace MANAGER ADDRESS]
//	gtstore forget NODE --yes | drain NODE
//
// talk to a cluster, by default the one that up runs on this machine; --manager
// [NAME@]HOST:PORT or GTSTORE_MANAGER names another, with commas all managers of one; with TLS and
// NAME@, who answers there must have a certificate of that name. --timeout bounds the command. The
// value - is read from standard input. A command that takes longer than two
// seconds says on standard error for what it waits. events reads what has happened from the
// admin listeners of nodes; up prints the manager's.
//
//	gtstore backup FILE [--rate 16777216] [--force] | restore FILE
//
// save all keys of a running cluster in a file, and fill an empty cluster from it. The file
// has each group as it was at one position of its log, and appears when it is complete; - is
// standard output. A restore verifies the whole file before its first write; the keys have
// new versions then. --timeout bounds the wait for a group without a primary, and each write
// of a restore.
//
//	gtstore bench [--clients 16] [--reads 0.5] [--value-size 100] [--rate N] [--keys 1000]
//	              [--distribution uniform|zipf] [--for 10s] [--processes N] [--prefix bench/]
//	              [--plot FILE.svg|.html] [-o json]
//
// puts a cluster under load and prints operations a second, latencies and errors, puts
// and gets apart. With --rate it is an open loop: a latency counts from the moment at
// which its operation was due, so that a cluster that stalls shows. The keys stay in the
// cluster. --timeout bounds each operation, and one that fails is a part of the result.
//
//	gtstore disk DIR [--verify] [-o json]
//
// reads the directory that a node has as its --dir, or those of a whole cluster, without
// changing anything, and shows what it holds and what is damaged: then the exit code is 1.
// With --verify it reads all of it. A directory that a node uses cannot be read.
//
//	gtstore node manager|storage ...
//
// runs one node, as package cmd/node does: up and services start their processes so.
//
// On the simulator:
//
//	gtstore fuzz [--schedules N | --for 5m] [--seed S] [--length 1h] [--workers W] [--out DIR] [-o json]
//	             [--keep-going] [--shard i/n|auto/n] [--learn]
//	gtstore fuzz merge OUT DIR... [-o json]
//
// searches for a schedule of calls and faults that violates a property. It runs
// schedules in the simulator, 2,000 unless told otherwise, on all cores. The
// same seed gives the same schedules; without one it is taken from the clock,
// and printed. The first schedule that fails is shrunk to a small one, saved as
// a trace in DIR (by default traces, if there is such a directory here, else
// traces/found), and the command that replays it is printed.
//
// With --for and --out together, or with --keep-going, it goes on after a
// failure, and DIR is an archive: one trace for each property and place, the
// shortest that was found, and the search's state, search.json, with which the
// same command goes on another night, if it is the same build. --shard splits the
// schedules among machines; auto/n takes the part from the JOB_COMPLETION_INDEX that
// Kubernetes sets. --learn varies schedules that did something new. Merge makes one archive of theirs, in OUT, and names the parts that are
// missing.
//
//	gtstore explore [SCENARIO...] [--all] [--memory MIB] [--states N] [--workers W] [--shard i/n]
//	                [--state DIR] [--out DIR] [--claims FILE] [-o json]
//	gtstore explore --replay FILE...
//
// searches small clusters completely, as their scenarios say: every order of messages,
// time-outs, crashes and decisions of the manager. It prints what holds within those bounds,
// or a shortest way to a violation, which it saves in --out and replays with --replay. Without
// a SCENARIO those in traces/explore are searched, the large ones with --all. A search that is
// interrupted goes on with the same --state. --claims writes the table of claims in a file anew.
// See sim/explore/README.md.
//
//	gtstore replay FILE... [--trace] [--record] [-o json]
//
// runs saved traces, each twice, and says of each what came of it: it holds,
// violates a property, is not applicable (an action or deviation of it no
// longer has anything to act on), or is not deterministic. The file says what is
// expected. Where the code behaves otherwise than in the run of which the file
// has a recording, that is said too, as in "holds; diverged at event 529 to 544";
// the verdict counts all the same. --record writes a recording of today's run
// into the file. With --trace every event is printed. The file - is standard input.
//
//	gtstore view [FILE] [-o OUT] [--format html|perfetto|mermaid] [--mutant NAME|none] [--source DIR]
//
// runs a trace and writes what happened as one HTML file that works offline: a
// space-time diagram, the moments that decided the run, and the state of every
// host at every event. Without a FILE it is the last failure that fuzz saved; a
// directory stands for the newest trace in it. Of a trace that names a mutant of
// the core both sides are shown, for which the mutant is built: that takes the
// project's source and Go. Perfetto's JSON suits long traces, a Mermaid diagram
// short ones.
//
// Results go to standard output, progress and errors to standard error. With
// -o json a result is one JSON object on a line.
//
// The commands on a cluster with TLS take --tls-cert, --tls-key and --tls-ca, the certificate of
// a client, or of an operator for forget, drain, backup, restore and managers.
//
// gtstore man DIR writes manual pages, gtstore completion SHELL prints what completes
// commands in a shell, and --version tells what the program was built from.
//
// What is not on the command line is taken from the environment: GTSTORE_TIMEOUT
// is --timeout, and so on; else from the YAML file that --config names, which has flags
// without dashes. This goes for the commands on a cluster. The nodes of
// up read neither: up tells them all.
//
// Exit codes: 0 all is well, 1 an error, 2 a wrong command line, 3 the key is
// absent, or there is no such node or manager, 4 unreachable or unavailable (nothing was done), 5 the outcome is
// unknown (it may have happened), 6 a property was violated, 7 the key
// has another version, 8 the group is lost, 9 overloaded.
package main

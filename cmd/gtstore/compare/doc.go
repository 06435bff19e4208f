// Compare measures GTStore beside Redis and etcd: on this machine, in one run, under the
// same load.
//
//	go -C cmd/gtstore/compare run . [--rounds 5] [--for 2s] [--callers 1,16,64] [--dir FOLDER]
//
// It is a module of its own, so that GTStore's does not need etcd's client. It needs Linux,
// for /proc, and Redis and etcd; on Debian, as root, it installs them if they are missing.
//
// Each system is three processes with a copy each, on loopback ports that the system chose,
// their files in a temporary folder in memory where there is one:
//
//   - GTStore: a manager and three storage nodes in memory, twice: with confirm-reads, the
//     default, and with lease reads.
//   - Redis: a primary and two replicas, without files. A put is SET followed by WAIT 2, sent
//     together, on a connection of each caller's own; a get is GET on the same connection.
//   - etcd: three members. Its client, the official one, has a connection to the leader; with
//     four connections etcd was not faster.
//
// With --dir FOLDER, on a disk, each of them syncs a put on every copy before it is
// acknowledged: GTStore with --dir, Redis with an append-only file and appendfsync always.
//
// They do not promise the same. A put is acknowledged by all three in GTStore, by both
// replicas in Redis, and by two of three in etcd. What Redis has acknowledged a failover can
// still lose, and its GET asks nobody whether the primary has been replaced. The gets of
// GTStore and etcd are linearizable. etcd writes a log and syncs it, without --dir to memory.
//
// A load is a closed loop: each caller begins an operation as soon as its last one has
// ended, on a thousand keys of 16 bytes with values of 100. It runs in a process of its own,
// with all callers, through the generator of gtstore bench. The systems take turns within
// each round, and begin in another order in each. While one is under load the others idle.
//
// With the word plot it draws the tables of growth.sh instead, as one SVG:
//
//	growth.sh | tee growth.md; go -C cmd/gtstore/compare run . plot < growth.md > growth.svg
//
// Printed are medians over the rounds with the least and the most, and how many times as
// many operations GTStore did, round by round. CPU time is that of all processes of the
// system and of its client, divided by the operations.
package main

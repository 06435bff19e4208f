// Package disk keeps a durable node's data on a real disk, in Pebble. It is what
// netrpc.Options.Disk wants. Only cmd imports it, so a program with the client compiles
// no engine.
//
// # What it promises
//
// A batch of writes is durable, all of it, with all earlier batches, when synced is
// called for it; after a crash a prefix of the batches is there. The first error of the
// disk ends that for good: a failed sync is never tried again, since the system may have
// dropped what it could not write. So failed is called once, nothing is synced after it, and
// the node stops. The engine is held in the write that failed, for ever: it would panic, or
// try again without end. So its directory stays locked until the process ends.
//
// # What happens on the way
//
// Write copies the batch and hands it to one goroutine, which applies it to the engine's
// log. Another waits for the syncs, in order. So a node never waits for its disk, whatever
// that does, and what comes during a sync shares the next one.
//
// # A directory
//
//	LOCK            held for as long as a process uses the directory
//	gtstore.json    what the directory is: format, role, and which directory it was when made
//	data/           the engine's files, and a list of its logs, while a node runs
//	data.new/       while they are made: whatever is in it is of no use
//	closed          there while it is closed in good order: a checksum of the list of tables
//	damaged-TIME/   data that a node could not use, with WHY.txt
//
// A directory is bound to the place where it was made, and to that of its data. A copy is
// refused: it may be older than what its node has acknowledged since, and two nodes would have
// one identity.
// [Inspect] reads a directory that no node uses, a copy too, and changes nothing in it.
package disk

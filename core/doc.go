// Package core is GTStore's protocol: the manager, the storage node and the
// client as pure, event-driven state machines. The simulator and the network
// runtime run the same core; neither adds a rule to it.
//
// Several managers may keep one Directory: see Consensus, and section 11 of PROTOCOL.md.
//
// # The shape
//
// A Node takes in one message at a time (Step) or the news that time has passed
// (Tick), and says in an Output what its driver must do: send, make durable,
// send when that is durable, note what happened, halt. It has no goroutine,
// channel, clock, file, socket or global randomness, so the same calls in the
// same order always give the same outputs. A restart is the constructor over
// the Space of what was made durable; there is no other way to recover.
//
// # What the driver owes a node
//
//   - Calls are serial. The time passed in is not negative and never goes back,
//     and it is read after the message was taken from its queue: a get that
//     waited must not be served by a lease that ended meanwhile.
//   - After a Step, if Deadline is not after now, Tick follows before the Output
//     is carried out. Several Steps may share an Output: that is batching.
//   - Send leaves at any time. Persist is made durable in order, an Output's
//     part of it all or nothing. After leaves when this and every earlier
//     Persist is durable, and not before; an envelope whose receiver is its
//     sender is then stepped back to the node. When the disk fails, the node
//     stops.
//   - Messages may be lost, repeated, delayed and reordered. A message that is
//     corrupted is dropped: DecodeEnvelope tells.
//   - Identities (NodeID, ClusterID) are drawn at random, once for each life of the
//     data, and seeds for each start.
//   - What comes over a network may say anything: see section 10 of PROTOCOL.md.
//   - A user's Call (or Cancel) comes from the zero Peer, and its Result goes there.
//     What comes over a network never names the node itself as its sender: what a
//     node says to itself is believed.
//   - A connection that breaks or is refused may be told as a PeerDown. It is a
//     hint, and never believed without a probe.
//   - When Halt is set, the Output is carried out and the node is called no more.
//
// # Does the manager lock a group during a request?
//
// No. Epochs do that job. A write is acknowledged only by every required member
// of one epoch, so whoever is promoted has it (R3, R4); a member that has
// adopted a later epoch refuses the earlier one (R1), so a deposed primary can
// finish nothing; what it left half done is completed by the next one (R5), and
// the client's retry of the same session and number finds the stored result
// (R12). A lock would put the manager on the path of every request, and would
// still not stop a message that is late. TestManagerDoesNotLockAGroup in package
// properties shows it.
//
// # Suspicion
//
// A hiccup is not a death. Nobody is removed for a pause of up to 250 ms, a loss of up
// to 5 % of the packets, round trips of up to 300 ms, a disk that syncs nothing for
// 250 ms, values of 1 MiB at 100 Mbit/s, or nodes that get four times the load that they
// can carry. These are the bounds that every run of the simulator is held to (sim/bounds,
// and the property eviction-without-cause in sim/check). What makes it so stands in PROTOCOL.md: manager 3,
// part by part, with the times that bound it. suspicion.go tells the cases.
//
// Every inquiry ends, and differently from the one before; the argument is section 9 of
// that page.
//
// # The rules, and where they are kept
//
// PROTOCOL.md, beside this file, is the home of the rules: what each says, what goes
// wrong without it, who keeps it and who notices when it is gone. It also has the
// manager's rules, which are cited by number, the words, the messages, and each part
// of the protocol step by step.
//
//	R1  fence: only higher epochs, with their config, durable first   Storage.adopt, group.adopt, group.send, group.onReplicate
//	R2  only the primary adds; the manager removes, never the last    Directory.reconfigure, Directory.issue
//	R3  a member is required until a config without it is adopted     group.continueTenure, followers.agreed
//	R4  a write is acknowledged by all, and checked before appended   followers.agreed, group.admits
//	R5  a new primary reconciles before it serves                     group.mayServe, followers.reconciled
//	R6  the same primary goes on across epochs                        group.continueTenure
//	R7  a replica acks the verified prefix, cuts only on a conflict   group.onReplicate, group.take
//	R8  a confirm-read waits for a round sent after it came           group.onGet, group.serveReads
//	R9  a lease-read is served while every member's promise lives     group.leaseLives, grant, Storage.start
//	R10 a joining node gets a snapshot, or has a committed prefix,    group.beginJoin, group.onChunk,
//	    then the log, then is required                                group.resume, transfer.go
//	R11 a restarted primary waits for a later epoch                   Directory.register, group.onOp
//	R12 sessions: at most once, decided at apply                      state.apply, group.onWrite
//
// # Values and limits
//
// Values are strings, copied at most once where bytes come in. Nothing grows without a
// bound: see the limits in types.go and in the options. Beyond one the answer is
// a clear status. A log is trimmed of what every member holds: it keeps up to twice
// LogKeep entries of that, and up to JoinLagMax more for a joining node. In durable
// mode that is enough for a node to restart, which takes some seconds, and to come
// back without a snapshot: a group's log takes up to 64 MiB and 5 MiB of memory for it,
// less what is also the present value of its key. A transfer
// copies nothing: its primary needs memory for four chunks, of 16 KiB and one key
// each, or over a long round trip for a MiB, whatever the size of the group.
//
// # Copies and encodings
//
// A node can be copied (Clone), and its state encoded (AppendState), for a search that goes on
// from one state in many ways and has to know where it has been before. A copy shares with its
// original only what nobody changes. Nodes with the same encoding, made with the same options,
// answer the same messages, at the same times from then on, with the same outputs. Times are
// relative to the present. What grows for ever is not made small: rounds, nonces, numbers of
// requests, positions of the log. An Envelope and a Gate can be encoded too. canon.go says
// more; tests change each field of a node, and run on from states that are said to be equal.
//
// # What is on the disk
//
// In durable mode a node's Space holds these records, and nothing grows but with what
// clients store:
//
//	Storage  identity, probe       one each
//	         config/, progress/    one for each group that the node is or was in, GroupsMax at
//	                                 most: it never forgets an epoch
//	         value/, session/      one for each key that has a value, and each session that is
//	                                 remembered: the state at a position, applied
//	         log/                  from before that position on, trimmed as in memory
//	Manager  identity, directory   one each; directory says which index the next three are of
//	         node/, group/, unit/  one for each node on the list, each group, and each key, or
//	                                 slot, that was ever mapped
//	         command/              those after that index: CommandsKeep, and those under way
//
// Each of the two has a state and what came after it. The state is brought up to date in
// batches that are bounded: of a storage node in steps behind its commit point (save.go), of
// a manager by folds, in which the records that a number of commands changed are written and
// the commands deleted (fold.go). After each batch, so wherever a crash comes, the state is
// exactly that of its position: what follows is applied again, and has to end as before. A
// hole, a damaged record and one in the place of another are noticed at the next start.
//
// # What a restart forgets
//
// A promise must not outlive what it rests on, and an answer to a question of
// before a restart must not be taken for one of after it. In memory mode nothing
// can: a restarted node is another one. In durable mode each field is durable,
// or what rests on it is void after a restart, by what the last column says.
//
//	Storage  self, cluster, boot, leaseMax, durable, before the first word of them
//	           the manager's id
//	         index                          a lower one reports less: the manager's loss is noticed later
//	         registered, manager's address  Registered names the boot that it answers
//	         token                          the next Ping brings it
//	         leaders                        the options name the managers, and Registered all of them
//	         relays                         nonces begin above those of every earlier boot
//	         disk (diskLag)                 its Synced crosses no network
//	         leaveBy, leaveAt, stopAt       a start means that it is to run
//	group    config, durable                durable, before any message in the epoch
//	         log, state, applied            durable, before the Ack; what was applied since, applied again
//	         unsaved                        is noted as that is applied again
//	         commit                         begins at applied, and rises with what the primary says; a join that
//	                                        begins before that keeps what was applied
//	         verified                       0: an Ack speaks of what this start's Replicates have shown
//	         grantUntil                     begins with a full grant of leaseMax
//	         start                          durable with what the join cut off or discarded
//	joiner   tenure, attempt                durable with what the attempt brought; 0 for what was held already
//	         complete, next                 durable with the last chunk, or with what was held; a late chunk
//	                                        changes nothing
//	         sum, and next before that      void: chunks of that attempt are refused, and another begins
//	tenure   all, with its transfer         it ends: the primary serves in a later epoch only (R11), in which
//	                                        older Acks, Nacks, rounds and promises do not count; a later
//	                                        Tenure makes its transfers' chunks and ChunkAcks others
//	         a node that was proposed       CaughtUp names its epoch; until another epoch comes it still holds all
//	         parked, reads, exports,        their clients ask again; for a write, in the same session
//	           pending                      and number
//	Manager  self, cluster, boot, Directory durable: each command before anything that shows it
//	         fold                           is noted as the commands are applied again
//	         nonce                          begins above those of every earlier boot, as relays do
//	         contacts: token, proven        drawn anew, and goes out with the next Ping
//	         contacts: missed, answered,    a new grace; only a Pong to a ping of this start counts
//	           evidence, loss presumed      judged afresh
//	         quarantined, failed, flaps     forgotten: a node may be tried once more too soon
//	         reserved, deciding, proposed,  the command under way is durable, and applied first, or is not
//	           registering, ending, listing
//	         watch.inquiry, about           Suspect and CaughtUp name group and epoch; probes by nonce
//	         waiters, forgets, drains       who waits asks again; a drain itself is in the Directory
//	         refused                        a refused request that comes again is decided anew
//	         of several: contacts and       as above: a new leader begins with the Directory alone
//	           all that follows them
//	Client   all                            a start is another client, with sessions of its own
package core

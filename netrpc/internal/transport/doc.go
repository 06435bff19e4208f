// Package transport moves envelopes between processes, over net/rpc on TCP. It
// knows nothing of what they say.
//
// # Connections
//
// Both ends of a connection first send a preface: a name and a version. Then
// come frames: four bytes of length, and a request or a response of net/rpc in
// a codec of ours. Every envelope in a frame is itself framed, with a checksum
// (package core/wire); a damaged or senseless one ends the connection.
//
// With an identity (Options.Identity) TLS comes before the preface. Then the kind of each
// message is held against the roles of both ends before it is decoded, and who it claims to be
// from against the peer's certificate (who.go). What TLS makes of what is written is held by the
// carrier until the system takes it, so that nobody waits in TLS.
//
// There are two methods, and each end of a connection calls the other. Hello tells what
// the process is. Deliver(batch) takes envelopes, and its empty reply is flow control: a
// sender has only a few unanswered.
//
// Whoever wants to say something connects and Delivers. Whoever is asked answers by
// Delivers on the connection on which the question came. To a node, the address
// of whoever asks is that connection ("#17"), whatever address it claims. So an
// answer goes to whoever asked, or nowhere, and a stranger's claim makes a node
// connect to nobody. Answers that come on a connection that somebody else made were not
// asked for, and are dropped.
// Only Register and Registered keep the address that they name: it is where the
// node, or the manager, wants to be reached.
//
// # Few hand-offs
//
// On a quiet machine to wake a goroutine, or a process, costs more than all that is done
// with a message. So the goroutine that reads a connection serves what it reads itself
// (rpc.Server.ServeRequest), puts it into the Inbox, and when nothing more is there to
// read it drives the node: see Options.Drive. What the node then Sends is encoded and
// written by that same goroutine, as far as the system takes it without waiting. Large
// batches, and what the system does not take at once, are left to a goroutine of the
// connection: see duplex.
//
// The reply to a Deliver does not leave by itself: it rides along with what is said next.
//
// # Large values
//
// To copy a large value costs about as much as to send it. So a value of 16 KiB or more is
// not copied into the frame in which it leaves, but written from where it is (buffer).
// And a value that is fifteen sixteenths of a frame or more is not copied out of it: the
// frame was read to memory of just its size, which is the value's from then on. Whether a
// frame is such a one shows only when it is decoded, so a connection expects of each large
// frame what the last one of about its size was. Other frames are read to memory that is used again.
//
// # What is kept, and what is not
//
// What goes one way on one connection arrives in order, within a lane of the inbox.
// Envelopes can be lost: when a
// connection breaks, when there is no room. They are not repeated. The core is built
// for that.
//
// A refused or broken connection is told at once, by the name of every peer to
// whom something was to go by it, with the address that was dialled. Refused is
// said only of an address where nobody listens (ECONNREFUSED): a host that is
// unreachable, a connection reset in the handshake or forbidden here is not that.
//
// # Silent connections
//
// A connection can die without a word: a firewall loses its state, or packets are
// lost for so long that TCP waits many seconds before it sends again. So when an
// answer is due and nothing has moved for about a second, a second connection is
// tried while the first stays, and the first to work wins. Movement is bytes that
// came, and bytes that waited for their acknowledgement and got it: a large batch
// that makes slow progress is not silent. Nor is a peer that is too busy to take
// anything in: it is asked for a sign of life, with Hello, which needs no room in
// its inbox. A dial that is overdue gets a second beside it likewise. There is never
// more than one attempt at a time for a link, with a pause between two that grows to
// a second, so that a peer that is paused is not flooded.
//
// When the second wins, the first is closed and nobody is reported. What was under
// way on the first is not sent again: it is lost, or it arrives late, after what
// came on the second.
//
// # Turns
//
// The Inbox has two lanes: what keeps groups alive comes before what clients ask. On a
// connection that somebody made, the first lane is for the nodes that the core knows of
// (Expect); what others say of groups comes with what clients ask. That keeps strangers
// out, but not who uses the ID of a node. So a part of each turn is for the clients,
// whatever waits in the first lane.
//
// Within a lane the connections take turns, by work: a message counts for its bytes
// and a little more. A node refuses operations beyond its limits, whosever they are, and
// whoever asks next waits for those under way. So only so many are under way, and the
// others wait in the Inbox. Large frames take turns at being read, too: those of
// clients on their own, and those of groups. And a connection that brings more messages
// than anybody needs is read only at a certain rate: it would else keep the processors
// busy with reading.
//
// # Bounds
//
// The number of connections is bounded, and fits the files that the process may
// open. The one unused for longest makes room for a new one. Those whose peer has not shown yet
// who it is are few, may say little, and take turns at the processors (opening.go). Records of TLS
// are paid for as messages are, and a peer that asks for new keys loses its connection, as what
// TLS answers would be held for it. Each connection may have a few batches
// that wait for room in the Inbox; then it is not read.
//
// What is held for connections that others made, in either direction, is charged to
// one budget of bytes, before it is read: see budget. A frame that has begun must be
// complete in time; so must the writing of one, and the answer to a Deliver. While
// others wait for memory, that time is short. What waits for peers to which this
// process connects has a budget of its own, in which no stranger has a part.
package transport

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
// There are three methods. Hello tells what the process is. Deliver(batch)
// takes envelopes, and its empty reply is flow control: a sender has only a few
// unanswered. Collect() → batch waits until there are envelopes for the caller.
// A node that listens is sent to by Deliver. A client does not listen: it
// Collects what the node has for it. Its address, as the node sees it, is its
// connection ("#17"), so that a reply goes where the request came from or
// nowhere.
//
// # What is kept, and what is not
//
// The batches of one connection arrive in order, though net/rpc starts a
// goroutine for each. Envelopes can be lost: when a connection breaks, when a
// queue is full. They are not repeated. The core is built for that.
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
// # Bounds
//
// The number of connections is bounded, and the one unused for longest makes
// room for a new one. Each has a window of unanswered requests, beyond which it
// is not read. A frame that has begun must be complete in time, and takes no
// more memory than twice what has come of it; so must the writing of one: who
// does not read is cut off. Queues are bounded in envelopes and bytes.
package transport

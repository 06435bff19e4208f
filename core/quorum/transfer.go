package quorum

import (
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"gtstore/core"
)

// The library sends a snapshot as one message. It is larger than a frame may be, so here it
// goes in parts, each answered before the next leaves. The library of the receiver is told
// of it when all of it is there.

// snapshotBytesMax bounds the memory of a snapshot that comes in.
const snapshotBytesMax = core.DirectoryTextMax

// transfer is a snapshot on its way to a member.
type transfer struct {
	to core.Peer
	snapshot
	next     uint64 // the part that was sent last
	resendAt core.Time
}

// partCount is in how many parts a text goes. An empty one goes in one part too.
func (n *Node) partCount(text string) uint64 {
	size := n.opt.partBytes
	return uint64(max(1, (len(text)+size-1)/size))
}

func (n *Node) partOf(text string, number uint64) string {
	from := int(number) * n.opt.partBytes
	return text[from:min(len(text), from+n.opt.partBytes)]
}

func (n *Node) beginTransfer(m *pb.Message) {
	to, ok := n.members.peer(core.NodeID(m.GetTo()))
	if !ok {
		return
	}
	to = n.peerNow(to)
	n.transfers = slices.DeleteFunc(n.transfers, func(t transfer) bool { return t.to.ID == to.ID })
	n.transfers = append(n.transfers, transfer{to: to, snapshot: n.made})
	n.sendPart(&n.transfers[len(n.transfers)-1])
}

func (n *Node) sendPart(t *transfer) {
	n.out.Send = append(n.out.Send, Envelope{n.self, t.to, &Part{
		Term: n.log.hard.term, At: t.at, Members: t.members,
		Number: t.next, Last: t.next == n.partCount(t.text)-1, Data: n.partOf(t.text, t.next),
	}})
	t.resendAt = n.now.After(n.timeout)
}

// sends tells whether a snapshot of that index is on its way to a member.
func (n *Node) sends(at Index) bool {
	return slices.ContainsFunc(n.transfers, func(t transfer) bool { return t.at.Index == at })
}

func (n *Node) tickTransfers() {
	for i := range n.transfers {
		if t := &n.transfers[i]; n.now >= t.resendAt {
			n.sendPart(t)
		}
	}
}

// onPartTaken sends the part that is needed next, or goes on with the log. That may be an
// earlier one: the member was started again, or the answer is late. A late one is put right
// by the answer to what it caused to be sent.
func (n *Node) onPartTaken(from core.Peer, m *PartTaken) {
	i := slices.IndexFunc(n.transfers, func(t transfer) bool { return t.to.ID == from.ID })
	if i < 0 || m.Term != n.log.hard.term || m.At != n.transfers[i].at.Index {
		return
	}
	t := &n.transfers[i]
	switch {
	case m.Done:
		n.transfers = slices.Delete(n.transfers, i, i+1)
		n.raft.ReportSnapshot(uint64(from.ID), raft.SnapshotFinish)
		n.dirty = true
	case m.Next != t.next && m.Next < n.partCount(t.text): // else the part is on its way already
		t.next = m.Next
		n.sendPart(t)
	}
}

// incoming is a snapshot of which not all parts are there yet, or which is about to be
// installed.
type incoming struct {
	term    Term
	at      Position
	members Members
	next    uint64
	text    strings.Builder
}

// onPart takes in the next part, in order.
func (n *Node) onPart(from core.Peer, m *Part) {
	status := n.raft.BasicStatus()
	if m.Term < Term(status.GetTerm()) {
		return
	}
	if m.At.Index <= n.log.hard.commit {
		n.tookPart(from, m, 0, true)
		return
	}
	in := &n.incoming
	if in.term != m.Term || in.at != m.At {
		if in.term > m.Term {
			return
		}
		*in = incoming{term: m.Term, at: m.At, members: m.Members}
	}
	if m.Number != in.next || in.text.Len()+len(m.Data) > snapshotBytesMax {
		n.tookPart(from, m, in.next, false)
		return
	}
	in.text.WriteString(m.Data)
	in.next++
	if !m.Last {
		n.tookPart(from, m, in.next, false)
		return
	}
	if !n.machine.ReadsSnapshot(in.text.String()) { // no manager has sent it
		n.incoming = incoming{}
		return
	}
	whole := snapshot{at: in.at, members: in.members}
	message := &pb.Message{Type: pb.MsgSnap.Enum(), From: new(uint64(from.ID)), To: new(uint64(n.self.ID)), Term: new(uint64(m.Term)), Snapshot: whole.toRaft()}
	n.heard = append(n.heard, from)
	n.mustStep(n.raft.Step(message))
	n.wait()
	if n.drain(); n.out.Halt != nil { // at once: another snapshot may begin
		return
	}
	n.incoming = incoming{}
	n.tookPart(from, m, 0, true)
}

func (n *Node) tookPart(to core.Peer, m *Part, next uint64, done bool) {
	n.out.After = append(n.out.After, Envelope{n.self, to, &PartTaken{Term: m.Term, At: m.At.Index, Next: next, Done: done}})
}

// install takes over a snapshot that came in. It is committed, so the owner may have it
// before it is durable here.
func (n *Node) install() {
	in := &n.incoming
	if err := n.machine.Restore(in.text.String()); err != nil {
		n.out.Halt = fmt.Errorf("quorum: manager %v: the snapshot at %d does not read: %w; start the managers with the same release", n.self.ID, in.at.Index, err)
		return
	}
	n.unpersistLog(n.log.base.Index+1, n.log.last())
	n.log.reset(in.at)
	n.applied, n.members, n.listed = in.at, in.members, nil
	n.persistSnapshot()
}

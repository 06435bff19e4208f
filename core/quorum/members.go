package quorum

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"gtstore/core"
	"gtstore/core/wire"
)

// Why a change of the members is refused.
var (
	ErrNotLeader = errors.New("this manager does not lead: ask the leader")
	ErrChanging  = errors.New("another change of the managers is under way: ask again when it has ended")
	ErrRetired   = errors.New("this manager was removed, and its data must not be used again: start it empty")
	ErrName      = errors.New("a manager keeps the name of its certificate: start it empty to have it under another one")
	ErrMembers   = errors.New("there must be 1 to 15 managers, each with an id and an address of its own")
)

// Members are those whose votes count. Amid a change, a majority of each of the two lists
// is needed for everything.
type Members struct {
	Voters   []core.Peer // by id; amid a change those that are to be
	Outgoing []core.Peer // by id; amid a change those before it, else none
	// Retired were members. An id is never used again: a vote that it gave, or an entry
	// that it acknowledged, may still count somewhere. It is named in the order in which
	// they left; beyond RetiredMax the first are forgotten.
	Retired []core.NodeID
}

// isMember tells whether a member may have that id: the library has other uses for some.
func isMember(id core.NodeID) bool {
	return uint64(id) != raft.None && !raft.IsLocalMsgTarget(uint64(id))
}

// peer finds a member.
func (m *Members) peer(id core.NodeID) (core.Peer, bool) {
	for _, list := range [...][]core.Peer{m.Voters, m.Outgoing} {
		if i := find(list, id); i >= 0 {
			return list[i], true
		}
	}
	return core.Peer{}, false
}

func find(peers []core.Peer, id core.NodeID) int {
	return slices.IndexFunc(peers, func(p core.Peer) bool { return p.ID == id })
}

// confState is what the library calls the members.
func (m *Members) confState() *pb.ConfState {
	// The library leaves the joint configuration by itself.
	return &pb.ConfState{Voters: ids(m.Voters), VotersOutgoing: ids(m.Outgoing), AutoLeave: new(len(m.Outgoing) > 0)}
}

func ids(peers []core.Peer) []uint64 {
	var list []uint64
	for _, p := range peers {
		list = append(list, uint64(p.ID))
	}
	return list
}

// after returns the members by that state, once a change has named those to be added.
func (m *Members) after(state *pb.ConfState, added []core.Peer) Members {
	known := slices.Concat(added, m.Voters, m.Outgoing) // the address named last counts
	lookUp := func(ids []uint64) []core.Peer {
		var peers []core.Peer
		for _, id := range ids {
			peers = append(peers, known[find(known, core.NodeID(id))])
		}
		slices.SortFunc(peers, func(a, b core.Peer) int { return cmp.Compare(a.ID, b.ID) })
		return peers
	}
	next := Members{Voters: lookUp(state.GetVoters()), Outgoing: lookUp(state.GetVotersOutgoing()), Retired: slices.Clone(m.Retired)}
	for _, p := range slices.Concat(m.Voters, m.Outgoing) {
		if _, stays := next.peer(p.ID); !stays && !slices.Contains(next.Retired, p.ID) {
			next.Retired = append(next.Retired, p.ID)
		}
	}
	if more := len(next.Retired) - RetiredMax; more > 0 {
		next.Retired = slices.Delete(next.Retired, 0, more)
	}
	return next
}

// isList tells whether members are listed by their ids, each once.
func isList(peers []core.Peer) bool {
	for i := 1; i < len(peers); i++ {
		if peers[i].ID <= peers[i-1].ID {
			return false
		}
	}
	return true
}

// allows tells whether a change can follow. The leader sees to it before it proposes one, so
// this is so unless somebody lies.
func (m *Members) allows(ch *membersChange) bool {
	if len(m.Outgoing) > 0 || len(ch.conf.GetChanges()) == 0 {
		return len(m.Outgoing) > 0 && len(ch.conf.GetChanges()) == 0
	}
	var removed []core.NodeID
	for _, one := range ch.conf.GetChanges() {
		if one.GetType() == pb.ConfChangeRemoveNode {
			removed = append(removed, core.NodeID(one.GetNodeId()))
		}
	}
	return m.plan(ch.added, removed) == nil
}

// plan returns an error if the members must not be changed like that.
func (m *Members) plan(add []core.Peer, remove []core.NodeID) error {
	if len(add)+len(remove) == 0 {
		return fmt.Errorf("quorum: no change was named: %w", ErrMembers)
	}
	voters := slices.Clone(m.Voters)
	for _, p := range add {
		switch i := find(voters, p.ID); {
		case slices.Contains(m.Retired, p.ID):
			return fmt.Errorf("quorum: manager %v at %s: %w", p.ID, p.Addr, ErrRetired)
		case !isMember(p.ID) || slices.Contains(remove, p.ID) || len(p.Addr) > core.AddrBytesMax:
			return fmt.Errorf("quorum: manager %v at %s cannot be added: %w", p.ID, p.Addr, ErrMembers)
		case i < 0:
			voters = append(voters, p)
		case core.OtherName(voters[i].Addr, p.Addr):
			return fmt.Errorf("quorum: manager %v is %s, and cannot be %s: %w", p.ID, voters[i].Addr, p.Addr, ErrName)
		}
	}
	voters = slices.DeleteFunc(voters, func(p core.Peer) bool { return slices.Contains(remove, p.ID) })
	if len(voters) == 0 || len(voters) > MembersMax {
		return fmt.Errorf("quorum: there would be %d managers: %w", len(voters), ErrMembers)
	}
	return nil
}

// change makes the library's form of a change. It is always a joint one: also one that
// replaces a member is then a single step, in which no majority is ever without the data.
func change(add []core.Peer, remove []core.NodeID) *pb.ConfChangeV2 {
	cc := &pb.ConfChangeV2{Transition: pb.ConfChangeTransitionJointImplicit.Enum()}
	for _, p := range add {
		cc.Changes = append(cc.Changes, &pb.ConfChangeSingle{Type: pb.ConfChangeAddNode.Enum(), NodeId: new(uint64(p.ID))})
	}
	for _, id := range remove {
		cc.Changes = append(cc.Changes, &pb.ConfChangeSingle{Type: pb.ConfChangeRemoveNode.Enum(), NodeId: new(uint64(id))})
	}
	c := wire.NewEncoder(nil)
	codePeers(&c, &add)
	cc.Context = c.Seal()
	return cc
}

// membersChange is what an entry of kind EntryMembers holds: the library's change, and whom
// it adds. The end of a joint change has neither.
type membersChange struct {
	conf  *pb.ConfChangeV2
	added []core.Peer
}

func readChange(data string) (membersChange, error) {
	ch := membersChange{conf: new(pb.ConfChangeV2)}
	if err := proto.Unmarshal([]byte(data), ch.conf); err != nil {
		return ch, err
	}
	if len(ch.conf.GetContext()) > 0 {
		c := wire.NewDecoder(ch.conf.GetContext())
		codePeers(&c, &ch.added)
		if err := c.End(); err != nil {
			return ch, err
		}
	}
	if joint := ch.conf.GetTransition() == pb.ConfChangeTransitionJointImplicit; joint != (len(ch.conf.GetChanges()) > 0) {
		return ch, errors.New("quorum: a change of the members that is no joint one")
	}
	for _, one := range ch.conf.GetChanges() {
		added := one.GetType() == pb.ConfChangeAddNode
		if added && find(ch.added, core.NodeID(one.GetNodeId())) < 0 || !added && one.GetType() != pb.ConfChangeRemoveNode {
			return ch, fmt.Errorf("quorum: a change of node %d that is neither to add it with its address nor to remove it", one.GetNodeId())
		}
	}
	return ch, nil
}

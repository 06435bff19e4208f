package core

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// status asks as an operator would, who knows neither the manager's id nor the
// cluster's.
func (r *realm) status(q StatusQuery) *StatusReply {
	r.t.Helper()
	operator := peerOf("c9")
	r.stepRaw(Envelope{From: operator, To: Peer{Addr: "m"}, Body: &q})
	r.serve()
	for i := len(r.letters) - 1; i >= 0; i-- {
		if s, ok := r.letters[i].body.(*StatusReply); ok {
			return s
		}
	}
	r.t.Fatal("no StatusReply")
	return nil
}

func TestTheStatusShowsNodesAndGroups(t *testing.T) {
	r := newRealm(t, 4, func(o *ManagerOptions) { o.Process = 4711 })
	s := r.status(StatusQuery{Req: 1})
	require.EqualValues(t, 4, s.NodeCount)
	require.Zero(t, s.GroupCount)
	for _, n := range s.Nodes {
		require.Equal(t, NodeUp, n.State)
		require.Zero(t, n.Group, "nobody has put anything yet")
	}

	r.lookup("a", true)
	s = r.status(StatusQuery{Req: 2})
	require.EqualValues(t, 2, s.Req)
	require.EqualValues(t, 4711, s.Process)
	require.EqualValues(t, 2, s.Replicas)
	require.EqualValues(t, 1, s.Mapped)
	require.Zero(t, s.Keys, "none was put yet")

	// A deleted key keeps its group, and is not counted. A replica, or a primary of an
	// earlier epoch, has no say in that.
	r.actors["n1"].serves, r.actors["n1"].keys = 1, 7
	r.actors["n2"].serves, r.actors["n2"].keys = 1, 9
	r.actors["n4"].serves, r.actors["n4"].keys = 1, 9
	r.pass(60 * time.Millisecond)
	s = r.status(StatusQuery{Req: 2})
	require.EqualValues(t, 7, s.Keys)
	require.Empty(t, cmp.Diff([]GroupStatus{{
		Group: 1, Epoch: 1, State: GroupOK, Keys: 7, Chain: []NodeID{peerOf("n1").ID, peerOf("n2").ID, peerOf("n3").ID}, Terms: Terms{Reads: ReadConfirm, MinChain: 1},
	}}, s.Groups))
	require.EqualValues(t, 1, s.Nodes[0].Group)
	require.Zero(t, s.Nodes[3].Group, "n4 is a spare")

	r.actors["n2"].health = refusing
	r.pass(time.Second)
	s = r.status(StatusQuery{Req: 3})
	require.Equal(t, NodeSilent, s.Nodes[1].State)
	require.Equal(t, GroupShort, s.Groups[0].State, "a dead replica was dropped")
	require.Len(t, s.Groups[0].Chain, 2)

	r.actors["n1"].health, r.actors["n3"].health = silent, silent
	r.pass(time.Second)
	s = r.status(StatusQuery{Req: 4})
	require.Equal(t, GroupUnavailable, s.Groups[0].State, "nobody of it answers")

	r.pass(time.Minute)
	s = r.status(StatusQuery{Req: 5})
	require.Equal(t, GroupLost, s.Groups[0].State, "presumed, from a long silence")
}

func TestTheStatusComesInPages(t *testing.T) {
	const nodes = StatusPageMax + 3
	n := newManagerAt(t)
	for i := range nodes {
		name := fmt.Sprintf("n%d", i+1)
		n.step(name, &Register{Boot: 1, Name: name})
	}
	n.mail = nil
	n.step("c9", &StatusQuery{Req: 1})
	first := only[*StatusReply](n, "c9")
	n.mail = nil
	n.step("c9", &StatusQuery{Req: 2, NodeFrom: StatusPageMax, GroupFrom: 9})
	second := only[*StatusReply](n, "c9")
	n.mail = nil
	n.step("c9", &StatusQuery{Req: 3, NodeFrom: nodes + 1})
	beyond := only[*StatusReply](n, "c9")

	require.Len(t, first.Nodes, StatusPageMax)
	require.Len(t, second.Nodes, nodes-StatusPageMax)
	require.Equal(t, fmt.Sprintf("n%d", StatusPageMax+1), second.Nodes[0].Name)
	require.Empty(t, beyond.Nodes)
	require.EqualValues(t, nodes, beyond.NodeCount)
}

// A user who gives up learns at once whether the write may have happened.
func TestACancelledCallEndsAtOnce(t *testing.T) {
	n := knowing(t)
	n.ask(2, OpPut, "a")
	n.step("", &Cancel{ID: 2})
	r := only[*Result](n, "")
	require.Equal(t, StatusUnavailable, r.Status, "only the opening of a session was sent")
	require.False(t, r.Sent)
	n.mail = nil

	n.ask(3, OpPut, "a")
	n.opened(5)
	n.step("", &Cancel{ID: 3})
	r = only[*Result](n, "")
	require.Equal(t, StatusUnknown, r.Status)
	require.True(t, r.Sent)
	n.mail = nil

	n.step("", &Cancel{ID: 3})
	require.Empty(t, sent[*Result](n, ""), "there is nothing left to cancel")
	require.Zero(t, n.node.(*Client).Calls())
}

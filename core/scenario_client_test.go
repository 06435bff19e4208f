package core

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// ask has the user call an operation.
func (n *rig) ask(id uint64, kind OpKind, key string) {
	n.t.Helper()
	n.step("", &Call{ID: id, Kind: kind, Key: key, Value: fmt.Sprintf("v%d", id), Timeout: 2 * time.Second})
}

// told has the manager answer the lookup of a call with a group 1 of that chain.
func (n *rig) told(id uint64, epoch Epoch, chain ...string) {
	n.t.Helper()
	n.step("m", &LookupReply{Placement: PlacementKey, Req: id, Status: StatusOK, Config: config(epoch, chain...)})
}

// knowing starts a client that knows a key "a" and where it lives: n1, then n2.
func knowing(t *testing.T, options ...func(*ClientOptions)) *rig {
	t.Helper()
	n := newClientAt(t, "c1", options...)
	n.ask(1, OpGet, "a")
	n.told(1, 1, "n1", "n2")
	get := only[*Op](n, "n1")
	n.step("n1", &Reply{Group: 1, Req: get.Req, Status: StatusNotFound, Epoch: 1})
	require.Equal(t, StatusNotFound, only[*Result](n, "").Status)
	n.mail = nil
	return n
}

// opened answers the opening of a session that n1 has just got.
func (n *rig) opened(session Seq) {
	n.t.Helper()
	open := only[*Op](n, "n1")
	require.Equal(n.t, OpOpen, open.Kind)
	n.step("n1", &Reply{Group: 1, Req: open.Req, Status: StatusOK, Epoch: 1, Version: session})
}

// answered has n1 answer an operation.
func (n *rig) answered(op *Op, s Status) {
	n.t.Helper()
	n.step("n1", &Reply{Group: 1, Req: op.Req, Status: s, Epoch: 1, Version: 9})
}

// A get times out. The answer to it, that the key is absent, comes when the user
// has written the key and asks again. Every reply names its request, so it is
// not taken for the answer to the newer get.
func TestALateNotFoundDoesNotAnswerANewerGet(t *testing.T) {
	n := knowing(t)
	n.ask(2, OpGet, "a")
	old := only[*Op](n, "n1")
	n.tick(2 * time.Second)
	require.Equal(t, StatusUnavailable, only[*Result](n, "").Status)

	n.mail = nil
	n.ask(3, OpGet, "a")
	n.answered(old, StatusNotFound)
	n.step("m", &LookupReply{Placement: PlacementKey, Req: 2, Status: StatusNotFound})
	require.Empty(t, sent[*Result](n, ""))
	n.step("n1", &Reply{Group: 1, Req: only[*Op](n, "n1").Req, Status: StatusOK, Version: 9, Value: "x", Epoch: 1})
	require.Equal(t, &Result{ID: 3, Status: StatusOK, Sent: true, Version: 9, Value: "x", Node: 1, Group: 1, Epoch: 1}, only[*Result](n, ""))
}

// A put looks its key up twice, for the first answer is late. The late one says
// that the key is not mapped, which the put itself has changed since.
func TestALateLookupReplyDoesNotUnmapAKey(t *testing.T) {
	for _, s := range []Status{StatusNotFound, StatusUnavailable, StatusOverloaded, StatusTooLarge} {
		n := newClientAt(t, "c1")
		n.ask(1, OpPut, "a")
		n.tick(150 * time.Millisecond)
		require.Len(t, sent[*Lookup](n, "m"), 2)
		n.told(1, 1, "n1")
		n.step("m", &LookupReply{Placement: PlacementKey, Req: 1, Status: s})
		require.Empty(t, sent[*Result](n, ""), "%v", s)
		n.opened(4)
		n.answered(only[*Op](n, "n1"), StatusOK)
		require.Equal(t, StatusOK, only[*Result](n, "").Status)
	}
}

// The answer to the opening of a session comes twice. The second must not be
// taken for the result of the write that went out after the first.
func TestTheReplyToAnOpeningIsNotTheWritesResult(t *testing.T) {
	n := knowing(t)
	n.ask(2, OpPut, "a")
	open := only[*Op](n, "n1")
	for range 2 {
		n.step("n1", &Reply{Group: 1, Req: open.Req, Status: StatusOK, Epoch: 1, Version: 4})
	}
	n.step("n1", &Reply{Group: 1, Req: open.Req, Status: StatusOK, Epoch: 1, Version: 5}) // it was opened twice
	require.Empty(t, sent[*Result](n, ""))
	write := only[*Op](n, "n1")
	require.Equal(t, &Op{Group: 1, Req: write.Req, Kind: OpPut, Session: 4, OpSeq: 1, Key: "a", Value: "v2"}, write)
	require.NotEqual(t, open.Req, write.Req)
	n.answered(write, StatusOK)
	require.Equal(t, &Result{ID: 2, Status: StatusOK, Sent: true, Version: 9, Node: 1, Group: 1, Epoch: 1}, only[*Result](n, ""))
}

// When the time of a call is over, a write that has left may happen yet: its
// outcome is unknown, never a failure (rule R12). What has not left certainly did
// not.
func TestTheOutcomeWhenTheTimeIsOver(t *testing.T) {
	for name, c := range map[string]struct {
		kind OpKind
		to   func(n *rig) // how far it gets
		want Result
	}{
		"no answer from the manager": {OpPut, func(n *rig) {}, Result{Status: StatusUnavailable}},
		"no session": {OpPut, func(n *rig) { n.told(1, 1, "n1") },
			Result{Status: StatusUnavailable, Group: 1, Epoch: 1}},
		"put sent": {OpPut, func(n *rig) { n.told(1, 1, "n1"); n.opened(4) },
			Result{Status: StatusUnknown, Sent: true, Group: 1, Epoch: 1}},
		"delete sent": {OpDelete, func(n *rig) { n.told(1, 1, "n1"); n.opened(4) },
			Result{Status: StatusUnknown, Sent: true, Group: 1, Epoch: 1}},
		"cas sent": {OpCAS, func(n *rig) { n.told(1, 1, "n1"); n.opened(4) },
			Result{Status: StatusUnknown, Sent: true, Group: 1, Epoch: 1}},
		"put sent, then refused": {OpPut, func(n *rig) { n.told(1, 1, "n1"); n.opened(4); n.answered(only[*Op](n, "n1"), StatusUnavailable) },
			Result{Status: StatusUnknown, Cause: StatusUnavailable, Sent: true, Group: 1, Epoch: 1}},
		"opening refused": {OpPut, func(n *rig) { n.told(1, 1, "n1"); n.answered(only[*Op](n, "n1"), StatusUnavailable) },
			Result{Status: StatusUnavailable, Cause: StatusUnavailable, Group: 1, Epoch: 1}},
		"get sent": {OpGet, func(n *rig) { n.told(1, 1, "n1") },
			Result{Status: StatusUnavailable, Sent: true, Group: 1, Epoch: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			n := newClientAt(t, "c1")
			n.ask(1, c.kind, "a")
			c.to(n)
			n.tick(2*time.Second - 1)
			require.Empty(t, sent[*Result](n, ""))
			n.tick(1)
			c.want.ID = 1
			require.Equal(t, &c.want, only[*Result](n, ""))
			n.mail = nil
			n.tick(time.Minute)
			require.Empty(t, n.mail, "it is over")
		})
	}
}

// Some refusals end a call at once. For a write that was sent they are not the
// outcome, only the cause of not knowing it (rule R12).
func TestRefusalsThatEndACall(t *testing.T) {
	for name, c := range map[string]struct {
		kind   OpKind
		refuse func(n *rig)
		want   Result
	}{
		"session expired": {OpPut, func(n *rig) { n.opened(4); n.answered(only[*Op](n, "n1"), StatusSessionExpired) },
			Result{Status: StatusUnknown, Cause: StatusSessionExpired, Sent: true, Node: 1, Group: 1, Epoch: 1}},
		"group lost in the middle of a write": {OpPut, func(n *rig) {
			n.opened(4)
			n.step("m", &LookupReply{Placement: PlacementKey, Req: 2, Status: StatusGroupLost, Config: config(3, "n1")})
		}, Result{Status: StatusUnknown, Cause: StatusGroupLost, Sent: true, Node: 0x200, Group: 1, Epoch: 3}},
		"group lost before a write": {OpPut, func(n *rig) {
			n.step("m", &LookupReply{Placement: PlacementKey, Req: 2, Status: StatusGroupLost, Config: config(3, "n1")})
		}, Result{Status: StatusGroupLost, Node: 0x200, Group: 1, Epoch: 3}},
		"group lost in the middle of a get": {OpGet, func(n *rig) {
			n.step("m", &LookupReply{Placement: PlacementKey, Req: 2, Status: StatusGroupLost, Config: config(3, "n1")})
		}, Result{Status: StatusGroupLost, Sent: true, Node: 0x200, Group: 1, Epoch: 3}},
		"too large for the primary": {OpPut, func(n *rig) { n.opened(4); n.answered(only[*Op](n, "n1"), StatusTooLarge) },
			Result{Status: StatusUnknown, Cause: StatusTooLarge, Sent: true, Node: 1, Group: 1, Epoch: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			n := knowing(t)
			n.ask(2, c.kind, "a")
			c.refuse(n)
			c.want.ID = 2
			require.Equal(t, &c.want, only[*Result](n, ""))
			require.Zero(t, n.node.(*Client).Calls())
		})
	}
}

// A session that has expired is of no use to the next write either.
func TestAnExpiredSessionIsNotUsedAgain(t *testing.T) {
	n := knowing(t)
	n.ask(2, OpPut, "a")
	n.opened(4)
	n.answered(only[*Op](n, "n1"), StatusSessionExpired)
	n.ask(3, OpPut, "a")
	n.opened(8)
	require.EqualValues(t, 8, only[*Op](n, "n1").Session)
}

// What the manager refuses for want of nodes tells the user how many it takes.
func TestTooFewNodesForTheFirstGroup(t *testing.T) {
	n := newClientAt(t, "c1")
	n.ask(1, OpPut, "a")
	n.step("m", &LookupReply{Placement: PlacementKey, Req: 1, Status: StatusUnavailable, Have: 2, Need: 3})
	require.Equal(t, &Result{ID: 1, Status: StatusUnavailable, Node: 0x200, Have: 2, Need: 3}, only[*Result](n, ""))
}

// Only a put and a "cas KEY 0" map a key. What else finds none is answered as if
// the group were there; and that there was none is never remembered.
func TestAnUnmappedKeyAtTheClient(t *testing.T) {
	for name, c := range map[string]struct {
		call   Call
		create bool
		want   Status // when it is not mapped
	}{
		"get":        {Call{Kind: OpGet}, false, StatusNotFound},
		"delete":     {Call{Kind: OpDelete}, false, StatusNotFound},
		"cas of one": {Call{Kind: OpCAS, Version: 3}, false, StatusConflict},
		"cas of 0":   {Call{Kind: OpCAS}, true, 0},
		"put":        {Call{Kind: OpPut}, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			n := newClientAt(t, "c1")
			for id := uint64(1); id <= 2; id++ {
				call := c.call
				call.ID, call.Key, call.Timeout = id, "a", 2*time.Second
				n.step("", &call)
				require.Equal(t, &Lookup{Req: id, Key: "a", Create: c.create}, only[*Lookup](n, "m"))
				if c.want != 0 {
					n.step("m", &LookupReply{Placement: PlacementKey, Req: id, Status: StatusNotFound})
					require.Equal(t, &Result{ID: id, Status: c.want, Node: 0x200}, only[*Result](n, ""))
				}
			}
		})
	}
}

// A primary that is overloaded is left alone for longer each time, up to a
// bound, and by a different time for each client, so that many do not come back
// together. The outcome of a write stays unknown, with that as the cause.
func TestOverloadedBacksOff(t *testing.T) {
	waits := func(seed uint64) (list []time.Duration) {
		n := knowing(t, func(o *ClientOptions) { o.Seed = seed })
		n.ask(2, OpPut, "a")
		n.opened(4)
		for {
			op := sent[*Op](n, "n1")
			if len(op) == 0 {
				break
			}
			require.Len(t, op, 1)
			n.answered(op[0], StatusOverloaded)
			n.answered(op[0], StatusOverloaded) // repeated on the way: no reason to wait anew
			begin := n.now
			for sent[*Lookup](n, "m"); len(n.mail) == 0; { // the next attempt asks the manager too
				n.tick(100 * time.Microsecond)
			}
			list = append(list, n.now.Since(begin))
		}
		require.Equal(t, &Result{ID: 2, Status: StatusUnknown, Cause: StatusOverloaded, Sent: true, Group: 1, Epoch: 1}, only[*Result](n, ""))
		require.Empty(t, sent[*Suspect](n, "m"), "who answers is not suspected")
		return list
	}
	a, b := waits(1), waits(2)
	require.NotEqual(t, a[:8], b[:8], "jitter")
	require.Equal(t, a, waits(1), "of the seed")
	for _, list := range [][]time.Duration{a, b} {
		require.Greater(t, len(list), 8)
		most := 10 * time.Millisecond // the second attempt: the first opened the session
		for i, wait := range list[:len(list)-1] {
			require.GreaterOrEqual(t, wait, most/2, "%d: %v", i, list)
			require.LessOrEqual(t, wait, most+100*time.Microsecond, "%d: %v", i, list)
			most = min(2*most, 200*time.Millisecond)
		}
	}

	// An opening that is refused has sent no write.
	n := knowing(t)
	n.ask(2, OpPut, "a")
	n.answered(only[*Op](n, "n1"), StatusOverloaded)
	n.tick(2 * time.Second)
	require.Equal(t, &Result{ID: 2, Status: StatusUnavailable, Cause: StatusOverloaded, Group: 1, Epoch: 1}, only[*Result](n, ""))
}

// Sessions expire at the primary. One that was idle for long is given up before
// anything is sent in it, so that no write ends unknown for that.
func TestAnIdleSessionIsNotUsedAgain(t *testing.T) {
	n := knowing(t)
	write := func(id uint64) *Op {
		n.mail = nil
		n.ask(id, OpPut, "a")
		op := only[*Op](n, "n1")
		if op.Kind != OpOpen {
			n.answered(op, StatusOK)
		}
		return op
	}
	n.ask(2, OpPut, "a")
	n.opened(4)
	n.answered(only[*Op](n, "n1"), StatusOK)
	for i := range uint64(3) { // used every minute it lives on
		n.tick(time.Minute)
		op := write(3 + i)
		require.Equal(t, Seq(4), op.Session)
		require.Equal(t, 2+i, op.OpSeq, "each write has the next number")
	}
	n.tick(time.Minute + 1)
	require.Equal(t, OpOpen, write(6).Kind)
}

// A write is named by its session and number for ever, so that a retry is
// answered and not executed again; each retry goes to whoever is the primary.
func TestRetriesUseTheSameSessionAndNumber(t *testing.T) {
	n := knowing(t)
	n.ask(2, OpPut, "a")
	n.opened(4)
	first := only[*Op](n, "n1")
	n.tick(160 * time.Millisecond) // no answer
	require.Equal(t, first, only[*Op](n, "n1"))
	n.answered(first, StatusOverloaded)
	n.tick(50 * time.Millisecond)
	require.Equal(t, first, only[*Op](n, "n1"))
	n.step("n1", &Reply{Group: 1, Req: first.Req, Status: StatusNotPrimary, Epoch: 2, Config: config(2, "n2")})
	require.Equal(t, first, only[*Op](n, "n2"))
	n.step("n2", &PeerDown{Peer: peerOf("n2")})
	n.tick(50 * time.Millisecond)
	require.Equal(t, first, only[*Op](n, "n2"))
	n.step("n2", &Reply{Group: 1, Req: first.Req, Status: StatusOK, Version: 9, Epoch: 2})
	require.Equal(t, StatusOK, only[*Result](n, "").Status)
}

// A session does one write at a time: two at once take two, and the next takes
// one of these with the next number.
func TestWritesAtOnceTakeSessionsOfTheirOwn(t *testing.T) {
	n := knowing(t)
	n.ask(2, OpPut, "a")
	n.opened(4)
	n.ask(3, OpPut, "a")
	first := only2(n)
	require.EqualValues(t, 4, first[0].Session)
	require.Equal(t, OpOpen, first[1].Kind)
	n.step("n1", &Reply{Group: 1, Req: first[1].Req, Status: StatusOK, Version: 6, Epoch: 1})
	second := only[*Op](n, "n1")
	require.EqualValues(t, 6, second.Session)
	n.answered(second, StatusOK)
	n.ask(4, OpPut, "a")
	third := only[*Op](n, "n1")
	require.Equal(t, []uint64{6, 2}, []uint64{uint64(third.Session), third.OpSeq})
}

func only2(n *rig) []*Op {
	n.t.Helper()
	ops := sent[*Op](n, "n1")
	require.Len(n.t, ops, 2)
	return ops
}

// A reply that names an operation which has not been sent yet answers nothing.
func TestNoReplyAnswersWhatWasNotSent(t *testing.T) {
	n := knowing(t)
	n.ask(2, OpPut, "a")
	open := only[*Op](n, "n1")
	write := open.Req &^ 1
	require.Equal(t, write|1, open.Req)
	n.step("n1", &Reply{Group: 1, Req: write, Status: StatusOK, Version: 7, Epoch: 1})
	require.Empty(t, sent[*Result](n, ""))
	n.step("n1", &Reply{Group: 1, Req: open.Req, Status: StatusOK, Version: 4, Epoch: 1})
	n.answered(only[*Op](n, "n1"), StatusOK)
	require.Equal(t, StatusOK, only[*Result](n, "").Status)

	n.ask(3, OpGet, "a")
	get := only[*Op](n, "n1")
	n.step("n1", &Reply{Group: 1, Req: get.Req | 1, Status: StatusOK, Version: 9, Epoch: 1})
	require.Empty(t, sent[*Op](n, "n1"), "a get opens no session")
	require.Empty(t, sent[*Result](n, ""))
}

// Rule R12: a session whose write ended unknown is not used again: if somebody else has numbered a
// write in it, every later one would end unknown too.
func TestASessionIsGivenUpAfterAnUnknownOutcome(t *testing.T) {
	n := knowing(t)
	n.ask(2, OpPut, "a")
	n.opened(4)
	n.tick(2 * time.Second)
	require.Equal(t, StatusUnknown, only[*Result](n, "").Status)
	n.mail = nil
	n.ask(3, OpPut, "a")
	require.Equal(t, OpOpen, only[*Op](n, "n1").Kind)
}

// Rule R12: the reply that a session has ended is certain that the write was not executed. The
// client does it in another session, and a late copy of that reply changes nothing.
func TestAWriteWhoseSessionHadEndedIsDoneInAnother(t *testing.T) {
	n := knowing(t)
	n.ask(2, OpPut, "a")
	n.opened(4)
	first := only[*Op](n, "n1")
	ended := &Reply{Group: 1, Req: first.Req, Status: StatusSessionEnded, Version: 4, Epoch: 1}
	n.step("n1", ended)
	n.tick(20 * time.Millisecond)
	n.opened(9)
	second := only[*Op](n, "n1")
	require.Equal(t, []uint64{9, 1}, []uint64{uint64(second.Session), second.OpSeq})
	require.Equal(t, first.Value, second.Value)
	n.step("n1", ended)
	n.tick(50 * time.Millisecond)
	require.Empty(t, sent[*Op](n, "n1"))
	n.answered(second, StatusOK)
	require.Equal(t, StatusOK, only[*Result](n, "").Status)
}

// Nothing of the write was ever executed, so the result is known if its time ends then.
func TestAWriteWhoseSessionHadEndedDidNotHappen(t *testing.T) {
	n := knowing(t)
	n.ask(2, OpPut, "a")
	n.opened(4)
	n.step("n1", &Reply{Group: 1, Req: only[*Op](n, "n1").Req, Status: StatusSessionEnded, Version: 4, Epoch: 1})
	n.tick(2 * time.Second)
	require.Equal(t, StatusUnavailable, only[*Result](n, "").Status)
}

// A client that closes ends its calls, and asks every group that it opened a session in
// to end them.
func TestAClientClosesItsSessions(t *testing.T) {
	n := knowing(t)
	n.ask(2, OpPut, "a")
	n.opened(4)
	n.ask(3, OpGet, "a")
	n.mail = nil
	n.stepRaw(Envelope{To: peerOf("c1"), Body: &Stop{}})
	var status []Status
	for _, r := range sent[*Result](n, "") {
		status = append(status, r.Status)
	}
	require.Equal(t, []Status{StatusUnknown, StatusUnavailable}, status)
	same(t, &Op{Group: 1, Kind: OpClose}, only[*Op](n, "n1"))
	require.ErrorIs(t, n.halted, ErrStopped)
}

// The manager is away. Keys that are mapped go on being read and written.
func TestMappedKeysGoOnWhileTheManagerIsAway(t *testing.T) {
	n := knowing(t)
	for id := uint64(2); id < 50; id++ {
		kind := OpGet
		if id%2 == 0 {
			kind = OpPut
		}
		n.ask(id, kind, "a")
		for _, op := range sent[*Op](n, "n1") {
			n.answered(op, StatusOK)
		}
		for _, op := range sent[*Op](n, "n1") { // after an opening
			n.answered(op, StatusOK)
		}
		require.Equal(t, StatusOK, only[*Result](n, "").Status)
		n.tick(100 * time.Millisecond)
	}
	require.Empty(t, sent[*Lookup](n, "m"), "the manager is not even asked")

	// A primary that is slow is asked again although the manager says nothing.
	n.ask(50, OpGet, "a")
	only[*Op](n, "n1")
	n.tick(150 * time.Millisecond)
	n.answered(only[*Op](n, "n1"), StatusOK)
	require.Equal(t, StatusOK, only[*Result](n, "").Status)
}

// A NotPrimary that brings a later config sends the client on at once. One that
// knows no better makes it wait and ask the manager. An older config never
// replaces a newer.
func TestConfigsAreRefreshed(t *testing.T) {
	n := knowing(t)
	n.ask(2, OpGet, "a")
	get := only[*Op](n, "n1")
	n.step("n1", &Reply{Group: 1, Req: get.Req, Status: StatusNotPrimary, Epoch: 3, Config: config(3, "n2", "n3")})
	require.Equal(t, get, only[*Op](n, "n2"))
	n.step("n1", &Reply{Group: 1, Req: get.Req, Status: StatusNotPrimary, Epoch: 2, Config: config(2, "n1", "n2")})
	require.Empty(t, sent[*Op](n, "n1"), "an older one")

	n.step("n2", &Reply{Group: 1, Req: get.Req, Status: StatusNotPrimary})
	require.Empty(t, sent[*Op](n, "n2"))
	require.Empty(t, sent[*Lookup](n, "m"))
	n.tick(20 * time.Millisecond)
	require.Equal(t, &Lookup{Req: 2, Key: "a"}, only[*Lookup](n, "m"))
	require.Equal(t, get, only[*Op](n, "n2"))
	n.told(2, 4, "n3")
	n.step("n2", &Reply{Group: 1, Req: get.Req, Status: StatusNotPrimary})
	require.Equal(t, get, only[*Op](n, "n3"), "the manager knew better")
	n.told(2, 3, "n2", "n3")
	n.tick(150 * time.Millisecond)
	require.Empty(t, sent[*Op](n, "n2"))
	require.Equal(t, get, only[*Op](n, "n3"))
	n.step("n3", &Reply{Group: 1, Req: get.Req, Status: StatusOK, Version: 9, Epoch: 4})
	require.Equal(t, &Result{ID: 2, Status: StatusOK, Sent: true, Version: 9, Node: 3, Group: 1, Epoch: 4}, only[*Result](n, ""))

	// A config of another group is not this one's.
	n.mail = nil
	n.ask(3, OpGet, "a")
	get = only[*Op](n, "n3")
	stray := config(9, "n5")
	stray.Group = 2
	n.step("n3", &Reply{Group: 1, Req: get.Req, Status: StatusNotPrimary, Config: stray})
	n.step("n3", &Reply{Group: 2, Req: get.Req, Status: StatusNotFound})
	require.Empty(t, sent[*Result](n, ""))
	n.tick(20 * time.Millisecond)
	only[*Op](n, "n3")
}

// A client reports a node when it did not answer in time, or when its connection
// broke; never because it answered something else than was hoped for.
func TestANodeIsReportedOnlyWhenItDidNotAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		then    func(n *rig, op *Op)
		wait    time.Duration
		reports int
	}{
		"not primary": {func(n *rig, op *Op) { n.answered(op, StatusNotPrimary) }, 140 * time.Millisecond, 0},
		"overloaded":  {func(n *rig, op *Op) { n.answered(op, StatusOverloaded) }, 140 * time.Millisecond, 0},
		"unavailable": {func(n *rig, op *Op) { n.answered(op, StatusUnavailable) }, 140 * time.Millisecond, 0},
		"slow":        {func(n *rig, op *Op) {}, 149 * time.Millisecond, 0},
		"too slow":    {func(n *rig, op *Op) {}, 150 * time.Millisecond, 1},
		"silent":      {func(n *rig, op *Op) {}, 310 * time.Millisecond, 4},
		"connection broke": {func(n *rig, op *Op) {
			n.step("c1", &PeerDown{Peer: peerOf("n1")})
			n.step("c1", &PeerDown{Peer: peerOf("n1"), Refused: true}) // again, while it waits
		}, 0, 1},
		"another node at the address": {func(n *rig, op *Op) {
			n.step("n1", &Refused{Reason: RefusedOtherNode, Wanted: 1, What: KindOp})
		}, 0, 1},
		"another's connection broke": {func(n *rig, op *Op) { n.step("c1", &PeerDown{Peer: peerOf("n2")}) }, 0, 0},
		"another complaint": {func(n *rig, op *Op) {
			n.step("n1", &Refused{Reason: RefusedOtherCluster, Wanted: 1, What: KindOp})
		}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			n := knowing(t)
			n.ask(2, OpGet, "a")
			op := only[*Op](n, "n1")
			c.then(n, op)
			// A refusal may be answered by more attempts; each is refused again.
			for end := n.now.After(c.wait); n.now < end; {
				n.tick(time.Millisecond)
				if strings.Contains("not primary, overloaded, unavailable", name) {
					for _, op := range sent[*Op](n, "n1") {
						c.then(n, op)
					}
				}
			}
			reports := sent[*Suspect](n, "m")
			require.Len(t, reports, c.reports)
			for _, s := range reports {
				require.Equal(t, &Suspect{Group: 1, Epoch: 1, Node: 1, Refused: name == "another node at the address"}, s)
			}
		})
	}
}

// When the primary's address refuses, the client tries the other members, and says of
// each whose address refuses too, that it does.
func TestARefusedClientTriesTheOtherMembers(t *testing.T) {
	n := knowing(t)
	n.ask(2, OpGet, "a")
	n.step("c1", &PeerDown{Peer: peerOf("n1"), Refused: true})
	same(t, &Suspect{Group: 1, Epoch: 1, Node: 1, Refused: true}, only[*Suspect](n, "m"))
	only[*Probe](n, "n2")
	n.step("n2", &ProbeReply{})
	require.Empty(t, sent[*Suspect](n, "m"))
	n.step("c1", &PeerDown{Peer: peerOf("n2"), Refused: true})
	same(t, &Suspect{Group: 1, Epoch: 1, Node: 2, Refused: true}, only[*Suspect](n, "m"))
	n.step("c1", &PeerDown{Peer: Peer{ID: 2, Addr: "n9"}, Refused: true})
	n.step("c1", &PeerDown{Peer: peerOf("n2")})
	require.Empty(t, sent[*Suspect](n, "m"))
}

// The manager's connection broke: it is asked again soon, and nobody is reported.
func TestALookupIsRepeatedWhenTheManagersConnectionBreaks(t *testing.T) {
	n := newClientAt(t, "c1", func(o *ClientOptions) { o.Manager.ID = 0x200 })
	n.ask(1, OpGet, "a")
	only[*Lookup](n, "m")
	n.step("c1", &PeerDown{Peer: peerOf("m")})
	n.tick(5 * time.Millisecond)
	only[*Lookup](n, "m")
	require.Empty(t, sent[*Suspect](n, "m"))
}

// Everything that a client holds is bounded.
func TestTheClientsLimits(t *testing.T) {
	n := newClientAt(t, "c1", func(o *ClientOptions) { o.CallsMax, o.RoutesMax = 3, 5 })
	for name, c := range map[string]Call{
		"no key":      {Kind: OpGet},
		"long key":    {Kind: OpGet, Key: strings.Repeat("k", KeyBytesMax+1)},
		"large value": {Kind: OpPut, Key: "a", Value: strings.Repeat("v", ValueBytesMax+1)},
	} {
		c.ID, c.Timeout = 1, time.Second
		n.step("", &c)
		require.Equal(t, &Result{ID: 1, Status: StatusTooLarge}, only[*Result](n, ""), name)
	}
	n.step("", &Call{ID: 1, Kind: OpPut, Key: strings.Repeat("k", KeyBytesMax), Value: strings.Repeat("v", ValueBytesMax), Timeout: time.Second})
	n.ask(2, OpGet, "b")
	n.ask(3, OpGet, "c")
	require.Empty(t, sent[*Result](n, ""))
	n.ask(4, OpGet, "d")
	require.Equal(t, &Result{ID: 4, Status: StatusOverloaded}, only[*Result](n, ""))
	n.tick(2 * time.Second)
	require.Len(t, sent[*Result](n, ""), 3)
	n.ask(5, OpGet, "d")
	require.Empty(t, sent[*Result](n, ""), "there is room again")
	n.tick(2 * time.Second)

	c := n.node.(*Client)
	for id := uint64(10); id < 60; id++ {
		n.ask(id, OpGet, fmt.Sprint("k", id))
		n.told(id, 1, "n1")
		n.answered(&Op{Req: id << 1}, StatusNotFound)
		require.LessOrEqual(t, len(c.units), 5)
	}
	require.Zero(t, c.Calls())
}

// A client belongs to the cluster whose manager answered it first, and hears
// only what is meant for it.
func TestAClientHearsOnlyWhatIsMeantForIt(t *testing.T) {
	n := newClientAt(t, "c1")
	n.ask(1, OpGet, "a")
	for name, e := range map[string]Envelope{
		"another client's": {Cluster: rigCluster, To: peerOf("c2"), Body: &LookupReply{Placement: PlacementKey, Req: 1, Status: StatusNotFound}},
		"no lookup reply":  {Cluster: rigCluster, To: n.self, Body: &Reply{Group: 1, Req: 2, Status: StatusNotFound}},
	} {
		e.From = peerOf("m")
		n.stepRaw(e)
		require.Empty(t, sent[*Result](n, ""), name)
	}
	n.told(1, 1, "n1")
	get := only[*Op](n, "n1")
	n.stepRaw(Envelope{Cluster: 0xd2, From: peerOf("n1"), To: n.self, Body: &Reply{Group: 1, Req: get.Req, Status: StatusNotFound}})
	n.stepRaw(Envelope{Cluster: 0xd2, From: peerOf("m"), To: n.self, Body: &LookupReply{Placement: PlacementKey, Req: 1, Status: StatusNotFound}})
	require.Empty(t, sent[*Result](n, ""))
	require.Len(t, n.happened(EventRefused), 4)
	n.answered(get, StatusNotFound)
	require.Equal(t, StatusNotFound, only[*Result](n, "").Status)
}

// Another cluster's manager at the manager's address answers nothing; the calls
// that wait for the manager end as they would, and say why.
func TestAnotherManagerAtTheManagersAddress(t *testing.T) {
	for reason, displaced := range map[Refusal]bool{RefusedOtherNode: true, RefusedOtherCluster: true, RefusedMode: false} {
		t.Run(reason.String(), func(t *testing.T) {
			n := knowing(t)
			refuse := func(wanted NodeID) {
				n.stepRaw(Envelope{Cluster: rigCluster, From: Peer{ID: 0x201, Addr: "m"}, To: n.self, Body: &Refused{Reason: reason, Wanted: wanted, What: KindLookup}})
			}
			refuse(peerOf("n1").ID) // says nothing of the manager
			n.ask(7, OpGet, "unknown")
			n.tick(3 * time.Second)
			require.False(t, only[*Result](n, "").Displaced)

			n.ask(8, OpGet, "unknown")
			refuse(peerOf("m").ID)
			require.Empty(t, sent[*Result](n, ""), "the manager may come back")
			n.tick(3 * time.Second)
			r := only[*Result](n, "")
			require.Equal(t, StatusUnavailable, r.Status)
			require.Equal(t, displaced, r.Displaced)

			n.ask(9, OpGet, "unknown")
			n.step("m", &LookupReply{Placement: PlacementKey, Req: 9, Status: StatusNotFound}) // it is back
			require.False(t, only[*Result](n, "").Displaced)
			n.ask(10, OpGet, "unknown")
			n.tick(3 * time.Second)
			require.False(t, only[*Result](n, "").Displaced)
		})
	}
}

// A primary ends with many calls under way. The client reports it once, and asks once for
// the group's next config, which sends all calls on.
func TestABrokenConnectionIsReportedOnceForAllCalls(t *testing.T) {
	n := knowing(t)
	for id := uint64(2); id < 102; id++ {
		n.ask(id, OpGet, "a")
	}
	n.mail = nil
	n.step("", &PeerDown{Peer: peerOf("n1")})
	require.Len(t, sent[*Suspect](n, "m"), 1)
	n.told(only[*Lookup](n, "m").Req, 2, "n2")
	require.Len(t, sent[*Op](n, "n2"), 100)
}

// Whatever comes in whatever order, each call has one result.
func TestEveryCallHasOneResult(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		n := newClientAt(t, "c1", func(o *ClientOptions) { o.Seed = seed })
		results := map[uint64]int{}
		for step := range 300 {
			id := uint64(1 + step/20)
			if step%20 == 0 {
				n.ask(id, OpKind(1+random.IntN(4)), "a")
				results[id]--
			}
			id -= uint64(random.IntN(2)) // some are late
			switch random.IntN(8) {
			case 0, 1:
				n.tick(time.Duration(random.IntN(100)) * time.Millisecond)
			case 2, 3:
				e := Epoch(1 + random.IntN(5))
				n.step("m", &LookupReply{Placement: PlacementKey, Req: id, Status: Status(1 + random.IntN(int(statusEnd)-1)), Config: config(e, fmt.Sprint("n", e))})
			case 4:
				n.step("c1", &PeerDown{Peer: peerOf(fmt.Sprint("n", 1+random.IntN(5)))})
			default:
				from := fmt.Sprint("n", 1+random.IntN(5))
				n.step(from, &Reply{Group: 1, Req: id<<1 | uint64(random.IntN(2)), Status: Status(1 + random.IntN(int(statusEnd)-1)), Version: Seq(random.IntN(9))})
			}
			for _, r := range sent[*Result](n, "") {
				results[r.ID]++
			}
		}
		n.tick(5 * time.Second)
		for _, r := range sent[*Result](n, "") {
			results[r.ID]++
		}
		require.Len(t, results, 15)
		for id, count := range results {
			require.Zero(t, count, "seed %d, call %d", seed, id)
		}
		require.Zero(t, n.node.(*Client).Calls(), "seed %d", seed)
		require.Equal(t, Never, n.node.Deadline(), "seed %d", seed)
	}
}

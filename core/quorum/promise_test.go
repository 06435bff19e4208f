package quorum

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/core/wire"
)

// founder is one of three empty managers, to which a test says what it likes.
type founder struct {
	t *testing.T
	*Manager
	at core.Time
}

func newFounder(t *testing.T, self core.Peer) *founder {
	m, err := NewManager(core.ManagerOptions{Self: self, Cluster: 0xc1, Durable: true}, []string{"m1", "m2", "m3"}, Options{}, core.Empty{})
	require.NoError(t, err)
	return &founder{t, m, core.Time(time.Second)}
}

// restarts is the next process, over what is durable by now.
func (f *founder) restarts(self core.Peer, records map[string]string) *founder {
	c := &chair{records: records}
	m, err := NewManager(core.ManagerOptions{Self: self, Cluster: 0xc7, Durable: true}, []string{"m1", "m2", "m3"}, Options{}, c)
	require.NoError(f.t, err)
	return &founder{f.t, m, f.at}
}

// hears gives it a word of another one, and returns what it asks and answers.
func (f *founder) hears(from core.Peer, word coded) (asks []ask, says []say, halt error) {
	f.t.Helper()
	var out core.Output
	f.Step(f.at, core.Envelope{From: from, To: f.Self(), Body: &core.Quorum{Text: textOf(word)}}, &out)
	for len(out.After) > 0 {
		after := out.After
		out.After = nil
		for _, e := range after {
			if e.To.ID == f.Self().ID {
				f.Step(f.at, e, &out)
			} else {
				out.Send = append(out.Send, e)
			}
		}
	}
	asks, says = f.words(&out)
	return asks, says, out.Halt
}

func (f *founder) words(out *core.Output) (asks []ask, says []say) {
	f.t.Helper()
	for _, e := range out.Send {
		text := e.Body.(*core.Quorum).Text
		c := wire.NewDecoder([]byte(text))
		if text[0] == tagAsk {
			asks = append(asks, ask{})
			asks[len(asks)-1].code(&c)
		} else {
			says = append(says, say{})
			says[len(says)-1].code(&c)
		}
		require.NoError(f.t, c.End())
	}
	return asks, says
}

// An answer to an earlier round counts for nothing: who gave it may have lost its data since, or
// may have promised itself to somebody else.
func TestALateAnswerFoundsNothing(t *testing.T) {
	f := newFounder(t, core.Peer{ID: 1, Addr: "m1"})
	others := []core.Peer{{ID: 2, Addr: "m2"}, {ID: 3, Addr: "m3"}}
	var out core.Output
	f.Tick(f.at, &out)
	asks, _ := f.words(&out)
	require.Len(t, asks, 2)
	list := []string{"m1", "m2", "m3"}
	empty := func(round uint64) *say {
		return &say{round: round, state: stateEmpty, durable: true, managers: list, verdict: verdictNone}
	}
	first := asks[0].round
	_, _, _ = f.hears(others[0], empty(first))
	out.Reset()
	f.at = f.at.After(time.Second)
	f.Tick(f.at, &out)
	asks, _ = f.words(&out)
	require.Equal(t, first+questionsMax, asks[0].round)
	for _, p := range others {
		asks, _, _ = f.hears(p, empty(first))
		require.Empty(t, asks, "that was an earlier round")
	}
	_, _, _ = f.hears(others[0], empty(first+questionsMax))
	asks, _, _ = f.hears(others[1], empty(first+questionsMax))
	require.Len(t, asks, 2)
	require.EqualValues(t, 0xc1, asks[0].founding, "all are empty in one round")

	promised := func(round uint64) *say {
		return &say{round: round, state: statePromised, cluster: 0xc1, durable: true, managers: list, verdict: verdictNone}
	}
	for _, p := range others {
		_, _, _ = f.hears(p, promised(first+questionsMax))
		require.Nil(t, f.inner)
	}
	for _, p := range others {
		_, _, _ = f.hears(p, promised(asks[0].round))
	}
	require.NotNil(t, f.inner, "all have promised in one round")
}

// One that asks for founders hears in that round, from somebody who was started anew meanwhile, of a
// cluster, and asks that to take it in. Then the word of the former comes, late: it founds nothing, by the
// id that it has given to the other cluster.
func TestWhoHasAskedToBeTakenInFoundsNothing(t *testing.T) {
	f := newFounder(t, core.Peer{ID: 1, Addr: "m1"})
	list := []string{"m1", "m2", "m3"}
	var out core.Output
	f.Tick(f.at, &out)
	asks, _ := f.words(&out)
	says := func(id core.NodeID, addr string, s state, c core.ClusterID) {
		var next []ask
		var out core.Output
		f.Step(f.at, core.Envelope{From: core.Peer{ID: id, Addr: addr}, To: f.Self(), Body: &core.Quorum{Text: textOf(&say{round: asks[0].round, state: s, cluster: c, durable: true, managers: list, verdict: verdictNone})}}, &out)
		if f.promise == 0 {
			next, _ = f.words(&out)
		}
		if len(next) > 0 {
			asks = next
		}
	}
	says(2, "m2", stateEmpty, 0)
	says(3, "m3", stateEmpty, 0)
	require.EqualValues(t, 0xc1, asks[0].founding)
	says(3, "m3", statePromised, 0xc1)
	says(9, "m2", stateMember, 0xc9)
	require.EqualValues(t, 0xc9, f.promise, "it has asked to be taken in")
	says(2, "m2", statePromised, 0xc1)
	require.Nil(t, f.inner)
}

// Two that answer with one id cannot both be founders. The first of the list begins anew, and so do
// they when it asks them again.
func TestTwoFoundersOfOneIDBeginAnew(t *testing.T) {
	f := newFounder(t, core.Peer{ID: 1, Addr: "m1"})
	list := []string{"m1", "m2", "m3"}
	var out core.Output
	f.Tick(f.at, &out)
	asks, _ := f.words(&out)
	var halt error
	for range 2 {
		s := say{round: asks[0].round, state: stateEmpty, durable: true, managers: list, verdict: verdictNone}
		if asks[0].founding != 0 {
			s.state, s.cluster = statePromised, asks[0].founding
		}
		_, _, halt = f.hears(core.Peer{ID: 2, Addr: "m2"}, &s)
		require.NoError(t, halt)
		asks, _, halt = f.hears(core.Peer{ID: 2, Addr: "m3"}, &s)
	}
	require.ErrorIs(t, halt, ErrAnew)
	require.Nil(t, f.inner)
}

// A manager promises itself to one founder. Another one may be counting on the same id, and gets no
// promise before the first has not asked for some time; and then under another id.
func TestAPromiseIsToOneFounder(t *testing.T) {
	f := newFounder(t, core.Peer{ID: 2, Addr: "m2"})
	list := []string{"m1", "m2", "m3"}
	asks := func(id core.NodeID, cluster core.ClusterID) (say, error) {
		_, says, halt := f.hears(core.Peer{ID: id, Addr: "m1"}, &ask{round: 5, address: "m1", founding: cluster, durable: true, managers: list})
		if halt != nil {
			return say{}, halt
		}
		require.Len(t, says, 1)
		return says[0], nil
	}
	s, err := asks(1, 0xc1)
	require.NoError(t, err)
	require.Equal(t, statePromised, s.state)
	require.EqualValues(t, 0xc1, s.cluster)
	for range 3 {
		s, err = asks(9, 0xc9) // the next start of the first
		require.NoError(t, err)
		require.EqualValues(t, 0xc1, s.cluster, "it is another's")
		f.at = f.at.After(promiseTime / 4)
	}
	s, err = asks(1, 0xc1)
	require.NoError(t, err)
	require.EqualValues(t, 0xc1, s.cluster)
	f.at = f.at.After(promiseTime)
	_, err = asks(9, 0xc9)
	require.ErrorIs(t, err, ErrAnew, "it can be a founder of that under another id")
}

// What a founder has promised is durable before it is said, and a crash does not end it: the
// cluster goes on to count on that id.
func TestAPromiseOutlivesACrash(t *testing.T) {
	f := newFounder(t, core.Peer{ID: 2, Addr: "m2"})
	list, first := []string{"m1", "m2", "m3"}, core.Peer{ID: 1, Addr: "m1"}
	asks := &ask{round: 5, address: "m1", founding: 0xc1, durable: true, managers: list}
	var out core.Output
	f.Step(f.at, core.Envelope{From: first, To: f.Self(), Body: &core.Quorum{Text: textOf(asks)}}, &out)
	_, says := f.words(&core.Output{Send: out.Send})
	require.Empty(t, says, "a promise that is not durable yet")
	_, says = f.words(&core.Output{Send: out.After})
	require.Len(t, says, 1)
	require.Equal(t, statePromised, says[0].state)

	records := map[string]string{}
	(&seat{space: records}).write(out.Persist)
	again := f.restarts(core.Peer{ID: 7, Addr: "m2"}, records)
	require.EqualValues(t, 2, again.Self().ID, "by this id it is counted on")
	_, says, _ = again.hears(first, &ask{round: 6, address: "m1", durable: true, managers: list})
	require.Equal(t, statePromised, says[0].state)
	require.EqualValues(t, 0xc1, says[0].cluster)
	_, says, _ = again.hears(core.Peer{ID: 9, Addr: "m1"}, &ask{round: 1, address: "m1", founding: 0xc9, durable: true, managers: list})
	require.EqualValues(t, 0xc1, says[0].cluster, "the first founder may have founded it meanwhile")

	// Once the first founder has not come back for long, it begins anew: not before what it
	// has promised is deleted.
	again.at = again.at.After(promiseTime)
	out.Reset()
	again.Step(again.at, core.Envelope{From: core.Peer{ID: 9, Addr: "m1"}, To: again.Self(), Body: &core.Quorum{Text: textOf(&ask{round: 2, address: "m1", founding: 0xc9, durable: true, managers: list})}}, &out)
	require.NoError(t, out.Halt)
	require.Empty(t, out.Send)
	(&seat{space: records}).write(out.Persist)
	require.Len(t, out.After, 1)
	again.Step(again.at, out.After[0], &out)
	require.ErrorIs(t, out.Halt, ErrAnew)
	anew := again.restarts(core.Peer{ID: 8, Addr: "m2"}, records)
	require.EqualValues(t, 8, anew.Self().ID)
	require.Equal(t, stateEmpty, anew.state())
}

// One that asked to be taken in crashes, is taken in, and is removed again by an operator before
// it comes back: it begins anew, since nobody counts on that id any more, nor ever will.
func TestOneThatWasRemovedBeforeItHeardBeginsAnew(t *testing.T) {
	f := newFounder(t, core.Peer{ID: 2, Addr: "m2"})
	var out core.Output
	f.Tick(f.at, &out)
	asks, _ := f.words(&out)
	member := &say{round: asks[0].round, state: stateMember, cluster: 0xc1, durable: true, managers: []string{"m1", "m2", "m3"}, verdict: verdictNone}
	out.Reset()
	from := core.Peer{ID: 1, Addr: "m1"}
	f.Step(f.at, core.Envelope{From: from, To: f.Self(), Body: &core.Quorum{Text: textOf(member)}}, &out)
	require.Empty(t, out.Send, "it asks for that once its id is durable")
	require.IsType(t, &core.Enlist{}, out.After[0].Body)
	member.verdict = verdictRemoved
	_, _, halt := f.hears(from, member)
	require.ErrorIs(t, halt, ErrAnew)
}

// A client or node that asks a manager which is of no cluster is told at once that this one does not
// lead, under whatever cluster it asked: so it is bound to none by the answer.
func TestAnEmptyManagerSendsElsewhere(t *testing.T) {
	f := newFounder(t, core.Peer{ID: 2, Addr: "m2"})
	for cluster, asked := range map[core.ClusterID]core.Message{0: &core.Lookup{Req: 5, Key: "a"}, 0xc1: &core.Lookup{Req: 5, Key: "a"}, 0xc2: &core.StatusQuery{Req: 5}} {
		var out core.Output
		client := core.Peer{ID: 77, Addr: "c1"}
		f.Step(f.at, core.Envelope{Cluster: cluster, From: client, To: core.Peer{Addr: "m2"}, Body: asked}, &out)
		require.Equal(t, []core.Envelope{{Cluster: cluster, From: f.Self(), To: client, Body: &core.NotLeader{Req: 5}}}, out.Send)
	}
	var out core.Output
	f.Step(f.at, core.Envelope{From: core.Peer{ID: 5, Addr: "n1"}, To: f.Self(), Body: &core.Pong{}}, &out)
	require.Empty(t, out.Send, "that was no question")
}

// How far the others are is what the first answer of a round took, since the question that it is
// to. A stall is believed no more than twice what was known.
func TestHowFarOthersAre(t *testing.T) {
	const ms = time.Millisecond
	f, err := newFounding([]string{"m1", "m2", "m3"}, "m1", true)
	require.NoError(t, err)
	now := core.Time(time.Second)
	answers := func(address string, nth int, took time.Duration) {
		f.take(now.After(took), core.Peer{ID: 7, Addr: address}, &say{round: f.round + uint64(nth)})
	}
	f.begin(now, 0)
	answers("m2", 0, 3*ms)
	answers("m2", 0, 90*ms) // once more
	require.Equal(t, 3*ms, f.trip)
	require.EqualValues(t, f.round+1, f.again(now.After(190*ms), "m3").round)
	answers("m3", 1, 200*ms)
	require.Equal(t, 10*ms, f.trip)
	f.begin(now, 0)
	answers("m2", 0, 50*ms)
	answers("m3", 0, 5*ms)
	require.Equal(t, 6*ms, f.trip)
	f.begin(now, 0)
	answers("m2", 0, ms)
	for range 3 * questionsMax {
		f.again(now.After(ms), "m3")
	}
	answers("m3", questionsMax-1, 3*ms)
	require.Equal(t, 2*ms, f.trip)

	// An answer to a question that was not put tells nothing.
	f, err = newFounding([]string{"m1", "m2", "m3"}, "m1", true)
	require.NoError(t, err)
	f.begin(now, 0)
	answers("m2", questionsMax-1, ms)
	require.Zero(t, f.trip)
}

// Whoever is asked may answer from anywhere, again and again: what is kept of that has a bound, and
// what the others have said stays.
func TestWhatIsKeptOfAnswersHasABound(t *testing.T) {
	f, err := newFounding([]string{"m1", "m2", "m3"}, "m1", true)
	require.NoError(t, err)
	now := core.Time(time.Second)
	for i := range 10 * saidPlacesMax {
		now = now.After(time.Millisecond)
		f.note(now, core.Peer{ID: 7, Addr: fmt.Sprint("elsewhere", i)}, &say{state: stateEmpty})
		if i%saidPlacesMax == 0 {
			f.note(now, core.Peer{ID: 8, Addr: "m2"}, &say{state: stateEmpty})
		}
	}
	require.Len(t, f.said, saidPlacesMax)
	_, known := f.last(now, "m2")
	require.True(t, known)
}

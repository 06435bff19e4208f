package netrpc

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/core"
	"gtstore/netrpc/internal/transport"
)

// vouching is a vouch whose nodes answer as the test says.
type vouching struct {
	*vouch
	taken chan core.Peer
	at    map[string]transport.Hello // who is at an address; at others nobody ever answers
}

func newVouching() *vouching {
	v := &vouching{taken: make(chan core.Peer, 1), at: make(map[string]transport.Hello)}
	v.vouch = newVouch(func(e *core.Envelope) { v.taken <- e.From }, nil)
	v.ask = func(ctx context.Context, address string) (transport.Hello, error) {
		if h, ok := v.at[address]; ok {
			return h, nil
		}
		<-ctx.Done()
		return transport.Hello{}, errors.New("nobody answers")
	}
	return v
}

func (v *vouching) register(p core.Peer) bool {
	return v.withhold(&core.Envelope{From: p, Body: &core.Register{Boot: 1}})
}

func (v *vouching) asking() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.asked)
}

func TestANodeIsRegisteredWhereItAnswers(t *testing.T) {
	v := newVouching()
	node := core.Peer{ID: 5, Addr: "a:1"}
	v.at["a:1"] = transport.Hello{Role: transport.RoleStorage, ID: 5}
	v.at["b:1"] = transport.Hello{Role: transport.RoleStorage, ID: 9}
	v.at["c:1"] = transport.Hello{Role: transport.RoleManager, ID: 5}

	require.False(t, v.withhold(&core.Envelope{From: node, Body: &core.Suspect{}}), "only a Register names an address")
	for _, forged := range []core.Peer{{ID: 5, Addr: "b:1"}, {ID: 5, Addr: "c:1"}} {
		require.True(t, v.register(forged))
		require.Eventually(t, func() bool { return v.asking() == 0 }, patience, time.Millisecond)
		require.True(t, v.register(forged), "it is not believed the second time either")
	}
	require.True(t, v.register(node))
	require.Equal(t, node, <-v.taken)
	require.False(t, v.register(node), "from now on it is taken in at once")
	require.Empty(t, v.taken)
}

// Strangers name thousands of addresses at which nobody answers, and go on with it.
func TestANodeIsRegisteredThoughStrangersNameAddresses(t *testing.T) {
	v := newVouching()
	node := core.Peer{ID: 5, Addr: "a:1"}
	v.at["a:1"] = transport.Hello{Role: transport.RoleStorage, ID: 5}
	n := 0
	stranger := func() {
		n++
		v.register(core.Peer{ID: core.NodeID(100 + n), Addr: fmt.Sprintf("x:%d", n)})
	}
	for range 5000 {
		stranger()
		require.LessOrEqual(t, v.asking(), vouchMax)
	}
	require.Eventually(t, func() bool {
		stranger()
		v.register(node)
		select {
		case p := <-v.taken:
			return p == node
		default:
			return false
		}
	}, patience, time.Millisecond)
}

// A node that is started just then answers too late. It registers again, and is asked again.
func TestANodeThatAnsweredTooLateIsAskedAgain(t *testing.T) {
	v := newVouching()
	node := core.Peer{ID: 5, Addr: "a:1"}
	asked := make(chan bool, 2)
	v.ask = func(ctx context.Context, _ string) (transport.Hello, error) {
		asked <- true
		if len(asked) == 1 {
			v.mu.Lock()
			v.asked[node].cancel() // as the time-out does
			v.mu.Unlock()
			return transport.Hello{}, ctx.Err()
		}
		return transport.Hello{Role: transport.RoleStorage, ID: 5}, nil
	}
	require.True(t, v.register(node))
	require.Eventually(t, func() bool {
		v.register(node)
		return len(v.taken) == 1
	}, patience, time.Millisecond, "it is asked again")
}

package transport

import (
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"gtstore/core"
)

// inUse is how many bytes are in use, garbage aside.
func inUse() int {
	runtime.GC()
	runtime.GC() // pools give up what they hold in two steps
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// answered waits for the response to a request.
func answered(t *testing.T, c net.Conn) {
	t.Helper()
	var head [frameHeadBytes]byte
	_, err := io.ReadFull(c, head[:])
	require.NoError(t, err)
	_, err = io.ReadFull(c, make([]byte, binary.LittleEndian.Uint32(head[:])))
	require.NoError(t, err)
}

// What a connection is charged for is all that it holds: nothing stays of the last message.
func TestAnIdleConnectionHoldsNoMessage(t *testing.T) {
	const conns = 8
	value := strings.Repeat("v", core.ValueBytesMax)
	reply := envelopeOf(core.Peer{ID: 5}, &core.Reply{Group: 1, Status: core.StatusOK, Value: value})
	for name, exchange := range map[string]func(t *testing.T, e *end){
		"that somebody made": func(t *testing.T, e *end) {
			c := dialRaw(t, e.addr, true)
			_, err := c.Write(append(deliverOf(reply), request(methodHello, 2, nil)...)) // nobody asked for it
			require.NoError(t, err)
			answered(t, c)
			answered(t, c)
		},
		"of ours": func(t *testing.T, e *end) {
			client := newEnd(t, 2, nil)
			client.Send([]core.Envelope{envelope(core.Peer{ID: 2}, core.Peer{ID: 1, Addr: e.addr}, 1)})
			e.Send([]core.Envelope{{From: core.Peer{ID: 1}, To: e.received(1)[0].From, Body: reply.Body}})
			client.received(1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnd(t, 1, listen(t, "127.0.0.1:0"))
			exchange(t, e) // what is made once is made
			before := inUse()
			for range conns {
				exchange(t, e)
			}
			e.eventually(func() bool { return inUse()-before < conns*len(value)/4 }, "less than a quarter is left of what each had")
		})
	}
}

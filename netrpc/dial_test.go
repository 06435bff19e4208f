package netrpc

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"gtstore/netrpc/internal/transport"
)

// Each manager is asked a head start after the one before it, or when another one has failed; the
// first that answers well is used, and the others are ended. The clock is the test's own.
func TestTheFirstManagerToAnswer(t *testing.T) {
	type fate struct {
		after time.Duration
		err   error
	}
	const never = time.Hour
	refused := errors.New("connection refused")
	for _, c := range []struct {
		name   string
		fates  []fate
		within time.Duration // of the context
		at     int
		asked  int
		took   time.Duration
		err    string
	}{
		{"the first is well", []fate{{time.Millisecond, nil}, {0, nil}}, never, 0, 1, time.Millisecond, ""},
		{"one stands still", []fate{{never, nil}, {time.Millisecond, nil}, {0, nil}}, time.Second, 1, 2, headStart + time.Millisecond, ""},
		{"two stand still", []fate{{never, nil}, {never, nil}, {time.Millisecond, nil}}, time.Second, 2, 3, 2*headStart + time.Millisecond, ""},
		{"one refuses, one stands still", []fate{{0, refused}, {never, nil}, {0, nil}}, time.Second, 2, 3, headStart, ""},
		{"one refuses while another stands still", []fate{{never, nil}, {time.Millisecond, refused}, {0, nil}}, time.Second, 2, 3, headStart + time.Millisecond, ""},
		{"a slow one is waited for", []fate{{2 * headStart, nil}, {never, nil}}, time.Second, 0, 2, 2 * headStart, ""},
		{"all refuse", []fate{{0, refused}, {0, refused}}, never, 0, 2, 0, "connection refused; connection refused"},
		{"no time for all", []fate{{never, nil}, {never, nil}}, headStart / 2, 0, 1, headStart / 2, "context deadline exceeded; manager b:1: not asked any more"},
		{"no time at all", []fate{{0, nil}, {0, nil}}, 0, 0, 0, 0, "manager a:1: not asked any more; manager b:1: not asked any more"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), c.within)
				defer cancel()
				begin := time.Now()
				var asked, left atomic.Int32
				list := []string{"a:1", "b:1", "c:1"}[:len(c.fates)]
				at, _, err := firstToAnswer(ctx, list, func(ctx context.Context, address string) (transport.Answer, error) {
					f := c.fates[address[0]-'a']
					asked.Add(1)
					defer left.Add(1)
					select {
					case <-time.After(f.after):
						return transport.Answer{Addr: address}, f.err
					case <-ctx.Done():
						return transport.Answer{}, ctx.Err()
					}
				})
				require.Equal(t, c.took, time.Since(begin))
				synctest.Wait()
				require.EqualValues(t, c.asked, asked.Load())
				require.EqualValues(t, c.asked, left.Load(), "all have been ended")
				if c.err != "" {
					require.EqualError(t, err, c.err)
					return
				}
				require.NoError(t, err)
				require.Equal(t, c.at, at)
			})
		})
	}
}

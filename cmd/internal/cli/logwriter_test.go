package cli

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

// stuck is a pipe that nobody reads until it is released.
type stuck struct {
	released chan struct{}
	mu       sync.Mutex
	b        bytes.Buffer
}

func (s *stuck) Write(p []byte) (int, error) {
	<-s.released
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *stuck) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestALogThatNobodyReadsHoldsNobodyUp(t *testing.T) {
	to := &stuck{released: make(chan struct{})}
	w := NewLogWriter(to, nil)
	line := strings.Repeat("x", 1023) + "\n"
	const lines = 5000
	for i := range lines { // would wait for ever in the first of them
		n, err := w.Write([]byte(line))
		require.NoError(t, err)
		require.Equal(t, len(line), n, i)
	}
	w.Flush(time.Millisecond) // nor does the end of the process wait for ever
	close(to.released)
	w.Flush(20 * time.Second)
	written := strings.Count(to.String(), line)
	require.GreaterOrEqual(t, written, logBytesMax/len(line))
	missing := 0
	for _, text := range regexp.MustCompile(`(?m)^(\d+) lines are missing here`).FindAllStringSubmatch(to.String(), -1) {
		n, err := strconv.Atoi(text[1])
		require.NoError(t, err)
		missing += n
	}
	require.Equal(t, lines-written, missing, "none is lost without a word")

	_, err := w.Write([]byte("again\n"))
	require.NoError(t, err)
	w.Flush(20 * time.Second)
	require.True(t, strings.HasSuffix(to.String(), "in time\nagain\n"))
}

func TestWhereLinesAreMissingIsSaid(t *testing.T) {
	to := &stuck{released: make(chan struct{})}
	w := NewLogWriter(to, nil)
	for _, line := range []string{"first\n", strings.Repeat("x", logBytesMax+1), strings.Repeat("y", logBytesMax+1), "last\n"} {
		_, err := w.Write([]byte(line))
		require.NoError(t, err)
	}
	close(to.released)
	w.Flush(20 * time.Second)
	require.Equal(t, "first\n2 lines are missing here: nobody read them in time\nlast\n", to.String())
}

// The last words of a process, too, can be for nobody.
func TestACommandEndsThoughNobodyReadsWhyItFailed(t *testing.T) {
	to := &stuck{released: make(chan struct{})}
	defer close(to.released)
	root := &cobra.Command{Use: "x", RunE: func(*cobra.Command, []string) error { return Failed(errors.New("cause")) }}
	require.Equal(t, ExitError, Execute(context.Background(), root, nil, nil, to, to))
}

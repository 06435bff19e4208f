package cli

import (
	"context"
	"io"
)

// ReadAll reads to the end, but no more than most bytes, and no longer than the context:
// a standard input that does not end would else hold the command up, and its first
// Ctrl-C be of no effect. The error says what was being read, and is of code ExitError.
// The reader goes on in the background when the context ends first, so that nobody else
// may read from it.
func ReadAll(ctx context.Context, what string, open func() (io.ReadCloser, error), most int) ([]byte, error) {
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		r, err := open() // a named pipe waits for its other end
		if err != nil {
			done <- result{nil, err}
			return
		}
		defer r.Close()
		data, err := io.ReadAll(io.LimitReader(r, int64(most)+1))
		done <- result{data, err}
	}()
	select {
	case r := <-done:
		switch {
		case r.err != nil:
			return nil, Errorf(ExitError, "cannot read %s: %w", what, r.err)
		case len(r.data) > most:
			return nil, Errorf(ExitError, "%s has more than %d bytes, which is the most that it may have", what, most)
		}
		return r.data, nil
	case <-ctx.Done():
		return nil, Errorf(ExitError, "%s did not end: gave up reading it, and did nothing (%w)", what, context.Cause(ctx))
	}
}

// Open is the argument of ReadAll for a reader that is open already.
func Open(r io.Reader) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(r), nil }
}

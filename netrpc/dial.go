package netrpc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"gtstore/netrpc/internal/transport"
)

// headStart is how long each manager of a list has to answer before the next one is asked beside
// it. A round trip within a data centre takes much less, so that a manager that is well is mostly
// the only one that is asked; one that stands still, whose system connects in its place, costs no
// more than this.
const headStart = 250 * time.Millisecond

// firstToAnswer asks the managers of a list, each a headStart after the one before it or as soon as
// another one has failed, and returns the place in the list of the first that answers well. The
// attempts that are under way then are ended, and so they are with the context. The error says of
// each manager what became of it.
func firstToAnswer(ctx context.Context, managers []string, ask func(context.Context, string) (transport.Answer, error)) (int, transport.Answer, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		at     int
		answer transport.Answer
		err    error
	}
	results := make(chan result, len(managers)) // so that who is too late goes all the same
	next := time.NewTimer(headStart)
	defer next.Stop()
	failures := make([]string, len(managers))
	for asked, waiting := 0, 0; ; {
		if asked < len(managers) && ctx.Err() == nil {
			at := asked
			go func() {
				answer, err := ask(ctx, managers[at])
				results <- result{at, answer, err}
			}()
			asked, waiting = asked+1, waiting+1
			next.Reset(headStart)
		}
		if waiting == 0 {
			break
		}
		select {
		case r := <-results:
			if r.err == nil {
				return r.at, r.answer, nil
			}
			waiting--
			failures[r.at] = Printable(r.err.Error()) // it may be the words of whoever is there
		case <-next.C:
		}
	}
	for i, f := range failures {
		if f == "" {
			failures[i] = fmt.Sprintf("manager %s: not asked any more", ShownAddress(managers[i]))
		}
	}
	return 0, transport.Answer{}, errors.New(strings.Join(failures, "; "))
}

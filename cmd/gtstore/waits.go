package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"gtstore/core"
	"gtstore/netrpc"
)

const (
	waitFirst = 2 * time.Second // that a command takes before it says for what it waits
	waitAgain = 10 * time.Second
	waitAsk   = time.Second // for the manager's word on it
)

// waits tells a person for what a command waits.
type waits struct {
	mu   sync.Mutex
	what string // if it is not the cluster
	node core.NodeID
}

// on notes that the command waits for something that the status does not tell; "" ends it.
func (w *waits) on(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.what = what
}

// drain notes that the command waits for a node to be drained.
func (w *waits) drain(node core.NodeID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.node = node
}

// tell says on standard error for what the command waits, soon and then now and then,
// until the function that it returns is called.
func (w *waits) tell(ctx context.Context, c *netrpc.Client, stderr io.Writer) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	begin := time.Now()
	go func() {
		defer close(ended)
		for wait := time.Duration(waitFirst); ; wait = waitAgain {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return
			}
			if text := w.text(ctx, c); ctx.Err() == nil {
				fmt.Fprintf(stderr, "gtstore: still waiting after %v: %s\n", time.Since(begin).Round(time.Second), text)
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

func (w *waits) text(ctx context.Context, c *netrpc.Client) string {
	w.mu.Lock()
	what, node := w.what, w.node
	w.mu.Unlock()
	if what != "" {
		return what
	}
	ctx, cancel := context.WithTimeout(ctx, waitAsk)
	defer cancel()
	s, err := statusOf(ctx, c)
	switch {
	case err != nil:
		return err.Error()
	case node != 0:
		return drainText(s, node)
	}
	return waitsFor(s)
}

// waitsFor tells what may keep an operation, by the manager's word.
func waitsFor(s *netrpc.Status) string {
	var ill []string
	if late := lateText(s); late != "" {
		ill = append(ill, late)
	}
	for _, g := range s.Groups {
		if g.State == core.GroupUnavailable || g.State == core.GroupLost {
			ill = append(ill, fmt.Sprintf("group %d is %v", g.Group, g.State))
		}
	}
	if len(ill) == 0 {
		return "the manager answers, and every group is available"
	}
	const most = 5
	if more := len(ill) - most; more > 0 {
		ill = append(ill[:most], fmt.Sprintf("%d more", more))
	}
	return strings.Join(ill, ", ")
}

// drainText tells how far a drain is.
func drainText(s *netrpc.Status, node core.NodeID) string {
	group := core.GroupID(0)
	for i := range s.Nodes {
		if s.Nodes[i].ID == node {
			group = s.Nodes[i].Group
		}
	}
	for i := range s.Groups {
		if g := &s.Groups[i]; g.Group == group && g.Join != nil {
			return fmt.Sprintf("%s joins group %d: %s", nameOf(s, g.Join.Node), group, newStatusJoin(g.Join).text())
		}
	}
	return fmt.Sprintf("no spare joins group %d yet", group)
}

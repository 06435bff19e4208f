package cli

import (
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// logBytesMax bounds the lines that wait for whoever reads the log.
	logBytesMax = 1 << 20

	// FlushTime bounds how long a process that ends waits for its last words to be read.
	FlushTime = 2 * time.Second
)

// LogWriter writes lines, each a Write of its own, without ever waiting for whoever reads
// them: a pipe that nobody reads must not stop a node. A goroutine writes. Lines beyond
// logBytesMax are lost and counted, and how many is said where they are missing.
type LogWriter struct {
	to      io.Writer
	dropped func(lines int) []byte // the line that says so

	mu      sync.Mutex
	lines   [][]byte
	bytes   int
	lost    int           // lines since the last in lines
	allLost uint64        // so far
	wake    chan struct{} // holds a token when there may be something to write
	writing bool
	idle    chan struct{} // closed when all is written; nil while nobody waits for that
}

// NewLogWriter returns a LogWriter. Its goroutine ends with the process. dropped words
// the line that tells how many were lost; nil stands for plain text.
func NewLogWriter(to io.Writer, dropped func(lines int) []byte) *LogWriter {
	if dropped == nil {
		dropped = func(lines int) []byte {
			return fmt.Appendf(nil, "%d lines are missing here: nobody read them in time\n", lines)
		}
	}
	w := &LogWriter{to: to, dropped: dropped, wake: make(chan struct{}, 1)}
	go w.run()
	return w
}

// Write takes a line, or counts it as lost. It never fails and never waits.
func (w *LogWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.bytes+len(line) > logBytesMax {
		w.lost++
		w.allLost++
		return len(line), nil
	}
	w.sayLost()
	w.add(append([]byte(nil), line...))
	return len(line), nil
}

// Lost is how many lines were lost so far.
func (w *LogWriter) Lost() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.allLost
}

// sayLost puts the line about lost ones where they would stand.
func (w *LogWriter) sayLost() {
	if w.lost > 0 {
		w.add(w.dropped(w.lost))
		w.lost = 0
	}
}

func (w *LogWriter) add(line []byte) {
	w.lines = append(w.lines, line)
	w.bytes += len(line)
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *LogWriter) run() {
	for range w.wake {
		for line := w.next(); line != nil; line = w.next() {
			_, _ = w.to.Write(line) // a log that fails has nowhere to say so
		}
	}
}

// next returns the line to be written, or nil when all is.
func (w *LogWriter) next() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.lines) == 0 {
		w.sayLost()
	}
	if w.writing = len(w.lines) > 0; !w.writing {
		w.lines = nil
		if w.idle != nil {
			close(w.idle)
			w.idle = nil
		}
		return nil
	}
	line := w.lines[0]
	w.lines = w.lines[1:]
	w.bytes -= len(line)
	return line
}

// Flush waits until all is written, but no longer than the time-out.
func (w *LogWriter) Flush(timeout time.Duration) {
	w.mu.Lock()
	if !w.writing && len(w.lines) == 0 {
		w.mu.Unlock()
		return
	}
	if w.idle == nil {
		w.idle = make(chan struct{})
	}
	idle := w.idle
	w.mu.Unlock()
	select {
	case <-idle:
	case <-time.After(timeout):
	}
}

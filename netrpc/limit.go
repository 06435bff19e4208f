package netrpc

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Bounds of a log. A group that is frozen would else say the same six times a second,
// for days, and a stranger could fill the disk.
const (
	repeatMin = 10 * time.Second // after a line, before its repetitions are told; doubles
	repeatMax = 5 * time.Minute  // up to this
	linesMax  = 1024             // different lines that are remembered
	burstMax  = 1000             // lines at once
	linesRate = 10               // and lines a second after that

	sweepInterval = time.Second // between two looks at what is to be told
)

// limiter is a slog.Handler that says a thing once, and then now and then how often
// it was said meanwhile. Two lines are the same when message, level and sameAttrs are.
// Beyond burstMax it leaves lines out, and tells how many. An error is never left out.
type limiter struct {
	to    slog.Handler
	state *limiterState
}

// sameAttrs tell apart what a line is about; others, such as a count, only what it says.
var sameAttrs = map[string]bool{"group": true, "epoch": true, "other": true, "to": true, "peer": true, "why": true}

type limiterState struct {
	to      slog.Handler // of what it says itself
	mu      sync.Mutex
	said    map[string]*saying // by keyOf
	room    float64            // for lines
	roomAt  time.Time
	leftOut int
	sweepAt time.Time   // when it is next looked whether something is to be told
	tellAt  time.Time   // when it may be told again that lines were left out
	timer   *time.Timer // does so, while something waits, when nothing else is logged
}

// saying is a line that was said not long ago.
type saying struct {
	to    slog.Handler
	last  slog.Record // since then
	times int         // not told
	since time.Time   // when it was last said
	wait  time.Duration
}

func newLimiter(to slog.Handler) *limiter {
	return &limiter{to, &limiterState{to: to, said: make(map[string]*saying), room: burstMax}}
}

// Enabled implements slog.Handler, as do Handle, WithAttrs and WithGroup.
func (l *limiter) Enabled(ctx context.Context, level slog.Level) bool {
	return l.to.Enabled(ctx, level)
}

// Handle says the line, or counts it.
func (l *limiter) Handle(ctx context.Context, r slog.Record) error {
	s := l.state
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tell(r.Time)
	key := keyOf(&r)
	if known := s.said[key]; known != nil {
		known.last, known.times = r.Clone(), known.times+1
		s.arm()
		return nil
	}
	if len(s.said) < linesMax {
		s.said[key] = &saying{to: l.to, since: r.Time, wait: repeatMin}
	}
	if !s.take(r.Time) && r.Level < slog.LevelError {
		s.leftOut++
		s.arm()
		return nil
	}
	return l.to.Handle(ctx, r)
}

// WithAttrs keeps the bounds for all loggers together.
func (l *limiter) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &limiter{l.to.WithAttrs(attrs), l.state}
}

// WithGroup keeps the bounds for all loggers together.
func (l *limiter) WithGroup(name string) slog.Handler {
	return &limiter{l.to.WithGroup(name), l.state}
}

func keyOf(r *slog.Record) string {
	var b strings.Builder
	b.WriteString(r.Level.String())
	b.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		if sameAttrs[a.Key] {
			b.WriteByte(0)
			b.WriteString(a.Key)
			b.WriteByte(0)
			b.WriteString(a.Value.String())
		}
		return true
	})
	return b.String()
}

// take uses up room for a line.
func (s *limiterState) take(now time.Time) bool {
	if d := now.Sub(s.roomAt); d > 0 {
		s.room, s.roomAt = min(burstMax, s.room+linesRate*min(d, time.Hour).Seconds()), now
	}
	if s.room < 1 {
		return false
	}
	s.room--
	return true
}

// tell says how often lines were repeated, and how many were left out, and forgets the
// lines that were not repeated. It needs no room, so that a flood cannot keep it from
// being said, and has a bound of its own.
func (s *limiterState) tell(now time.Time) {
	if now.Before(s.sweepAt) {
		return
	}
	s.sweepAt = now.Add(sweepInterval)
	told := 0
	for key, line := range s.said {
		age := now.Sub(line.since)
		switch {
		case age < line.wait:
		case line.times == 0:
			delete(s.said, key)
		case told < linesRate:
			told++
			r := line.last
			r.AddAttrs(slog.Int("repeated", line.times), slog.Duration("within", age.Round(time.Second)))
			_ = line.to.Handle(context.Background(), r) // a log that fails has nowhere to say so
			line.last, line.times, line.since, line.wait = slog.Record{}, 0, now, min(2*line.wait, repeatMax)
		}
	}
	if s.leftOut > 0 && !now.Before(s.tellAt) {
		s.tellAt = now.Add(repeatMin)
		r := slog.NewRecord(now, slog.LevelWarn, "left lines out of this log: too many at once", 0)
		r.AddAttrs(slog.Int("lines", s.leftOut))
		_ = s.to.Handle(context.Background(), r)
		s.leftOut = 0
	}
}

// arm has tell called soon.
func (s *limiterState) arm() {
	if s.timer == nil {
		s.timer = time.AfterFunc(repeatMin, s.onTimer)
	}
}

func (s *limiterState) onTimer() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = nil
	s.tell(time.Now())
	for _, line := range s.said {
		if line.times > 0 {
			s.arm()
			return
		}
	}
	if s.leftOut > 0 {
		s.arm()
	}
}

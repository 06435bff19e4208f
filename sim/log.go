package sim

import (
	"fmt"
	"strings"
	"time"

	"gtstore/core"
	"gtstore/sim/history"
	"gtstore/sim/schedule"
)

// LogKind says what a LogRecord tells.
type LogKind uint8

const (
	LogSent      LogKind = iota + 1 // Env left From for To
	LogDelivered                    // Env is taken in at To
	LogLost                         // Env does not arrive; Text says why
	LogTicked                       // To was ticked
	LogCalled                       // Op begins at To
	LogReturned                     // Op has its result
	LogChanged                      // Text happened to To
	LogAction                       // Action, one of the schedule's; Text is its line
	LogSynced                       // To's disk has made durable what was being written
	LogHealed                       // the faults end now
)

var logKindNames = [...]string{
	LogSent: "send", LogDelivered: "take", LogLost: "lose", LogTicked: "tick", LogCalled: "call", LogReturned: "return",
	LogChanged: "host", LogAction: "action",
	LogSynced: "sync", LogHealed: "heal",
}

// LogRecord is one thing that happened in a run, for a person or a viewer.
type LogRecord struct {
	At       time.Duration // virtual time
	What     LogKind
	Event    int    // with LogDelivered and LogTicked: which event it is, from 1
	From, To string // hosts
	Number   uint64 // of a message, in the order of sending; 0 for one that crosses no network
	Env      *core.Envelope
	Op       *history.Operation
	Action   *schedule.Action
	Text     string
}

// String is one line. It does not depend on the run's memory, so that the logs
// of two runs can be compared.
func (r *LogRecord) String() string {
	text := fmt.Sprintf("%-12v %-6s", r.At, logKindNames[r.What])
	switch {
	case r.Env != nil:
		k := core.KindOf(r.Env.Body)
		text += fmt.Sprintf(" %s>%s %v", r.From, r.To, k)
		if r.Number > 0 {
			text += fmt.Sprintf(" [%d]", r.Number)
		}
		text += " " + withoutPadding(fmt.Sprintf("%+v", r.Env.Body))
	case r.Op != nil:
		text += " " + r.Op.String()
		if r.Op.Result != nil {
			text += fmt.Sprintf(": %+v", *r.Op.Result)
		}
	default:
		text += " " + r.To
	}
	if r.Text != "" {
		text += " (" + r.Text + ")"
	}
	return text
}

// withoutPadding leaves out all but the first of what large values are padded with.
func withoutPadding(text string) string {
	const run = schedule.Padding + schedule.Padding
	if !strings.Contains(text, run) {
		return text
	}
	var b strings.Builder
	for i := range len(text) {
		if i == 0 || text[i] != schedule.Padding[0] || text[i-1] != schedule.Padding[0] {
			b.WriteByte(text[i])
		}
	}
	return b.String()
}

func (w *World) logMessage(what LogKind, from, to *Host, number uint64, e *core.Envelope, text string) {
	r := LogRecord{At: time.Duration(w.now), What: what, From: from.name, To: to.name, Number: number, Env: e, Text: text}
	if what == LogDelivered || what == LogTicked {
		r.Event = w.events
	}
	w.log(&r)
}

func (w *World) logLost(from, to *Host, number uint64, e *core.Envelope, why string) {
	if w.log != nil {
		w.logMessage(LogLost, from, to, number, e, why)
	}
}

func (w *World) logOperation(what LogKind, h *Host, op *history.Operation) {
	w.log(&LogRecord{At: time.Duration(w.now), What: what, To: h.name, Op: op})
}

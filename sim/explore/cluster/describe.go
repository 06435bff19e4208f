package cluster

import (
	"fmt"
	"strings"
	"time"

	"gtstore/core"
	"gtstore/core/quorum"
)

// describe says in a few words what a message says.
func describe(m *message) string {
	from := m.envelope.From.Addr
	text := fmt.Sprintf("%v from %s", core.KindOf(m.envelope.Body), from)
	switch b := m.envelope.Body.(type) {
	case *core.Config:
		return text + ": " + configText(b)
	case *core.Replicate:
		text += fmt.Sprintf(": epoch %d, round %d, after %s", b.Epoch, b.Round, idText(b.Prev))
		for i := range b.Entries {
			e := &b.Entries[i]
			text += fmt.Sprintf(", %d/%d %v %s", e.Epoch, int(b.Prev.Seq)+i+1, e.Kind, e.Key)
			if e.Value != "" {
				text += "=" + e.Value
			}
		}
		text += fmt.Sprintf(", committed %d", b.Commit)
		if b.Config != nil {
			text += ", with its config"
		}
		return text
	case *core.Ack:
		return text + fmt.Sprintf(": epoch %d, round %d, holds up to %d", b.Epoch, b.Round, b.Matched)
	case *core.Nack:
		if b.Config != nil {
			return text + ": " + configText(b.Config)
		}
		return text + fmt.Sprintf(": epoch %d, round %d, try after %d", b.Epoch, b.Round, b.Last)
	case *core.Chunk:
		text += fmt.Sprintf(": epoch %d, join %d, tenure %d, attempt %d, chunk %d, %d keys", b.Epoch, b.Start, b.Tenure, b.Attempt, b.Number, len(b.Items))
		if b.Last {
			text += ", the last, of " + idText(b.At)
		}
		return text
	case *core.ChunkAck:
		text += fmt.Sprintf(": epoch %d, join %d, tenure %d, attempt %d, next %d", b.Epoch, b.Start, b.Tenure, b.Attempt, b.Next)
		if b.Refused {
			text += ", refused"
		}
		if b.Held.Seq > 0 {
			text += ", holds " + idText(b.Held)
		}
		return text
	case *core.CaughtUp:
		return text + fmt.Sprintf(": epoch %d, join %d, %s", b.Epoch, b.Start, hostName(int(b.Node)-1))
	case *core.Quorum:
		return fmt.Sprintf("%s's %s", from, quorum.TextOf(b.Text))
	case *core.Register:
		return text + fmt.Sprintf(": boot %d", b.Boot)
	}
	return text + fmt.Sprintf(": %+v", m.envelope.Body)
}

func idText(id core.EntryID) string { return fmt.Sprintf("%d/%d", id.Epoch, id.Seq) }

func configText(c *core.Config) string {
	names := make([]string, len(c.Chain))
	for i, p := range c.Chain {
		names[i] = p.Addr
	}
	text := fmt.Sprintf("epoch %d, %s", c.Epoch, strings.Join(names, " > "))
	if c.Joining.ID != 0 {
		text += ", joining " + c.Joining.Addr
	}
	return text
}

// label says what a step is. Its text is made only where it is wanted.
type label struct {
	what          labelKind
	host          int
	message       *message
	op            *op
	due           time.Duration
	keep, pending int
	order         string
	lost          bool // the answer is
	several       bool // the hosts are managers
}

type labelKind uint8

const (
	labelTakes labelKind = iota
	labelTakesAgain
	labelManager
	labelAsks
	labelSynced
	labelTimer
	labelCrashes
	labelStarts
	labelOrders
	labelChief
	labelRefused
	labelVoid
	labelStops
	labelWiped
	labelPut
)

func (l label) String() string {
	text := l.text()
	if l.lost {
		text += ", and its answer is lost"
	}
	return text
}

func (l label) text() string {
	name := hostName(l.host)
	if l.several {
		name = seatName(l.host)
	}
	switch l.what {
	case labelWiped:
		return name + " ends, and its disk is lost"
	case labelPut:
		return name + " is asked to " + l.order
	case labelTakes:
		return name + " takes in " + describe(l.message)
	case labelTakesAgain:
		return name + " takes in, and not for the last time, " + describe(l.message)
	case labelManager:
		return "the manager takes in " + describe(l.message)
	case labelAsks:
		return name + " takes in " + l.op.String()
	case labelSynced:
		return name + "'s disk has made its oldest batch durable"
	case labelTimer:
		return name + "'s timer goes off after " + l.due.String()
	case labelCrashes:
		if l.pending == 0 {
			return name + " crashes"
		}
		return fmt.Sprintf("%s crashes, and of %d batches that were not durable its disk keeps %d", name, l.pending, l.keep)
	case labelStarts:
		return name + " starts"
	case labelRefused:
		return l.message.envelope.From.Addr + " notices that " + name + " refuses " + describe(l.message)
	case labelStops:
		return name + " is to stop"
	case labelVoid:
		return l.order + " " + describe(l.message)
	}
	if l.what == labelChief {
		return "the manager " + l.order
	}
	return "the manager " + l.order + " " + name
}

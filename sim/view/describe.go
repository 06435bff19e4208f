package view

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"gtstore/core"
)

// shownMax is how many runes of a key or value are shown.
const shownMax = 24

// show makes a key or value fit for a line. It may be any bytes, and is quoted when it is
// not plain.
func show(s string) string {
	runes, cut := 0, ""
	for i := range s {
		if runes++; runes > shownMax {
			s, cut = s[:i], "…"
			break
		}
	}
	plain := s != "" && strings.IndexFunc(s, func(c rune) bool {
		return c == unicode.ReplacementChar || c == ' ' || c == '"' || c == '=' || c == ',' || !unicode.IsGraphic(c)
	}) < 0
	if !plain {
		s = strconv.Quote(s)
	}
	return s + cut
}

// names gives each NodeID a name: that of its host, as in n2, or, when the host had
// other data before, as in n2#3.
type names map[core.NodeID]string

func (n names) of(p core.Peer) string { return n.node(p.ID, p.Addr) }

func (n names) node(id core.NodeID, otherwise string) string {
	if name := n[id]; name != "" {
		return name
	}
	if otherwise != "" {
		return otherwise
	}
	return "?"
}

// in replaces the NodeIDs in a text by names.
func (n names) in(text string) string {
	for id, name := range n {
		text = strings.ReplaceAll(text, id.String(), name)
	}
	return text
}

func (n names) chain(c *core.Config) string {
	parts := make([]string, len(c.Chain))
	for i, p := range c.Chain {
		parts[i] = n.of(p)
	}
	text := strings.Join(parts, " › ")
	if c.Joining != (core.Peer{}) {
		text += ", " + n.of(c.Joining) + " joins"
	}
	return text
}

func (n names) config(c *core.Config) string {
	return fmt.Sprintf("epoch %d: %s", c.Epoch, n.chain(c))
}

// write shows what an operation does to a key.
func write(k core.OpKind, key, value string, version core.Seq) string {
	switch k {
	case core.OpPut:
		return "put " + show(key) + "=" + show(value)
	case core.OpCAS:
		return fmt.Sprintf("cas %s@%d=%s", show(key), version, show(value))
	case core.OpOpen:
		return "open a session"
	case core.OpExpire:
		return "expire a session"
	case core.OpClose:
		return "close: end all sessions of the client"
	}
	return k.String() + " " + show(key)
}

func entryText(e *core.Entry) string {
	if e.Kind == core.OpExpire {
		return fmt.Sprintf("expire session %d", e.Session)
	}
	return write(e.Kind, e.Key, e.Value, e.Version)
}

// groupOf returns the group that a message is about; 0 for none.
func groupOf(m core.Message) core.GroupID {
	switch m := m.(type) {
	case *core.Config:
		return m.Group
	case *core.LookupReply:
		if m.Config != nil {
			return m.Config.Group
		}
	case *core.Suspect:
		return m.Group
	case *core.Replicate:
		return m.Group
	case *core.Ack:
		return m.Group
	case *core.Nack:
		return m.Group
	case *core.Chunk:
		return m.Group
	case *core.ChunkAck:
		return m.Group
	case *core.CaughtUp:
		return m.Group
	case *core.Op:
		return m.Group
	case *core.Reply:
		return m.Group
	case *core.Export:
		return m.Group
	case *core.Exported:
		return m.Group
	}
	return 0
}

// describe says in a few words what a message is. They stand on an arrow.
func (n names) describe(m core.Message) string {
	k := core.KindOf(m).String()
	switch m := m.(type) {
	case *core.Replicate:
		return n.replicate(m)
	case *core.Ack:
		return fmt.Sprintf("Ack up to %d", m.Matched)
	case *core.Nack:
		if m.Config != nil {
			return "Nack, " + n.config(m.Config)
		}
		return fmt.Sprintf("Nack, has up to %d", m.Last)
	case *core.Config:
		return "Config " + n.config(m)
	case *core.Op:
		return "Op " + write(m.Kind, m.Key, m.Value, m.Version)
	case *core.Reply:
		return "Reply " + n.reply(m)
	case *core.Export:
		return fmt.Sprintf("Export, has up to %d", m.Position)
	case *core.Exported:
		if m.Status != core.StatusOK {
			return "Exported " + m.Status.String()
		}
		text := fmt.Sprintf("Exported up to %d, %d keys", m.Position, len(m.Items))
		if m.All {
			text += ", the last"
		}
		return text
	case *core.Lookup:
		return "Lookup " + show(m.Key)
	case *core.LookupReply:
		if m.Config != nil {
			return fmt.Sprintf("LookupReply group %d, %s", m.Config.Group, n.config(m.Config))
		}
		return "LookupReply " + m.Status.String()
	case *core.Suspect:
		return "Suspect " + n.node(m.Node, "")
	case *core.Probe:
		if m.Target != (core.Peer{}) {
			return "Probe of " + n.of(m.Target)
		}
	case *core.Refused:
		return "Refused " + m.Reason.String()
	case *core.Chunk:
		text := fmt.Sprintf("Chunk %d, %d keys", m.Number, len(m.Items))
		if m.Last {
			text += ", the last"
		}
		return text
	case *core.ChunkAck:
		if m.Refused {
			return "ChunkAck: refused"
		}
		if m.Held.Seq > 0 {
			return fmt.Sprintf("ChunkAck: holds all up to %d", m.Held.Seq)
		}
		return fmt.Sprintf("ChunkAck, next %d", m.Next)
	case *core.CaughtUp:
		return "CaughtUp " + n.node(m.Node, "")
	case *core.Forget:
		return "Forget " + n.node(m.Node, "")
	case *core.Forgotten:
		return "Forgotten " + m.Status.String()
	case *core.Drain:
		return "Drain " + n.node(m.Node, "")
	case *core.Drained:
		return "Drained " + m.Status.String()
	case *core.PeerDown:
		return "PeerDown " + n.of(m.Peer)
	case *core.Call:
		return "Call " + write(m.Kind, m.Key, m.Value, m.Version)
	}
	return k
}

func (n names) replicate(m *core.Replicate) string {
	text := "Replicate"
	if m.Config != nil {
		text += fmt.Sprintf(" epoch %d", m.Epoch)
	}
	if len(m.Entries) == 0 {
		return fmt.Sprintf("%s, no entries, commit %d", text, m.Commit)
	}
	const entriesShown = 2
	for i := range m.Entries {
		if i == entriesShown {
			text += fmt.Sprintf(", and %d more", len(m.Entries)-i)
			break
		}
		text += fmt.Sprintf(" %d:%s", m.Prev.Seq+core.Seq(i)+1, entryText(&m.Entries[i]))
	}
	return text
}

func (n names) reply(m *core.Reply) string {
	text := m.Status.String()
	if m.Value != "" {
		text += " " + show(m.Value)
	}
	if m.Version != 0 {
		text += fmt.Sprintf(" v%d", m.Version)
	}
	if m.Config != nil {
		text += ", " + n.config(m.Config)
	}
	return text
}

// eventText says what an event of the core means; "" when it is of no interest.
func (n names) eventText(e *core.Event) string {
	group, seq := fmt.Sprintf(" group %d", e.Group), fmt.Sprintf(" %d", e.Seq)
	switch e.Kind {
	case core.EventRead:
		if e.Effect {
			return "serves the get without asking the others, at commit point" + seq
		}
		return "serves the get, at commit point" + seq
	case core.EventParked:
		return "the request waits, for the reconciliation or for the node that joins"
	case core.EventKept:
		return "keeps what it holds of" + group + " up to" + seq + ", and cuts off the rest"
	case core.EventResumed:
		return "brings the joining node up to date by the log behind" + seq
	case core.EventSqueezed:
		return "holds writers back, since the joining node does not catch up" + group
	case core.EventDropped:
		return "takes no notice of it"
	case core.EventPaused:
		return "notices that it stood still itself: that time counts against nobody"
	case core.EventRetired:
		return "takes " + n.node(e.Node, "a node") + " off its list: it was silent for long"
	case core.EventLacks:
		return "does not serve: its log ends before" + seq + ", which a member knows to be committed"
	case core.EventDiskLate:
		return "waits for its disk: a command is not durable yet"
	case core.EventDiskInTime:
		return "has a disk that ends syncs in time again"
	case core.EventTerms:
		return "gives" + group + " the terms that it was started with"
	case core.EventCopied:
		return "refuses a start of " + n.node(e.Node, "a node") + ", which runs"
	case core.EventNotTaken:
		return "is not taken: the manager's list is full"
	case core.EventTrimmed:
		return "forgets its log up to" + seq
	case core.EventRegistered:
		return "registers " + n.node(e.Node, "a node")
	case core.EventCommitted:
		return "committed up to" + seq
	case core.EventApplied:
		return "applied" + seq + ": " + e.Status.String()
	case core.EventTruncated:
		return "cut its log off from" + seq + " on"
	case core.EventServing:
		return fmt.Sprintf("serves in epoch %d", e.Epoch)
	case core.EventAdopted:
		return fmt.Sprintf("adopted epoch %d of%s", e.Epoch, group)
	case core.EventDeposed:
		return fmt.Sprintf("no longer the primary, by epoch %d", e.Epoch)
	case core.EventReconfigured:
		return fmt.Sprintf("made epoch %d of%s", e.Epoch, group)
	case core.EventFormed, core.EventMapped:
		return e.Kind.String() + group
	case core.EventLost:
		return "declared lost:" + group
	case core.EventWithdrawn:
		return "withdrew the loss of" + group
	case core.EventRetried:
		return fmt.Sprintf("a retry of operation %d of session %d", e.OpSeq, e.Session)
	case core.EventDiscarded, core.EventInstalled, core.EventCaughtUp, core.EventChunkRefused:
		return e.Kind.String() + group
	}
	text := e.Kind.String()
	if e.Node != 0 {
		text += " " + n.node(e.Node, "")
	}
	return text
}

package quorum

import (
	"fmt"

	"gtstore/core"
	"gtstore/core/wire"
)

// View is what there is to see of a manager, for checks.
type View struct {
	Cluster core.ClusterID // of which it is; 0 while it is of none
	Promise core.ClusterID // to which it has promised itself while it is of none; 0 for none
	Ending  bool           // it begins anew

	// Of one that is of a cluster:
	Term    Term
	Vote    core.NodeID
	Last    Position // the end of its log
	Applied Position
	Members Members // as far as it has applied
	Led     Term    // that it leads as far as the library goes; 0 for none
	Settled bool    // it leads as a manager, and no change of the members is under way
}

// View returns what there is to see now.
func (m *Manager) View() View {
	v := View{Promise: m.promise, Ending: m.ending}
	if m.inner == nil {
		return v
	}
	n, last := m.node, m.node.log.last()
	v.Cluster, v.Members, v.Applied, v.Settled = m.inner.Cluster(), n.members, n.applied, n.Settled()
	v.Term, v.Vote, v.Last.Index = n.log.hard.term, core.NodeID(n.log.hard.vote), last
	v.Last.Term, _ = n.log.term(last)
	if leader, term := n.Leader(); leader.ID == n.self.ID {
		v.Led = term
	}
	return v
}

// Word is what the text of a core.Quorum is, for checks.
type Word struct {
	Founding bool // and no Message
	Says     bool // what the sender is: others may count on that
	Repeated int  // how often this question was asked before in its round
}

// WordOf returns what a text is.
func WordOf(text string) (w Word) {
	if !isFounding(text) {
		return w
	}
	w.Founding, w.Says = true, text[0] == tagSay
	var a ask
	if c := wire.NewDecoder([]byte(text)); !w.Says {
		a.code(&c)
		w.Repeated = int(a.round % questionsMax)
	}
	return w
}

// TextOf says in words what the text of a core.Quorum says.
func TextOf(text string) string {
	if !isFounding(text) {
		m, err := DecodeMessage([]byte(text))
		if err != nil {
			return err.Error()
		}
		return fmt.Sprintf("%T%+v", m, m)[len("*quorum."):]
	}
	c := wire.NewDecoder([]byte(text))
	if text[0] == tagAsk {
		var a ask
		if a.code(&c); c.End() != nil {
			return "an Ask that does not read"
		}
		if a.founding == 0 {
			return fmt.Sprintf("Ask in round %d", a.round)
		}
		return fmt.Sprintf("Ask in round %d, to be a founder of %v", a.round, a.founding)
	}
	var s say
	if s.code(&c); c.End() != nil {
		return "a Say that does not read"
	}
	said := fmt.Sprintf("Say in round %d: %v", s.round, [...]string{stateEmpty: "empty", statePromised: "promised", stateTaken: "taken up", stateBlank: "blank", stateMember: "member"}[s.state])
	if s.cluster != 0 {
		said += fmt.Sprintf(", of %v", s.cluster)
	}
	if s.verdict != verdictNone {
		said += fmt.Sprintf(", verdict %d", s.verdict)
	}
	return said
}

package cluster

import (
	"fmt"

	"gtstore/core"
)

// ask is what an operator or a client asks of a real manager once, at any moment.
type ask struct {
	verb askVerb
	key  string // to be looked up
	host int
	at   int // which of several managers it is put to; -1 for any
}

type askVerb uint8

const (
	askLookup askVerb = iota
	askForget
	askDrain
	askStop    // the node itself, which says farewell
	askReport  // a client says that a member's address refuses
	askFind    // a lookup that maps no key
	asksMax    = 4
	askFirstID = 100 // of the clients' ids
)

var askVerbs = map[string]askVerb{"lookup": askLookup, "forget": askForget, "drain": askDrain, "stop": askStop, "report": askReport, "find": askFind}

var askNames = [...]string{askLookup: "lookup", askForget: "forget", askDrain: "drain", askStop: "stop", askReport: "report", askFind: "find"}

// String is the ask as in the scenario's text.
func (a *ask) String() string {
	if a.key != "" && a.at >= 0 {
		return askNames[a.verb] + " " + a.key + " " + seatName(a.at)
	}
	if a.key != "" {
		return askNames[a.verb] + " " + a.key
	}
	return askNames[a.verb] + " " + hostName(a.host)
}

// node is whom it is about; 0 for nobody.
func (a *ask) node() core.NodeID {
	if a.key != "" {
		return 0
	}
	return core.NodeID(a.host + 1)
}

// waits tells whether an answer is due.
func (a *ask) waits() bool { return a.verb != askStop && a.verb != askReport }

// envelope is the request as it reaches the manager; c is the group's config.
func (a *ask) envelope(index int, c *core.Config) *core.Envelope {
	e := &core.Envelope{Cluster: cluster, From: clientPeer(askFirstID + index), To: managerPeer}
	req := uint64(index + 1)
	switch a.verb {
	case askLookup, askFind:
		e.Body = &core.Lookup{Req: req, Key: a.key, Create: a.verb == askLookup}
	case askForget:
		e.Body = &core.Forget{Req: req, Node: a.node()}
	case askDrain:
		e.Body = &core.Drain{Req: req, Node: a.node()}
	case askReport:
		e.Body = &core.Suspect{Group: group, Epoch: c.Epoch, Node: a.node(), Refused: true}
	}
	return e
}

// ask reads a line such as: ask drain n2. Of several managers one can be named: ask lookup y m1.
func (p *parser) ask(words []string) error {
	s := p.s
	at := -1
	if len(words) == 3 && s.Managers > 0 {
		host, err := p.host(words[2:])
		if err != nil {
			return err
		}
		at, words = host-1, words[:2]
	}
	if len(words) != 2 || len(s.asks) == asksMax {
		return fmt.Errorf("want one of at most %d asks: lookup KEY, or forget, drain, stop or report and a node", asksMax)
	}
	verb, err := choice(words[0], askVerbs)
	if err != nil {
		return err
	}
	a := ask{verb: verb, key: words[1], at: at}
	if verb != askLookup && verb != askFind {
		if a.host, err = p.host(words[1:]); err != nil {
			return err
		}
		a.key, a.host = "", a.host-1
	}
	s.asks = append(s.asks, a)
	return nil
}

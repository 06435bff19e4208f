package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gtstore/core"
)

// Bounds of a scenario: beyond them no search would end.
const (
	hostsMax     = 8
	managersMax  = 5
	opsMax       = 8
	budgetMax    = 20
	settleMax    = 20
	textBytesMax = 32
)

// Parse reads a scenario. Its lines are
//
//	# …                             what it is about
//	cluster members=2 spares=1 mode=durable reads=confirm log-keep=1 chunk=1 min-chain=2 sessions=1 drift=1000
//	before put x old                what was written before the search begins
//	before evict n2                 who was evicted then; these lines in their order
//	settle 1                        timers that go off, all calm, before it begins
//	c1 put x a                      what clients ask, each one thing after the other
//	c2 get x
//	c3 open                         a session, so that another ends where there may be no more
//	budget evict=1 timeout=2        how often what may happen
//	repeat Chunk                    which kind of message may come again; any without this line
//	cut n1                          with a real manager: late are only n1's messages, which are lost then
//	manager real                    the core's manager; before nothing: without a group
//	cluster managers=2              several managers, and no storage nodes; before founded, deposed or replacing
//	ask drain n2                    what it is asked: lookup KEY, forget, drain, stop or report and a node
//	finish                          all is answered in the end, from every state
//	large                           it takes longer than a minute
//	mutant NAME violates PROPERTY   what the core without one rule violates
//
// An error names the line.
func Parse(name, text string) (*Scenario, error) {
	p := &parser{s: &Scenario{Name: name, text: text, Reads: core.ReadConfirm}, clients: map[int]int{}}
	for i, line := range strings.Split(text, "\n") {
		if about, ok := strings.CutPrefix(line, "#"); ok {
			p.s.About += strings.TrimPrefix(about, " ") + "\n"
			continue
		}
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if err := p.line(words); err != nil {
			return nil, fmt.Errorf("scenario %s, line %d, %q: %w", name, i+1, line, err)
		}
	}
	if err := p.end(); err != nil {
		return nil, fmt.Errorf("scenario %s: %w", name, err)
	}
	return p.s, nil
}

type parser struct {
	s       *Scenario
	clients map[int]int // how many operations each has
	seen    map[string]bool
}

func (p *parser) line(words []string) error {
	verb, rest := words[0], words[1:]
	once := map[string]func([]string) error{"cluster": p.cluster, "settle": p.settle, "budget": p.budget, "repeat": p.repeat, "manager": p.manager, "cut": p.cut, "finish": p.finish, "large": p.large}
	if do, ok := once[verb]; ok {
		if p.seen[verb] {
			return errors.New("there is such a line already")
		}
		if p.seen == nil {
			p.seen = map[string]bool{}
		}
		p.seen[verb] = true
		return do(rest)
	}
	switch {
	case verb == "before":
		return p.before(rest)
	case verb == "ask":
		return p.ask(rest)
	case verb == "mutant":
		if len(rest) != 3 || rest[1] != "violates" {
			return errors.New("want: mutant NAME violates PROPERTY")
		}
		p.s.Mutants = append(p.s.Mutants, Mutant{rest[0], rest[2]})
		return nil
	case verb[0] == 'c':
		n, err := strconv.Atoi(verb[1:])
		if err != nil || n < 1 || n > opsMax {
			break
		}
		o, err := operation(rest)
		o.client = n - 1
		if last := len(p.s.ops) - 1; last >= 0 && p.s.ops[last].client != o.client && p.clients[n] > 0 {
			return fmt.Errorf("the operations of c%d want to stand together", n)
		}
		p.clients[n]++
		p.s.ops = append(p.s.ops, o)
		return err
	}
	return errors.New("want cluster, before, settle, c1, budget, repeat, manager, cut, ask, finish, large or mutant")
}

func (p *parser) manager(words []string) error {
	if len(words) != 1 || words[0] != "real" {
		return errors.New("want: manager real")
	}
	p.s.Real = true
	return nil
}

// cut reads whose messages are lost when they are late; no others are late then.
func (p *parser) cut(words []string) (err error) {
	p.s.Cut, err = p.host(words)
	return err
}

// host reads the name of a node, and counts from 1.
func (p *parser) host(words []string) (int, error) {
	for i := range p.s.Hosts() {
		if len(words) == 1 && (words[0] == hostName(i) && p.s.Managers == 0 || words[0] == seatName(i) && p.s.Managers > 0) {
			return i + 1, nil
		}
	}
	return 0, errors.New("want a node, such as n2, or one of several managers, such as m2, behind the line that begins with cluster")
}

func (p *parser) before(words []string) error {
	switch {
	case len(words) == 1 && words[0] == "nothing":
		p.s.Fresh = true
		return nil
	case len(words) == 1 && words[0] == "founded":
		p.s.Founded = true
		return nil
	case len(words) == 1 && words[0] == "deposed":
		p.s.Founded, p.s.Deposed = true, true
		return nil
	case len(words) == 1 && words[0] == "replacing":
		p.s.Founded, p.s.Replacing = true, true
		return nil
	}
	if len(words) == 2 && words[0] == "evict" {
		for i := range p.s.Members {
			if words[1] == hostName(i) {
				p.s.before = append(p.s.before, earlier{evict: i + 1})
				return nil
			}
		}
		return errors.New("want a member, such as n2, behind the line that begins with cluster")
	}
	o, err := operation(words)
	if err == nil && o.kind != core.OpPut {
		err = errors.New("want a put, or evict")
	}
	p.s.before = append(p.s.before, earlier{put: o})
	return err
}

func operation(words []string) (o op, err error) {
	if len(words) == 1 && words[0] == "open" {
		o.kind = core.OpOpen
		return o, nil
	}
	if len(words) < 2 {
		return o, errors.New("want an operation and a key")
	}
	want := map[string]int{"get": 2, "put": 3, "delete": 2, "cas": 4}
	if n, ok := want[words[0]]; !ok || n != len(words) {
		return o, errors.New("want get KEY, put KEY VALUE, delete KEY, cas KEY VERSION VALUE or open")
	}
	o.key = words[1]
	switch words[0] {
	case "get":
		o.kind = core.OpGet
	case "put":
		o.kind, o.value = core.OpPut, words[2]
	case "delete":
		o.kind = core.OpDelete
	case "cas":
		version, err := strconv.ParseUint(words[2], 10, 32)
		if err != nil {
			return o, fmt.Errorf("want a version: %w", err)
		}
		o.kind, o.version, o.value = core.OpCAS, core.Seq(version), words[3]
	}
	if len(o.key) > textBytesMax || len(o.value) > textBytesMax {
		return o, fmt.Errorf("want keys and values of %d bytes at most", textBytesMax)
	}
	return o, nil
}

// pairs reads words such as evict=1.
func pairs(words []string, set func(name, value string) error) error {
	seen := map[string]bool{}
	for _, w := range words {
		name, value, ok := strings.Cut(w, "=")
		if !ok || seen[name] {
			return fmt.Errorf("%s: want NAME=VALUE, each name once", w)
		}
		seen[name] = true
		if err := set(name, value); err != nil {
			return fmt.Errorf("%s: %w", w, err)
		}
	}
	return nil
}

func number(text string, least, most int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("want a number from %d to %d", least, most)
	}
	return n, nil
}

func choice[T any](text string, choices map[string]T) (T, error) {
	v, ok := choices[text]
	if !ok {
		return v, errors.New("there is no such choice")
	}
	return v, nil
}

func (p *parser) cluster(words []string) error {
	s := p.s
	return pairs(words, func(name, value string) (err error) {
		switch name {
		case "managers":
			s.Managers, err = number(value, 2, managersMax)
		case "members":
			s.Members, err = number(value, 1, hostsMax)
		case "spares":
			s.Spares, err = number(value, 0, hostsMax)
		case "mode":
			s.Durable, err = choice(value, map[string]bool{"memory": false, "durable": true})
		case "reads":
			s.Reads, err = choice(value, map[string]core.ReadMode{"confirm": core.ReadConfirm, "lease": core.ReadLease})
		case "log-keep":
			s.LogKeep, err = number(value, 1, 1000)
		case "sessions":
			s.Sessions, err = number(value, 1, 1000)
		case "min-chain":
			s.MinChain, err = number(value, 1, hostsMax)
		case "drift":
			s.Drift, err = number(value, 1, 100_000)
		case "commands-keep":
			s.CommandsKeep, err = number(value, 1, 1000)
		case "placement":
			s.Placement, err = core.ParsePlacement(value)
		case "chunk":
			s.Chunk, err = number(value, 1, 1000)
		default:
			err = errors.New("there is no such option")
		}
		return err
	})
}

func (p *parser) budget(words []string) error {
	return pairs(words, func(name, value string) error {
		for b, known := range budgetNames {
			if name == known {
				n, err := number(value, 1, budgetMax)
				p.s.budgets[b] = uint8(n)
				return err
			}
		}
		return fmt.Errorf("want one of %s", strings.Join(budgetNames[:], ", "))
	})
}

func (p *parser) settle(words []string) (err error) {
	if len(words) != 1 {
		return errors.New("want how many timers")
	}
	p.s.Settle, err = number(words[0], 1, settleMax)
	return err
}

func (p *parser) repeat(words []string) error {
	for k := core.Kind(1); len(words) == 1 && int(k) < core.KindCount; k++ {
		if !k.Local() && k.String() == words[0] {
			p.s.Repeat = k
			return nil
		}
	}
	return errors.New("want a kind of message, such as Chunk")
}

func (p *parser) finish(words []string) error {
	p.s.Finish = true
	return none(words)
}

func (p *parser) large(words []string) error {
	p.s.Large = true
	return none(words)
}

func none(words []string) error {
	if len(words) > 0 {
		return errors.New("want nothing behind it")
	}
	return nil
}

func (p *parser) end() error {
	s := p.s
	switch {
	case s.About == "":
		return errors.New("want a line that says what it is about, such as: # a put over a promotion")
	case s.Managers > 0:
		return p.endSeveral()
	case s.Founded || s.budgets[budgetWipe] > 0 || slices.ContainsFunc(s.asks, func(a ask) bool { return a.verb == askFind }):
		return errors.New("before founded, deposed or replacing, ask find and a disk that is lost (wipe) need: cluster managers=2")
	case s.Members == 0:
		return errors.New("want a line such as: cluster members=2")
	case s.Hosts() > hostsMax:
		return fmt.Errorf("%d storage nodes, want at most %d", s.Hosts(), hostsMax)
	case len(s.ops) == 0 && !s.Real:
		return errors.New("want something that a client asks, such as: c1 put x a")
	case len(s.ops) > opsMax:
		return fmt.Errorf("%d operations, want at most %d", len(s.ops), opsMax)
	case s.budgets[budgetRestart] > 0 && !s.Durable:
		return errors.New("a restart needs mode=durable: in memory mode a node that starts again is another node, as a spare is")
	case s.MinChain > s.Members:
		return fmt.Errorf("min-chain=%d, and there are %d members", s.MinChain, s.Members)
	case s.Repeat != 0 && s.budgets[budgetRepeat] == 0:
		return errors.New("which message may come again says nothing without: budget repeat=1")
	case s.budgets[budgetJoin] > 0 && s.Spares == 0 && s.budgets[budgetEvict] == 0 && !slices.ContainsFunc(s.before, func(e earlier) bool { return e.evict > 0 }):
		return errors.New("a join needs a spare, or an eviction before it")
	}
	return p.endManager()
}

// endManager judges what goes with which manager.
func (p *parser) endManager() error {
	s := p.s
	orders := s.budgets[budgetEvict] + s.budgets[budgetJoin] + s.budgets[budgetEndJoin]
	evicted := slices.ContainsFunc(s.before, func(e earlier) bool { return e.evict > 0 })
	crashes := s.budgets[budgetManagerCrash] > 0
	switch {
	case s.Cut > 0 && s.budgets[budgetLate] == 0:
		return errors.New("who is cut off says nothing without: budget late=1")
	case !s.Real && (s.Cut > 0 || len(s.asks) > 0 || crashes || s.Fresh || s.CommandsKeep > 0 || s.Placement != 0):
		return errors.New("an ask, cut n1, manager-crash, commands-keep, placement and before nothing need: manager real")
	case s.Real && (orders > 0 || evicted || s.Drift > 0):
		return errors.New("a real manager decides by itself, and its clock does not drift: want no evict, join, end-join or drift")
	case crashes && !s.Durable:
		return errors.New("manager-crash needs mode=durable: in memory mode a cluster does not outlive its manager")
	case s.Fresh && len(s.ops)+len(s.before) > 0:
		return errors.New("before nothing goes with no operations, since there is no group")
	}
	p.endAsks()
	return nil
}

func (p *parser) endAsks() {
	for i := range p.s.asks {
		p.s.budgets[askSlot+i] = 1
	}
}

// endSeveral judges what several managers may be asked, and what may happen to them.
func (p *parser) endSeveral() error {
	s := p.s
	for b, n := range s.budgets[:budgetCount] {
		switch budget(b) {
		case budgetCrash, budgetRestart, budgetWipe, budgetTimeout, budgetLate, budgetRepeat, budgetAgain:
			continue
		}
		if n > 0 {
			return fmt.Errorf("to several managers no %s happens: want crash, restart, wipe, timeout, late, repeat and again", budgetNames[b])
		}
	}
	for i := range s.asks {
		if s.asks[i].key == "" || !s.Founded {
			return errors.New("several managers are asked to lookup KEY or find KEY, and that: before founded, deposed or replacing")
		}
	}
	if (s.Deposed || s.Replacing) && s.Managers < 3 {
		return errors.New("before deposed and before replacing need three managers: of two none leads without the other")
	}
	if s.Members+s.Spares > 0 || s.Real || s.Fresh || s.Cut > 0 || s.Drift > 0 || s.Settle > 0 || s.CommandsKeep > 0 || s.Placement != 0 || len(s.ops)+len(s.before) > 0 {
		return errors.New("where several managers are searched there are no storage nodes: want no members, operations, or options of these")
	}
	p.endAsks()
	return nil
}

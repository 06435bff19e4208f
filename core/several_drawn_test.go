package core

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// draws says by a variable of the environment, "first,count", which draws a test makes: 0 and 0 if it is
// not set, for as many as the test makes by itself, from the first on.
func draws(t *testing.T, variable string) (first, count uint64) {
	t.Helper()
	if text := os.Getenv(variable); text != "" {
		_, err := fmt.Sscanf(text, "%d,%d", &first, &count)
		require.NoError(t, err, "%s=first,count", variable)
	}
	return first, count
}

// office is one of several managers, and what it may say and propose, by section 11 of PROTOCOL.md. Who
// leads, what the others agree on, how the nodes are and who asks what is drawn.
type office struct {
	*council
	rng   *rand.Rand
	seed  uint64
	leads bool
	reqs  uint64

	// The model.
	open     map[uint64]string // questions that were not answered, and who asked
	asked    map[string]bool   // keys for which somebody has asked for a group in this term
	groups   map[string]GroupID
	presumed map[GroupID]bool // held for lost, as was agreed on
	halting  bool
	first    bool // nothing was proposed in this term yet
	goOn     bool // what is proposed first is to take the halt back
	wellAt   Time // when a node was well last
	toldAt   map[string]Time
	since    Time            // since when this manager leads with these others
	sought   Time            // when a node that is registered has asked this follower last to register it
	seeking  Time            // since when they do again and again
	odd      map[string]bool // nodes that know more than the Directory: they are not believed
	counts   map[string]int
}

func newOffice(t *testing.T, seed uint64) *office {
	o := &office{rng: rand.New(rand.NewPCG(seed, 5)), seed: seed, open: map[uint64]string{}, asked: map[string]bool{}, groups: map[string]GroupID{}, presumed: map[GroupID]bool{}, toldAt: map[string]Time{}, odd: map[string]bool{}, counts: map[string]int{}}
	var options []func(*ManagerOptions)
	if o.chance(50) {
		options = append(options, inDurableMode)
	}
	if o.chance(50) {
		options = append(options, haltOnLoss)
	}
	o.council = newCouncil(t, options...)
	o.consensus.noted, o.consensus.agreedOn = o.proposed, func(text string) {
		c := wireDecoder(text)
		o.apply(&c)
	}
	o.consensus.calm = time.Duration(o.rng.IntN(2)) * time.Minute
	o.begins()
	for i := range 3 + o.rng.IntN(5) {
		o.register(peerOf(fmt.Sprint("n", 1+i)))
	}
	o.after()
	o.passes(time.Second)
	return o
}

func (o *office) names() []string { return slices.Sorted(maps.Keys(o.actors)) }

func (o *office) chance(percent int) bool { return o.rng.IntN(100) < percent }

func (o *office) require(ok bool, format string, args ...any) {
	o.t.Helper()
	require.True(o.t, ok, "seed %d, at %v: %s", o.seed, o.now.Since(rigOrigin), fmt.Sprintf(format, args...))
}

// proposed judges a command as it is proposed.
func (o *office) proposed(text string) {
	c := wireDecoder(text)
	o.require(o.leads, "%v is proposed, and another one leads", c.Kind)
	switch c.Kind {
	case CommandPlace:
		o.require(o.asked[string(c.Unit)], "%q is placed, and nobody has asked for it in this term", c.Unit)
	case CommandDoubtful, CommandLost:
		o.require(o.now.Since(o.wellAt) <= time.Second, "a loss is presumed, and no node answers")
	case CommandGoOn:
		o.goOn = false
	case CommandHalt:
		o.require(o.now.Since(o.wellAt) <= time.Second, "an end is asked for, and no node answers")
		o.require(!o.goOn, "an end is asked for, and that of the former leader was not looked into")
	}
}

// apply is what the model makes of a command that was agreed on.
func (o *office) apply(c *Command) {
	d := o.manager().dir
	switch c.Kind {
	case CommandPlace:
		o.groups[string(c.Unit)] = d.units[c.Unit]
	case CommandDoubtful, CommandLost:
		if g := d.group(c.Group); g != nil && g.config.Epoch == c.Epoch {
			o.presumed[c.Group] = true
		}
	case CommandFound:
		if g := d.group(c.Group); g != nil && g.config.Epoch == c.Epoch {
			delete(o.presumed, c.Group)
		}
	case CommandHalt:
		o.halting = true
	case CommandGoOn:
		o.halting = false
	}
}

// after takes in what an action has led to.
func (o *office) after() {
	o.t.Helper()
	if o.node == nil {
		return
	}
	for _, l := range o.letters {
		o.letter(l)
	}
	o.letters = nil
	for _, a := range o.actors {
		if n := o.manager().dir.node(a.peer.ID); a.health == well && n != nil && !n.gone {
			o.wellAt = o.now
		}
	}
}

// letter judges a message that left.
func (o *office) letter(l letter) {
	o.t.Helper()
	req := uint64(0)
	switch b := l.body.(type) {
	case *NotLeader:
		req = b.Req
		leader, term := o.consensus.Leader()
		o.require(leader.ID == o.self.ID || b.Leader == leader && b.Term == term, "it says that %v leads term %d, and that does %v, %d", b.Leader, b.Term, leader, term)
	case *Refused, *Quorum:
		return
	case *LookupReply:
		req = b.Req
	case *Forgotten:
		req = b.Req
	case *Drained:
		req = b.Req
	case *Registered:
		if slices.Equal(b.Managers, o.consensus.Managers()) {
			o.toldAt[l.to] = o.now
		}
	}
	if _, elsewhere := l.body.(*NotLeader); !elsewhere {
		o.require(o.leads, "%T is said to %s, and another one leads", l.body, l.to)
	}
	if req != 0 {
		o.require(o.open[req] == l.to, "%T to %s: question %d was answered before", l.body, l.to, req)
		delete(o.open, req)
	}
}

func (o *office) begins() {
	o.leads, o.first, o.goOn = true, true, o.halting
	o.asked, o.toldAt, o.since = map[string]bool{}, map[string]Time{}, o.now
	o.council.leads()
	o.require(!o.goOn, "a halt is not taken back by the next leader")
	o.after()
	o.counts["leads"]++
}

func (o *office) ends() {
	o.after()
	o.consensus.toFollow, o.consensus.leader, o.consensus.full = true, Peer{}, false
	if o.chance(70) {
		o.consensus.leader = o.consensus.others[o.rng.IntN(2)]
	}
	o.consensus.term++
	o.turnAs(false)
	o.require(len(o.open) == 0, "%d questions are open, and nobody who asked was sent on", len(o.open))
}

// turnAs has the consensus say what it has to say. What leaves is judged as of one who leads, or not.
func (o *office) turnAs(leads bool) {
	o.leads = leads
	o.turn()
	o.after()
}

// asks puts a question of a client or an operator.
func (o *office) asks(m func(req uint64) Message) {
	o.reqs++
	who := fmt.Sprint("c", 1+o.rng.IntN(3))
	o.open[o.reqs] = who
	o.say(who, m(o.reqs))
	o.after()
	_, open := o.open[o.reqs]
	o.require(o.leads || o.node == nil || !open, "a question to one who follows is not answered")
}

// looksUp compares what is said of a key with what was agreed on.
func (o *office) looksUp(key string) {
	if o.consensus.held || o.consensus.full || !o.leads || o.groups[key] == 0 {
		return
	}
	o.reqs++
	o.open[o.reqs] = "c9"
	o.say("c9", &Lookup{Req: o.reqs, Key: key})
	list := slices.Clone(o.letters)
	o.after()
	if o.node == nil {
		return
	}
	id := o.groups[key]
	gone := o.manager().dir.lost(o.manager().dir.group(id))
	for _, l := range list {
		if r, ok := l.body.(*LookupReply); ok && r.Req == o.reqs {
			want := StatusOK
			if o.presumed[id] || gone {
				want = StatusGroupLost
			}
			o.require(r.Status == want, "of %q in group %d is said %v, and agreed on is %v (presumed lost: %v)", key, id, r.Status, want, o.presumed)
			o.counts["told "+want.String()]++
		}
	}
}

// passes lets time pass, and looks after it at what had to be done meanwhile.
func (o *office) passes(d time.Duration) {
	ended := o.now.After(d)
	for o.node != nil && o.now < ended {
		o.pass(min(50*time.Millisecond, ended.Since(o.now)))
		o.after()
	}
	if o.node == nil || !o.leads {
		return
	}
	for name, a := range o.actors {
		n := o.manager().dir.node(a.peer.ID)
		if n == nil || n.gone || o.now.Since(o.since) < 200*time.Millisecond {
			continue
		}
		at, told := o.toldAt[name]
		o.require(told, "%s was not told who the managers are", name)
		again := 1200 * time.Millisecond
		if n.isSpare() { // it is pinged less often
			again *= pingsSeldom
		}
		o.require(o.manager().contact(n.ID).proven || o.now.Since(at) <= again, "%s has answered nothing, and was not told again who the managers are", name)
	}
}

// others has another leader agree on something with this manager, which follows.
func (o *office) othersAgree() {
	d := o.manager().dir
	c := Command{Kind: []CommandKind{CommandDoubtful, CommandLost, CommandFound, CommandHalt, CommandGoOn, CommandGone, CommandReconfigure, CommandPlace}[o.rng.IntN(8)]}
	if len(d.groups) == 0 {
		return
	}
	g := d.groups[o.rng.IntN(len(d.groups))].config
	c.Group, c.Epoch = g.Group, g.Epoch
	switch c.Kind {
	case CommandGone:
		c.Group, c.Epoch, c.Node.ID = 0, 0, d.nodes[o.rng.IntN(len(d.nodes))].ID
	case CommandReconfigure:
		if len(g.Chain) == 1 {
			return
		}
		c.Remove = []NodeID{g.Chain[o.rng.IntN(len(g.Chain))].ID}
	case CommandPlace:
		c.Group, c.Epoch, c.Unit, c.Terms = 0, 0, Unit(o.key()), Terms{ReadConfirm, 0, 1}
	case CommandHalt, CommandGoOn:
		c.Group, c.Epoch = 0, 0
	}
	o.agreed(c)
	o.apply(&c)
}

func (o *office) key() string { return string(rune('a' + o.rng.IntN(12))) }

// changes has this manager lead after another one, where a member of a group died with that. Its address
// refuses connections: so it goes at once, unless the cluster is just starting.
func (o *office) changes() {
	if o.leads {
		o.ends()
	}
	o.consensus.held, o.consensus.full = false, false
	for _, a := range o.actors {
		a.health = well
	}
	var in *groupEntry
	for _, g := range o.manager().dir.groups {
		if len(g.config.Chain) > 2 && !o.presumed[g.config.Group] && !slices.ContainsFunc(g.config.Chain, func(p Peer) bool { return o.odd[p.Addr] || o.manager().dir.node(p.ID).gone }) {
			in = g
		}
	}
	o.consensus.calm = time.Duration(o.rng.IntN(2)) * time.Minute
	if in == nil {
		o.begins()
		return
	}
	dead := in.config.Chain[o.rng.IntN(len(in.config.Chain))]
	o.actors[dead.Addr].health = refusing
	o.begins()
	o.passes(250 * time.Millisecond)
	if o.node == nil {
		return
	}
	o.counts["died with the leader"]++
	o.require((in.config.Position(dead.ID) < 0) == (o.consensus.calm > 0), "%s is a member: %v, and the cluster is starting: %v", dead.Addr, in.config.Position(dead.ID) >= 0, o.consensus.calm == 0)
}

// loses has all members of a group refuse, and clients say so, for long enough or not. Then this manager
// may lead anew.
func (o *office) loses() {
	d := o.manager().dir
	if len(d.groups) == 0 {
		return
	}
	id := GroupID(1 + o.rng.IntN(len(d.groups)))
	for _, a := range o.actors {
		a.health = well
	}
	for _, p := range d.group(id).config.Chain {
		o.actors[p.Addr].health = refusing
	}
	o.watched(time.Duration(o.rng.IntN(3500)) * time.Millisecond)
	if o.node != nil && o.chance(50) {
		if o.leads {
			o.ends()
		}
		o.begins()
	}
	for _, key := range slices.Sorted(maps.Keys(o.groups)) {
		if o.node != nil && o.groups[key] == id {
			o.looksUp(key)
		}
	}
}

// watched lets time pass in which clients say what they see.
func (o *office) watched(d time.Duration) {
	for ended := o.now.After(d); o.node != nil && o.now < ended; {
		o.passes(min(200*time.Millisecond, ended.Since(o.now)))
		for i := 0; o.node != nil && i < len(o.manager().dir.groups); i++ {
			for _, p := range o.manager().Config(GroupID(i + 1)).Chain {
				if a := o.actors[p.Addr]; a.health != well && o.node != nil {
					o.say("c1", &Suspect{Group: GroupID(i + 1), Epoch: o.epoch(GroupID(i + 1)), Node: p.ID, Refused: a.health == refusing})
					o.after()
				}
			}
		}
	}
}

// seeks has a node that is registered ask this follower again and again. It offers to lead where
// nodes do so for longer than offerAfter, and not before.
func (o *office) seeks(n *nodeEntry) {
	every := time.Duration(50+o.rng.IntN(200)) * time.Millisecond
	for range 1 + o.rng.IntN(8) {
		if o.now.Since(o.sought) > offerGap {
			o.seeking = o.now
		}
		o.sought = o.now
		before := o.consensus.offers
		o.stepRaw(Envelope{From: n.Peer, To: Peer{Addr: "m"}, Body: &Register{Boot: n.Boot, Durable: o.durable, Secret: n.secret}})
		o.serve()
		o.after()
		o.require(o.consensus.offers == before || o.now.Since(o.seeking) >= offerAfter, "it offers to lead, and nodes have asked it for %v", o.now.Since(o.seeking))
		o.counts["offers"] += o.consensus.offers - before
		o.passes(every)
		if o.node == nil {
			return
		}
	}
}

// othersEnd has the others agree that the nodes of a group are gone, and that all managers end. This one
// hears of it command by command, or with the Directory, and ends too, as somebody leads.
func (o *office) othersEnd() {
	d := o.manager().dir
	if len(d.groups) == 0 {
		return
	}
	var list []Command
	for _, p := range d.groups[o.rng.IntN(len(d.groups))].config.Chain {
		list = append(list, Command{Kind: CommandGone, Node: NodeRecord{Peer: Peer{ID: p.ID}}})
	}
	list = append(list, Command{Kind: CommandHalt})
	if o.chance(50) {
		o.agreed(list...)
	} else {
		shadow, cluster, err := readDirectory(o.consensus.m.Snapshot())
		require.NoError(o.t, err)
		for i := range list {
			shadow.apply(&list[i])
		}
		require.NoError(o.t, o.consensus.m.Restore(shadow.text(cluster)))
	}
	o.halting = true
	o.consensus.leader = o.consensus.others[0]
	o.passes(o.manager().opt.DrainTime + time.Second)
	o.require(o.node == nil, "the managers have agreed to end, and it does not")
}

func (o *office) act() {
	nodes := o.manager().dir.nodes
	n := nodes[o.rng.IntN(len(nodes))]
	switch o.rng.IntN(22) {
	case 0, 1:
		key := o.key()
		if o.leads {
			o.asked[key] = true
		}
		o.asks(func(req uint64) Message { return &Lookup{Req: req, Key: key, Create: true} })
	case 2, 3:
		o.looksUp(o.key())
	case 4:
		o.asks(func(req uint64) Message { return &Lookup{Req: req, Key: "absent"} })
	case 5:
		if o.chance(30) {
			id := n.ID + NodeID(o.rng.IntN(2))*90
			o.asks(func(req uint64) Message { return &Forget{Req: req, Node: id} })
		}
	case 6:
		id := n.ID + NodeID(o.rng.IntN(2))*90
		o.asks(func(req uint64) Message { return &Drain{Req: req, Node: id} })
	case 7:
		if o.leads {
			o.ends()
		} else {
			o.begins()
		}
	case 8:
		o.consensus.held, o.consensus.full = !o.consensus.held, false
		o.turnAs(o.leads)
	case 9: // there is no room, until one of those is applied that are under way
		o.consensus.full = o.consensus.held && len(o.consensus.proposed) > 0
	case 10, 11:
		for _, name := range o.names() {
			if a := o.actors[name]; o.chance(40) {
				a.health = []health{well, well, silent, refusing}[o.rng.IntN(4)]
			}
		}
	case 12:
		for _, a := range o.actors {
			a.health = refusing
		}
	case 13:
		if !o.leads {
			require.NoError(o.t, o.consensus.m.Restore(o.consensus.m.Snapshot()))
		}
	case 14:
		switch {
		case o.leads:
		case o.chance(10):
			o.othersEnd()
		default:
			o.othersAgree()
		}
	case 19:
		if !o.leads && !n.gone {
			o.seeks(n)
		}
	case 15:
		o.consensus.others = slices.Clone(o.consensus.others)
		o.consensus.others[1] = Peer{ID: o.consensus.others[1].ID + 1, Addr: fmt.Sprint("m", 3+o.rng.IntN(5))}
		o.toldAt, o.since = map[string]Time{}, o.now
	case 18:
		o.loses()
	case 16:
		if o.chance(40) {
			o.changes()
		}
	case 17: // a node knows more
		if a := o.actors[n.Addr]; o.chance(15) && len(a.epochs) > 0 {
			a.epochs[0].Epoch += 5
			o.odd[n.Addr] = true
		}
	default:
		d := time.Duration(o.rng.IntN(400)) * time.Millisecond
		if o.chance(20) {
			d *= 10
		}
		o.watched(d)
	}
}

// judgeEnd: a manager ends where all have agreed on that, and for what it lacks only once it has made sure
// that it leads.
func (o *office) judgeEnd(held bool) {
	o.counts["ends"]++
	switch {
	case errors.Is(o.halted, ErrGroupLost):
		o.require(o.halting, "it ends, and the managers have not agreed on that: %v", o.halted)
	case errors.Is(o.halted, ErrAmnesia):
		o.require(o.leads && !held, "it ends, and does not know that it leads: %v", o.halted)
	default:
		o.require(false, "it ends: %v", o.halted)
	}
}

// settle is the end of a run: this manager leads, and nothing holds it up. Who is not well is a member of
// no group that has one that is.
func (o *office) settle() {
	o.consensus.held, o.consensus.full = false, false
	if !o.leads {
		o.begins()
	} else {
		o.turnAs(true)
	}
	o.passes(6 * time.Second)
	if o.node == nil {
		return
	}
	for id := GroupID(1); int(id) <= len(o.manager().dir.groups); id++ {
		all, fit, odd := o.manager().Config(id).Chain, 0, false
		var how []health
		for _, p := range all {
			odd = odd || o.odd[p.Addr]
			how = append(how, o.actors[p.Addr].health)
			if n := o.manager().dir.node(p.ID); o.actors[p.Addr].health == well && !n.gone {
				fit++
			}
		}
		o.require(odd || fit == 0 || fit == len(all), "group %d has members that are well, and others that are not: %v, %v; presumed lost: %v", id, all, how, o.presumed)
	}
}

// One of several managers says and proposes what the one that leads may, while it leads, and nothing else;
// a loss and an end are agreed on; and what a new leader owes the nodes it does.
func TestAManagerSaysWhatItsOfficeAllows(t *testing.T) {
	first, count := draws(t, "GTSTORE_OFFICES")
	all := map[string]int{}
	for seed := first + 1; seed <= first+max(count, 120); seed++ {
		o := newOffice(t, seed)
		for range 60 {
			if held := o.consensus.held; o.node != nil {
				if o.act(); o.node == nil {
					o.judgeEnd(held && o.consensus.held)
				}
			}
		}
		if o.node != nil {
			if o.settle(); o.node == nil {
				o.judgeEnd(false)
			}
		}
		for k, n := range o.counts {
			all[k] += n
		}
	}
	t.Log(all)
	for what, least := range map[string]int{"leads": 300, "ends": 10, "offers": 20, "died with the leader": 20, "told group-lost": 20} {
		require.Greater(t, all[what], least, "too few of what is to happen: %v", all)
	}
}

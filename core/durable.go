package core

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"gtstore/core/wire"
)

// The keys of a node's durable space. A storage node keeps its identity, the
// config of each of its groups, and what it holds of them: values and sessions
// up to a position, and the log from before that position on. A manager keeps
// its identity, its Directory up to an index, and the commands after that.
const (
	keyIdentity = "identity"
	keyManagers = "managers" // of a storage node that was told of several
	keyProbe    = "probe"    // written by a probe only to see whether it can be

	prefixConfig   = "config/"   // + group
	prefixProgress = "progress/" // + group
	prefixLog      = "log/"      // + group + seq
	prefixValue    = "value/"    // + group + key
	prefixSession  = "session/"  // + group + id

	keyDirectory  = "directory"
	prefixNode    = "node/"    // + the index of the command that listed the node
	prefixGroup   = "group/"   // + group
	prefixUnit    = "unit/"    // + unit
	prefixCommand = "command/" // + index

	prefixQuorum = "quorum/" // of one of several managers: see package core/quorum
)

// identity is what a node is across restarts.
type identity struct {
	id       NodeID
	cluster  ClusterID // 0 while a storage node is not registered
	boot     Boot
	seen     directorySeen // by a storage node
	leaseMax time.Duration // the longest lease a storage node may have granted, and that is not over
	manager  NodeID        // a storage node's; 0 while it is not registered
	secret   uint64        // of a storage node's start
	known    uint64        // the last secret of these data that the manager has confirmed
}

func (i *identity) code(c *wire.Coder) {
	wire.Fixed64(c, &i.id)
	wire.Fixed64(c, &i.cluster)
	wire.Uint(c, &i.boot)
	wire.Uint(c, &i.seen.index)
	wire.Uint(c, &i.seen.boot)
	wire.Fixed64(c, &i.seen.start)
	wire.Uint(c, &i.seen.before)
	wire.Int(c, &i.leaseMax)
	wire.Fixed64(c, &i.manager)
	wire.Fixed64(c, &i.secret)
	wire.Fixed64(c, &i.known)
}

// records calls f with every record of a kind. What f returns is damage; an error of the
// Space itself is none.
func records(space Space, prefix string, f func(key, text string) error) error {
	return space.Range(prefix, func(k, v string) error {
		if err := f(k, v); err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return nil
	})
}

// readIdentity returns nil when the space is empty. The identity is the first thing a
// node writes, so a space that has records but no identity is damaged.
func readIdentity(space Space) (*identity, error) {
	var found *identity
	err := space.Range(keyIdentity, func(_, v string) error {
		found = new(identity)
		if err := readRecord(keyIdentity, v, tagIdentity, found); err != nil {
			return fmt.Errorf("core: the identity: %w: %w", ErrDamaged, err)
		}
		return nil
	})
	if err == nil && found == nil {
		err = space.Range("", func(k, _ string) error {
			return fmt.Errorf("core: %w: there is a record %q but no identity", ErrDamaged, k)
		})
	}
	return found, err
}

// ordered appends numbers to a prefix so that the keys sort as the numbers do: of each its
// bytes without the leading zeros, behind how many they are. No number's bytes begin those
// of another, so what begins with ordered(p, n) is of n, and comes before ordered(p, n+1).
func ordered(prefix string, numbers ...uint64) string {
	key := make([]byte, 0, 32)
	key = append(key, prefix...)
	for _, n := range numbers {
		size := (bits.Len64(n) + 7) / 8
		var all [8]byte
		binary.BigEndian.PutUint64(all[:], n)
		key = append(key, byte(size))
		key = append(key, all[8-size:]...)
	}
	return string(key)
}

// number reads the number with which the rest of a key begins; ok is false for none.
func number(rest string) (n uint64, ok bool) {
	if rest == "" || rest[0] > 8 || len(rest) <= int(rest[0]) {
		return 0, false
	}
	for _, b := range []byte(rest[1 : 1+rest[0]]) {
		n = n<<8 | uint64(b)
	}
	return n, true
}

func (s *Storage) persistIdentity() {
	if s.opt.Durable {
		s.seen.noted = s.seen.index
		s.persist(keyIdentity, tagIdentity, &identity{s.self.ID, s.cluster, s.boot, s.seen, s.leaseMax, s.managerKept(), s.secret, s.known})
	}
}

// anyManager stands for several managers in the identity of a storage node. No manager has
// that id.
const anyManager = ^NodeID(0)

// managerKept is the manager that a later start goes by. Which of several leads changes.
func (s *Storage) managerKept() NodeID {
	if s.leaders.several() && s.cluster != 0 {
		return anyManager
	}
	return s.manager.ID
}

// managersRecord are the managers of whom a storage node was told last.
type managersRecord struct{ managers []Peer }

func (r *managersRecord) code(c *wire.Coder) {
	for i := range wire.Slice(c, &r.managers, ManagersMax, 8+1) {
		r.managers[i].code(c)
	}
}

// addressesRecord is what came before managersRecord: it had no ids.
type addressesRecord struct{ addresses []string }

func (r *addressesRecord) code(c *wire.Coder) {
	for i := range wire.Slice(c, &r.addresses, ManagersMax, 1) {
		wire.String(c, &r.addresses[i], AddrBytesMax)
	}
}

// readManagers reads the record of either form.
func readManagers(key, text string) ([]Peer, error) {
	var r managersRecord
	err := readRecord(key, text, tagManagers, &r)
	var old addressesRecord
	if err == nil || readRecord(key, text, tagAddresses, &old) != nil {
		return r.managers, err
	}
	list := make([]Peer, len(old.addresses))
	for i, a := range old.addresses {
		list[i].Addr = a
	}
	return list, nil
}

// learn takes in who the managers are. A later start is told where they were when it was
// started first, and all of those may have been replaced: so it remembers where they are, and
// with a certificate whom to expect there. Then it remembers the name of one that is alone, too.
func (s *Storage) learn(managers []Peer) {
	s.leaders.learn(managers)
	if !s.leaders.several() {
		managers = nil
		if isNamed(s.manager.Addr) || len(s.leaders.kept) > 0 {
			managers = []Peer{s.manager}
		}
	}
	if s.opt.Durable && len(managers) > 0 && !slices.Equal(managers, s.leaders.kept) {
		s.leaders.kept = slices.Clone(managers)
		s.persist(keyManagers, tagManagers, &managersRecord{s.leaders.kept})
	}
}

// restoreManagers adds the managers of which an earlier start was told to those of the list. The
// one that is alone may be at another place by now, but has its name.
func (s *Storage) restoreManagers(space Space) error {
	return records(space, keyManagers, func(key, text string) error {
		kept, err := readManagers(key, text)
		if err != nil {
			return fmt.Errorf("core: node %v: the managers: %w", s.self.ID, err)
		}
		certified := isNamed(s.self.Addr)
		s.leaders.recall(kept, certified)
		if !s.leaders.several() && len(kept) == 1 && certified {
			s.manager.Addr = NamedAddr(nameIn(kept[0].Addr), s.manager.Addr)
		}
		return nil
	})
}

func (s *Storage) persistConfig(c *Config) {
	if s.opt.Durable {
		s.persist(ordered(prefixConfig, uint64(c.Group)), tagConfig, c)
	}
}

func (s *Storage) persistEntry(g GroupID, seq Seq, e *Entry) {
	if s.opt.Durable {
		s.persist(ordered(prefixLog, uint64(g), uint64(seq)), tagEntry, e)
	}
}

// unpersistLog deletes a group's entries from one seq to another.
func (s *Storage) unpersistLog(g GroupID, from, to Seq) {
	if s.opt.Durable {
		s.unpersistRange(ordered(prefixLog, uint64(g), uint64(from)), ordered(prefixLog, uint64(g), uint64(to+1)))
	}
}

// progress is what a group's other records are: the log begins after base, and
// the values and sessions are the state at applied. Up to commit, at least, the log is
// committed.
type progress struct {
	base    EntryID
	applied Seq
	commit  Seq
	start   Epoch // of the join that brought this node into the group, or 0
	partial bool  // that join's snapshot is not complete: the values are worth nothing

	// While the join is under way: the attempt that the values are of, and with a
	// complete snapshot the number of its chunks.
	tenure  Epoch
	attempt uint64
	chunks  uint64
}

func (p *progress) code(c *wire.Coder) {
	wire.Uint(c, &p.base.Epoch)
	wire.Uint(c, &p.base.Seq)
	wire.Uint(c, &p.applied)
	wire.Uint(c, &p.commit)
	wire.Uint(c, &p.start)
	c.Bool(&p.partial)
	wire.Uint(c, &p.tenure)
	wire.Uint(c, &p.attempt)
	wire.Uint(c, &p.chunks)
}

func (v *value) code(c *wire.Coder) {
	wire.String(c, &v.data, ValueBytesMax)
	wire.Uint(c, &v.version)
}

func (g *group) persistProgress() {
	if g.s.opt.Durable {
		p := progress{base: g.log.base, applied: g.applied, commit: g.commit, start: g.start}
		g.noted = g.commit
		if j := g.joiner; j != nil {
			p.partial, p.tenure, p.attempt = !j.complete, j.tenure, j.attempt
			if j.complete {
				p.chunks = j.next
			}
		}
		g.s.persist(ordered(prefixProgress, uint64(g.id)), tagProgress, &p)
	}
}

// persistCommit makes the commit point durable on a replica. It goes with the entries of the
// same message, so it seldom takes a sync of its own. A replica that was started again then
// knows what no primary may take back, and tells it to a new one (rule R5).
func (g *group) persistCommit() {
	if g.commit > g.noted {
		g.persistProgress()
	}
}

func (g *group) persistValue(key string) {
	if !g.s.opt.Durable {
		return
	}
	if v, present := g.state.values.get(key); present {
		g.s.persist(g.valueKey(key), tagValue, &v)
	} else {
		g.s.unpersist(g.valueKey(key))
	}
}

func (g *group) persistSession(r *SessionRecord) {
	if g.s.opt.Durable {
		g.s.persist(g.sessionKey(r.ID), tagSession, r)
	}
}

func (g *group) valueKey(key string) string { return ordered(prefixValue, uint64(g.id)) + key }

func (g *group) sessionKey(id Seq) string {
	return ordered(prefixSession, uint64(g.id), uint64(id))
}

// unpersistData deletes all that is held of a group; its epoch stays.
func (g *group) unpersistData() {
	if !g.s.opt.Durable {
		return
	}
	for _, prefix := range []string{prefixLog, prefixValue, prefixSession} {
		g.s.unpersistRange(ordered(prefix, uint64(g.id)), ordered(prefix, uint64(g.id)+1))
	}
}

// restore takes up what an earlier start made durable. The log after the position of the
// durable values is applied as far as it is known to be committed, by start: nothing that is
// not committed may be seen. An error of the Space itself is no damage.
func (s *Storage) restore(space Space) error {
	i, err := readIdentity(space)
	if err != nil || i == nil {
		return err
	}
	s.self.ID, s.cluster, s.boot, s.seen, s.leaseMax, s.manager.ID, s.known = i.id, i.cluster, i.boot, i.seen, i.leaseMax, i.manager, i.known
	if s.leaders.several() || s.manager.ID == anyManager {
		s.manager.ID = 0
	}
	if i.secret != i.known { // the manager may know it, though that was not heard here
		s.secret = i.secret
	}
	if err := s.restoreManagers(space); err != nil {
		return err
	}
	err = space.Range(prefixConfig, func(k, v string) error {
		c := new(Config)
		if err := readRecord(k, v, tagConfig, c); err != nil {
			return fmt.Errorf("core: node %v: %w: %w", i.id, ErrDamaged, err)
		}
		g := newGroup(s, c.Group)
		g.config, g.durable = c, c.Epoch
		s.groups = append(s.groups, g)
		return nil
	})
	if err != nil {
		return err
	}
	found := make([]progress, len(s.groups))
	err = s.eachOf(space, prefixProgress, func(at int, _, k, v string) error {
		return readRecord(k, v, tagProgress, &found[at])
	})
	if err != nil {
		return err
	}
	for at, g := range s.groups {
		g.takeUp(&found[at])
	}
	return s.restoreData(space, found)
}

// eachOf calls f with each record of a kind, the place of its group in s.groups, and the
// part of its key behind the group. What f returns is damage.
func (s *Storage) eachOf(space Space, prefix string, f func(at int, rest, k, v string) error) error {
	return space.Range(prefix, func(k, v string) error {
		text := k[len(prefix):]
		id, ok := number(text)
		at := slices.IndexFunc(s.groups, func(g *group) bool { return g.id == GroupID(id) })
		if !ok || at < 0 {
			return fmt.Errorf("core: node %v: %w: there is a record %q of group %d but no config of it", s.self.ID, ErrDamaged, prefix, id)
		}
		if err := f(at, text[1+text[0]:], k, v); err != nil {
			return s.groups[at].damaged(err)
		}
		return nil
	})
}

// restoreData reads the logs, values and sessions of the groups. Of a group whose snapshot
// is not complete it reads none: start discards them.
func (s *Storage) restoreData(space Space, found []progress) error {
	var r reader
	err := s.eachOf(space, prefixLog, func(at int, _, k, v string) error {
		if found[at].partial {
			return nil
		}
		return s.groups[at].restoreEntry(&r, k, v)
	})
	if err != nil {
		return err
	}
	var v value
	err = s.eachOf(space, prefixValue, func(at int, key, k, text string) error {
		if found[at].partial {
			return nil
		}
		err := r.read(k, text, tagValue, &v)
		s.groups[at].state.values.set(key, v.data, v.version)
		return err
	})
	if err != nil {
		return err
	}
	sessions := make([][]SessionRecord, len(s.groups))
	err = s.eachOf(space, prefixSession, func(at int, _, k, text string) error {
		if found[at].partial {
			return nil
		}
		var record SessionRecord
		err := r.read(k, text, tagSession, &record)
		sessions[at] = append(sessions[at], record)
		return err
	})
	if err != nil {
		return err
	}
	for at, g := range s.groups {
		if found[at].partial {
			continue
		}
		if g.log.last() < g.applied {
			return g.damaged(fmt.Errorf("values of seq %d", g.applied))
		}
		if g.log.last() < g.noted {
			return g.damaged(fmt.Errorf("a commit point of seq %d", g.noted))
		}
		if g.applied < g.log.base.Seq {
			return g.damaged(fmt.Errorf("values of seq %d, and no log before seq %d", g.applied, g.log.base.Seq+1))
		}
		g.state.sessions.restore(sessions[at])
	}
	return nil
}

// damaged says where in a group's records there is damage.
func (g *group) damaged(err error) error {
	return fmt.Errorf("core: node %v, group %d, after seq %d: %w: %w", g.s.self.ID, g.id, g.log.last(), ErrDamaged, err)
}

// takeUp takes up where the group's other records stand.
func (g *group) takeUp(p *progress) {
	g.start = p.start
	if g.config.Joining.ID == g.s.self.ID {
		g.joiner = &joiner{tenure: p.tenure, attempt: p.attempt, next: p.chunks, begun: true, complete: !p.partial, void: p.partial && p.attempt > 0}
	}
	if !p.partial {
		g.log.base, g.applied, g.commit, g.noted = p.base, p.applied, p.applied, p.commit
	}
}

func (g *group) restoreEntry(r *reader, k, v string) error {
	var e Entry
	if err := r.read(k, v, tagEntry, &e); err != nil {
		return err
	}
	if seq := g.log.append(e); k != ordered(prefixLog, uint64(g.id), uint64(seq)) {
		return fmt.Errorf("no entry at seq %d", seq)
	}
	return nil
}

func (m *Manager) persistIdentity() {
	if m.opt.Durable {
		m.persist(keyIdentity, tagIdentity, &identity{id: m.self.ID, cluster: m.cluster, boot: m.boot})
		if m.boot == 1 && m.several == nil { // with the first identity the placement is chosen
			m.persist(keyDirectory, tagDirectory, m.dir.record())
		}
	}
}

func (m *Manager) persistCommand(i Index, c *Command) {
	if m.opt.Durable {
		m.persist(ordered(prefixCommand, uint64(i)), tagCommand, c)
	}
}

// restore takes up the Directory of earlier starts: its records, to which it applies the
// commands that came after. Presumed losses are none of them: a manager judges those afresh.
func (m *Manager) restore(space Space) error {
	i, err := readIdentity(space)
	if err != nil || i == nil {
		return err
	}
	m.self.ID, m.cluster, m.boot = i.id, i.cluster, i.boot
	other := prefixQuorum
	if m.opt.Consensus != nil {
		other = keyDirectory
	}
	err = space.Range(other, func(string, string) error { return fmt.Errorf("core: manager %v: %w", i.id, ErrManagers) })
	if err != nil || m.opt.Consensus != nil {
		return err
	}
	if err := m.dir.restore(space); err != nil {
		return fmt.Errorf("core: manager %v: %w", i.id, err)
	}
	if p := m.opt.Placement; p != 0 && p != m.dir.placement {
		return fmt.Errorf("core: manager %v: %w: it is %v, and %v was asked for", i.id, ErrPlacement, m.dir.placement, p)
	}
	m.fold.from = m.dir.index
	err = space.Range(prefixCommand, func(k, v string) error {
		var c Command
		if err := readRecord(k, v, tagCommand, &c); err != nil {
			return fmt.Errorf("core: manager %v, after index %d: %w: %w", i.id, m.dir.index, ErrDamaged, err)
		}
		a := m.dir.apply(&c)
		m.noteChange(&c, &a)
		if k != ordered(prefixCommand, uint64(m.dir.index)) {
			return fmt.Errorf("core: manager %v: %w: no command at index %d", i.id, ErrDamaged, m.dir.index)
		}
		return nil
	})
	m.proposed = m.dir.index
	return err
}

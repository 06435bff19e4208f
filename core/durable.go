package core

import (
	"encoding/binary"
	"fmt"
	"time"

	"gtstore/core/wire"
)

// The keys of a node's durable space. A storage node keeps its identity, the
// config of each of its groups, and their logs; its maps are what the logs add
// up to. A manager keeps its identity and the commands of its Directory.
const (
	keyIdentity = "identity"
	keyProbe    = "probe" // written by a probe only to see whether it can be

	prefixConfig  = "config/"  // + group
	prefixLog     = "log/"     // + group + seq
	prefixCommand = "command/" // + index
)

const tagIdentity = 0x90

// identity is what a node is across restarts.
type identity struct {
	id       NodeID
	cluster  ClusterID // 0 while a storage node is not registered
	boot     Boot
	index    Index         // the highest Directory index a storage node has seen
	leaseMax time.Duration // the longest lease a storage node may have granted
}

func (i *identity) code(c *wire.Coder) {
	c.Tag(tagIdentity)
	wire.Fixed64(c, &i.id)
	wire.Fixed64(c, &i.cluster)
	wire.Uint(c, &i.boot)
	wire.Uint(c, &i.index)
	wire.Int(c, &i.leaseMax)
}

func (i *identity) record() string {
	c := wire.NewFrame(nil)
	i.code(&c)
	return string(sealRecord(&c, "identity"))
}

// readIdentity returns nil when the space is empty. The identity is the first
// thing a node writes, so records without one are what is left of a damage.
func readIdentity(space Space) (*identity, error) {
	var found *identity
	err := space.Range(keyIdentity, func(_, v string) error {
		c := wire.OpenFrame([]byte(v))
		found = new(identity)
		found.code(&c)
		if err := c.End(); err != nil {
			return fmt.Errorf("core: the identity: %w: %w", errDamaged, err)
		}
		return nil
	})
	if err == nil && found == nil {
		err = space.Range("", func(k, _ string) error {
			return fmt.Errorf("core: %w: there is a record %q but no identity", errDamaged, k)
		})
	}
	return found, err
}

// ordered appends numbers to a prefix so that the keys sort as the numbers do.
func ordered(prefix string, numbers ...uint64) string {
	key := make([]byte, 0, 32)
	key = append(key, prefix...)
	for _, n := range numbers {
		key = binary.BigEndian.AppendUint64(key, n)
	}
	return string(key)
}

func (s *Storage) persist(key, value string) {
	if s.opt.Durable {
		s.out.Persist = append(s.out.Persist, Write{Key: key, Value: value})
	}
}

func (s *Storage) persistIdentity() {
	if s.opt.Durable {
		s.persist(keyIdentity, (&identity{s.self.ID, s.cluster, s.boot, s.index, s.leaseMax}).record())
	}
}

func (s *Storage) persistConfig(c *Config) {
	if s.opt.Durable {
		s.persist(ordered(prefixConfig, uint64(c.Group)), string(AppendConfig(nil, c)))
	}
}

func (s *Storage) persistEntry(g GroupID, seq Seq, e *Entry) {
	if s.opt.Durable {
		s.persist(ordered(prefixLog, uint64(g), uint64(seq)), string(AppendEntry(nil, e)))
	}
}

func (s *Storage) unpersistEntry(g GroupID, seq Seq) {
	if s.opt.Durable {
		s.out.Persist = append(s.out.Persist, Write{Key: ordered(prefixLog, uint64(g), uint64(seq)), Delete: true})
	}
}

// restore takes up what an earlier start made durable. The maps stay empty
// until a commit point is known again: only what is committed may be seen.
func (s *Storage) restore(space Space) error {
	i, err := readIdentity(space)
	if err != nil || i == nil {
		return err
	}
	s.self.ID, s.cluster, s.boot, s.index, s.leaseMax = i.id, i.cluster, i.boot, i.index, i.leaseMax
	err = space.Range(prefixConfig, func(_, v string) error {
		c, err := DecodeConfig(v)
		if err != nil {
			return fmt.Errorf("core: node %v: %w: %w", i.id, errDamaged, err)
		}
		g := newGroup(s, c.Group)
		g.config, g.durable = &c, c.Epoch
		s.groups = append(s.groups, g)
		return nil
	})
	if err != nil {
		return err
	}
	for _, g := range s.groups {
		if err := g.restore(space); err != nil {
			return err
		}
	}
	return space.Range(prefixLog, func(k, _ string) error {
		id := GroupID(0)
		if n := []byte(k[len(prefixLog):]); len(n) >= 8 {
			id = GroupID(binary.BigEndian.Uint64(n))
		}
		if s.group(id) == nil {
			return fmt.Errorf("core: node %v: %w: there is a log of group %d but no config of it", i.id, errDamaged, id)
		}
		return nil
	})
}

func (g *group) restore(space Space) error {
	prefix := ordered(prefixLog, uint64(g.id))
	return space.Range(prefix, func(k, v string) error {
		e, err := DecodeEntry(v)
		if err != nil {
			return fmt.Errorf("core: node %v, group %d, after seq %d: %w: %w", g.s.self.ID, g.id, g.log.last(), errDamaged, err)
		}
		if k != ordered(prefixLog, uint64(g.id), uint64(g.log.append(e))) {
			return fmt.Errorf("core: node %v, group %d: %w: no entry at seq %d", g.s.self.ID, g.id, errDamaged, g.log.last())
		}
		return nil
	})
}

func (m *Manager) persistIdentity() {
	if m.opt.Durable {
		i := identity{id: m.self.ID, cluster: m.cluster}
		m.out.Persist = append(m.out.Persist, Write{Key: keyIdentity, Value: i.record()})
	}
}

func (m *Manager) persistCommand(i Index, c *Command) {
	if m.opt.Durable {
		m.out.Persist = append(m.out.Persist, Write{Key: ordered(prefixCommand, uint64(i)), Value: string(AppendCommand(nil, c))})
	}
}

// restore applies the commands of earlier starts again. Presumed losses are
// none of them: a manager judges those afresh.
func (m *Manager) restore(space Space) error {
	i, err := readIdentity(space)
	if err != nil || i == nil {
		return err
	}
	m.self.ID, m.cluster = i.id, i.cluster
	err = space.Range(prefixCommand, func(k, v string) error {
		c, err := DecodeCommand(v)
		if err != nil {
			return fmt.Errorf("core: manager %v, after index %d: %w: %w", i.id, m.dir.index, errDamaged, err)
		}
		m.dir.apply(&c)
		if k != ordered(prefixCommand, uint64(m.dir.index)) {
			return fmt.Errorf("core: manager %v: %w: no command at index %d", i.id, errDamaged, m.dir.index)
		}
		return nil
	})
	m.proposed = m.dir.index
	return err
}

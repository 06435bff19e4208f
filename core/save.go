package core

// In durable mode the committed log is made durable once more, as values and sessions, which
// then take its place. They follow the commit point a step at a time, so that no batch for
// the disk holds up the node, or those behind it. Whenever a crash comes, the durable values
// and sessions are exactly the state at applied, from which the log goes on: else an entry
// that is applied again could be judged otherwise than before, such as a compare-and-swap.
// The state itself is further on by then, so what each entry did is noted as it is applied.

// What a step takes in at most; the last entry may exceed the bytes. A log of which less is
// to be kept is saved in smaller steps. A key or session that was written often is written
// once a step, so a step that is too short writes a session again for each of its writes.
const (
	saveEntries = 256
	saveBytes   = 256 << 10
	// saveSteps at a time take in what one Replicate brings, so saving keeps up.
	saveSteps = BatchBytesMax / saveBytes
)

// unsaved is what the entries after group.applied did, up to the commit point.
type unsaved struct {
	effects  []bool          // of each: whether a value changed
	sessions []sessionChange // in the order of the log
	bytes    int             // of user data in the entries
}

// sessionChange is a session after the entry at seq, or that there is none any more.
type sessionChange struct {
	seq    Seq
	record SessionRecord // of one that is gone only the id
	gone   bool
}

// note keeps what the entry that was applied last did, until it is saved.
func (g *group) note(e *Entry, effect bool) {
	t, u := &g.state.sessions, &g.unsaved
	if g.s.opt.Durable {
		u.effects = append(u.effects, effect)
		u.bytes += e.bytes()
		for _, id := range t.touched {
			c := sessionChange{seq: g.commit, record: SessionRecord{ID: id}, gone: true}
			if s := t.find(id); s != nil {
				c.record, c.gone = s.record(), false
			}
			u.sessions = append(u.sessions, c)
		}
	}
	t.touched = t.touched[:0]
}

// save makes the durable values and sessions those of a later position, where enough was
// committed since. If it returns true, the progress must be made durable with that.
func (g *group) save() (saved bool) {
	if !g.s.opt.Durable {
		return false
	}
	entries, bytes := Seq(min(saveEntries, g.s.opt.LogKeep)), min(saveBytes, g.s.opt.LogKeepBytes)
	for step := 0; step < saveSteps && (g.commit-g.applied >= entries || g.unsaved.bytes >= bytes); step++ {
		g.saveStep(entries, bytes)
		saved = true
	}
	return saved
}

func (g *group) saveStep(entriesMax Seq, bytesMax int) {
	u, after, bytes := &g.unsaved, g.applied, 0
	for g.applied < g.commit && g.applied-after < entriesMax && bytes < bytesMax {
		g.applied++
		bytes += g.log.at(g.applied).bytes()
	}
	u.bytes -= bytes
	written := make(map[string]bool, g.applied-after)
	for seq := g.applied; seq > after; seq-- {
		e := g.log.at(seq)
		if !u.effects[seq-after-1] || written[e.Key] {
			continue
		}
		written[e.Key] = true
		if e.Kind == OpDelete {
			g.s.unpersist(g.valueKey(e.Key))
		} else {
			g.s.persist(g.valueKey(e.Key), tagValue, &value{e.Value, seq})
		}
	}
	u.effects = u.effects[g.applied-after:]
	g.saveSessions()
}

// saveSessions saves the sessions up to applied. Of each only the last change counts.
func (g *group) saveSessions() {
	u, end := &g.unsaved, 0
	for end < len(u.sessions) && u.sessions[end].seq <= g.applied {
		end++
	}
	written := make(map[Seq]bool)
	for i := end - 1; i >= 0; i-- {
		c := &u.sessions[i]
		switch {
		case written[c.record.ID]:
			continue
		case c.gone:
			g.s.unpersist(g.sessionKey(c.record.ID))
		default:
			g.persistSession(&c.record)
		}
		written[c.record.ID] = true
	}
	u.sessions = u.sessions[end:]
}

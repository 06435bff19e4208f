package check

import (
	"gtstore/core"
	"gtstore/sim"
	"gtstore/sim/splitmix"
)

func (c *checker) onStorageEvent(w *sim.World, h *sim.Host, r *hostRef, e *core.Event) {
	switch e.Kind {
	case core.EventTruncated:
		c.onTruncated(w, h, r.group(e.Group), c.ref(e.Group), e.Seq)
	case core.EventApplied:
		c.onApplied(w, h, r.group(e.Group), c.ref(e.Group), e)
	case core.EventDiscarded:
		c.onDiscarded(w, h, r.group(e.Group), c.ref(e.Group))
	case core.EventInstalled:
		c.onInstalled(w, h, r.group(e.Group), c.ref(e.Group), e.Seq)
	}
}

// onDiscarded: only who is in the chain no more, or not yet, may give up data.
func (c *checker) onDiscarded(w *sim.World, h *sim.Host, hg *hostGroup, g *groupRef) {
	if len(g.configs) > 0 && g.config().Position(h.Peer().ID) >= 0 {
		w.Fail("commit-durable", "%s, a member of group %d at epoch %d, gave up what it holds", h.Name(), hg.id, g.config().Epoch)
	}
	hg.prefixes, hg.commit, hg.digest, hg.serving, hg.unproven, hg.installed, hg.fromDisk = hg.prefixes[:0], 0, 0, false, false, 0, false
}

// onInstalled takes the snapshot for the log that it stands for; whether it is
// right shows when its node and another have committed as much.
func (c *checker) onInstalled(w *sim.World, h *sim.Host, hg *hostGroup, g *groupRef, at core.Seq) {
	if int(at) > len(g.committed) || int(at) > len(g.digests) {
		w.Fail("commit-agreement", "%s has a snapshot of group %d at seq %d, committed to %d", h.Name(), hg.id, at, len(g.committed))
		return
	}
	c.assume(hg, g, at, at)
	hg.installed = at
}

// assume gives a node's group the known history up to the base of its log, and
// the state that belongs to a commit point.
func (c *checker) assume(hg *hostGroup, g *groupRef, base, commit core.Seq) {
	hg.prefixes = append(hg.prefixes[:0], g.committed[:base]...)
	hg.unproven = true
	hg.digest = 0
	if commit > 0 {
		hg.digest = g.digests[commit-1]
	}
	hg.commit = min(base, commit)
}

// prove compares a state that came as a whole with what others had at that commit point.
func (c *checker) prove(w *sim.World, h *sim.Host, s *core.Storage, i int, hg *hostGroup) {
	want := c.ref(hg.id).state(hg.commit)
	if want == 0 {
		return
	}
	if want != s.StateHash(i) {
		w.Fail("state-agreement", "%s has another state of group %d at seq %d than others had", h.Name(), hg.id, hg.commit)
	}
	hg.unproven = false
}

func (c *checker) onTruncated(w *sim.World, h *sim.Host, hg *hostGroup, g *groupRef, from core.Seq) {
	if len(hg.prefixes) >= int(from) {
		hg.prefixes = hg.prefixes[:from-1]
	}
	if int(from) <= len(g.committed) && g.config().Position(h.Peer().ID) >= 0 {
		w.Fail("commit-truncated", "%s cut group %d's log from seq %d, committed to %d", h.Name(), hg.id, from, len(g.committed))
	}
}

func (c *checker) onApplied(w *sim.World, h *sim.Host, hg *hostGroup, g *groupRef, e *core.Event) {
	what := uint64(e.Status)
	if e.Effect {
		what |= 1 << 32
		key := effect{e.Session, e.OpSeq}
		if at, ok := g.effects[key]; ok && at != e.Seq {
			w.Fail("exactly-once", "%s, group %d: operation %d of session %d took effect at seq %d and at seq %d", h.Name(), hg.id, e.OpSeq, e.Session, at, e.Seq)
		}
		g.effects[key] = e.Seq
		if _, ok := g.denied[key]; ok {
			w.Fail("exactly-once", "%s, group %d: operation %d of session %d takes effect at seq %d, and its client was told that it never does", h.Name(), hg.id, e.OpSeq, e.Session, e.Seq)
		}
	}
	if hg.reconciled {
		c.hear(w, h, hg.id, e.Session)
	}
	hg.digest = splitmix.Mix(hg.digest, splitmix.Mix(uint64(e.Seq)<<32^uint64(e.Session), e.OpSeq<<40^what))
	switch n := int(e.Seq); {
	case n == len(g.digests)+1:
		g.digests = append(g.digests, hg.digest)
	case n > len(g.digests) || g.digests[n-1] != hg.digest:
		w.Fail("state-agreement", "%s, group %d: applying the entry at seq %d gave another result (%v) than elsewhere", h.Name(), hg.id, e.Seq, e.Status)
	}
}

// viewsOf shows a node's part in its groups, in the node's own order. The views are good until the
// next call.
func (c *checker) viewsOf(w *sim.World, h *sim.Host, s *core.Storage) []core.GroupView {
	c.views = c.views[:0]
	for i := range s.Groups() {
		c.views = append(c.views, s.Group(i, w.Local(h)))
	}
	return c.views
}

// checkStorage looks at what an event may have changed in a storage node.
func (c *checker) checkStorage(w *sim.World, h *sim.Host, s *core.Storage, r *hostRef, views []core.GroupView) {
	for i := range views {
		v := &views[i]
		hg := r.group(v.Group)
		fromDisk := v.Base > 0 || v.Commit > 0 && hg.digest == 0 // it was never seen to apply anything
		if fromDisk && len(hg.prefixes) == 0 && !c.restored(w, h, hg, v) {
			return
		}
		if int(v.Base) > len(hg.prefixes) && !c.trimmed(w, h, hg, v.Base) {
			return
		}
		if int(v.Last) != len(hg.prefixes) {
			c.checkLog(w, h, s, i, hg, v)
		}
		if v.Config.Epoch != hg.epoch || v.Durable != hg.durable {
			c.checkEpoch(w, h, s, r, hg, v)
			c.checkFormer(w, h, s)
		}
		if v.Commit != hg.commit {
			c.checkCommit(w, h, hg, v.Commit)
			if !hg.unproven {
				c.ref(v.Group).noteState(s, i, v.Commit)
			}
		}
		if v.Serving && !hg.serving {
			g := c.ref(v.Group)
			c.checkServing(w, h, hg, g, v.Config.Epoch)
			c.checkPromotionTime(w, hg, v.Config)
		}
		hg.serving, hg.primary, hg.reconciled, hg.pending = v.Serving, v.Primary, v.Serving, v.Pending
		if hg.unproven && v.Commit == hg.commit && !v.Partial {
			c.prove(w, h, s, i, hg)
		}
		if v.Primary && v.Required < len(v.Config.Chain) {
			w.Fail("required-set", "%s, primary of group %d at epoch %d, requires %d of %d members", h.Name(), v.Group, v.Config.Epoch, v.Required, len(v.Config.Chain))
		}
		if v.Primary {
			c.checkLimits(w, h, v)
		}
		if v.Primary && !v.Counted {
			w.Fail("books", "%s, primary of group %d at epoch %d, has no write under way, and counts some", h.Name(), v.Group, v.Config.Epoch)
		}
		if c.leases && v.Serving {
			c.checkReaders(w, h, v)
		}
	}
}

// restored takes up what a process that just started found on its disk: a log
// without its beginning, and a state.
func (c *checker) restored(w *sim.World, h *sim.Host, hg *hostGroup, v *core.GroupView) bool {
	g := c.ref(v.Group)
	if int(v.Base) > len(g.committed) || int(v.Commit) > len(g.digests) {
		w.Fail("commit-agreement", "%s restarted with group %d trimmed to seq %d and applied to %d, committed to %d", h.Name(), v.Group, v.Base, v.Commit, len(g.committed))
		return false
	}
	c.assume(hg, g, v.Base, v.Commit)
	hg.fromDisk = true
	return true
}

// trimmed takes in that a node which goes on from what it held has got entries and trimmed
// them at once: all others hold them. Their results are held against the others' as they are
// applied, and the state as a whole as if it had come with a snapshot.
func (c *checker) trimmed(w *sim.World, h *sim.Host, hg *hostGroup, base core.Seq) bool {
	g := c.ref(hg.id)
	n := len(hg.prefixes)
	if int(base) > len(g.committed) || n > 0 && hg.prefixes[n-1] != g.committed[n-1] {
		w.Fail("commit-agreement", "%s trimmed group %d's log to seq %d, committed to %d", h.Name(), hg.id, base, len(g.committed))
		return false
	}
	hg.prefixes = append(hg.prefixes, g.committed[n:base]...)
	hg.unproven = true
	return true
}

// checkLog hashes the entries that are new and holds them against the others'.
func (c *checker) checkLog(w *sim.World, h *sim.Host, s *core.Storage, i int, hg *hostGroup, v *core.GroupView) {
	last := v.Last
	if int(last) < len(hg.prefixes) {
		w.Fail("log-matching", "%s: group %d's log went back from seq %d to %d without a word", h.Name(), hg.id, len(hg.prefixes), last)
		return
	}
	g := c.ref(hg.id)
	hash := uint64(0)
	if n := len(hg.prefixes); n > 0 {
		hash = hg.prefixes[n-1]
	}
	for seq := core.Seq(len(hg.prefixes)) + 1; seq <= last; seq++ {
		e := s.Entry(i, seq)
		hash = splitmix.Mix(hash, hashEntry(e))
		at := core.EntryID{Epoch: e.Epoch, Seq: seq}
		if known, ok := g.prefixes[at]; !ok {
			g.prefixes[at] = hash
		} else if known != hash {
			w.Fail("log-matching", "%s: group %d's log up to seq %d, epoch %d, is not what another node has", h.Name(), hg.id, seq, e.Epoch)
		}
		hg.prefixes = append(hg.prefixes, hash)
		if v.Primary && e.Epoch == v.Config.Epoch {
			c.onAppended(w, h, hg, e, v)
		}
	}
}

func hashEntry(e *core.Entry) uint64 {
	x := splitmix.Mix(uint64(e.Epoch)<<32^uint64(e.Session), e.OpSeq<<8^uint64(e.Kind))
	return splitmix.Mix(x, hashString(e.Key)^hashString(e.Value)*3^uint64(e.Version)<<40)
}

// hashedMax is how much of a long value is hashed: what it was padded from stands
// at its beginning.
const hashedMax = 1 << 10

func hashString(s string) uint64 {
	h := uint64(14695981039346656037)
	if n := len(s); n > hashedMax {
		s = s[:hashedMax]
		h ^= uint64(n)
	}
	for i := 0; i < len(s); i++ {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

func (c *checker) checkEpoch(w *sim.World, h *sim.Host, s *core.Storage, r *hostRef, hg *hostGroup, v *core.GroupView) {
	g := c.ref(hg.id)
	if v.Config.Epoch != hg.epoch {
		n := int(v.Config.Epoch)
		switch {
		case v.Config.Epoch < hg.epoch:
			w.Fail("epoch-memory", "%s went back from epoch %d of group %d to %d", h.Name(), hg.epoch, hg.id, n)
		case n > len(g.configs) || g.configs[n-1] == nil || !sameConfig(g.configs[n-1], v.Config):
			w.Fail("config-agreement", "%s adopted a config of group %d at epoch %d that was never issued", h.Name(), hg.id, n)
		}
		hg.epoch = v.Config.Epoch
		hg.out = v.Config.Position(s.ID()) < 0 && v.Config.Joining.ID != s.ID()
	}
	hg.durable = v.Durable
	r.durable[nodeGroup{s.ID(), hg.id}] = v.Durable
}

// checkCommit: whoever commits, commits the same; and the first to commit, the
// primary, does so only when every member that counts has the entry.
func (c *checker) checkCommit(w *sim.World, h *sim.Host, hg *hostGroup, commit core.Seq) {
	g := c.ref(hg.id)
	if commit < hg.commit || int(commit) > len(hg.prefixes) {
		w.Fail("commit-agreement", "%s: group %d's commit point went from %d to %d, log to %d", h.Name(), hg.id, hg.commit, commit, len(hg.prefixes))
		return
	}
	fresh := false
	for seq := hg.commit + 1; seq <= commit; seq++ {
		switch n := int(seq); {
		case n > len(g.committed):
			g.committed = append(g.committed, hg.prefixes[n-1])
			g.at = append(g.at, hg.epoch)
			fresh = true
		case g.committed[n-1] != hg.prefixes[n-1]:
			w.Fail("commit-agreement", "%s committed another entry at seq %d of group %d than was committed before", h.Name(), seq, hg.id)
			return
		}
	}
	hg.commit = commit
	if !fresh {
		return
	}
	for _, p := range g.config().Chain {
		if member := c.owner[p.ID]; member != nil && member.Up() && member.Peer().ID == p.ID {
			c.checkHolds(w, member, hg.id, g, "was")
		}
	}
}

// checkHolds: a chain member whose data exists holds every committed entry.
func (c *checker) checkHolds(w *sim.World, h *sim.Host, id core.GroupID, g *groupRef, when string) {
	n := len(g.committed)
	if n == 0 {
		return
	}
	for _, hg := range c.hosts[h.Index()].groups {
		if hg.id == id && len(hg.prefixes) >= n && hg.prefixes[n-1] == g.committed[n-1] {
			return
		}
	}
	w.Fail("commit-durable", "%s, a member of group %d at epoch %d, %s without the committed entry at seq %d", h.Name(), id, g.config().Epoch, when, n)
}

func (c *checker) checkServing(w *sim.World, h *sim.Host, hg *hostGroup, g *groupRef, epoch core.Epoch) {
	n := len(g.committed)
	for n > 0 && g.at[n-1] > epoch { // by a later primary, of which a deposed one may not know
		n--
	}
	if n > 0 && (len(hg.prefixes) < n || hg.prefixes[n-1] != g.committed[n-1]) {
		w.Fail("serving-complete", "%s serves group %d at epoch %d without the committed entry at seq %d", h.Name(), hg.id, epoch, n)
	}
}

// checkReaders: while a primary serves, none of a lower epoch may still serve
// alone, for it would not know what this one commits.
func (c *checker) checkReaders(w *sim.World, h *sim.Host, v *core.GroupView) {
	for i, r := range c.hosts {
		other := w.Hosts()[i]
		if other == h || !other.Up() {
			continue
		}
		for _, hg := range r.groups {
			if hg.id != v.Group || !hg.serving || hg.epoch == v.Config.Epoch {
				continue
			}
			old, last := other, hg.epoch
			view, _ := c.view(w, other, v.Group)
			alone := view.Alone
			if hg.epoch > v.Config.Epoch {
				old, last, alone = h, v.Config.Epoch, v.Alone
			}
			if alone {
				w.Fail("two-readers", "%s still serves group %d alone at epoch %d while a later primary serves", old.Name(), v.Group, last)
			}
		}
	}
}

package cluster

import (
	"encoding/binary"

	"gtstore/core"
)

func appendNumber(b []byte, n uint64) []byte { return binary.LittleEndian.AppendUint64(b, n) }

func appendText(b []byte, s string) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

// facts are what the checks want to know of a node, worked out once.
type facts struct {
	known    bool // it knows of the group
	epoch    core.Epoch
	durable  core.Epoch
	config   key // of the config of that epoch
	base     core.EntryID
	commit   core.Seq
	entries  []entry // of the log behind the base
	values   uint64  // hash of what the state holds
	primary  bool
	serving  bool
	alone    bool
	partial  bool
	required int
	chain    int
	short    bool // fewer than what takes writes

	sum uint64 // of all these: what is equal in it looks the same to the checks
}

// entry is what is known of a log's entry.
type entry struct {
	epoch core.Epoch
	hash  uint64
	op    [2]uint64 // the session and number of an operation, or zeros
}

// factsOf looks at a node.
func factsOf(s *core.Storage, now core.Time) (f facts) {
	at := 0
	for at < s.Groups() && s.Group(at, now).Group != group {
		at++
	}
	if at == s.Groups() {
		return f
	}
	v := s.Group(at, now)
	f = facts{
		known: true, epoch: v.Config.Epoch, durable: v.Durable, config: configKey(v.Config), base: core.EntryID{Seq: v.Base}, commit: v.Commit,
		primary: v.Primary, serving: v.Serving, alone: v.Alone, partial: v.Partial, required: v.Required, chain: len(v.Config.Chain),
		short: len(v.Config.Chain) < int(v.Config.MinChain),
	}
	var b []byte
	for seq := v.Base + 1; seq <= v.Last; seq++ {
		e := s.Entry(at, seq)
		b = appendNumber(appendNumber(append(b[:0], byte(e.Kind)), uint64(e.Epoch)), uint64(e.Owner))
		b = appendNumber(appendNumber(appendNumber(b, uint64(e.Session)), e.OpSeq), uint64(e.Version))
		f.entries = append(f.entries, entry{e.Epoch, keyOf(appendText(appendText(b, e.Key), e.Value))[0], [2]uint64{uint64(e.Session), e.OpSeq}})
	}
	for k, v := range s.Values(at) {
		b = appendText(appendText(appendNumber(b[:0], uint64(v.Version)), k), v.Data)
		f.values += keyOf(b)[0] // in any order
	}
	b = appendNumber(b[:0], f.values)
	for _, n := range []uint64{uint64(f.epoch), uint64(f.durable), f.config[0], uint64(f.base.Seq), uint64(f.commit), uint64(f.required), uint64(f.chain)} {
		b = appendNumber(b, n)
	}
	for _, v := range []bool{f.known, f.primary, f.serving, f.alone, f.partial} {
		n := byte(0)
		if v {
			n = 1
		}
		b = append(b, n)
	}
	for _, e := range f.entries {
		b = appendNumber(b, e.hash)
	}
	f.sum = keyOf(b)[0]
	return f
}

func (f *facts) last() core.Seq { return f.base.Seq + core.Seq(len(f.entries)) }

// at returns the entry at seq, which must be behind the base and not beyond the last.
func (f *facts) at(seq core.Seq) *entry { return &f.entries[seq-f.base.Seq-1] }

// check judges what needs nobody else.
func (f *facts) check(h *host) *broken {
	switch {
	case f.primary && f.required < f.chain:
		return brokenf("required-set", "%s, primary at epoch %d, requires %d of %d members", hostName(h.index), f.epoch, f.required, f.chain)
	case f.known && f.commit > f.last():
		return brokenf("commit-agreement", "%s has committed to %d, and its log ends at %d", hostName(h.index), f.commit, f.last())
	}
	return nil
}

func configKey(c *core.Config) key { return keyOf(configFrame(c)) }

func configFrame(c *core.Config) []byte {
	return core.AppendEnvelope(nil, &core.Envelope{Cluster: cluster, From: managerPeer, To: managerPeer, Body: c})
}

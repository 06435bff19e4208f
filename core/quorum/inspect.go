package quorum

import (
	"errors"
	"strings"

	pb "go.etcd.io/raft/v3/raftpb"

	"gtstore/core"
)

// Inspect is core.Inspect, and of one of several managers it reads the quorum's records, too: the
// Directory as far as the log goes, and how many commands at the end may not be agreed on. What
// does not fit together is noted as damage. Where there was damage before, or nothing was agreed
// on yet, it adds nothing. The error is one of reading that is no damage.
func Inspect(space core.Space) (*core.DiskReport, error) {
	r, err := core.Inspect(space)
	if err == nil && r.Quorum > 0 && r.Damaged == 0 {
		err = inspect(space, r)
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

func inspect(space core.Space, r *core.DiskReport) error {
	dir := new(core.DirectoryReader)
	n := &Node{opt: Options{Durable: true}, machine: dir}
	n.log.node = n
	var state stateRecord
	err := readOne(space, keyState, tagState, &state)
	if n.self.ID = state.id; err == nil && state.id != 0 {
		err = n.restore(space)
	}
	switch {
	case errors.Is(err, core.ErrDamaged):
		note(r, err)
		return nil
	case err != nil:
		return err
	}
	pending := 0
	for i := n.applied.Index + 1; i <= n.log.last(); i++ {
		e := n.log.at(i)
		if e.GetType() == pb.EntryConfChangeV2 || len(e.GetData()) == 0 {
			continue
		}
		dir.Apply(string(e.GetData()))
		if i > n.log.hard.commit {
			pending++
		}
	}
	if dir.Err() != nil {
		note(r, dir.Err())
	}
	if d := dir.Directory(); d != nil {
		r.Directory, r.Directory.Pending = *d, pending
	}
	return nil
}

// note notes damage without what the report says already.
func note(r *core.DiskReport, err error) {
	text := strings.ReplaceAll(err.Error(), core.ErrDamaged.Error()+": ", "")
	r.Note(core.DiskDamage{Record: strings.TrimSuffix(keyState, "/state"), Err: errors.New(strings.TrimPrefix(text, "quorum: "))})
}

package core

// directorySeen is what a storage node has seen of its manager's Directory, over the starts
// of both. It is durable with what comes next, and tells whether a manager that started has
// all that it once had.
type directorySeen struct {
	index  Index  // the highest that a ping told
	boot   Boot   // the last start of the manager that was heard
	start  uint64 // which it was
	before Index  // the highest index that earlier starts had told
	noted  Index  // the index that is durable, or on its way to be
}

// hear takes in a ping, and returns the index with which that start of the manager must
// have begun, at least. Its own index says nothing about that: a manager that lost
// commands goes on from there, and is soon above what it had before. ok is false if the
// ping is of an earlier start than the last, or of another one that counts as many: from a
// copy of the manager's data.
func (v *directorySeen) hear(p *Ping) (least Index, ok bool) {
	switch {
	case p.Boot > v.boot && p.Began < v.index: // it must halt, and is not the one to hear
		return v.index, true
	case p.Boot > v.boot:
		v.boot, v.start, v.before = p.Boot, p.Start, v.index
	}
	if p.Boot < v.boot || p.Start != v.start {
		return 0, false
	}
	v.index = max(v.index, p.Index)
	return v.before, true
}

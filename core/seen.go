package core

// directorySeen is what a storage node has seen of its manager's Directory, over the starts
// of both. It is durable with what comes next, and tells whether a manager that started has
// all that it once had.
type directorySeen struct {
	index  Index // the highest that a ping told
	boot   Boot  // the last start of the manager that was heard
	began  Index // of the Directory when that start began
	before Index // the highest index that earlier starts had told
	noted  Index // the index that is durable, or on its way to be
}

// hear takes in a ping, and returns the index with which that start of the manager must
// have begun, at least. Its own index says nothing about that: a manager that lost
// commands goes on from there, and is soon above what it had before.
func (v *directorySeen) hear(p *Ping) (least Index) {
	if p.Boot > v.boot {
		v.boot, v.began, v.before = p.Boot, p.Began, v.index
	}
	least = v.before
	if p.Boot < v.boot || p.Began != v.began { // two starts count alike: what the first had is gone
		least = v.index
	}
	v.index = max(v.index, p.Index)
	return least
}

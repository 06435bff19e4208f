package cluster

import (
	"encoding/json"
	"slices"

	"gtstore/core"
)

// record is what the checks of several managers must know of the past. It is never changed.
type record struct {
	Clusters []clusterRecord // by id
	Owners   []owner         // by id
	Gone     []core.NodeID   // whose data is no more, by id
	Answers  []answered      // by ask
}

// clusterRecord is what was ever seen of a cluster.
type clusterRecord struct {
	ID      core.ClusterID
	Agreed  []agreed // by the position in the log; zero where nobody was seen with it
	Leaders []leader // in the order in which they began

	// Of one that has applied a command, so that somebody may rely on it:
	Relied  bool
	Settled core.Term // of the leader who was seen last with members who do not change
	Members []core.NodeID
	Before  []core.NodeID // amid a change
}

// agreed is the state of who has applied the log so far, and the term of its last entry.
type agreed struct {
	State uint64
	Term  core.Term
}

type leader struct {
	Term core.Term
	Node core.NodeID
}

// owner is who was ever of a cluster.
type owner struct {
	Node    core.NodeID
	Cluster core.ClusterID
}

// answer is the answer to an ask.
type answer struct {
	ask    int
	status core.Status
	group  core.GroupID
}

// answered is the group that was told to an ask, and to which asks one had been told when this
// one was put.
type answered struct {
	Group core.GroupID
	After []int
}

func (r *record) append(b []byte) []byte {
	list := func(ids []core.NodeID) {
		b = appendNumber(b, uint64(len(ids)))
		for _, id := range ids {
			b = appendNumber(b, uint64(id))
		}
	}
	b = appendNumber(b, uint64(len(r.Clusters)))
	for i := range r.Clusters {
		c := &r.Clusters[i]
		b = appendNumber(appendNumber(b, uint64(c.ID)), uint64(len(c.Agreed)))
		for _, a := range c.Agreed {
			b = appendNumber(appendNumber(b, a.State), uint64(a.Term))
		}
		b = appendNumber(b, uint64(len(c.Leaders)))
		for _, l := range c.Leaders {
			b = appendNumber(appendNumber(b, uint64(l.Term)), uint64(l.Node))
		}
		relied := byte(0)
		if c.Relied {
			relied = 1
		}
		b = appendNumber(append(b, relied), uint64(c.Settled))
		list(c.Members)
		list(c.Before)
	}
	b = appendNumber(b, uint64(len(r.Owners)))
	for _, o := range r.Owners {
		b = appendNumber(appendNumber(b, uint64(o.Node)), uint64(o.Cluster))
	}
	list(r.Gone)
	for _, a := range r.Answers {
		b = appendNumber(appendNumber(b, uint64(a.Group)), uint64(len(a.After)))
		for _, i := range a.After {
			b = append(b, byte(i))
		}
	}
	return b
}

func (r *record) clone() *record {
	n := &record{slices.Clone(r.Clusters), slices.Clone(r.Owners), slices.Clone(r.Gone), slices.Clone(r.Answers)}
	for i := range n.Clusters {
		n.Clusters[i].Agreed, n.Clusters[i].Leaders = slices.Clone(n.Clusters[i].Agreed), slices.Clone(n.Clusters[i].Leaders)
	}
	return n
}

// text and parseRecord are for the state file.
func (r *record) text() string {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // it has nothing that has no form
	}
	return string(b)
}

func parseRecord(text string) (*record, error) {
	r := &record{}
	return r, json.Unmarshal([]byte(text), r)
}

// cluster is what is known of a cluster.
func (r *record) cluster(id core.ClusterID) *clusterRecord {
	i, found := slices.BinarySearchFunc(r.Clusters, id, func(c clusterRecord, id core.ClusterID) int { return compare(c.ID, id) })
	if !found {
		r.Clusters = slices.Insert(r.Clusters, i, clusterRecord{ID: id})
	}
	return &r.Clusters[i]
}

func compare[T ~uint64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// own notes of which cluster somebody is. It returns another one of which it was before, or 0.
func (r *record) own(id core.NodeID, c core.ClusterID) core.ClusterID {
	i, found := slices.BinarySearchFunc(r.Owners, id, func(o owner, id core.NodeID) int { return compare(o.Node, id) })
	if !found {
		r.Owners = slices.Insert(r.Owners, i, owner{id, c})
	}
	if was := r.Owners[i].Cluster; was != c {
		return was
	}
	return 0
}

func (r *record) lose(id core.NodeID) {
	if i, found := slices.BinarySearch(r.Gone, id); !found {
		r.Gone = slices.Insert(r.Gone, i, id)
	}
}

// lives tells whether a majority of a cluster's members have their data.
func (r *record) lives(c *clusterRecord) bool {
	for _, list := range [][]core.NodeID{c.Members, c.Before} {
		left := 0
		for _, id := range list {
			if !slices.Contains(r.Gone, id) {
				left++
			}
		}
		if len(list) > 0 && left < len(list)/2+1 {
			return false
		}
	}
	return true
}

// lookAtSeat holds what a manager has come to against what is known of the past.
func (m *Model) lookAtSeat(id, hostID uint32, e *edge) *ghostEdge {
	r, h := m.ghosts.at(id).record.clone(), m.hosts.at(hostID)
	b := r.ends(h, e)
	if b == nil && h.up() && h.seat.view.Cluster != 0 {
		b = r.sees(h)
	}
	for i := 0; i < len(e.answers) && b == nil; i++ {
		b = r.hear(m, &e.answers[i], seatName(h.index))
	}
	if b != nil {
		return &ghostEdge{id, b}
	}
	return &ghostEdge{to: m.keepGhost(&ghost{record: r})}
}

// ends notes whose data is no more.
func (r *record) ends(h *host, e *edge) *broken {
	if e.gone == 0 {
		return nil
	}
	for i := range r.Clusters {
		if c := &r.Clusters[i]; e.anew && c.Relied && slices.Contains(c.Members, e.gone) && r.lives(c) {
			return brokenf("anew-though-relied-on", "%s begins anew, but it is %v of cluster %v, which has applied a command and lives", seatName(h.index), e.gone, c.ID)
		}
	}
	r.lose(e.gone)
	return nil
}

// sees looks at a manager that is of a cluster.
func (r *record) sees(h *host) *broken {
	s, name := h.seat, seatName(h.index)
	v := &s.view
	if other := r.own(s.self, v.Cluster); other != 0 {
		return brokenf("another-cluster", "%s is of cluster %v under the id %v, with which it was of cluster %v", name, v.Cluster, s.self, other)
	}
	for _, list := range [][]core.Peer{v.Members.Voters, v.Members.Outgoing} {
		for _, p := range list {
			if i := slices.IndexFunc(r.Owners, func(o owner) bool { return o.Node == p.ID && o.Cluster != v.Cluster }); i >= 0 {
				return brokenf("another-cluster", "%s counts on %v, which is of another cluster", name, p.ID)
			}
		}
	}
	c := r.cluster(v.Cluster)
	if v.Led != 0 {
		for _, l := range c.Leaders {
			if l.Term == v.Led && l.Node != s.self {
				return brokenf("one-leader", "%s and %v both lead term %d", name, l.Node, v.Led)
			}
		}
		if l := (leader{v.Led, s.self}); !slices.Contains(c.Leaders, l) {
			c.Leaders = append(c.Leaders, l)
		}
	}
	if b := c.agree(s, name); b != nil {
		return b
	}
	return r.rely(h, v.Cluster)
}

// agree holds what a manager has applied against what others had.
func (c *clusterRecord) agree(s *seat, name string) *broken {
	at := s.view.Applied
	if at.Index == 0 {
		return nil
	}
	for len(c.Agreed) <= int(at.Index) {
		c.Agreed = append(c.Agreed, agreed{})
	}
	now := agreed{s.state, at.Term}
	if was := &c.Agreed[at.Index]; *was == (agreed{}) {
		*was = now
	} else if *was != now {
		return brokenf("state-agreement", "%s has another state, or other managers, at %d than another manager had", name, at.Index)
	}
	if s.leads == 0 {
		return nil
	}
	for i := int(at.Index) + 1; i < len(c.Agreed); i++ {
		if a := &c.Agreed[i]; *a != (agreed{}) && a.Term < s.leads {
			return brokenf("leader-complete", "%s leads term %d, has applied all up to %d, and lacks what was agreed on at %d in term %d", name, s.leads, at.Index, i, a.Term)
		}
	}
	return nil
}

// rely notes that somebody may rely on a cluster. There must be no other one.
func (r *record) rely(h *host, id core.ClusterID) *broken {
	s := h.seat
	if s.index == 0 || len(s.view.Members.Voters) == 0 {
		return nil
	}
	for i := range r.Clusters {
		if c := &r.Clusters[i]; c.ID != id && c.Relied && r.lives(c) {
			return brokenf("one-cluster", "%s has applied a command of cluster %v, and there is cluster %v, which lives", seatName(h.index), id, c.ID)
		}
	}
	c := r.cluster(id)
	if c.Relied && (!s.view.Settled || s.view.Led < c.Settled) {
		return nil
	}
	c.Relied, c.Settled = true, max(c.Settled, s.view.Led)
	c.Members, c.Before = idsOf(s.view.Members.Voters), idsOf(s.view.Members.Outgoing)
	return nil
}

func idsOf(peers []core.Peer) (list []core.NodeID) {
	for _, p := range peers {
		list = append(list, p.ID)
	}
	return list
}

// put notes that an ask is put.
func (r *record) put(i int) *record {
	n := r.clone()
	for j := range n.Answers {
		if n.Answers[j].Group != 0 {
			n.Answers[i].After = append(n.Answers[i].After, j)
		}
	}
	return n
}

// hear judges an answer.
func (r *record) hear(m *Model, a *answer, name string) *broken {
	asks := m.scenario.asks
	switch {
	case a.group != 0:
		for j := range r.Answers {
			if g := r.Answers[j].Group; g != 0 && g != a.group && asks[j].key == asks[a.ask].key {
				return brokenf("key-moved", "%s says that the group of %s is %d, and it was said to be %d", name, asks[j].key, a.group, g)
			}
		}
		r.Answers[a.ask].Group = a.group
	case a.status == core.StatusNotFound:
		for _, j := range r.Answers[a.ask].After {
			if asks[j].key == asks[a.ask].key {
				return brokenf("denied-falsely", "%s says that %s has no group, which was asked after it was said to have group %d", name, asks[j].key, r.Answers[j].Group)
			}
		}
	}
	return nil
}

package admin

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"gtstore/core"
	"gtstore/netrpc"
)

// metric describes one metric whose value is read when somebody asks.
func metric(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("gtstore_"+name, help, labels, nil)
}

var (
	nodeInfo       = metric("node_info", "1; who this node is.", "role", "name", "id", "cluster")
	ready          = metric("ready", "1 if the node does what it is there for, as /readyz says.")
	eventsTotal    = metric("events_total", "Events of the core by kind.", "kind")
	rejectedTotal  = metric("messages_rejected_total", "Messages that were not taken in: refused (for another node or cluster), fenced (of an earlier epoch), dropped (they make no sense here).", "why")
	inboxMessages  = metric("inbox_messages", "Messages that wait for the node's loop.")
	inboxMax       = metric("inbox_max_messages", "The most of them.")
	peerQueue      = metric("peer_queue_messages", "Messages that wait to leave for peers.")
	lostTotal      = metric("messages_lost_total", "Messages that did not leave: full (no room in a queue), unreachable (no connection could be made), gone (the client's connection is).", "where")
	tlsRefused     = metric("tls_refused_total", "Connections that were refused or ended for what certificates say: handshake (none that is good here, or somebody else than belongs there), message (its peer said what it may not), ended (with a certificate, or as its name was denied).", "why")
	budgetUsed     = metric("budget_used_bytes", "Bytes held: connections (for those who connect here), peers (what waits for peers), writes (that are not committed).", "budget")
	budgetMax      = metric("budget_max_bytes", "The most of them.", "budget")
	connections    = metric("connections", "Connections that others have made.")
	connectionsMax = metric("connections_max", "The most of them.")
	linesLost      = metric("log_lines_lost_total", "Lines of the log that nobody read in time.")
	syncsUnderWay  = metric("syncs_under_way", "Batches on their way to the disk.")
	diskLag        = metric("disk_lag_seconds", "For how long something has waited for the disk, or a manager's command for the other managers.")

	registered    = metric("registered", "1 if the manager has taken the node in.")
	heartbeatAge  = metric("manager_heartbeat_age_seconds", "Since the manager was last heard.")
	groupEpoch    = metric("group_epoch", "The highest epoch that this node knows.", "group")
	groupRole     = metric("group_role", "1 for the node's role in the group.", "group", "role")
	groupServing  = metric("group_serving", "1 if this node serves the group as its primary.", "group")
	groupMembers  = metric("group_members", "Members of the chain in that epoch.", "group")
	groupKeys     = metric("group_keys", "Keys that exist.", "group")
	groupBytes    = metric("group_value_bytes", "Bytes of keys and values.", "group")
	groupLog      = metric("group_log_entries", "Entries of the log that are kept.", "group")
	groupLogBytes = metric("group_log_bytes", "Bytes of keys and values in them.", "group")
	groupCommit   = metric("group_commit_seq", "The commit point.", "group")
	groupSessions = metric("group_sessions", "Open sessions.", "group")
	groupPending  = metric("group_pending_writes", "Writes that are not committed.", "group")
	groupWaiting  = metric("group_waiting_requests", "Gets that wait for the members' word, and requests that are parked.", "group")
	ackLag        = metric("member_ack_lag_entries", "Entries of the primary's log that a member has not acked.", "group", "member")
	ackAge        = metric("member_ack_age_seconds", "For how long the primary has waited for a member's progress; 0 if it owes nothing.", "group", "member")

	managerLeads  = metric("manager_leads", "1 if this manager leads; one that is alone does.")
	managerTerm   = metric("manager_term", "In which it leads, or has led last; 0 for one that is alone.")
	dirIndex      = metric("directory_index", "Changes of the cluster that this manager has applied.")
	clusterNodes  = metric("cluster_nodes", "Storage nodes by state.", "state")
	clusterSpares = metric("cluster_spares", "Nodes in no group that can be used now.")
	clusterGroups = metric("cluster_groups", "Groups by state.", "state")
	clusterJoins  = metric("cluster_joins", "Joins under way.")
	clusterKeys   = metric("cluster_keys", "Keys that exist.")
	clusterMapped = metric("cluster_mapped", "Keys, or slots, that have a group.")
	nodeAge       = metric("node_heartbeat_age_seconds", "Since a node last answered a ping in time.", "node", "name")
	evictions     = metric("evictions_total", "Members removed from their chains, by cause.", "cause")
	joins         = metric("joins_total", "Joins by what came of them: begun, joined, ended (given up).", "result")
)

// Describe implements prometheus.Collector. It names no metric: which there are depends on the
// node's role, and the registry then checks each scrape instead.
func (a *Admin) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (a *Admin) Collect(to chan<- prometheus.Metric) {
	s := sink(to)
	st, why := a.look()
	o := a.observer
	cluster := ""
	if st != nil && st.cluster != 0 {
		cluster = st.cluster.String()
	}
	s.gauge(nodeInfo, 1, a.role, a.name, a.id(), cluster)
	s.gauge(ready, truth(len(why) == 0))
	for k := core.EventKind(1); int(k) < core.EventKindCount; k++ {
		s.counter(eventsTotal, o.events[k].Load(), k.String())
	}
	for _, k := range []core.EventKind{core.EventRefused, core.EventFenced, core.EventDropped} {
		s.counter(rejectedTotal, o.events[k].Load(), k.String())
	}
	s.counter(linesLost, a.linesLost())
	o.phases.Collect(to)
	if st == nil {
		return
	}
	s.traffic(st)
	if st.syncs >= 0 {
		s.gauge(syncsUnderWay, float64(st.syncs))
		o.syncs.Collect(to)
	}
	if st.storage != nil {
		o.requests.Collect(to)
		s.storage(st.storage)
		return
	}
	for c := core.Cause(1); int(c) < core.CauseCount; c++ {
		s.counter(evictions, o.causes[c].Load(), c.String())
	}
	s.counter(joins, o.events[core.EventJoining].Load(), "begun")
	s.counter(joins, o.events[core.EventJoined].Load(), "joined")
	s.counter(joins, o.events[core.EventJoinEnded].Load(), "ended")
	s.manager(st.manager)
}

// sink is where a scrape goes.
type sink chan<- prometheus.Metric

func (s sink) gauge(d *prometheus.Desc, v float64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (s sink) counter(d *prometheus.Desc, v uint64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (s sink) traffic(st *state) {
	s.gauge(inboxMessages, float64(st.Inbox))
	s.gauge(inboxMax, float64(st.InboxMax))
	s.gauge(peerQueue, float64(st.PeerQueues))
	s.counter(lostTotal, st.LostFull, "full")
	s.counter(lostTotal, st.LostUnreachable, "unreachable")
	s.counter(lostTotal, st.LostGone, "gone")
	s.counter(tlsRefused, st.RefusedHandshakes, "handshake")
	s.counter(tlsRefused, st.RefusedMessages, "message")
	s.counter(tlsRefused, st.RefusedEnded, "ended")
	s.gauge(budgetUsed, float64(st.Held), "connections")
	s.gauge(budgetMax, float64(st.HeldMax), "connections")
	s.gauge(budgetUsed, float64(st.Queued), "peers")
	s.gauge(budgetMax, float64(st.QueuedMax), "peers")
	s.gauge(connections, float64(st.Connections))
	s.gauge(connectionsMax, float64(st.ConnectionsMax))
}

func (s sink) storage(n *storageState) {
	s.gauge(registered, truth(n.registered))
	s.gauge(heartbeatAge, n.heard.Seconds())
	s.gauge(diskLag, n.diskLag.Seconds())
	writes := 0
	for i := range n.groups {
		g := &n.groups[i]
		id := strconv.FormatUint(uint64(g.Group), 10)
		writes += g.Bytes
		s.gauge(groupEpoch, float64(g.Config.Epoch), id)
		for _, role := range roles {
			s.gauge(groupRole, truth(g.role == role), id, role)
		}
		s.gauge(groupServing, truth(g.Serving), id)
		s.gauge(groupMembers, float64(len(g.Config.Chain)), id)
		s.gauge(groupKeys, float64(g.Keys), id)
		s.gauge(groupBytes, float64(g.ValueBytes), id)
		s.gauge(groupLog, float64(g.Last-g.Base), id)
		s.gauge(groupLogBytes, float64(g.LogBytes), id)
		s.gauge(groupCommit, float64(g.Commit), id)
		s.gauge(groupSessions, float64(g.Sessions), id)
		s.gauge(groupPending, float64(g.Pending), id)
		s.gauge(groupWaiting, float64(g.Waiting), id)
		for _, f := range g.followers {
			s.gauge(ackLag, float64(f.Lag), id, f.Node.String())
			s.gauge(ackAge, f.Owes.Seconds(), id, f.Node.String())
		}
	}
	s.gauge(budgetUsed, float64(writes), "writes")
	s.gauge(budgetMax, float64(core.DefaultStorageOptions().PendingBytesMax), "writes")
}

func (s sink) manager(m *managerState) {
	s.gauge(managerLeads, truth(m.leads))
	s.gauge(managerTerm, float64(m.term))
	s.gauge(dirIndex, float64(m.index))
	r := m.status
	if r == nil {
		return
	}
	nodes, groups := map[core.NodeState]int{}, map[core.GroupState]int{}
	spares, joining := 0, 0
	for i := range r.Nodes {
		n := &r.Nodes[i]
		nodes[n.State]++
		if n.State == core.NodeUp && n.Group == 0 && n.Joining == 0 && !n.Draining && n.Quarantine == 0 {
			spares++
		}
		s.gauge(nodeAge, m.quiet[i].Seconds(), n.ID.String(), netrpc.Printable(n.Name))
	}
	for i := range r.Groups {
		groups[r.Groups[i].State]++
		if r.Groups[i].Join != nil {
			joining++
		}
	}
	for _, state := range []core.NodeState{core.NodeUp, core.NodeSilent, core.NodeGone} {
		s.gauge(clusterNodes, float64(nodes[state]), state.String())
	}
	for _, state := range []core.GroupState{core.GroupOK, core.GroupShort, core.GroupUnavailable, core.GroupLost} {
		s.gauge(clusterGroups, float64(groups[state]), state.String())
	}
	s.gauge(clusterSpares, float64(spares))
	s.gauge(clusterJoins, float64(joining))
	s.gauge(clusterKeys, float64(r.Keys))
	s.gauge(clusterMapped, float64(r.Mapped))
	s.gauge(diskLag, r.DiskLag.Seconds())
}

// newRegistry has a node's own metrics, and those of Go and of the process.
func (a *Admin) newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(a, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

package admin

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"gtstore/cmd/internal/cli"
	"gtstore/core"
	"gtstore/netrpc"
)

//go:embed statusz.html
var statuszText string

var statuszPage = template.Must(template.New("statusz").Parse(statuszText))

// page is what the template shows: a manager that leads shows the whole cluster, any other
// node its own part.
type page struct {
	Name, Role, ID, Cluster, Now string

	Why    []string // it is not ready; nothing if it is
	Lead   string   // a sentence before the tables
	Tables []table
}

type table struct {
	Title string
	Head  []string
	Rows  [][]cell
	More  string // a sentence after it
}

type cell struct{ Text, Class string }

// rowsMax bounds the rows of a table: a browser should not choke on a large cluster.
const rowsMax = 500

// eventsShown is how many events the page shows, the newest first.
const eventsShown = 100

func (a *Admin) statusz(w http.ResponseWriter, _ *http.Request) {
	var b bytes.Buffer
	if err := statuszPage.Execute(&b, a.status()); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:")
	_, _ = w.Write(b.Bytes()) // who asked may be gone
}

func (a *Admin) status() *page {
	st, why := a.look()
	p := &page{Name: a.name, Role: a.role, ID: a.id(), Now: time.Now().Format(time.DateTime), Why: why}
	if st != nil {
		if st.cluster != 0 {
			p.Cluster = st.cluster.String()
		}
		if st.storage != nil {
			p.storage(st.storage)
		} else {
			p.manager(st.manager)
		}
	}
	list, _ := a.observer.recent.after(0)
	p.Tables = append(p.Tables, eventTable(list))
	for i := range p.Tables {
		if t := &p.Tables[i]; len(t.Rows) > rowsMax {
			t.More = fmt.Sprintf("%s more are not shown here.", cli.Grouped(len(t.Rows)-rowsMax))
			t.Rows = t.Rows[:rowsMax]
		}
	}
	return p
}

func text(format string, args ...any) cell { return cell{Text: fmt.Sprintf(format, args...)} }

func (p *page) storage(s *storageState) {
	groups := table{Title: "Groups", Head: []string{"Group", "Epoch", "Role", "Keys", "Size", "Log", "Chain"}}
	followers := table{Title: "Followers", Head: []string{"Group", "Member", "Lag", "Waited for"}}
	for i := range s.groups {
		g := &s.groups[i]
		var chain []string
		names := map[core.NodeID]string{g.Config.Joining.ID: netrpc.Printable(netrpc.AddressName(g.Config.Joining.Addr))}
		for _, m := range g.Config.Chain {
			names[m.ID] = netrpc.Printable(netrpc.AddressName(m.Addr))
			chain = append(chain, names[m.ID])
		}
		role := cell{Text: g.role}
		if g.role == rolePrimary && !g.Serving {
			role = cell{g.role + ", does not serve yet", "bad"}
		}
		groups.Rows = append(groups.Rows, []cell{
			text("%d", g.Group), text("%d", g.Config.Epoch), role, text("%s", cli.Grouped(g.Keys)), text("%s", mebibytes(uint64(g.ValueBytes))),
			text("%s entries to %d, committed to %d", cli.Grouped(int(g.Last-g.Base)), g.Last, g.Commit), text("%s", strings.Join(chain, " > ")),
		})
		for _, f := range g.followers {
			name := names[f.Node]
			if f.Learner {
				name += ", joining"
			}
			waits := cell{"–", "quiet"}
			if f.Owes > 0 {
				waits = text("%v", f.Owes.Round(time.Millisecond))
			}
			followers.Rows = append(followers.Rows, []cell{text("%d", g.Group), {Text: name}, text("%s", cli.Grouped(int(f.Lag))), waits})
		}
	}
	p.Tables = append(p.Tables, groups)
	if len(followers.Rows) > 0 {
		p.Tables = append(p.Tables, followers)
	}
	p.Lead = fmt.Sprintf("The manager was heard %v ago. The whole cluster is on the page of the manager that leads.", s.heard.Round(time.Millisecond))
}

// classes of what nodes and groups are.
var (
	nodeClass  = map[core.NodeState]string{core.NodeUp: "good", core.NodeSilent: "bad", core.NodeGone: "quiet"}
	groupClass = map[core.GroupState]string{core.GroupOK: "good", core.GroupShort: "warn", core.GroupUnavailable: "bad", core.GroupLost: "bad"}
)

func (p *page) manager(m *managerState) {
	r := m.status
	switch {
	case r == nil && m.leader.ID != 0:
		p.Lead = fmt.Sprintf("This manager follows the one at %s, whose page shows the cluster.", netrpc.Printable(core.Place(m.leader.Addr)))
	case m.term != 0 && m.leads:
		p.Lead = fmt.Sprintf("This manager leads in term %d. ", m.term)
	}
	if r == nil {
		return
	}
	p.Lead += fmt.Sprintf("%s keys, %d groups, %d storage nodes.", cli.Grouped(int(r.Keys)), len(r.Groups), len(r.Nodes))
	names, roles := map[core.NodeID]string{}, map[core.NodeID]string{}
	for i := range r.Nodes {
		n := &r.Nodes[i]
		names[n.ID] = netrpc.Printable(n.Name)
		switch {
		case n.Joining != 0:
			roles[n.ID] = fmt.Sprintf("joins group %d", n.Joining)
		case n.Group != 0:
			roles[n.ID] = fmt.Sprintf("replica of group %d", n.Group)
		case n.State == core.NodeUp:
			roles[n.ID] = "spare"
		}
	}
	groups := table{Title: "Groups", Head: []string{"Group", "Epoch", "State", "Keys", "Chain"}}
	joins := table{Title: "Joins", Head: []string{"Group", "Node", "Since", "Progress"}}
	for i := range r.Groups {
		g := &r.Groups[i]
		var chain []string
		for j, id := range g.Chain {
			if j == 0 {
				roles[id] = fmt.Sprintf("primary of group %d", g.Group)
			}
			chain = append(chain, names[id])
		}
		groups.Rows = append(groups.Rows, []cell{text("%d", g.Group), text("%d", g.Epoch), {g.State.String(), groupClass[g.State]}, text("%s", cli.Grouped(int(g.Keys))), text("%s", strings.Join(chain, " > "))})
		if g.Join != nil {
			joins.Rows = append(joins.Rows, []cell{text("%d", g.Group), {Text: names[g.Join.Node]}, text("%v", g.Join.Age.Round(100*time.Millisecond)), text("%s of %s", mebibytes(g.Join.Progress.Bytes), mebibytes(g.Join.Progress.BytesTotal))})
		}
	}
	nodes := table{Title: "Nodes", Head: []string{"Node", "Address", "State", "Role", "Last answer"}}
	for i := range r.Nodes {
		n := &r.Nodes[i]
		_, address := netrpc.SplitAddress(n.Addr)
		state := cell{n.State.String(), nodeClass[n.State]}
		if n.Draining {
			state.Text += ", draining"
		}
		if n.Quarantine > 0 {
			state.Text += fmt.Sprintf(", in quarantine for %v", n.Quarantine.Round(100*time.Millisecond))
		}
		role := cell{Text: roles[n.ID]}
		if role.Text == "" {
			role = cell{"–", "quiet"}
		}
		nodes.Rows = append(nodes.Rows, []cell{{Text: names[n.ID]}, text("%s", netrpc.Printable(address)), state, role, text("%v ago", m.quiet[i].Round(time.Millisecond))})
	}
	p.Tables = append(p.Tables, groups, joins, nodes)
}

func eventTable(list []Event) table {
	t := table{Title: "Recent events", Head: []string{"Time", "Group", "Epoch", "Event", "Node"}}
	for i := len(list) - 1; i >= max(0, len(list)-eventsShown); i-- {
		e := &list[i]
		what := e.Text
		if e.Cause != "" {
			what += ": " + e.Cause
		}
		if e.Times > 1 {
			what += fmt.Sprintf(" (%d times)", e.Times)
		}
		other := e.Name
		if other == "" {
			other = e.Other
		}
		t.Rows = append(t.Rows, []cell{text("%s", e.Time.Format("15:04:05.000")), number(e.Group), number(e.Epoch), {Text: what}, {Text: other}})
	}
	return t
}

func number(n uint64) cell {
	if n == 0 {
		return cell{}
	}
	return text("%d", n)
}

func mebibytes(n uint64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

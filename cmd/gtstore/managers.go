package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gtstore/cmd/internal/cli"
	"gtstore/core"
	"gtstore/netrpc"
)

// statusMember is one of the managers.
type statusMember struct {
	ID    string `json:"id"`
	Addr  string `json:"addr"`           // HOST:PORT
	Name  string `json:"name,omitempty"` // in its certificate
	PID   uint64 `json:"pid,omitempty"`  // which only up knows
	Leads bool   `json:"leads"`
	// Silent: the one that leads has heard nothing from it for a while.
	Silent bool `json:"silent"`
	// Lag is how many entries of the managers' log it may lack.
	Lag uint64 `json:"lag"`
	// Leaving: it is to be removed, and is still needed.
	Leaving bool `json:"leaving"`
}

func newStatusMembers(list []core.ManagerStatus) []statusMember {
	members := []statusMember{}
	for _, m := range list {
		name, address := netrpc.SplitAddress(m.Addr)
		members = append(members, statusMember{ID: m.ID.String(), Addr: netrpc.Printable(address), Name: netrpc.Printable(name), Leads: m.Leads, Silent: m.Silent, Lag: m.Lag, Leaving: m.Leaving})
	}
	return members
}

func (m *statusMember) state() string {
	text := "follows"
	switch {
	case m.Leads:
		text = "leads"
	case m.Silent:
		text = "silent"
	}
	if m.Leaving {
		text += ", leaving"
	}
	return text
}

// writeMembers writes the table of several managers.
func writeMembers(w io.Writer, list []statusMember) {
	fmt.Fprintln(w, "MANAGER\tADDRESS\tSTATE\tLAG")
	for _, m := range list {
		address := m.Addr
		if m.Name != "" { // as it is written in a list of managers
			address = core.JoinAddr(m.Name, address)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", m.ID, address, m.state(), cli.Grouped(int(m.Lag)))
	}
}

// managersResult is what managers prints with -o json.
type managersResult struct {
	Cluster  string         `json:"cluster"`
	Term     core.Term      `json:"term"` // of the one that leads; 0 of a manager that is alone
	Changing bool           `json:"changing"`
	Managers []statusMember `json:"managers"`
}

func (r *managersResult) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "cluster %s, term %d", r.Cluster, r.Term)
	if r.Changing {
		b.WriteString(", a change of the managers is under way")
	}
	b.WriteString("\n\n")
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	writeMembers(w, r.Managers)
	w.Flush()
	return b.String()
}

func newManagers() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:   "managers",
		Short: "Show the managers, or have others",
		Long: `Shows the managers: which of them leads, and by how many entries of their log the others
lag. With add, remove and replace there are others from then on: after one step only the new
ones count. A new manager is started first, empty, with 'node manager --managers' and the list
that will be true. With TLS an address may be NAME@HOST:PORT: then who is there must have that
name, and else the name that it has is written down. More than half of the managers have to be up, both of the old and of the new
ones. Clients that start, and storage nodes without a --dir, know only the managers of their own
lists: change these, too, while one of them is still there.`,
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return t.showManagers(cmd) },
	}
	t.add(cmd)
	cmd.AddCommand(
		newChange("add ADDRESS", "Add a manager", 1, func(ctx context.Context, t *target, m *netrpc.Managers, args []string) ([]core.Peer, []core.NodeID, error) {
			p, err := t.another(ctx, m, args[0])
			return []core.Peer{p}, nil, err
		}),
		newChange("remove MANAGER", "Remove a manager, named by its id or address", 1, func(_ context.Context, _ *target, m *netrpc.Managers, args []string) ([]core.Peer, []core.NodeID, error) {
			id, err := findManager(m, args[0])
			return nil, []core.NodeID{id}, err
		}),
		newChange("replace MANAGER ADDRESS", "Put the manager that is at an address in the place of another one, named by its id or address", 2,
			func(ctx context.Context, t *target, m *netrpc.Managers, args []string) ([]core.Peer, []core.NodeID, error) {
				id, err := findManager(m, args[0])
				if err != nil {
					return nil, nil, err
				}
				p, err := t.another(ctx, m, args[1])
				return []core.Peer{p}, []core.NodeID{id}, err
			}),
	)
	return cmd
}

func (t *target) showManagers(cmd *cobra.Command) error {
	return t.with(cmd, func(ctx context.Context, c *netrpc.Client) error {
		m, err := c.Managers(ctx)
		if err != nil {
			return err
		}
		return t.output.show(cmd.OutOrStdout(), &managersResult{m.Cluster.String(), m.Term, m.Changing, newStatusMembers(m.Managers)})
	})
}

// newChange is a command that changes the managers, and shows them when that is over.
func newChange(use, short string, args int, wish func(context.Context, *target, *netrpc.Managers, []string) ([]core.Peer, []core.NodeID, error)) *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use: use, Short: short, Args: named(args),
		Long: short + `. Returns when that is over: those who were removed can be
stopped then. Their data are of no more use.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cli.Configure(cmd); err != nil {
				return err
			}
			if strings.HasSuffix(use, "ADDRESS") { // which can be wrong whoever the managers are
				if _, err := netrpc.ManagerAddresses(args[len(args)-1:], t.tls != netrpc.TLS{}); err != nil {
					return cli.Errorf(cli.ExitUsage, "%s", strings.TrimPrefix(err.Error(), "netrpc: "))
				}
			}
			err := t.with(cmd, func(ctx context.Context, c *netrpc.Client) error {
				t.waits.on("more than half of the managers, both of the old and of the new ones, have to agree")
				m, err := c.Managers(ctx)
				if err != nil {
					return err
				}
				add, remove, err := wish(ctx, &t, m, args)
				if err != nil {
					return err
				}
				return c.ChangeManagers(ctx, add, remove)
			})
			if err != nil {
				return err
			}
			return t.showManagers(cmd)
		},
	}
	t.addFor(cmd, 30*time.Second, "bound of the whole command")
	return cmd
}

// another asks an address which manager is there, to be one more. One that is there already
// would make them fewer, in the place of another.
func (t *target) another(ctx context.Context, m *netrpc.Managers, address string) (core.Peer, error) {
	p, err := t.dialer().AskManager(ctx, address)
	if err != nil && !errors.Is(err, netrpc.ErrUnavailable) { // nobody was asked
		err = cli.Errorf(cli.ExitUsage, "%s", strings.TrimPrefix(err.Error(), "netrpc: "))
	}
	if err == nil && slices.ContainsFunc(m.Managers, func(s core.ManagerStatus) bool { return s.ID == p.ID }) {
		err = cli.Errorf(cli.ExitUsage, "the manager at %s, %v, is one of them already, and nothing was changed: see 'gtstore managers'", address, p.ID)
	}
	return p, err
}

// findManager returns the manager that a person means, by its id, or its address with or without the
// name.
func findManager(m *netrpc.Managers, text string) (core.NodeID, error) {
	i := slices.IndexFunc(m.Managers, func(s core.ManagerStatus) bool { return s.ID.String() == text || core.SameAddr(s.Addr, text) })
	if i < 0 {
		return 0, cli.Errorf(cli.ExitNotFound, "there is no manager %q: see 'gtstore managers' for their ids and addresses", text)
	}
	return m.Managers[i].ID, nil
}

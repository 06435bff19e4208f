package main

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gtstore/cmd/gtstore/internal/certs"
	"gtstore/cmd/internal/cli"
)

// day is the unit of --days.
const day = 24 * time.Hour

type certsFlags struct {
	dir     string
	cluster string
	hosts   []string
	days    int
	renew   []string
	newCA   bool
	dropCA  bool
	output  format
}

func newCerts() *cobra.Command {
	f := &certsFlags{}
	cmd := &cobra.Command{
		Use:   "certs --dir DIR [ROLE:NAME...]",
		Short: "Make a development CA and certificates for TLS",
		Long: `Makes an authority (CA) of its own for a cluster, and certificates under it, in a directory that only its
owner may read. What is there is kept, and what is missing is made. Without names it makes those of a
cluster as up runs one (manager:manager, node:node1 to node:node7, client:client and operator:operator), or
lists what is there.

The roles are manager, node, client and operator. The name of a node is that of its --name; of the others it
is free. A client reads and writes; an operator also drains, forgets, backs up and changes managers. Each
process needs its own .crt and .key, and ca.crt. The key of the CA, ca.key, stays here: whoever has it can be
anybody in the cluster.

A certificate is good for --days, the CA for ten years. --renew makes a certificate anew under the same key:
copy it to where it is used, and the process there takes it while it runs. To have another key, remove both
files.

To change the CA: --new-ca, and give the new ca.crt, which has both CAs, to all; then --renew all, and give
the new certificates to all; then --drop-old-ca, and give ca.crt to all once more.`,
		Example: `  gtstore certs --dir certs
  gtstore certs --dir certs --cluster prod --hosts 10.0.0.1,10.0.0.2,db.example.com manager:a node:node1 operator:ann
  gtstore certs --dir certs --renew node:node1`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd, args)
		},
	}
	flags := cmd.Flags()
	cli.Directory(flags, &f.dir, "dir", "directory of the CA and the certificates; it is made if it is not there")
	flags.StringVar(&f.cluster, "cluster", "", `name of the cluster, which all its certificates carry (default: "dev", or what the CA has)`)
	flags.StringSliceVar(&f.hosts, "hosts", nil, "names and IP addresses of the machines, without ports (default: 127.0.0.1,::1,localhost; at a renewal those of before)")
	cli.Int(flags, &f.days, "days", int(certs.UsualLife/day), 1, int(certs.LifeMax/day), "how long the certificates are good")
	flags.StringSliceVar(&f.renew, "renew", nil, "ROLE:NAME of a certificate to make anew, or all")
	flags.BoolVar(&f.newCA, "new-ca", false, "begin an overlap: a new CA makes the certificates from now on, and those of the old one are taken, too")
	flags.BoolVar(&f.dropCA, "drop-old-ca", false, "end the overlap: certificates of the old CA are taken no more")
	cmd.MarkFlagsMutuallyExclusive("renew", "new-ca", "drop-old-ca")
	addOutput(cmd, &f.output)
	return cmd
}

// localHosts are the hosts of a certificate if nobody says.
var localHosts = []string{"127.0.0.1", "::1", "localhost"}

// options are those of each certificate that is made.
func (f *certsFlags) options() certs.Options {
	o := certs.Options{Hosts: f.hosts, Life: time.Duration(f.days) * day}
	if f.hosts == nil && len(f.renew) == 0 {
		o.Hosts = localHosts
	}
	return o
}

func (f *certsFlags) run(cmd *cobra.Command, args []string) error {
	if f.dir == "" {
		return cli.Errorf(cli.ExitUsage, "--dir is missing: say where the certificates are, or are to be")
	}
	if (len(f.renew) > 0 || f.newCA || f.dropCA) && len(args) > 0 {
		return cli.Errorf(cli.ExitUsage, "%s: the names of new certificates do not go with --renew, --new-ca or --drop-old-ca: make them first", strings.Join(args, " "))
	}
	names, err := parseNames(args)
	if err != nil {
		return err
	}
	if _, _, err := certs.SplitHosts(f.hosts); err != nil {
		return cli.Errorf(cli.ExitUsage, "--hosts: %w", err)
	}
	changing := len(f.renew) > 0 || f.newCA || f.dropCA
	if changing && !certs.Is(f.dir) {
		return cli.Errorf(cli.ExitError, "there is no CA in %s: make one first, without --renew, --new-ca and --drop-old-ca", f.dir)
	}
	a, madeCA, err := certs.Open(f.dir, f.cluster)
	if err != nil {
		return cli.Failed(err)
	}
	made, err := f.change(a, names, changing)
	if err != nil {
		return cli.Failed(err)
	}
	list, err := a.List()
	if err != nil {
		return cli.Failed(err)
	}
	return f.output.show(cmd.OutOrStdout(), newCertsResult(f.dir, a, list, made, madeCA || f.newCA))
}

// change does what was asked for, and returns whose certificates were made.
func (f *certsFlags) change(a *certs.Authority, names []certs.Name, changing bool) (made map[certs.Name]bool, err error) {
	made = make(map[certs.Name]bool)
	switch {
	case f.newCA:
		return nil, a.Overlap()
	case f.dropCA:
		return nil, a.EndOverlap()
	case changing:
		if names, err = f.toRenew(a); err != nil {
			return nil, err
		}
		for _, n := range names {
			if err := a.Renew(n, f.options()); err != nil {
				return nil, err
			}
			made[n] = true
		}
		return made, nil
	}
	list, err := a.List()
	if err != nil {
		return nil, err
	}
	if len(names) == 0 && list[len(list)-1].Name == (certs.Name{}) { // there are none yet
		names = clusterNames(1, nodesUsual)
	}
	for _, n := range names {
		if made[n], err = a.Ensure(n, f.options()); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// clusterNames are the names of the certificates that a cluster needs as up runs it.
func clusterNames(managers, nodes int) (names []certs.Name) {
	f := upFlags{managers: managers}
	for i := range managers {
		names = append(names, certs.Name{Role: "manager", Name: f.managerName(i)})
	}
	for i := range nodes {
		names = append(names, certs.Name{Role: "node", Name: nodeName(i)})
	}
	return append(names, clientName, operatorName)
}

// Whose certificates up and certs make for those who use the cluster.
var (
	clientName   = certs.Name{Role: "client", Name: "client"}
	operatorName = certs.Name{Role: "operator", Name: "operator"}
)

func parseNames(list []string) (names []certs.Name, err error) {
	for _, text := range list {
		n, err := certs.ParseName(text)
		if err != nil {
			return nil, cli.Errorf(cli.ExitUsage, "%w", err)
		}
		names = append(names, n)
	}
	return names, nil
}

// toRenew are the certificates that --renew names.
func (f *certsFlags) toRenew(a *certs.Authority) ([]certs.Name, error) {
	if len(f.renew) != 1 || f.renew[0] != "all" {
		return parseNames(f.renew)
	}
	list, err := a.List()
	var names []certs.Name
	for _, c := range list {
		if c.Name != (certs.Name{}) {
			names = append(names, c.Name)
		}
	}
	return names, err
}

// certsResult is what certs prints.
type certsResult struct {
	Dir     string       `json:"dir"`
	Cluster string       `json:"cluster"`
	Certs   []certResult `json:"certs"`
}

type certResult struct {
	File  string    `json:"file"`
	Role  string    `json:"role"` // ca for the authority
	Name  string    `json:"name,omitempty"`
	Until time.Time `json:"until"`
	Made  bool      `json:"made"`   // now, and not before
	OldCA bool      `json:"old_ca"` // it is the old CA of an overlap, or was made by it
}

func newCertsResult(dir string, a *certs.Authority, list []certs.Cert, made map[certs.Name]bool, madeCA bool) *certsResult {
	r := &certsResult{Dir: dir, Cluster: a.Cluster}
	for _, c := range list {
		one := certResult{File: c.File, Role: c.Name.Role, Name: c.Name.Name, Until: c.Until, Made: made[c.Name], OldCA: !c.Newest}
		if c.Name == (certs.Name{}) {
			one.Role, one.Made = "ca", madeCA && c.Newest
		}
		r.Certs = append(r.Certs, one)
	}
	return r
}

// text is the result for people.
func (r *certsResult) text() string {
	var b bytes.Buffer
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "FILE\tNAME\tGOOD UNTIL\t")
	var show certResult // whose files the example below has
	manager := ""       // the name of the first
	for _, c := range r.Certs {
		name, what := fmt.Sprintf("gtstore://%s/%s/%s", r.Cluster, c.Role, c.Name), "kept"
		if c.Role == "ca" {
			name = "CA of " + r.Cluster
		} else if show.File == "" || c.Role == operatorName.Role {
			show = c
		}
		if c.Role == "manager" && manager == "" {
			manager = c.Name
		}
		if c.Made {
			what = "made"
		}
		if c.OldCA {
			what += ", of the old CA"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", c.File, name, c.Until.UTC().Format(time.DateOnly), what)
	}
	t.Flush()
	if show.File != "" {
		fmt.Fprintf(&b, "\nWhoever is %s:%s says so with --tls-ca, --tls-cert and --tls-key, or:\n\n%s", show.Role, show.Name,
			tlsExports(r.Certs[0].File, show.File, strings.TrimSuffix(show.File, ".crt")+".key"))
	}
	if manager != "" {
		fmt.Fprintf(&b, "\nWrite %[1]s@HOST:PORT where manager:%[1]s is, in %[2]s, --manager and --managers: then nobody else answers in its place.\n", manager, cli.Variable("manager"))
	}
	return b.String()
}

// plainName matches what a shell takes for one word as it is.
var plainName = regexp.MustCompile(`^[A-Za-z0-9_./:@%+,-]+$`)

// quoted writes a file's name as a word for a shell.
func quoted(name string) string {
	if plainName.MatchString(name) {
		return name
	}
	return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"gtstore/cmd/internal/cli"
	"gtstore/core"
	"gtstore/netrpc/disk"
)

// stop ends the cluster in good order.
func (u *running) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, u.cmd.Process.Signal(syscall.SIGINT))
	require.NoError(t, u.cmd.Wait(), "%s", &u.stderr)
	u.gone(t)
}

// disksOf reads directories as JSON.
func disksOf(t *testing.T, wantCode int, args ...string) map[string]diskResult {
	t.Helper()
	code, stdout, stderr := run(t, "", append([]string{"disk", "-o", "json"}, args...)...)
	require.Equal(t, wantCode, code, stderr)
	all := map[string]diskResult{}
	for line := range strings.Lines(stdout) {
		var r diskResult
		require.NoError(t, json.Unmarshal([]byte(line), &r))
		all[filepath.Base(r.Dir)] = r
	}
	return all
}

// stoppedCluster is the directory of a cluster of four nodes that was used, and stopped.
// While it runs its directories cannot be read.
func stoppedCluster(t *testing.T) (dir string, u *running) {
	t.Helper()
	dir = t.TempDir()
	u = startUp(t, nil, "--nodes", "4", "--dir", dir)
	u.ok(t, "put", "hello", "world")
	u.ok(t, "put", "second", "key")

	code, stdout, stderr := run(t, "", "disk", dir)
	require.Equal(t, cli.ExitError, code)
	require.Empty(t, stdout)
	for _, pid := range u.pids() {
		require.Contains(t, stderr, fmt.Sprintf("another process uses it (process %d)", pid))
	}
	require.Contains(t, stderr, "stop that node first")
	require.Contains(t, stderr, "5 of 5 not readable")
	u.ok(t, "put", "third", "key") // nobody lost its lock, nor anything else
	u.stop(t)
	return dir, u
}

func TestDiskShowsWhatAClusterLeft(t *testing.T) {
	dir, u := stoppedCluster(t)
	all := disksOf(t, cli.ExitOK, dir, "--verify")
	require.Len(t, all, 5)
	m := all["manager"]
	require.Equal(t, "manager", m.Role)
	require.Equal(t, u.status.Cluster, m.Cluster)
	require.EqualValues(t, 1, m.Boots)
	require.Equal(t, 3, m.Directory.Units)
	require.Len(t, m.Directory.Nodes, 4)
	require.Len(t, m.Directory.Groups, 1)
	group := m.Directory.Groups[0]
	require.EqualValues(t, 1, group.ID)
	require.EqualValues(t, 1, group.Epoch)
	require.Equal(t, 3, group.Units)
	require.Len(t, group.Chain, 3)
	ids, roles := map[string]string{}, map[string]string{}
	for _, n := range m.Directory.Nodes {
		ids[n.Name], roles[n.Name] = n.ID, n.Role
	}
	for _, n := range u.status.Nodes {
		require.Equal(t, n.ID, ids[n.Name])
	}
	for i, name := range group.Chain {
		r := all[name]
		require.Equal(t, "storage", r.Role)
		require.Equal(t, ids[name], r.ID)
		require.Equal(t, u.status.Cluster, r.Cluster)
		require.Nil(t, r.Directory)
		require.Len(t, r.Groups, 1)
		require.Equal(t, roles[name], r.Groups[0].Part)
		require.Equal(t, []string{rolePrimary, roleReplica, roleReplica}[i], r.Groups[0].Part)
		require.Equal(t, ids[group.Chain[0]], r.Groups[0].Chain[0].ID)
		require.Equal(t, all[group.Chain[0]].Groups[0].Last, r.Groups[0].Last, "each has all of the log")
		require.Positive(t, r.Groups[0].Entries)
		require.Positive(t, r.Files.Logs.Bytes)
		require.NotNil(t, r.Verified)
	}
	for name, r := range all {
		require.Zero(t, r.Damaged)
		text, err := os.ReadFile(filepath.Join(dir, name, "gtstore.json"))
		require.NoError(t, err)
		var written Format
		require.NoError(t, json.Unmarshal(text, &written))
		require.Positive(t, written.Records)
		require.Equal(t, written, Format{r.Format, r.RecordVersion})
		require.Equal(t, name != "manager" && !slices.Contains(group.Chain, name), r.Directory == nil && len(r.Groups) == 0)
	}

	code, stdout, stderr := run(t, "", "disk", dir)
	require.Equal(t, cli.ExitOK, code, stderr)
	require.Empty(t, stderr)
	var heads []string
	for _, head := range strings.Split(stdout, dir+"/")[1:] {
		heads = append(heads, head[:strings.Index(head, ":")])
	}
	require.Equal(t, []string{"manager", "node1", "node2", "node3", "node4"}, heads)
	for _, want := range []string{"3 keys mapped", strings.Join(group.Chain, " > "), "no damage: read ", "It was never in a group.", "started once"} {
		require.Contains(t, stdout, want)
	}
	require.Equal(t, 5, strings.Count(stdout, "no damage: "))
	require.Regexp(t, `\n1 +1 +primary +1 to \d+ `, stdout)
}

// Each of several managers has the Directory, too.
func TestDiskShowsTheDirectoryOfSeveralManagers(t *testing.T) {
	dir := t.TempDir()
	u := startUp(t, nil, "--managers", "3", "--nodes", "3", "--dir", dir)
	u.byAll(t, "put", "hello", "world")
	u.byAll(t, "put", "second", "key")
	u.stop(t)
	all := disksOf(t, cli.ExitOK, dir)
	require.Len(t, all, 6)
	newest := &diskDirectory{}
	for _, name := range []string{"manager1", "manager2", "manager3"} {
		r := all[name]
		require.Positive(t, r.Quorum)
		require.NotNil(t, r.Directory, name)
		require.LessOrEqual(t, r.Directory.Pending, r.Directory.Commands)
		if r.Directory.Index > newest.Index {
			newest = r.Directory
		}
	}
	require.Equal(t, 2, newest.Units, "more than half of them have all that was agreed on")
	require.Len(t, newest.Groups, 1)
	require.Equal(t, 2, newest.Groups[0].Units)
	require.Len(t, newest.Nodes, 3)
	for _, n := range newest.Nodes {
		require.Equal(t, all[n.Name].ID, n.ID)
		require.Equal(t, all[n.Name].Groups[0].Part, n.Role)
	}
	code, stdout, stderr := run(t, "", "disk", dir)
	require.Equal(t, cli.ExitOK, code, stderr)
	require.Contains(t, stdout, "2 keys mapped")
}

// Format is what a directory says of its format.
type Format struct{ Format, Records int }

// Damage is told with its place and with what to do; the other directories are shown all
// the same.
func TestDiskTellsOfDamage(t *testing.T) {
	dir, _ := stoppedCluster(t)
	lists, err := filepath.Glob(filepath.Join(dir, "manager", "data", "MANIFEST-*"))
	require.NoError(t, err)
	require.NotEmpty(t, lists)
	list := lists[len(lists)-1]
	text, err := os.ReadFile(list)
	require.NoError(t, err)
	text[12] ^= 1
	require.NoError(t, os.WriteFile(list, text, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "node4", "gtstore.json"), []byte(`{"format":99}`), 0o600))
	aside := filepath.Join(dir, "node3", "damaged-20260101T000000.000Z")
	require.NoError(t, os.Mkdir(aside, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(aside, "WHY.txt"), []byte("a hole\x1b[2J\nin the log"), 0o600))

	code, stdout, stderr := run(t, "", "disk", dir, "--verify")
	require.Equal(t, cli.ExitError, code)
	require.Contains(t, stdout, "DAMAGED in 1 place; ")
	require.Contains(t, stdout, "  data/"+filepath.Base(list)+": ")
	require.Contains(t, stdout, remedyManager)
	require.Equal(t, 3, strings.Count(stdout, "whole: "))
	require.Contains(t, stdout, `put aside: damaged-20260101T000000.000Z, 1 file (21 B): a hole\x1b[2J`+"\n", "fit for a terminal")
	require.Contains(t, stderr, "it has format 99, and this program knows format 2")
	require.Contains(t, stderr, "1 of 5 directories damaged, 1 of 5 not readable")

	all := disksOf(t, cli.ExitError, dir)
	require.Len(t, all, 4)
	require.Equal(t, 1, all["manager"].Damaged)
	require.Equal(t, "data/"+filepath.Base(list), all["manager"].Damage[0].File)
	require.Equal(t, remedyManager, all["manager"].Remedy)
	require.Equal(t, []diskAside{{"damaged-20260101T000000.000Z", `a hole\x1b[2J`, diskPart{1, 21}}}, all["node3"].Aside)
	require.Empty(t, all["node3"].Remedy)

	code, _, stderr = run(t, "", "disk", filepath.Join(dir, "manager"))
	require.Equal(t, cli.ExitError, code)
	require.Contains(t, stderr, "is damaged: what to do is said above")
}

func TestDiskRefusesWhatIsNoDirectoryOfANode(t *testing.T) {
	dir := t.TempDir()
	file := write(t, "file", "")
	for name, want := range map[string]string{
		dir:                           "is no directory of a node: there is no gtstore.json in it, nor in a directory right below it",
		file:                          "is no directory of a node, but a file",
		filepath.Join(dir, "nowhere"): "does not exist",
	} {
		code, stdout, stderr := run(t, "", "disk", name)
		require.Equal(t, cli.ExitError, code, name)
		require.Empty(t, stdout)
		require.Contains(t, stderr, "gtstore: "+name+" "+want)
		require.Equal(t, 1, strings.Count(stderr, "\n"), stderr)
	}
	err := diskError(t.Context(), dir, fmt.Errorf("disk: %s cannot be read: %w", dir, os.ErrPermission))
	require.EqualError(t, err, dir+" cannot be read: permission denied; read it as the user whose node it is")
}

func TestDiskCompletesDirectories(t *testing.T) {
	code, stdout, _ := run(t, "", "__complete", "disk", "")
	require.Equal(t, cli.ExitOK, code)
	require.Equal(t, ":16\n", stdout, "directories, says cobra")
}

func TestDiskText(t *testing.T) {
	chain := []core.Peer{{ID: 1, Addr: "a:1"}, {ID: 2, Addr: "b:2"}}
	r := newDiskResult("d/node1", &disk.Report{
		Role: disk.Storage, Format: 1, Records: 2, Copied: true,
		Logs: disk.Part{Files: 1, Bytes: 2048}, Tables: disk.Part{Files: 2, Bytes: 3 << 20}, Other: disk.Part{Files: 4, Bytes: 100},
		Aside:    []disk.Aside{{Name: "damaged-1", Part: disk.Part{Files: 3, Bytes: 5}}},
		Damage:   []disk.FileDamage{{File: "data/000005.sst", Err: errors.New("checksum mismatch")}},
		Verified: &disk.Verified{Tables: 2, Bytes: 3 << 20},
		Contents: &core.DiskReport{
			ID: 2, Boot: 3, Records: 1234, Bytes: 1 << 21, Damaged: 7,
			Damage: []core.DiskDamage{{Record: "log/1/9", Err: errors.New("no entries from here to seq 9")}, {Record: "value/1", Err: core.ErrDamaged}},
			Groups: []core.DiskGroup{
				{Group: 1, Config: &core.Config{Group: 1, Epoch: 4, Chain: chain}, Base: core.EntryID{Epoch: 2, Seq: 8}, Last: 20, Applied: 15, Entries: 11, Keys: 1000, ValueBytes: 1500, Sessions: 2},
				{Group: 2, Config: &core.Config{Group: 2, Epoch: 2, Chain: chain[:1], Joining: chain[1]}, Partial: true, Keys: 3, ValueBytes: 6},
				{Group: 3},
			},
		},
	})
	require.Equal(t, `d/node1: a storage node, 0000000000000002, of no cluster yet, started 3 times; format 1, records of version 2
It is a copy, or was moved: a node starts on it only with --moved.

GROUP  EPOCH  PART                      LOG      APPLIED  ENTRIES  KEYS   VALUES   SESSIONS  CHAIN
1      4      replica                   9 to 20  15       11       1,000  1.5 KiB  2         a:1 > b:2
2      2      joining, half a snapshot  -        0        0        3      6 B      0         a:1
3      0      -                         -        0        0        0      0 B      0         ?
Keys, values and sessions are those at APPLIED; what the log has after that comes on top when the node starts.

files: 1 log (2.0 KiB), 2 tables (3.0 MiB), 4 other files (100 B)
put aside: damaged-1, 3 files (5 B)
DAMAGED in 8 places; read 1,234 records (2.0 MiB), 1 log (2.0 KiB) and 2 tables (3.0 MiB)
  data/000005.sst: checksum mismatch
  log/1/9: no entries from here to seq 9
  value/1: what comes after it cannot be read
  and 5 more
`+remedyStorage+"\n", r.text())
}

// What to do about damage is what the node that starts there does.
func TestDiskSaysWhatToDoAboutDamage(t *testing.T) {
	damage := []disk.FileDamage{{File: "data/000005.sst", Err: errors.New("checksum mismatch")}}
	worn := make([]disk.Aside, disk.AsideMax)
	for want, r := range map[string]*disk.Report{
		"":            {Role: disk.Storage, Aside: worn},
		remedyStorage: {Role: disk.Storage, Damage: damage, Aside: worn[1:]},
		remedyWorn:    {Role: disk.Storage, Damage: damage, Aside: worn},
		remedyManager: {Role: disk.Manager, Damage: damage},
		remedySeveral: {Role: disk.Manager, Damage: damage, Contents: &core.DiskReport{Quorum: 3}},
	} {
		require.Equal(t, want, newDiskResult("d", r).Remedy)
	}
}

func TestDiskTextOfAManager(t *testing.T) {
	node := func(id core.NodeID, name string) core.NodeView {
		return core.NodeView{NodeRecord: core.NodeRecord{Peer: core.Peer{ID: id, Addr: name + ":1"}, Name: name, Boot: 1}}
	}
	nodes := []core.NodeView{node(1, "n1"), node(2, "n2"), node(3, "\x1b"), node(4, "n4"), node(5, "")}
	nodes[0].Group, nodes[1].Group, nodes[1].Draining = 1, 1, true
	nodes[2].Joining, nodes[3].Gone, nodes[4].Draining = 1, true, true
	r := newDiskResult("m", &disk.Report{Role: disk.Manager, Format: 1, Records: 2, Contents: &core.DiskReport{
		ID: 9, Cluster: 10, Boot: 1, Records: 8, Bytes: 400,
		Directory: core.DiskDirectory{Index: 7, Folded: 5, Commands: 2, Cut: true, Placement: core.PlacementKey, Units: 1200, Nodes: nodes, Groups: []core.DirectoryGroup{
			{Config: &core.Config{Group: 1, Epoch: 3, Chain: []core.Peer{{ID: 2}, {ID: 1}}, Joining: core.Peer{ID: 3}}, Units: 1200},
		}},
	}})
	require.Equal(t, `m: a manager, 0000000000000009, of cluster 000000000000000a, started once; format 1, records of version 2
Directory at index 7, placement key, 1,200 keys mapped: records of index 5, and 2 commands since
It is shown only as far as it was read before the first damage.

NODE  ADDRESS  ID                STARTS  STATE     GROUP  ROLE
n1    n1:1     0000000000000001  1       known     1      replica
n2    n2:1     0000000000000002  1       draining  1      primary
\x1b  \x1b:1   0000000000000003  1       known     1      joining
n4    n4:1     0000000000000004  1       gone      -      -
-     :1       0000000000000005  1       drained   -      spare

GROUP  EPOCH  KEYS   CHAIN
1      3      1,200  n2 > n1

files: 0 logs (0 B), 0 tables (0 B), 0 other files (0 B)
no damage: read 8 records (400 B); --verify reads all the rest
`, r.text())
	require.Equal(t, `\x1b`, r.Directory.Groups[0].Joining)
	empty := newDiskResult("m", &disk.Report{Role: disk.Manager, Format: 1, Records: 2})
	require.True(t, strings.HasSuffix(empty.text(), "There are no data: a node that starts here begins anew.\n"))
}

func TestNamesAreOrderedAsPeopleCount(t *testing.T) {
	names := []string{"d/node10", "d/node2", "d/manager", "d/node1", "d/node"}
	slices.SortFunc(names, byNumber)
	require.Equal(t, []string{"d/manager", "d/node", "d/node1", "d/node2", "d/node10"}, names)
}

// With TLS the cluster keeps addresses with names: the members of a chain are called by these.
func TestTheChainOfNodesWithCertificates(t *testing.T) {
	r := &diskResult{Role: string(disk.Storage), ID: "1", Groups: []diskGroup{{ID: 1, Epoch: 1, Chain: []diskPeer{
		newDiskPeer(core.Peer{ID: 1, Addr: "node1@10.0.0.1:7401"}), newDiskPeer(core.Peer{ID: 2, Addr: "10.0.0.2:7401"}),
	}}}}
	require.Equal(t, diskPeer{ID: core.NodeID(1).String(), Name: "node1", Addr: "10.0.0.1:7401"}, r.Groups[0].Chain[0])
	var b bytes.Buffer
	r.writeGroups(&b)
	require.Contains(t, b.String(), "node1 > 10.0.0.2:7401")
	n := newDiskNode(&core.NodeView{NodeRecord: core.NodeRecord{Peer: core.Peer{ID: 1, Addr: "node1@10.0.0.1:7401"}, Name: "node1"}}, nil)
	require.Equal(t, []string{"node1", "10.0.0.1:7401"}, []string{n.Name, n.Addr})
}

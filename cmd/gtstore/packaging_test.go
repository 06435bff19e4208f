package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"gtstore/cmd/internal/cli"
)

// The files in cmd/packaging, and those of the root that belong to them. What can be checked with Go
// alone is checked here; cmd/packaging/lint checks them by the types and parsers of the programs that
// read them.

const packagingDir = "../packaging"

// object is a document of a YAML file.
type object = map[string]any

// documents returns what a YAML file has. A key that is there twice is an error.
func documents(t *testing.T, file string) (list []object) {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	for d := yaml.NewDecoder(f); ; {
		var one object
		err := d.Decode(&one)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err, file)
		list = append(list, one)
	}
	require.NotEmpty(t, list, file)
	return list
}

// at returns what is at a path of keys.
func at(t *testing.T, value any, path ...string) any {
	t.Helper()
	for i, key := range path {
		m, ok := value.(object)
		require.True(t, ok && m[key] != nil, "there is no %s", strings.Join(path[:i+1], "."))
		value = m[key]
	}
	return value
}

func listAt(t *testing.T, value any, path ...string) []any {
	t.Helper()
	list, ok := at(t, value, path...).([]any)
	require.True(t, ok, "%v is no list", path)
	return list
}

func textsAt(t *testing.T, value any, path ...string) (texts []string) {
	t.Helper()
	for _, v := range listAt(t, value, path...) {
		texts = append(texts, fmt.Sprint(v))
	}
	return texts
}

func packaged(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(packagingDir, pattern))
	require.NoError(t, err)
	require.NotEmpty(t, files, pattern)
	return files
}

func TestPackagedFilesParse(t *testing.T) {
	parsed := 0
	require.NoError(t, filepath.WalkDir(packagingDir, func(name string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		switch filepath.Ext(name) {
		case ".yaml":
			documents(t, name)
			parsed++
		case ".json":
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			require.True(t, json.Valid(text), name)
			parsed++
		}
		return nil
	}))
	require.GreaterOrEqual(t, parsed, 10)
}

// takes has a command line parsed by the very commands that it is for, up to what they would do.
func takes(t *testing.T, where string, args []string) {
	t.Helper()
	cmd, rest, err := newRoot().Find(args)
	require.NoError(t, err, "%s: %v", where, args)
	require.NotEqual(t, "gtstore", cmd.Name(), "%s: %v names no command", where, args)
	require.NoError(t, cmd.ParseFlags(rest), "%s: %v", where, args)
	require.NoError(t, cmd.ValidateArgs(cmd.Flags().Args()), "%s: %v", where, args)
	if cmd.Flags().Lookup("config") != nil {
		require.NoError(t, cli.Configure(cmd), "%s: %v", where, args)
	}
}

// inPod replaces what Kubernetes does.
var inPod = strings.NewReplacer("$(POD_NAME)", "gtstore-manager-0", "$(JOB_COMPLETION_INDEX)", "0")

// Every command line of a unit, a manifest, the compose file and the image is one that gtstore takes:
// each flag is there, and has a value that it may have. So are the settings that they come with.
func TestPackagedCommandLinesAreTaken(t *testing.T) {
	settings := packaged(t, "systemd/*.yaml")
	execStart := regexp.MustCompile(`(?m)^ExecStart=/usr/local/bin/gtstore (.*)$`)
	for _, unit := range packaged(t, "systemd/*.service") {
		text, err := os.ReadFile(unit)
		require.NoError(t, err)
		line := execStart.FindSubmatch(text)
		require.NotNil(t, line, unit)
		args := strings.Replace(string(line[1]), "%i", "node1", 1)
		file := filepath.Join(packagingDir, "systemd", filepath.Base(args))
		require.Contains(t, settings, file, "each unit comes with an example of its settings")
		takes(t, unit, strings.Fields(strings.Replace(args, "/etc/gtstore/", packagingDir+"/systemd/", 1)))
	}
	for _, file := range packaged(t, "kubernetes/*.yaml") {
		for _, o := range documents(t, file) {
			if o["kind"] == "StatefulSet" || o["kind"] == "Job" {
				for _, c := range listAt(t, o, "spec", "template", "spec", "containers") {
					var args []string
					for _, a := range textsAt(t, c, "args") {
						args = append(args, inPod.Replace(a))
					}
					takes(t, file, args)
				}
			}
		}
	}
	services := at(t, documents(t, "../../compose.yaml")[0], "services").(object)
	require.Len(t, services, 6)
	for name, s := range services {
		if s.(object)["command"] != nil {
			takes(t, "compose.yaml: "+name, textsAt(t, s, "command"))
		}
	}
	image, err := os.ReadFile("../../Dockerfile")
	require.NoError(t, err)
	require.Contains(t, string(image), `ENTRYPOINT ["/usr/local/bin/gtstore"]`)
}

// What must be the same at several places of the manifests is.
func TestManifestsAgree(t *testing.T) {
	for component, n := range map[string]int{"managers": 3, "storage": 7} {
		byKind := map[string]object{}
		for _, o := range documents(t, filepath.Join(packagingDir, "kubernetes", component+".yaml")) {
			byKind[o["kind"].(string)] = o
		}
		service, budget, set := byKind["Service"], byKind["PodDisruptionBudget"], byKind["StatefulSet"]
		labels := at(t, set, "spec", "template", "metadata", "labels")
		for _, same := range []any{at(t, service, "spec", "selector"), at(t, budget, "spec", "selector", "matchLabels"), at(t, set, "spec", "selector", "matchLabels")} {
			require.Equal(t, labels, same)
		}
		name := at(t, service, "metadata", "name")
		require.Equal(t, name, at(t, set, "spec", "serviceName"))
		require.Equal(t, "None", at(t, service, "spec", "clusterIP"))
		require.Equal(t, n, at(t, set, "spec", "replicas"))
		require.Equal(t, 1, at(t, budget, "spec", "maxUnavailable"))

		pod := at(t, set, "spec", "template", "spec")
		require.Equal(t, true, at(t, pod, "securityContext", "runAsNonRoot"))
		require.Equal(t, false, at(t, pod, "enableServiceLinks"), "their variables would pass for settings")
		container := listAt(t, pod, "containers")[0]
		args := strings.Join(textsAt(t, container, "args"), "\n")
		ports := map[string]int{}
		for _, p := range listAt(t, container, "ports") {
			ports[at(t, p, "name").(string)] = at(t, p, "containerPort").(int)
		}
		require.Contains(t, args, fmt.Sprintf("--advertise=$(POD_NAME).%s:%d\n", name, ports["gtstore"]))
		require.Contains(t, args, fmt.Sprintf("--listen=0.0.0.0:%d\n", ports["gtstore"]))
		require.Contains(t, args, fmt.Sprintf("--admin=0.0.0.0:%d\n", ports["admin"]))
		for i := range 3 {
			require.Contains(t, args, fmt.Sprintf("gtstore-manager-%d.gtstore-manager:7400", i), "all managers are named")
		}
		for probe, path := range map[string]string{"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"} {
			require.Equal(t, object{"path": path, "port": "admin"}, at(t, container, probe, "httpGet"))
		}
		volumesAreThere(t, set)
	}
	search := documents(t, filepath.Join(packagingDir, "kubernetes/search.yaml"))[1]
	completions := at(t, search, "spec", "completions").(int)
	require.Equal(t, "Indexed", at(t, search, "spec", "completionMode"))
	container := listAt(t, search, "spec", "template", "spec", "containers")[0]
	require.Contains(t, textsAt(t, container, "args"), fmt.Sprintf("--shard=auto/%d", completions))
	merge := documents(t, filepath.Join(packagingDir, "kubernetes/search-merge.yaml"))[0]
	want := []string{"fuzz", "merge", "/archive/all"}
	for i := range completions {
		want = append(want, fmt.Sprintf("/archive/%d", i))
	}
	require.Equal(t, want, textsAt(t, listAt(t, merge, "spec", "template", "spec", "containers")[0], "args"))
	volumesAreThere(t, search)
	volumesAreThere(t, merge)
}

// volumesAreThere: what a container mounts is a volume of its pod.
func volumesAreThere(t *testing.T, workload object) {
	t.Helper()
	var there []any
	for _, v := range listAt(t, workload, "spec", "template", "spec", "volumes") {
		there = append(there, at(t, v, "name"))
	}
	if claims, ok := workload["spec"].(object)["volumeClaimTemplates"].([]any); ok {
		for _, c := range claims {
			there = append(there, at(t, c, "metadata", "name"))
		}
	}
	for _, c := range listAt(t, workload, "spec", "template", "spec", "containers") {
		for _, m := range listAt(t, c, "volumeMounts") {
			require.Contains(t, there, at(t, m, "name"))
		}
	}
}

// metric is a metric in a query, with the labels that the query picks from.
var metric = regexp.MustCompile(`\b((?:gtstore|go|process)_[a-z_]+)(?:\{([^}]*)\})?`)

var matcher = regexp.MustCompile(`([a-z_]+) ?(?:=~|!~|!=|=)`)

// guideRow is a metric in the operator's guide, which is held to what a node has: package admin.
var guideRow = regexp.MustCompile("(?m)^\\| `(gtstore_[a-z_]+)` \\| [a-z]+ \\| [a-z ]+ \\| ([a-z, ]*) \\|")

// ofClient are metrics of the Go runtime and the process, which Prometheus' library adds.
var ofClient = []string{"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_max_fds", "go_memstats_heap_inuse_bytes", "go_goroutines"}

// Every metric of the dashboard and the alerts is one that a node has, and so are its labels.
func TestQueriesAreOfMetricsThatAreThere(t *testing.T) {
	have := map[string][]string{}
	for _, name := range ofClient {
		have[name] = []string{"job", "instance"}
	}
	guide, err := os.ReadFile(filepath.Join(packagingDir, "..", "OPERATING.md"))
	require.NoError(t, err)
	for _, row := range guideRow.FindAllStringSubmatch(string(guide), -1) {
		have[row[1]] = append(strings.Split(row[2], ", "), "job", "instance")
	}
	require.Greater(t, len(have), 40)
	var queries []string
	for _, rule := range listAt(t, listAt(t, documents(t, filepath.Join(packagingDir, "prometheus/alerts.yaml"))[0], "groups")[0], "rules") {
		queries = append(queries, at(t, rule, "expr").(string))
	}
	text, err := os.ReadFile(filepath.Join(packagingDir, "grafana", "gtstore.json"))
	require.NoError(t, err)
	var dashboard struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	require.NoError(t, json.Unmarshal(text, &dashboard))
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			queries = append(queries, target.Expr)
		}
	}
	require.Greater(t, len(queries), 60)
	used := map[string]bool{}
	for _, q := range queries {
		found := metric.FindAllStringSubmatch(q, -1)
		if !strings.HasPrefix(q, "up{") {
			require.NotEmpty(t, found, q)
		}
		for _, m := range found {
			name := m[1]
			if have[name] == nil {
				name = strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_count")
			}
			require.NotNil(t, have[name], "%s: no node has the metric %s", q, m[1])
			used[name] = true
			for _, label := range matcher.FindAllStringSubmatch(m[2], -1) {
				require.Contains(t, have[name], label[1], "%s: %s has no such label", q, m[1])
			}
		}
	}
	for name := range have {
		if strings.HasPrefix(name, "gtstore_") {
			require.True(t, used[name] || slices.Contains(unseen, name), "%s is in no panel and no alert", name)
		}
	}
}

// unseen are metrics that nobody looks at, but that tell what others are of.
var unseen = []string{"gtstore_node_info", "gtstore_registered", "gtstore_directory_index", "gtstore_syncs_under_way", "gtstore_group_log_entries", "gtstore_group_commit_seq"}

// tool returns where a program is that not every machine has, or skips the test.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed here: %v", name, err)
	}
	return path
}

func TestUnitsAreVerified(t *testing.T) {
	analyze := tool(t, "systemd-analyze")
	dir := t.TempDir()
	var units []string
	for _, file := range packaged(t, "systemd/*.service") {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		unit := filepath.Join(dir, strings.Replace(filepath.Base(file), "@", "@node1", 1))
		require.NoError(t, os.WriteFile(unit, []byte(strings.Replace(string(text), "/usr/local/bin/gtstore", os.Args[0], 1)), 0o600))
		units = append(units, unit)
	}
	out, err := exec.Command(analyze, append([]string{"verify", "--man=no"}, units...)...).CombinedOutput()
	require.NoError(t, err, string(out))
	require.Empty(t, string(out))
}

func TestAlertsArePromtools(t *testing.T) {
	promtool := tool(t, "promtool")
	for _, args := range [][]string{{"check", "config", "prometheus.yaml"}, {"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = filepath.Join(packagingDir, "prometheus")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
	}
}

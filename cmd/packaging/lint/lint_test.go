package lint

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	promql "github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

const (
	packaging = ".."
	root      = "../../.."
)

// Each document of each manifest is one of Kubernetes' own types, without a field that these have
// not.
func TestKubernetes(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(packaging, "kubernetes", "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	kinds := map[string]func() any{
		"v1 Service": func() any { return &corev1.Service{} }, "v1 PersistentVolumeClaim": func() any { return &corev1.PersistentVolumeClaim{} },
		"apps/v1 StatefulSet": func() any { return &appsv1.StatefulSet{} }, "batch/v1 Job": func() any { return &batchv1.Job{} },
		"policy/v1 PodDisruptionBudget": func() any { return &policyv1.PodDisruptionBudget{} },
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		documents := utilyaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(text)))
		found := 0
		for buffer := make([]byte, 1<<20); ; found++ {
			n, err := documents.Read(buffer)
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			var head struct{ APIVersion, Kind string }
			require.NoError(t, yaml.Unmarshal(buffer[:n], &head), file)
			make := kinds[head.APIVersion+" "+head.Kind]
			require.NotNil(t, make, "%s: %v", file, head)
			require.NoError(t, yaml.UnmarshalStrict(buffer[:n], make()), "%s: %s", file, head.Kind)
		}
		require.NotZero(t, found, file)
	}
	require.Error(t, yaml.UnmarshalStrict([]byte("spec: {replica: 3}"), &appsv1.StatefulSet{}), "an unknown field is noticed")
}

func TestCompose(t *testing.T) {
	o, err := cli.NewProjectOptions([]string{filepath.Join(root, "compose.yaml")}, cli.WithProfiles([]string{"*"}))
	require.NoError(t, err)
	project, err := o.LoadProject(context.Background())
	require.NoError(t, err)
	require.Len(t, project.Services, 6)
	for _, s := range project.Services {
		require.NotEmpty(t, s.Image)
	}
}

func TestDockerfile(t *testing.T) {
	text, err := os.Open(filepath.Join(root, "Dockerfile"))
	require.NoError(t, err)
	defer text.Close()
	parsed, err := parser.Parse(text)
	require.NoError(t, err)
	require.Empty(t, parsed.Warnings)
	stages, _, err := instructions.Parse(parsed.AST, nil)
	require.NoError(t, err)
	require.Len(t, stages, 2)
	last := stages[1]
	require.Equal(t, "scratch", last.BaseName)
	user := ""
	for _, c := range last.Commands {
		if u, ok := c.(*instructions.UserCommand); ok {
			user = u.User
		}
	}
	require.Equal(t, "65532:65532", user, "not root")
}

// The binary of the image needs no other file.
func TestTheBinaryIsStatic(t *testing.T) {
	name := filepath.Join(t.TempDir(), "gtstore")
	cmd := exec.Command("go", "build", "-ldflags=-s", "-o", name, "./cmd/gtstore") // as in the Dockerfile, but for -trimpath, with which all would be built anew
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	binary, err := elf.Open(name)
	require.NoError(t, err)
	defer binary.Close()
	libraries, err := binary.ImportedLibraries()
	require.NoError(t, err)
	require.Empty(t, libraries)
	for _, p := range binary.Progs {
		require.NotEqual(t, elf.PT_INTERP, p.Type, "it has no interpreter")
	}
}

func TestAlerts(t *testing.T) {
	file := filepath.Join(packaging, "prometheus", "alerts.yaml")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	groups, errs := rulefmt.Parse(text, false, model.UTF8Validation, promql.NewParser(promql.Options{}), slog.New(slog.DiscardHandler))
	require.Empty(t, errs)
	require.NotEmpty(t, groups.Groups[0].Rules)
}

// Every query of the dashboard is one that Prometheus can parse.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(packaging, "grafana", "gtstore.json"))
	require.NoError(t, err)
	var dashboard struct {
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
		}
	}
	require.NoError(t, json.Unmarshal(text, &dashboard))
	queries, seen := 0, map[int]bool{}
	for _, p := range dashboard.Panels {
		require.False(t, seen[p.ID], "%s: its id is another panel's", p.Title)
		seen[p.ID] = true
		for _, target := range p.Targets {
			_, err := promql.NewParser(promql.Options{}).ParseExpr(strings.NewReplacer("$__rate_interval", "1m", "$job", "gtstore").Replace(target.Expr))
			require.NoError(t, err, "%s: %s", p.Title, target.Expr)
			queries++
		}
	}
	require.Greater(t, queries, 20)
}

package properties

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	modulePath    = "gtstore"
	moduleRootDir = ".."
)

// layer says what the packages in a directory, and below it, may import. Where several
// layers match, the one with the longest directory counts. A path that ends in /...
// covers the package and all below it.
type layer struct {
	dir     string
	project []string // packages of this module; a package may always import itself
	tests   []string // further packages of this module, for tests only
	modules []string // other modules, with all packages below them
	denied  []denial // packages of the standard library that it must not import
	why     string   // why it may import nothing else
}

// denial is a package of the standard library that a layer must not import.
// A path that ends in /... covers the package and all below it.
type denial struct{ path, why string }

// impure are the packages through which a state machine could see more than its inputs,
// or do more than its outputs say.
var impure = []denial{
	{"net/...", "the driver owns the network; the core emits envelopes"},
	{"os/...", "the driver owns files, signals and the environment"},
	{"io/fs", "the driver owns files"},
	{"path/filepath", "its results depend on the operating system"},
	{"embed", "what is embedded is not in the source that a trace was made with"},
	{"log/...", "the core emits events; the driver logs them"},
	{"flag", "options are passed in"},
	{"context", "it carries channels and wall-clock deadlines; the core has Deadline"},
	{"sync/...", "calls are serial by the driver's contract, so a lock would hide a breach of it"},
	{"runtime/...", "what the runtime tells differs from run to run"},
	{"testing/...", "it registers flags in every binary"},
	{"math/rand", "its top-level functions are seeded at random; use a PCG of math/rand/v2 that the options seed"},
	{"crypto/rand", "identities are drawn by the driver and passed in the options"},
	{"hash/maphash", "its seed differs from process to process"},
	{"unsafe", "memory layout is not part of the protocol"},
	{"reflect", "the codec names its fields, so that a change of a struct cannot change the wire unseen"},
	{"syscall/...", "the driver owns the operating system"},
	{"plugin", "the code that runs is the code that was tested"},
	{"C", "the code that runs is Go"},
}

// unrepeatable are the packages through which two runs of one schedule could differ.
var unrepeatable = []denial{
	{"net/...", "the simulator's network is simulated"},
	{"math/rand", "a schedule replays for ever; only math/rand/v2's PCG has a promised sequence"},
	{"crypto/rand", "a schedule replays; all randomness comes from its seed"},
}

const whyPure = "the core is pure: simulator and real hosts must run the very same state machine"

var layers = []layer{
	{dir: "core/wire", denied: impure, why: whyPure},
	{dir: "core", project: []string{"core/wire"}, denied: impure, why: whyPure},
	{
		dir: "core/quorum", project: []string{"core", "core/wire"}, modules: []string{"go.etcd.io/raft/v3", "google.golang.org/protobuf"}, denied: impure,
		why: whyPure,
	},
	{
		dir: "core/coretest", project: []string{"core"}, modules: []string{"github.com/stretchr/testify", "pgregory.net/rapid"}, denied: unrepeatable,
		why: "only tests import it: it says what the core expects of a driver's disk",
	},
	// The packages of the simulator, from the lowest up.
	{dir: "sim/splitmix", denied: unrepeatable, why: "it turns numbers into numbers"},
	{dir: "sim/mark", denied: unrepeatable, why: "it is a list of names: who notices a situation is another matter"},
	{dir: "sim/bounds", denied: unrepeatable, why: "the bounds are numbers, held against times"},
	{
		dir: "sim/history", project: []string{"core"}, tests: []string{"sim", "sim/check", "sim/schedule"},
		modules: []string{"github.com/anishathalye/porcupine"}, denied: unrepeatable,
		why: "a history is judged alike wherever it comes from",
	},
	{
		dir: "sim/schedule", project: []string{"core", "sim/mark"}, tests: []string{"sim/splitmix"}, denied: unrepeatable,
		why: "a schedule is data: what comes of it is another matter",
	},
	{
		dir: "sim/generate", project: []string{"core", "sim/bounds", "sim/schedule"}, tests: []string{"sim"}, denied: unrepeatable,
		why: "what is drawn must not depend on what the simulator makes of it",
	},
	{
		dir: "sim/shrink", project: []string{"core", "sim/schedule"}, tests: []string{"sim/generate"}, denied: unrepeatable,
		why: "what failing is, and so the run, is the caller's",
	},
	{
		dir: "sim/network", project: []string{"core", "sim/bounds", "sim/mark", "sim/schedule", "sim/splitmix"}, denied: unrepeatable,
		why: "it returns decisions: who carries them out is another matter",
	},
	{
		dir: "sim", project: []string{"core", "core/quorum", "core/wire", "sim/bounds", "sim/history", "sim/mark", "sim/network", "sim/schedule", "sim/splitmix"},
		tests: []string{"core/coretest", "sim/check", "sim/generate"}, denied: unrepeatable,
		why: "the simulator drives the core alone, so that a trace needs nothing else",
	},
	{
		dir: "sim/check", project: []string{"core", "core/quorum", "sim", "sim/bounds", "sim/history", "sim/mark", "sim/schedule", "sim/splitmix"},
		denied: unrepeatable, why: "the checks look on while the simulator runs",
	},
	{
		dir: "sim/fuzz", project: []string{"core", "sim", "sim/check", "sim/generate", "sim/history", "sim/mark", "sim/schedule", "sim/shrink", "sim/splitmix"},
		denied: unrepeatable, why: "a search draws schedules, runs and shrinks them",
	},
	{
		dir: "sim/view", project: []string{"core", "sim", "sim/explore/cluster", "sim/fuzz", "sim/history", "sim/schedule"}, tests: []string{"sim/check", "sim/explore"},
		denied: unrepeatable, why: "a view shows one run",
	},
	{
		dir: "sim/explore", project: []string{"core/wire"}, denied: unrepeatable,
		why: "a search knows nothing of what it searches",
	},
	{
		dir: "sim/explore/canon", project: []string{"core"}, denied: unrepeatable,
		why: "it reads any value, and knows of the core what a time is",
	},
	{
		dir: "sim/explore/cluster", project: []string{"core", "core/quorum", "sim/explore", "sim/explore/canon", "sim/history"}, denied: unrepeatable,
		why: "it drives the core alone, with an explorer in the simulator's place",
	},
	{
		dir: "netrpc", project: []string{"core", "core/wire", "netrpc/internal/..."}, tests: []string{"core/quorum"},
		why: "a program that imports the client gets the standard library and nothing else",
	},
	{
		dir: "netrpc/internal/identity/identitytest", project: []string{"core", "netrpc/internal/identity"}, modules: []string{"github.com/stretchr/testify"},
		why: "only tests import it",
	},
	{
		dir: "netrpc/disk", project: []string{"core", "core/wire"}, tests: []string{"core/coretest", "netrpc/disk/disktest"}, modules: []string{"github.com/cockroachdb/pebble/v2", "golang.org/x/sys"},
		why: "the engine keeps what it is given: what that means is the core's",
	},
	{
		dir: "cmd/gtstore/internal/backup", project: []string{"core", "core/wire"},
		why: "a file that outlives the cluster that it is of is read without any",
	},
	{
		dir: "cmd/internal/admin", project: []string{"core", "netrpc", "cmd/internal/cli"},
		modules: []string{"github.com/prometheus/client_golang", "github.com/prometheus/client_model", "github.com/prometheus/common"},
		why:     "what a node tells of itself over HTTP is read from its runtime",
	},
	{
		dir: "cmd", project: []string{"core", "core/quorum", "core/wire", "sim/...", "netrpc/...", "cmd/...", "properties/mutants"}, modules: []string{"github.com/spf13/cobra", "github.com/spf13/pflag", "github.com/HdrHistogram/hdrhistogram-go", "go.yaml.in/yaml/v3"},
		why: "the commands are the top of the project",
	},
	{
		dir: "properties", project: []string{"core/...", "sim/...", "properties/..."},
		modules: []string{"pgregory.net/rapid", "github.com/anishathalye/porcupine"},
		why:     "the properties judge the core through the simulator; real hosts have tests of their own",
	},
}

// testTools are the modules that tests of every layer may import.
var testTools = []string{"github.com/cockroachdb/datadriven", "github.com/stretchr/testify", "github.com/google/go-cmp", "pgregory.net/rapid", "github.com/chromedp"}

// layerOf returns the layer of a directory; nil when no layer covers it.
func layerOf(dir string) *layer {
	var found *layer
	for i := range layers {
		if l := &layers[i]; within(dir, l.dir) && (found == nil || len(l.dir) > len(found.dir)) {
			found = l
		}
	}
	return found
}

// within tells whether a slash-separated path is dir or below it.
func within(name, dir string) bool { return name == dir || strings.HasPrefix(name, dir+"/") }

// coveredBy tells whether one of the paths names or covers a package.
func coveredBy(name string, paths []string) bool {
	return slices.ContainsFunc(paths, func(p string) bool {
		subtree, all := strings.CutSuffix(p, "/...")
		return name == p || all && within(name, subtree)
	})
}

func withinAny(name string, dirs []string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool { return within(name, dir) })
}

// judgeImport says in a sentence what is wrong with an import by a file in dir; "" for
// nothing.
func judgeImport(dir, imported string, test bool) string {
	l := layerOf(dir)
	if l == nil {
		return fmt.Sprintf("no layer covers %s/: say in the table of layers what it may import, and why", dir)
	}
	if own, ok := strings.CutPrefix(imported, modulePath+"/"); ok {
		if own == dir || coveredBy(own, l.project) || test && coveredBy(own, l.tests) {
			return ""
		}
		return fmt.Sprintf("%s must not import %s: %s (of this project it may import %s)", dir, imported, l.why, list(l.project))
	}
	first, _, _ := strings.Cut(imported, "/")
	if strings.Contains(first, ".") {
		if withinAny(imported, l.modules) || test && withinAny(imported, testTools) {
			return ""
		}
		return fmt.Sprintf("%s must not import %s: %s (of other modules it may import %s)", dir, imported, l.why, list(l.modules))
	}
	if test {
		return ""
	}
	for _, d := range l.denied {
		if coveredBy(imported, []string{d.path}) {
			return fmt.Sprintf("%s must not import %s: %s", dir, imported, d.why)
		}
	}
	return ""
}

func list(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, ", ")
}

// sourceFile is a Go file of this module.
type sourceFile struct {
	name  string // slash-separated, from the root
	dir   string
	test  bool
	lines int
	ast   *ast.File
}

var sourceSet = token.NewFileSet()

// loadSource parses every Go file of the module, once.
var loadSource = sync.OnceValues(func() ([]sourceFile, error) {
	var files []sourceFile
	err := filepath.WalkDir(moduleRootDir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != moduleRootDir && (strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_") || d.Name() == "testdata"):
			return fs.SkipDir // as the go command does
		case d.IsDir() && name != moduleRootDir && exists(filepath.Join(name, "go.mod")):
			return fs.SkipDir // another module, which this one does not need
		case d.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel := fromRoot(name)
		parsed, err := parser.ParseFile(sourceSet, rel, text, parser.ParseComments|parser.SkipObjectResolution)
		files = append(files, sourceFile{rel, path.Dir(rel), strings.HasSuffix(rel, "_test.go"), bytes.Count(text, []byte("\n")), parsed})
		return err
	})
	return files, err
})

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

func fromRoot(name string) string {
	rel, err := filepath.Rel(moduleRootDir, name)
	if err != nil {
		return name
	}
	return filepath.ToSlash(rel)
}

func source(t *testing.T) []sourceFile {
	t.Helper()
	files, err := loadSource()
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return files
}

func TestImportsPointOneWay(t *testing.T) {
	for _, f := range source(t) {
		for _, spec := range f.ast.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			if wrong := judgeImport(f.dir, imported, f.test); wrong != "" {
				t.Errorf("%v: %s", sourceSet.Position(spec.Pos()), wrong)
			}
		}
	}
}

// TestAClientCompilesTheStandardLibraryAndNothingElse: also by way of what it imports.
func TestAClientCompilesTheStandardLibraryAndNothingElse(t *testing.T) {
	require.Empty(t, compiledModules(t, "netrpc"))
	require.Contains(t, compiledModules(t, "core/quorum"), "go.etcd.io/raft/v3")
	require.Contains(t, compiledModules(t, "netrpc/disk"), "github.com/cockroachdb/pebble/v2")
}

// compiledModules lists what a package, and all that it imports of this module, imports of
// other modules.
func compiledModules(t *testing.T, dir string) (foreign []string) {
	t.Helper()
	todo := []string{dir}
	for i := 0; i < len(todo); i++ {
		for _, f := range source(t) {
			if f.dir != todo[i] || f.test {
				continue
			}
			for _, spec := range f.ast.Imports {
				imported, err := strconv.Unquote(spec.Path.Value)
				require.NoError(t, err)
				first, _, _ := strings.Cut(imported, "/")
				if own, ok := strings.CutPrefix(imported, modulePath+"/"); ok {
					if !slices.Contains(todo, own) {
						todo = append(todo, own)
					}
				} else if strings.Contains(first, ".") {
					foreign = append(foreign, imported)
				}
			}
		}
	}
	return foreign
}

func TestImportRulesBite(t *testing.T) {
	for _, c := range []struct {
		dir, imported string
		test          bool
		wrong         string // part of the message; empty when the import is fine
	}{
		{"core", "gtstore/core/wire", false, ""},
		{"core", "math/rand/v2", false, ""},
		{"core", "encoding/binary", false, ""},
		{"core", "reflect", true, ""},
		{"core", "github.com/stretchr/testify/require", true, ""},
		{"core", "gtstore/core", true, ""}, // of package core_test
		{"core/quorum", "go.etcd.io/raft/v3/raftpb", false, ""},
		{"core/wire", "gtstore/core/wire", true, ""},
		{"sim", "gtstore/core/wire", false, ""},
		{"sim/view", "gtstore/sim", false, ""},
		{"sim/history", "github.com/anishathalye/porcupine", false, ""},
		{"sim/history", "gtstore/sim", true, ""}, // of package history_test
		{"sim/fuzz", "gtstore/sim/shrink", false, ""},
		{"netrpc", "net/rpc", false, ""},
		{"cmd/gtstore", "github.com/spf13/cobra", false, ""},
		{"cmd/gtstore", "gtstore/cmd/internal/x", false, ""},
		{"cmd/internal/admin", "github.com/prometheus/client_golang/prometheus", false, ""},
		{"cmd/gtstore", "github.com/prometheus/client_golang/prometheus", false, "may import github.com/spf13/cobra"},
		{"netrpc", "github.com/prometheus/client_golang/prometheus", false, "the standard library and nothing else"},
		{"cmd/gtstore/internal/load", "github.com/HdrHistogram/hdrhistogram-go", false, ""},
		{"cmd/gtstore", "gtstore/properties/mutants", false, ""}, // gtstore view builds them
		{"properties", "pgregory.net/rapid", true, ""},

		{"core", "net", false, "the driver owns the network"},
		{"core", "net/http", false, "the driver owns the network"},
		{"core", "os", false, "the driver owns files"},
		{"core/wire", "reflect", false, "names its fields"},
		{"core", "math/rand", false, "seeded at random"},
		{"core", "sync/atomic", false, "calls are serial"},
		{"core", "unsafe", false, "memory layout"},
		{"core", "runtime/debug", false, "differs from run to run"},
		{"core", "gtstore/sim", false, "may import core/wire"},
		{"core", "gtstore/core/quorum", false, "may import core/wire"},
		{"core", "go.etcd.io/raft/v3", false, "may import nothing"},
		{"core/quorum", "crypto/rand", false, "drawn by the driver"},
		{"core", "gtstore/sim", true, "may import core/wire"},
		{"core/wire", "gtstore/core", false, "may import nothing"},
		{"core", "github.com/google/go-cmp/cmp", false, "may import nothing"},
		{"sim", "gtstore/netrpc", false, "drives the core alone"},
		{"sim", "net", false, "simulated"},
		{"sim", "github.com/spf13/cobra", false, "drives the core alone"},
		{"sim", "gtstore/sim/generate", false, "drives the core alone"},
		{"sim", "gtstore/sim/check", false, "drives the core alone"},
		{"sim/check", "gtstore/sim/generate", false, "look on"},
		{"sim/schedule", "gtstore/sim", false, "a schedule is data"},
		{"sim/history", "gtstore/sim", false, "wherever it comes from"},
		{"sim/generate", "gtstore/sim", false, "must not depend on what the simulator makes of it"},
		{"sim/shrink", "gtstore/sim", true, "the caller's"},
		{"sim/mark", "gtstore/core", false, "a list of names"},
		{"sim/network", "gtstore/sim", false, "it returns decisions"},
		{"sim/explore", "gtstore/core", false, "knows nothing of what it searches"},
		{"sim/explore/cluster", "gtstore/sim", false, "drives the core alone"},
		{"netrpc", "gtstore/sim", false, "may import core, core/wire, netrpc/internal/..."},
		{"netrpc", "github.com/HdrHistogram/hdrhistogram-go", false, "the standard library and nothing else"},
		{"netrpc", "github.com/spf13/cobra", false, "the standard library and nothing else"},
		{"netrpc", "gtstore/core/quorum", false, "the standard library and nothing else"},
		{"cmd/gtstore", "pgregory.net/rapid", false, "may import github.com/spf13/cobra"},
		{"cmd/gtstore", "gtstore/properties", false, "the top of the project"},
		{"properties", "gtstore/cmd/gtstore", true, "judge the core"},
		{"corework", "fmt", false, "no layer covers corework/"},
	} {
		wrong := judgeImport(c.dir, c.imported, c.test)
		if c.wrong == "" {
			require.Empty(t, wrong, "%s imports %s", c.dir, c.imported)
		} else {
			require.Contains(t, wrong, c.wrong, "%s imports %s", c.dir, c.imported)
		}
	}
}

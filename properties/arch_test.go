package properties

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

const (
	modulePath    = "gtstore"
	fileLinesMax  = 800 // of a file that is no test
	funcLinesMax  = 80  // of a function that is no test
	textBytesMax  = 1 << 20
	moduleRootDir = ".."
)

// layer says what the packages in a directory, and below it, may import. Of
// several layers that match, the one with the longest directory counts. A path of
// this module that ends in /... covers the package and all below it.
type layer struct {
	dir     string
	project []string // packages of this module; a package's own path goes without saying
	tests   []string // and those that its tests alone may import
	modules []string // of others, with all below them
	denied  []denial // of the standard library
	why     string
}

// denial is a package of the standard library that a layer must not import.
// A path that ends in /... covers the package and all below it.
type denial struct{ path, why string }

// impure are the packages through which a state machine could see or do
// something other than its inputs and outputs.
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

// unrepeatable are the packages through which a run of the simulator could differ
// from one of the same schedule.
var unrepeatable = []denial{
	{"net/...", "the simulator's network is simulated"},
	{"math/rand", "a schedule replays for ever; only math/rand/v2's PCG has a promised sequence"},
	{"crypto/rand", "a schedule replays; all randomness comes from its seed"},
}

const whyPure = "the core is pure: simulator and real hosts must run the very same state machine"

var layers = []layer{
	{dir: "core/wire", denied: impure, why: whyPure},
	{dir: "core", project: []string{"core/wire"}, denied: impure, why: whyPure},
	// The rooms of the simulator, from below. What is not named here looks upwards.
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
		dir: "sim", project: []string{"core", "core/wire", "sim/bounds", "sim/history", "sim/mark", "sim/network", "sim/schedule", "sim/splitmix"},
		tests: []string{"sim/check", "sim/generate"}, denied: unrepeatable,
		why: "the simulator drives the core alone, so that a trace needs nothing else",
	},
	{
		dir: "sim/check", project: []string{"core", "sim", "sim/bounds", "sim/history", "sim/mark", "sim/schedule", "sim/splitmix"},
		denied: unrepeatable, why: "the checks look on while the simulator runs",
	},
	{
		dir: "sim/fuzz", project: []string{"core", "sim", "sim/check", "sim/generate", "sim/history", "sim/mark", "sim/schedule", "sim/shrink", "sim/splitmix"},
		denied: unrepeatable, why: "a search draws schedules, runs and shrinks them",
	},
	{
		dir: "sim/view", project: []string{"core", "sim", "sim/fuzz", "sim/history", "sim/schedule"}, tests: []string{"sim/check"},
		denied: unrepeatable, why: "a view shows one run",
	},
	{
		dir: "netrpc", project: []string{"core", "core/wire", "netrpc/..."},
		why: "a program that imports the client gets the standard library and nothing else",
	},
	{
		dir: "cmd", project: []string{"core", "sim/...", "netrpc/...", "cmd/...", "properties/mutants"}, modules: []string{"github.com/spf13/cobra", "github.com/spf13/pflag"},
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

// layerOf returns the layer of a directory, nil for one that no layer covers.
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

// coveredBy tells whether one of the paths is that of a package, or covers it.
func coveredBy(name string, paths []string) bool {
	return slices.ContainsFunc(paths, func(p string) bool {
		subtree, all := strings.CutSuffix(p, "/...")
		return name == p || all && within(name, subtree)
	})
}

func withinAny(name string, dirs []string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool { return within(name, dir) })
}

// judgeImport says what is wrong with an import in a file of directory dir, in
// a sentence, or returns "".
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
		{"core/wire", "gtstore/core/wire", true, ""},
		{"sim", "gtstore/core/wire", false, ""},
		{"sim/view", "gtstore/sim", false, ""},
		{"sim/history", "github.com/anishathalye/porcupine", false, ""},
		{"sim/history", "gtstore/sim", true, ""}, // of package history_test
		{"sim/fuzz", "gtstore/sim/shrink", false, ""},
		{"netrpc", "net/rpc", false, ""},
		{"cmd/gtstore", "github.com/spf13/cobra", false, ""},
		{"cmd/gtstore", "gtstore/cmd/internal/x", false, ""},
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
		{"netrpc", "gtstore/sim", false, "may import core, core/wire, netrpc/..."},
		{"netrpc", "github.com/spf13/cobra", false, "the standard library and nothing else"},
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

// The rules of purity, as findings name them.
const (
	ruleGoroutine = "goroutine"
	ruleChannel   = "channel"
	ruleMapOrder  = "map order"
	ruleFloat     = "float"
	ruleClock     = "clock"
	ruleRandom    = "global randomness"
	ruleOutput    = "output"
	ruleVariable  = "package variable"
	ruleLinkname  = "linkname"
)

var whyRule = map[string]string{
	ruleGoroutine: "the driver decides what runs when",
	ruleChannel:   "messages come in through Step and leave through the Output",
	ruleMapOrder:  "the order differs from run to run; range over a sorted slice, as slices.Sorted(maps.Keys(m))",
	ruleFloat:     "integers mean the same on every machine, floats need not",
	ruleClock:     "time is what the driver passes in",
	ruleRandom:    "randomness comes from a PCG, or a ChaCha8, that the options seed",
	ruleOutput:    "what happened is an Event; the driver shows it",
	ruleVariable:  "state outside a node makes two nodes of one process depend on each other",
	ruleLinkname:  "it reaches around the import rules",
}

// finding is one breach of purity.
type finding struct {
	at         token.Position
	rule, text string
}

func (f finding) String() string {
	return fmt.Sprintf("%v: %s: %s: %s", f.at, f.rule, f.text, whyRule[f.rule])
}

// forbidden are functions, by package, that a pure package must not use. A rule
// of "" allows one in a package whose "*" is forbidden.
var forbidden = map[string]map[string]string{
	"time": {
		"Now": ruleClock, "Since": ruleClock, "Until": ruleClock, "After": ruleClock, "AfterFunc": ruleClock,
		"Sleep": ruleClock, "Tick": ruleClock, "NewTimer": ruleClock, "NewTicker": ruleClock,
	},
	"math/rand/v2": {"*": ruleRandom, "New": "", "NewPCG": "", "NewChaCha8": "", "Rand": "", "PCG": "", "ChaCha8": "", "Source": ""},
	"iter":         {"Pull": ruleGoroutine, "Pull2": ruleGoroutine},
	"fmt": {
		"Print": ruleOutput, "Printf": ruleOutput, "Println": ruleOutput,
		"Scan": ruleOutput, "Scanf": ruleOutput, "Scanln": ruleOutput,
	},
	"maps": {"*": ruleMapOrder, "Clone": "", "Copy": "", "Equal": "", "Collect": "", "Insert": ""},
}

// purity looks for breaches in one package.
type purity struct {
	fset   *token.FileSet
	info   types.Info
	found  []finding
	sorted map[*ast.Ident]bool // uses of maps.Keys and maps.Values whose result is sorted at once
}

// sharedImporter type-checks the standard library from source, each package
// once: that works without a build cache, and nothing is written to one.
var sharedImporter = sync.OnceValue(func() types.Importer {
	return importer.ForCompiler(token.NewFileSet(), "source", nil)
})

// importers serves packages of this module from own, and others from source.
type importers struct{ own map[string]*types.Package }

func (i importers) Import(name string) (*types.Package, error) {
	if p := i.own[name]; p != nil {
		return p, nil
	}
	return sharedImporter().Import(name)
}

// findImpurities type-checks a package and returns its breaches of purity.
func findImpurities(fset *token.FileSet, name string, files []*ast.File, im types.Importer) (*types.Package, []finding, error) {
	p := &purity{fset: fset, sorted: map[*ast.Ident]bool{}, info: types.Info{
		Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{},
		Uses: map[*ast.Ident]types.Object{}, Selections: map[*ast.SelectorExpr]*types.Selection{},
	}}
	pkg, err := (&types.Config{Importer: im}).Check(name, fset, files, &p.info)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range pkg.Scope().Names() {
		if v, ok := pkg.Scope().Lookup(name).(*types.Var); ok {
			p.variable(v)
		}
	}
	for _, f := range files {
		for _, group := range f.Comments {
			for _, c := range group.List {
				if strings.HasPrefix(c.Text, "//go:linkname") {
					p.report(c.Pos(), ruleLinkname, "a go:linkname directive")
				}
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			p.node(n)
			p.mutation(n)
			return true
		})
	}
	return pkg, p.found, nil
}

// report adds a finding, unless the same was found on that line.
func (p *purity) report(at token.Pos, rule, text string) {
	f := finding{p.fset.Position(at), rule, text}
	if !slices.ContainsFunc(p.found, func(g finding) bool {
		return g.at.Filename == f.at.Filename && g.at.Line == f.at.Line && g.rule == f.rule
	}) {
		p.found = append(p.found, f)
	}
}

func (p *purity) node(n ast.Node) {
	switch n := n.(type) {
	case *ast.GoStmt:
		p.report(n.Pos(), ruleGoroutine, "a go statement")
	case *ast.SendStmt:
		p.report(n.Pos(), ruleChannel, "a send")
	case *ast.SelectStmt:
		p.report(n.Pos(), ruleChannel, "a select")
	case *ast.RangeStmt:
		if tv := p.info.Types[n.X]; tv.Type != nil && couldBeMap(tv.Type) {
			p.report(n.Pos(), ruleMapOrder, "a range over a map")
		}
	case *ast.CallExpr:
		p.call(n)
	case *ast.Ident:
		if obj := p.info.Defs[n]; obj != nil {
			p.typ(n.Pos(), obj.Type())
		}
		if obj := p.info.Uses[n]; obj != nil {
			p.use(n, obj)
		}
	case *ast.BasicLit:
		if n.Kind == token.FLOAT || n.Kind == token.IMAG {
			p.report(n.Pos(), ruleFloat, "the literal "+n.Value)
		}
	}
	if e, ok := n.(ast.Expr); ok {
		if tv, ok := p.info.Types[e]; ok {
			p.typ(e.Pos(), tv.Type)
		}
	}
}

// typ reports types that have no place in pure code.
func (p *purity) typ(at token.Pos, t types.Type) {
	if t == nil {
		return
	}
	switch u := t.Underlying().(type) {
	case *types.Basic:
		if u.Info()&(types.IsFloat|types.IsComplex) != 0 {
			p.report(at, ruleFloat, "a value of type "+t.String())
		}
	case *types.Chan:
		p.report(at, ruleChannel, "a value of type "+t.String())
	}
}

// couldBeMap tells whether ranging over a type can be ranging over a map; a
// type parameter could be any of the types it allows.
func couldBeMap(t types.Type) bool {
	if param, ok := types.Unalias(t).(*types.TypeParam); ok {
		t = param.Constraint()
	}
	switch u := t.Underlying().(type) {
	case *types.Map:
		return true
	case *types.Interface:
		for e := range u.EmbeddedTypes() {
			if couldBeMap(e) {
				return true
			}
		}
	case *types.Union:
		for term := range u.Terms() {
			if couldBeMap(term.Type()) {
				return true
			}
		}
	}
	return false
}

// call notes the iterators over maps that are sorted at once.
func (p *purity) call(n *ast.CallExpr) {
	callee := p.packageFunc(n.Fun)
	if callee == nil || callee.Pkg().Path() != "slices" || !strings.HasPrefix(callee.Name(), "Sorted") || len(n.Args) == 0 {
		return
	}
	inner, ok := ast.Unparen(n.Args[0]).(*ast.CallExpr)
	if !ok {
		return
	}
	sel, ok := ast.Unparen(inner.Fun).(*ast.SelectorExpr)
	if f := p.packageFunc(inner.Fun); ok && f != nil && f.Pkg().Path() == "maps" && (f.Name() == "Keys" || f.Name() == "Values") {
		p.sorted[sel.Sel] = true
	}
}

// packageFunc returns the function of a package that an expression pkg.F names.
func (p *purity) packageFunc(e ast.Expr) *types.Func {
	sel, ok := ast.Unparen(e).(*ast.SelectorExpr)
	if !ok {
		return nil
	}
	f, _ := p.info.Uses[sel.Sel].(*types.Func)
	if f == nil || !isPackageLevel(f) {
		return nil
	}
	return f
}

func isPackageLevel(obj types.Object) bool {
	return obj.Pkg() != nil && obj.Parent() == obj.Pkg().Scope()
}

// use reports what must not be used, whether it is called or only named.
func (p *purity) use(id *ast.Ident, obj types.Object) {
	if b, ok := obj.(*types.Builtin); ok && (b.Name() == "print" || b.Name() == "println") {
		p.report(id.Pos(), ruleOutput, "the builtin "+b.Name())
	}
	if !isPackageLevel(obj) || p.sorted[id] {
		return
	}
	rules := forbidden[obj.Pkg().Path()]
	rule, ok := rules[obj.Name()]
	if !ok {
		rule = rules["*"]
	}
	if rule != "" {
		p.report(id.Pos(), rule, obj.Pkg().Name()+"."+obj.Name())
	}
}

// variable reports a package variable through which state could be shared
// although nothing is ever assigned to it.
func (p *purity) variable(v *types.Var) {
	problem := ""
	switch u := v.Type().Underlying().(type) {
	case *types.Chan:
		problem = "a channel"
	case *types.Interface:
		if !types.Identical(v.Type(), types.Universe.Lookup("error").Type()) {
			problem = "an interface other than error"
		}
	case *types.Pointer:
		isError := types.Implements(v.Type(), types.Universe.Lookup("error").Type().Underlying().(*types.Interface))
		if !isError && types.TypeString(u.Elem(), nil) != "hash/crc32.Table" {
			problem = "a pointer"
		}
	}
	if problem != "" {
		p.report(v.Pos(), ruleVariable, v.Name()+" is "+problem)
	}
}

// mutation reports what could change a package variable.
func (p *purity) mutation(n ast.Node) {
	switch n := n.(type) {
	case *ast.AssignStmt:
		for _, e := range n.Lhs {
			p.mutates(e, "is assigned")
		}
	case *ast.IncDecStmt:
		p.mutates(n.X, "is changed by "+n.Tok.String())
	case *ast.RangeStmt:
		p.mutates(n.Key, "is assigned by a range")
		p.mutates(n.Value, "is assigned by a range")
	case *ast.UnaryExpr:
		if _, literal := ast.Unparen(n.X).(*ast.CompositeLit); n.Op == token.AND && !literal {
			p.mutates(n.X, "has its address taken")
		}
	case *ast.CallExpr:
		id, _ := ast.Unparen(n.Fun).(*ast.Ident)
		if b, ok := p.info.Uses[id].(*types.Builtin); ok && slices.Contains([]string{"delete", "clear", "copy"}, b.Name()) {
			p.mutates(n.Args[0], "is changed by "+b.Name())
		}
	case *ast.SelectorExpr:
		s := p.info.Selections[n]
		if s == nil || s.Kind() != types.MethodVal {
			return
		}
		recv := s.Obj().(*types.Func).Signature().Recv()
		_, byPointer := recv.Type().(*types.Pointer)
		_, isPointer := s.Recv().Underlying().(*types.Pointer)
		if byPointer && !isPointer {
			p.mutates(n.X, "has a method called that can change it, "+n.Sel.Name)
		}
	}
}

// mutates reports a change when what is changed belongs to a package variable.
func (p *purity) mutates(e ast.Expr, how string) {
	for e != nil {
		switch x := e.(type) {
		case *ast.ParenExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.SliceExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.SelectorExpr:
			if v, ok := p.info.Uses[x.Sel].(*types.Var); ok && isPackageLevel(v) {
				e = x.Sel
			} else {
				e = x.X
			}
		case *ast.Ident:
			if v, ok := p.info.Uses[x].(*types.Var); ok && isPackageLevel(v) {
				p.report(x.Pos(), ruleVariable, v.Name()+" "+how)
			}
			return
		default:
			return
		}
	}
}

func TestCoreIsPure(t *testing.T) {
	own := importers{map[string]*types.Package{}}
	for _, dir := range []string{"core/wire", "core"} { // in the order of their imports
		var files []*ast.File
		for _, f := range source(t) {
			if f.dir == dir && !f.test {
				files = append(files, f.ast)
			}
		}
		require.NotEmpty(t, files, dir)
		pkg, found, err := findImpurities(sourceSet, modulePath+"/"+dir, files, own)
		require.NoError(t, err)
		own.own[pkg.Path()] = pkg
		for _, f := range found {
			t.Error(f)
		}
	}
}

func TestPurityRulesBite(t *testing.T) {
	for _, c := range []struct {
		name, rule string
		imports    string
		code       string
	}{
		{"go statement", ruleGoroutine, "", `func f() { go f() }`},
		{"coroutine", ruleGoroutine, "iter", `func f(s iter.Seq[int]) { next, _ := iter.Pull(s); next() }`},
		{"channel type", ruleChannel, "", `type t struct{ c chan int }`},
		{"channel parameter", ruleChannel, "", `func f(c <-chan int) {}`},
		{"receive", ruleChannel, "", `func f(c <-chan int) int { return (<-c) }`},
		{"send", ruleChannel, "", `func f(c chan<- int) { c <- 1 }`},
		{"channel of another package", ruleChannel, "context", `func f(c context.Context) any { return c.Done() }`},
		{"select", ruleChannel, "", `func f() { select {} }`},
		{"range over a map", ruleMapOrder, "", `func f(m map[int]int) { for range m { f(m) } }`},
		{"range over a named map", ruleMapOrder, "", `type set map[int]bool; func f(m set) { for k := range m { _ = k } }`},
		{"range over a generic map", ruleMapOrder, "", `func f[M ~map[K]V, K comparable, V any](m M) { for k := range m { _ = k } }`},
		{"unsorted keys", ruleMapOrder, "maps slices", `func f(m map[int]int) []int { return slices.Collect(maps.Keys(m)) }`},
		{"range over keys", ruleMapOrder, "maps", `func f(m map[int]int) { for k := range maps.Keys(m) { _ = k } }`},
		{"calls in map order", ruleMapOrder, "maps", `func f(m map[int]int, g func(int, int) bool) { maps.DeleteFunc(m, g) }`},
		{"float type", ruleFloat, "", `type t struct{ x float64 }`},
		{"float literal", ruleFloat, "", `const c = 1.5`},
		{"float literal as an integer", ruleFloat, "", `var x int = 1e9`},
		{"float conversion", ruleFloat, "", `func f(x int) int { return int(float32(x) / 2) }`},
		{"float from another package", ruleFloat, "time", `func f(d time.Duration) bool { return d.Seconds() > 1 }`},
		{"float in a result", ruleFloat, "strconv", `func f() { x, _ := strconv.ParseFloat("", 64); _ = x }`},
		{"complex", ruleFloat, "", `var x = 1i`},
		{"now", ruleClock, "time", `func f() time.Time { return time.Now() }`},
		{"now as a value", ruleClock, "time", `func f() any { return time.Now }`},
		{"since", ruleClock, "time", `func f(t time.Time) time.Duration { return time.Since(t) }`},
		{"until", ruleClock, "time", `func f(t time.Time) time.Duration { return time.Until(t) }`},
		{"sleep", ruleClock, "time", `func f() { time.Sleep(1) }`},
		{"after", ruleClock, "time", `func f() { _ = time.After(1) }`},
		{"after func", ruleClock, "time", `func f() { time.AfterFunc(1, f) }`},
		{"tick", ruleClock, "time", `func f() { _ = time.Tick(1) }`},
		{"timer", ruleClock, "time", `func f() { time.NewTimer(1) }`},
		{"ticker", ruleClock, "time", `func f() { time.NewTicker(1) }`},
		{"renamed import", ruleClock, "clock:time", `func f() { clock.Sleep(1) }`},
		{"dot import", ruleClock, ".:time", `func f() { Sleep(1) }`},
		{"global randomness", ruleRandom, "math/rand/v2", `func f() int { return rand.IntN(3) }`},
		{"global generic randomness", ruleRandom, "math/rand/v2", `func f() int { return rand.N(3) }`},
		{"print", ruleOutput, "fmt", `func f() { fmt.Println() }`},
		{"builtin print", ruleOutput, "", `func f() { println() }`},
		{"counter", ruleVariable, "", `var n int; func f() { n++ }`},
		{"assignment", ruleVariable, "", `var n int; func f() { n = 1 }`},
		{"compound assignment", ruleVariable, "", `var n int; func f() { n += 1 }`},
		{"assignment by range", ruleVariable, "", `var n int; func f() { for n = range 3 { f() } }`},
		{"element", ruleVariable, "", `var a [3]struct{ x int }; func f() { a[1].x = 2 }`},
		{"map entry", ruleVariable, "", `var m = map[int]int{}; func f() { m[1] = 2 }`},
		{"delete", ruleVariable, "", `var m = map[int]int{}; func f() { delete(m, 1) }`},
		{"clear", ruleVariable, "", `var m = map[int]int{}; func f() { clear(m) }`},
		{"copy", ruleVariable, "", `var a [3]int; func f() { copy(a[:], a[1:]) }`},
		{"address", ruleVariable, "", `var n int; func f() *int { return &n }`},
		{"pointer method", ruleVariable, "strings", `var b strings.Builder; func f() { b.WriteString("") }`},
		{"pointer", ruleVariable, "math/rand/v2", `var r = rand.New(rand.NewPCG(1, 2))`},
		{"interface", ruleVariable, "", `var a any = 1`},
		{"variable of another package", ruleVariable, "encoding/binary io", `func f() { io.EOF = nil; _ = binary.LittleEndian }`},
		{"linkname", ruleLinkname, "", "//go:linkname f g\nfunc f() {}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := findInSnippet(t, c.imports, c.code)
			require.True(t, slices.ContainsFunc(found, func(f finding) bool { return f.rule == c.rule }),
				"want a finding of %q, got %v", c.rule, found)
		})
	}
}

// What the core does must not be taken for a breach.
func TestPurityRulesSpare(t *testing.T) {
	require.Empty(t, findInSnippet(t, "cmp errors fmt hash/crc32 maps math math/rand/v2 slices strings time", `
		type instant int64
		type node struct { jitter *rand.Rand; keys map[string]int }
		type fault struct{ text string }
		var ErrA, ErrB = errors.New("a"), fmt.Errorf("b")
		var errC = &fault{"c"}
		var table = crc32.MakeTable(crc32.Castagnoli)
		var names = [...]string{"a", "b"}
		var ranks = map[string]int{"a": 1}
		var _ fmt.Stringer = instant(0)
		const never instant = math.MaxInt64
		func (e *fault) Error() string { return e.text }
		func (t instant) String() string { return time.Duration(t).String() }
		func (t instant) After(d time.Duration) instant { return t + instant(d) }
		func start(seed uint64) *node { return &node{rand.New(rand.NewPCG(seed, 1)), map[string]int{}} }
		func (n *node) step(at instant) (order []string) {
			n.keys[names[n.jitter.IntN(2)]]++
			for i := range names[:] { order = append(order, names[i]) }
			for _, k := range slices.Sorted(maps.Keys(n.keys)) { order = append(order, k) }
			for range 3 { at = at.After(time.Second) }
			delete(n.keys, fmt.Sprint(at, ranks["a"], crc32.Checksum(nil, table), never))
			slices.SortFunc(order, func(a, b string) int { return cmp.Compare(len(a), len(b)) })
			return append(order, strings.Repeat("x", 1))
		}`))
}

// findInSnippet returns the findings in a file with those imports: paths, each
// with "name:" before it when the import is renamed.
func findInSnippet(t *testing.T, imports, code string) []finding {
	t.Helper()
	text := "package p\n"
	for _, spec := range strings.Fields(imports) {
		name, imported, renamed := strings.Cut(spec, ":")
		if !renamed {
			name, imported = "", spec
		}
		text += fmt.Sprintf("import %s %q\n", name, imported)
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "p.go", text+code, parser.ParseComments|parser.SkipObjectResolution)
	require.NoError(t, err)
	_, found, err := findImpurities(fset, "p", []*ast.File{file}, importers{})
	require.NoError(t, err)
	return found
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	documented := map[string]string{} // directory to what is wrong, "" for nothing
	for _, f := range source(t) {
		if _, seen := documented[f.dir]; !seen {
			documented[f.dir] = "has no doc.go with the package comment"
		}
		if path.Base(f.name) == "doc.go" {
			documented[f.dir] = judgeDoc(f.ast)
		}
	}
	for dir, wrong := range documented {
		if wrong != "" {
			t.Errorf("%s/ %s", dir, wrong)
		}
	}
}

func judgeDoc(f *ast.File) string {
	switch text := f.Doc.Text(); {
	case strings.TrimSpace(text) == "":
		return "has a doc.go without a package comment"
	case f.Name.Name != "main" && !strings.HasPrefix(text, "Package "+f.Name.Name+" "):
		return "has a package comment that does not begin with Package " + f.Name.Name
	}
	return ""
}

func TestFilesAndFunctionsStayShort(t *testing.T) {
	for _, f := range source(t) {
		if f.test {
			continue
		}
		if f.lines > fileLinesMax {
			t.Errorf("%s has %d lines, more than %d: one concept a file", f.name, f.lines, fileLinesMax)
		}
		for _, long := range longFuncs(sourceSet, f.ast) {
			t.Error(long)
		}
	}
}

func longFuncs(fset *token.FileSet, f *ast.File) (long []string) {
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1; n > funcLinesMax {
			long = append(long, fmt.Sprintf("%v: func %s has %d lines, more than %d: handlers are straight lines, split it",
				fset.Position(fn.Pos()), fn.Name.Name, n, funcLinesMax))
		}
	}
	return long
}

// privatePath matches paths that exist only on the machine of whoever wrote
// them. It is put together so that it does not match itself.
var privatePath = regexp.MustCompile(`(?:^|[\s"'` + "`" + `(=:])/(?:work|home|root|Users)` + `/|\.\.` + `/shared\b`)

func TestNoPrivatePaths(t *testing.T) {
	err := filepath.WalkDir(moduleRootDir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || fromRoot(name) == "bin") {
			return fs.SkipDir
		}
		if d.Name() == ".git" { // a file in a worktree, which says where the repository is
			return nil
		}
		info, err := d.Info()
		if err != nil || !info.Mode().IsRegular() || info.Size() > textBytesMax {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil || !utf8.Valid(text) {
			return err
		}
		for i, line := range strings.Split(string(text), "\n") {
			if privatePath.MatchString(line) {
				t.Errorf("%s:%d: a path that means nothing on another machine: %s", fromRoot(name), i+1, strings.TrimSpace(line))
			}
		}
		return nil
	})
	require.NoError(t, err)
}

func TestStyleRulesBite(t *testing.T) {
	fset := token.NewFileSet()
	parse := func(text string) *ast.File {
		f, err := parser.ParseFile(fset, "p.go", text, parser.ParseComments)
		require.NoError(t, err)
		return f
	}
	require.Empty(t, judgeDoc(parse("// Package p is fine.\npackage p")))
	require.Empty(t, judgeDoc(parse("// Gtstore does everything.\npackage main")))
	require.Contains(t, judgeDoc(parse("package p")), "without a package comment")
	require.Contains(t, judgeDoc(parse("// This is p.\npackage p")), "does not begin with Package p")

	require.Empty(t, longFuncs(fset, parse("package p\nfunc f() {"+strings.Repeat("\n", funcLinesMax-1)+"}")))
	require.Len(t, longFuncs(fset, parse("package p\nfunc f() {"+strings.Repeat("\n", funcLinesMax)+"}")), 1)

	for _, bad := range []string{"/wo" + "rk/x", `see "/ho` + `me/me"`, "a=/ro" + "ot/b", "[x](.." + "/shared/x.md)"} {
		require.Regexp(t, privatePath, bad)
	}
	for _, good := range []string{"https://a.example/home/", "network/root", "the work/rest ratio", ".." + "/sharedness"} {
		require.NotRegexp(t, privatePath, good)
	}
}

const readmeWordsMax = 1500

var (
	linkTarget = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	fence      = regexp.MustCompile("(?ms)^```.*?^```$")
	heading    = regexp.MustCompile(`(?m)^#+ (.+)$`)
	notInSlug  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// brokenLinks returns the relative links of a Markdown file that lead to no file,
// or to no heading of one. The name is slash-separated, from the root.
func brokenLinks(name, text string) (broken []string) {
	for _, m := range linkTarget.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		file, anchor, _ := strings.Cut(m[1], "#")
		if strings.Contains(file, ":") {
			continue // it has a scheme, such as https
		}
		target := name
		if file != "" {
			target = path.Join(path.Dir(name), file)
		}
		there, err := os.Stat(filepath.Join(moduleRootDir, target))
		if err == nil && anchor != "" && !there.IsDir() {
			var linked []byte
			linked, err = os.ReadFile(filepath.Join(moduleRootDir, target))
			if err == nil && !slices.Contains(anchors(string(linked)), anchor) {
				err = fs.ErrNotExist
			}
		}
		if err != nil {
			broken = append(broken, m[1])
		}
	}
	return broken
}

// anchors are the names under which a Markdown file's headings are linked to.
func anchors(text string) (names []string) {
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		names = append(names, strings.ReplaceAll(notInSlug.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return names
}

func TestPagesLinkToWhatIsThere(t *testing.T) {
	err := filepath.WalkDir(moduleRootDir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == ".git":
			return fs.SkipDir
		case d.IsDir() || path.Ext(name) != ".md":
			return nil
		}
		text, err := os.ReadFile(name)
		for _, link := range brokenLinks(fromRoot(name), string(text)) {
			t.Errorf("%s links to %s, which is not there", fromRoot(name), link)
		}
		return err
	})
	require.NoError(t, err)

	require.Equal(t, []string{"nowhere.md", "../README.md#nowhere", "#nor-here"}, brokenLinks("core/x.md",
		"[a](nowhere.md) [b](doc.go) [c](../README.md#words) [d](https://a.example/x) [e](../LICENSE)\n"+
			"[f](../README.md#nowhere) [g](#nor-here) \n```\n[h](in-a-sample)\n```\n"))
}

func TestReadmeStaysShort(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(moduleRootDir, "README.md"))
	require.NoError(t, err)
	require.LessOrEqual(t, len(strings.Fields(string(text))), readmeWordsMax, "the README is for newcomers: the rest has pages of its own")
}

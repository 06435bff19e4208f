package properties

import (
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

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

// forbidden has by package the functions and types that a pure package must not use, with
// the rule that forbids each. "*" stands for all others of the package, and the rule ""
// allows one of them.
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

// purity looks for breaches of purity in one package.
type purity struct {
	fset   *token.FileSet
	info   types.Info
	found  []finding
	sorted map[*ast.Ident]bool // the uses of maps.Keys and maps.Values whose result is sorted at once
}

// sharedImporter type-checks the standard library, and other modules, from source, each
// package once. So it neither needs a build cache nor writes to one.
var sharedImporter = sync.OnceValue(func() types.ImporterFrom {
	return importer.ForCompiler(token.NewFileSet(), "source", nil).(types.ImporterFrom)
})

// importers imports packages of this module from own, and others from source.
type importers struct{ own map[string]*types.Package }

func (i importers) Import(name string) (*types.Package, error) {
	if p := i.own[name]; p != nil {
		return p, nil
	}
	return sharedImporter().ImportFrom(name, moduleRootDir, 0) // by the versions in our go.mod
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

// typ reports a type that has no place in pure code.
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

// couldBeMap tells whether a value of the type can be a map. A type parameter can be any
// of the types that it allows.
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

// call notes an iterator over a map whose result is sorted at once.
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

// packageFunc returns the function that an expression of the form pkg.F names; nil for
// none.
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

// use reports an object that must not be used, whether it is called or only named.
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

// variable reports a package variable that could share state even if nothing is ever
// assigned to it, such as a pointer.
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

// mutation reports code that could change a package variable.
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

// mutates reports a change of an expression, if that is a part of a package variable.
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
	for _, dir := range []string{"core/wire", "core", "core/quorum"} { // in the order of their imports
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

// Pure code, such as the core has it, is no breach.
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

// findInSnippet returns the findings in a file of that code. imports are paths with
// blanks between them; "name:path" renames one.
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

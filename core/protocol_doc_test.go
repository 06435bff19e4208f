package core

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// named is all that PROTOCOL.md can name, and the rules that the project cites.
type named struct {
	things map[string]bool     // files, tests, traces, mutants, checks
	kept   map[string]function // of the core, by receiver.name
	source string              // of the core, without its tests
	cited  map[string]string   // rules, by the heading that they must have, to a file that cites them
}

type function struct{ file, text string }

var (
	citation    = regexp.MustCompile(`\bR([0-9]+)\b|(?i:\bmanager)[\s/#]+([0-9])\b`) // a comment may break the line between the two
	thing       = regexp.MustCompile("(?m:^func (Test\\w+))|\\bName: `([a-z-]+)`|\\.Fail\\(\"([a-z-]+)\"")
	backticked  = regexp.MustCompile("`([^`]+)`")
	keptBy      = regexp.MustCompile("`([A-Za-z.]+)` \\(([a-z_]+\\.go)(?:: (`[^`]+`(?:, `[^`]+`)*))?") // function (file: what to search for)
	ruleHeading = regexp.MustCompile(`(?m)^### (R[0-9]+|Manager [0-9]): `)
)

func gatherNamed(t *testing.T) *named {
	n := &named{things: map[string]bool{}, kept: map[string]function{}, cited: map[string]string{}}
	require.NoError(t, filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		ext := filepath.Ext(name)
		if err != nil || d.IsDir() || ext != ".go" && ext != ".trace" {
			return err
		}
		text, err := os.ReadFile(name)
		n.things[d.Name()] = true
		for _, m := range citation.FindAllStringSubmatch(string(text), -1) {
			if m[1] != "" {
				n.cited["R"+m[1]] = name
			} else {
				n.cited["Manager "+m[2]] = name
			}
		}
		for _, m := range thing.FindAllStringSubmatch(string(text), -1) {
			n.things[m[1]+m[2]+m[3]] = true
		}
		if ext == ".trace" {
			trace, _ := filepath.Rel(filepath.Join("..", "traces"), name)
			n.things[strings.TrimSuffix(filepath.ToSlash(trace), ext)] = true
		} else if filepath.Dir(name) == filepath.Join("..", "core") && !strings.HasSuffix(name, "_test.go") {
			n.source += string(text)
			n.readFunctions(t, name, text)
		}
		return err
	}))
	return n
}

func (n *named) readFunctions(t *testing.T, file string, text []byte) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, text, 0)
	require.NoError(t, err)
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			name := fn.Name.Name
			if fn.Recv != nil {
				name = strings.TrimPrefix(types.ExprString(fn.Recv.List[0].Type), "*") + "." + name
			}
			n.kept[name] = function{filepath.Base(file), string(text[fset.Position(fn.Pos()).Offset:fset.Position(fn.End()).Offset])}
		}
	}
}

// PROTOCOL.md is the home of the rules. Whoever reads a rule's number anywhere finds
// it there, with the function that keeps it and who notices when it is gone; and none
// of what the page names has moved or been renamed meanwhile.
func TestProtocolPageIsTrue(t *testing.T) {
	text, err := os.ReadFile("PROTOCOL.md")
	require.NoError(t, err)
	page, n := string(text), gatherNamed(t)

	rules := map[string]bool{}
	headings := ruleHeading.FindAllStringSubmatchIndex(page, -1)
	for i, h := range headings {
		rule, end := page[h[2]:h[3]], len(page)
		if i+1 < len(headings) {
			end = headings[i+1][0]
		}
		rules[rule] = true
		require.Regexp(t, keptBy, page[h[0]:end], "%s: which function keeps it?", rule)
	}
	require.Len(t, rules, 12+8, "R1 to R12, and the manager's")
	for rule, file := range n.cited {
		require.True(t, rules[rule], "%s cites %s, which has no heading", file, rule)
	}
	for _, k := range wireKinds() {
		require.True(t, strings.Contains(page, "\n| "+k.String()+" |"), "%v has no row", k)
	}
	var wrong []string
	for _, m := range keptBy.FindAllStringSubmatch(page, -1) {
		if file := n.kept[m[1]].file; file != m[2] {
			wrong = append(wrong, m[1]+" is not in "+m[2]+", but in "+file)
		}
		for _, quoted := range backticked.FindAllStringSubmatch(m[3], -1) {
			if !strings.Contains(n.kept[m[1]].text, quoted[1]) {
				wrong = append(wrong, m[1]+" has no "+quoted[1])
			}
		}
	}
	for _, m := range backticked.FindAllStringSubmatch(page, -1) { // what is none of all this is a quotation from the core
		known := n.things[m[1]] || n.kept[m[1]].file != "" || m[1] == "traces/gallery" || strings.Contains(n.source, m[1])
		if !known {
			wrong = append(wrong, "there is no "+m[1])
		}
	}
	require.Empty(t, wrong)
}

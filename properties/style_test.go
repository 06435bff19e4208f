package properties

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

const (
	fileLinesMax   = 800     // of a file that is no test
	funcLinesMax   = 75      // of a function that is no test
	textBytesMax   = 1 << 20 // larger files are not text that somebody wrote
	readmeWordsMax = 1500
)

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	documented := map[string]string{} // by directory, what is wrong; "" for nothing
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

// privatePath matches paths that exist only on the machine of whoever wrote them. It is
// built from pieces, so that it does not match its own source.
var privatePath = regexp.MustCompile(`(?:^|[\s"'` + "`" + `(=:])/(?:work|home|root|Users)` + `/|\.\.` + `/shared\b`)

func TestNoPrivatePaths(t *testing.T) {
	err := filepath.WalkDir(moduleRootDir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || fromRoot(name) == "bin") {
			return fs.SkipDir
		}
		if d.Name() == ".git" { // in a worktree it is a file, with a path of this machine
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

var (
	linkTarget = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	fence      = regexp.MustCompile("(?ms)^```.*?^```$")
	heading    = regexp.MustCompile(`(?m)^#+ (.+)$`)
	notInSlug  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// brokenLinks returns the relative links of a Markdown file whose file or heading does
// not exist. The name is slash-separated, from the root.
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

// anchors are the names by which links refer to the headings of a Markdown file.
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

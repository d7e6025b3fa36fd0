package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The first columns of the runbook's tables, and what they list.
const (
	reasonColumn    = "reason"
	conditionColumn = "condition"
	outcomeColumn   = "outcome"
)

// The runbook has each condition, outcome and reason that the code has, once, and no other.
func TestTheRunbookSaysWhatToDoAboutEachReason(t *testing.T) {
	listed := runbookRows(t)
	core := packageAt(t, "../controller/core")
	for column, inCode := range map[string][]string{
		reasonColumn:    reasonsIn(t, packages(t)),
		conditionColumn: core.constants("ConditionType"),
		outcomeColumn:   core.constants("Outcome"),
	} {
		require.NotEmpty(t, inCode, column)
		for _, name := range inCode {
			assert.Contains(t, listed[column], name, "runbook.md lacks the %s %s: write what it means and what to do", column, name)
		}
		for _, name := range listed[column] {
			assert.Contains(t, inCode, name, "runbook.md has the %s %s, which no code has", column, name)
		}
		assert.Equal(t, slices.Compact(slices.Sorted(slices.Values(listed[column]))), slices.Sorted(slices.Values(listed[column])), "a %s stands in the runbook twice", column)
	}
}

// What the planner's stories show is found in the code.
func TestTheReasonsOfStoriesAreFound(t *testing.T) {
	inCode := reasonsIn(t, packages(t))
	stories, err := filepath.Glob("../controller/plan/testdata/stories/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, stories)
	told := regexp.MustCompile(`(?m)^(?:event \w+|condition \w+=\w+) (\w+): `)
	for _, path := range stories {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, match := range told.FindAllStringSubmatch(string(content), -1) {
			assert.Contains(t, inCode, match[1], path)
		}
	}
}

// runbookRows are the names in the runbook's tables, by the name of their column.
func runbookRows(t *testing.T) map[string][]string {
	content, err := os.ReadFile("runbook.md")
	require.NoError(t, err)
	rows, column := map[string][]string{}, ""
	for line := range strings.Lines(string(content)) {
		if !strings.HasPrefix(line, "|") {
			column = ""
			continue
		}
		first := strings.TrimSpace(strings.SplitN(line, "|", 3)[1])
		if column == "" {
			column = first
			continue
		}
		for _, match := range code.FindAllStringSubmatch(first, -1) {
			rows[column] = append(rows[column], match[1])
		}
	}
	return rows
}

// goPackage is the Go files of a folder, without tests.
type goPackage struct {
	set   *token.FileSet
	files []*ast.File
}

// packages are those whose code makes events and conditions.
func packages(t *testing.T) (all []goPackage) {
	for _, root := range []string{"../api", "../controller"} {
		require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case !d.IsDir():
				return nil
			case d.Name() == "testdata", d.Name() == "postgres": // there a reason is a sentence
				return fs.SkipDir
			}
			all = append(all, packageAt(t, path))
			return nil
		}))
	}
	return all
}

func packageAt(t *testing.T, dir string) goPackage {
	p := goPackage{set: token.NewFileSet()}
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(p.set, path, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		p.files = append(p.files, file)
	}
	return p
}

// constants are the values of the package's constants of a type.
func (p goPackage) constants(of string) (values []string) {
	p.inspect(func(n ast.Node) {
		c, ok := n.(*ast.ValueSpec)
		if !ok {
			return
		}
		if id, ok := c.Type.(*ast.Ident); ok && id.Name == of {
			for _, v := range c.Values {
				values = append(values, reasonsOf(v)...)
			}
		}
	})
	return values
}

func (p goPackage) inspect(visit func(ast.Node)) {
	for _, f := range p.files {
		ast.Inspect(f, func(n ast.Node) bool {
			visit(n)
			return true
		})
	}
}

// reasonsIn are the reasons of events and conditions in the code: what a field, a variable
// or a parameter called reason is given, and the table of the actions' reasons.
func reasonsIn(t *testing.T, all []goPackage) []string {
	found := map[string]bool{}
	for _, p := range all {
		takes := p.takers()
		given := func(e ast.Expr) {
			names := reasonsOf(e)
			for _, name := range names {
				found[name] = true
			}
			switch e := e.(type) {
			case *ast.BasicLit, *ast.BinaryExpr: // a sentence, as of a spec's strategy
			case *ast.Ident, *ast.SelectorExpr: // another one's reason, which is found there
				last := nameOf(e)
				if !slices.Contains([]string{"reason", "Reason", "doing", "done", "failed"}, last) {
					assert.Fail(t, "a reason that is not found", "%s: write it as a literal, or call what holds it reason", p.set.Position(e.Pos()))
				}
			}
		}
		p.inspect(func(n ast.Node) {
			switch n := n.(type) {
			case *ast.KeyValueExpr:
				if id, ok := n.Key.(*ast.Ident); ok && strings.EqualFold(id.Name, "reason") {
					given(n.Value)
				}
			case *ast.AssignStmt:
				for i, left := range n.Lhs {
					if strings.EqualFold(nameOf(left), "reason") && len(n.Lhs) == len(n.Rhs) {
						for _, name := range reasonsOf(n.Rhs[i]) {
							found[name] = true
						}
					}
				}
			case *ast.CallExpr:
				if i, ok := takes[nameOf(n.Fun)]; ok && i < len(n.Args) {
					given(n.Args[i])
				}
			case *ast.ValueSpec:
				if n.Names[0].Name == "reasons" {
					for _, v := range n.Values {
						for _, name := range reasonsOf(v) {
							found[name] = true
						}
					}
				}
			}
		})
	}
	return slices.Sorted(maps.Keys(found))
}

// takers are the package's functions that take a reason, and which parameter it is.
func (p goPackage) takers() map[string]int {
	takes := map[string]int{}
	p.inspect(func(n ast.Node) {
		f, ok := n.(*ast.FuncDecl)
		if !ok {
			return
		}
		i := 0
		for _, field := range f.Type.Params.List {
			for _, id := range field.Names {
				if id.Name == "reason" {
					takes[f.Name.Name] = i
				}
				i++
			}
		}
	})
	return takes
}

// nameOf is the last part of a name; empty where it is none.
func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

var camelCase = regexp.MustCompile(`^[A-Z][a-zA-Z]+$`)

// reasonsOf are the words in an expression that can be reasons.
func reasonsOf(e ast.Expr) (names []string) {
	ast.Inspect(e, func(n ast.Node) bool {
		if text, ok := n.(*ast.BasicLit); ok && text.Kind == token.STRING {
			if value, err := strconv.Unquote(text.Value); err == nil && camelCase.MatchString(value) {
				names = append(names, value)
			}
		}
		return true
	})
	return names
}

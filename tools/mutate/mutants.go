package main

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/format"
	"go/token"
	"go/types"
	"path/filepath"
	"strconv"

	"golang.org/x/tools/go/ast/astutil"
	"golang.org/x/tools/go/packages"
)

// variable names the environment variable that holds the number of the mutant
// that is on.
const variable = "TEND_MUTANT"

// helpers is the file that the package gains.
const helpers = `
// A mutant may allocate for ever.
func init() { syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: 4 << 30, Max: 4 << 30}) }

var mutantOn = func() int {
	id, err := strconv.Atoi(os.Getenv("` + variable + `"))
	if err != nil {
		panic(err)
	}
	return id
}()

func mutant(id int) bool { return mutantOn == id }

type mutantNumber interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~float64
}

func mutantPlus[T mutantNumber](on bool, n T) T {
	if on {
		return n + 1
	}
	return n
}

func mutantSign[T mutantNumber](on bool, n T) T {
	if on {
		return -n
	}
	return n
}
`

// mutant is a change of the package in one place.
type mutant struct {
	position string // FILE:LINE:COLUMN
	change   string
}

// program is a package with all its mutants, each behind a switch.
type program struct {
	mutants []mutant
	files   map[string][]byte
	pkg     *types.Package
	imports map[string]bool
	aliases map[string]string
	fset    *token.FileSet
	types   *types.Info
}

func instrument(ctx context.Context, dir string) (*program, error) {
	config := &packages.Config{Context: ctx, Dir: dir, Mode: packages.LoadSyntax}
	loaded, err := packages.Load(config, ".")
	if err != nil {
		return nil, err
	}
	pkg := loaded[0]
	if len(pkg.Errors) > 0 {
		return nil, pkg.Errors[0]
	}
	p := &program{files: map[string][]byte{}, imports: map[string]bool{"os": true, "strconv": true, "syscall": true}, aliases: map[string]string{}, pkg: pkg.Types, fset: pkg.Fset, types: pkg.TypesInfo}
	for _, file := range pkg.Syntax {
		file.Comments = nil // they would land anywhere
		changed := astutil.Apply(file, p.enter, p.leave)
		var source bytes.Buffer
		if err := format.Node(&source, token.NewFileSet(), changed); err != nil {
			return nil, err
		}
		p.files[pkg.Fset.Position(file.Package).Filename] = source.Bytes()
	}
	var source bytes.Buffer
	fmt.Fprintf(&source, "package %s\n", pkg.Name)
	for path := range p.imports {
		fmt.Fprintf(&source, "import %q\n", path)
	}
	for alias, name := range p.aliases {
		fmt.Fprintf(&source, "type %s = %s\n", alias, name)
	}
	source.WriteString(helpers)
	p.files[filepath.Join(dir, "mutant_switch.go")] = source.Bytes()
	return p, nil
}

// on notes a mutant, and returns the expression that is true when it is on.
func (p *program) on(at token.Pos, change string, args ...any) ast.Expr {
	where := p.fset.Position(at)
	p.mutants = append(p.mutants, mutant{
		position: fmt.Sprintf("%s:%d:%d", filepath.Base(where.Filename), where.Line, where.Column),
		change:   fmt.Sprintf(change, args...),
	})
	id := &ast.BasicLit{Kind: token.INT, Value: strconv.Itoa(len(p.mutants) - 1)}
	return call("mutant", id)
}

// enter leaves out what cannot change while the program runs.
func (p *program) enter(c *astutil.Cursor) bool {
	switch n := c.Node().(type) {
	case *ast.GenDecl:
		return n.Tok == token.VAR
	case ast.Expr:
		t, typed := p.types.Types[n]
		_, literal := n.(*ast.BasicLit)
		return !typed || t.Value == nil || literal || isBool(t.Type)
	}
	return true
}

// leave puts the mutants of a node in its place. Those within it are in place.
func (p *program) leave(c *astutil.Cursor) bool {
	switch n := c.Node().(type) {
	case *ast.BinaryExpr:
		if changed := p.binary(n); changed != nil {
			c.Replace(changed)
		}
	case *ast.UnaryExpr:
		if n.Op == token.NOT {
			c.Replace(unlessOn(p.on(n.OpPos, "without !"), n))
		}
	case *ast.BasicLit:
		if t := p.types.Types[n].Type; n.Kind == token.INT && isInteger(t) && c.Name() != "Len" {
			typed := &ast.IndexExpr{X: ast.NewIdent("mutantPlus"), Index: ast.NewIdent(p.name(t))}
			c.Replace(&ast.CallExpr{Fun: typed, Args: []ast.Expr{p.on(n.Pos(), "one more than %s", n.Value), n}})
		}
	case *ast.Ident:
		if t, ok := p.types.Types[n]; ok && t.Value != nil && (n.Name == "true" || n.Name == "false") {
			c.Replace(unlessOn(p.on(n.Pos(), "not %s", n.Name), n))
		}
	case *ast.IfStmt:
		n.Cond = &ast.BinaryExpr{X: not(p.on(n.If, "if false")), Op: token.LAND, Y: paren(n.Cond)}
	case *ast.CaseClause:
		for i, condition := range n.List {
			if t := p.types.Types[condition].Type; t == nil || isBool(t) { // nil: it was replaced
				n.List[i] = &ast.BinaryExpr{X: not(p.on(n.Case, "never this case")), Op: token.LAND, Y: paren(condition)}
			}
		}
	case *ast.IncDecStmt, *ast.ExprStmt, *ast.BranchStmt:
		p.omit(c)
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			p.omit(c)
		}
	}
	return true
}

// binary returns a binary expression with its mutants, or nil.
func (p *program) binary(n *ast.BinaryExpr) ast.Expr {
	switch n.Op {
	case token.EQL, token.NEQ:
		return unlessOn(p.on(n.OpPos, "the opposite of %s", n.Op), n)
	case token.LSS, token.GTR: // at the boundary, or turned round
		edge := &ast.BinaryExpr{X: p.on(n.OpPos, "%s=", n.Op), Op: token.LAND, Y: &ast.BinaryExpr{X: n.X, Op: token.EQL, Y: n.Y}}
		return unlessOn(p.on(n.OpPos, "the opposite of %s", n.Op), &ast.BinaryExpr{X: n, Op: token.LOR, Y: edge})
	case token.LEQ, token.GEQ:
		edge := &ast.BinaryExpr{X: p.on(n.OpPos, "%s without the boundary", n.Op), Op: token.LAND, Y: &ast.BinaryExpr{X: n.X, Op: token.EQL, Y: n.Y}}
		return unlessOn(p.on(n.OpPos, "the opposite of %s", n.Op), &ast.BinaryExpr{X: n, Op: token.LAND, Y: not(paren(edge))})
	case token.LAND:
		return p.shortCircuit(n, token.NEQ, token.LOR)
	case token.LOR:
		return p.shortCircuit(n, token.EQL, token.LAND)
	case token.ADD, token.SUB:
		if t := p.types.Types[n].Type; t != nil && isInteger(t) {
			n.Y = call("mutantSign", p.on(n.OpPos, "the other sign than %s", n.Op), n.Y)
		}
	}
	return nil
}

// shortCircuit returns a logical expression that can turn into the other one:
// the left side is evaluated first and once, the right side when it decides.
func (p *program) shortCircuit(n *ast.BinaryExpr, decides, other token.Token) ast.Expr {
	left := ast.NewIdent("left")
	body := &ast.BlockStmt{List: []ast.Stmt{
		&ast.AssignStmt{Lhs: []ast.Expr{left}, Tok: token.DEFINE, Rhs: []ast.Expr{n.X}},
		&ast.IfStmt{
			Cond: &ast.BinaryExpr{X: left, Op: decides, Y: p.on(n.OpPos, "%s instead of %s", other, n.Op)},
			Body: &ast.BlockStmt{List: []ast.Stmt{&ast.ReturnStmt{Results: []ast.Expr{n.Y}}}},
		},
		&ast.ReturnStmt{Results: []ast.Expr{left}},
	}}
	result := &ast.FieldList{List: []*ast.Field{{Type: ast.NewIdent("bool")}}}
	return &ast.CallExpr{Fun: &ast.FuncLit{Type: &ast.FuncType{Params: &ast.FieldList{}, Results: result}, Body: body}}
}

// omit has a statement not happen, where it stands in a list.
func (p *program) omit(c *astutil.Cursor) {
	if c.Index() < 0 {
		return
	}
	statement := c.Node().(ast.Stmt)
	on := p.on(statement.Pos(), "without the statement")
	c.Replace(&ast.IfStmt{Cond: not(on), Body: &ast.BlockStmt{List: []ast.Stmt{statement}}})
}

// name is a type's name as the package can write it. For a type of a package
// that a file may not import, that is an alias.
func (p *program) name(t types.Type) string {
	t = types.Default(t)
	named, ok := t.(*types.Named)
	if !ok || named.Obj().Pkg() == p.pkg {
		return types.TypeString(t, func(*types.Package) string { return "" })
	}
	of := named.Obj().Pkg()
	alias := "mutant_" + of.Name() + "_" + named.Obj().Name()
	p.imports[of.Path()] = true
	p.aliases[alias] = of.Name() + "." + named.Obj().Name()
	return alias
}

func isInteger(t types.Type) bool { return is(t, types.IsInteger) }
func isBool(t types.Type) bool    { return is(t, types.IsBoolean) }

func is(t types.Type, what types.BasicInfo) bool {
	if t == nil {
		return false
	}
	basic, ok := t.Underlying().(*types.Basic)
	return ok && basic.Info()&what != 0
}

func call(name string, args ...ast.Expr) ast.Expr {
	return &ast.CallExpr{Fun: ast.NewIdent(name), Args: args}
}

func paren(x ast.Expr) ast.Expr { return &ast.ParenExpr{X: x} }
func not(x ast.Expr) ast.Expr   { return &ast.UnaryExpr{Op: token.NOT, X: x} }

// unlessOn is a condition that turns into its opposite with the mutant.
func unlessOn(on, condition ast.Expr) ast.Expr {
	return paren(&ast.BinaryExpr{X: on, Op: token.NEQ, Y: paren(condition)})
}

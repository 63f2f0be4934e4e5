package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// errorPackages are those whose errors a user of the module can get into the hands.
var errorPackages = []string{"broker", "framing", "monitor", "pool", "process", "rpc", "worker"}

// unseen are package variables that are errors and never leave their package.
var unseen = map[string]bool{"rpc.errRoleLost": true}

// goldenErrors has two lines for each kind of error, its text and what a program can know of it. A test of package broker sees that both are true.
const goldenErrors = "broker/testdata/errors.golden"

// listed is an entry of docs/errors.md: an error's text, and in italics what a program can know of it.
var listed = regexp.MustCompile("(?m)^- `(.+)`\n  \\*(.+)\\*")

// Every error that a user can see is explained, in its present words, and nothing else is.
func TestErrorsAreExplained(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(goldenErrors)))
	require.NoError(t, err)
	var got []string
	want := strings.Split(strings.TrimSpace(string(text)), "\n\n")
	for _, m := range listed.FindAllStringSubmatch(readDoc(t, "errors.md"), -1) {
		got = append(got, plainError(m[1])+"\n"+m[2])
	}
	require.NotEmpty(t, want)
	require.ElementsMatch(t, want, got, "docs/errors.md and %s", goldenErrors)
}

var (
	somePID  = regexp.MustCompile(`\bpid \d+`)
	someArch = regexp.MustCompile(`\blinux/\w+`)
	someTime = regexp.MustCompile(`\b(\d+(\.\d+)?(h|ms|m|s|µs|ns))+\b`)
)

// plainError puts the golden file's words in place of an example's pids and times.
func plainError(text string) string {
	text = someArch.ReplaceAllString(somePID.ReplaceAllString(text, "pid N"), "linux/ARCH")
	return someTime.ReplaceAllString(text, "TIME")
}

// What a program can ask an error for is named, and the texts that errors are made of stand somewhere on the page.
func TestErrorsAreNamed(t *testing.T) {
	page := strings.Join(strings.Fields(readDoc(t, "errors.md")), " ") // its lines are broken anywhere
	found := 0
	for _, pkg := range errorPackages {
		for _, e := range declaredErrors(t, pkg) {
			found++
			name := pkg + "." + e.name
			if ast.IsExported(e.name) && !strings.Contains(page, name) {
				t.Errorf("docs/errors.md does not name %s", name)
			}
			if e.text != "" && !unseen[name] && !strings.Contains(page, e.text) {
				t.Errorf("docs/errors.md does not have the text of %s: %s", name, e.text)
			}
		}
	}
	require.Greater(t, found, len(errorPackages), "declarations were found at all")
}

// declared is an error that a package declares: a variable, or an exported type.
type declared struct {
	name string
	text string // of a variable made by errors.New
}

// declaredErrors finds variables named like errors, or made by errors.New, and exported types that are named like errors or have the method Error.
func declaredErrors(t *testing.T, pkg string) []declared {
	files, err := filepath.Glob(filepath.Join(root, pkg, "*.go"))
	require.NoError(t, err)
	require.NotEmpty(t, files, pkg)
	var found []declared
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, decl := range file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if receiver := receiverOf(d); d.Name.Name == "Error" && ast.IsExported(receiver) {
					found = append(found, declared{name: receiver})
				}
			case *ast.GenDecl:
				found = append(found, inDeclaration(d)...)
			}
		}
	}
	return found
}

// inDeclaration finds the errors of one var or type declaration.
func inDeclaration(d *ast.GenDecl) (found []declared) {
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if ast.IsExported(s.Name.Name) && strings.HasSuffix(s.Name.Name, "Error") {
				found = append(found, declared{name: s.Name.Name})
			}
		case *ast.ValueSpec:
			for i, name := range s.Names {
				var text string
				if d.Tok == token.VAR && i < len(s.Values) {
					text = newText(s.Values[i])
				}
				if d.Tok == token.VAR && (text != "" || strings.HasPrefix(name.Name, "Err")) {
					found = append(found, declared{name.Name, text})
				}
			}
		}
	}
	return found
}

// newText returns the text of a call of errors.New.
func newText(value ast.Expr) string {
	call, ok := value.(*ast.CallExpr)
	if !ok || len(call.Args) != 1 {
		return ""
	}
	f, isSelector := call.Fun.(*ast.SelectorExpr)
	literal, isLiteral := call.Args[0].(*ast.BasicLit)
	if !isSelector || !isLiteral || fmt.Sprint(f.X, ".", f.Sel) != "errors.New" {
		return ""
	}
	text, _ := strconv.Unquote(literal.Value) // the parser has seen that it is a string
	return text
}

func receiverOf(f *ast.FuncDecl) string {
	if f.Recv == nil || len(f.Recv.List) != 1 {
		return ""
	}
	typ := f.Recv.List[0].Type
	if pointer, ok := typ.(*ast.StarExpr); ok {
		typ = pointer.X
	}
	if name, ok := typ.(*ast.Ident); ok {
		return name.Name
	}
	return ""
}

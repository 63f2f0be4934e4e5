package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// holder is a test, or a subtest of one, that gives numbers.
type holder struct {
	name    string // package and function, with the subtest in brackets
	at      string // file and line
	numbers []string
}

var (
	target = regexp.MustCompile(`^(Test|Benchmark|Example|Fuzz)_?(.*)`)
	// inName is a number at the beginning of what is left of a name; of L2_9a it is none.
	inName = regexp.MustCompile(`^(L[0-9]+(?:[._][0-9]+)?|P[0-9]+)(?:[_:, ]+|$)`)
	inText = regexp.MustCompile(`\b(L[0-9]+\.[0-9]+|P[0-9]+)\b`)
)

// findHolders reads every test file below root, but none in hidden directories and in testdata.
func findHolders(root fs.FS) ([]holder, error) {
	var all []holder
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		found, err := readTests(name, text)
		all = append(all, found...)
		return err
	})
	return all, err
}

// readTests returns what the functions of a test file hold.
func readTests(name string, text []byte) ([]holder, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var all []holder
	add := func(pos token.Pos, name string, numbers []string) {
		if len(numbers) > 0 {
			at := files.Position(pos)
			all = append(all, holder{name: name, at: fmt.Sprintf("%s:%d", at.Filename, at.Line), numbers: numbers})
		}
	}
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Recv != nil || !target.MatchString(f.Name.Name) {
			continue
		}
		whole := path.Dir(name) + "." + f.Name.Name
		add(f.Pos(), whole, numbersOf(f))
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.BasicLit); ok && s.Kind == token.STRING {
				sub, _ := strconv.Unquote(s.Value) // the parser has seen that it is a string
				add(s.Pos(), whole+" ["+sub+"]", subtestNumbers(sub))
			}
			return true
		})
	}
	return all, nil
}

// numbersOf returns the numbers in a function's name and in the comment above it, each once.
func numbersOf(f *ast.FuncDecl) []string {
	numbers, _ := leading(target.FindStringSubmatch(f.Name.Name)[2])
	for _, m := range inText.FindAllString(f.Doc.Text(), -1) {
		numbers = with(numbers, m)
	}
	return numbers
}

// subtestNumbers returns the numbers that a string begins with, if it goes on as a name does: "P9: kept", "P9_kept". "P9" alone, "P9 times" and
// "P9, P10" are no subtest's names.
func subtestNumbers(name string) []string {
	numbers, end := leading(name)
	if !strings.ContainsAny(end, "_:") {
		return nil
	}
	return numbers
}

// leading returns the numbers that a name begins with, and what stands between the last of them and the rest.
func leading(name string) (numbers []string, end string) {
	for {
		m := inName.FindStringSubmatch(name)
		if m == nil {
			return numbers, end
		}
		numbers = with(numbers, strings.Replace(m[1], "_", ".", 1))
		end = m[0][len(m[1]):]
		name = name[len(m[0]):]
	}
}

func with(numbers []string, number string) []string {
	for _, n := range numbers {
		if n == number {
			return numbers
		}
	}
	return append(numbers, number)
}

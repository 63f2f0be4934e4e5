package arch

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// root is the module's root, seen from the directory in which this package's tests run.
const root = "../.."

// source is one Go file, whatever its build constraints.
type source struct {
	path    string   // from the root, with slashes
	pkg     string   // its directory, from the root; "." for the root itself
	test    bool     // a _test.go file
	nested  bool     // it belongs to a module below the root, such as bench or tools
	imports []string // in order of appearance
	text    string
}

// sources reads every Go file below the root, but none in testdata or in hidden directories.
func sources(t *testing.T) []source {
	t.Helper()
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	require.NoError(t, err)
	require.Contains(t, string(mod), "module "+module+"\n")

	var found []source
	nested := map[string]bool{}
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if entry.IsDir() {
			if skipped(entry.Name()) && rel != "." {
				return fs.SkipDir
			}
			nested[rel] = rel != "." && (exists(filepath.Join(path, "go.mod")) || nested[parent(rel)])
			return nil
		}
		if strings.HasSuffix(rel, ".go") {
			s := readSource(t, rel)
			s.nested = nested[s.pkg]
			found = append(found, s)
		}
		return nil
	})
	require.NoError(t, err)
	require.NotEmpty(t, found)
	return found
}

func readSource(t *testing.T, rel string) source {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(rel)))
	require.NoError(t, err)
	file, err := parser.ParseFile(token.NewFileSet(), rel, text, parser.ImportsOnly)
	require.NoError(t, err)
	s := source{path: rel, pkg: parent(rel), test: strings.HasSuffix(rel, "_test.go"), text: string(text)}
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		require.NoError(t, err)
		s.imports = append(s.imports, path)
	}
	return s
}

func skipped(dir string) bool {
	return dir == "testdata" || strings.HasPrefix(dir, ".") || strings.HasPrefix(dir, "_")
}

func parent(rel string) string { return filepath.ToSlash(filepath.Dir(filepath.FromSlash(rel))) }

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

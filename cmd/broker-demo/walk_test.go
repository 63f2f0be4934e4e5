package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// writeFiles writes files by their names, with slashes, into a new directory.
func writeFiles(t testing.TB, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o777))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o666))
	}
	return root
}

// walkAll returns the names that a walk visits and those it warns of.
func walkAll(root string) (names, warnings []string, err error) {
	err = walk(context.Background(), root,
		func(s source) error { names = append(names, s.name); return nil },
		func(name string, _ error) { warnings = append(warnings, name) })
	return names, warnings, err
}

func TestWalkVisitsRegularFiles(t *testing.T) {
	root := writeFiles(t, map[string]string{"b.txt": "", "a/x y.txt": "", "a/z/deep": "", "c": ""})
	names, warnings, err := walkAll(root)
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.Equal(t, []string{"a/x y.txt", "a/z/deep", "b.txt", "c"}, names)
}

func TestWalkOfOneFile(t *testing.T) {
	root := writeFiles(t, map[string]string{"a/b.txt": "", "a/c.txt": ""})
	names, _, err := walkAll(filepath.Join(root, "a", "b.txt"))
	require.NoError(t, err)
	require.Equal(t, []string{"b.txt"}, names)
}

func TestWalkFollowsOnlyTheRootsLink(t *testing.T) {
	root := writeFiles(t, map[string]string{"real/a": "", "real/b": ""})
	link := filepath.Join(root, "link")
	if err := os.Symlink(filepath.Join(root, "real"), link); err != nil {
		t.Skipf("symbolic links: %v", err)
	}
	require.NoError(t, os.Symlink(filepath.Join(root, "real", "a"), filepath.Join(root, "real", "c")))
	names, _, err := walkAll(link)
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, names)
}

func TestWalkWithoutARoot(t *testing.T) {
	_, warnings, err := walkAll(filepath.Join(t.TempDir(), "absent"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.Empty(t, warnings)
}

func TestWalkWarnsOfUnreadableDirectories(t *testing.T) {
	root := writeFiles(t, map[string]string{"a": "", "closed/b": "", "d": ""})
	closed := filepath.Join(root, "closed")
	require.NoError(t, os.Chmod(closed, 0))
	t.Cleanup(func() { _ = os.Chmod(closed, 0o777) })
	if _, err := os.ReadDir(closed); err == nil {
		t.Skip("directories without permission: this user may read everything")
	}
	names, warnings, err := walkAll(root)
	require.NoError(t, err)
	require.Equal(t, []string{"a", "d"}, names)
	require.Equal(t, []string{"closed"}, warnings)
}

func TestWalkEnds(t *testing.T) {
	root := writeFiles(t, map[string]string{"a": "", "b": "", "c": ""})
	ctx, cancel := context.WithCancel(context.Background())
	visited := 0
	err := walk(ctx, root, func(source) error { visited++; cancel(); return nil }, nil)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 1, visited)

	enough := errors.New("enough")
	require.ErrorIs(t, walk(context.Background(), root, func(source) error { return enough }, nil), enough)
}

func TestDefaultRootIsADirectory(t *testing.T) {
	info, err := os.Stat(defaultRoot(context.Background()))
	require.NoError(t, err)
	require.True(t, info.IsDir())

	t.Setenv("PATH", t.TempDir())
	require.Equal(t, ".", defaultRoot(context.Background()), "without Go")
}

func TestCountFiles(t *testing.T) {
	root := writeFiles(t, map[string]string{"a": "", "b/c": ""})
	require.EqualValues(t, 2, countFiles(context.Background(), root))
}

package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// source is a regular file found by a walk.
type source struct {
	path string // where to open it
	name string // relative to the walk's root, with slashes
}

// walk gives every regular file under root to visit, in lexical order, until
// visit returns an error or ctx ends, and returns that error. Symbolic links
// other than root itself are not followed. What cannot be read is given to
// warn and left out; only an unreadable root is an error.
func walk(ctx context.Context, root string, visit func(source) error, warn func(name string, err error)) error {
	if _, err := os.Stat(root); err != nil { // names the root as it was given
		return fmt.Errorf("walk: %w", err)
	}
	root, err := filepath.EvalSymlinks(root)
	if err != nil {
		return fmt.Errorf("walk: %w", err)
	}
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		name := nameWithin(root, path)
		switch {
		case err != nil && path == root:
			return fmt.Errorf("walk: %w", err)
		case err != nil:
			warn(name, err)
			return nil
		case !entry.Type().IsRegular():
			return nil
		}
		return visit(source{path: path, name: name})
	})
}

// nameWithin returns path relative to root; for root itself, when it is a file, its base name.
func nameWithin(root, path string) string {
	name, err := filepath.Rel(root, path)
	if err != nil {
		return filepath.ToSlash(path)
	}
	if name == "." {
		name = filepath.Base(path)
	}
	return filepath.ToSlash(name)
}

// defaultRoot returns the sources of the Go installation: a few thousand text
// files that most readers have. Where there is no Go, it is the current directory.
func defaultRoot(ctx context.Context) string {
	command := exec.CommandContext(ctx, "go", "env", "GOROOT")
	// The Go that is installed will do: a go.mod nearby must not make it fetch another.
	command.Env = append(os.Environ(), "GOTOOLCHAIN=local")
	out, err := command.Output()
	if goroot := strings.TrimSpace(string(out)); err == nil && goroot != "" {
		src := filepath.Join(goroot, "src")
		if info, err := os.Stat(src); err == nil && info.IsDir() {
			return src
		}
	}
	return "."
}

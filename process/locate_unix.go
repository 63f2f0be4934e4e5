//go:build linux || darwin

package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// locate returns the file to execute, and finds what is wrong with the command as far as that is known without trying.
func locate(c Command) (string, error) {
	fail := func(err error, remedy string) (string, error) {
		return "", &StartError{Path: c.name(), Err: err, Remedy: remedy}
	}
	if err := errors.Join(checkText("argument", c.Args), checkText("environment entry", c.Env)); err != nil {
		return fail(err, "")
	}
	// The kernel reports a missing directory and a missing program with the same error.
	if err := checkDir(c.Dir); err != nil {
		return fail(err, "the command's Dir must be an existing directory")
	}
	switch {
	case c.Self != "" && c.Path != "":
		return fail(fmt.Errorf("both Path and Self are set: %w", fs.ErrInvalid), "leave one of them empty")
	case c.Self != "":
		return selfExe, nil
	case c.Path == "":
		return fail(fmt.Errorf("the command has no Path: %w", fs.ErrInvalid), "name a program")
	case strings.Contains(c.Path, "/"):
		return c.Path, nil
	}
	program, err := exec.LookPath(c.Path)
	switch {
	case errors.Is(err, exec.ErrDot):
		return fail(fmt.Errorf("%w: %w", fs.ErrNotExist, err), "to run it from the current directory, write ./"+c.Path)
	case err != nil:
		return fail(&notFoundError{err}, "install it, extend PATH, or give its path with a slash")
	}
	return program, nil
}

// notFoundError is an error of exec.LookPath that is fs.ErrNotExist, too. Its text leaves out the name, which StartError says.
type notFoundError struct{ err error }

func (e *notFoundError) Error() string {
	if named := (*exec.Error)(nil); errors.As(e.err, &named) {
		return named.Err.Error()
	}
	return e.err.Error()
}

func (e *notFoundError) Unwrap() []error { return []error{fs.ErrNotExist, e.err} }

func checkDir(dir string) error {
	if dir == "" {
		return nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return &fs.PathError{Op: "chdir", Path: dir, Err: syscall.ENOTDIR}
	}
	return nil
}

// explain adds to an error of the fork or the exec what is likely to help.
func explain(c Command, program string, err error) error {
	file := program
	if !filepath.IsAbs(file) {
		file = filepath.Join(c.Dir, file)
	}
	help := remedy(file, err)
	if c.Credential != nil {
		if refused := explainCredential(c, err); refused != nil {
			return refused
		}
		if errors.Is(err, fs.ErrPermission) {
			help += fmt.Sprintf("; it is run as user %d, group %d", c.Credential.UID, c.Credential.GID)
		}
	}
	return &StartError{Path: c.name(), Err: err, Remedy: help}
}

func remedy(file string, err error) string {
	info, statErr := os.Stat(file)
	switch {
	case errors.Is(err, syscall.ENOENT) && file == selfExe:
		return selfMissing
	case errors.Is(err, syscall.ENOENT) && statErr == nil:
		return "the file is there, but the interpreter or loader that it names is not"
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENOTDIR):
		return "check the path; without a slash it is looked up in PATH"
	case errors.Is(err, syscall.EACCES) && statErr == nil && info.IsDir():
		return "it is a directory"
	case errors.Is(err, syscall.EACCES) && statErr == nil && info.Mode()&0o111 == 0:
		return "make it executable: chmod +x " + file
	case errors.Is(err, fs.ErrPermission):
		return "check the permissions of the file, of its directories, and whether its file system is mounted noexec"
	case errors.Is(err, syscall.ENOEXEC):
		return "a script needs a first line like #!/bin/sh, a binary must be built for " + runtime.GOOS + "/" + runtime.GOARCH
	case errors.Is(err, syscall.E2BIG):
		return "arguments and environment are too long"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "too many open files: raise the limit (ulimit -n)"
	case errors.Is(err, syscall.EAGAIN):
		return "too many processes: raise the limit (ulimit -u, or pids.max of the cgroup)"
	default:
		return ""
	}
}

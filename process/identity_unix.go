//go:build linux || darwin

package process

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// refusal says that a field of the command asks for what this program, or the running kernel, cannot do; or that it is wrong.
func refusal(c Command, field string, err error, remedy string) *StartError {
	if !errors.Is(err, fs.ErrClosed) {
		err = fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	return &StartError{Path: c.name(), Err: fmt.Errorf("%s: %w", field, err), Remedy: remedy}
}

// sys returns the credential as the fork takes it.
func (c *Credential) sys() *syscall.Credential {
	if c == nil {
		return nil
	}
	return &syscall.Credential{Uid: c.UID, Gid: c.GID, Groups: c.Groups}
}

// explainCredential returns nil if the fork did not fail for the user that the program was to run as.
func explainCredential(c Command, err error) error {
	field := fmt.Sprintf("Credential: user %d, group %d", c.Credential.UID, c.Credential.GID)
	switch {
	case errors.Is(err, syscall.EPERM):
		return refusal(c, field, err, "only root, or who has CAP_SETUID and CAP_SETGID, can run programs as another user")
	case errors.Is(err, syscall.EINVAL):
		return refusal(c, field, err, "this user namespace has no such user or group")
	default:
		return nil
	}
}

// descriptorsOf returns the numbers of the extra files. The files must be kept alive until the fork.
func descriptorsOf(c Command) ([]uintptr, error) {
	const none = ^uintptr(0)
	fds := make([]uintptr, len(c.ExtraFiles))
	for i, file := range c.ExtraFiles {
		fds[i] = none
		if file == nil {
			continue
		}
		if fds[i] = file.Fd(); fds[i] == none {
			return nil, refusal(c, fmt.Sprintf("ExtraFiles: number %d", i), fs.ErrClosed, "keep it open for as long as processes are started with it")
		}
	}
	return fds, nil
}

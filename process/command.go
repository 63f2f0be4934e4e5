package process

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// Command says which program to run and how.
type Command struct {
	// Path is the program. Without a slash it is looked up in the PATH of this program, where an entry for the current directory does not
	// count. A relative path with a slash is relative to Dir.
	Path string

	// Args are the arguments, without the program's name. The program receives them exactly as they are: there is no shell.
	Args []string

	// Env is the environment as "NAME=value". If nil, it is that of this program, without the marks that this program was started with.
	// Otherwise it is exactly this list, so an empty list that is not nil is an empty environment. In either case, on Linux, the variable STDCREW_CHILD is
	// added, by which we find what the program leaves behind, unless Options.SpareStrays is set.
	Env []string

	// Dir is the directory that the program runs in. If empty, it is the current one.
	Dir string

	// ExtraFiles are passed on beside the three standard streams: the first as descriptor 3, and so on; a nil keeps its number closed. No other
	// descriptor that this program has opened reaches the child. They stay the caller's, who may close them after the start and, in a pool,
	// keeps them open for as long as the pool. As with os/exec, a file that is not blocking becomes so.
	ExtraFiles []*os.File

	// Credential is the user that the program runs as. If nil, it is that of this program.
	Credential *Credential

	// Limits is what the program may use. The zero Limits does not limit it.
	Limits Limits

	// Self, if not empty, runs this very program again in place of Path, which must be empty then. The child's environment says so under
	// this name, and the child is expected to look.
	Self string
}

// The variables that mark a child. They are meant for the child alone and must not reach its own children.
const (
	envSelf   = "STDCREW_SELF"
	envWorker = "STDCREW_WORKER"
)

// name is how error messages call the program.
func (c Command) name() string {
	if c.Self != "" {
		return "this program as " + c.Self
	}
	return c.Path
}

// environ returns the child's environment.
func (c Command) environ(extra []string) []string {
	env := slices.Clone(c.Env)
	if c.Env == nil {
		env = without(os.Environ(), envSelf, envWorker)
	}
	if c.Self != "" {
		env = override(env, fmt.Sprintf("%s=%s:%d", envSelf, c.Self, os.Getpid()))
	}
	for _, entry := range extra {
		env = override(env, entry)
	}
	return env
}

// override appends entry after dropping what has the same name. Many programs use the first entry of a name, others the last.
func override(env []string, entry string) []string {
	name, _, _ := strings.Cut(entry, "=")
	return append(without(env, name), entry)
}

func without(env []string, names ...string) []string {
	return slices.DeleteFunc(env, func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(names, name)
	})
}

package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// cgroups knows where this program may make control groups (cgroup v2) for its children; a test has a tree of its own.
type cgroups struct {
	base string // the directory for them; empty: there is none

	mu     sync.Mutex
	unfit  bool // a child could not be started in one
	number int
}

// ourCgroups looks for a place on first use.
var ourCgroups = sync.OnceValue(func() *cgroups {
	mount, own := cgroupPlace(readFile("/proc/self/mountinfo"), readFile("/proc/self/cgroup"))
	c := &cgroups{}
	if mount != "" {
		c.base = delegatedBase(mount, own, isDelegated)
		c.sweep()
	}
	return c
})

// cgroupPlace returns where the tree of control groups is mounted, and where in it this program is. The mount is empty if there is none.
func cgroupPlace(mountinfo, cgroup string) (mount, own string) {
	for line := range strings.Lines(cgroup) {
		if path, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::"); ok {
			own = path
		}
	}
	for line := range strings.Lines(mountinfo) {
		before, after, _ := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		if strings.HasPrefix(after, "cgroup2 ") && len(fields) >= 5 && own != "" && fields[3] == "/" {
			return fields[4], own
		}
	}
	return "", ""
}

// delegatedBase returns the directory in which groups with a memory limit can be made, or nothing. That is the one above this program's own
// group, if it was delegated to it and can be killed whole (Linux 5.14): a group with processes in it, as our own is, can have no limited groups
// below, and what is not delegated belongs to the system's manager. Making children there keeps them in the service that this program is.
func delegatedBase(mount, own string, delegated func(dir string) bool) string {
	own = filepath.Clean("/" + own)
	if own == "/" {
		return ""
	}
	base := filepath.Join(mount, filepath.Dir(own))
	if !delegated(base) || !hasWord(filepath.Join(base, "cgroup.controllers"), "memory") {
		return ""
	}
	control := filepath.Join(base, "cgroup.subtree_control")
	if !hasWord(control, "memory") && writeFile(control, "+memory") != nil {
		return ""
	}
	if readOnly := unix.Access(base, unix.W_OK|unix.X_OK) != nil; readOnly || !exists(filepath.Join(base, "cgroup.kill")) {
		return ""
	}
	return base
}

func exists(path string) bool { return unix.Access(path, unix.F_OK) == nil }

// isDelegated asks for the mark that systemd sets on the groups of units with Delegate=, and that others may set by hand.
func isDelegated(dir string) bool {
	for _, mark := range []string{"user.delegate", "trusted.delegate"} {
		var value [4]byte
		if n, err := unix.Getxattr(dir, mark, value[:]); err == nil && string(value[:n]) == "1" {
			return true
		}
	}
	return false
}

// cgroupPrefix is followed by the pid of the program whose child the group is for.
const cgroupPrefix = "stdcrew-"

// sweep removes what programs have left that were killed. A group with processes in it cannot be removed.
func (c *cgroups) sweep() {
	left, _ := filepath.Glob(filepath.Join(c.base, cgroupPrefix+"*"))
	for _, dir := range left {
		owner, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), cgroupPrefix), "-")
		if pid, err := strconv.Atoi(owner); err == nil && unix.Kill(pid, 0) == unix.ESRCH {
			_ = unix.Rmdir(dir)
		}
	}
}

// create makes a group that may use that much memory. It returns nil if there can be none.
func (c *cgroups) create(memory int64) *cgroup {
	c.mu.Lock()
	c.number++
	name := fmt.Sprintf("%s%d-%d", cgroupPrefix, os.Getpid(), c.number)
	none := c.base == "" || c.unfit
	c.mu.Unlock()
	if none {
		return nil
	}
	g := &cgroup{dir: filepath.Join(c.base, name)}
	if err := unix.Mkdir(g.dir, 0o755); err != nil {
		return nil
	}
	if err := g.limit(memory); err != nil {
		_ = unix.Rmdir(g.dir)
		return nil
	}
	return g
}

// giveUp takes note that children cannot be started in groups: clone3 is missing, or forbidden.
func (c *cgroups) giveUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unfit = true
}

// cgroup is the control group of one child and its descendants. All methods may be called on nil.
type cgroup struct{ dir string }

func (g *cgroup) limit(memory int64) error {
	err := errors.Join(g.write("memory.max", strconv.FormatInt(memory, 10)), g.write("memory.oom.group", "1"))
	_ = g.write("memory.swap.max", "0") // missing where there is no swap
	return err
}

// open returns a descriptor of the group, for the fork.
func (g *cgroup) open() (int, error) {
	return unix.Open(g.dir, unix.O_DIRECTORY|unix.O_PATH|unix.O_CLOEXEC, 0)
}

// kill sends KILL to all that is in the group.
func (g *cgroup) kill() {
	if g != nil {
		_ = g.write("cgroup.kill", "1")
	}
}

// oomKills is how many processes of the group were killed for lack of memory.
func (g *cgroup) oomKills() (n uint64) {
	if g != nil {
		n, _ = oomKillsIn(filepath.Join(g.dir, "memory.events"))
	}
	return n
}

// cgroupGrace is how long the killed processes of a group may take to be gone.
const cgroupGrace = 2 * time.Second

// remove removes the group, once the processes in it are gone.
func (g *cgroup) remove() error {
	if g == nil {
		return nil
	}
	const first = time.Millisecond
	for pause, waited := first, time.Duration(0); ; pause *= 2 {
		err := unix.Rmdir(g.dir)
		switch {
		case err == nil, err == unix.ENOENT: // the system's manager was faster
			return nil
		case err != unix.EBUSY, waited >= cgroupGrace:
			return err
		}
		g.kill() // who was forked in the moment of the last
		time.Sleep(pause)
		waited += pause
	}
}

func (g *cgroup) write(file, text string) error { return writeFile(filepath.Join(g.dir, file), text) }

func writeFile(path, text string) error { return os.WriteFile(path, []byte(text), 0o644) }

// readFile returns nothing for what cannot be read.
func readFile(path string) string {
	text, _ := os.ReadFile(path)
	return string(text)
}

func hasWord(path, word string) bool { return slices.Contains(strings.Fields(readFile(path)), word) }

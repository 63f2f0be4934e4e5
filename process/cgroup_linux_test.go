//go:build !posixprocess

package process

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestCgroupPlace(t *testing.T) {
	const (
		pure   = "24 1 0:22 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
		hybrid = "30 29 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n33 29 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
		part   = "24 1 0:22 /docker/1234 /sys/fs/cgroup ro - cgroup2 cgroup rw\n"
	)
	for name, test := range map[string]struct{ mounts, groups, mount, own string }{
		"only v2":        {pure, "0::/app.slice/x.service\n", "/sys/fs/cgroup", "/app.slice/x.service"},
		"both":           {hybrid, "4:memory:/a\n0::/b\n", "/sys/fs/cgroup/unified", "/b"},
		"only v1":        {"30 29 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw\n", "4:memory:/a\n", "", ""},
		"not mounted":    {"", "0::/b\n", "", ""},
		"a part of it":   {part, "0::/docker/1234\n", "", ""},
		"nothing at all": {"", "", "", ""},
	} {
		mount, own := cgroupPlace(test.mounts, test.groups)
		require.Equal(t, test.mount, mount, name)
		require.Equal(t, test.own, own, name)
	}
}

// cgroupTree is a directory that looks like the group of a service, with this program in a group below. A real one would have its files itself.
func cgroupTree(t *testing.T, controllers, enabled string) (mount, own string) {
	t.Helper()
	mount = t.TempDir()
	service := filepath.Join(mount, "x.service")
	require.NoError(t, os.MkdirAll(filepath.Join(service, "main"), 0o755))
	require.NoError(t, writeFile(filepath.Join(service, "cgroup.controllers"), controllers))
	require.NoError(t, writeFile(filepath.Join(service, "cgroup.subtree_control"), enabled))
	require.NoError(t, writeFile(filepath.Join(service, "cgroup.kill"), ""))
	return mount, "/x.service/main"
}

func TestCgroupBase(t *testing.T) {
	delegated := func(string) bool { return true }

	mount, own := cgroupTree(t, "cpu memory pids\n", "memory\n")
	service := filepath.Join(mount, "x.service")
	require.Equal(t, service, delegatedBase(mount, own, delegated))
	require.Empty(t, delegatedBase(mount, own, func(string) bool { return false }), "it belongs to somebody else")
	require.Empty(t, delegatedBase(mount, own, isDelegated), "no mark is set here")
	require.Empty(t, delegatedBase(mount, "/", delegated), "nothing is above")

	require.NoError(t, os.Remove(filepath.Join(service, "cgroup.kill")))
	require.Empty(t, delegatedBase(mount, own, delegated), "the kernel is too old")

	mount, own = cgroupTree(t, "cpu pids\n", "")
	require.Empty(t, delegatedBase(mount, own, delegated), "there is no memory controller")

	mount, own = cgroupTree(t, "cpu memory pids\n", "pids\n")
	service = filepath.Join(mount, "x.service")
	require.Equal(t, service, delegatedBase(mount, own, delegated))
	require.Equal(t, "+memory", readFile(filepath.Join(service, "cgroup.subtree_control")), "the controller is passed on")
}

func TestCgroupDelegationMark(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Setxattr(dir, "user.delegate", []byte("1"), 0); err != nil {
		t.Skip("facility missing: extended attributes in", dir, err)
	}
	require.True(t, isDelegated(dir))
	require.NoError(t, unix.Setxattr(dir, "user.delegate", []byte("0"), 0))
	require.False(t, isDelegated(dir))
}

func TestCgroupHasTheLimit(t *testing.T) {
	c := &cgroups{base: t.TempDir()}
	g := c.create(64 << 20)
	require.NotNil(t, g)
	require.Equal(t, fmt.Sprintf("stdcrew-%d-1", os.Getpid()), filepath.Base(g.dir))
	require.Equal(t, "67108864", readFile(filepath.Join(g.dir, "memory.max")))
	require.Equal(t, "1", readFile(filepath.Join(g.dir, "memory.oom.group")), "the whole group goes")
	require.Equal(t, "0", readFile(filepath.Join(g.dir, "memory.swap.max")))
	g.kill()
	require.Equal(t, "1", readFile(filepath.Join(g.dir, "cgroup.kill")))
	require.NotEqual(t, g.dir, c.create(1).dir)

	c.giveUp()
	require.Nil(t, c.create(64<<20))
	require.Nil(t, (&cgroups{}).create(64<<20), "there is no place")
	require.Nil(t, (&cgroups{base: "/proc/1"}).create(64<<20), "nothing can be made there")
	require.NoError(t, (*cgroup)(nil).remove())
}

func TestCgroupsOfTheDeadAreSwept(t *testing.T) {
	p, _ := sleeper(t)
	require.NoError(t, p.Do(Kill))
	wait(t, p.Exited())
	c := &cgroups{base: t.TempDir()}
	theirs := filepath.Join(c.base, fmt.Sprintf("stdcrew-%d-1", p.PID()))
	ours := filepath.Join(c.base, fmt.Sprintf("stdcrew-%d-1", os.Getpid()))
	foreign := filepath.Join(c.base, "x-1-1")
	for _, dir := range []string{theirs, ours, foreign} {
		require.NoError(t, os.Mkdir(dir, 0o755))
	}
	c.sweep()
	require.NoDirExists(t, theirs)
	require.DirExists(t, ours)
	require.DirExists(t, foreign)
}

// realCgroup makes a group without a limit, as the memory controller may be elsewhere, and starts a program in it as spawn does.
func realCgroup(t *testing.T, c Command, o Options) (*Process, *cgroup) {
	t.Helper()
	mount, own := cgroupPlace(readFile("/proc/self/mountinfo"), readFile("/proc/self/cgroup"))
	g := &cgroup{dir: filepath.Join(mount, own, fmt.Sprintf("stdcrew-test-%d", os.Getpid()))}
	if mount == "" || unix.Mkdir(g.dir, 0o755) != nil {
		t.Skip("facility missing: control groups (cgroup v2) that this program can make")
	}
	if _, err := os.Stat(filepath.Join(g.dir, "cgroup.kill")); err != nil {
		_ = unix.Rmdir(g.dir)
		t.Skip("facility missing: cgroup.kill (Linux 5.14)")
	}
	t.Cleanup(func() { require.NoDirExists(t, g.dir) })

	var pipes stdio
	require.NoError(t, pipes.open())
	defer pipes.closeTheirs()
	pidfd := -1
	attr := &syscall.ProcAttr{Env: c.environ(o.ExtraEnv), Files: pipes.files(), Sys: &syscall.SysProcAttr{Setpgid: true, PidFD: &pidfd}}
	pid, err := spawnInto(g, spawner(), c.Path, c, attr, nil)
	if err != nil {
		pipes.closeOurs()
		_ = g.remove()
		t.Skip("facility missing: starting processes in control groups:", err)
	}
	stdin, stdout, stderr := pipes.ours()
	child := &unixChild{id: pid, stdin: stdin, handle: newHandle(pidfd, g)}
	p := newProcess(started{child: child, stream: &pipeStream{stdin: stdin, stdout: stdout}, stderr: stderr}, o)
	t.Cleanup(func() {
		_ = p.Do(Kill)
		wait(t, p.Ended())
		p.Stream().Close()
	})
	return p, g
}

// A grandchild that has left the process group is in the control group all the same.
func TestP30_ControlGroupIsKilledWhole(t *testing.T) {
	for _, how := range []string{"exit", "stay"} {
		t.Run(how, func(t *testing.T) {
			c := Command{Path: testBinary(t), Args: []string{"leave", how}}
			p, g := realCgroup(t, c, Options{ExtraEnv: asProgram("grandchild"), DrainTimeout: 5 * time.Second})
			out := bufio.NewReader(p.Stream())
			pid := grandchild(t, out)
			if how == "stay" {
				_, err := out.ReadString('\n')
				require.NoError(t, err)
				require.NoError(t, p.Do(Kill))
			}
			r := ended(t, p)
			require.True(t, eventually(func() bool { return gone(pid) }))
			require.False(t, r.Held, "nobody is left to hold the pipe")
			require.Empty(t, r.OOM)
			require.NoDirExists(t, g.dir, "it is removed before Ended")
		})
	}
}

// The same as a program gets it where the controller is delegated to this one.
func TestMemoryLimitByTheKernel(t *testing.T) {
	if ourCgroups().base == "" {
		t.Skip("facility missing: a delegated memory controller (cgroup v2)")
	}
	c := Command{Path: testBinary(t), Args: []string{"256"}, Limits: Limits{Memory: memoryTestLimit}}
	p := run(t, c, Options{ExtraEnv: asProgram("hoard")})
	r := ended(t, p)
	require.Equal(t, OOMKnown, r.OOM, "%v", r)
	require.Equal(t, KillerMemory, r.Killer)
}

// Where a child cannot be started in a group, as in a directory that is none, it is started without, and watched.
func TestCgroupThatIsRefusedIsDoneWithout(t *testing.T) {
	was, c := ourCgroups, &cgroups{base: t.TempDir()}
	ourCgroups = func() *cgroups { return c }
	defer func() { ourCgroups = was }()

	_, err := Start(Command{Path: "/no/such/program", Limits: Limits{Memory: memoryTestLimit}}, Options{})
	require.ErrorIs(t, err, fs.ErrNotExist, "the program's fault")
	require.False(t, c.unfit)

	limited := Command{Path: testBinary(t), Args: []string{"256"}, Limits: Limits{Memory: memoryTestLimit}}
	r := ended(t, run(t, limited, Options{ExtraEnv: asProgram("hoard")}))
	require.Equal(t, KillerMemory, r.Killer, "%v", r)
	require.Empty(t, r.OOM)
	require.True(t, c.unfit, "the group's")
}

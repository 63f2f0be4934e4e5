//go:build !posixprocess

package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestOOMIsSuspectedWhileTheCountHasJustRisen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var count uint64
		readable, reads := true, 0
		w := &oomWatch{read: func() (uint64, bool) {
			reads++
			return count, readable
		}}
		count = 7
		require.False(t, w.suspect(), "nothing to compare with")

		count = 8
		require.True(t, w.suspect())
		require.True(t, w.suspect(), "another of the same moment")
		time.Sleep(oomEcho)
		require.False(t, w.suspect())

		before := reads
		w.look()
		require.Equal(t, before, reads, "it has just been read")
		time.Sleep(oomPause)
		count = 9
		w.look() // at the start of a process
		require.Equal(t, before+1, reads)
		time.Sleep(oomEcho)
		require.False(t, w.suspect(), "that was long before the death")

		readable, count = false, 10
		require.False(t, w.suspect())
	})
}

// kernelKills has the kernel's count read in another way. Afterwards what has really happened is forgotten.
func kernelKills(t *testing.T, read func() (uint64, bool)) {
	t.Helper()
	systemOOM = &oomWatch{read: read}
	t.Cleanup(func() { systemOOM = &oomWatch{read: oomKills} })
}

// readings returns one count after the other, and the last one for ever.
func readings(counts ...uint64) func() (uint64, bool) {
	return func() (uint64, bool) {
		n := counts[0]
		if len(counts) > 1 {
			counts = counts[1:]
		}
		return n, true
	}
}

func TestP15_KillBySomebodyElseMayBeTheKernels(t *testing.T) {
	kernelKills(t, readings(3, 4))
	p, _ := sleeper(t)
	require.NoError(t, unix.Kill(p.PID(), unix.SIGKILL))
	r := ended(t, p)
	require.Equal(t, OOMLikely, r.OOM)
	require.Empty(t, r.Killer)
	require.Contains(t, r.String(), "killed by signal 9 (KILL), probably out of memory, after ")
}

func TestP15_OtherDeathsAreNotPutDownToMemory(t *testing.T) {
	for name, test := range map[string]struct {
		counts []uint64
		end    func(p *Process) error
	}{
		"nothing was counted": {[]uint64{3, 3}, func(p *Process) error { return unix.Kill(p.PID(), unix.SIGKILL) }},
		"another signal":      {[]uint64{3, 4}, func(p *Process) error { return unix.Kill(p.PID(), unix.SIGTERM) }},
		"killed by us":        {[]uint64{3, 4}, func(p *Process) error { return p.Do(Kill) }},
		"signaled by us":      {[]uint64{3, 4}, func(p *Process) error { return p.Signal(KILL) }},
	} {
		t.Run(name, func(t *testing.T) {
			kernelKills(t, readings(test.counts...))
			p, _ := sleeper(t)
			require.NoError(t, test.end(p))
			r := ended(t, p)
			require.Empty(t, r.OOM, "%v", r)
			require.NotContains(t, r.String(), "memory")
		})
	}
}

func TestP15_KillInItsOwnControlGroupIsKnown(t *testing.T) {
	p, _ := sleeper(t)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "memory.events"), []byte("low 0\noom 1\noom_kill 1\noom_group_kill 1\n"), 0o600))
	child := p.child.(*unixChild)
	child.mu.Lock()
	child.handle.group = &cgroup{dir: dir}
	child.mu.Unlock()
	require.NoError(t, unix.Kill(p.PID(), unix.SIGKILL))
	wait(t, p.Exited())
	r := p.Report()
	require.Equal(t, OOMKnown, r.OOM)
	require.Equal(t, KillerMemory, r.Killer, "the limit is ours")
	require.Contains(t, r.String(), "stopped by us (memory): killed by signal 9 (KILL), out of memory, after ")
}

// A real one: the kernel kills a child that grows in a control group of the old kind, which this program has made for it.
func TestP15_RealKillForLackOfMemory(t *testing.T) {
	requireRoot(t)
	own := ""
	for line := range strings.Lines(readFile("/proc/self/cgroup")) {
		if parts := strings.SplitN(strings.TrimSpace(line), ":", 3); len(parts) == 3 && parts[1] == "memory" {
			own = parts[2]
		}
	}
	dir := filepath.Join("/sys/fs/cgroup/memory", own, fmt.Sprintf("stdcrew-test-%d", os.Getpid()))
	if own == "" || unix.Mkdir(dir, 0o755) != nil {
		t.Skip("facility missing: a memory controller (cgroup v1) in which groups can be made")
	}
	t.Cleanup(func() { require.True(t, eventually(func() bool { return unix.Rmdir(dir) == nil })) })
	require.NoError(t, writeFile(filepath.Join(dir, "memory.limit_in_bytes"), "67108864"))

	kernelKills(t, oomKills)
	script := fmt.Sprintf(`echo $$ > %s/cgroup.procs; exec "$0" 256`, dir)
	p := run(t, Command{Path: "sh", Args: []string{"-c", script, testBinary(t)}}, Options{ExtraEnv: asProgram("hoard")})
	r := ended(t, p)
	require.Equal(t, KILL, r.Signal, "%v %s", r, r.StderrTail)
	require.Equal(t, OOMLikely, r.OOM)
	require.Empty(t, r.Killer)
	require.Contains(t, r.String(), "probably out of memory")
}

package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// treeScript is a shell that ignores what it can and has a child like itself, and so on, args[0] generations deep. None reads its standard
// input. Their pids go to the file args[1]; the last one says that it is there.
const treeScript = `trap '' TERM HUP INT
echo $$ >> "$2"
if [ "$1" -gt 0 ]; then
	sh "$0" $(($1-1)) "$2" &
else
	sleep 300 &
	echo $! >> "$2"
	echo
fi
wait
wait`

const treeDepth = 3

// tree returns a shell command that becomes such a tree, and a function that returns its pids once it is complete.
func tree(t *testing.T) (command string, pids func() []int) {
	t.Helper()
	script := file(t, "tree.sh", treeScript, 0o755)
	list := filepath.Join(t.TempDir(), "pids")
	return fmt.Sprintf("exec sh '%s' %d '%s'", script, treeDepth, list), func() (pids []int) {
		text, err := os.ReadFile(list)
		require.NoError(t, err)
		for _, line := range strings.Fields(string(text)) {
			pid, err := strconv.Atoi(line)
			require.NoError(t, err)
			pids = append(pids, pid)
		}
		require.Len(t, pids, treeDepth+2)
		t.Cleanup(func() { killAll(pids) })
		return pids
	}
}

func killAll(pids []int) {
	for _, pid := range pids {
		if !gone(pid) {
			unix.Kill(pid, unix.SIGKILL)
		}
	}
}

// guardiansOf returns the pids of the guardians of a host.
func guardiansOf(t *testing.T, host int) (pids []int) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	require.NoError(t, err)
	for _, entry := range entries {
		stat, _ := os.ReadFile("/proc/" + entry.Name() + "/stat")
		line, _ := os.ReadFile("/proc/" + entry.Name() + "/cmdline")
		_, parent, _ := strings.Cut(string(stat), ") ")
		if len(parent) > 2 && strings.HasPrefix(parent[2:], fmt.Sprintf("%d ", host)) && strings.Contains(string(line), "stdcrew-guardian") {
			pid, err := strconv.Atoi(entry.Name())
			require.NoError(t, err)
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestP30_P41_GuardedTreesDieWithAKilledHost(t *testing.T) {
	for mode, guarded := range map[string]bool{"guardhost": true, "host": false} {
		t.Run(mode, func(t *testing.T) {
			first, firstPIDs := tree(t)
			second, secondPIDs := tree(t)
			p, _ := hostAs(t, mode, first, second)
			pids := append(firstPIDs(), secondPIDs()...)
			for _, pid := range pids {
				require.False(t, gone(pid))
			}
			guardians := guardiansOf(t, p.PID())
			require.NoError(t, p.Do(Kill))
			wait(t, p.Exited())
			if guarded {
				require.Len(t, guardians, 1, "one for all")
				requireGone(t, append(pids, guardians...))
				return
			}
			require.Empty(t, guardians)
			for _, pid := range pids {
				require.False(t, gone(pid), "without a guardian they stay")
			}
			killAll(pids)
			requireGone(t, pids)
		})
	}
}

func TestGuardianHasNothingOfItsHost(t *testing.T) {
	t.Setenv("STDCREW_CHILD", "1.a.1")
	p, pids := hostAs(t, "guardhost", "trap '' TERM; echo; exec sleep 300")
	guardians := guardiansOf(t, p.PID())
	require.Len(t, guardians, 1)
	dir := fmt.Sprintf("/proc/%d/", guardians[0])
	text := func(name string) string {
		all, err := os.ReadFile(dir + name)
		require.NoError(t, err)
		return string(all)
	}
	require.Empty(t, text("environ"))
	cwd, err := os.Readlink(dir + "cwd")
	require.NoError(t, err)
	require.Equal(t, "/", cwd)
	entries, err := os.ReadDir(dir + "fd")
	require.NoError(t, err)
	for _, entry := range entries {
		fd, err := strconv.Atoi(entry.Name())
		require.NoError(t, err)
		if fd > 9 { // inherited by all of us without the flag to close it; a shell cannot close those
			theirs, err := os.Readlink(dir + "fd/" + entry.Name())
			require.NoError(t, err)
			ours, err := os.Readlink("/proc/self/fd/" + entry.Name())
			require.NoError(t, err)
			require.Equal(t, ours, theirs)
			continue
		}
		require.LessOrEqual(t, fd, 2)
	}
	sid, err := unix.Getsid(guardians[0])
	require.NoError(t, err)
	require.Equal(t, guardians[0], sid)

	require.True(t, eventually(func() bool { // it has just been started
		var ignored uint64
		_, all, _ := strings.Cut(text("status"), "SigIgn:")
		_, err := fmt.Sscanf(all, "%x", &ignored)
		return err == nil && ignored&(1<<(unix.SIGTERM-1)) != 0
	}))
	for _, s := range []syscall.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP} {
		require.NoError(t, unix.Kill(guardians[0], s))
	}
	require.NoError(t, p.Do(Kill))
	wait(t, p.Exited())
	requireGone(t, append(pids, guardians...))
}

// tableFor returns a table of a test's own, which does not wait for long.
func tableFor(shell string) *guardTable {
	return &guardTable{shell: shell, pause: 50 * time.Millisecond}
}

// guarded starts a child in a table of the test's own, which is empty after the test.
func guarded(t *testing.T, table *guardTable, script string) *Process {
	t.Helper()
	place := table.reserve()
	s, err := spawn("/bin/sh", Command{Path: "sh", Args: []string{"-c", script}}, nil, care{guard: place})
	require.NoError(t, err)
	p := newProcess(s, Options{})
	t.Cleanup(func() {
		if err := p.Do(Kill); err != nil && !errors.Is(err, ErrExited) {
			t.Error(err)
		}
		p.Stream().Close()
		wait(t, p.Ended())
		require.True(t, eventually(table.resting), "the guardian is gone too")
	})
	return p
}

func (t *guardTable) resting() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count != 0 || !t.keeping
}

// present returns the guardian's pid, or 0.
func (t *guardTable) present() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.guardian == nil {
		return 0
	}
	return t.guardian.child.id
}

// hostDies makes the guardian believe it.
func (t *guardTable) hostDies(test *testing.T) {
	null, err := unix.Open("/dev/null", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	require.NoError(test, err)
	defer unix.Close(null)
	t.mu.Lock()
	defer t.mu.Unlock()
	require.NoError(test, unix.Dup3(null, t.guardian.input, unix.O_CLOEXEC))
}

// Who has left the table when the guardian acts may be a stranger by then.
func TestP33_GuardianSparesWhoHasLeft(t *testing.T) {
	table := tableFor(guardianShell)
	stranger := exec.Command("sleep", "300")
	stranger.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, stranger.Start())
	stays := guarded(t, table, "sleep 300")
	place := table.reserve()
	place.add(stranger.Process.Pid)
	last := guarded(t, table, "sleep 300")
	place.leave()
	table.hostDies(t)
	for _, p := range []*Process{stays, last} {
		wait(t, p.Exited())
		require.Equal(t, KILL, p.Report().Signal)
		require.Empty(t, p.Report().Killer)
	}
	require.NoError(t, stranger.Process.Signal(unix.SIGTERM))
	stranger.Wait()
	require.Equal(t, unix.SIGTERM, stranger.ProcessState.Sys().(syscall.WaitStatus).Signal(), "no KILL was there before")
}

func TestGuardianIsHarmlessBeforeItIsArmed(t *testing.T) {
	p := sh(t, "sleep 300", Options{})
	g, err := startGuardian(guardianShell, []int{p.PID()})
	require.NoError(t, err)
	null, err := unix.Open("/dev/null", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	require.True(t, g.tell("g0="+strconv.Itoa(p.PID())+" n=1\ng1=1")) // the last line is not complete
	require.NoError(t, unix.Dup3(null, g.input, unix.O_CLOEXEC))
	closeAll(null)
	g.bury()
	require.NoError(t, p.Signal(TERM))
	require.Equal(t, TERM, ended(t, p).Signal, "no KILL was there before")
}

func TestGuardianIsReplaced(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, table *guardTable){
		"when it has died": func(t *testing.T, table *guardTable) {
			require.NoError(t, unix.Kill(table.present(), unix.SIGKILL))
		},
		"when it does not read": func(t *testing.T, table *guardTable) {
			stopped := table.present()
			require.NoError(t, unix.Kill(stopped, unix.SIGSTOP))
			begun := time.Now()
			for range 10_000 { // more than the pipe holds
				if table.present() != stopped {
					break
				}
				place := table.reserve()
				place.add(firstMemoryPID) // no such group
				place.leave()
			}
			require.NotEqual(t, stopped, table.present())
			require.Less(t, time.Since(begun), patience, "nobody waits for it")
		},
	} {
		t.Run(name, func(t *testing.T) {
			table := tableFor(guardianShell)
			p := guarded(t, table, "trap '' TERM; sleep 300 & wait")
			old := table.present()
			harm(t, table)
			require.True(t, eventually(func() bool { now := table.present(); return now != 0 && now != old }))
			table.hostDies(t)
			wait(t, p.Exited())
		})
	}
}

// Without a shell the leader at least is killed by the kernel.
func TestP41_WithoutAGuardianTheDeathSignalIsKill(t *testing.T) {
	needsLinux(t)
	signal := func(table *guardTable) string {
		place := table.reserve()
		env := append(asProgram("deathsignal"), "PATH="+os.Getenv("PATH"))
		s, err := spawn(testBinary(t), Command{Path: "test"}, env, care{guard: place})
		require.NoError(t, err)
		p := newProcess(s, Options{})
		defer p.Stream().Close()
		defer func() { wait(t, p.Ended()) }()
		return readLine(t, p.Stream())
	}
	none := tableFor(filepath.Join(t.TempDir(), "sh"))
	require.Equal(t, "9", signal(none))
	require.Equal(t, "9", signal(none), "the next attempt is a while off")
	some := tableFor(guardianShell)
	require.Equal(t, "15", signal(some))
	require.True(t, eventually(func() bool { return none.resting() && some.resting() }))
}

func TestGuardedProcessesComeAndGo(t *testing.T) {
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 10 {
				p, err := Start(Command{Path: "true"}, Options{Guard: true})
				if err != nil {
					t.Error(err)
					return
				}
				<-p.Ended()
				p.Stream().Close()
				if !p.Report().Success() {
					t.Error(p.Report())
				}
			}
		})
	}
	wg.Wait()
	require.True(t, eventually(guards.resting))
	_, err := Start(Command{Path: "/none"}, Options{Guard: true})
	require.Error(t, err)
	require.True(t, eventually(guards.resting), "a failed start holds no place")
	_, err = Start(Command{Path: "true", Limits: Limits{Rlimits: map[string]Rlimit{"99": {}}}}, Options{Guard: true})
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.True(t, eventually(guards.resting), "nor does one that failed late")
	guards.mu.Lock()
	defer guards.mu.Unlock()
	require.Zero(t, guards.count)
}

// A thousand groups cost the guardian next to nothing, whatever shell it is, and stale numbers of groups no more.
func TestGuardianOfAThousand(t *testing.T) {
	for _, shell := range []string{guardianShell, "/bin/bash", "/bin/busybox"} {
		t.Run(shell, func(t *testing.T) {
			if _, err := os.Stat(shell); err != nil {
				t.Skip("needs " + shell)
			}
			guardThousand(t, tableFor(shell))
		})
	}
}

func guardThousand(t *testing.T, table *guardTable) {
	const many = 1000
	p := guarded(t, table, "sleep 300")
	places := make([]*guardPlace, many)
	begun := time.Now()
	for i := range places {
		places[i] = table.reserve()
		places[i].add(firstMemoryPID + i)
	}
	t.Logf("%d added after %v", many, time.Since(begun))
	for _, place := range places[:many/2] {
		place.leave()
	}
	for i := range many / 2 {
		places[i] = table.reserve()
		places[i].add(firstMemoryPID + i)
	}
	table.mu.Lock()
	slots := len(table.slots)
	table.mu.Unlock()
	require.Equal(t, many+1, slots, "slots are used again")
	begun = time.Now()
	table.hostDies(t)
	wait(t, p.Exited())
	t.Logf("all killed after %v", time.Since(begun))
	require.Less(t, time.Since(begun), orphanGrace)
	for _, place := range places {
		place.leave()
	}
}

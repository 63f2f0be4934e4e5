//go:build !posixprocess

package process

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// daemon is a shell command that starts a daemon by way of prefix, prints its pid when it has settled, and exits. The daemon has forked twice and
// is in a session of its own.
func daemon(prefix string) string {
	return "pid=$(" + prefix + ` setsid sh -c 'sleep 300 >/dev/null 2>&1 & echo $!')
until read -r name < /proc/$pid/comm && [ "$name" = sleep ]; do :; done
echo $pid`
}

func TestP30_DaemonsAreFoundAndKilled(t *testing.T) {
	path := "PATH=" + os.Getenv("PATH")
	for name, env := range map[string][]string{"inherited environment": nil, "explicit environment": {path}} {
		t.Run(name, func(t *testing.T) {
			p := run(t, Command{Path: "sh", Args: []string{"-c", daemon("")}, Env: env}, Options{})
			pid := grandchild(t, bufio.NewReader(p.Stream()))
			r := ended(t, p)
			require.Equal(t, 0, r.Code)
			require.Equal(t, []Stray{{PID: pid, Name: "sleep", Killed: true}}, r.Strays)
			require.True(t, gone(pid), "dead when the process has ended")
			require.Contains(t, r.String(), fmt.Sprintf(", left behind sleep (pid %d, killed)", pid))
		})
	}
}

// A stray that starts others while it is being killed does not get them past.
func TestP30_StraysOfStraysAreFound(t *testing.T) {
	const script = `echo $$ >> "$0"
[ "$1" = 0 ] || setsid sh -c "$2" "$0" $(($1-1)) "$2" &
sleep 300`
	list := filepath.Join(t.TempDir(), "pids")
	leader := `touch "$0"; setsid sh -c "$1" "$0" 2 "$1" > /dev/null 2>&1 & until [ $(wc -l < "$0") = 3 ]; do :; done`
	p := run(t, Command{Path: "sh", Args: []string{"-c", leader, list, script}}, Options{})
	r := ended(t, p)
	require.GreaterOrEqual(t, len(r.Strays), 3)
	for _, s := range r.Strays {
		require.True(t, s.Killed)
		require.True(t, gone(s.PID))
	}
}

func TestStraysAreSparedOnDemand(t *testing.T) {
	for name, script := range map[string]string{
		"by the option":          daemon(""),
		"without its mark":       daemon("env -u STDCREW_CHILD"),
		"without an environment": daemon(`env -i PATH="$PATH"`),
	} {
		t.Run(name, func(t *testing.T) {
			p := sh(t, script, Options{SpareStrays: name == "by the option"})
			pid := grandchild(t, bufio.NewReader(p.Stream()))
			require.Empty(t, ended(t, p).Strays)
			require.False(t, gone(pid))
		})
	}
}

// Members of the group that are about to die are no strays, and strangers are nobody's.
func TestOnlyStraysAreStrays(t *testing.T) {
	stranger := exec.Command("sleep", "300")
	require.NoError(t, stranger.Start())
	defer func() {
		stranger.Process.Kill()
		stranger.Wait()
	}()
	alive := sh(t, "sleep 300 & echo; wait", Options{})
	readLine(t, alive.Stream())
	for range 10 {
		p := sh(t, "for i in 1 2 3 4 5 6 7 8; do sleep 300 & done; exit 3", Options{})
		r := ended(t, p)
		require.Equal(t, 3, r.Code)
		require.Empty(t, r.Strays)
	}
	require.False(t, gone(stranger.Process.Pid))
	require.False(t, isClosed(alive.Exited()))
}

// Who was started by a host that died is found by whoever started that host.
func TestP30_StraysOfAKilledHost(t *testing.T) {
	p := play(t, Options{}, "host", "trap '' TERM; echo $$; exec sleep 300")
	line, err := bufio.NewReader(p.Stream()).ReadString('\n')
	require.NoError(t, err, p.StderrTail())
	pid, err := strconv.Atoi(strings.Fields(line)[0])
	require.NoError(t, err)
	require.NoError(t, p.Do(Kill))
	left := ended(t, p).Strays
	require.Len(t, left, 1)
	require.Equal(t, Stray{PID: pid, Name: left[0].Name, Killed: true}, left[0])
	require.True(t, gone(pid))
}

// A host that lost the right to kill names who it could not.
func TestP30_StraysOfAnotherUserAreNamed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give up the right to kill other users' processes")
	}
	for _, tool := range []string{"setpriv", "setsid"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("needs " + tool)
		}
	}
	foreign := daemon("setpriv --reuid=65534 --clear-groups")
	c := Command{Path: "setpriv", Args: []string{"--bounding-set=-kill", "--inh-caps=-kill", testBinary(t), foreign}}
	p := run(t, c, Options{ExtraEnv: asProgram("report")})
	out := bufio.NewReader(p.Stream())
	pid := grandchild(t, out)
	line, err := out.ReadString('\n')
	require.NoError(t, err, p.StderrTail())
	require.Contains(t, line, fmt.Sprintf("left behind sleep (pid %d, may still run)", pid))
	require.True(t, ended(t, p).Strays[0].Killed, "we may")
}

func TestDrainedComesBeforeTheSearch(t *testing.T) {
	p := sh(t, "read go; echo bye >&2", Options{})
	strays.mu.Lock() // no search begins
	search := sync.OnceFunc(strays.mu.Unlock)
	defer search()
	require.NoError(t, p.Do(CloseStdin))
	wait(t, p.Drained())
	wait(t, p.Exited())
	require.Equal(t, "bye\n", p.Report().StderrTail)
	require.False(t, isClosed(p.Ended()))
	search()
	require.Equal(t, "bye\n", ended(t, p).StderrTail)
}

func TestSearchGoesOnWhileSomethingIsFound(t *testing.T) {
	look := func(s *searcher, found ...int) {
		batch := s.take()
		for _, q := range batch {
			for _, pid := range found {
				s.note(q, Stray{PID: pid})
			}
		}
		s.finish(batch, time.Millisecond)
	}
	s := &searcher{searching: true} // nobody runs it but this test
	q := s.begin("mark", 0)
	look(s, 1, 2)
	require.False(t, isClosed(q.done))
	look(s, 2, 3) // 2 is dying
	require.False(t, isClosed(q.done))
	look(s, 3)
	require.True(t, isClosed(q.done), "nothing new")
	require.Equal(t, []Stray{{PID: 1}, {PID: 2}, {PID: 3}}, s.result(q))

	q = s.begin("mark", 0)
	for round := range strayRounds {
		require.False(t, isClosed(q.done))
		look(s, 10+round)
	}
	require.True(t, isClosed(q.done), "enough is enough")

	q = s.begin("mark", 0)
	var many []int
	for pid := range 2 * maxStrays {
		many = append(many, pid)
	}
	look(s, many...)
	look(s)
	require.Len(t, s.result(q), maxStrays)
	require.LessOrEqual(t, time.Until(s.notBefore), searchRest*time.Millisecond)
	s.finish(nil, time.Hour)
	require.LessOrEqual(t, time.Until(s.notBefore), maxSearchRest)
}

// The time in which the streams are drained counts, so that the end of a process is not put off twice.
func TestResultIsAwaitedFromTheBeginningOfTheSearch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &searcher{searching: true} // nobody runs it
		q := s.begin("mark", 0)
		time.Sleep(strayWait / 2)
		s.result(q)
		require.Equal(t, q.until, time.Now())
		s.result(q)
		require.Equal(t, q.until, time.Now())
	})
}

// Many deaths share a look at the processes of the system.
func TestDeathsShareALook(t *testing.T) {
	const many = 40
	var wg sync.WaitGroup
	var mu sync.Mutex
	found := map[int]bool{}
	begun := time.Now()
	for range many {
		wg.Go(func() {
			p, err := Start(Command{Path: "sh", Args: []string{"-c", daemon("")}}, Options{})
			if err != nil {
				t.Error(err)
				return
			}
			<-p.Ended()
			p.Stream().Close()
			mu.Lock()
			defer mu.Unlock()
			for _, s := range p.Report().Strays {
				found[s.PID] = s.Killed
			}
		})
	}
	wg.Wait()
	require.Less(t, time.Since(begun), patience)
	require.Len(t, found, many)
	for pid := range found {
		require.True(t, gone(pid))
	}
}

// Under the numbers of another namespace strangers would be killed.
func TestSearchNeedsTheRightProc(t *testing.T) {
	ours, err := procIsOurs()
	require.NoError(t, err)
	require.True(t, ours)
	if _, err := exec.LookPath("unshare"); err != nil || os.Geteuid() != 0 {
		t.Skip("needs root and unshare, for a PID namespace")
	}
	for _, c := range []struct {
		flag, want string
	}{
		{"--mount-proc", "true <nil>\n<nil>\n<nil>\n"},
		{"--fork", "false <nil>\n" + `start "true": Limits.Memory: unsupported operation: resident memory cannot be read (/proc must be mounted, and be ` +
			"that of this program's PID namespace)\nunsupported operation: resident memory cannot be read\n"},
	} {
		p := run(t, Command{Path: "unshare", Args: []string{"--pid", "--fork", c.flag, testBinary(t)}}, Options{ExtraEnv: asProgram("procisours")})
		said, err := io.ReadAll(p.Stream())
		require.NoError(t, err)
		require.Equal(t, c.want, string(said), c.flag)
		require.True(t, ended(t, p).Success())
	}
}

func TestPIDsInAStatus(t *testing.T) {
	for status, want := range map[string]string{
		"Name:\tcat\nPid:\t12\nPPid:\t1\nNSpid:\t12\nNSpgid:\t12\n": "12",
		"Name:\tcat\nPid:\t12\nPPid:\t1\nNSpid:\t12\t1\n":           "12\t1",
		"Name:\tcat\nPid:\t12\nPPid:\t1\n":                          "12",
		"":                                                          "",
	} {
		require.Equal(t, want, pidsIn([]byte(status)))
	}
}

func TestMarksInEnvironments(t *testing.T) {
	for environ, want := range map[string][]string{
		"":                                      nil,
		"A=1\x00B=2\x00":                        nil,
		"STDCREW_CHILD=1.a.1\x00":               {"1.a.1"},
		"A=1\x00STDCREW_CHILD=1.a.1":            {"1.a.1"},
		"A=1\x00STDCREW_CHILD=1.a.1,2.b.2\x00B": {"1.a.1", "2.b.2"},
		"MY_STDCREW_CHILD=x\x00":                nil,
		"A_STDCREW_CHILD=x\x00STDCREW_CHILD=y":  {"y"},
		"A=STDCREW_CHILD=x\x00":                 nil,
	} {
		require.Equal(t, want, marksIn([]byte(environ)), "%q", environ)
	}
}

func TestEnvironmentsOfAnySize(t *testing.T) {
	for _, size := range []int{0, environRead - 1, environRead, environRead + 1, 3 * environRead} {
		env := []string{"A=" + strings.Repeat("x", size)}
		p := run(t, Command{Path: "/bin/sleep", Args: []string{"300"}, Env: env}, Options{})
		l := &look{environ: make([]byte, environRead)}
		marks := marksIn(l.environOf(p.PID()))
		require.Equal(t, []string{p.child.(*unixChild).care.mark}, marks, "%d bytes", size)
	}
	require.Empty(t, (&look{environ: make([]byte, environRead)}).environOf(firstMemoryPID))
	require.Empty(t, (&look{uid: os.Geteuid() + 1, environ: make([]byte, environRead)}).environOf(os.Getpid()), "another user's")
}

// A process that is just being given its program has no environment yet. A daemon is often so young when its parent exits.
func TestP30_ProcessesThatAreBeingLoadedAreSeen(t *testing.T) {
	env := slices.Repeat([]string{"A=" + strings.Repeat("x", 100_000)}, 10) // so that it takes a while
	l := &look{environ: make([]byte, environRead)}
	for range 50 {
		p, err := Start(Command{Path: "/bin/sleep", Args: []string{"300"}, Env: env}, Options{})
		require.NoError(t, err)
		marks := marksIn(l.environOf(p.PID()))
		require.NoError(t, p.Do(Kill))
		p.Stream().Close()
		require.Equal(t, []string{p.child.(*unixChild).care.mark}, marks)
		wait(t, p.Exited())
	}
	p := run(t, Command{Path: "/bin/sleep", Args: []string{"300"}, Env: []string{}}, Options{SpareStrays: true})
	require.True(t, eventually(func() bool { return !hasEnviron(p.PID()) }), "it was given none, and nobody waits for it")
}

// BenchmarkLook tells what a look costs, with as many other processes as there happen to be.
func BenchmarkLook(b *testing.B) {
	names, err := os.ReadDir("/proc")
	require.NoError(b, err)
	for b.Loop() {
		lookAround([]*quest{{mark: "none"}}, nil)
	}
	b.ReportMetric(float64(len(names)), "entries")
}

func TestP34_P48_OrphansOfASubreaper(t *testing.T) {
	tree1, pids1 := tree(t)
	p := play(t, Options{}, "subreaper", tree1, daemon("")+"; exec sleep 300", "echo; exec sleep 300")
	said, err := io.ReadAll(p.Stream())
	require.NoError(t, err)
	all := strings.Split(strings.TrimSpace(string(said)), "\n")
	require.Equal(t, []string{"strays 0", "strays 1", "strays 0", "code 7", "code 7"}, all)
	require.True(t, ended(t, p).Success(), "no child is left")
	for _, pid := range pids1() {
		require.Empty(t, stateOf(pid), "not even as a zombie")
	}
}

func TestReapingLeavesANewLeaderAlone(t *testing.T) {
	stranger := exec.Command("sh", "-c", "exit 7")
	stranger.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	require.NoError(t, stranger.Start())
	require.True(t, eventually(func() bool { return stateOf(stranger.Process.Pid) == "Z" }))
	reapOrphans(stranger.Process.Pid, orphanWait) // as if the number had been that of a group of ours
	stranger.Wait()
	require.Equal(t, 7, stranger.ProcessState.ExitCode())
}

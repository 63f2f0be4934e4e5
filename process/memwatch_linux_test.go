//go:build !posixprocess

package process

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// playLimited starts a program under a memory limit, by the watch: these tests are about that one, also where there are control groups.
func playLimited(t *testing.T, limit int64, o Options, mode string, args ...string) *Process {
	t.Helper()
	p := play(t, o, mode, args...)
	memoryLimits.add(p, limit)
	return p
}

// sleeping says that nobody watches any more.
func (w *memoryWatch) sleeping() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.awake && len(w.limits) == 0
}

// lockedBuffer is a log that may be written while it is read.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

const memoryTestLimit = 160 << 20 // what a test binary takes itself fits in several times, the race detector's part too

func TestP15_ProcessOverItsMemoryLimitIsKilled(t *testing.T) {
	var log lockedBuffer
	begun := time.Now()
	p := playLimited(t, memoryTestLimit, Options{Log: slog.New(slog.NewTextHandler(&log, nil))}, "hoard", "256")
	r := ended(t, p)
	require.Equal(t, KillerMemory, r.Killer)
	require.Equal(t, KILL, r.Signal)
	require.Empty(t, r.OOM, "it was us")
	require.Regexp(t, `^stopped by us \(memory\): killed by signal 9 \(KILL\) after `, r.String())
	require.Less(t, time.Since(begun), 5*time.Second)
	require.True(t, eventually(func() bool { return bytes.Contains([]byte(log.String()), []byte("over its memory limit")) }), log.String())
	require.Contains(t, log.String(), "limit=167772160")
	require.True(t, eventually(memoryLimits.sleeping))
}

func TestStartWatchesTheLimit(t *testing.T) {
	c := Command{Path: testBinary(t), Args: []string{"256"}, Limits: Limits{Memory: memoryTestLimit}}
	r := ended(t, run(t, c, Options{ExtraEnv: asProgram("hoard")}))
	require.Equal(t, KillerMemory, r.Killer, "%v", r) // also where a control group does it
}

// Each of the two is within the limit, both together are not; the one that is killed for it is not the leader alone.
func TestP30_MemoryOfTheGroupCounts(t *testing.T) {
	p := playLimited(t, memoryTestLimit, Options{}, "hoard", "96", "96")
	r := ended(t, p)
	require.Equal(t, KillerMemory, r.Killer, "%v", r)
	for _, pid := range findMembers()[p.PID()] { // it may still be dying
		require.True(t, eventually(func() bool { return gone(pid) }))
	}
}

func TestMemoryWithinTheLimitIsLeftAlone(t *testing.T) {
	p := playLimited(t, memoryTestLimit, Options{}, "hoard", "64")
	require.Equal(t, "ready", readLine(t, p.Stream()))
	rss, err := p.RSS()
	require.NoError(t, err)
	require.Greater(t, rss, int64(64<<20))
	require.Less(t, rss, int64(memoryTestLimit))
	for range 3 {
		require.False(t, memoryLimits.check(p, memoryTestLimit))
	}
	require.NoError(t, p.Do(CloseStdin))
	r := ended(t, p)
	require.True(t, r.Success())
	require.Empty(t, r.Killer)
	require.Greater(t, r.User+r.System, time.Duration(0))
	_, err = p.RSS()
	require.ErrorIs(t, err, ErrExited)
	require.True(t, eventually(memoryLimits.sleeping))
}

// What two processes share is there once, although both have it.
func TestSharedMemoryCountsOnce(t *testing.T) {
	if _, err := os.Stat("/proc/self/smaps_rollup"); err != nil {
		t.Skip("facility missing: /proc/PID/smaps_rollup (Linux 4.14)")
	}
	p := playLimited(t, memoryTestLimit+(64<<20), Options{}, "sharer", "128")
	require.Equal(t, "ready", readLine(t, p.Stream()))
	require.True(t, eventually(func() bool {
		rss, err := p.RSS()
		return err == nil && rss > 256<<20
	}), "by a quick look both have it")
	require.Less(t, exactResidentOf(p.PID()), int64(memoryTestLimit+(64<<20)))
	require.False(t, memoryLimits.check(p, memoryTestLimit+(64<<20)))
	require.NoError(t, p.Do(CloseStdin))
	require.True(t, ended(t, p).Success(), "%v", p.Report())
}

func TestSameMemory(t *testing.T) {
	if _, _, errno := unix.Syscall6(unix.SYS_KCMP, uintptr(os.Getpid()), uintptr(os.Getpid()), kcmpVM, 0, 0, 0); errno != 0 {
		t.Skip("facility missing: kcmp:", errno)
	}
	p, _ := sleeper(t)
	require.True(t, sameMemory(os.Getpid(), unix.Gettid()), "threads have one memory")
	require.False(t, sameMemory(os.Getpid(), p.PID()))
}

// A peak is known when it is more than this program's own; below, the kernel tells nothing about the child.
func TestPeakOfMemory(t *testing.T) {
	small := ended(t, run(t, Command{Path: "true"}, Options{}))
	require.Zero(t, small.MaxRSS)

	mebibytes := peakResident()>>20*2 + 32
	p := play(t, Options{}, "hoard", fmt.Sprint(mebibytes))
	require.Equal(t, "ready", readLine(t, p.Stream()))
	require.NoError(t, p.Do(CloseStdin))
	large := ended(t, p)
	require.GreaterOrEqual(t, large.MaxRSS, mebibytes<<20)
	require.Less(t, large.MaxRSS, 4*mebibytes<<20)
}

func TestRSSOfAnInMemoryProcess(t *testing.T) {
	set := make(chan struct{})
	p := StartFunc(func(m *Memory) int {
		<-set
		m.SetRSS(123)
		_, _ = m.Stdout.Write([]byte("set\n"))
		_, _ = io.Copy(io.Discard, m.Stdin)
		return 0
	}, Options{})
	_, err := p.RSS()
	require.EqualError(t, err, "resident memory of an in-memory process: unsupported operation")
	close(set)
	require.Equal(t, "set", readLine(t, p.Stream()))
	rss, err := p.RSS()
	require.NoError(t, err)
	require.EqualValues(t, 123, rss)
	require.NoError(t, p.Do(CloseStdin))
	<-p.Ended()
	_, err = p.RSS()
	require.ErrorIs(t, err, ErrExited)
}

func TestLimitThatCannotBeWatchedIsAnError(t *testing.T) {
	requireRoot(t)
	if ourCgroups().base != "" {
		t.Skip("the kernel keeps the limit here")
	}
	const script = `mount -t tmpfs none /proc && exec "$0"`
	c := Command{Path: "unshare", Args: []string{"-m", "sh", "-c", script, testBinary(t)}}
	if _, err := exec.LookPath(c.Path); err != nil {
		t.Skip("facility missing: unshare")
	}
	p := run(t, c, Options{ExtraEnv: asProgram("blind")})
	all, err := io.ReadAll(p.Stream())
	require.NoError(t, err)
	if ended(t, p); len(all) == 0 {
		t.Skip("facility missing: mount namespaces:", p.StderrTail())
	}
	require.Equal(t, `start "true": Limits.Memory: unsupported operation: resident memory cannot be read (/proc must be mounted, and be that of this program's PID namespace)`+"\n", string(all))
}

// All that looks after a process at the same time: streams, guardian, memory limit, marks, and a thread of its own to start it.
func TestP15_P30_ManagedGuardedAndLimited(t *testing.T) {
	var lost [3]error
	o := ManagedOptions{Lost: func(fd int, err error) { lost[fd] = err }}
	o.Guard, o.DrainTimeout, o.ExtraEnv = true, patience, asProgram("hoard")
	c := Command{Path: "sh", Args: []string{"-c", `setsid sleep 300 & exec "$0" 256`, testBinary(t)}}
	c.Limits = Limits{Memory: memoryTestLimit, NoNewPrivs: true, Rlimits: map[string]Rlimit{"core": {}}}
	m := manage(t, c, o)
	r := ended(t, m.Process)
	require.Equal(t, KillerMemory, r.Killer, "%v", r)
	require.False(t, r.Held, "the daemon that held the pipes is gone")
	require.Equal(t, [3]error{}, lost)
	if ourCgroups().base == "" {
		require.Len(t, r.Strays, 1)
		require.True(t, r.Strays[0].Killed)
	}
	require.True(t, eventually(guards.resting))
	require.True(t, eventually(memoryLimits.sleeping))
}

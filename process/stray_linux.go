package process

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// look is one look through all processes. Each is judged by its environment alone.
type look struct {
	quests  map[string]*quest // by mark
	note    func(*quest, Stray)
	uid     int    // whose processes are looked at; the superuser's look is at all
	environ []byte // the buffer for an environment
	killed  []caught
}

// caught is a stray that has been sent KILL.
type caught struct {
	pid, pidfd int
	leader     bool // of a group of its own
	group      int  // that of the process which left it behind
}

const (
	// environRead is how much of an environment is read at first.
	environRead = 32 << 10
	// maxEnviron is how much is read at most. A mark behind it is not found.
	maxEnviron = 1 << 20
	// loadTries is how often a process is looked at while it is being given its program, which takes a fraction of loadPause.
	loadTries = 10
	loadPause = time.Millisecond
	// strayEnd is how long killed strays get to be dead.
	strayEnd = 100 * time.Millisecond
	// namesRead is how many entries of /proc are read at a time.
	namesRead = 512
)

// lookAround kills what carries one of the quests' marks, and tells note about it. When it returns they are dead, if the kernel could do that
// within strayEnd.
func lookAround(quests []*quest, note func(*quest, Stray)) {
	if ours, _ := procIsOurs(); !ours {
		return
	}
	l := &look{quests: make(map[string]*quest, len(quests)), note: note, uid: os.Geteuid(), environ: make([]byte, environRead)}
	for _, q := range quests {
		l.quests[q.mark] = q
	}
	proc, err := os.Open("/proc")
	if err != nil {
		return
	}
	defer proc.Close()
	for {
		names, err := proc.Readdirnames(namesRead)
		for _, name := range names {
			if pid, err := strconv.Atoi(name); err == nil {
				l.at(pid)
			}
		}
		if err != nil {
			break
		}
	}
	l.bury()
}

// procIsOurs tells whether /proc shows this program's PID namespace. That of another one, as a container may have it, has other numbers for the
// same processes. An error says that this could not be found out now, as there are too many open files.
func procIsOurs() (bool, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return pidsIn(status) == strconv.Itoa(os.Getpid()), nil
}

// pidsIn returns the numbers that a status of /proc gives for a process: one, if there is no namespace between that of /proc and the process's own.
// Kernels that do not tell them all (before Linux 4.1, and imitations) tell the first.
func pidsIn(status []byte) string {
	_, rest, found := bytes.Cut(status, []byte("\nNSpid:"))
	if !found {
		_, rest, _ = bytes.Cut(status, []byte("\nPid:"))
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	return string(bytes.TrimSpace(line))
}

// at looks at one process. Its pid may go to another process at any time, which must carry a mark itself to be harmed: the pidfd is opened
// before the second look at the environment, so who is killed is either who was seen then, or dead already.
func (l *look) at(pid int) {
	if l.claimant(pid) == nil {
		return
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err == unix.ESRCH {
		return
	}
	q := l.claimant(pid)
	group, gone := unix.Getpgid(pid)
	if q == nil || gone != nil || group == q.group {
		closeAll(pidfd)
		return
	}
	s := Stray{PID: pid, Name: nameOf(pid)}
	if err == nil {
		err = unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
	}
	s.Killed = err == nil
	if err != unix.ESRCH {
		l.note(q, s)
	}
	if s.Killed && len(l.killed) < maxStrays {
		l.killed = append(l.killed, caught{pid: pid, pidfd: pidfd, leader: group == pid, group: q.group})
	} else {
		closeAll(pidfd)
	}
}

// claimant returns the quest that a process belongs to, or nil.
func (l *look) claimant(pid int) *quest {
	for _, mark := range marksIn(l.environOf(pid)) {
		if q := l.quests[mark]; q != nil {
			return q
		}
	}
	return nil
}

// environOf returns a process's environment as it was given at its start, in the buffer. It is empty for kernel threads, for the dead, and for
// processes that we may not look at: those of others are not even tried, since systems that audit would log each attempt.
func (l *look) environOf(pid int) []byte {
	for tries := 1; ; tries++ {
		environ := l.readEnviron(pid)
		if environ == nil || len(environ) > 0 || tries == loadTries || !hasEnviron(pid) {
			return environ
		}
		time.Sleep(loadPause)
	}
}

// hasEnviron tells whether a process has an environment, or will: while it is being given its program it has left the old one, and does not have the
// new one yet.
func hasEnviron(pid int) bool {
	const size, code, start, end = 20, 23, 47, 48 // of its memory; where in it the code begins, which is known last; where the environment is
	var buf [1024]byte
	stat := readProc(pid, "stat", buf[:])
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	return len(fields) > end && fields[size] != "0" && (fields[code] == "0" || fields[start] != fields[end])
}

// readEnviron returns nil for a process that cannot be looked at.
func (l *look) readEnviron(pid int) []byte {
	dir := "/proc/" + strconv.Itoa(pid)
	if l.uid != 0 {
		var stat unix.Stat_t
		if unix.Stat(dir, &stat) != nil || int(stat.Uid) != l.uid {
			return nil
		}
	}
	fd, err := unix.Open(dir+"/environ", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer closeAll(fd)
	for length := 0; ; {
		n, err := unix.Read(fd, l.environ[length:])
		if err == unix.EINTR {
			continue
		}
		length += max(n, 0)
		if length < len(l.environ) || length >= maxEnviron {
			return l.environ[:length] // a read that falls short is the last
		}
		l.environ = append(l.environ, make([]byte, length)...)
	}
}

// nameOf returns what the system calls a process.
func nameOf(pid int) string {
	name, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
	return strings.ToValidUTF8(string(bytes.TrimSuffix(name, []byte("\n"))), "\uFFFD")
}

// bury waits for those who have been killed to be dead, and reaps those that this program has adopted.
func (l *look) bury() {
	deadline := time.Now().Add(strayEnd)
	for _, k := range l.killed {
		awaitDeath(k.pidfd, deadline)
	}
	ours := len(l.killed) > 0 && adopts()
	for _, k := range l.killed { // only now, since a stray's own strays become ours at its death
		if ours {
			_ = unix.Waitid(unix.P_PIDFD, k.pidfd, nil, unix.WEXITED|unix.WNOHANG, nil)
		}
		closeAll(k.pidfd)
	}
	for _, k := range l.killed {
		if ours && k.leader {
			reapOrphans(k.pid, 0)
		}
		if ours && k.group != 0 {
			reapOrphans(k.group, 0)
		}
	}
}

// awaitDeath waits until a pidfd is readable.
func awaitDeath(pidfd int, deadline time.Time) {
	for {
		fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, int(max(0, time.Until(deadline).Milliseconds()))); err != unix.EINTR {
			return
		}
	}
}

// marksIn returns the marks in an environment as the kernel shows it.
func marksIn(environ []byte) []string {
	rest, found := bytes.CutPrefix(environ, []byte(envChild+"="))
	if !found {
		_, rest, found = bytes.Cut(environ, []byte("\x00"+envChild+"="))
	}
	if !found {
		return nil
	}
	marks, _, _ := bytes.Cut(rest, []byte{0})
	return strings.Split(string(marks), markSeparator)
}

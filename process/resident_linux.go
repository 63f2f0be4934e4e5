package process

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// groupMembers knows which processes are in which process group, beside its leader. The kernel tells only by way of all processes there are, so
// what was found is used again for a while.
type groupMembers struct {
	mu   sync.Mutex // held while looking: who comes meanwhile gets what is found
	byID map[int][]int
	seen bool      // /proc could be looked at, and its numbers are ours
	next time.Time // when to look again
}

var members groupMembers

const (
	// membersAge is how long it is good enough to know who was in a group.
	membersAge = 250 * time.Millisecond
	// lookShare is the part of the time that is spent on looking, at most: one in so many.
	lookShare = 10
)

// of returns the members of a group, its leader first. It returns none where what /proc says of a number would be about a stranger.
func (m *groupMembers) of(leader int) []int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now := time.Now(); !now.Before(m.next) {
		m.byID = nil
		if m.seen, _ = procIsOurs(); m.seen {
			m.byID = findMembers()
		}
		m.next = time.Now().Add(max(membersAge, lookShare*time.Since(now)))
	}
	if !m.seen {
		return nil
	}
	return append([]int{leader}, m.byID[leader]...)
}

// findMembers asks for the group of each process. That takes a fraction of a microsecond, and no file is opened.
func findMembers() map[int][]int {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1) // what could be read is of use
	found := map[int][]int{}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if group, err := unix.Getpgid(pid); err == nil && group != pid && group != 0 { // 0: the kernel's own
			found[group] = append(found[group], pid)
		}
	}
	return found
}

// errUnseen is the error where the kernel does not tell.
var errUnseen = errors.New("resident memory cannot be read")

// residentOf is the bytes of memory that the processes of a group have, by a quick look: pages that they share count for each of them.
func residentOf(leader int) (sum int64, err error) {
	group := members.of(leader)
	if group == nil {
		return 0, fmt.Errorf("%w: %w", errors.ErrUnsupported, errUnseen)
	}
	for _, pid := range group {
		if inGroup(pid, leader) {
			sum += resident(pid)
		}
	}
	return sum, nil
}

// exactResidentOf is the same by a slow look. Pages that processes share count in part for each of them, and a process that has been forked and still
// runs in the memory of its parent does not count.
func exactResidentOf(leader int) (sum int64) {
	var seen []int
	for _, pid := range members.of(leader) {
		sharing := func(other int) bool { return sameMemory(pid, other) }
		if !inGroup(pid, leader) || slices.ContainsFunc(seen, sharing) {
			continue
		}
		seen = append(seen, pid)
		sum += proportional(pid)
	}
	return sum
}

// inGroup sees to it that a pid is not somebody else's by now. The leader's is its own until it has been reaped.
func inGroup(pid, leader int) bool {
	if pid == leader {
		return true
	}
	group, err := unix.Getpgid(pid)
	return err == nil && group == leader
}

var pageSize = int64(os.Getpagesize())

// resident returns 0 for a process that is gone, or not ours to look at.
func resident(pid int) int64 {
	var buf [128]byte
	fields := strings.Fields(string(readProc(pid, "statm", buf[:])))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * pageSize
}

// proportional divides shared pages among those that share them. Where the kernel does not tell, they are not divided.
func proportional(pid int) int64 {
	var buf [4096]byte
	for line := range strings.Lines(string(readProc(pid, "smaps_rollup", buf[:]))) {
		var kilobytes int64
		if n, _ := fmt.Sscanf(line, "Pss: %d kB", &kilobytes); n == 1 {
			return kilobytes << 10
		}
	}
	return resident(pid)
}

// readProc reads one of the kernel's small files about a process, without a detour by the poller.
func readProc(pid int, file string, buf []byte) []byte {
	fd, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/"+file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer closeAll(fd)
	n, _ := unix.Read(fd, buf)
	return buf[:max(n, 0)]
}

// kcmpVM asks kcmp(2) whether two processes have one memory.
const kcmpVM = 1

// sameMemory is false where the kernel does not tell.
func sameMemory(pid, other int) bool {
	order, _, errno := unix.Syscall6(unix.SYS_KCMP, uintptr(pid), uintptr(other), kcmpVM, 0, 0, 0)
	return errno == 0 && order == 0
}

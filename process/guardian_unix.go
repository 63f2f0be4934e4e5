//go:build linux || darwin

package process

import (
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// guardian is a shell that outlives this program for the moment that it takes to kill the groups that it knows. It is in a session of its own,
// so that nothing that is meant for this program's group or terminal reaches it.
type guardian struct {
	child *unixChild
	input int // our end of its standard input, non-blocking; it ends with this program
}

const guardianShell = "/bin/sh"

// guardianScript gets groups as arguments, which become the variables g0, g1 and so on, and then lines that assign to variables. Nothing in it
// starts a process or grows with time: a slot is used again. It kills only what it was told of up to the last line, and nothing at all
// before armed is set: until then the arguments may be out of date. A line that is not complete is not obeyed.
const guardianScript = `trap '' HUP INT QUIT TERM
exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
n=0 armed=0
for group; do
	eval "g$n=$group"
	n=$((n+1))
done
while read -r line; do
	eval "$line"
done
[ "$armed" = 1 ] || exit 0
while [ "$n" -gt 0 ]; do
	n=$((n-1))
	eval "group=\${g$n:-0}"
	[ "$group" -gt 1 ] && kill -KILL "-$group"
done`

// startGuardian starts a guardian that knows these groups, but does not act on them before it is armed.
func startGuardian(shell string, slots []int) (*guardian, error) {
	input, err := openPipe(false)
	if err != nil {
		return nil, err
	}
	defer closeAll(input.theirs)
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		closeAll(input.ours)
		return nil, err
	}
	defer closeAll(null)

	argv := []string{"sh", "-c", guardianScript, "stdcrew-guardian"}
	for _, group := range slots {
		argv = append(argv, strconv.Itoa(group))
	}
	pid, handle, err := forkGuardian(shell, argv, &syscall.ProcAttr{
		Dir:   "/",
		Files: []uintptr{uintptr(input.theirs), uintptr(null), uintptr(null)},
		// No parent-death signal, and no environment: neither this program's marks nor those of its children may lead to it.
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		closeAll(input.ours)
		return nil, err
	}
	return &guardian{child: &unixChild{id: pid, handle: handle}, input: input.ours}, nil
}

// tell writes lines without blocking. It returns false if the guardian is dead or does not read: then nothing that it knows can be relied on.
func (g *guardian) tell(lines string) bool {
	for {
		n, err := unix.Write(g.input, []byte(lines))
		if err != unix.EINTR {
			return err == nil && n == len(lines)
		}
	}
}

// end makes the guardian end without having killed anything, even if this program dies in the next moment: to learn of that it would have to
// return from a read, and it dies there.
func (g *guardian) end() { _ = g.child.signal(KILL) }

// bury waits for the guardian's death and takes its exit status.
func (g *guardian) bury() {
	g.child.wait()
	g.child.reap()
	closeAll(g.input)
}

// guardianLine says which group is in a slot, 0 for none, and how many slots there are.
func guardianLine(slot, group, slots int) string {
	return "g" + strconv.Itoa(slot) + "=" + strconv.Itoa(group) + " n=" + strconv.Itoa(slots) + "\n"
}

// guardianArming is the lines that lead from told to slots, and from then on the guardian is in earnest.
func guardianArming(told, slots []int) string {
	var b strings.Builder
	for slot, group := range slots {
		if slot >= len(told) || told[slot] != group {
			b.WriteString(guardianLine(slot, group, len(slots)))
		}
	}
	b.WriteString("n=" + strconv.Itoa(len(slots)) + " armed=1\n")
	return b.String()
}

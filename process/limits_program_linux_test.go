package process

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

func init() {
	programs["hoard"] = playHoard
	programs["sharer"] = playSharer
	programs["userhost"] = playUserHost
	programs["powerless"] = playPowerless
	programs["marker"] = playMarker
	programs["blind"] = playBlind
	programs["modest"] = playModest
}

// hoard fills so many MiB, outside of Go's heap and of what the race detector adds to it.
func hoard(mebibytes int, fd, flags int) {
	mem, err := unix.Mmap(fd, 0, mebibytes<<20, unix.PROT_READ|unix.PROT_WRITE, flags)
	if err != nil {
		panic(err)
	}
	for i := 0; i < len(mem); i += os.Getpagesize() {
		mem[i] = 1
	}
}

// playHoard fills args[0] MiB. If there are further arguments, a child in the same group does so with them. Then it waits for its standard input to end.
func playHoard(args []string) int {
	hoard(number(args[0]), -1, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if len(args) > 1 {
		child := exec.Command(os.Args[0], args[1:]...)
		child.Stdin, child.Stdout = os.Stdin, os.Stdout
		if err := child.Run(); err != nil {
			return 1
		}
		return 0
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	return 0
}

// playSharer fills args[0] MiB of a memory that its child, with another argument, fills too.
func playSharer(args []string) int {
	const inherited = 3
	if len(args) > 1 {
		hoard(number(args[0]), inherited, unix.MAP_SHARED)
		fmt.Println("ready")
		io.Copy(io.Discard, os.Stdin)
		return 0
	}
	fd, err := unix.MemfdCreate("shared", unix.MFD_CLOEXEC)
	if err != nil {
		panic(err)
	}
	if err := unix.Ftruncate(fd, int64(number(args[0]))<<20); err != nil {
		panic(err)
	}
	hoard(number(args[0]), fd, unix.MAP_SHARED)
	child := exec.Command(os.Args[0], args[0], "child")
	child.Stdin, child.Stdout, child.ExtraFiles = os.Stdin, os.Stdout, []*os.File{os.NewFile(uintptr(fd), "shared")}
	if err := child.Run(); err != nil {
		return 1
	}
	return 0
}

// playUserHost starts a shell command as another user, prints what it says, and waits to be killed.
func playUserHost(args []string) int {
	p, err := Start(Command{Path: "sh", Args: []string{"-c", args[0]}, Credential: nobody()}, Options{})
	if err != nil {
		panic(err)
	}
	said, err := bufio.NewReader(p.Stream()).ReadString('\n')
	if err != nil {
		panic(err)
	}
	fmt.Println(strings.TrimSpace(said))
	return untilKilled()
}

// playPowerless prints how starts fail for somebody who is not root, and whether they have left anything.
func playPowerless([]string) int {
	var own unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &own); err != nil {
		panic(err)
	}
	p, err := Start(Command{Path: "true"}, Options{}) // opens what stays open
	if err != nil {
		panic(err)
	}
	<-p.Ended()
	p.Stream().Close()
	before := len(descriptors())
	raised := map[string]Rlimit{"nofile": {own.Max + 1, own.Max + 1}}
	for _, c := range []Command{
		{Path: "sleep", Args: []string{"300"}, Credential: &Credential{}},
		{Path: "sleep", Args: []string{"300"}, Limits: Limits{Rlimits: raised}},
	} {
		_, err := Start(c, Options{})
		fmt.Println(err)
		var info unix.Siginfo
		if err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); err != unix.ECHILD {
			return 3
		}
		if len(descriptors()) > before {
			return 4
		}
	}
	return 0
}

// playBlind prints how the start of a program with a memory limit fails.
func playBlind([]string) int {
	_, err := Start(Command{Path: "true", Limits: Limits{Memory: 1 << 30}}, Options{})
	fmt.Println(err)
	return 0
}

// playModest starts a child without new rights, and prints whether this program has given its own up.
func playModest([]string) int {
	p, err := Start(Command{Path: "true", Limits: Limits{NoNewPrivs: true}}, Options{})
	if err != nil {
		panic(err)
	}
	<-p.Ended()
	status, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(status), "NoNewPrivs:")
	fmt.Println(strings.Fields(rest)[0])
	return 0
}

// playMarker shows what reaches a child of what this program has inherited, before and after it is marked.
func playMarker([]string) int {
	for _, mark := range []func() error{func() error { return nil }, MarkInherited} {
		if err := mark(); err != nil {
			fmt.Println(err)
			return 3
		}
		p, err := Start(Command{Path: "ls", Args: []string{"/proc/self/fd"}}, Options{})
		if err != nil {
			panic(err)
		}
		all, _ := io.ReadAll(p.Stream())
		fmt.Println(strings.Fields(string(all)))
		<-p.Ended()
	}
	syscall.Write(7, []byte("still open here"))
	return 0
}

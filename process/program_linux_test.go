package process

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// playProgram is what the test binary does when a test has started it as another program. The result is its exit code.
func playProgram(mode string, args []string) int {
	program, ok := programs[mode]
	if !ok {
		fmt.Fprintln(os.Stderr, "no such program:", mode)
		return 2
	}
	return program(args)
}

var programs = map[string]func(args []string) int{
	"exit":        func(args []string) int { return number(args[0]) },
	"echo":        playEcho,
	"selfkill":    playSelfKill,
	"deaf":        playDeaf,
	"args":        func(args []string) int { return list(os.Args) },
	"env":         func(args []string) int { return list(os.Environ()) },
	"descriptors": func(args []string) int { return list(descriptors()) },
	"flood":       playFlood,
	"grandchild":  playGrandchild,
	"host":        func(args []string) int { return playHost(Options{}, args) },
	"guardhost":   func(args []string) int { return playHost(Options{Guard: true}, args) },
	"subreaper":   playSubreaper,
	"deathsignal": playDeathSignal,
	"report":      playReport,
	"procisours":  playProcIsOurs,
	"ignoring":    playIgnoring,
	"ignoring2":   playIgnoringTwice,
	"closedstdio": playClosedStdio,
	"elsewhere":   playElsewhere,
}

func number(arg string) int {
	n, err := strconv.Atoi(arg)
	if err != nil {
		panic(err)
	}
	return n
}

// list prints items that may contain anything but NUL.
func list(items []string) int {
	fmt.Print(strings.Join(items, "\x00"))
	return 0
}

// untilKilled outlives everything but KILL.
func untilKilled() int {
	signal.Ignore(unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	fmt.Println("ready")
	for {
		unix.Pause()
	}
}

func playEcho([]string) int {
	io.Copy(os.Stdout, os.Stdin)
	return 0
}

func playSelfKill(args []string) int {
	unix.Kill(os.Getpid(), syscall.Signal(number(args[0])))
	return untilKilled()
}

func playDeaf([]string) int { return untilKilled() }

// playFlood writes lines of args[0] bytes to standard error, for ever or args[1] bytes in all.
func playFlood(args []string) int {
	line := append([]byte(strings.Repeat("x", number(args[0])-1)), '\n')
	total := number(args[1])
	for n := 0; total == 0 || n < total; n += len(line) {
		os.Stderr.Write(line)
	}
	return 0
}

// playGrandchild starts a child that sleeps for long and inherits all streams, in the same process group or, with "leave", in a session of
// its own. It prints the child's pid. With "stay" it then waits to be killed.
func playGrandchild(args []string) int {
	cmd := exec.Command("sleep", "300")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: args[0] == "leave"}
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	fmt.Println(cmd.Process.Pid)
	if args[1] == "stay" {
		return untilKilled()
	}
	fmt.Fprintln(os.Stderr, "last words")
	return 0
}

// playHost starts the shell commands in args as children, prints their pids and what each says first, and waits to be killed.
func playHost(o Options, args []string) int {
	for _, script := range args {
		p, err := Start(Command{Path: "sh", Args: []string{"-c", script}}, o)
		if err != nil {
			panic(err)
		}
		said, err := bufio.NewReader(p.Stream()).ReadString('\n')
		if err != nil {
			panic(err)
		}
		fmt.Println(p.PID(), strings.TrimSpace(said))
	}
	return untilKilled()
}

// playReport runs a shell command, prints what it says first, and the report on its end.
func playReport(args []string) int {
	p, err := Start(Command{Path: "sh", Args: []string{"-c", args[0]}}, Options{})
	if err != nil {
		panic(err)
	}
	said, err := bufio.NewReader(p.Stream()).ReadString('\n')
	if err != nil {
		panic(err)
	}
	<-p.Ended()
	fmt.Print(said)
	fmt.Println(p.Report())
	return 0
}

// playSubreaper adopts orphans. It starts a child by other means, in a group of its own and in this program's, then ends the shell commands
// in args, prints how many processes they left behind, and what the other children's exits were. It fails if a child is left.
func playSubreaper(args []string) int {
	if err := Subreaper(); err != nil {
		panic(err)
	}
	var others []*exec.Cmd
	for _, own := range []bool{true, false} {
		cmd := exec.Command("sh", "-c", "exit 7")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: own}
		if err := cmd.Start(); err != nil {
			panic(err)
		}
		others = append(others, cmd)
	}
	for _, script := range args {
		p, err := Start(Command{Path: "sh", Args: []string{"-c", script}}, Options{})
		if err != nil {
			panic(err)
		}
		bufio.NewReader(p.Stream()).ReadString('\n')
		p.Do(Kill)
		<-p.Ended()
		fmt.Println("strays", len(p.Report().Strays))
	}
	for _, cmd := range others {
		cmd.Wait()
		fmt.Println("code", cmd.ProcessState.ExitCode())
	}
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); err != unix.ECHILD {
		fmt.Println("left:", err)
		return 1
	}
	return 0
}

// playDeathSignal prints the signal that this program gets when its parent dies.
func playDeathSignal([]string) int {
	var s int32
	syscall.RawSyscall(syscall.SYS_PRCTL, unix.PR_GET_PDEATHSIG, uintptr(unsafe.Pointer(&s)), 0)
	fmt.Println(s)
	return 0
}

// playProcIsOurs prints whether /proc can be relied on, and how a memory limit and a look at the memory of a process fail where it cannot.
func playProcIsOurs([]string) int {
	ourCgroups = func() *cgroups { return &cgroups{} } // /proc counts only without
	fmt.Println(procIsOurs())
	_, err := Start(Command{Path: "true", Limits: Limits{Memory: 1 << 40}}, Options{})
	fmt.Println(err)
	p, err := Start(Command{Path: "cat"}, Options{})
	if err != nil {
		panic(err)
	}
	_, err = p.RSS()
	fmt.Println(err)
	p.Do(Kill)
	<-p.Ended()
	return 0
}

// playIgnoring is a host that ignores signals, in addition to those it was started with. It prints the signal masks of a child, then its own
// and the signals that it knows to be ignored.
func playIgnoring(args []string) int {
	for _, arg := range args {
		signal.Ignore(syscall.Signal(number(arg)))
	}
	for range 2 { // the second child is as good as the first
		p, err := Start(Command{Path: "grep", Args: []string{"SigIgn", "/proc/self/status"}}, Options{})
		if err != nil {
			panic(err)
		}
		io.Copy(os.Stdout, p.Stream())
		<-p.Ended()
	}
	own, err := os.ReadFile("/proc/self/status")
	if err != nil {
		panic(err)
	}
	for line := range strings.Lines(string(own)) {
		if strings.HasPrefix(line, "SigIgn") {
			fmt.Print("own ", line)
		}
	}
	for n := syscall.Signal(1); n < signalLimit; n++ {
		if signal.Ignored(n) && reservedByLibc&(1<<(n-1)) == 0 {
			fmt.Println("ignored", int(n))
		}
	}
	return 0
}

// playIgnoringTwice starts children in the two ways that there are at the same time. It prints the signal masks of those that ignore HUP.
func playIgnoringTwice(args []string) int {
	signal.Ignore(unix.SIGHUP)
	var both sync.WaitGroup
	for _, limits := range []Limits{{}, {NoNewPrivs: true}} {
		both.Go(func() {
			for range number(args[0]) {
				p, err := Start(Command{Path: "grep", Args: []string{"SigIgn:.*[13579bdf]$", "/proc/self/status"}, Limits: limits}, Options{SpareStrays: true})
				if err != nil {
					panic(err)
				}
				io.Copy(os.Stdout, p.Stream())
				<-p.Ended()
			}
		})
	}
	both.Wait()
	return 0
}

// playClosedStdio is a host without standard streams that writes to a child which is gone. Its exit code is what tells how it went.
func playClosedStdio([]string) int {
	for fd := range 3 {
		unix.Close(fd)
	}
	p, err := Start(Command{Path: "true"}, Options{})
	if err != nil {
		return 3
	}
	<-p.Exited()
	if _, err := p.Stream().Write([]byte("x")); err == nil {
		return 4
	}
	if p.Report().Code != 0 {
		return 5
	}
	return 42
}

// playElsewhere leaves its process group, in which a child stays behind, for another of the same session.
func playElsewhere(args []string) int {
	cmd := exec.Command("sleep", "300")
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	fmt.Println(cmd.Process.Pid)
	if err := unix.Setpgid(0, number(args[0])); err != nil {
		panic(err)
	}
	return untilKilled()
}

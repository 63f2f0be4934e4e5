package worker

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/stdcrew/stdcrew/rpc"
)

// Stray prints do no harm: those before New are noise before the hello, those after it are on standard error.
func TestP1_StrayPrints(t *testing.T) {
	c := newChild(t, childOptions{role: "printing"})
	require.NoError(t, c.call("last", nil, nil))
	require.NoError(t, c.call("print", "printed on request", nil))
	require.NoError(t, c.call("read", nil, nil), "standard input is empty, and no longer the protocol's")
	var said string
	require.NoError(t, c.call("shell", "echo said", &said))
	require.Equal(t, "said\n", said)
	require.NoError(t, c.host.CloseWrite(context.Background()))
	require.Equal(t, 0, c.exit(t))
	require.Equal(t, []string{"printed while loading", "printed before New"}, lines(c.noise.String()))
	require.Equal(t, []string{"printed after New", "the child got no output of its own", "printed by a handler", "printed on request"},
		lines(c.stderr.String()))
}

func TestRun(t *testing.T) {
	for name, o := range map[string]childOptions{
		"one call at a time":        {role: "worker"},
		"several calls at a time":   {role: "crowd"},
		"over sockets":              {role: "worker", sockets: true},
		"several over sockets":      {role: "crowd", sockets: true},
		"without the start marker":  {role: "worker", unmarked: true},
		"sockets, without a marker": {role: "crowd", sockets: true, unmarked: true},
		"the second of two":         {role: "second"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newChild(t, o)
			var calls errgroup.Group
			for i := range c.host.Capacity() {
				calls.Go(func() error {
					for n := 1; n <= 4<<20; n *= 16 {
						in := bytes.Repeat([]byte{byte(i)}, n)
						var out []byte
						if err := c.call("echo", in, &out); err != nil {
							return err
						}
						if !bytes.Equal(in, out) {
							return fmt.Errorf("%d bytes came back as %d others", len(in), len(out))
						}
					}
					return nil
				})
			}
			require.NoError(t, calls.Wait())
			require.NoError(t, c.host.CloseWrite(context.Background()))
			require.Equal(t, 0, c.exit(t))
			require.Empty(t, c.stderr.String())
		})
	}
}

// Whoever is started by a handler sees neither the marks nor the worker's descriptors.
func TestChildrenInheritNothing(t *testing.T) {
	c := newChild(t, childOptions{role: "crowd"})
	var environ []string
	require.NoError(t, c.call("environ", nil, &environ))
	for _, entry := range environ {
		require.NotContains(t, entry, rpc.EnvWorker+"=")
	}
	const list = "exec ls /proc/self/fd"
	here, err := exec.Command("sh", "-c", list).Output()
	require.NoError(t, err)
	var open string
	require.NoError(t, c.call("shell", list, &open))
	require.Equal(t, string(here), open)
	require.NoError(t, c.call("shell", "readlink /proc/$$/fd/0", &open))
	require.Equal(t, "/dev/null\n", open)
}

func TestL2_9_EndOfInput(t *testing.T) {
	t.Run("while idle", func(t *testing.T) {
		c := newChild(t, childOptions{role: "patient"})
		require.NoError(t, c.stream.CloseWrite())
		require.Equal(t, 0, c.exit(t))
	})
	t.Run("before the welcome", func(t *testing.T) {
		c := newProcess(t, childOptions{role: "patient"})
		require.NoError(t, c.stream.CloseWrite())
		require.Equal(t, 0, c.exit(t))
	})
	for _, role := range []string{"worker", "crowd"} {
		t.Run("while a handler runs: "+role, func(t *testing.T) {
			c := newChild(t, childOptions{role: role})
			c.busy(t, "deaf")
			began := time.Now()
			require.NoError(t, c.stream.CloseWrite())
			require.Equal(t, 0, c.exit(t))
			require.GreaterOrEqual(t, time.Since(began), testGrace)
		})
	}
	t.Run("while a handler runs that heeds it", func(t *testing.T) {
		c := newChild(t, childOptions{role: "patient"})
		c.busy(t, "wait")
		require.NoError(t, c.stream.CloseWrite())
		require.Equal(t, 0, c.exit(t))
		require.Equal(t, "waited\n", c.stderr.String())
	})
}

// The signal to terminate is the end: running calls are ended and answered.
func TestTerminate(t *testing.T) {
	c := newChild(t, childOptions{role: "patient"})
	ended := c.busy(t, "wait")
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, <-ended, "the handler has heeded it and answered")
	require.Equal(t, 0, c.exit(t))

	c = newProcess(t, childOptions{role: "worker"})
	hello := make([]byte, 1)
	_, err := io.ReadFull(c.stream, hello)
	require.NoError(t, err)
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGTERM))
	require.Contains(t, []int{0, 128 + 15}, c.exit(t), "before the welcome")
}

// A worker in a group of its own that ends because its host may be gone takes the group with it.
func TestP30_GrandchildGoesWithTheWorker(t *testing.T) {
	own := childOptions{role: "worker", ownGroup: true, welcome: rpc.Welcome{OwnGroup: true}}
	ends := map[string]func(t *testing.T, c *child){
		"end of input": func(t *testing.T, c *child) { require.NoError(t, c.stream.CloseWrite()) },
		"terminated":   func(t *testing.T, c *child) { require.NoError(t, c.cmd.Process.Signal(syscall.SIGTERM)) },
		"while busy": func(t *testing.T, c *child) {
			c.busy(t, "deaf")
			require.NoError(t, c.stream.CloseWrite())
		},
		"broken": func(t *testing.T, c *child) {
			_, err := c.stream.in.WriteString("nonsense, and more than a header of it")
			require.NoError(t, err)
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			c := newChild(t, own)
			var grandchild int
			require.NoError(t, c.call("grandchild", nil, &grandchild))
			end(t, c)
			require.Equal(t, 128+9, c.exit(t))
			awaitGone(t, grandchild)
		})
	}
}

// A host that has asked for the end is there to look after the rest, and sees the exit code.
func TestShutdownLeavesTheGroupToTheHost(t *testing.T) {
	for _, now := range []bool{false, true} {
		t.Run(fmt.Sprintf("now %v", now), func(t *testing.T) {
			c := newChild(t, childOptions{role: "worker", ownGroup: true, welcome: rpc.Welcome{OwnGroup: true}})
			require.NoError(t, c.host.Shutdown(now, time.Minute))
			require.Eventually(t, func() bool { return c.call("echo", 1, nil) != nil }, patience, time.Millisecond, "it takes no more calls")
			require.NoError(t, c.stream.CloseWrite())
			require.Equal(t, 0, c.exit(t))
			require.Empty(t, c.stderr.String())
		})
	}
}

// The group is killed only if the host says that it is the worker's own, and it is.
func TestGroupOfOthersIsSpared(t *testing.T) {
	for name, o := range map[string]childOptions{
		"not said": {role: "worker", ownGroup: true},
		"not so":   {role: "worker", welcome: rpc.Welcome{OwnGroup: true}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newChild(t, o)
			require.NoError(t, c.stream.CloseWrite())
			require.Equal(t, 0, c.exit(t))
		})
	}
}

// A host that is killed leaves nothing, not even what a busy worker has started.
func TestP41_KilledHostLeavesNothing(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	busy := filepath.Join(t.TempDir(), "started")
	host := exec.Command(self, busy)
	host.Env = asRole("host")
	var stderr bytes.Buffer
	host.Stderr = &stderr
	out, err := host.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, host.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err, "%v", &stderr)
	var worker, grandchild int
	_, err = fmt.Sscan(line, &worker, &grandchild)
	require.NoError(t, err)
	defer func() { _ = unix.Kill(grandchild, unix.SIGKILL) }() // should the test fail
	awaitFile(t, busy)
	require.NoError(t, unix.Kill(worker, 0))
	require.NoError(t, unix.Kill(grandchild, 0))

	require.NoError(t, host.Process.Kill())
	_ = host.Wait() // it was killed
	awaitGone(t, worker)
	awaitGone(t, grandchild)
}

func TestP35_BrokenOutputEndsTheWorker(t *testing.T) {
	for _, role := range []string{"worker", "crowd"} {
		t.Run(role, func(t *testing.T) {
			c := newChild(t, childOptions{role: role})
			ended := c.busy(t, "wait")
			require.NoError(t, c.cmd.Process.Signal(syscall.SIGSTOP))
			require.NoError(t, c.stream.out.Close())
			require.Error(t, <-ended)
			require.NoError(t, c.cmd.Process.Signal(syscall.SIGCONT))
			_, err := c.stream.in.Write(pingFrame)
			require.NoError(t, err)
			require.Equal(t, exitBroken, c.exit(t))
			require.Contains(t, c.stderr.String(), "the connection to the host broke")
		})
	}
}

// pingFrame is a ping: the worker has to write to answer it.
var pingFrame = []byte{0xC1, 0x60, 0, 0xC1 ^ 0x60 ^ 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 'p'}

// Nobody reads standard error any more: that is an error for whoever writes to it, and neither the end of the worker nor a loop.
func TestP35_BrokenStderr(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	c := &child{stderr: new(tail), noise: new(tail), exited: make(chan error, 1)}
	self, err := os.Executable()
	require.NoError(t, err)
	c.cmd = exec.Command(self)
	c.cmd.Env = append(asRole("worker"), rpc.EnvWorker+"=1")
	c.cmd.Stderr = w
	theirs, err := c.plug(false)
	require.NoError(t, err)
	require.NoError(t, c.cmd.Start())
	for _, f := range append(theirs, w, r) {
		require.NoError(t, f.Close())
	}
	go func() { c.exited <- c.cmd.Wait() }() // ends with the child
	defer c.stream.Close()
	require.NoError(t, c.connect(rpc.Welcome{}))
	defer c.host.Close()
	var result string
	require.NoError(t, c.call("complain", "about something", &result))
	require.Contains(t, result, "broken pipe")
	c.busy(t, "chat")
	require.NoError(t, c.stream.CloseWrite())
	require.Equal(t, 0, c.exit(t))
}

func TestCannotStart(t *testing.T) {
	for role, why := range map[string]string{"broken": "no license", "mistaken": "MaxMessage"} {
		t.Run(role, func(t *testing.T) {
			c := newProcess(t, childOptions{role: role, ownGroup: true})
			var initErr *rpc.InitError
			require.ErrorAs(t, c.connect(rpc.Welcome{OwnGroup: true}), &initErr)
			require.Contains(t, initErr.Message, why)
			require.NoError(t, c.stream.Close())
			require.Equal(t, exitBroken, c.exit(t))
			require.Contains(t, c.stderr.String(), "the worker cannot start")
			require.Contains(t, c.stderr.String(), why)
		})
	}
}

func TestStartedByHand(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	require.NoError(t, err)
	defer null.Close()
	terminal := openTerminal(t)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	tests := map[string]struct{ stdin, stdout *os.File }{
		"null device":        {null, null},
		"terminal":           {terminal, terminal},
		"terminal for input": {terminal, w},
		"printing":           {r, terminal},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			self, err := os.Executable()
			require.NoError(t, err)
			cmd := exec.Command(self)
			cmd.Env = asRole("worker")
			var stderr bytes.Buffer
			cmd.Stdin, cmd.Stdout, cmd.Stderr = test.stdin, test.stdout, &stderr
			var exit *exec.ExitError
			require.ErrorAs(t, cmd.Run(), &exit)
			require.Equal(t, exitMisuse, exit.ExitCode())
			require.Contains(t, stderr.String(), filepath.Base(self)+" is a stdcrew worker")
			require.Contains(t, stderr.String(), "chat, complain, deaf, echo")
			require.Contains(t, stderr.String(), "broker.New")
		})
	}
}

// openTerminal returns the program's side of a new terminal.
func openTerminal(t *testing.T) *os.File {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("needs a pseudo terminal: %v", err)
	}
	t.Cleanup(func() { _ = master.Close() })
	raw, err := master.SyscallConn()
	require.NoError(t, err)
	var number int
	var ioctlErr error
	require.NoError(t, raw.Control(func(fd uintptr) {
		if ioctlErr = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); ioctlErr == nil {
			number, ioctlErr = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	}))
	require.NoError(t, ioctlErr)
	slave, err := os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("needs a pseudo terminal: %v", err)
	}
	t.Cleanup(func() { _ = slave.Close() })
	return slave
}

func TestMainServes(t *testing.T) {
	mark := rpc.EnvSelf + "=echo:" + strconv.Itoa(os.Getpid())
	c := newChild(t, childOptions{role: "application", env: []string{mark}, welcome: rpc.Welcome{InFlight: 5}})
	require.Equal(t, 5, c.host.Capacity())
	var environ []string
	require.NoError(t, c.call("environ", nil, &environ))
	for _, entry := range environ {
		require.NotContains(t, entry, rpc.EnvSelf+"=")
	}
	require.NoError(t, c.stream.CloseWrite())
	require.Equal(t, 0, c.exit(t))
}

func TestMainReturns(t *testing.T) {
	tests := map[string]struct {
		mark string
		out  string // on standard output
		err  string // on standard error
		code int
	}{
		"no mark":           {out: `application ""`},
		"leftover":          {mark: "echo:1", out: `application ""`},
		"of something else": {mark: "echo", out: `application ""`},
		"unknown name":      {mark: "other:" + strconv.Itoa(os.Getpid()), err: `knows no worker "other"; it knows ["echo" "none"]`, code: exitMisuse},
		"no function":       {mark: "none:" + strconv.Itoa(os.Getpid()), err: `knows no worker "none"`, code: exitMisuse},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			self, err := os.Executable()
			require.NoError(t, err)
			cmd := exec.Command(self)
			cmd.Env = append(asRole("application"), rpc.EnvSelf+"="+test.mark)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			_ = cmd.Run() // the code is looked at below
			require.Equal(t, test.code, cmd.ProcessState.ExitCode())
			require.Equal(t, test.out, strings.TrimSpace(stdout.String()))
			require.Contains(t, stderr.String(), test.err)
		})
	}
}

// Under another user the pipes cannot be opened again. The worker does with the descriptors as they are.
func TestPipesOfAnotherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs to be root")
	}
	const nobody = 65534
	dir, err := os.MkdirTemp("", "worker")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	require.NoError(t, os.Chmod(dir, 0o755))
	program := filepath.Join(dir, "program")
	self, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(program, self, 0o755))

	c := newChild(t, childOptions{role: "crowd", program: program, user: nobody})
	var out []byte
	in := make([]byte, 1<<20)
	var calls errgroup.Group
	for range 4 {
		calls.Go(func() error { return c.call("echo", in, nil) })
	}
	require.NoError(t, calls.Wait())
	require.NoError(t, c.call("echo", in, &out))
	require.Equal(t, in, out)
	var id string
	require.NoError(t, c.call("shell", "id -u", &id))
	require.Equal(t, "65534\n", id)
	require.NoError(t, c.stream.CloseWrite())
	require.Equal(t, 0, c.exit(t))
}

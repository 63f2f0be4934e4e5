package worker

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/stdcrew/stdcrew/rpc"
)

func init() { roles["host"] = playHost }

// patience is how long a test waits for what should come soon.
const patience = 20 * time.Second

// child is a worker process, and its host.
type child struct {
	cmd    *exec.Cmd
	host   *rpc.Peer
	stream *childStream
	stderr *tail
	noise  *tail
	exited chan error // closed after the exit was received; buffered
}

type childOptions struct {
	role     string
	env      []string
	ownGroup bool
	welcome  rpc.Welcome
	unmarked bool // without the start marker
	sockets  bool // in place of pipes
	program  string
	user     int
}

// startChild starts a worker and connects to it.
func startChild(o childOptions) (*child, error) {
	c, err := launch(o)
	if err != nil {
		return nil, err
	}
	return c, c.connect(o.welcome)
}

// launch starts a worker.
func launch(o childOptions) (*child, error) {
	if o.program == "" {
		o.program = "/proc/self/exe"
	}
	c := &child{cmd: exec.Command(o.program, os.Args[1:]...), stderr: new(tail), noise: new(tail), exited: make(chan error, 1)}
	c.cmd.Env = append(asRole(o.role), o.env...)
	if !o.unmarked {
		c.cmd.Env = append(c.cmd.Env, rpc.EnvWorker+"=1")
	}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: o.ownGroup}
	if o.user != 0 {
		c.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(o.user), Gid: uint32(o.user)}
	}
	c.cmd.Stderr = c.stderr
	c.cmd.WaitDelay = patience
	theirs, err := c.plug(o.sockets)
	if err != nil {
		return nil, err
	}
	err = c.cmd.Start()
	for _, f := range theirs {
		_ = f.Close()
	}
	if err != nil {
		return nil, err
	}
	go func() { c.exited <- c.cmd.Wait() }() // ends with the child
	return c, nil
}

// plug makes the child's standard input and output, and returns its ends.
func (c *child) plug(sockets bool) ([]*os.File, error) {
	pair := func() (ours, theirs *os.File, err error) {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, nil, err
		}
		return os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs"), nil
	}
	open := func(weRead bool) (ours, theirs *os.File, err error) {
		if sockets {
			return pair()
		}
		r, w, err := os.Pipe()
		if weRead {
			return r, w, err
		}
		return w, r, err
	}
	in, theirIn, err := open(false)
	if err != nil {
		return nil, err
	}
	out, theirOut, err := open(true)
	if err != nil {
		return nil, err
	}
	c.cmd.Stdin, c.cmd.Stdout = theirIn, theirOut
	c.stream = &childStream{in: in, out: out}
	return []*os.File{theirIn, theirOut}, nil
}

func (c *child) connect(w rpc.Welcome) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c.host, err = rpc.Connect(ctx, c.stream, rpc.HostOptions{Welcome: w, Noise: func(text []byte) { _, _ = c.noise.Write(text) }})
	return err
}

func (c *child) call(method string, in, out any) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return c.host.Call(ctx, method, in, out, rpc.CallOptions{})
}

// newChild starts a worker for a test and connects to it.
func newChild(t *testing.T, o childOptions) *child {
	c := newProcess(t, o)
	require.NoError(t, c.connect(o.welcome), "stderr: %v", c.stderr)
	t.Cleanup(func() { _ = c.host.Close() })
	return c
}

// newProcess starts a worker for a test. After the test it is gone, and so is what the test had in memory for it.
func newProcess(t *testing.T, o childOptions) *child {
	before := runtime.NumGoroutine()
	c, err := launch(o)
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = c.stream.Close()
		_ = c.cmd.Process.Kill() // it may be gone
		if o.ownGroup {
			_ = unix.Kill(-c.cmd.Process.Pid, unix.SIGKILL)
		}
		select {
		case <-c.exited:
		case <-time.After(patience):
			t.Error("the child is still there")
		}
		require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+1 }, patience, time.Millisecond, "goroutines") // one is Eventually's
		var info unix.Siginfo
		require.ErrorIs(t, unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil), unix.ECHILD, "children")
	})
	return c
}

// busy calls a method that takes a path and does not return soon, and returns when it runs. The channel tells how the call ended.
func (c *child) busy(t *testing.T, method string) <-chan error {
	path := filepath.Join(t.TempDir(), "started")
	ended := make(chan error, 1)
	go func() { ended <- c.call(method, path, nil) }() // ends with the worker
	awaitFile(t, path)
	return ended
}

func awaitFile(t *testing.T, path string) {
	require.Eventually(t, func() bool {
		b, err := os.ReadFile(path)
		return err == nil && string(b) == "started"
	}, patience, time.Millisecond, path)
}

// exit waits for the child's end. The code is that of the shell: 128 and the signal if there was one.
func (c *child) exit(t *testing.T) (code int) {
	select {
	case <-c.exited:
		c.exited <- nil
	case <-time.After(patience):
		require.Fail(t, "the worker does not exit", "stderr: %v", c.stderr)
	}
	status := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

// childStream is the host's side of a worker's standard streams.
type childStream struct{ in, out *os.File }

func (s *childStream) Read(p []byte) (int, error)  { return s.out.Read(p) }
func (s *childStream) Write(p []byte) (int, error) { return s.in.Write(p) }
func (s *childStream) CloseWrite() error           { return s.in.Close() }

func (s *childStream) Close() error {
	_ = s.in.Close()
	return s.out.Close()
}

// tail collects what is written to it.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (w *tail) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.Write(p)
}

func (w *tail) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

// awaitGone waits until a process is gone, or a zombie that nobody has reaped yet.
func awaitGone(t *testing.T, pid int) {
	require.Eventually(t, func() bool {
		f, err := os.Open(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return true
		}
		defer f.Close()
		b, err := io.ReadAll(f)
		if err != nil {
			return true
		}
		_, state, _ := strings.Cut(string(b), ") ")
		return strings.HasPrefix(state, "Z") || strings.HasPrefix(state, "X")
	}, patience, time.Millisecond, "process %d", pid)
}

// playHost starts a worker in a group of its own, has it start a grandchild and be busy, prints the pids of both and waits to be killed.
func playHost() {
	c, err := startChild(childOptions{role: "worker", ownGroup: true, welcome: rpc.Welcome{OwnGroup: true}})
	if err != nil {
		panic(err)
	}
	var grandchild int
	if err := c.call("grandchild", nil, &grandchild); err != nil {
		panic(err)
	}
	busy := os.Args[len(os.Args)-1]
	go func() { _ = c.call("deaf", busy, nil) }() // ends with the process
	fmt.Println(c.cmd.Process.Pid, grandchild)
	select {}
}

// lines are the lines of a text.
func lines(text string) []string { return strings.Split(strings.TrimSuffix(text, "\n"), "\n") }

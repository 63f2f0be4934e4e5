package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// serveCommand makes the program a server; its argument is one of roles, then come the role's own.
const serveCommand = "serve"

// roles is what the program is when a contender has started it again.
var roles = map[string]func(args []string) error{}

// asServer serves if the program was started to do so, and does not return then.
func asServer() {
	if len(os.Args) < 3 || os.Args[1] != serveCommand {
		return
	}
	serve, ok := roles[os.Args[2]]
	if !ok {
		exit(fmt.Errorf("%s: no such role", os.Args[2]))
	}
	exit(serve(os.Args[3:]))
}

// self is the program as a role.
func self(role string, args ...string) (*exec.Cmd, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := exec.Command(path, append([]string{serveCommand, role}, args...)...)
	c.Stderr = os.Stderr
	return c, nil
}

// child is the program in a role, or another one, with pipes.
type child struct {
	cmd      *exec.Cmd
	to, from *os.File
}

func startChild(role string, args ...string) (*child, error) {
	cmd, err := self(role, args...)
	if err != nil {
		return nil, err
	}
	return startPiped(cmd)
}

// startPiped starts a command with pipes for its input and output.
func startPiped(cmd *exec.Cmd) (*child, error) {
	theirIn, to, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	from, theirOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, theirIn.Close(), to.Close())
	}
	cmd.Stdin, cmd.Stdout = theirIn, theirOut
	err = errors.Join(cmd.Start(), theirIn.Close(), theirOut.Close())
	if err != nil {
		return nil, errors.Join(err, to.Close(), from.Close())
	}
	return &child{cmd: cmd, to: to, from: from}, nil
}

func (c *child) Read(b []byte) (int, error)  { return c.from.Read(b) }
func (c *child) Write(b []byte) (int, error) { return c.to.Write(b) }

// Close closes the pipes; it may have been called before.
func (c *child) Close() error {
	_ = c.to.Close()
	_ = c.from.Close()
	return nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// patience is how long a server may take to leave when its input has ended, and a contender's round beyond its time.
const patience = 20 * time.Second

// end closes the pipes and waits; who does not leave is killed, which is an error.
func (c *child) end() error {
	_ = c.Close()
	overdue := time.AfterFunc(patience, func() { _ = c.cmd.Process.Kill() })
	_ = c.cmd.Wait() // how it ends is its own matter: some are killed on purpose
	if !overdue.Stop() {
		return fmt.Errorf("process %d did not leave", c.pid())
	}
	return nil
}

// stdio is a server's end. Standard input as Go programs find it blocks, and takes a thread for each read; on the runtime's poller, as here,
// all these libraries answer one caller sooner.
type stdio struct{ in, out *os.File }

func newStdio() (stdio, error) {
	const in, out = 0, 1
	err := errors.Join(unblock(in), unblock(out))
	return stdio{os.NewFile(in, "input"), os.NewFile(out, "output")}, err
}

func (s stdio) Read(b []byte) (int, error)  { return s.in.Read(b) }
func (s stdio) Write(b []byte) (int, error) { return s.out.Write(b) }
func (s stdio) Close() error                { return errors.Join(s.in.Close(), s.out.Close()) }

var _ io.ReadWriteCloser = (*child)(nil)

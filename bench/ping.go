package main

import (
	"errors"
	"os"
	"os/exec"
	"strconv"

	"github.com/stdcrew/stdcrew/bench/internal/rawpipe"
)

const (
	pingName    = "raw pipe"
	pongCommand = "pong" // makes the program the far end; its argument is the size
	maxSize     = 4096   // what any pipe takes in one piece
)

// ping is the near end of the floor.
type ping struct {
	child        *exec.Cmd
	to, from     *os.File
	toFd, fromFd int
	buffer       []byte
}

func newPing(size int) (contender, error) {
	if rawpipe.Unsupported != nil {
		return nil, rawpipe.Unsupported
	}
	theirIn, to, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	from, theirOut, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	child := exec.Command(self, pongCommand, strconv.Itoa(size))
	child.Stdin, child.Stdout, child.Stderr = theirIn, theirOut, os.Stderr
	if err := child.Start(); err != nil {
		return nil, err
	}
	if err := errors.Join(theirIn.Close(), theirOut.Close()); err != nil {
		return nil, err
	}
	return &ping{
		child: child, to: to, from: from,
		toFd: int(to.Fd()), fromFd: int(from.Fd()), // asking for them makes them block
		buffer: make([]byte, size),
	}, nil
}

func (p *ping) name() string { return pingName }
func (p *ping) pid() int     { return p.child.Process.Pid }

func (p *ping) roundTrip() error { return rawpipe.RoundTrip(p.toFd, p.fromFd, p.buffer, p.buffer) }

func (p *ping) close() error {
	return errors.Join(p.to.Close(), p.child.Wait(), p.from.Close())
}

//go:build unix

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"

	"github.com/stdcrew/stdcrew/bench/internal/gauge"
)

// ping is the near end.
type ping struct {
	child        *exec.Cmd
	to, from     *os.File
	toFd, fromFd int
	buffer       []byte
}

func newPing(size int) (contender, error) {
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

func (p *ping) roundTrip() error {
	if err := gauge.WriteAll(p.toFd, p.buffer); err != nil {
		return err
	}
	return gauge.ReadAll(p.fromFd, p.buffer)
}

func (p *ping) close() error {
	return errors.Join(p.to.Close(), p.child.Wait(), p.from.Close())
}

// pong is the far end: it answers until its input ends.
func pong(size string) error {
	n, err := strconv.Atoi(size)
	if err != nil || n < 1 { // without a byte to wait for it would answer for ever
		return fmt.Errorf("%s %s: the size must be a positive number", pongCommand, size)
	}
	buffer := make([]byte, n)
	for {
		if err := gauge.ReadAll(0, buffer); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := gauge.WriteAll(1, buffer); err != nil {
			return err
		}
	}
}

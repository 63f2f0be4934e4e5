//go:build unix && !linux

package worker

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/stdcrew/stdcrew/rpc"
)

// takeOver moves standard input and output to private descriptors, which no child inherits, and puts others in their place.
func takeOver() (rpc.Stream, error) {
	in, err := private(unix.Stdin, "stdin")
	if err != nil {
		return nil, err
	}
	out, err := private(unix.Stdout, "stdout")
	if err != nil {
		return nil, err
	}
	return plainStdio{unclosed{}, in, out}, replaceStandard()
}

func replace(fd, with int) error { return unix.Dup2(with, fd) }

// plainStdio is standard input and output.
type plainStdio struct {
	unclosed
	in, out *os.File
}

func (s plainStdio) Read(p []byte) (int, error)  { return s.in.Read(p) }
func (s plainStdio) Write(p []byte) (int, error) { return s.out.Write(p) }

package worker

import (
	"fmt"
	"io"
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
	reader := &input{in}
	if fd, err := reopen(unix.Stdout, unix.O_WRONLY|unix.O_NONBLOCK); err == nil {
		return pipeStdio{unclosed{}, reader, &output{fd, os.NewFile(uintptr(fd), "stdout")}}, replaceStandard()
	}
	out, err := private(unix.Stdout, "stdout")
	if err != nil {
		return nil, err
	}
	return plainStdio{unclosed{}, reader, out}, replaceStandard()
}

func replace(fd, with int) error { return unix.Dup3(with, fd, 0) }

// reopen opens the pipe under a descriptor once more. What others who hold the pipe do to its flags does not touch ours then, nor ours
// theirs. It fails for what is no pipe, and where the pipe belongs to another user or there is no /proc.
func reopen(fd, flags int) (int, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return -1, err
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFIFO {
		return -1, unix.ENOTSUP
	}
	return unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), flags|unix.O_CLOEXEC, 0)
}

// pipeStdio is standard input and output where output is a pipe of which we have a description of our own.
type pipeStdio struct {
	unclosed
	*input
	*output
}

// plainStdio is standard input and output where output is shared with whoever else holds it.
type plainStdio struct {
	unclosed
	*input
	io.Writer
}

// input is standard input. At first a Read blocks in the system, which is the fastest way for a worker with one call at a time.
type input struct{ file *os.File }

func (i *input) Read(p []byte) (int, error) { return i.file.Read(p) }

// share moves reading to the poller; it must not be called during a Read. A Read that blocks in the system holds what goroutines run on,
// until the scheduler notices. Where the pipe cannot be opened again it stays like that.
func (i *input) share() {
	fd, err := reopen(int(i.file.Fd()), unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return
	}
	_ = i.file.Close() // the pipe stays open as fd
	i.file = os.NewFile(uintptr(fd), "stdin")
}

// output is standard output as a pipe that does not block. The file is in the poller, and is never closed.
type output struct {
	fd   int
	file *os.File
}

// TryWrite writes what fits.
func (o *output) TryWrite(p []byte) (n int, err error) { return o.TryWriteBoth(p, nil) }

// TryWriteBoth writes what fits of p and then of q.
func (o *output) TryWriteBoth(p, q []byte) (n int, err error) {
	for {
		if len(q) == 0 {
			n, err = unix.Write(o.fd, p)
		} else {
			n, err = unix.Writev(o.fd, [][]byte{p, q})
		}
		if err != unix.EINTR {
			break
		}
	}
	if err == nil && n < len(p)+len(q) {
		err = unix.EAGAIN
	}
	return max(n, 0), err
}

// Write waits for room.
func (o *output) Write(p []byte) (int, error) { return o.file.Write(p) }

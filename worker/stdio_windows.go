package worker

import (
	"fmt"
	"os"

	"golang.org/x/sys/windows"

	"github.com/stdcrew/stdcrew/rpc"
)

// takeOver keeps private handles of standard input and output, which no child inherits, and puts others in their place: for children, for
// whoever asks the system from now on, and for package os. What has asked before, such as a C library's stdout, keeps the old handle.
func takeOver() (rpc.Stream, error) {
	in, err := private(windows.STD_INPUT_HANDLE, "stdin")
	if err != nil {
		return nil, err
	}
	out, err := private(windows.STD_OUTPUT_HANDLE, "stdout")
	if err != nil {
		return nil, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	if err := windows.SetStdHandle(windows.STD_INPUT_HANDLE, windows.Handle(null.Fd())); err != nil {
		return nil, fmt.Errorf("replace stdin: %w", err)
	}
	if err := windows.SetStdHandle(windows.STD_OUTPUT_HANDLE, windows.Handle(os.Stderr.Fd())); err != nil {
		return nil, fmt.Errorf("replace stdout: %w", err)
	}
	os.Stdin, os.Stdout = null, os.Stderr
	return plainStdio{in, out}, nil
}

func private(standard uint32, name string) (*os.File, error) {
	handle, err := windows.GetStdHandle(standard)
	if err != nil {
		return nil, fmt.Errorf("take %s: %w", name, err)
	}
	self := windows.CurrentProcess()
	var copied windows.Handle
	if err := windows.DuplicateHandle(self, handle, self, &copied, 0, false, windows.DUPLICATE_SAME_ACCESS); err != nil {
		return nil, fmt.Errorf("take %s: %w", name, err)
	}
	return os.NewFile(uintptr(copied), name), nil
}

// plainStdio is standard input and output. It stays open until the process ends, which follows.
type plainStdio struct{ in, out *os.File }

func (s plainStdio) Read(p []byte) (int, error)  { return s.in.Read(p) }
func (s plainStdio) Write(p []byte) (int, error) { return s.out.Write(p) }
func (s plainStdio) CloseWrite() error           { return nil }
func (s plainStdio) Close() error                { return nil }

//go:build linux || darwin

package process

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// stdio is the pipes for a child's three standard streams while it is being started.
type stdio struct {
	stdin, stdout, stderr pipe
}

// pipe is two descriptors, -1 where there is none. Ours is non-blocking; the child's is blocking, as programs expect. Both are closed on exec.
type pipe struct{ ours, theirs int }

// open opens all pipes or none.
func (s *stdio) open() (err error) {
	none := pipe{-1, -1}
	*s = stdio{none, none, none}
	defer func() {
		if err != nil {
			s.closeOurs()
			s.closeTheirs()
		}
	}()
	if s.stdin, err = openPipe(false); err != nil {
		return err
	}
	if s.stdout, err = openPipe(true); err != nil {
		return err
	}
	s.stderr, err = openPipe(true)
	return err
}

// openPipe opens a pipe of which we read or write.
func openPipe(weRead bool) (pipe, error) {
	fds, err := makePipe()
	if err != nil {
		return pipe{-1, -1}, err
	}
	p := pipe{ours: fds[1], theirs: fds[0]}
	if weRead {
		p = pipe{ours: fds[0], theirs: fds[1]}
	}
	if err := p.prepareOurs(); err != nil {
		closeAll(p.ours, p.theirs)
		return pipe{-1, -1}, err
	}
	return p, nil
}

// prepareOurs makes our end non-blocking. It also moves it away from the numbers of our own standard streams, which it gets in a program
// that has closed them: a write to a broken pipe with such a number would end this program.
func (p *pipe) prepareOurs() error {
	if p.ours <= syscall.Stderr {
		moved, err := unix.FcntlInt(uintptr(p.ours), unix.F_DUPFD_CLOEXEC, syscall.Stderr+1)
		if err != nil {
			return err
		}
		closeAll(p.ours)
		p.ours = moved
	}
	return unix.SetNonblock(p.ours, true)
}

// files returns the child's ends, as its descriptors 0, 1 and 2.
func (s *stdio) files() []uintptr {
	return []uintptr{uintptr(s.stdin.theirs), uintptr(s.stdout.theirs), uintptr(s.stderr.theirs)}
}

// ours hands our ends over to the poller.
func (s *stdio) ours() (stdin, stdout, stderr *pipeEnd) {
	return newWriteEnd(s.stdin.ours, "stdin of child"), newReadEnd(s.stdout.ours, "stdout of child"), newReadEnd(s.stderr.ours, "stderr of child")
}

func (s *stdio) closeOurs() { closeAll(s.stdin.ours, s.stdout.ours, s.stderr.ours) }

func (s *stdio) closeTheirs() { closeAll(s.stdin.theirs, s.stdout.theirs, s.stderr.theirs) }

func closeAll(fds ...int) {
	for _, fd := range fds {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// pipeStream is the Stream of a real process.
type pipeStream struct{ stdin, stdout *pipeEnd }

func (s *pipeStream) Read(p []byte) (int, error)     { return s.stdout.Read(p) }
func (s *pipeStream) Write(p []byte) (int, error)    { return s.stdin.Write(p) }
func (s *pipeStream) TryRead(p []byte) (int, error)  { return s.stdout.TryRead(p) }
func (s *pipeStream) TryWrite(p []byte) (int, error) { return s.stdin.TryWrite(p) }

func (s *pipeStream) TryWriteBoth(p, q []byte) (int, error) { return s.stdin.TryWriteBoth(p, q) }
func (s *pipeStream) Interrupt()                            { s.stdout.Interrupt() }
func (s *pipeStream) Resume()                               { s.stdout.Resume() }
func (s *pipeStream) CloseWrite() error                     { return s.stdin.Close() }

func (s *pipeStream) Close() error {
	err := s.stdin.Close()
	if outErr := s.stdout.Close(); err == nil {
		err = outErr
	}
	return err
}

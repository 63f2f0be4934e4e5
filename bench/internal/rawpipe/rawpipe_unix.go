//go:build unix

package rawpipe

import (
	"errors"
	"fmt"
	"io"
	"strconv"

	"golang.org/x/sys/unix"
)

// Unsupported is nil where there is a floor.
var Unsupported error

// RoundTrip sends by one blocking descriptor and fills got from the other.
func RoundTrip(to, from int, sent, got []byte) error {
	if err := writeAll(to, sent); err != nil {
		return err
	}
	return readAll(from, got)
}

// Echo is the far end, a program of its own: it sends what has come on standard input, in pieces of its argument size, back by standard output, until
// its input ends.
func Echo(size string) error {
	n, err := strconv.Atoi(size)
	if err != nil || n < 1 { // without a byte to wait for it would answer for ever
		return fmt.Errorf("the raw pipe's size must be a positive number, not %s", size)
	}
	buffer := make([]byte, n)
	for {
		if err := readAll(0, buffer); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := writeAll(1, buffer); err != nil {
			return err
		}
	}
}

// readAll fills b, or returns io.EOF.
func readAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Read(fd, b)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("read: %w", err)
		case n == 0:
			return io.EOF
		default:
			b = b[n:]
		}
	}
	return nil
}

func writeAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("write: %w", err)
		default:
			b = b[n:]
		}
	}
	return nil
}

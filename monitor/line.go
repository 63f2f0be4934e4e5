package monitor

// Stream is one of the two streams that a program writes to. Its value is the number of the descriptor.
type Stream uint8

const (
	// Stdout is the standard output.
	Stdout Stream = 1
	// Stderr is the standard error.
	Stderr Stream = 2
)

// String returns "stdout" or "stderr".
func (s Stream) String() string {
	switch s {
	case Stdout:
		return "stdout"
	case Stderr:
		return "stderr"
	default:
		return "unknown stream"
	}
}

// Line is a line that a program has written.
type Line struct {
	Stream Stream

	// Text is the line without its end. It is valid UTF-8: other bytes have been replaced. A line that is too long has been cut, and ends with
	// " … (cut)".
	Text string
}

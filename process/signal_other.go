//go:build !linux && !darwin

package process

// signalCont is a number of no consequence here: only in-memory processes receive it, and it does nothing to them.
const signalCont Signal = 18

// signalLimit is above the highest signal number of the systems that have signals.
const signalLimit = 32

func signalName(s Signal) string {
	switch s {
	case HUP:
		return "HUP"
	case INT:
		return "INT"
	case KILL:
		return "KILL"
	case TERM:
		return "TERM"
	default:
		return ""
	}
}

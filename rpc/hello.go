package rpc

import (
	"fmt"
	"time"

	"github.com/stdcrew/stdcrew/framing"
)

// Version is the protocol version that this package speaks.
const Version = 1

// greeting begins the payload of every hello, in all versions of the protocol.
const greeting = "stdcrew"

// Capabilities that a side may announce in Hello.Caps or Welcome.Caps.
const (
	CapCancel  = "cancel"  // a cancel reaches the running handler
	CapBusy    = "busy"    // pings are answered while a call runs
	CapStarted = "started" // tells when a handler starts, if asked
)

// Hello is how a worker introduces itself.
type Hello struct {
	Protocol   [2]int   `msgpack:"protocol"` // lowest and highest version; if zero, this package's
	SDK        string   `msgpack:"sdk"`
	PID        int      `msgpack:"pid"`
	InFlight   int      `msgpack:"inflight"`          // calls at a time; if zero, 1; if negative, as many as the host offers
	Methods    []string `msgpack:"methods,omitempty"` // empty: not known in advance
	Caps       []string `msgpack:"caps,omitempty"`    // see CapCancel and its like
	MaxFrame   int      `msgpack:"max_frame"`         // bytes of payload; if zero, framing.DefaultFrame
	MaxMessage int      `msgpack:"max_message"`       // bytes; if zero, framing.DefaultMessage
	Window     int      `msgpack:"window"`            // bytes of a stream before credit; if zero, 64 KiB
}

// Welcome is the host's answer.
type Welcome struct {
	Protocol   int      `msgpack:"protocol"` // the version chosen
	Host       string   `msgpack:"host"`
	InFlight   int      `msgpack:"inflight"`    // calls that the host will send at a time; if zero, what the worker declares
	MaxFrame   int      `msgpack:"max_frame"`   // as in Hello
	MaxMessage int      `msgpack:"max_message"` // as in Hello
	Window     int      `msgpack:"window"`      // as in Hello
	Slot       int      `msgpack:"slot"`        // the worker's place in its crew
	OwnGroup   bool     `msgpack:"own_group"`   // the worker's process group is its own to kill
	Caps       []string `msgpack:"caps,omitempty"`
}

const (
	defaultWindow = 64 << 10
	maxMethods    = 1024
	maxMethodName = 255
	maxInFlight   = 1 << 16 // per connection
	hostPlaces    = 64      // calls of a worker that a host runs at a time, at least: handlers that have been given up may have left some behind
)

func (h *Hello) setDefaults() {
	if h.Protocol == [2]int{} {
		h.Protocol = [2]int{Version, Version}
	}
	if h.InFlight == 0 {
		h.InFlight = 1
	}
	defaultLimits(&h.MaxFrame, &h.MaxMessage, &h.Window)
}

func (w *Welcome) setDefaults() {
	if w.Protocol == 0 {
		w.Protocol = Version
	}
	defaultLimits(&w.MaxFrame, &w.MaxMessage, &w.Window)
}

func defaultLimits(frame, message, window *int) {
	if *frame == 0 {
		*frame = framing.DefaultFrame
	}
	if *message == 0 {
		*message = framing.DefaultMessage
	}
	if *window == 0 {
		*window = defaultWindow
	}
}

func checkLimits(frame, message, window int) error {
	switch {
	case frame < framing.MinFrame || frame > framing.MaxFrame:
		return fmt.Errorf("max_frame %d is not in [%d, %d]", frame, framing.MinFrame, framing.MaxFrame)
	case message < frame || message > framing.MaxMessage:
		return fmt.Errorf("max_message %d is not in [max_frame, %d]", message, framing.MaxMessage)
	case window < 0:
		return fmt.Errorf("window %d is negative", window)
	}
	return nil
}

func (h *Hello) check() error {
	if h.InFlight < -1 || h.InFlight > maxInFlight {
		return fmt.Errorf("inflight %d is not in [-1, %d]", h.InFlight, maxInFlight)
	}
	if err := checkMethods(h.Methods); err != nil {
		return err
	}
	return checkLimits(h.MaxFrame, h.MaxMessage, h.Window)
}

func checkMethods(methods []string) error {
	if len(methods) > maxMethods {
		return fmt.Errorf("%d methods are over the limit of %d", len(methods), maxMethods)
	}
	for _, m := range methods {
		if m == "" || len(m) > maxMethodName {
			return fmt.Errorf("method name %.64q is not 1 to %d bytes long", m, maxMethodName)
		}
	}
	return nil
}

// agree settles the calls at a time between what the worker takes and what the host wants (0: no wish).
func agree(worker, host int) int {
	switch {
	case worker < 0 && host <= 0:
		return 1
	case worker < 0:
		return min(host, maxInFlight)
	case host <= 0:
		return worker
	default:
		return min(worker, host)
	}
}

type shutdownMessage struct {
	Mode   string `msgpack:"mode"`
	Millis uint64 `msgpack:"ms"`
}

const (
	shutdownDrain = "drain"
	shutdownNow   = "now"
	maxGrace      = 24 * time.Hour
)

func (m shutdownMessage) grace() time.Duration {
	return time.Duration(min(m.Millis, uint64(maxGrace/time.Millisecond))) * time.Millisecond
}

type goodbyeMessage struct {
	Reason string `msgpack:"reason"`
	LastID uint64 `msgpack:"last_id"`
}

type startingMessage struct {
	Message string `msgpack:"message"`
}

type readyMessage struct {
	Methods []string `msgpack:"methods,omitempty"`
}

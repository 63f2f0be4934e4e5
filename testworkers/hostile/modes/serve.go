package modes

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/stdcrew/stdcrew/framing"
)

// serve is the worker's life, up to its exit code.
func (h *host) serve() int {
	if h.mode.begin != nil {
		h.mode.begin()
	}
	greet := (*host).greet
	if h.mode.greet != nil {
		greet = h.mode.greet
	}
	err := greet(h)
	for err == nil {
		var m framing.Message
		if m, err = h.next(); err == nil {
			err = h.dispatch(m)
		}
	}
	if h.mode.leave != nil {
		h.mode.leave()
	}
	if !errors.Is(err, io.EOF) {
		fmt.Fprintln(os.Stderr, "hostile:", err)
		return 1
	}
	return 0
}

// greet is the handshake as it should be.
func (h *host) greet() error {
	h.write(hello())
	return h.welcomed()
}

// welcomed is its second half.
func (h *host) welcomed() error {
	if _, err := h.next(); err != nil { // the welcome: whatever it says suits us
		return err
	}
	h.send(typeReady, 0, value(map[string]any{}))
	return nil
}

func (h *host) dispatch(m framing.Message) error {
	switch m.Type {
	case typeCall:
		c, err := parseCall(m.ID, m.Body)
		if err != nil {
			return err
		}
		h.last = c.id
		h.called(c)
	case typeCancel:
		h.canceled(m.ID)
	case typePing:
		h.send(typePong, 0, m.Body)
	case typeShutdown:
		if h.mode.leave == nil {
			h.send(typeGoodbye, 0, value(map[string]any{"reason": "asked", "last_id": h.last}))
		}
	}
	return nil
}

func (h *host) called(c call) {
	switch c.method {
	case "pid":
		h.write(reply(c.id, os.Getpid()))
	case "echo":
		h.write(reply(c.id, []any{os.Getpid(), msgpack.RawMessage(c.args)}))
	case "hold":
		h.held = append(h.held, c.id)
	case "misbehave":
		h.due = &c
	default:
		h.fail(c.id, "unknown_method", framing.NotRun)
	}
	if h.due == nil || len(h.held) < h.due.others {
		return
	}
	now := *h.due
	h.due = nil
	fmt.Fprintf(os.Stderr, "about to play %s\n", h.name)
	if h.mode.call == nil {
		h.write(reply(now.id, os.Getpid()))
	} else {
		h.mode.call(h, now)
	}
	if !h.mode.keeps {
		h.release()
	}
}

// release answers the calls of hold.
func (h *host) release() {
	for _, id := range h.held {
		h.write(reply(id, os.Getpid()))
	}
	h.held = nil
}

// canceled ends a call that was canceled.
func (h *host) canceled(id uint64) {
	at := slices.Index(h.held, id)
	switch {
	case h.mode.cancel != nil:
		h.mode.cancel(h, at < 0)
	case at >= 0:
		h.held = slices.Delete(h.held, at, at+1)
		h.fail(id, "cancelled", 0)
	}
}

// fail answers a call with an error.
func (h *host) fail(id uint64, code string, flags framing.Flags) {
	h.write(frame(typeError, flags, id, value(map[string]any{"code": code, "message": "by the hostile worker"})))
}

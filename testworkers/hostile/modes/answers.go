package modes

import "os"

var answers = map[string]mode{
	// Answers twice, the second time with something else, and a third time with an error.
	"twice": {call: func(h *host, c call) {
		h.write(append(reply(c.id, os.Getpid()), reply(c.id, -1)...))
		h.fail(c.id, "error", 0)
	}},

	// Answers what nobody has asked, and goes on about a call that is answered.
	"stray": {call: func(h *host, c call) {
		h.write(reply(c.id+1000, -1))
		h.write(reply(1, -1)) // an id of our own side
		h.write(firstPart(c.id+2000, 8, value("part")))
		h.write(reply(c.id, os.Getpid()))
		h.send(typeProgress, c.id, value(99))
	}},

	// Answers when the call is canceled, and not before: with its result, and then with the error that it should have been.
	"late": {
		call: func(h *host, c call) { h.late = c.id },
		cancel: func(h *host, misbehave bool) {
			if misbehave {
				h.write(reply(h.late, -1))
				h.fail(h.late, "cancelled", 0)
			}
		},
	},

	// Does not end its call when that is canceled. When one of hold is, it answers all of them.
	"deaf-cancel": {call: func(*host, call) {}, cancel: ignoreCancel, keeps: true},
}

// ignoreCancel ignores the cancel of the misbehave, and takes that of a hold as the sign to answer all of them.
func ignoreCancel(h *host, misbehave bool) {
	if !misbehave {
		h.release()
	}
}

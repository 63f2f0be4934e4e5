package modes

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

var stuck = map[string]mode{
	// Goes for nothing less than KILL: neither when it is asked, nor at the end of its standard input, nor by TERM.
	"deaf": {
		begin: func() { signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP) },
		leave: sleepOn,
	},

	// Answers, and never reads again. The calls of hold are never answered.
	"stuffed": {call: func(h *host, c call) {
		h.write(reply(c.id, os.Getpid()))
		sleepOn()
	}},

	// Answers, and closes its standard input.
	"closes-stdin": {call: func(h *host, c call) {
		_ = os.Stdin.Close()
		h.write(reply(c.id, os.Getpid()))
		h.release()
		sleepOn()
	}},

	// Stops itself, so that it does nothing at all. Should it go on, it goes on to do nothing.
	"frozen": {call: func(*host, call) {
		if err := freeze(); err != nil {
			fmt.Fprintln(os.Stderr, "hostile:", err)
			os.Exit(1)
		}
		sleepOn()
	}},
}

// sleepOn never returns.
func sleepOn() {
	for {
		time.Sleep(time.Hour)
	}
}

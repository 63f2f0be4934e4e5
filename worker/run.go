package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// Exit codes of Run and Main.
const (
	exitEnded  = 0 // as it should be: the host asked for it or is gone
	exitBroken = 1 // the worker cannot start, or the connection broke
	exitMisuse = 2 // nobody started this as a worker
)

// Run serves on the process's standard input and output, and exits the process when that is over; it never returns. It exits with 0 when the host
// has asked for it, when input has ended, or on the signal to terminate, which is taken like the end of input; with 1 when the worker
// cannot start or the connection breaks; with 2 when the program was started by hand, after it has said what it is.
//
// Input ends when the host closes it or dies. The contexts of running handlers end then, and the process ends as soon as they have
// returned, or after ExitGrace. If the host did not ask for it beforehand, it may be gone, and nobody else looks after
// the processes that handlers have started: the worker then kills its process group, itself included, if the host has said that the group is the
// worker's own. An interrupt from the terminal does not reach a worker in its own group and is not handled.
//
// While Run serves, writing to a standard error that nobody reads any more is an error and not the end of the process.
func (w *Worker) Run() {
	os.Exit(w.run())
}

func (w *Worker) run() int {
	if !standard.startedByHost() && byHand() {
		w.explain(os.Stderr)
		return exitMisuse
	}
	stream, err := standard.take()
	if err != nil {
		return complain(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	keepBrokenPipes()
	c := w.connection(stream)
	err = c.serve(ctx)
	code := exitEnded
	if err != nil && ctx.Err() == nil {
		code = complain(err)
	}
	if c.orphaned(err) {
		killGroup()
	}
	return code
}

// orphaned reports whether the host may be gone, so that the worker has to kill its own group. As long as the host lives it does that itself,
// and more: it sees the exit code.
func (c *connection) orphaned(err error) bool {
	select {
	case <-c.greeted:
	default:
		return false
	}
	if c.peer == nil || !c.peer.Welcome().OwnGroup {
		return false
	}
	var unable *startError
	return os.Getppid() != parent || !c.asked() && !errors.As(err, &unable)
}

// complain prints an error where the host, or whoever started the process, looks for it. If nobody does, nothing can be done.
func complain(err error) int {
	fmt.Fprintf(os.Stderr, "%s: %v\n", program(), err)
	return exitBroken
}

func program() string { return filepath.Base(os.Args[0]) }

// byHand reports whether standard input and output cannot be a host's: those are pipes or sockets.
func byHand() bool {
	return !isPipe(os.Stdin) || !isPipe(os.Stdout)
}

func isPipe(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&(os.ModeNamedPipe|os.ModeSocket) != 0
}

// explain tells a person what the program is.
func (w *Worker) explain(to io.Writer) {
	methods := "none"
	if names := w.methods(); len(names) > 0 {
		methods = strings.Join(names, ", ")
	}
	path := os.Args[0]
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	fmt.Fprintf(to, explanation, program(), methods, path)
	if err := w.problem(); err != nil {
		fmt.Fprintf(to, "\nIt would not start like this: %s\n", oneLine(err))
	}
}

const explanation = `%s is a stdcrew worker: a broker starts it and calls it over its standard input and output.
Started by hand it has nothing to do.

Its methods: %s

A Go program uses it like this:

	b, err := broker.New(broker.Options{Pools: map[string]broker.PoolOptions{
		"name": {Command: broker.Command{Path: %q}},
	}})
	defer b.Close()
	err = b.Call(ctx, "name.method", in, &out)

See https://pkg.go.dev/github.com/stdcrew/stdcrew
`

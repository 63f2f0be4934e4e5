package handlers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"github.com/stdcrew/stdcrew/worker"
)

// KillInput is what the method kill of [Crash] takes.
type KillInput struct {
	// Signal is the number of the signal. If zero, 9 (KILL).
	Signal int `msgpack:"signal"`
}

// GrandchildInput is what the method grandchild of [Crash] takes.
type GrandchildInput struct {
	// PIDFile is a path to which the grandchild's process id is written as
	// soon as it runs. If empty, none is written.
	PIDFile string `msgpack:"pid_file"`
	// Leave lets the call answer as soon as the grandchild runs. If false, the
	// call goes on until it is canceled.
	Leave bool `msgpack:"leave"`
}

// GrandchildOutput is what the method grandchild of [Crash] answers.
type GrandchildOutput struct {
	PID int `msgpack:"pid"` // the grandchild's process id
}

// grandchildSeconds is how long a grandchild sleeps: longer than any test, yet
// not for ever, should nobody end it.
const grandchildSeconds = 3600

// Crash registers ways to die, and one to stay:
//
//   - exit takes an exit code and exits the worker with it, without an answer.
//   - kill takes a [KillInput], sends that signal to the worker itself and waits for
//     what comes of it, or until the call is canceled.
//   - grandchild takes a [GrandchildInput] and starts a process in the worker's
//     process group that sleeps, and outlives the call. It needs a program
//     named sleep on the PATH.
//   - sleep is that of [Echo].
func Crash(w *worker.Worker) {
	worker.Handle(w, "exit", func(_ context.Context, code int) (struct{}, error) {
		os.Exit(code)
		return struct{}{}, nil
	})
	worker.Handle(w, "kill", kill)
	worker.Handle(w, "grandchild", grandchild)
	worker.Handle(w, "sleep", sleep)
}

func kill(ctx context.Context, in KillInput) (struct{}, error) {
	signal := os.Kill
	if in.Signal != 0 {
		signal = syscall.Signal(in.Signal)
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return struct{}{}, fmt.Errorf("kill: %w", err)
	}
	if err := self.Signal(signal); err != nil {
		return struct{}{}, fmt.Errorf("kill: signal %v to self: %w", signal, err)
	}
	<-ctx.Done()
	return struct{}{}, ctx.Err()
}

func grandchild(ctx context.Context, in GrandchildInput) (GrandchildOutput, error) {
	// Not CommandContext: the grandchild is to outlive the call.
	command := exec.Command("sleep", strconv.Itoa(grandchildSeconds))
	if err := command.Start(); err != nil {
		return GrandchildOutput{}, fmt.Errorf("grandchild: %w", err)
	}
	out := GrandchildOutput{PID: command.Process.Pid}
	// Ends when the grandchild does, so that it is no zombie while the worker lives.
	go func() { _ = command.Wait() }()

	if in.PIDFile != "" {
		if err := os.WriteFile(in.PIDFile, []byte(strconv.Itoa(out.PID)), 0o666); err != nil {
			return out, fmt.Errorf("grandchild: %w", err)
		}
	}
	if in.Leave {
		return out, nil
	}
	<-ctx.Done()
	return out, ctx.Err()
}

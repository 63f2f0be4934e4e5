package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stdcrew/stdcrew/rpc"
)

// roleVar makes the test binary another program: the one in roles of that name.
const roleVar = "STDCREW_WORKER_TEST_ROLE"

var roles = map[string]func(){
	"worker":      func() { everything(New(Options{ExitGrace: testGrace})).Run() },
	"crowd":       func() { everything(New(Options{InFlight: 8, ExitGrace: testGrace})).Run() },
	"patient":     func() { everything(New(Options{ExitGrace: time.Minute})).Run() },
	"broken":      func() { New(Options{Start: func(context.Context) error { return errors.New("no license") }}).Run() },
	"mistaken":    func() { New(Options{MaxMessage: 1}).Run() },
	"printing":    playPrinting,
	"second":      playSecond,
	"application": playApplication,
}

// asRole is the environment in which the test binary is another program. Under the race detector that would sleep for a second before it exits.
func asRole(role string) []string {
	return append(os.Environ(), roleVar+"="+role, "GORACE=atexit_sleep_ms=0")
}

// testGrace is the ExitGrace of most workers here.
const testGrace = 200 * time.Millisecond

// An import that prints does so before anybody can do anything about it.
func init() {
	if os.Getenv(roleVar) == "printing" {
		fmt.Println("printed while loading")
	}
}

func TestMain(m *testing.M) {
	if role, ok := roles[os.Getenv(roleVar)]; ok {
		role()
		os.Exit(77) // a role that has returned although it should not
	}
	os.Exit(m.Run())
}

// started is what a handler writes to the file it is given once it runs.
func started(path string) error { return os.WriteFile(path, []byte("started"), 0o600) }

// everything registers what the tests call.
func everything(w *Worker) *Worker {
	Handle(w, "echo", echo)
	Handle(w, "environ", func(context.Context, struct{}) ([]string, error) { return os.Environ(), nil })
	Handle(w, "shell", func(_ context.Context, script string) (string, error) {
		out, err := exec.Command("sh", "-c", script).Output()
		return string(out), err
	})
	Handle(w, "read", func(context.Context, struct{}) (int, error) {
		b, err := io.ReadAll(os.Stdin)
		return len(b), err
	})
	Handle(w, "print", func(_ context.Context, text string) (int, error) { return fmt.Println(text) })
	Handle(w, "complain", func(_ context.Context, text string) (string, error) {
		_, err := fmt.Fprintln(os.Stderr, text)
		return fmt.Sprint(err), nil
	})
	Handle(w, "wait", func(ctx context.Context, path string) (struct{}, error) { // until its context ends
		if err := started(path); err != nil {
			return struct{}{}, err
		}
		<-ctx.Done()
		fmt.Println("waited")
		return struct{}{}, nil
	})
	Handle(w, "deaf", func(_ context.Context, path string) (struct{}, error) { // for ever
		if err := started(path); err != nil {
			return struct{}{}, err
		}
		select {}
	})
	Handle(w, "chat", func(_ context.Context, path string) (struct{}, error) { // writes to standard error for ever
		if err := started(path); err != nil {
			return struct{}{}, err
		}
		for {
			fmt.Fprintln(os.Stderr, "still there")
		}
	})
	Handle(w, "grandchild", func(context.Context, struct{}) (int, error) { // stays in the group and outlives the call
		cmd := exec.Command("sleep", "300")
		err := cmd.Start()
		return cmd.Process.Pid, err
	})
	return w
}

// playPrinting prints wherever it can.
func playPrinting() {
	fmt.Println("printed before New")
	w := everything(New(Options{}))
	fmt.Println("printed after New")
	if err := exec.Command("sh", "-c", "echo printed by a child; cat").Run(); err == nil { // reads the null device
		fmt.Fprintln(os.Stderr, "the child got no output of its own")
	}
	Handle(w, "last", func(context.Context, struct{}) (struct{}, error) {
		fmt.Println("printed by a handler")
		return struct{}{}, nil
	})
	w.Run()
}

// playSecond makes a Worker and runs another one.
func playSecond() {
	everything(New(Options{}))
	everything(New(Options{})).Run()
}

// playApplication is a program that is its own worker.
func playApplication() {
	Main(map[string]func(*Worker){
		"echo": func(w *Worker) { everything(w) },
		"none": nil,
	})
	fmt.Printf("application %q\n", os.Getenv(rpc.EnvSelf))
	os.Exit(0)
}

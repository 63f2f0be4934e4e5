package broker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/testworkers/handlers"
	"github.com/stdcrew/stdcrew/testworkers/hostile/modes"
	"github.com/stdcrew/stdcrew/worker"
)

// envPlay makes the test binary another program: a host that is killed, an application that forgot worker.Main, or a hostile worker.
const envPlay = "BROKER_TEST_PLAY"

func TestMain(m *testing.M) {
	switch os.Getenv(envPlay) {
	case "forgetful":
		os.Exit(playForgetful())
	case "host":
		os.Exit(playHost())
	case "wrapped":
		os.Exit(playWrapped())
	case "patient":
		os.Exit(playPatient())
	case "hostile":
		os.Exit(modes.Main(os.Args[1:]))
	}
	worker.Main(map[string]func(*worker.Worker){
		"echo":  handlers.Echo(0),
		"crash": handlers.Crash,
		"notes": takeNotes,
		"hoard": hoard,
	})
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // workers built with the race detector would take a second to exit
	before := takeStock()
	code := m.Run()
	if left := before.leftovers(); left != "" {
		fmt.Fprintln(os.Stderr, "left behind:", left)
		code = 1
	}
	os.Exit(code)
}

// playForgetful is an application that uses broker.Self and never calls worker.Main.
func playForgetful() int {
	b, err := broker.New(broker.Options{Pools: map[string]broker.PoolOptions{
		"echo": {Command: broker.Self("echo"), Restart: broker.Restart{Min: 10 * time.Millisecond}},
	}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer b.Close()
	err = b.Call(context.Background(), "echo.echo", 1, nil)
	fmt.Println("error:", err)
	return 0
}

// busyCrew is how many workers the host keeps busy.
const busyCrew = 8

// playHost keeps a crew busy, one of them with a grandchild, says who they are and waits to be killed.
func playHost() int {
	_ = os.Unsetenv(envPlay) // the workers are to be workers
	b, err := broker.New(broker.Options{Pools: map[string]broker.PoolOptions{"crash": {Command: broker.Self("crash"), Max: busyCrew}}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	file := os.Args[len(os.Args)-1]
	go func() {
		_ = b.Call(context.Background(), "crash.grandchild", handlers.GrandchildInput{PIDFile: file}, nil)
	}()
	for range busyCrew - 1 {
		go func() { _ = b.Call(context.Background(), "crash.sleep", 3600_000, nil) }()
	}
	var pids []int
	eventually(func() bool {
		pids = pids[:0]
		for _, w := range b.Snapshot().Pools["crash"].Workers {
			if w.InFlight > 0 {
				pids = append(pids, w.PID)
			}
		}
		if text, err := os.ReadFile(file); err == nil && len(pids) == busyCrew {
			if pid, err := strconv.Atoi(string(text)); err == nil { // else it is being written
				pids = append(pids, pid)
			}
		}
		return len(pids) == busyCrew+1
	})
	_ = json.NewEncoder(os.Stdout).Encode(pids)
	select {}
}

// stock is what the tests must leave as it was.
type stock struct{ goroutines, descriptors int }

// takeStock starts a process first: the spawner, the poller and the runtime's signal loop stay, and are no leftovers.
func takeStock() stock {
	b, err := broker.New(broker.Options{Pools: map[string]broker.PoolOptions{"echo": {Command: broker.Self("echo")}}})
	if err != nil {
		panic(err)
	}
	if err := b.Call(context.Background(), "echo.echo", 1, nil); err != nil {
		panic(err)
	}
	if err := b.Close(); err != nil {
		panic(err)
	}
	var now stock
	eventually(func() bool { // the last goroutines of a closed broker end within a sweep
		last := now
		now = stock{runtime.NumGoroutine(), descriptors()}
		time.Sleep(20 * time.Millisecond)
		return last == now
	})
	return now
}

func descriptors() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	return len(entries)
}

// leftovers says what is still there a while after the tests.
func (s stock) leftovers() (left string) {
	eventually(func() bool {
		var info unix.Siginfo // WNOWAIT: nobody's exit is stolen
		switch err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); {
		case err != unix.ECHILD:
			left = fmt.Sprintf("a child process (%v)", err)
		case descriptors() > s.descriptors:
			left = fmt.Sprintf("%d descriptors, there were %d", descriptors(), s.descriptors)
		case runtime.NumGoroutine() > s.goroutines:
			var b strings.Builder
			_ = pprof.Lookup("goroutine").WriteTo(&b, 1)
			left = fmt.Sprintf("%d goroutines, there were %d:\n%s", runtime.NumGoroutine(), s.goroutines, b.String())
		default:
			left = ""
		}
		return left == ""
	})
	return left
}

// patience bounds eventually.
const patience = 10 * time.Second

// eventually looks again and again until a condition holds, for things that no channel tells.
func eventually(holds func() bool) bool {
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(2 * time.Millisecond)
	}
	return true
}

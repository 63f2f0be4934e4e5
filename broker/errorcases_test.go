package broker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/framing"
	"github.com/stdcrew/stdcrew/pool"
	"github.com/stdcrew/stdcrew/process"
	"github.com/stdcrew/stdcrew/rpc"
	"github.com/stdcrew/stdcrew/worker"
)

func errorCases() []errorCase {
	return slices.Concat(
		callerCases(), contextCases(), remoteCases(),
		launchCases(), startCases(), queueCases(),
		deathCases(), killCases(), notSentCases(), leaseCases(),
		ownerCases(), workerCases(),
	)
}

// callerCases: the call itself is at fault, or the broker is closed.
func callerCases() []errorCase {
	return []errorCase{
		{name: "unknown pool", fail: func(s *scene) error { return s.Call(s.t.Context(), "imgs.resize", nil, nil) }},
		{name: "closed", fail: func(s *scene) error {
			require.NoError(s.t, s.Close())
			return s.resize(s.t.Context())
		}},
		{name: "closed while it ran", play: server(rpc.WorkerOptions{}, obeys), fail: func(s *scene) error {
			running := s.begin(s.t.Context())
			_ = s.Close()
			return <-running
		}},
		{name: "arguments that cannot be encoded", fail: func(s *scene) error {
			return s.Call(s.t.Context(), "images.resize", make(chan int), nil)
		}},
		{name: "no method", fail: func(s *scene) error { return s.Call(s.t.Context(), "images", nil, nil) }},
		{name: "arguments too large", play: server(rpc.WorkerOptions{Hello: rpc.Hello{MaxMessage: 300 << 10}}, nil), fail: func(s *scene) error {
			return s.Call(s.t.Context(), "images.resize", make([]byte, 400<<10), nil)
		}},
		{name: "reply does not fit", fail: func(s *scene) error {
			var width int
			return s.Call(s.t.Context(), "images.resize", "cat.jpeg", &width)
		}},
		{name: "unknown method", play: fails(rpc.UnknownMethod("resize")), fail: plainCall},
		{name: "arguments do not fit", play: server(rpc.WorkerOptions{}, func(a *act) (any, error) {
			var width int
			return nil, a.req.Decode(&width)
		}), fail: plainCall},
		{name: "too large for the worker", play: fails(&rpc.RemoteError{
			Code: rpc.CodeTooLarge, Message: "message of 400000 bytes is over the limit", NotRun: true,
		}), fail: plainCall},
	}
}

// contextCases: the caller's context ends.
func contextCases() []errorCase {
	return []errorCase{
		{name: "canceled in the queue", play: server(rpc.WorkerOptions{}, obeys), fail: func(s *scene) error {
			s.begin(s.t.Context())
			ctx, cancel := context.WithCancel(s.t.Context())
			waiting := s.begin(ctx)
			cancel()
			return <-waiting
		}},
		{name: "deadline before a worker is ready", play: func(m *process.Memory) int { <-m.Killed; return 0 }, fail: func(s *scene) error {
			return s.resize(s.t.Context(), broker.Timeout(time.Second))
		}},
		{name: "deadline while no worker can be started", play: exits(3, "", "cannot open /etc/worker.conf\n"), fail: func(s *scene) error {
			return s.resize(s.t.Context(), broker.Timeout(time.Second/2))
		}},
		{name: "deadline while a dead worker is not replaced", play: server(rpc.WorkerOptions{}, func(a *act) (any, error) {
			a.exit <- 3
			return never(a)
		}), fail: func(s *scene) error {
			require.ErrorIs(s.t, s.resize(s.t.Context()), broker.ErrTransient)
			return s.resize(s.t.Context(), broker.Timeout(time.Second/2))
		}},
		{name: "deadline while it ran", play: server(rpc.WorkerOptions{}, never), fail: func(s *scene) error {
			return s.resize(s.t.Context(), broker.Timeout(time.Second))
		}},
		{name: "canceled for a reason", play: server(rpc.WorkerOptions{}, obeys), fail: func(s *scene) error {
			ctx, cancel := context.WithCancelCause(s.t.Context())
			running := s.begin(ctx)
			cancel(errors.New("the visitor has left"))
			return <-running
		}},
	}
}

// remoteCases: the worker answers with an error.
func remoteCases() []errorCase {
	return []errorCase{
		{name: "handler's error", play: fails(errors.New("tray 2 is empty")), fail: plainCall},
		{name: "handler's error with a code", play: fails(&rpc.RemoteError{Code: "no_paper", Message: "tray 2 is empty"}), fail: plainCall},
		{name: "panic", play: server(rpc.WorkerOptions{}, func(*act) (any, error) { panic("index out of range") }), fail: plainCall},
		{name: "handler's deadline", play: fails(context.DeadlineExceeded), fail: plainCall},
		{name: "handler's cancel", play: fails(context.Canceled), fail: plainCall},
		{name: "result that cannot be encoded", play: server(rpc.WorkerOptions{}, func(*act) (any, error) { return make(chan int), nil }), fail: plainCall},
		{name: "result too large", options: broker.PoolOptions{MaxMessage: 300 << 10}, play: server(rpc.WorkerOptions{}, func(*act) (any, error) {
			return make([]byte, 400<<10), nil
		}), fail: plainCall},
		{name: "malformed reply", play: server(rpc.WorkerOptions{}, func(a *act) (any, error) {
			reply := framing.Header{Type: 0x12, Length: 1, ID: 2}.Append(nil)
			_, _ = a.Stdout.Write(append(reply, 0xc1))
			return never(a)
		}), fail: func(s *scene) error {
			var out string
			return s.Call(s.t.Context(), "images.resize", "cat.jpeg", &out)
		}},
	}
}

// launchCases: there is no process. They are tried with what really is on the disk.
func launchCases() []errorCase {
	launch := func(name string, c broker.Command, prepare func(*scene)) errorCase {
		return errorCase{name: name, options: broker.PoolOptions{Command: c}, outside: true, fail: func(s *scene) error {
			s.t.Chdir(s.t.TempDir())
			if prepare != nil {
				prepare(s)
			}
			return s.resize(s.t.Context())
		}}
	}
	file := func(mode os.FileMode) func(*scene) {
		return func(s *scene) { require.NoError(s.t, os.WriteFile("worker", []byte("echo no program"), mode)) }
	}
	return []errorCase{
		launch("not in PATH", broker.Command{Path: "image-worker"}, nil),
		launch("no such file", broker.Command{Path: "./worker"}, nil),
		launch("not executable", broker.Command{Path: "./worker"}, file(0o644)),
		launch("no program", broker.Command{Path: "./worker"}, file(0o755)),
		launch("a directory", broker.Command{Path: "./worker"}, func(s *scene) { require.NoError(s.t, os.Mkdir("worker", 0o755)) }),
		launch("no such directory", broker.Command{Path: "./worker", Dir: "nowhere"}, nil),
		launch("wrong limits", broker.Command{Path: "./worker", Limits: broker.Limits{
			Rlimits: map[string]broker.Rlimit{"nofile": {Soft: 4096, Hard: 1024}},
		}}, file(0o755)),
	}
}

// startCases: the process does not become ready.
func startCases() []errorCase {
	silent := func(m *process.Memory) int { <-m.Killed; return 0 }
	return []errorCase{
		{name: "exits before the hello", play: exits(3, "", "cannot open /etc/worker.conf\n"), fail: plainCall},
		{name: "prints and exits", play: exits(1, "usage: worker FILE\n", ""), fail: plainCall},
		{name: "forgot worker.Main", options: broker.PoolOptions{Command: broker.Self("images")}, play: exits(0, "", ""), fail: plainCall},
		{name: "not ready in time", play: silent, fail: plainCall},
		{name: "loading for too long", play: func(m *process.Memory) int {
			peer, err := rpc.Announce(context.Background(), stdio{m}, rpc.WorkerOptions{})
			if err == nil {
				_ = peer.Starting("loading model")
				<-m.Killed
			}
			return 1
		}, fail: plainCall},
		{name: "says that it cannot start", play: func(m *process.Memory) int {
			peer, err := rpc.Announce(context.Background(), stdio{m}, rpc.WorkerOptions{})
			if err == nil {
				_ = peer.InitError("no license", "license.key: no such file")
				_ = peer.Serve()
			}
			return 1
		}, fail: plainCall},
		{name: "goodbye in the start hook", play: greeted(func(m *process.Memory, peer *rpc.Peer) {
			peer.Goodbye("not today", false)
			<-m.Killed
		}), options: broker.PoolOptions{StartHook: func(ctx context.Context, _ pool.Conn) error { <-ctx.Done(); return ctx.Err() }}, fail: plainCall},
		{name: "goodbye instead of ready", play: func(m *process.Memory) int {
			peer, err := rpc.Announce(context.Background(), stdio{m}, rpc.WorkerOptions{})
			if err == nil {
				peer.Goodbye("not today", false)
				<-m.Killed
			}
			return 1
		}, fail: plainCall},
		{name: "start hook", options: broker.PoolOptions{
			StartHook: func(context.Context, pool.Conn) error { return errors.New("no database") },
		}, fail: plainCall},
		{name: "closes its stdout before it is ready", play: func(m *process.Memory) int {
			_ = m.Stdout.Close()
			<-m.Killed
			return 0
		}, fail: plainCall},
		{name: "prints without end", play: func(m *process.Memory) int {
			_, _ = m.Stdout.Write([]byte(strings.Repeat("all work and no play\n", 4000)))
			<-m.Killed
			return 0
		}, fail: plainCall},
		{name: "speaks another version", play: server(rpc.WorkerOptions{Hello: rpc.Hello{Protocol: [2]int{2, 3}}}, nil), fail: plainCall},
	}
}

// queueCases: no worker is to be had now.
func queueCases() []errorCase {
	busy := server(rpc.WorkerOptions{}, obeys)
	behindOne := func(s *scene) error {
		s.begin(s.t.Context())
		return s.resize(s.t.Context())
	}
	return []errorCase{
		{name: "queue full", options: broker.PoolOptions{Queue: 1}, play: busy, fail: func(s *scene) error {
			s.begin(s.t.Context())
			return behindOne(s)
		}},
		{name: "nobody waits", options: broker.PoolOptions{Queue: -1}, play: busy, fail: plainCall},
		{name: "queue timeout", options: broker.PoolOptions{QueueTimeout: time.Second}, play: busy, fail: behindOne},
		{name: "stopping", play: busy, fail: func(s *scene) error {
			s.begin(s.t.Context())
			waiting := s.begin(s.t.Context())
			_ = s.Pool("images").Stop(s.t.Context())
			return <-waiting
		}},
	}
}

// deathCases: the worker goes away in the middle of the call.
func deathCases() []errorCase {
	handled := func(handle func(*act) (any, error)) process.Func { return server(rpc.WorkerOptions{}, handle) }
	return []errorCase{
		{name: "killed", play: handled(func(a *act) (any, error) {
			fmt.Fprintf(a.Stderr, "out of paper\nout of ink\n")
			return never(a)
		}), fail: func(s *scene) error {
			running := s.begin(s.t.Context())
			time.Sleep(time.Second)
			s.kill()
			return <-running
		}},
		{name: "over its memory limit", play: handled(never), fail: func(s *scene) error {
			running := s.begin(s.t.Context())
			s.procs[0].Blame(process.KillerMemory)
			s.kill()
			return <-running
		}},
		{name: "exits", play: handled(func(a *act) (any, error) {
			a.exit <- 3
			return never(a)
		}), fail: plainCall},
		{name: "exits with 0", play: handled(func(a *act) (any, error) {
			a.exit <- 0
			return never(a)
		}), fail: plainCall},
		{name: "crashes again and again", play: handled(func(a *act) (any, error) {
			a.exit <- 3
			return never(a)
		}), fail: func(s *scene) error { return s.resize(s.t.Context(), broker.Idempotent()) }},
		{name: "closes its stdout", play: handled(func(a *act) (any, error) {
			_ = a.Stdout.Close()
			return never(a)
		}), fail: plainCall},
		{name: "closes its stdout in a frame", play: handled(func(a *act) (any, error) {
			_, _ = a.Stdout.Write(halfAFrame())
			_ = a.Stdout.Close()
			return never(a)
		}), fail: plainCall},
		{name: "is told to end by somebody else", play: fails(&rpc.RemoteError{
			Code: rpc.CodeShuttingDown, Message: "this side is shutting down: context canceled",
		}), fail: plainCall},
	}
}

func halfAFrame() []byte {
	return append(framing.Header{Type: 0x12, Length: 100, ID: 2}.Append(nil), "and then"...)
}

// killCases: the worker is stopped for what it does.
func killCases() []errorCase {
	handled := func(handle func(*act) (any, error)) process.Func { return server(rpc.WorkerOptions{}, handle) }
	two := rpc.WorkerOptions{Hello: rpc.Hello{InFlight: 2}}
	return []errorCase{
		{name: "prints to its stdout", play: handled(func(a *act) (any, error) {
			fmt.Fprintf(a.Stdout, "debug: got here\n")
			return never(a)
		}), fail: plainCall},
		{name: "breaks the protocol", play: handled(func(a *act) (any, error) {
			_, _ = a.Stdout.Write(framing.Header{Type: 0x05}.Append(nil))
			return never(a)
		}), fail: plainCall},
		{name: "stops in a frame", play: handled(func(a *act) (any, error) {
			_, _ = a.Stdout.Write(halfAFrame())
			return never(a)
		}), fail: plainCall},
		{name: "does not read", play: greeted(func(m *process.Memory, _ *rpc.Peer) { <-m.Killed }), fail: func(s *scene) error {
			return s.Call(s.t.Context(), "images.resize", make([]byte, 1<<20), nil)
		}},
		{name: "hangs", play: freezes, fail: plainCall},
		{name: "CallTimeout", options: broker.PoolOptions{CallTimeout: time.Second}, play: handled(never), fail: plainCall},
		{name: "beside a call that ignores its cancel", play: server(two, never), fail: func(s *scene) error {
			ctx, cancel := context.WithCancel(s.t.Context())
			deaf := s.begin(ctx)
			other := s.begin(s.t.Context())
			cancel()
			require.Error(s.t, <-deaf)
			return <-other
		}},
		{name: "beside a call that ignores CallTimeout", play: server(two, never), options: broker.PoolOptions{
			CallTimeout: time.Minute,
		}, fail: func(s *scene) error {
			deaf := s.begin(s.t.Context())
			time.Sleep(59 * time.Second)
			other := s.begin(s.t.Context())
			require.ErrorIs(s.t, <-deaf, broker.ErrCallTimeout)
			return <-other
		}},
		{name: "goodbye in a call that does not end", play: handled(func(a *act) (any, error) {
			body := "\x82\xa6reason\xa6enough\xa7last_id\x02"
			_, _ = a.Stdout.Write(append(framing.Header{Type: 0x23, Length: uint32(len(body))}.Append(nil), body...))
			return never(a)
		}), fail: plainCall},
		{name: "stop", play: handled(never), fail: func(s *scene) error {
			running := s.begin(s.t.Context())
			require.NoError(s.t, s.Pool("images").Stop(s.t.Context()))
			return <-running
		}},
	}
}

// notSentCases: no worker executes the call, however often it is repeated.
func notSentCases() []errorCase {
	refuses := func(code, message string) process.Func {
		return fails(&rpc.RemoteError{Code: code, Message: message, NotRun: true})
	}
	return []errorCase{
		{name: "goodbye before the call", play: greeted(func(m *process.Memory, peer *rpc.Peer) {
			time.Sleep(time.Millisecond)
			peer.Goodbye("enough", false)
			<-m.Killed
		}), fail: plainCall},
		{name: "worker is ending", play: refuses(rpc.CodeShuttingDown, "this side is shutting down"), fail: plainCall},
		{name: "worker has too many calls", play: refuses(rpc.CodeOverloaded, "more calls than agreed"), fail: plainCall},
		{name: "worker gave it up", play: refuses(rpc.CodeCancelled, "context canceled"), fail: plainCall},
	}
}

// leaseCases: a lease takes no further calls.
func leaseCases() []errorCase {
	lease := func(end func(*scene, *broker.Lease)) func(*scene) error {
		return func(s *scene) error {
			l, err := s.Pool("images").Acquire(s.t.Context())
			require.NoError(s.t, err)
			defer l.Release()
			end(s, l)
			<-l.Done()
			time.Sleep(time.Second) // until nothing more happens
			return l.Call(s.t.Context(), "resize", "cat.jpeg", nil)
		}
	}
	return []errorCase{
		{name: "lease released", fail: lease(func(_ *scene, l *broker.Lease) { l.Release() })},
		{name: "lease lost", fail: lease(func(s *scene, _ *broker.Lease) { s.kill() })},
		{name: "lease lost to a goodbye", play: greeted(func(m *process.Memory, peer *rpc.Peer) {
			m.Signals()
			time.Sleep(time.Millisecond)
			peer.Goodbye("enough", false)
			<-m.Killed
		}), fail: lease(func(*scene, *broker.Lease) {})},
		{name: "lease lost to a stop", fail: lease(func(s *scene, _ *broker.Lease) {
			require.NoError(s.t, s.Pool("images").Stop(s.t.Context()))
		})},
	}
}

// ownerCases are errors of New, Ready, Reload, Resize, Stop, Shutdown and Close.
func ownerCases() []errorCase {
	made := func(o broker.Options) func(*scene) error {
		return func(*scene) error { _, err := broker.New(o); return err }
	}
	stubborn := func(m *process.Memory) int {
		m.Signals()
		return server(rpc.WorkerOptions{Shutdown: func(bool, time.Duration) {}}, never)(m)
	}
	return []errorCase{
		{name: "no pools", from: "New", fail: made(broker.Options{})},
		{name: "options", from: "New", fail: made(broker.Options{Pools: map[string]broker.PoolOptions{"images": {Min: 5, Max: 2}}})},
		{name: "forgotten main", from: "New", outside: true, fail: func(s *scene) error {
			s.t.Setenv(rpc.EnvSelf, "images:"+strconv.Itoa(os.Getppid()))
			return made(broker.Options{})(s)
		}, options: broker.PoolOptions{Command: broker.Command{Path: "worker"}}},
		{name: "not ready", from: "Ready", options: broker.PoolOptions{Min: 1}, play: exits(3, "", ""), fail: func(s *scene) error {
			return s.Pool("images").Ready(s.t.Context())
		}},
		{name: "not reloaded", from: "Reload", play: exits(3, "", "cannot open /etc/worker.conf\n"), fail: func(s *scene) error {
			return s.Pool("images").Reload(s.t.Context(), broker.Command{})
		}},
		{name: "reload in a call", from: "Reload", play: server(rpc.WorkerOptions{}, obeys), fail: func(s *scene) error {
			s.begin(s.t.Context())
			ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
			defer cancel()
			return s.Pool("images").Reload(ctx, broker.Command{})
		}},
		{name: "resize in a call", from: "Resize", options: broker.PoolOptions{Max: 2}, play: server(rpc.WorkerOptions{}, obeys), fail: func(s *scene) error {
			s.begin(s.t.Context())
			s.begin(s.t.Context())
			ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
			defer cancel()
			return s.Pool("images").Resize(ctx, 0, 1)
		}},
		{name: "resize of a closed pool", from: "Resize", fail: func(s *scene) error {
			require.NoError(s.t, s.Close())
			return s.Pool("images").Resize(s.t.Context(), 0, 1)
		}},
		{name: "stop goes on", from: "Stop", play: stubborn, fail: func(s *scene) error {
			s.begin(s.t.Context())
			ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
			defer cancel()
			return s.Pool("images").Stop(ctx)
		}},
		{name: "shutdown in a call", from: "Shutdown", play: server(rpc.WorkerOptions{}, obeys), fail: func(s *scene) error {
			s.begin(s.t.Context())
			ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
			defer cancel()
			return s.Shutdown(ctx)
		}},
		{name: "forced", from: "Close", options: broker.PoolOptions{StopGrace: -1, CloseGrace: -1}, play: stubborn, fail: func(s *scene) error {
			s.begin(s.t.Context())
			return s.Close()
		}},
		{name: "hook that hangs", from: "Close", options: broker.PoolOptions{
			StartHook: func(context.Context, pool.Conn) error { time.Sleep(time.Minute); return nil },
		}, fail: func(s *scene) error {
			s.begin(s.t.Context())
			err := s.Close()
			time.Sleep(time.Minute) // the hook returns after all
			return err
		}},
	}
}

// workerCases are errors of a worker program, as its own Serve returns them and Run prints them.
func workerCases() []errorCase {
	const starts = 8 // more than are made
	refused := make(chan error, starts)
	served := func(name string, o worker.Options) errorCase {
		result := make(chan error, starts)
		return errorCase{name: name, from: "Serve", play: func(m *process.Memory) int {
			result <- worker.New(o).Serve(context.Background(), m.Stdin, m.Stdout)
			return 1
		}, fail: func(s *scene) error {
			require.Error(s.t, s.resize(s.t.Context()))
			return <-result
		}}
	}
	return []errorCase{
		served("worker cannot start", worker.Options{Start: func(context.Context) error { return errors.New("no license") }}),
		served("worker's options", worker.Options{InFlight: 1 << 20}),
		{name: "host that is none", from: "Serve", fail: func(s *scene) error {
			return worker.New(worker.Options{}).Serve(s.t.Context(), strings.NewReader("hello\n"), io.Discard)
		}},
		{name: "refused by the host", from: "Announce", play: func(m *process.Memory) int {
			_, err := rpc.Announce(context.Background(), stdio{m}, rpc.WorkerOptions{Hello: rpc.Hello{Protocol: [2]int{2, 3}}})
			refused <- err
			return 1
		}, fail: func(s *scene) error {
			require.Error(s.t, s.resize(s.t.Context()))
			return <-refused
		}},
	}
}

package rpc_test

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/framing"
	"github.com/stdcrew/stdcrew/rpc"
)

// conversation is a whole connection: every message of both sides, in an order in which they can come.
type conversation struct {
	name     string
	messages []vector
	host     func(t *testing.T, s stream, read <-chan struct{})    // which tells that a call has been read that is to be canceled
	worker   func(t *testing.T, s stream, entered chan<- struct{}) // which is to tell that its handler has been entered
}

// said is the vector of that name as a part of a conversation.
func said(name string) vector {
	for _, v := range vectors {
		if v.name == name {
			return v
		}
	}
	panic("no vector " + name)
}

func called(id uint64, method string, args any) vector {
	return vector{about: "Call " + method + ".", direction: toWorker, typ: call, id: id, payload: []any{prelude(method, 0, 1, nil), value{args}}}
}

var conversations = []conversation{
	{
		name: "whole-life",
		messages: []vector{
			{about: "A worker that does not name its methods.", direction: toHost, typ: hello, payload: []any{ascii("stdcrew"), value{append(object{
				"protocol", []any{1, 1}, "sdk", "stdcrew-go/0.1.0", "pid", 4711, "inflight", 4}, limits()...)}}},
			said("welcome"), said("grease"), said("starting"), said("ready"),
			called(2, "echo", "hello"), said("reply"),
			called(4, "missing", nil),
			{about: "There is no such method.", direction: toHost, typ: failed, id: 4, flags: framing.NotRun,
				payload: []any{value{object{"code", "unknown_method", "message", `unknown method "missing"`}}}},
			said("ping"), said("pong"),
			called(6, "wait", nil),
			{about: "Its caller waits no longer.", direction: toWorker, typ: cancel, id: 6},
			{about: "The handler has returned.", direction: toHost, typ: failed, id: 6,
				payload: []any{value{object{"code", "cancelled", "message", "context canceled"}}}},
			said("shutdown-drain"),
			{about: "All calls up to 6 have been answered.", direction: toHost, typ: goodbye,
				payload: []any{value{object{"reason", "shutdown", "last_id", uint64(6)}}}},
		},
		host: hostOfAWholeLife, worker: workerOfAWholeLife,
	},
	{
		name: "refused",
		messages: []vector{
			{about: "A worker of the future.", direction: toHost, typ: hello, payload: []any{ascii("stdcrew"), value{append(object{"protocol", []any{2, 3},
				"sdk", "stdcrew-go/2.0.0", "pid", 4711, "inflight", 1}, limits()...)}}},
			said("refuse"),
		},
		host: func(t *testing.T, s stream, _ <-chan struct{}) {
			_, err := rpc.Connect(t.Context(), s, rpc.HostOptions{})
			require.ErrorContains(t, err, "protocol 2 to 3")
		},
		worker: func(t *testing.T, s stream, _ chan<- struct{}) {
			_, err := rpc.Announce(t.Context(), s, rpc.WorkerOptions{Hello: rpc.Hello{Protocol: [2]int{2, 3}, SDK: "stdcrew-go/2.0.0", PID: 4711}})
			var refused *rpc.RefusedError
			require.ErrorAs(t, err, &refused)
		},
	},
	{
		name:     "cannot-start",
		messages: []vector{said("hello"), said("welcome"), said("grease"), said("starting"), said("init_error")},
		host: func(t *testing.T, s stream, _ <-chan struct{}) {
			_, err := rpc.Connect(t.Context(), s, rpc.HostOptions{Welcome: vectorWelcome()})
			var failed *rpc.InitError
			require.ErrorAs(t, err, &failed)
		},
		worker: func(t *testing.T, s stream, _ chan<- struct{}) {
			err := playVectorWorker(t, s, rpc.WorkerOptions{}, func(worker *rpc.Peer) error {
				return cmp.Or(worker.Starting("loading the model: 40 %"),
					worker.InitError("the model is missing", "open model.bin: no such file or directory"), worker.CloseWrite(t.Context()), errGone)
			})
			require.Equal(t, errGone, err)
		},
	},
}

func hostOfAWholeLife(t *testing.T, s stream, read <-chan struct{}) {
	over := make(chan string, 1)
	host, err := rpc.Connect(t.Context(), s, rpc.HostOptions{Welcome: vectorWelcome(), Goodbye: func(reason string) { over <- reason }})
	require.NoError(t, err)
	var out string
	require.NoError(t, host.Call(t.Context(), "echo", "hello", &out, rpc.CallOptions{}))
	require.Equal(t, "hello", out)
	require.True(t, remote(t, host.Call(t.Context(), "missing", nil, nil, rpc.CallOptions{})).NotRun)
	require.NoError(t, host.Ping(t.Context()))
	ctx, leave := context.WithCancel(t.Context())
	waits := background(ctx, host, "wait", nil)
	<-read
	leave()
	require.ErrorIs(t, (<-waits).err, context.Canceled)
	require.NoError(t, host.Shutdown(false, 5*time.Second))
	require.Equal(t, "shutdown", <-over)
	require.NoError(t, host.Close())
}

func workerOfAWholeLife(t *testing.T, s stream, entered chan<- struct{}) {
	handler := func(ctx context.Context, r *rpc.Request) (any, error) {
		switch r.Method {
		case "wait":
			entered <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		case "missing":
			return nil, rpc.UnknownMethod(r.Method)
		}
		return echo(ctx, r)
	}
	h := rpc.Hello{SDK: "stdcrew-go/0.1.0", PID: 4711, InFlight: 4}
	_ = playVectorWorker(t, s, rpc.WorkerOptions{Hello: h, Handler: rpc.HandlerFunc(handler)}, func(worker *rpc.Peer) error {
		return worker.Starting("loading the model: 40 %")
	})
}

func (c *conversation) entries(t testing.TB) (entries []wireEntry) {
	names := wireTypes(t)
	for _, v := range c.messages {
		entries = append(entries, v.entry(t, names))
	}
	return entries
}

func (c *conversation) path() string {
	return filepath.Join(wireDir, "conversations", c.name+".txt")
}

func TestGoldenConversationsAreUpToDate(t *testing.T) {
	for _, c := range conversations {
		text := render(c.entries(t))
		if *update {
			require.NoError(t, os.WriteFile(c.path(), []byte(text), 0o644))
		}
		stored, err := os.ReadFile(c.path())
		require.NoError(t, err)
		require.Equal(t, text, string(stored), "run go test ./rpc -update, and look at what has changed: this is the protocol")
	}
	found, err := filepath.Glob(filepath.Join(wireDir, "conversations", "*.txt"))
	require.NoError(t, err)
	require.Len(t, found, len(conversations))
}

// play sends one side's messages of a conversation and compares the other's, byte for byte. beforeCancel is called when a cancel comes next.
func (w *wire) play(c *conversation, side string, beforeCancel func()) {
	entries := readWire(w.t, c.path())
	require.Len(w.t, entries, len(c.messages))
	out, written := make(chan []byte, len(entries)), make(chan struct{})
	go func() { // ends with the conversation, or the stream: a side that loads does not read
		defer close(written)
		for b := range out {
			_, _ = w.s.Write(b)
		}
	}()
	for i, e := range entries {
		if c.messages[i].typ == cancel {
			beforeCancel()
		}
		if c.messages[i].direction == side {
			out <- e.bytes()
			continue
		}
		require.Equal(w.t, e.bytes(), w.rawFrames(len(e.frames)), "%s: message %d: %s", c.name, i+1, e.about)
	}
	if close(out); c.messages[len(entries)-1].direction == side {
		<-written
	}
}

// rawFrames returns the bytes of the next n frames.
func (w *wire) rawFrames(n int) (b []byte) {
	for n > 0 {
		h, payload, ok, err := w.in.Next()
		require.NoError(w.t, err)
		if !ok {
			n, err := w.s.Read(w.in.Space())
			require.True(w.t, n > 0 || err == nil, "%v", err)
			w.in.Filled(n)
			continue
		}
		b = append(b, frame(h.Type, h.Flags, h.ID, payload)...)
		n--
	}
	return b
}

// The host says its part of each stored conversation, byte for byte, to a worker that says the other.
func TestConversationsOfAHost(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		for _, c := range conversations {
			hostEnd, workerEnd := ends(t)
			token, done := make(chan struct{}, 1), make(chan struct{})
			go func() { // ends with the conversation
				defer close(done)
				c.host(t, hostEnd, token)
			}()
			t.Cleanup(func() { endConversation(hostEnd, workerEnd, done) })
			newWire(t, workerEnd).play(&c, toHost, func() { token <- struct{}{} })
			<-done
		}
	})
}

// And so does the worker, to a host that says the other part and then closes.
func TestConversationsOfAWorker(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		for _, c := range conversations {
			hostEnd, workerEnd := ends(t)
			token, done := make(chan struct{}, 1), make(chan struct{})
			go func() { // ends with the conversation, or the stream
				defer close(done)
				c.worker(t, workerEnd, token)
			}()
			t.Cleanup(func() { endConversation(hostEnd, workerEnd, done) })
			newWire(t, hostEnd).play(&c, toWorker, func() { <-token })
			_ = hostEnd.Close()
			<-done
		}
	})
}

// endConversation ends what a failed comparison has left.
func endConversation(hostEnd, workerEnd stream, done <-chan struct{}) {
	_ = hostEnd.Close()
	_ = workerEnd.Close()
	<-done
}

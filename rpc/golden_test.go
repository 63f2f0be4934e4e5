package rpc_test

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/stdcrew/stdcrew/framing"
	"github.com/stdcrew/stdcrew/rpc"
)

var update = flag.Bool("update", false, "write the files of testdata/wire afresh")

const wireDir = "testdata/wire"

// wireType is a row of the table in docs/protocol.md, section 4.
type wireType struct {
	name, from, id string
	cut            bool
}

// wireTypes reads that table.
func wireTypes(t testing.TB) map[uint8]wireType {
	text, err := os.ReadFile("../docs/protocol.md")
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(text), "\n## 4.")
	require.True(t, ok)
	section, _, _ = strings.Cut(section, "\n## 5.")
	types := make(map[uint8]wireType)
	for _, row := range regexp.MustCompile("(?m)^\\| `0x([0-9A-F]{2})` \\| (\\w+) \\| (\\S+) \\| ([^|]+) \\| (yes|no) \\|").FindAllStringSubmatch(section, -1) {
		code, err := strconv.ParseUint(row[1], 16, 8)
		require.NoError(t, err)
		types[uint8(code)] = wireType{name: row[2], from: row[3], id: row[4], cut: row[5] == "yes"}
	}
	require.Equal(t, strings.Count(section, "| `0x"), len(types), "rows that nobody understands")
	return types
}

// golden returns the vector of that name as its file has it.
func golden(t testing.TB, name string) wireEntry {
	entries := readWire(t, filepath.Join(wireDir, name+".txt"))
	require.Len(t, entries, 1)
	return entries[0]
}

// The files are what the Go values in vectors_test.go say, no file is too many, and with -update they are written.
func TestGoldenFilesAreUpToDate(t *testing.T) {
	names, files := wireTypes(t), map[string]bool{}
	for _, v := range vectors {
		text, path := render([]wireEntry{v.entry(t, names)}), filepath.Join(wireDir, v.name+".txt")
		if files[path] = true; *update {
			require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
		}
		stored, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, text, string(stored), "run go test ./rpc -update, and look at what has changed: this is the protocol")
	}
	found, err := filepath.Glob(filepath.Join(wireDir, "*.txt"))
	require.NoError(t, err)
	for _, path := range found {
		require.True(t, files[path], "%s is no vector", path)
	}
}

// Each file's bytes mean what its JSON says, with the keys of maps in that order, and keep to the tables of docs/protocol.md.
func TestGoldenBytesMeanWhatIsStated(t *testing.T) {
	names := wireTypes(t)
	for _, v := range vectors {
		e := golden(t, v.name)
		require.NotEmpty(t, e.about, v.name)
		require.Equal(t, e.json, understand(t, v.direction, e.frames, names), v.name)
		typ, known := names[v.typ]
		if !known {
			require.NotZero(t, v.flags&framing.Ignorable, v.name)
			continue
		}
		require.True(t, typ.from == "both" || typ.from == map[string]string{toHost: "W→H", toWorker: "H→W"}[v.direction], v.name)
		require.True(t, typ.cut || len(e.frames) == 1, v.name)
		require.True(t, typ.id == "any" || (typ.id == "0") == (v.id == 0), v.name)
		require.True(t, v.typ != call || v.id%2 == map[string]uint64{toHost: 1, toWorker: 0}[v.direction], v.name)
	}
}

// A type of message without a vector is one that other implementations cannot check.
func TestEveryTypeHasAVector(t *testing.T) {
	seen := make(map[uint8]bool)
	for _, v := range vectors {
		seen[v.typ] = true
	}
	types := wireTypes(t)
	require.Greater(t, len(types), 20)
	for code, typ := range types {
		require.True(t, seen[code], "no vector for %s (%#x)", typ.name, code)
	}
}

// rawMessage returns the bytes of the next message of that type, frame by frame as they came. Other messages are passed over.
func (w *wire) rawMessage(typ uint8) (b []byte) {
	for {
		h, payload, ok, err := w.in.Next()
		require.NoError(w.t, err)
		if !ok {
			n, err := w.s.Read(w.in.Space())
			require.True(w.t, n > 0 || err == nil, "%v before type %#x", err, typ)
			w.in.Filled(n)
			continue
		}
		if h.Type != typ {
			continue
		}
		if b = append(b, frame(h.Type, h.Flags, h.ID, payload)...); h.Flags&framing.More == 0 {
			return b
		}
	}
}

// vectorHello is the hello of the vector of that name.
func vectorHello() rpc.Hello {
	return rpc.Hello{
		SDK: "stdcrew-go/0.1.0", PID: 4711, InFlight: 4, Methods: []string{"echo", "resize"}, Caps: []string{rpc.CapCancel, rpc.CapBusy, rpc.CapStarted},
	}
}

// vectorWelcome likewise.
func vectorWelcome() rpc.Welcome {
	return rpc.Welcome{InFlight: 2, Slot: 3, OwnGroup: true, Caps: []string{"log"}}
}

// hostSends are the vectors that a host of this implementation sends, and what makes it do so.
var hostSends = map[string]func(t *testing.T, host *rpc.Peer, w *wire){
	"call": func(t *testing.T, host *rpc.Peer, _ *wire) { vectorCall(t, host, "hello", rpc.CallOptions{}) },
	"call-metadata": func(t *testing.T, host *rpc.Peer, _ *wire) {
		vectorCall(t, host, "hello", rpc.CallOptions{Metadata: map[string]string{"trace": "4bf92f35"}})
	},
	"call-budget": func(t *testing.T, host *rpc.Peer, _ *wire) {
		vectorCall(t, host, "hello", rpc.CallOptions{Budget: 2500 * time.Millisecond})
	},
	"call-attempt":   func(t *testing.T, host *rpc.Peer, _ *wire) { vectorCall(t, host, "hello", rpc.CallOptions{Attempt: 2}) },
	"call-in-frames": func(t *testing.T, host *rpc.Peer, _ *wire) { vectorCall(t, host, longText, rpc.CallOptions{}) },
	"cancel": func(t *testing.T, host *rpc.Peer, w *wire) {
		ctx, leave := context.WithCancel(t.Context())
		called := background(ctx, host, "echo", "hello")
		w.expect(call)
		leave()
		require.ErrorIs(t, (<-called).err, context.Canceled)
	},
	"ping": func(t *testing.T, host *rpc.Peer, _ *wire) {
		go func() { _ = host.Ping(t.Context()) }() // ends with the test
	},
	"shutdown-drain": func(t *testing.T, host *rpc.Peer, _ *wire) { require.NoError(t, host.Shutdown(false, 5*time.Second)) },
	"shutdown-now": func(t *testing.T, host *rpc.Peer, _ *wire) {
		require.NoError(t, host.Shutdown(true, 250*time.Millisecond))
	},
}

func vectorCall(t *testing.T, host *rpc.Peer, args any, o rpc.CallOptions) {
	go func() { _ = host.Call(t.Context(), "echo", args, nil, o) }() // ends with the test
}

// What this implementation sends is the vector, byte for byte.
func TestHostSendsTheVectors(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		w, done, _ := startConnect(t, t.Context(), ends, rpc.HostOptions{Welcome: vectorWelcome()})
		w.write(golden(t, "hello").bytes())
		require.Equal(t, golden(t, "welcome").bytes(), w.rawMessage(welcome))
		require.Equal(t, golden(t, "grease").bytes(), w.rawMessage(grease))
		w.write(golden(t, "ready").bytes())
		c := <-done
		require.NoError(t, c.err)
		require.NoError(t, c.peer.Close())

		w, done, _ = startConnect(t, t.Context(), ends, rpc.HostOptions{})
		w.write(helloFrame(t, map[string]any{"protocol": []int{2, 3}}))
		require.Equal(t, golden(t, "refuse").bytes(), w.rawMessage(refuse))
		require.Error(t, (<-done).err)

		for name, act := range hostSends {
			hostEnd, workerEnd := ends(t)
			w := newWire(t, workerEnd)
			var greeted sync.WaitGroup
			greeted.Go(func() { w.greet(map[string]any{"inflight": 4, "max_frame": 1024}) })
			host, err := rpc.Connect(t.Context(), hostEnd, rpc.HostOptions{})
			require.NoError(t, err)
			greeted.Wait()
			act(t, host, w)
			e := golden(t, name)
			require.Equal(t, e.bytes(), w.rawMessage(e.frames[0][1]&0x3f), name)
			require.NoError(t, workerEnd.Close())
			_ = host.Close()
		}
	})
}

// workerAnswers are the vectors that a worker of this implementation sends, and the ones that it is sent before.
var workerAnswers = map[string][]string{
	"reply": {"call"}, "reply-in-frames": {"call-in-frames"}, "started": {"call-want-started"}, "pong": {"ping"},
	"error": {"call-metadata"}, "error-not-run": {"call-budget"}, "error-data": {"call-attempt"}, "reply-bin": {"call-stream"},
}

// vectorHandler answers each of the calls differently.
func vectorHandler(ctx context.Context, r *rpc.Request) (any, error) {
	_, limited := ctx.Deadline()
	var text string
	if err := r.Decode(&text); err != nil {
		return nil, err
	}
	switch {
	case r.Metadata["trace"] == "4bf92f35":
		return nil, errors.New("disk is full")
	case r.Attempt == 2:
		return nil, &rpc.RemoteError{Code: "quota", Message: "no credit", Data: msgpack.RawMessage("\x81\xa4left\x00")}
	case limited:
		return nil, rpc.UnknownMethod(r.Method)
	}
	return text, nil
}

func TestWorkerSendsTheVectors(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		for name, before := range workerAnswers {
			o := rpc.WorkerOptions{Handler: rpc.HandlerFunc(vectorHandler)}
			if name == "reply-bin" {
				o.Handler = rpc.HandlerFunc(func(context.Context, *rpc.Request) (any, error) { return []byte{0, 0xC1, 0xFF}, nil })
			}
			hostEnd, workerEnd := ends(t)
			w, served := newWire(t, hostEnd), make(chan error, 1)
			go func() { served <- playVectorWorker(t, workerEnd, o, nil) }() // ends with the stream
			w.expect(hello)
			w.send(welcome, 0, 0, encoded(t, map[string]any{"max_frame": 1024, "max_message": 16 << 20}))
			w.expect(ready)
			for _, sent := range before {
				w.write(golden(t, sent).bytes())
			}
			e := golden(t, name)
			require.Equal(t, e.bytes(), w.rawMessage(e.frames[0][1]&0x3f), name)
			require.NoError(t, hostEnd.Close())
			<-served
		}
	})
}

// playVectorWorker announces the worker of the vectors, does what during says, and serves.
func playVectorWorker(t testing.TB, s stream, o rpc.WorkerOptions, during func(worker *rpc.Peer) error) error {
	if o.Hello.SDK == "" {
		o.Hello = vectorHello()
	}
	worker, err := rpc.Announce(t.Context(), s, o)
	if err != nil {
		return err
	}
	defer func() { _ = worker.Close() }()
	if during != nil {
		if err := during(worker); err != nil {
			return err
		}
	}
	if err := worker.Ready(); err != nil {
		return err
	}
	return worker.Serve()
}

func TestWorkerSendsTheVectorsOfItsLife(t *testing.T) {
	eachMode(t, func(t *testing.T, ends makeEnds) {
		hostEnd, workerEnd := ends(t)
		w, served, peer := newWire(t, hostEnd), make(chan error, 1), make(chan *rpc.Peer, 1)
		go func() { // ends with the stream
			served <- playVectorWorker(t, workerEnd, rpc.WorkerOptions{Handler: rpc.HandlerFunc(vectorHandler)}, func(worker *rpc.Peer) error {
				peer <- worker
				return worker.Starting("loading the model: 40 %")
			})
		}()
		require.Equal(t, golden(t, "hello").bytes(), w.rawMessage(hello))
		w.write(golden(t, "welcome").bytes())
		require.Equal(t, golden(t, "starting").bytes(), w.rawMessage(starting))
		require.Equal(t, golden(t, "ready").bytes(), w.rawMessage(ready))
		w.write(golden(t, "call").bytes())
		require.Equal(t, golden(t, "reply").bytes(), w.rawMessage(reply))
		worker := <-peer
		called := background(t.Context(), worker, "lookup", "key")
		require.Equal(t, golden(t, "call-from-worker").bytes(), w.rawMessage(call))
		worker.Goodbye("max calls reached", false)
		require.Equal(t, golden(t, "goodbye").bytes(), w.rawMessage(goodbye))
		require.NoError(t, hostEnd.Close())
		require.Error(t, (<-called).err)
		<-served

		hostEnd, workerEnd = ends(t)
		w = newWire(t, hostEnd)
		go func() { // ends with the stream
			served <- playVectorWorker(t, workerEnd, rpc.WorkerOptions{}, func(worker *rpc.Peer) error {
				err := worker.InitError("the model is missing", "open model.bin: no such file or directory")
				return cmp.Or(err, worker.CloseWrite(t.Context()), errGone) // written before it is closed
			})
		}()
		w.expect(hello)
		w.write(golden(t, "welcome").bytes())
		require.Equal(t, golden(t, "init_error").bytes(), w.rawMessage(initError))
		require.NoError(t, hostEnd.Close())
		<-served
	})
}

package pool

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/process"
	"github.com/stdcrew/stdcrew/rpc"
)

// job is a call as the handlers of both dialects' workers see it.
type job struct {
	method string
	arg    string // if it is one
	ctx    context.Context
	exit   func(code int)
	print  func(text string) // to stdout, where it does not belong
	leave  func()            // says goodbye
	quit   func()            // the same, and ends the calls that run; native only
	over   <-chan struct{}   // closed when the process has ended
}

type jobHandler func(job) (any, error)

// speaker is a dialect with the workers that speak it.
type speaker struct {
	name    string
	dialect func() Dialect
	worker  func(inFlight int, handle jobHandler) process.Func
	unable  func(why string) process.Func
}

var speakers = []speaker{
	{
		name:    "json",
		dialect: func() Dialect { return jsonLines{} },
		worker: func(inFlight int, handle jobHandler) process.Func {
			return program{inFlight: inFlight, handle: func(v *visit) (any, error) {
				var arg string
				_ = json.Unmarshal(v.call.Args, &arg)
				return handle(job{
					method: v.call.Method, arg: arg, ctx: v.ctx,
					exit: v.quit, print: v.print, leave: func() { v.say(jsonLine{Goodbye: "enough"}) }, over: v.over,
				})
			}}.run
		},
		unable: func(why string) process.Func { return program{unable: why}.run },
	},
	{
		name:    "native",
		dialect: func() Dialect { return &native{} },
		worker: func(inFlight int, handle jobHandler) process.Func {
			return func(m *process.Memory) int { return nativeWorker(m, inFlight, handle) }
		},
		unable: func(why string) process.Func {
			return func(m *process.Memory) int {
				peer, err := rpc.Announce(context.Background(), memoryStream{m}, rpc.WorkerOptions{})
				if err == nil {
					_ = peer.InitError(why, "")
					_ = peer.Serve()
				}
				return 1
			}
		},
	},
}

// memoryStream is an in-memory process's own view of its standard streams.
type memoryStream struct{ m *process.Memory }

func (s memoryStream) Read(p []byte) (int, error)  { return s.m.Stdin.Read(p) }
func (s memoryStream) Write(p []byte) (int, error) { return s.m.Stdout.Write(p) }
func (s memoryStream) Close() error                { return errors.Join(s.m.Stdin.Close(), s.m.Stdout.Close()) }

// nativeWorker serves until its input ends, exit is called, or it is killed.
func nativeWorker(m *process.Memory, inFlight int, handle jobHandler) int {
	exit, over := make(chan int, 8), make(chan struct{})
	defer close(over)
	var peer *rpc.Peer
	serve := func(ctx context.Context, r *rpc.Request) (any, error) {
		var arg string
		_ = r.Decode(&arg)
		return handle(job{
			method: r.Method, arg: arg, ctx: ctx,
			exit:  func(code int) { exit <- code },
			print: func(text string) { _, _ = m.Stdout.Write([]byte(text)) },
			leave: func() { peer.Goodbye("enough", false) },
			quit:  func() { peer.Goodbye("enough", true) }, over: over,
		})
	}
	peer, err := rpc.Announce(context.Background(), memoryStream{m}, rpc.WorkerOptions{Hello: rpc.Hello{InFlight: inFlight}, Handler: rpc.HandlerFunc(serve)})
	if err != nil || peer.Ready() != nil {
		return 1
	}
	go func() {
		_ = peer.Serve()
		exit <- 0
	}()
	defer peer.Close()
	select {
	case code := <-exit:
		return code
	case <-m.Killed:
		return 0
	}
}

// inEachDialect runs a scenario with a pool in either dialect. The seam is where it should be if a pool cannot tell them apart.
func inEachDialect(t *testing.T, o Options, inFlight int, handle jobHandler, scenario func(t *testing.T, c *crew)) {
	t.Helper()
	for _, s := range speakers {
		t.Run(s.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				o := o
				o.Dialect = s.dialect()
				scenario(t, newCrewOf(t, o, func(int) process.Func { return s.worker(inFlight, handle) }))
			})
		})
	}
}

// handle does what the method says.
func handle(j job) (any, error) {
	switch j.method {
	case "echo":
		return j.arg, nil
	case "slow":
		select {
		case <-time.After(time.Minute):
			return j.arg, nil
		case <-j.ctx.Done():
			return nil, j.ctx.Err()
		}
	case "fail":
		return nil, &rpc.RemoteError{Code: j.arg, Message: "as you wish"}
	case "exit":
		j.exit(3)
	case "print":
		j.print("hello, world\n")
	case "leave":
		j.leave()
		return nil, nil
	}
	<-j.ctx.Done()
	return nil, j.ctx.Err()
}

func TestDialects_Echo(t *testing.T) {
	inEachDialect(t, Options{}, 1, handle, func(t *testing.T, c *crew) {
		require.NoError(t, c.echo(t.Context(), "hi"))
		require.NoError(t, c.Call(t.Context(), "echo", "hi", nil, CallOptions{}), "the answer may be discarded")
		require.EqualValues(t, 2, c.Snapshot().Workers[0].Calls)
		require.Equal(t, 1, c.Snapshot().Workers[0].Places)
	})
}

func TestDialects_SeveralAtATime(t *testing.T) {
	inEachDialect(t, Options{}, 3, handle, func(t *testing.T, c *crew) {
		start := time.Now()
		var calls []*asked
		for range 7 {
			calls = append(calls, c.async(func() error { return c.Call(t.Context(), "slow", "", nil, CallOptions{}) }))
		}
		require.Equal(t, 3, c.Snapshot().Workers[0].InFlight)
		require.Equal(t, 4, c.Snapshot().Waiting)
		for _, call := range calls {
			require.NoError(t, call.result())
		}
		require.Equal(t, 3*time.Minute, time.Since(start).Round(time.Second))
	})
}

func TestDialects_FewerPlacesOnRequest(t *testing.T) {
	for _, s := range speakers[1:] { // jsonLines does not negotiate
		inBubble(t, func(t *testing.T) {
			c := newCrewOf(t, Options{Dialect: s.dialect(), InFlight: 2}, func(int) process.Func { return s.worker(-1, handle) })
			c.serves()
			require.Equal(t, 2, c.Snapshot().Workers[0].Places)
		})
	}
}

func TestDialects_ErrorClasses(t *testing.T) {
	var number int
	cases := []struct {
		name         string
		method       string
		args, reply  any
		class        Class
		delivery     rpc.Delivery
		is           error
		text         string
		workerIsGone bool
	}{
		{"handler's error", "fail", "no_paper", nil, ClassRemote, rpc.Answered, nil, "no_paper", false},
		{"arguments that cannot be encoded", "echo", make(chan int), nil, ClassCaller, rpc.NotSent, rpc.ErrEncode, "refused", false},
		{"a reply that does not fit", "echo", "text", &number, ClassCaller, rpc.Answered, rpc.ErrDecode, "answered: reply does not fit", false},
		{"an exit", "exit", "", nil, ClassInterrupted, rpc.Unknown, ErrTransient, "exited with code 3", true},
		{"a stray print", "print", "", nil, ClassInterrupted, rpc.Unknown, ErrTransient, "hello, world", true},
	}
	for _, cs := range cases {
		t.Run(cs.name, func(t *testing.T) {
			inEachDialect(t, Options{}, 1, handle, func(t *testing.T, c *crew) {
				c.serves()
				e := asError(t, c.Call(t.Context(), cs.method, cs.args, cs.reply, CallOptions{}))
				require.Equal(t, cs.class, e.Class, "%v", e)
				require.Equal(t, cs.delivery, e.Delivery, "%v", e)
				require.ErrorContains(t, e, cs.text)
				if cs.is != nil {
					require.ErrorIs(t, e, cs.is)
				}
				synctest.Wait()
				if cs.workerIsGone {
					require.Equal(t, []State{StateStopped}, c.states())
				} else {
					require.Equal(t, []State{StateReady}, c.states())
					require.Zero(t, c.Snapshot().Workers[0].InFlight, "its place was given back")
				}
				c.serves()
			})
		})
	}
}

func TestDialects_CancelGivesThePlaceBackWhenTheWorkerHasAnswered(t *testing.T) {
	inEachDialect(t, Options{}, 1, handle, func(t *testing.T, c *crew) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		e := asError(t, c.Call(ctx, "slow", "", nil, CallOptions{}))
		require.Equal(t, ClassContext, e.Class)
		require.ErrorIs(t, e, context.DeadlineExceeded)
		synctest.Wait()
		require.Zero(t, c.Snapshot().Workers[0].InFlight)
		c.serves()
		require.Len(t, c.launched(), 1)
	})
}

func TestDialects_CallTimeout(t *testing.T) {
	inEachDialect(t, Options{CallTimeout: time.Second}, 1, handle, func(t *testing.T, c *crew) {
		e := asError(t, c.Call(t.Context(), "slow", "", nil, CallOptions{}))
		require.Equal(t, ClassInterrupted, e.Class)
		require.ErrorIs(t, e, ErrCallTimeout)
		require.NotErrorIs(t, e, context.DeadlineExceeded)
	})
}

func TestDialects_StopAndClose(t *testing.T) {
	inEachDialect(t, Options{}, 2, handle, func(t *testing.T, c *crew) {
		start := time.Now()
		c.serves()
		require.NoError(t, c.Stop(t.Context()))
		c.serves()
		running := c.async(func() error { return c.Call(t.Context(), "slow", "", nil, CallOptions{}) })
		require.NoError(t, c.Close())
		require.ErrorIs(t, running.result(), ErrClosed)
		require.Less(t, time.Since(start), time.Second, "both workers obeyed the message")
		for _, p := range c.launched() {
			require.Zero(t, p.Report().Code)
			require.Zero(t, p.Report().Signal)
		}
	})
}

func TestDialects_StopLetsRunningCallsEnd(t *testing.T) {
	inEachDialect(t, Options{StopGrace: 2 * time.Minute}, 1, handle, func(t *testing.T, c *crew) {
		running := c.async(func() error { return c.Call(t.Context(), "slow", "", nil, CallOptions{}) })
		require.NoError(t, c.Stop(t.Context()))
		require.NoError(t, running.result())
	})
}

func TestDialects_Goodbye(t *testing.T) {
	inEachDialect(t, Options{}, 1, handle, func(t *testing.T, c *crew) {
		require.NoError(t, c.Call(t.Context(), "leave", "", nil, CallOptions{}))
		synctest.Wait()
		c.serves()
		synctest.Wait()
		require.Len(t, c.launched(), 2)
		require.Equal(t, killerGoodbye, c.proc(0).Report().Killer)
	})
}

func TestDialects_CannotStart(t *testing.T) {
	for _, s := range speakers {
		t.Run(s.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				c := newCrewOf(t, Options{Dialect: s.dialect()}, func(int) process.Func { return s.unable("no license") })
				e := asError(t, c.Call(t.Context(), "echo", "", nil, CallOptions{}))
				require.Equal(t, ClassUnavailable, e.Class)
				require.ErrorContains(t, e, "no license")
			})
		})
	}
}

func TestDialects_Ping(t *testing.T) {
	inEachDialect(t, Options{StartHook: func(ctx context.Context, c Conn) error { return c.Ping(ctx) }}, 1, handle, func(_ *testing.T, c *crew) {
		c.serves()
	})
}

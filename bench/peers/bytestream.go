package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/rpc"
	"strconv"

	"github.com/creachadair/jrpc2"
	"github.com/creachadair/jrpc2/channel"
	"github.com/creachadair/jrpc2/handler"
	sourcegraph "github.com/sourcegraph/jsonrpc2"
)

// Those that speak over any stream of bytes get the pipes of one child.

func init() {
	roles["netrpc"] = func([]string) error {
		server := rpc.NewServer()
		if err := server.RegisterName(netService, netEcho{}); err != nil {
			return err
		}
		stream, err := newStdio()
		server.ServeConn(stream)
		return err
	}
	roles["sourcegraph"] = serveSourcegraph
	roles["jrpc2"] = serveJRPC2
	contenders = append(contenders,
		contender{name: "net/rpc", module: goModule, what: "over pipes, gob", start: pool(dialNetRPC)},
		contender{name: "creachadair/jrpc2", module: "github.com/creachadair/jrpc2", what: "over pipes, JSON lines", start: pool(dialJRPC2)},
		contender{name: "sourcegraph/jsonrpc2", module: "github.com/sourcegraph/jsonrpc2", what: "over pipes, plain JSON", start: pool(dialSourcegraph)},
	)
}

// netEcho is the service of net/rpc, with pipes and in a plugin.
type netEcho struct{}

const netService = "Bench"

func (netEcho) Echo(in []byte, out *[]byte) error {
	*out = in
	return nil
}

func (netEcho) Turn(in *Record, out *Record) error {
	*out = *in
	return nil
}

// netCalls calls it. A caller that leaves does not wait for the answer.
type netCalls struct {
	client  *rpc.Client
	service string
}

func (n netCalls) call(ctx context.Context, method string, in, out any) error {
	c := n.client.Go(n.service+"."+method, in, out, make(chan *rpc.Call, 1))
	select {
	case <-c.Done:
		return c.Error
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (n netCalls) echo(ctx context.Context, b []byte) (out []byte, err error) {
	return out, n.call(ctx, "Echo", b, &out)
}

func (n netCalls) turn(ctx context.Context, r *Record) (*Record, error) {
	out := new(Record)
	return out, n.call(ctx, "Turn", r, out)
}

// piped is a connection over a child's pipes.
type piped struct {
	calls
	*child
	hangUp func() error
}

// close says how the child ended; that a client finds its stream closed is no news.
func (p piped) close() error {
	_ = p.hangUp()
	return p.child.end()
}

func dialNetRPC(workload) (conn, error) {
	c, err := startChild("netrpc")
	if err != nil {
		return nil, err
	}
	client := rpc.NewClient(c)
	return piped{netCalls{client, netService}, c, client.Close}, nil
}

// jsonCalls are those of both JSON libraries.
type jsonCalls func(ctx context.Context, method string, in, out any) error

func (call jsonCalls) echo(ctx context.Context, b []byte) (out []byte, err error) {
	// Parameters in JSON-RPC are an array or an object.
	return out, call(ctx, "echo", [][]byte{b}, &out)
}

func (call jsonCalls) turn(ctx context.Context, r *Record) (*Record, error) {
	out := new(Record)
	return out, call(ctx, "turn", r, out)
}

func dialJRPC2(w workload) (conn, error) {
	c, err := startChild("jrpc2", strconv.Itoa(w.InFlight))
	if err != nil {
		return nil, err
	}
	client := jrpc2.NewClient(channel.Line(c, c), nil)
	return piped{jsonCalls(client.CallResult), c, client.Close}, nil
}

func serveJRPC2(args []string) error {
	inFlight, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	methods := handler.Map{
		"echo": handler.New(func(_ context.Context, in [][]byte) ([]byte, error) { return in[0], nil }),
		"turn": handler.New(func(_ context.Context, in *Record) (*Record, error) { return in, nil }),
	}
	server := jrpc2.NewServer(methods, &jrpc2.ServerOptions{Concurrency: inFlight})
	stream, err := newStdio()
	return errors.Join(err, server.Start(channel.Line(stream, stream)).Wait())
}

func dialSourcegraph(w workload) (conn, error) {
	c, err := startChild("sourcegraph", strconv.FormatBool(w.alone()))
	if err != nil {
		return nil, err
	}
	nobody := sourcegraph.HandlerWithError(func(context.Context, *sourcegraph.Conn, *sourcegraph.Request) (any, error) { return nil, nil })
	client := sourcegraph.NewConn(context.Background(), sourcegraph.NewPlainObjectStream(c), nobody)
	call := func(ctx context.Context, method string, in, out any) error { return client.Call(ctx, method, in, out) }
	return piped{jsonCalls(call), c, client.Close}, nil
}

func serveSourcegraph(args []string) error {
	var h sourcegraph.Handler = sourcegraph.HandlerWithError(answerSourcegraph)
	if args[0] == "false" { // calls at the same time
		h = sourcegraph.AsyncHandler(h)
	}
	stream, err := newStdio()
	server := sourcegraph.NewConn(context.Background(), sourcegraph.NewPlainObjectStream(stream), h)
	<-server.DisconnectNotify()
	return err
}

func answerSourcegraph(_ context.Context, _ *sourcegraph.Conn, r *sourcegraph.Request) (any, error) {
	if r.Method == "turn" {
		in := new(Record)
		return in, json.Unmarshal(*r.Params, in)
	}
	var in [][]byte
	if err := json.Unmarshal(*r.Params, &in); err != nil {
		return nil, err
	}
	return in[0], nil
}

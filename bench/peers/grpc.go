package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/stdcrew/stdcrew/bench/peers/wire"
)

func init() {
	roles["grpc"] = serveGRPC
	contenders = append(contenders, contender{
		name: "gRPC", module: "google.golang.org/grpc", what: "over a unix socket, generated messages, no TLS", start: pool(dialGRPC),
	})
}

// grpcService is the service of gRPC, by itself and in a plugin: what protoc-gen-go-grpc would generate for two methods, without the rest.
var grpcService = grpc.ServiceDesc{ServiceName: "stdcrew.bench.Echo", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{
	{MethodName: "Echo", Handler: answerGRPC[wire.Bytes]},
	{MethodName: "Turn", Handler: answerGRPC[wire.Record]},
}}

// answerGRPC answers with what it got.
func answerGRPC[T any](_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	in := new(T)
	return in, decode(in)
}

// grpcCalls calls it. What an application has is copied to and from the generated types, field by field.
type grpcCalls struct{ *grpc.ClientConn }

func (g grpcCalls) invoke(ctx context.Context, method string, in, out any) error {
	return g.Invoke(ctx, "/stdcrew.bench.Echo/"+method, in, out, grpc.StaticMethod())
}

func (g grpcCalls) echo(ctx context.Context, b []byte) ([]byte, error) {
	out := new(wire.Bytes)
	err := g.invoke(ctx, "Echo", &wire.Bytes{Data: b}, out)
	return out.Data, err
}

func (g grpcCalls) turn(ctx context.Context, r *Record) (*Record, error) {
	out := new(wire.Record)
	err := g.invoke(ctx, "Turn", &wire.Record{
		Name: r.Name, Path: r.Path, Kind: r.Kind, Digest: r.Digest, Id: r.ID, Size: r.Size, Status: r.Status, Score: r.Score, Cached: r.Cached, Tags: r.Tags,
	}, out)
	if err != nil {
		return nil, err
	}
	return &Record{
		Name: out.Name, Path: out.Path, Kind: out.Kind, Digest: out.Digest, ID: out.Id, Size: out.Size, Status: out.Status, Score: out.Score, Cached: out.Cached, Tags: out.Tags,
	}, nil
}

// dialGRPC starts a server and connects to its socket when it says that it listens.
func dialGRPC(workload) (conn, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(dir, "s")
	c, err := startChild("grpc", socket)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	end := func() error { return errors.Join(c.end(), os.RemoveAll(dir)) }
	if _, err := bufio.NewReader(c).ReadByte(); err != nil {
		return nil, errors.Join(fmt.Errorf("it does not listen: %w", err), end())
	}
	client, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, errors.Join(err, end())
	}
	return socketed{piped{grpcCalls{client}, c, client.Close}, dir}, nil
}

// socketed is a connection over a socket in a directory of its own; the pipes are there to tell the server that it may leave.
type socketed struct {
	piped
	dir string
}

func (s socketed) close() error { return errors.Join(s.piped.close(), os.RemoveAll(s.dir)) }

func serveGRPC(args []string) error {
	listener, err := net.Listen("unix", args[0])
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	server.RegisterService(&grpcService, nil)
	if _, err := os.Stdout.WriteString("\n"); err != nil {
		return err
	}
	// Ends with the parent's end of the pipe.
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1))
		server.Stop()
	}()
	return server.Serve(listener)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net/rpc"
	"os"
	"os/exec"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
)

func init() {
	const module = "github.com/hashicorp/go-plugin"
	for role, p := range map[string]plugin.Plugin{"plugin-netrpc": netPlugin{}, "plugin-grpc": grpcPlugin{}} {
		roles[role] = func([]string) error {
			servePlugin(p)
			return nil
		}
	}
	contenders = append(contenders,
		contender{name: "go-plugin net/rpc", module: module, what: "one plugin a worker", start: pool(func(workload) (conn, error) {
			return dialPlugin("plugin-netrpc", netPlugin{}, plugin.ProtocolNetRPC)
		})},
		contender{name: "go-plugin gRPC", module: module, what: "one plugin a worker", start: pool(func(workload) (conn, error) {
			return dialPlugin("plugin-grpc", grpcPlugin{}, plugin.ProtocolGRPC)
		})},
	)
}

// handshake is what both ends of go-plugin have to agree on.
var handshake = plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "STDCREW_BENCH_PLUGIN", MagicCookieValue: "echo"}

const pluginName = "echo"

type netPlugin struct{}

func (netPlugin) Server(*plugin.MuxBroker) (any, error) { return netEcho{}, nil }

func (netPlugin) Client(_ *plugin.MuxBroker, c *rpc.Client) (any, error) {
	return netCalls{c, "Plugin"}, nil // the name that go-plugin gives every service
}

type grpcPlugin struct{ plugin.NetRPCUnsupportedPlugin }

func (grpcPlugin) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	s.RegisterService(&grpcService, nil)
	return nil
}

func (grpcPlugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return grpcCalls{c}, nil
}

func servePlugin(p plugin.Plugin) {
	config := &plugin.ServeConfig{
		HandshakeConfig: handshake,
		Plugins:         plugin.PluginSet{pluginName: p},
		Logger:          hclog.NewNullLogger(),
	}
	if _, ok := p.(plugin.GRPCPlugin); ok {
		config.GRPCServer = plugin.DefaultGRPCServer
	}
	plugin.Serve(config)
}

// plugged is a connection to one plugin.
type plugged struct {
	calls
	client *plugin.Client
	cmd    *exec.Cmd
	dir    string // of its socket, which a plugin that was killed leaves behind
}

func (p plugged) pid() int { return p.cmd.Process.Pid }

func (p plugged) close() error {
	p.client.Kill() // asks first
	return os.RemoveAll(p.dir)
}

func dialPlugin(role string, p plugin.Plugin, protocol plugin.Protocol) (conn, error) {
	cmd, err := self(role)
	if err != nil {
		return nil, err
	}
	cmd.Stderr = nil // go-plugin wants it for itself
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	cmd.Env = append(os.Environ(), plugin.EnvUnixSocketDir+"="+dir)
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  handshake,
		Plugins:          plugin.PluginSet{pluginName: p},
		Cmd:              cmd,
		AllowedProtocols: []plugin.Protocol{protocol},
		Logger:           hclog.NewNullLogger(),
	})
	answers, err := dispense(client)
	if err != nil {
		client.Kill()
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return plugged{answers, client, cmd, dir}, nil
}

func dispense(client *plugin.Client) (calls, error) {
	protocol, err := client.Client()
	if err != nil {
		return nil, err
	}
	raw, err := protocol.Dispense(pluginName)
	if err != nil {
		return nil, err
	}
	answers, ok := raw.(calls)
	if !ok {
		return nil, errors.Join(errors.ErrUnsupported, fmt.Errorf("it dispensed a %T", raw))
	}
	return answers, nil
}

package rpc_test

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/rpc"
)

// A worker that has said why it cannot start, and then exits, is gone before the host's welcome can be written. What it said counts all the same.
func TestInitErrorOfAWorkerThatDoesNotRead(t *testing.T) {
	for name, c := range map[string]struct {
		last []byte
		want string
	}{
		"init_error": {frame(initError, 0, 0, encoded(t, map[string]string{"message": "no license"})), "no license"},
		"ready":      {frame(ready, 0, 0, []byte{0x80}), "does not read its input"},
		"nothing":    {nil, "before the handshake was over"},
	} {
		hostEnd, workerEnd := pipeEnds(t)
		_, err := workerEnd.Write(append(helloFrame(t, nil), c.last...))
		require.NoError(t, err)
		require.NoError(t, workerEnd.Close())
		peer, err := rpc.Connect(context.Background(), hostEnd, rpc.HostOptions{})
		require.Nil(t, peer, name)
		require.ErrorContains(t, err, c.want, name)
		require.NotErrorIs(t, err, os.ErrClosed)
		require.NoError(t, hostEnd.Close())
	}
}

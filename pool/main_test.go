package pool

import (
	"context"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stdcrew/stdcrew/rpc"
)

// TestMain makes the test binary a worker when a test has started it as one.
func TestMain(m *testing.M) {
	if strings.HasPrefix(os.Getenv(rpc.EnvSelf), "smoke:") {
		os.Exit(smokeWorker())
	}
	os.Exit(m.Run())
}

// smokePlaces is the variable that tells a worker how many calls it takes at a time, if that is not one.
const smokePlaces = "SMOKE_PLACES"

// smokeWorker serves on the real standard streams.
func smokeWorker() int {
	places, _ := strconv.Atoi(os.Getenv(smokePlaces))
	peer, err := rpc.Announce(context.Background(), stdStreams{}, rpc.WorkerOptions{
		Hello: rpc.Hello{InFlight: places},
		Handler: rpc.HandlerFunc(func(ctx context.Context, r *rpc.Request) (any, error) {
			var text string
			if err := r.Decode(&text); err != nil {
				return nil, err
			}
			if r.Method == "hang" {
				<-ctx.Done()
			}
			return text, nil
		}),
	})
	if err != nil || peer.Ready() != nil {
		return 1
	}
	_ = peer.Serve()
	return 0
}

type stdStreams struct{}

func (stdStreams) Read(p []byte) (int, error)  { return os.Stdin.Read(p) }
func (stdStreams) Write(p []byte) (int, error) { return os.Stdout.Write(p) }
func (stdStreams) Close() error                { return os.Stdin.Close() }

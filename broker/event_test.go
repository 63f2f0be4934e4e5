package broker_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/process"
)

func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		crew := broker.PoolOptions{
			Command: broker.Command{Path: "sums"}, Max: 1,
			Start: func(_ process.Command, o process.Options) (*process.Process, error) {
				return process.StartFunc(sum, o), nil
			},
		}
		b, err := broker.New(broker.Options{Pools: map[string]broker.PoolOptions{"one": crew, "two": crew}})
		require.NoError(t, err)
		all, two, none := b.Events(t.Context()), b.Pool("two").Events(t.Context()), b.Pool("three").Events(t.Context())
		require.Error(t, b.Call(t.Context(), "one.crash", nil, nil))
		synctest.Wait()
		require.NoError(t, b.Call(t.Context(), "two.add", 1, nil))
		require.NoError(t, b.Close())

		told := map[string][]string{}
		for e := range all {
			text := string(e.Kind)
			if e.Kind == broker.EventExited {
				text = fmt.Sprintf("%s %d %v", text, e.Exit.Report.Code, e.Death)
			}
			told[e.Pool] = append(told[e.Pool], text)
		}
		require.Equal(t, map[string][]string{
			"one": {"started", "ready", "exited 7 true", "backoff", "pool_closing", "pool_closed"},
			"two": {"started", "ready", "pool_closing", "stopping", "exited 0 false", "pool_closed"},
		}, told)
		var kinds []string
		for e := range two {
			require.Equal(t, "two", e.Pool)
			kinds = append(kinds, string(e.Kind))
		}
		require.True(t, slices.Equal([]string{"started", "ready", "pool_closing", "stopping", "exited", "pool_closed"}, kinds), kinds)
		for range none {
			require.Fail(t, "there is no such pool")
		}
	})
}

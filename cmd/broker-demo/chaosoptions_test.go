package main

import (
	"flag"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// parseChaos parses the arguments of chaos.
func parseChaos(args ...string) (chaosOptions, error) {
	var o chaosOptions
	set := flag.NewFlagSet("chaos", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	o.register(set)
	if err := set.Parse(args); err != nil {
		return o, err
	}
	return o, o.complete(set.Args())
}

func TestChaosFlags(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("chaos runs on Linux only")
	}
	o, err := parseChaos("-duration", "10m", "-seed", "18446744073709551615", "-workers", "3", "-callers", "5", "-json")
	require.NoError(t, err)
	require.Equal(t, chaosOptions{duration: 10 * time.Minute, seed: 1<<64 - 1, workers: 3, callers: 5, json: true}, o)

	o, err = parseChaos("-workers", "3")
	require.NoError(t, err)
	require.Equal(t, time.Minute, o.duration)
	require.Equal(t, 12, o.callers)
	require.NotZero(t, o.seed)
	require.Less(t, o.seed, uint64(1<<32))
}

func TestChaosFlagErrorsNameTheFlagAndTheRemedy(t *testing.T) {
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"-duration", "0s"}, "-duration 0s: give a duration such as 30s, up to 168h0m0s"},
		{[]string{"-duration", "1000h"}, "-duration 1000h0m0s: give a duration such as 30s, up to 168h0m0s"},
		{[]string{"-workers", "0"}, "-workers 0: give a number from 1 to 256, or leave the flag out for 4"},
		{[]string{"-workers", "257"}, "-workers 257: give a number from 1 to 256, or leave the flag out for 4"},
		{[]string{"-callers", "-1"}, "-callers -1: give a number from 1 to 4096, or leave the flag out for four for each worker"},
		{[]string{"-callers", "4097"}, "-callers 4097: give a number from 1 to 4096, or leave the flag out for four for each worker"},
		{[]string{"now"}, `["now"]: chaos takes no arguments; leave them out`},
		{[]string{"-seed", "-1"}, `invalid value "-1" for flag -seed: parse error`},
	}
	for _, test := range tests {
		_, err := parseChaos(test.args...)
		require.ErrorContains(t, err, test.want)
	}
	_, err := parseChaos("-duration", "-1s", "-workers", "-1", "now")
	require.ErrorContains(t, err, "leave them out\n-duration -1s: ")
	require.ErrorContains(t, err, "\n-workers -1: ")
}

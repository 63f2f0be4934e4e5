package main

import (
	"flag"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/stdcrew/stdcrew/broker"
)

// parseLoad parses the arguments of load.
func parseLoad(args ...string) (loadOptions, error) {
	var o loadOptions
	set := flag.NewFlagSet("load", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	o.register(set)
	if err := set.Parse(args); err != nil {
		return o, err
	}
	return o, o.complete(set.Args())
}

func TestLoadFlags(t *testing.T) {
	o, err := parseLoad("-workers", "3", "-inflight", "2", "-callers", "5", "-size", "100", "-duration", "15s", "-rate", "2.5", "-kill-every", "10",
		"-idempotent", "-json", "-method", "m", "-args", `{"a": 1}`, "--", "cmd", "-x", "y")
	require.NoError(t, err)
	require.Equal(t, loadOptions{
		crewOptions: crewOptions{workers: 3, inFlight: 2, killEvery: 10, json: true},
		command:     []string{"cmd", "-x", "y"}, callers: 5, method: "m", size: 100, argsJSON: `{"a": 1}`, args: msgpack.RawMessage("\x81\xa1a\x01"),
		duration: 15 * time.Second, rate: 2.5, idempotent: true,
	}, o)
	pool := o.pool()
	require.Equal(t, broker.Command{Path: "cmd", Args: []string{"-x", "y"}}, pool.Command)
	require.Equal(t, []int{3, 3, 2, 5}, []int{pool.Min, pool.Max, pool.InFlight, pool.Queue})

	o, err = parseLoad("-workers", "4", "-inflight", "3")
	require.NoError(t, err)
	require.Equal(t, 12, o.callers, "as many as the workers take")
	require.Equal(t, 10*time.Second, o.duration)
	require.Equal(t, broker.Self(echoCrew), o.pool().Command)
}

func TestLoadFlagErrorsNameTheFlagAndTheRemedy(t *testing.T) {
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"-callers", "-1"}, "-callers -1: give a number from 1 to 4096, or leave the flag out for as many as the workers take"},
		{[]string{"-callers", "5000"}, "-callers 5000: give a number from 1 to 4096, or leave the flag out for as many as the workers take"},
		{[]string{"-duration", "0s"}, "-duration 0s: give a duration such as 30s, up to 168h0m0s"},
		{[]string{"-duration", "10000h"}, "-duration 10000h0m0s: give a duration such as 30s, up to 168h0m0s"},
		{[]string{"-rate", "-1"}, "-rate -1: give calls a second, up to 10000000, or 0 for as many as the callers can"},
		{[]string{"-rate", "NaN"}, "-rate NaN: give calls a second, up to 10000000, or 0 for as many as the callers can"},
		{[]string{"-rate", "inf"}, "-rate +Inf: give calls a second, up to 10000000, or 0 for as many as the callers can"},
		{[]string{"-size", "-1"}, "-size -1: give a number of bytes from 0 to 16776192"},
		{[]string{"-size", "16776193", "-callers", "1"}, "-size 16776193: give a number of bytes from 0 to 16776192"},
		{[]string{"-size", "1048576", "-callers", "1000"}, "-callers 1000 -size 1048576: more than 256 MiB of payloads at a time; lower one of them"},
		{[]string{"-method", ""}, "-method: the name is empty; leave the flag out for echo"},
		{[]string{"-method", "m", "-ledger", "l"}, "-ledger: only the method echo can write one; leave out -method and -args, or -ledger"},
		{[]string{"-args", "1", "-ledger", "l"}, "-ledger: only the method echo can write one; leave out -method and -args, or -ledger"},
		{[]string{"-args", "{"}, `-args: not JSON: it stops in the middle; give one JSON value, such as '{"ms": 5}'`},
		{[]string{"--", ""}, "the worker program is empty; name one behind --, or none for the echo of this program"},
		{[]string{"-workers", "0", "-kill-every", "-5", "-callers", "9999", "-rate", "-1"},
			"-workers 0: at least one is needed; leave the flag out for one per CPU\n" +
				"-kill-every -5: give the number of calls between two kills, or 0 for none\n" +
				"-callers 9999: give a number from 1 to 4096, or leave the flag out for as many as the workers take\n" +
				"-rate -1: give calls a second, up to 10000000, or 0 for as many as the callers can"},
	}
	for _, test := range tests {
		_, err := parseLoad(test.args...)
		require.EqualError(t, err, test.want)
	}
}

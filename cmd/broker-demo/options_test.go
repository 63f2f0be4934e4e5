package main

import (
	"bytes"
	"flag"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// parseRun parses the arguments of run.
func parseRun(args ...string) (runOptions, error) {
	var o runOptions
	set := flag.NewFlagSet("run", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	o.register(set)
	if err := set.Parse(args); err != nil {
		return o, err
	}
	return o, o.complete(set.Args())
}

func TestRunFlags(t *testing.T) {
	o, err := parseRun("-workers", "3", "-inflight", "2", "-kill-every", "10", "-for", "15s", "-verify", "-ledger", "l", "-json", "dir")
	require.NoError(t, err)
	require.Equal(t, runOptions{
		crewOptions: crewOptions{workers: 3, inFlight: 2, killEvery: 10, ledger: "l", json: true},
		root:        "dir", duration: 15 * time.Second, verify: true,
	}, o)

	o, err = parseRun()
	require.NoError(t, err)
	require.Empty(t, o.root)
	require.Positive(t, o.workers)
	require.Equal(t, 1, o.inFlight)
}

func TestRunFlagErrorsNameTheFlagAndTheRemedy(t *testing.T) {
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"-workers", "0"}, "-workers 0: at least one is needed; leave the flag out for one per CPU"},
		{[]string{"-inflight", "-1"}, "-inflight -1: a worker needs at least one call at a time; leave the flag out for one"},
		{[]string{"-workers", "1000", "-inflight", "1000"}, "-workers 1000 -inflight 1000: more than 4096 calls at a time; lower one of them"},
		{[]string{"-workers", "9223372036854775807", "-inflight", "2"}, "-workers 9223372036854775807 -inflight 2: more than 4096 calls at a time; lower one of them"},
		{[]string{"-kill-every", "-5"}, "-kill-every -5: give the number of files between two kills, or 0 for none"},
		{[]string{"-for", "-1s"}, "-for -1s: give a duration such as 30s, or leave the flag out for one walk"},
		{[]string{"a", "b"}, "2 directories: name one, or none for the sources of Go"},
		{[]string{"a", "-verify", "-json"}, "-verify: flags go before the directory: broker-demo run -verify -json a"},
		{[]string{"-workers", "0", "-kill-every", "-5"}, "-workers 0: at least one is needed; leave the flag out for one per CPU\n" +
			"-kill-every -5: give the number of files between two kills, or 0 for none"},
	}
	for _, test := range tests {
		_, err := parseRun(test.args...)
		require.EqualError(t, err, test.want)
	}
}

func TestCommandLine(t *testing.T) {
	tests := []struct {
		args           []string
		code           int
		stdout, stderr string // contained
	}{
		{nil, exitOK, "SUBCOMMANDS\n  run", ""},
		{[]string{"-h"}, exitOK, "SUBCOMMANDS\n  run", ""},
		{[]string{"run", "-h"}, exitOK, "-kill-every", ""},
		{[]string{"jump"}, exitUsage, "", `broker-demo: unknown command "jump"; broker-demo -h lists them`},
		{[]string{"-x"}, exitUsage, "", "broker-demo: flag provided but not defined: -x; -h lists the flags\n"},
		{[]string{"run", "-wrokers", "2"}, exitUsage, "", "-wrokers; -h lists the flags\n"},
		{[]string{"run", "-workers", "many"}, exitUsage, "", `invalid value "many" for flag -workers`},
		{[]string{"run", "-workers", "0"}, exitUsage, "", "broker-demo: -workers 0: at least one is needed"},
		{[]string{"run", "-ledger", "absent/dir/l", "."}, exitUsage, "", "-ledger: open "},
		{[]string{"run", "absent/dir"}, exitWrong, "", "absent/dir: no such file"},
		{[]string{"load", "-h"}, exitOK, "coordinated omission", ""},
		{[]string{"load", "-rate", "-1"}, exitUsage, "", "broker-demo: -rate -1: give calls a second"},
		{[]string{"load", "-ledger", "absent/dir/l"}, exitUsage, "", "-ledger: open "},
		{[]string{"call", "-h"}, exitOK, "-arg VALUE", ""},
		{[]string{"call", "cmd"}, exitUsage, "", "broker-demo: a worker program and a method are needed: "},
		{[]string{"monitor", "-h"}, exitOK, "-max-attempts 0", ""},
		{[]string{"monitor", "-json"}, exitUsage, "", "broker-demo: a command is needed: "},
	}
	for _, test := range tests {
		var stdout, stderr bytes.Buffer
		code := run(test.args, console{stdout: &stdout, stderr: &stderr})
		require.Equal(t, test.code, code, "%v: %s", test.args, &stderr)
		require.Contains(t, stdout.String(), test.stdout, "%v", test.args)
		require.Contains(t, stderr.String(), test.stderr, "%v", test.args)
		if test.stdout == "" {
			require.Empty(t, stdout.String(), "%v", test.args)
		}
		if test.stderr == "" {
			require.Empty(t, stderr.String(), "%v", test.args)
		}
	}
}

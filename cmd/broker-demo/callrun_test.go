package main

import (
	"bytes"
	"flag"
	"io"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/stdcrew/stdcrew/broker"
)

// parseCall parses the arguments of call.
func parseCall(args ...string) (callOptions, error) {
	var o callOptions
	set := flag.NewFlagSet("call", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	o.register(set)
	if err := set.Parse(args); err != nil {
		return o, err
	}
	return o, o.complete(set.Args())
}

func TestCallCommandLine(t *testing.T) {
	o, err := parseCall("-arg", "-x", "-arg", "a b", "-timeout", "3s", "--", "./Image.Worker", "resize", "-5")
	require.NoError(t, err)
	require.Equal(t, callOptions{
		command: broker.Command{Path: "./Image.Worker", Args: []string{"-x", "a b"}},
		method:  "resize", args: msgpack.RawMessage("\xfb"), timeout: 3 * time.Second,
	}, o)
	require.Equal(t, "image_worker", o.poolName())

	o, err = parseCall("cmd", "m")
	require.NoError(t, err)
	require.Equal(t, msgpack.RawMessage("\xc0"), o.args)
	require.Equal(t, time.Minute, o.timeout)
}

func TestCallCommandLineErrorsNameTheRemedy(t *testing.T) {
	const usage = "broker-demo call [flags] -- CMD METHOD [JSON]"
	tests := []struct {
		args []string
		want string
	}{
		{nil, "a worker program and a method are needed: " + usage},
		{[]string{"cmd"}, "a worker program and a method are needed: " + usage},
		{[]string{"cmd", ""}, "the worker program or the method is empty: " + usage},
		{[]string{"cmd", "m", "1", "2"},
			"4 arguments where there are 3 at most, CMD METHOD JSON; give each argument of CMD with -arg, and quote the JSON"},
		{[]string{"cmd", "m", "{a}"},
			`"{a}": not JSON: invalid character 'a' looking for beginning of object key string; give one JSON value, such as '{"ms": 5}' or '"text"'`},
		{[]string{"-timeout", "-1s"}, "a worker program and a method are needed: " + usage + "\n-timeout -1s: give a duration such as 30s, or 0 for no limit"},
	}
	for _, test := range tests {
		_, err := parseCall(test.args...)
		require.EqualError(t, err, test.want)
	}
}

// callWorker has call make a call to this binary as a worker of that crew.
func callWorker(t *testing.T, crew string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	t.Setenv(asWorker, crew)
	self, err := os.Executable()
	require.NoError(t, err)
	return demo(t, append([]string{"call", "-timeout", "10s", "--", self}, args...)...)
}

func TestCallPrintsReplyTimesAndExit(t *testing.T) {
	code, stdout, stderr := callWorker(t, echoCrew, "echo", `{"a": [1, -2.5, "x"], "b": null}`)
	require.Equal(t, exitOK, code, stderr)
	require.Equal(t, `{"a":[1,-2.5,"x"],"b":null}`+"\n", stdout)
	require.Regexp(t, `(?m)^start: [0-9.]+[mµ]?s, call: [0-9.]+[mµ]?s$`, stderr)
	require.Regexp(t, `(?m)^worker \(pid [0-9]+\): stopped by us \(shutdown\): exited with code 0 after `, stderr)
}

func TestCallPrintsHowItFailed(t *testing.T) {
	tests := []struct {
		crew  string
		args  []string
		class string
		text  []string
	}{
		{"crash", []string{"kill"}, "class: interrupted, delivery: may have been executed\n",
			[]string{"): killed by signal 9 (KILL)", "call: ", "interrupted: killed by signal 9 (KILL)"}},
		{"crash", []string{"exit", "3"}, "class: interrupted, delivery: may have been executed\n", []string{"): exited with code 3 after "}},
		{echoCrew, []string{"jump"}, "class: caller, delivery: not executed\n", []string{`unknown method "jump"`}},
		{echoCrew, []string{"ledger_echo", `{"ledger": "/absent/l"}`}, "class: remote, delivery: answered\n", []string{"open ledger: "}},
	}
	for _, test := range tests {
		code, stdout, stderr := callWorker(t, test.crew, test.args...)
		require.Equal(t, exitWrong, code)
		require.Empty(t, stdout)
		require.Contains(t, stderr, test.class)
		for _, text := range test.text {
			require.Contains(t, stderr, text)
		}
		require.NotContains(t, stderr, "a worker program?")
	}
}

func TestCallGivesUp(t *testing.T) {
	t.Setenv(asWorker, echoCrew)
	self, err := os.Executable()
	require.NoError(t, err)
	code, _, stderr := demo(t, "call", "-timeout", "100ms", "--", self, "sleep", "60000")
	require.Equal(t, exitWrong, code)
	require.Contains(t, stderr, "class: context, delivery: ")
	require.Contains(t, stderr, "context deadline exceeded")
	require.Contains(t, stderr, "): stopped by us (shutdown): ")
}

func TestCallOfWhatIsNoWorker(t *testing.T) {
	tests := []struct {
		args []string
		text []string
	}{
		{[]string{"--", "/absent/program", "m"},
			[]string{"class: unavailable, delivery: not executed\n", `start "/absent/program": no such file`, `is ["/absent/program"] a worker program?`}},
		{[]string{"-arg", "-c", "-arg", "echo hello >&2; exit 7", "--", "sh", "m"},
			[]string{"class: unavailable, delivery: not executed\n", "): exited with code 7 after ", "line=hello", "; stderr: hello\n", "a worker program?"}},
		{[]string{"-timeout", "200ms", "-arg", "3600", "--", "sleep", "m"},
			[]string{"class: context, delivery: not executed\n", "killed by signal 9 (KILL) after ", `is ["sleep" "3600"] a worker program?`}},
	}
	for _, test := range tests {
		code, stdout, stderr := demo(t, append([]string{"call"}, test.args...)...)
		require.Equal(t, exitWrong, code)
		require.Empty(t, stdout)
		for _, text := range test.text {
			require.Contains(t, stderr, text)
		}
		require.NotContains(t, stderr, "start: ", "it never did")
	}
}

func TestCallInterrupted(t *testing.T) {
	t.Setenv(asWorker, echoCrew)
	self, err := os.Executable()
	require.NoError(t, err)
	for sent := 1; sent <= 2; sent++ {
		signals := make(chan os.Signal, 2)
		for range sent {
			signals <- os.Interrupt
		}
		o, err := parseCall("-timeout", "0", "--", self, "sleep", "3600000")
		require.NoError(t, err)
		restored := false
		var out, errs bytes.Buffer
		err = runCall(o, console{stdout: &out, stderr: &errs}, signals, func() { restored = true })
		var exit *exitError
		require.ErrorAs(t, err, &exit)
		require.Equal(t, exitInterrupted, exit.code)
		require.Contains(t, errs.String(), "class: context, ")
		require.True(t, restored)
	}
}

func TestCallKillsAFrozenWorkerWhenForced(t *testing.T) {
	t.Setenv(asWorker, "crash")
	self, err := os.Executable()
	require.NoError(t, err)
	o, err := parseCall("--", self, "kill", freeze)
	require.NoError(t, err)
	signals := make(chan os.Signal, 2)
	time.AfterFunc(200*time.Millisecond, func() {
		signals <- os.Interrupt
		signals <- os.Interrupt
	})
	start := time.Now()
	var out, errs bytes.Buffer
	err = runCall(o, console{stdout: &out, stderr: &errs}, signals, func() {})
	require.EqualError(t, err, "exit code 130")
	require.Less(t, time.Since(start), 4*time.Second, "the grace of a worker that is asked is 5 s")
	require.Contains(t, errs.String(), "killed by signal 9 (KILL) after ")
}

package main

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/monitor"
	"github.com/stdcrew/stdcrew/process"
)

// parseMonitor parses the arguments of monitor.
func parseMonitor(args ...string) (monitorOptions, error) {
	var o monitorOptions
	set := flag.NewFlagSet("monitor", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	o.register(set)
	if err := set.Parse(args); err != nil {
		return o, err
	}
	return o, o.complete(set.Args())
}

func TestMonitorCommandLine(t *testing.T) {
	o, err := parseMonitor("-threshold", "2s", "-kill-time", "3s", "-min-delay", "4s", "-max-delay", "5s", "-jitter", "0.5", "-max-attempts", "6",
		"-stop-on-success", "-ready-line", "^up", "-ready-timeout", "7s", "-name", "web", "-json", "-events-only", "--", "/bin/sh", "-c", "exit 1")
	require.NoError(t, err)
	require.Equal(t, monitorOptions{
		command: process.Command{Path: "/bin/sh", Args: []string{"-c", "exit 1"}},
		name:    "web",
		program: monitor.ProgramOptions{
			Policy: monitor.Policy{Threshold: 2 * time.Second, KillTime: 3 * time.Second, MinDelay: 4 * time.Second, MaxDelay: 5 * time.Second,
				Jitter: 0.5, MaxAttempts: 6},
			StopOnSuccess: true,
			ReadyLine:     regexp.MustCompile("^up"),
			ReadyTimeout:  7 * time.Second,
		},
		readyLine: "^up", json: true, eventsOnly: true,
	}, o)
}

// TestL4_1_MonitorDefaults: those of the package, and a command's own flags are left alone.
func TestL4_1_MonitorDefaults(t *testing.T) {
	o, err := parseMonitor("/bin/sh", "-json")
	require.NoError(t, err)
	require.Equal(t, monitorOptions{
		command: process.Command{Path: "/bin/sh", Args: []string{"-json"}},
		name:    "sh",
		program: monitor.ProgramOptions{Policy: monitor.Policy{
			Threshold: time.Second, KillTime: 5 * time.Second, MinDelay: time.Second, MaxDelay: time.Hour,
		}},
	}, o)
}

// TestMonitorZeroMeansWhatItSays, though package monitor has it mean the default.
func TestMonitorZeroMeansWhatItSays(t *testing.T) {
	o, err := parseMonitor("-kill-time", "0", "-ready-file", "f", "-ready-timeout", "0", "sh")
	require.NoError(t, err)
	require.Negative(t, o.program.KillTime)
	require.Negative(t, o.program.ReadyTimeout)

	o, err = parseMonitor("-ready-file", "f", "sh")
	require.NoError(t, err)
	require.Equal(t, time.Minute, o.program.ReadyTimeout)
}

func TestMonitorCommandLineErrorsNameTheRemedy(t *testing.T) {
	tests := []struct {
		args []string
		want string
	}{
		{nil, "a command is needed: broker-demo monitor [flags] -- CMD [ARG…]"},
		{[]string{""}, "a command is needed: broker-demo monitor [flags] -- CMD [ARG…]"},
		{[]string{"-threshold", "0", "sh"}, "-threshold 0s: give a duration above 0, such as 1s"},
		{[]string{"-kill-time", "-1s", "sh"}, "-kill-time -1s: give a duration such as 5s, or 0 for KILL right after TERM"},
		{[]string{"-min-delay", "-1s", "sh"}, "-min-delay -1s: give a duration above 0, such as 1s"},
		{[]string{"-max-delay", "0", "sh"}, "-max-delay 0s: give a duration above 0, such as 1h0m0s"},
		{[]string{"-min-delay", "2h", "sh"}, "-min-delay 2h0m0s is more than -max-delay, which is 1h0m0s; raise -max-delay or lower -min-delay"},
		{[]string{"-jitter", "1.5", "sh"}, "-jitter 1.5: give a part from 0 to 1, such as 0.1"},
		{[]string{"-jitter", "NaN", "sh"}, "-jitter NaN: give a part from 0 to 1, such as 0.1"},
		{[]string{"-max-attempts", "-1", "sh"}, "-max-attempts -1: give a number, or 0 to never give up"},
		{[]string{"-ready-line", "(", "sh"}, "-ready-line \"(\": error parsing regexp: missing closing ): `(`; " +
			"give a regular expression as Go has them, with \\ before what is meant literally"},
		{[]string{"-ready-line", "a", "-ready-file", "b", "sh"}, "-ready-line and -ready-file exclude each other; leave one out"},
		{[]string{"-ready-file", "b", "-ready-timeout", "-1s", "sh"}, "-ready-timeout -1s: give a duration such as 1m, or 0 for none"},
		{[]string{"-ready-timeout", "1s", "sh"}, "-ready-timeout 1s has no effect without -ready-line or -ready-file; give one, or leave it out"},
		{[]string{"-jitter", "-1", "-max-attempts", "-1"}, "a command is needed: broker-demo monitor [flags] -- CMD [ARG…]\n" +
			"-jitter -1: give a part from 0 to 1, such as 0.1\n-max-attempts -1: give a number, or 0 to never give up"},
	}
	for _, test := range tests {
		_, err := parseMonitor(test.args...)
		require.EqualError(t, err, test.want)
	}
}

// TestMonitorEvents holds how each kind of event is printed.
func TestMonitorEvents(t *testing.T) {
	crashed := process.Report{PID: 7, Code: 3, Uptime: 20 * time.Millisecond}
	killed := process.Report{PID: 7, Code: -1, Signal: process.Signal(syscall.SIGKILL), Killer: process.KillerShutdown, Uptime: 2 * time.Second}
	tests := []struct {
		what       monitor.What
		text, json string // json without what all have
	}{
		{monitor.Started{PID: 7}, "    1.500  started       pid 7", `"event":"started","detail":"pid 7","pid":7`},
		{monitor.Ready{After: time.Second / 4}, "    1.500  ready         after 250ms", `"event":"ready","detail":"after 250ms","after_s":0.25`},
		{monitor.Ready{}, "    1.500  ready         after 0s", `"event":"ready","detail":"after 0s","after_s":0`},
		{monitor.Line{Stream: monitor.Stdout, Text: "a <b> "}, "o| a <b> ", `"event":"line","detail":"a \u003cb\u003e ","stream":"stdout"`},
		{monitor.Line{Stream: monitor.Stderr}, "e| ", `"event":"line","stream":"stderr"`},
		{monitor.Exited{Report: crashed}, "    1.500  exited        exited with code 3 after 20ms",
			`"event":"exited","detail":"exited with code 3 after 20ms","pid":7,"code":3,"lived_s":0.02`},
		{monitor.Exited{Report: killed}, "    1.500  exited        stopped by us (shutdown): killed by signal 9 (KILL) after 2s",
			`"event":"exited","detail":"stopped by us (shutdown): killed by signal 9 (KILL) after 2s","pid":7,"code":-1,"signal":"KILL",` +
				`"killer":"shutdown","lived_s":2`},
		{monitor.BackingOff{Delay: 2 * time.Second, Attempt: 2}, "    1.500  backing off   restart in 2s (attempt 2 failed)",
			`"event":"backing off","detail":"restart in 2s (attempt 2 failed)","delay_s":2,"attempt":2`},
		{monitor.Restarting{}, "    1.500  restarting", `"event":"restarting"`},
		{monitor.StartFailed{Err: errors.New("no")}, "    1.500  start failed  no", `"event":"start failed","detail":"no"`},
		{monitor.GaveUp{Attempts: 3, Report: crashed}, "    1.500  given up      after 3 attempts",
			`"event":"given up","detail":"after 3 attempts","pid":7,"code":3,"lived_s":0.02,"attempts":3`},
		{monitor.GaveUp{Attempts: 1, Err: errors.New("no")}, "    1.500  given up      after 1 attempt",
			`"event":"given up","detail":"after 1 attempt","attempts":1`},
		{monitor.Stopped{}, "    1.500  stopped", `"event":"stopped"`},
		{monitor.Dropped{Events: 2}, "    1.500  dropped       2 events are missing", `"event":"dropped","detail":"2 events are missing","missing":2`},
	}
	begun := time.Now()
	for _, test := range tests {
		e := newMonitorEvent(monitor.Event{Program: "web", Generation: 4, Time: begun.Add(1500 * time.Millisecond), What: test.what}, begun)
		var text, line bytes.Buffer
		require.NoError(t, e.writeText(&text))
		require.Equal(t, test.text+"\n", text.String())
		require.NoError(t, e.writeJSON(&line))
		require.Equal(t, `{"since_s":1.5,"program":"web","generation":4,`+test.json+"}\n", line.String())
	}
}

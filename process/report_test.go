package process

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestL1_5_L5_8_ReportSaysCodeOrSignal(t *testing.T) {
	const up = 4*time.Minute + 12*time.Second + 345*time.Millisecond
	for text, r := range map[string]Report{
		"has not exited":                                       {},
		"exited with code 0 after 4m12s":                       {PID: 9, Uptime: up},
		"exited with code 3 after 1.2s":                        {PID: 9, Code: 3, Uptime: 1234 * time.Millisecond},
		"killed by signal 9 (KILL) after 4m12s":                {PID: 9, Code: -1, Signal: KILL, Uptime: up},
		"killed by signal 15 (TERM) after 1m0s":                {PID: 9, Code: -1, Signal: TERM, Uptime: time.Minute},
		"killed by signal 99 after 12ms":                       {PID: 9, Code: -1, Signal: 99, Uptime: 12345 * time.Microsecond},
		"stopped by us (idle): exited with code 0 after 4m12s": {PID: 9, Killer: KillerIdle, Uptime: up},
		"stopped by us (hang): killed by signal 9 (KILL) after 12µs": {PID: 9, Code: -1, Signal: KILL, Killer: KillerHang,
			Uptime: 12345 * time.Nanosecond},
		"exited with a status that other code of this program took after 4m12s": {PID: 9, Code: -1, Lost: true, Uptime: up},
	} {
		require.Equal(t, text, r.String())
	}
}

func TestL1_5_SuccessIsStatusZeroOnly(t *testing.T) {
	require.True(t, Report{PID: 9}.Success())
	require.False(t, Report{}.Success(), "it has not exited")
	require.False(t, Report{PID: 9, Code: 1}.Success())
	require.False(t, Report{PID: 9, Code: -1, Signal: TERM}.Success())
	require.False(t, Report{PID: 9, Code: -1, Lost: true}.Success())
}

func TestSignalNames(t *testing.T) {
	require.Equal(t, "KILL", KILL.String())
	require.Equal(t, "INT", INT.String())
	require.Equal(t, "TERM", TERM.String())
	require.Equal(t, "HUP", HUP.String())
	require.Equal(t, "signal 99", Signal(99).String())
}

func TestL5_2_ParseSignal(t *testing.T) {
	for text, want := range map[string]Signal{
		"TERM": TERM, "SIGTERM": TERM, "sigterm": TERM, "15": TERM,
		"KILL": KILL, "9": KILL, "Int": INT, "SIGHUP": HUP, "1": HUP,
	} {
		got, err := ParseSignal(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for s := Signal(1); s < signalLimit; s++ {
		if signalName(s) != "" {
			got, err := ParseSignal(s.String())
			require.NoError(t, err)
			require.Equal(t, s, got)
		}
	}
	for _, text := range []string{"", "SIG", "NOPE", "0", "-1", "99", "SIG15", "SIGSIGTERM", " TERM"} {
		_, err := ParseSignal(text)
		require.ErrorContains(t, err, fmt.Sprintf("unknown signal %q; known are HUP, INT, ", text))
		require.ErrorContains(t, err, ", TERM")
		require.ErrorContains(t, err, fmt.Sprintf("and the numbers from 1 to %d", signalLimit-1))
	}
}

func TestStepNames(t *testing.T) {
	for step, name := range map[Step]string{Ask: "ask", CloseStdin: "close stdin", Terminate: "terminate", Kill: "kill", 9: "unknown step"} {
		require.Equal(t, name, step.String())
	}
}

func TestL1_13_AskedForOrCrashed(t *testing.T) {
	t.Run("crash", func(t *testing.T) {
		p := StartFunc(func(*Memory) int { return 1 }, Options{})
		require.Empty(t, reportOf(p).Killer)
	})
	t.Run("first reason wins", func(t *testing.T) {
		p := StartFunc(deaf, Options{})
		p.Blame(KillerIdle)
		p.Blame(KillerShutdown)
		require.NoError(t, p.Do(Kill))
		require.Equal(t, KillerIdle, reportOf(p).Killer)
	})
	t.Run("a step without a reason", func(t *testing.T) {
		p := StartFunc(deaf, Options{})
		require.NoError(t, p.Do(Kill))
		require.Equal(t, KillerAsked, reportOf(p).Killer)
	})
	t.Run("closing stdin is no reason", func(t *testing.T) {
		p := StartFunc(func(m *Memory) int {
			m.Stdin.Read(make([]byte, 1))
			return 0
		}, Options{})
		require.NoError(t, p.Do(CloseStdin))
		require.Empty(t, reportOf(p).Killer)
	})
	t.Run("too late", func(t *testing.T) {
		p := StartFunc(func(*Memory) int { return 1 }, Options{})
		<-p.Exited()
		p.Blame(KillerIdle)
		require.Empty(t, reportOf(p).Killer)
	})
}

func TestReportNamesStrays(t *testing.T) {
	r := Report{PID: 1, Uptime: time.Second}
	require.Equal(t, "exited with code 0 after 1s", r.String())
	r.Strays = []Stray{{PID: 11, Name: "sleep", Killed: true}, {PID: 12, Name: "cat"}}
	require.Equal(t, "exited with code 0 after 1s, left behind sleep (pid 11, killed), cat (pid 12, may still run)", r.String())
	for pid := range 3 {
		r.Strays = append(r.Strays, Stray{PID: pid, Name: "x", Killed: true})
	}
	require.Equal(t, "exited with code 0 after 1s, left behind sleep (pid 11, killed), cat (pid 12, may still run), x (pid 0, killed) and 2 more", r.String())
}

package main

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestIdleOptions(t *testing.T) {
	ok := idleOptions{workers: 1, duration: time.Second}
	require.NoError(t, ok.check(nil))
	err := (&idleOptions{workers: 0, duration: -1, calls: -1}).check([]string{"x"})
	for _, text := range []string{`["x"]: idle takes no arguments`, "-workers 0: give", "-duration -1ns: give", "-calls -1: give"} {
		require.ErrorContains(t, err, text)
	}
	require.ErrorContains(t, (&idleOptions{workers: maxIdle + 1, duration: 1}).check(nil), "-workers 20001")
}

func TestIdleSummary(t *testing.T) {
	s := idleSummary{Workers: 2, Ready: 0.5, Threads: 9, ThreadsMax: 12, Resident: 30 << 10, CPU: 1.5, Idle: 30, Calls: 10, Failed: 1, Used: 2, Stop: 0.25, Left: 1}
	var out bytes.Buffer
	s.writeText(&out)
	require.Equal(t, "2 workers: ready after 0.5 s\n"+
		"idle for 30.0 s: 9 threads, 30.0 KiB resident for each worker, 1.5 ms of CPU\n"+
		"10 calls on 2 workers in 0.0 s: 1 failed; 12 threads at the most\n"+
		"stopped in 0.2 s, 1 child left\n", out.String())
	line, err := json.Marshal(s)
	require.NoError(t, err)
	require.JSONEq(t, `{"workers":2,"ready_s":0.5,"threads":9,"threads_max":12,"resident_bytes_per_worker":30720,"cpu_ms":1.5,"idle_s":30,
		"calls":10,"calls_failed":1,"workers_used":2,"calls_s":0,"stop_s":0.25,"left":1}`, string(line))
}

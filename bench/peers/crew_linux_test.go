package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// What the contender beside the struct sends is what a workload of 64 bytes does, by the system's own count.
func TestShortCrewSendsShortCalls(t *testing.T) {
	record := workload{recordPayload, 1, 1, 1}
	short := readForACall(t, shortCrew, record)
	require.InDelta(t, readForACall(t, crew, workload{"64B", 1, 1, 1}), short, 8) // the runtime reads a few bytes now and then to wake itself
	require.Greater(t, readForACall(t, crew, record), short*5/4)
}

// readForACall is how many bytes a worker reads for a call.
func readForACall(t *testing.T, c contender, w workload) int {
	const calls = 1000
	s, err := c.start(w)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.close()) }()
	call := s.caller(0)
	require.NoError(t, call(context.Background())) // what is read at the start is read
	before := bytesRead(t, s.pids()[0])
	for range calls {
		require.NoError(t, call(context.Background()))
	}
	return (bytesRead(t, s.pids()[0]) - before) / calls
}

var readChars = regexp.MustCompile(`rchar: (\d+)`)

// bytesRead is how many bytes a process has read so far.
func bytesRead(t *testing.T, pid int) int {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/io")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("facility missing: /proc/PID/io (CONFIG_TASK_IO_ACCOUNTING), by which a worker's reads are counted from outside")
	}
	require.NoError(t, err)
	n, err := strconv.Atoi(string(readChars.FindSubmatch(text)[1]))
	require.NoError(t, err)
	return n
}

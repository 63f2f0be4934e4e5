package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/stdcrew/stdcrew/bench/internal/gauge"
)

//go:embed scripts
var scripts embed.FS

// host is a process in another language that makes a workload's calls itself and measures them. It is told by lines what to do, and answers
// each with a line, a reply in JSON, before it reads the next:
//
//	round NANOSECONDS  has every caller call until the time is over, at least once
//	times              tells how long the calls of the last round took
//	life               starts a worker, kills it, and has the next one answer
//	version            tells that of the library
//
// The times are asked for by themselves because writing them down costs the host CPU time that belongs to no call.
type host struct {
	*child
	dir     string // of the scripts
	replies *json.Decoder
	workers []int // pids, as of the last round
}

// reply is what a host answers; each command has its own fields of it.
type reply struct {
	Error    string          `json:"error"`
	Took     time.Duration   `json:"took_ns"` // until the last caller had its answer
	PIDs     []int           `json:"pids"`
	Times    []time.Duration `json:"times_ns"`
	Start    time.Duration   `json:"start_ns"`
	Recovery time.Duration   `json:"recovery_ns"`
	Version  string          `json:"version"`
}

// startHost starts a script, which is a file of scripts and its first arguments; complaints may be nil.
func startHost(interpreter string, script []string, w workload, complaints io.Writer) (*host, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(interpreter, filepath.Join(dir, "scripts", script[0]))
	cmd.Args = append(append(cmd.Args, script[1:]...), w.Payload)
	for _, n := range []int{payloads[w.Payload], w.Callers, w.Workers} {
		cmd.Args = append(cmd.Args, strconv.Itoa(n))
	}
	cmd.Stderr = complaints
	ownGroup(cmd)
	c, err := startCopied(cmd, dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &host{child: c, dir: dir, replies: json.NewDecoder(c)}, nil
}

// startCopied starts a command that needs the scripts in the directory.
func startCopied(cmd *exec.Cmd, dir string) (*child, error) {
	if err := os.CopyFS(dir, scripts); err != nil {
		return nil, err
	}
	return startPiped(cmd)
}

// ask has the host do something. When the context ends, host and workers are killed.
func (h *host) ask(ctx context.Context, command string) (reply, error) {
	stop := context.AfterFunc(ctx, h.kill)
	defer stop()
	var r reply
	_, err := io.WriteString(h, command+"\n")
	if err == nil {
		err = h.replies.Decode(&r)
	}
	if err == nil && r.Error != "" {
		err = errors.New(r.Error)
	}
	if err != nil {
		return r, fmt.Errorf("%s: %w", command, errors.Join(context.Cause(ctx), err))
	}
	return r, nil
}

func (h *host) round(ctx context.Context, length time.Duration) (took time.Duration, err error) {
	r, err := h.ask(ctx, fmt.Sprintf("round %d", length.Nanoseconds()))
	h.workers = r.PIDs
	return r.Took, err
}

// Run has the callers call; if they do not end, host and workers are killed.
func (h *host) Run(length time.Duration) (took time.Duration, err error) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), length+patience, gauge.ErrStuck)
	defer cancel()
	return h.round(ctx, length)
}

// Times returns how long the calls of the last round took.
func (h *host) Times() ([]time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := h.ask(ctx, "times")
	return r.Times, err
}

// CPU returns the CPU time that host and workers have used.
func (h *host) CPU() (time.Duration, error) {
	return gauge.CPUTime(append([]int{h.pid()}, h.workers...)...)
}

// life is that of one worker, in a host of its own: what a library keeps for its next pool has no part in it.
func (h *host) life() (start, recovery time.Duration, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := h.ask(ctx, "life")
	return r.Start, r.Recovery, errors.Join(err, h.close())
}

func (h *host) pids() []int { return h.workers }

// kill kills the host and its workers, which are in its group. Should one be left, nobody waits for it.
func (h *host) kill() {
	const dying = 5 * time.Second
	killGroup(h.cmd)
	_ = h.from.SetReadDeadline(time.Now().Add(dying))
}

// close has the host leave, and its workers, which have inherited its output: all are gone when that ends.
func (h *host) close() error {
	overdue := time.AfterFunc(patience, h.kill)
	_ = h.to.Close()
	_, err := io.Copy(io.Discard, h.from)
	if !overdue.Stop() || err != nil {
		err = errors.Join(fmt.Errorf("process %d, or a worker of it, did not leave", h.pid()), err)
	}
	return errors.Join(err, h.end(), os.RemoveAll(h.dir))
}

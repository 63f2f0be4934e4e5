package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"text/tabwriter"
	"time"

	"github.com/stdcrew/stdcrew/bench/internal/gauge"
	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/process"
)

// deaths is what the end of a worker costs, beside the bare end of the same program. Each field has one time for each round.
type deaths struct {
	Bare    gauge.Figures `json:"bare"`    // from KILL to the end of file on its output
	Call    gauge.Figures `json:"call"`    // from KILL to the error of the call that it had
	Start   gauge.Figures `json:"start"`   // from fork to the first byte of its hello
	Replace gauge.Figures `json:"replace"` // from KILL to the answer of the next call, by the next worker
}

// measureDeaths kills so many workers, and as many bare children, in turns.
func measureDeaths(rounds int) (deaths, error) {
	b, err := broker.New(broker.Options{Pools: map[string]broker.PoolOptions{
		echoPool: {Command: broker.Self(echoPool), Min: 1, Max: 1, InFlight: 1},
	}})
	if err != nil {
		return deaths{}, err
	}
	defer b.Close()
	times := make(map[*gauge.Figures][]time.Duration)
	var d deaths
	for range rounds {
		start, bare, err := bareDeath()
		if err != nil {
			return deaths{}, fmt.Errorf("bare child: %w", err)
		}
		call, replace, err := callDeath(b)
		if err != nil {
			return deaths{}, err
		}
		for field, took := range map[*gauge.Figures]time.Duration{&d.Bare: bare, &d.Start: start, &d.Call: call, &d.Replace: replace} {
			times[field] = append(times[field], took)
		}
	}
	for field, all := range times {
		*field = gauge.Summarize(all, 0)
	}
	return d, nil
}

// bareDeath starts the worker program with os/exec, waits for its hello and kills it.
func bareDeath() (start, end time.Duration, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, 0, err
	}
	child := exec.Command(self)
	child.Env = append(os.Environ(), fmt.Sprintf("STDCREW_SELF=%s:%d", echoPool, os.Getpid()), "STDCREW_WORKER=1")
	stdin, err := child.StdinPipe()
	if err != nil {
		return 0, 0, err
	}
	defer stdin.Close()
	stdout, err := child.StdoutPipe()
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if err := child.Start(); err != nil {
		return 0, 0, err
	}
	defer func() { _ = child.Wait() }() // it says that the child was killed
	buffer := make([]byte, 4096)
	if _, err := stdout.Read(buffer); err != nil {
		_ = child.Process.Kill()
		return 0, 0, fmt.Errorf("read its hello: %w", err)
	}
	start = time.Since(began)
	time.Sleep(settle)
	began = time.Now()
	if err := child.Process.Kill(); err != nil {
		return 0, 0, err
	}
	for err == nil {
		_, err = stdout.Read(buffer)
	}
	if !errors.Is(err, io.EOF) {
		return 0, 0, err
	}
	return start, time.Since(began), nil
}

// settle is how long a child is left alone before it is killed, so that it waits for input as idle ones do.
const settle = 3 * time.Millisecond

// callDeath kills the worker while it has a call.
func callDeath(b *broker.Broker) (failed, replaced time.Duration, err error) {
	if err := b.Call(context.Background(), echoPool+".echo", "proof of health", nil); err != nil {
		return 0, 0, err
	}
	pid := b.Snapshot().Pools[echoPool].Workers[0].PID
	ended := make(chan time.Time, 1)
	var callErr error
	// Ends with the worker.
	go func() {
		callErr = b.Call(context.Background(), echoPool+".sleep", 60_000, nil)
		ended <- time.Now()
	}()
	time.Sleep(settle) // the worker has the call by then; if not, it ends all the same
	began := time.Now()
	child, err := os.FindProcess(pid)
	if err != nil {
		return 0, 0, err
	}
	if err := child.Kill(); err != nil {
		return 0, 0, err
	}
	failed = (<-ended).Sub(began)
	var exit broker.Exit
	if !errors.As(callErr, &exit) || exit.Report.Signal != process.KILL {
		return 0, 0, fmt.Errorf("the call of a killed worker ended otherwise: %w", callErr)
	}
	if err := b.Call(context.Background(), echoPool+".echo", "the next one", nil); err != nil {
		return 0, 0, err
	}
	return failed, time.Since(began), nil
}

func (s settings) runDeaths() error {
	d, err := measureDeaths(s.deaths)
	if err != nil {
		return err
	}
	if s.json {
		return json.NewEncoder(os.Stdout).Encode(d)
	}
	return printDeaths(os.Stdout, s.deaths, d)
}

// printDeaths prints the results for people.
func printDeaths(out io.Writer, rounds int, d deaths) error {
	fmt.Fprintf(out, "a worker killed in the middle of a call, and a bare child of the same program, %d times in turns\n\n", rounds)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\tp50\tmean\tp99")
	for _, row := range []struct {
		name string
		f    gauge.Figures
	}{
		{"KILL to end of file, bare", d.Bare},
		{"KILL to the call's error", d.Call},
		{"fork to hello, bare", d.Start},
		{"KILL to the next worker's answer", d.Replace},
	} {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", row.name, micros(row.f.P50), micros(row.f.Mean), micros(row.f.P99))
	}
	return table.Flush()
}

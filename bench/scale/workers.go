package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/stdcrew/stdcrew/bench/internal/gauge"
	"github.com/stdcrew/stdcrew/broker"
)

// Patterns of calls to many workers.
const (
	latest = "latest" // one caller, which always gets the worker that was used last, as the pool has it by itself
	circle = "circle" // one caller, which goes to all workers one after the other, by leases: none of them is in a cache
	crowd  = "crowd"  // as many callers as workers, which are all busy
)

var patterns = []struct{ name, what string }{
	{latest, "one caller, whom the pool gives the worker that was used last; beside a host with one worker"},
	{circle, "one caller, which goes round all workers; beside a host with one worker"},
	{crowd, "as many callers as workers; beside a host with one caller and one worker"},
}

// measureWorkers compares a host that has n workers with a host that has one, both alive: in one process, what many workers cost the host
// as a whole would slow both alike, and be in no ratio. One beside one shows what the comparison itself is good for.
func measureWorkers(s settings) (tables []table, err error) {
	one, err := startHost(1, s.arguments())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, one.close()) }()
	for _, p := range patterns {
		tables = append(tables, table{Name: "workers, " + p.name, What: p.what})
	}
	for _, n := range s.workers {
		rows, err := compareHosts(n, one, s)
		if err != nil {
			return nil, fmt.Errorf("%d workers: %w", n, err)
		}
		for i := range tables {
			tables[i].Rows = append(tables[i].Rows, rows[i])
		}
	}
	return tables, nil
}

// compareHosts returns a row for each pattern.
func compareHosts(n int, one *host, s settings) (rows []row, err error) {
	many, err := startHost(n, s.arguments())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, many.close()) }()
	for _, p := range patterns {
		as, bs, err := inTurns(s.rounds,
			func() (gauge.Figures, error) { return many.round(p.name, s.length) },
			func() (gauge.Figures, error) { return one.round(p.name, s.length) })
		if err != nil {
			return nil, err
		}
		r := row{Name: strconv.Itoa(n)}
		r.addComparison(as, bs)
		rows = append(rows, r)
	}
	return rows, nil
}

// host is another process of this program, with a broker of its own. It measures when it is told to.
type host struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *json.Decoder
}

// order is what a host is told.
type order struct {
	Pattern string
	Length  time.Duration
}

func startHost(n int, arguments []string) (*host, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := exec.Command(self, append([]string{"-host", strconv.Itoa(n)}, arguments...)...)
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	h := &host{command: c, in: in, out: json.NewDecoder(out)}
	var ready int
	if err := h.out.Decode(&ready); err != nil {
		return nil, errors.Join(fmt.Errorf("host of %d workers: %w", n, err), h.close())
	}
	return h, nil
}

func (h *host) round(pattern string, length time.Duration) (f gauge.Figures, err error) {
	if err := json.NewEncoder(h.in).Encode(order{pattern, length}); err != nil {
		return f, err
	}
	if err := h.out.Decode(&f); err != nil {
		return f, fmt.Errorf("host: %w", err)
	}
	return f, nil
}

// close tells the host to leave, which it does when its workers have.
func (h *host) close() error {
	_ = h.in.Close()
	overdue := time.AfterFunc(patience, func() { _ = h.command.Process.Kill() })
	defer overdue.Stop()
	if err := h.command.Wait(); err != nil {
		return fmt.Errorf("host: %w", err)
	}
	return nil
}

// asHost makes the program a host if it was started to be one, and does not return then.
func asHost() {
	if len(os.Args) < 3 || os.Args[1] != "-host" {
		return
	}
	var s settings
	f := flag.NewFlagSet("host", flag.ExitOnError)
	s.register(f)
	_ = f.Parse(os.Args[1:]) // it exits by itself
	exit(beHost(s.host, os.Stdin, os.Stdout))
}

// beHost starts its workers, says so, and answers orders until there are no more.
func beHost(n int, in io.Reader, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := newCrew(ctx, broker.PoolOptions{Min: n, Max: n})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	answer := json.NewEncoder(out)
	if err := answer.Encode(n); err != nil {
		return err
	}
	pids := c.pids()
	orders := json.NewDecoder(bufio.NewReader(in))
	for {
		var o order
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		f, err := c.follow(o, n, pids)
		if err != nil {
			return err
		}
		if err := answer.Encode(f); err != nil {
			return err
		}
	}
}

// follow does what one order says.
func (c *crew) follow(o order, n int, pids []int) (gauge.Figures, error) {
	switch o.Pattern {
	case latest:
		return gauge.Round(newClosedLoop(pids, c.echo()), o.Length)
	case crowd:
		callers := make([]gauge.Call, n)
		for i := range callers {
			callers[i] = c.echo()
		}
		return gauge.Round(newClosedLoop(pids, callers...), o.Length)
	case circle:
		calls, release, err := c.leaseAll(context.Background(), n)
		if err != nil {
			return gauge.Figures{}, err
		}
		defer release()
		return gauge.Round(newClosedLoop(pids, around(calls)), o.Length)
	default:
		return gauge.Figures{}, fmt.Errorf("no pattern %q", o.Pattern)
	}
}

// Command peers has stdcrew and others that call processes do the same work, side by side.
//
// Contenders take turns, round by round, so that whatever else the machine does falls on all alike; each workload is measured with the
// processes placed by the operating system (free) and on one core (pinned), in a fresh process each. The first contender is the floor: raw
// pipes and nothing else. Every contender answers correctly once before anything is measured. Nothing is asserted.
// Python and Node have hosts of their own, which measure their calls themselves. What is not installed is left out by name; Node looks for
// workerpool where NODE_PATH says.
//
//	go run ./peers                                  # a table
//	go run ./peers -out results.json                # and for ./charts
//	go run ./peers -only 'stdcrew|net/rpc' -workloads '64B/c256' -rounds 9
//	go run ./peers -all                             # every combination; takes an hour
//
// A workload's name has its payload, callers, workers and calls in flight to a worker: 64B/c256/w8/f1. One
// more is called start: the time from nothing to the first answer, and with it recovery, from SIGKILL of an idle worker to the next answer.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/stdcrew/stdcrew/bench/internal/placement"
	"github.com/stdcrew/stdcrew/bench/internal/report"
	"github.com/stdcrew/stdcrew/worker"
)

// settings is what the flags say.
type settings struct {
	rounds    int
	length    time.Duration
	only      string
	workloads string
	all       bool
	out       string
	placement string // set in the processes that measure
}

func main() {
	worker.Main(crewWorkers)
	asServer()
	var s settings
	flag.IntVar(&s.rounds, "rounds", 9, "measure each contender `N` times, in turns")
	flag.DurationVar(&s.length, "time", 250*time.Millisecond, "let each round last that `long`")
	flag.StringVar(&s.only, "only", "", "only contenders whose name matches the `pattern`; the floor is always there")
	flag.StringVar(&s.workloads, "workloads", "", "only workloads whose name matches the `pattern`")
	flag.BoolVar(&s.all, "all", false, "every combination of payload, callers, workers and calls in flight")
	flag.StringVar(&s.out, "out", "", "write all rounds as JSON to `file`, too")
	placement.Flag(flag.CommandLine, &s.placement)
	flag.Parse()
	exit(s.run())
}

func exit(err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "peers: %v\n", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func (s settings) run() error {
	chosen, err := s.choose()
	if err != nil {
		return err
	}
	if s.placement != "" {
		return placement.Here(s.placement, func() ([]report.Result, error) { return s.measureAll(chosen) })
	}
	r := newReport(s, chosen)
	for _, name := range chosen.workloads {
		for _, where := range placement.All {
			fmt.Fprintf(os.Stderr, "%s, %s\n", name, where)
			results, err := placement.Elsewhere[report.Result](where, s.arguments(name)...)
			if errors.Is(err, errors.ErrUnsupported) {
				fmt.Fprintf(os.Stderr, "left out %s: %v\n", where, err)
				continue
			}
			if err != nil {
				return fmt.Errorf("%s, %s: %w", name, where, err)
			}
			r.Results = append(r.Results, results...)
		}
	}
	if s.out != "" {
		if err := report.Save(s.out, r); err != nil {
			return err
		}
	}
	return r.Print(os.Stdout)
}

// arguments are the flags with which another process measures one workload in the same way.
func (s settings) arguments(workload string) []string {
	return []string{
		"-workloads", "^" + regexp.QuoteMeta(workload) + "$", "-only", s.only,
		"-rounds", strconv.Itoa(s.rounds), "-time", s.length.String(), "-all=" + strconv.FormatBool(s.all),
	}
}

func newReport(s settings, c choice) *report.Report {
	r := &report.Report{Machine: report.Here(), Rounds: s.rounds, Length: s.length, Skipped: c.skipped}
	versions := map[string]string{"": "this tree", goModule: runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			versions[m.Path] = m.Version
		}
	}
	for _, k := range c.contenders {
		version := versions[k.module]
		if k.version != nil {
			version = k.version()
		}
		r.Contenders = append(r.Contenders, report.Entry{Name: k.name, Version: version, What: k.what})
	}
	return r
}

// goModule stands for what comes with Go.
const goModule = "std"

// choice is who is to do what.
type choice struct {
	contenders []contender
	workloads  []string
	skipped    map[string]string // by name, with the reason
}

func (s settings) choose() (choice, error) {
	c := choice{skipped: make(map[string]string)}
	only, err := regexp.Compile(s.only)
	if err != nil {
		return c, fmt.Errorf("-only: %w", err)
	}
	workloads, err := regexp.Compile(s.workloads)
	if err != nil {
		return c, fmt.Errorf("-workloads: %w", err)
	}
	if s.rounds < 1 {
		return c, fmt.Errorf("-rounds %d: at least one is needed", s.rounds)
	}
	for i, k := range contenders {
		if i > 0 && !only.MatchString(k.name) {
			continue
		}
		if k.missing != nil {
			if what := k.missing(); what != "" {
				c.skipped[k.name] = what
				continue
			}
		}
		c.contenders = append(c.contenders, k)
	}
	among := shown
	if s.all {
		among = product()
	}
	for _, w := range among {
		c.add(workloads, w.String())
	}
	c.add(workloads, starts)
	if len(c.workloads) == 0 {
		return c, fmt.Errorf("-workloads %s: there is none of that name", s.workloads)
	}
	return c, nil
}

func (c *choice) add(pattern *regexp.Regexp, name string) {
	if pattern.MatchString(name) {
		c.workloads = append(c.workloads, name)
	}
}

func (s settings) measureAll(c choice) (all []report.Result, err error) {
	for _, name := range c.workloads {
		results, err := s.measure(name, c.contenders)
		if err != nil {
			return nil, err
		}
		all = append(all, results...)
	}
	for i := range all {
		all[i].Placement = s.placement
	}
	return all, nil
}

func (s settings) measure(name string, among []contender) ([]report.Result, error) {
	if name == starts {
		return measureLives(with(lone.Payload, among), s.rounds)
	}
	for _, w := range product() {
		if w.String() == name {
			return measure(w, with(w.Payload, among), s.rounds, s.length)
		}
	}
	return nil, fmt.Errorf("no workload %s", name)
}

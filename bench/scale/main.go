// Command scale measures what becomes of a broker with many workers, many waiting callers, and calls that come when they come.
//
//	go run ./scale                                  # everything; takes ten minutes
//	go run ./scale -only workers -rounds 9          # one question
//	go run ./scale -only 'open loop' -time 60s
//	go run ./scale -out results.json                # and as data
//
// The questions are: workers, what a call costs beside so many idle workers; waiting, what waiting callers cost and in which order they are
// served; starts, how long it takes until so many workers that are asked for at once are ready; memory, what an idle worker holds of the host
// and of its own; snapshots and events, what watching costs; open loop, how late answers are when calls come at half the rate at which they
// can be answered, counted from when each was due. All of it goes through the public interface, with real worker processes, each
// question in a fresh process. docs/scale.md tells how each is measured. Nothing is asserted but that answers are right and the order is kept.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/stdcrew/stdcrew/bench/internal/placement"
	"github.com/stdcrew/stdcrew/bench/internal/report"
	"github.com/stdcrew/stdcrew/worker"
)

// settings is what the flags say.
type settings struct {
	rounds    int
	length    time.Duration // of a round
	open      time.Duration // of an open loop
	only      string
	workers   numbers
	waiting   numbers
	starts    numbers
	seed      uint64
	out       string
	placement string // set in the processes that measure
	host      int    // set in those that are a host beside another
}

// measurement is one question.
type measurement struct {
	name   string
	pinned bool // on one core, too
	run    func(settings) ([]table, error)
}

var measurements = []measurement{
	{"workers", true, measureWorkers},
	{"waiting", false, measureWaiting},
	{"starts", false, measureStarts},
	{"memory", false, measureMemory},
	{"snapshots", false, measureSnapshots},
	{"events", false, measureEvents},
	{"open loop", false, measureOpenLoops},
}

// register adds the flags. What another process is to know goes to it as flags, too: see settings.arguments.
func (s *settings) register(f *flag.FlagSet) {
	s.workers, s.waiting, s.starts = numbers{1, 8, 64, 256, 1000}, numbers{0, 100, 1000, 10_000, 100_000}, numbers{1, 8, 64, 256}
	f.IntVar(&s.rounds, "rounds", 9, "measure `N` times, in turns with what is compared")
	f.DurationVar(&s.length, "round", 300*time.Millisecond, "let each round last that `long`")
	f.DurationVar(&s.open, "time", time.Minute, "let each open loop last that `long`")
	f.StringVar(&s.only, "only", "", "only questions whose name matches the `pattern`")
	f.Var(&s.workers, "workers", "`numbers` of workers")
	f.Var(&s.waiting, "waiting", "`numbers` of waiting callers")
	f.Var(&s.starts, "starts", "`numbers` of workers that are asked for at once")
	f.Uint64Var(&s.seed, "seed", 1, "`seed` of the arrivals in an open loop")
	f.StringVar(&s.out, "out", "", "write everything as JSON to `file`, too")
	placement.Flag(f, &s.placement)
	f.IntVar(&s.host, "host", 0, "be the host of `N` workers that is measured beside another; what to do comes from standard input")
}

// arguments are the flags with which another process has the same settings.
func (s settings) arguments() []string {
	return []string{
		"-rounds", strconv.Itoa(s.rounds), "-round", s.length.String(), "-time", s.open.String(), "-seed", strconv.FormatUint(s.seed, 10),
		"-workers", s.workers.String(), "-waiting", s.waiting.String(), "-starts", s.starts.String(),
	}
}

func main() {
	worker.Main(workers)
	asHost()
	var s settings
	s.register(flag.CommandLine)
	flag.Parse()
	exit(s.run())
}

func exit(err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "scale: %v\n", err)
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
		return placement.Here(s.placement, func() ([]table, error) { return s.measureAll(chosen) })
	}
	d := document{Machine: report.Here(), Rounds: s.rounds, Length: s.length}
	for _, m := range chosen {
		for _, where := range m.placements() {
			fmt.Fprintf(os.Stderr, "%s, %s\n", m.name, where)
			tables, err := placement.Elsewhere[table](where, append(s.arguments(), "-only", "^"+regexp.QuoteMeta(m.name)+"$")...)
			if errors.Is(err, errors.ErrUnsupported) {
				d.Skipped = append(d.Skipped, fmt.Sprintf("%s, %s (%v)", m.name, where, err))
				continue
			}
			if err != nil {
				return fmt.Errorf("%s, %s: %w", m.name, where, err)
			}
			d.Tables = append(d.Tables, tables...)
		}
	}
	if s.out != "" {
		if err := report.Save(s.out, d); err != nil {
			return err
		}
	}
	return d.print(os.Stdout)
}

func (m measurement) placements() []string {
	if m.pinned {
		return placement.All
	}
	return []string{placement.Free}
}

// choose returns what to measure, or all that is wrong with the flags.
func (s settings) choose() (chosen []measurement, err error) {
	if s.rounds < 1 {
		err = errors.Join(err, fmt.Errorf("-rounds %d: at least one is needed", s.rounds))
	}
	if s.length <= 0 || s.open <= 0 {
		err = errors.Join(err, errors.New("-round and -time must be longer than nothing"))
	}
	for name, n := range map[string]numbers{"-workers": s.workers, "-starts": s.starts} {
		if len(n) > 0 && n[0] < 1 {
			err = errors.Join(err, fmt.Errorf("%s %v: at least one is needed", name, n))
		}
	}
	if len(s.waiting) > 0 && s.waiting[len(s.waiting)-1] > deepest {
		err = errors.Join(err, fmt.Errorf("-waiting %v: more than %d have no room in the queue", s.waiting, deepest))
	}
	only, e := regexp.Compile(s.only)
	if e != nil {
		return nil, errors.Join(err, fmt.Errorf("-only: %w", e))
	}
	for _, m := range measurements {
		if only.MatchString(m.name) {
			chosen = append(chosen, m)
		}
	}
	if len(chosen) == 0 {
		err = errors.Join(err, fmt.Errorf("-only %s: there is nothing of that name", s.only))
	}
	return chosen, err
}

func (s settings) measureAll(chosen []measurement) (all []table, err error) {
	for _, m := range chosen {
		tables, err := m.run(s)
		if err != nil {
			return nil, err
		}
		for i := range tables {
			tables[i].Placement = s.placement
		}
		all = append(all, tables...)
	}
	return all, nil
}

// numbers is a flag of several, smallest first.
type numbers []int

func (n numbers) String() string {
	all := make([]string, len(n))
	for i, v := range n {
		all[i] = strconv.Itoa(v)
	}
	return strings.Join(all, ",")
}

// Set takes numbers with commas between them.
func (n *numbers) Set(text string) error {
	*n = nil
	for field := range strings.SplitSeq(text, ",") {
		v, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil || v < 0 {
			return fmt.Errorf("%q is not a number", field)
		}
		if len(*n) > 0 && v <= (*n)[len(*n)-1] {
			return fmt.Errorf("%d is not more than the one before it", v)
		}
		*n = append(*n, v)
	}
	return nil
}

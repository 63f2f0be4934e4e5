package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"regexp"
	"time"

	"github.com/stdcrew/stdcrew/monitor"
	"github.com/stdcrew/stdcrew/process"
)

const monitorUsage = "broker-demo monitor [flags] -- CMD [ARG…]"

// The defaults of monitor's flags are those of package monitor.
const (
	monitorThreshold    = time.Second
	monitorKillTime     = 5 * time.Second
	monitorMinDelay     = time.Second
	monitorMaxDelay     = time.Hour
	monitorReadyTimeout = time.Minute
)

// monitorOptions is what the command line of monitor says.
type monitorOptions struct {
	command process.Command
	name    string
	program monitor.ProgramOptions // filled in by complete, but for what needs no check

	readyLine  string
	json       bool
	eventsOnly bool
}

// register adds the flags to set; they are in o once set has parsed them and complete has been called.
func (o *monitorOptions) register(set *flag.FlagSet) {
	p := &o.program
	set.DurationVar(&p.Threshold, "threshold", monitorThreshold, "a life shorter than `D` is followed by a delay")
	set.DurationVar(&p.KillTime, "kill-time", monitorKillTime, "send KILL when CMD has not ended `D` after TERM")
	set.DurationVar(&p.MinDelay, "min-delay", monitorMinDelay, "wait `D` before the first restart in a row")
	set.DurationVar(&p.MaxDelay, "max-delay", monitorMaxDelay, "wait no longer than `D`")
	set.Float64Var(&p.Jitter, "jitter", 0, "draw each delay longer or shorter by up to this `PART` of it, from 0 to 1")
	set.IntVar(&p.MaxAttempts, "max-attempts", 0, "give up after `N` short lives in a row; 0 is never")
	set.BoolVar(&p.StopOnSuccess, "stop-on-success", false, "end when CMD has exited with code 0")
	set.StringVar(&o.readyLine, "ready-line", "", "CMD is ready when it writes a line that `REGEXP` matches; before that its life is short")
	set.StringVar(&p.ReadyFile, "ready-file", "", "CMD is ready when it has made `FILE`, or written it anew")
	set.DurationVar(&p.ReadyTimeout, "ready-timeout", monitorReadyTimeout, "end CMD when it is not ready after `D`; 0 is never")
	set.StringVar(&o.name, "name", "", "call CMD `NAME` (default: its own)")
	set.BoolVar(&o.json, "json", false, "print a line of JSON for each event")
	set.BoolVar(&o.eventsOnly, "events-only", false, "leave out what CMD writes")
}

// complete takes the arguments that are left after the flags, and returns all that is wrong with both, each named with its remedy.
func (o *monitorOptions) complete(args []string) error {
	var problems []error
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }

	if len(args) == 0 || args[0] == "" {
		wrong("a command is needed: %s", monitorUsage)
	} else {
		o.command = process.Command{Path: args[0], Args: args[1:]}
		o.name = cmp.Or(o.name, filepath.Base(args[0]))
	}
	o.completePolicy(wrong)
	o.completeReady(wrong)
	return errors.Join(problems...)
}

// completePolicy checks how CMD is restarted and ended. In package monitor, zero means the default; as a flag it means what it says.
func (o *monitorOptions) completePolicy(wrong wrongFunc) {
	p := &o.program.Policy
	for _, f := range []struct {
		name           string
		value, typical time.Duration
	}{{"threshold", p.Threshold, monitorThreshold}, {"min-delay", p.MinDelay, monitorMinDelay}, {"max-delay", p.MaxDelay, monitorMaxDelay}} {
		if f.value <= 0 {
			wrong("-%s %v: give a duration above 0, such as %v", f.name, f.value, f.typical)
		}
	}
	if p.MinDelay > p.MaxDelay && p.MaxDelay > 0 {
		wrong("-min-delay %v is more than -max-delay, which is %v; raise -max-delay or lower -min-delay", p.MinDelay, p.MaxDelay)
	}
	if !(p.Jitter >= 0 && p.Jitter <= 1) { // so that NaN is wrong
		wrong("-jitter %v: give a part from 0 to 1, such as 0.1", p.Jitter)
	}
	if p.MaxAttempts < 0 {
		wrong("-max-attempts %d: give a number, or 0 to never give up", p.MaxAttempts)
	}
	switch {
	case p.KillTime < 0:
		wrong("-kill-time %v: give a duration such as 5s, or 0 for KILL right after TERM", p.KillTime)
	case p.KillTime == 0:
		p.KillTime = -1
	}
}

// completeReady checks how CMD is to show that it is ready.
func (o *monitorOptions) completeReady(wrong wrongFunc) {
	p := &o.program
	if o.readyLine != "" {
		var err error
		if p.ReadyLine, err = regexp.Compile(o.readyLine); err != nil {
			wrong("-ready-line %q: %w; give a regular expression as Go has them, with \\ before what is meant literally", o.readyLine, err)
		}
	}
	either := o.readyLine != "" || p.ReadyFile != ""
	if o.readyLine != "" && p.ReadyFile != "" {
		wrong("-ready-line and -ready-file exclude each other; leave one out")
	}
	switch {
	case p.ReadyTimeout < 0:
		wrong("-ready-timeout %v: give a duration such as 1m, or 0 for none", p.ReadyTimeout)
	case !either && p.ReadyTimeout != monitorReadyTimeout:
		wrong("-ready-timeout %v has no effect without -ready-line or -ready-file; give one, or leave it out", p.ReadyTimeout)
	case !either:
		p.ReadyTimeout = 0 // nothing to be waited for
	case p.ReadyTimeout == 0:
		p.ReadyTimeout = -1
	}
}

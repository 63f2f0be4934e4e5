package main

import (
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/stdcrew/stdcrew/broker"
)

// callOptions is what the command line of call says.
type callOptions struct {
	command broker.Command
	method  string
	args    msgpack.RawMessage
	timeout time.Duration
}

// register adds the flags to set; they are in o once set has parsed them.
func (o *callOptions) register(set *flag.FlagSet) {
	set.DurationVar(&o.timeout, "timeout", time.Minute, "give up the start and the call when they take longer than `D` together; 0 is never")
	set.Func("arg", "pass `VALUE` to CMD; may be given several times", func(value string) error {
		o.command.Args = append(o.command.Args, value)
		return nil
	})
}

// complete takes the arguments that are left after the flags, and returns all that is wrong with both, each named with its remedy.
func (o *callOptions) complete(args []string) error {
	var problems []error
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }

	const usage = "broker-demo call [flags] -- CMD METHOD [JSON]"
	switch {
	case len(args) < 2:
		wrong("a worker program and a method are needed: %s", usage)
	case args[0] == "" || args[1] == "":
		wrong("the worker program or the method is empty: %s", usage)
	case len(args) > 3:
		wrong("%d arguments where there are 3 at most, CMD METHOD JSON; give each argument of CMD with -arg, and quote the JSON", len(args))
	default:
		o.command.Path, o.method = args[0], args[1]
		o.encodeArgs(strings.Join(args[2:], ""), wrong)
	}
	if o.timeout < 0 {
		wrong("-timeout %v: give a duration such as 30s, or 0 for no limit", o.timeout)
	}
	return errors.Join(problems...)
}

func (o *callOptions) encodeArgs(text string, wrong wrongFunc) {
	var err error
	if o.args, err = encodeJSON(text); err != nil {
		wrong("%q: %w; give one JSON value, such as '{\"ms\": 5}' or '\"text\"'", text, err)
	}
}

// poolName is the name of the program as a pool's name.
func (o *callOptions) poolName() string {
	fits := func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '_'
	}
	return strings.Map(fits, strings.ToLower(filepath.Base(o.command.Path)))
}

package main

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/stdcrew/stdcrew/broker"
)

const (
	echoMethod   = "echo"
	ledgerMethod = "ledger_echo" // echo by a worker that writes the ledger

	numberSize = 8                  // bytes at the front of a payload for the call's number
	maxSize    = 16<<20 - 1<<10     // of a payload: what workers take by default, less what goes around it
	maxRate    = 10_000_000         // calls a second, more than any machine makes
	maxLoad    = 7 * 24 * time.Hour // of a load: the book of its calls is kept in memory
)

// loadOptions is what the flags of load say.
type loadOptions struct {
	crewOptions
	command    []string // the worker program with its arguments; empty: this program's echo
	callers    int
	method     string
	size       int
	argsJSON   string // arguments in place of a payload of that size
	args       msgpack.RawMessage
	duration   time.Duration
	rate       float64
	reload     time.Duration
	idempotent bool
}

// register adds the flags to set; they are in o once set has parsed them.
func (o *loadOptions) register(set *flag.FlagSet) {
	o.crewOptions.register(set, "calls")
	set.IntVar(&o.callers, "callers", 0, "make up to `N` calls at a time; the default is as many as the workers take")
	set.StringVar(&o.method, "method", echoMethod, "call the method `NAME`")
	set.IntVar(&o.size, "size", 64, "send `N` bytes with each call; the answer to echo must be the same")
	set.StringVar(&o.argsJSON, "args", "", "send this `JSON` with each call in place of bytes")
	set.DurationVar(&o.duration, "duration", 10*time.Second, "make calls for `D`, such as 1m")
	set.Float64Var(&o.rate, "rate", 0, "make `R` calls a second, due at fixed times; 0 is as many as the callers can")
	set.DurationVar(&o.reload, "reload-every", 0, "replace all workers by fresh ones every `D`; 0 is never")
	set.BoolVar(&o.idempotent, "idempotent", false, "have the broker repeat calls whose worker was lost; otherwise they fail")
}

// complete takes the arguments that are left after the flags, and returns all that is wrong with both, each named with its remedy.
func (o *loadOptions) complete(args []string) error {
	var problems []error
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }

	o.command = args
	if len(args) > 0 && args[0] == "" {
		wrong("the worker program is empty; name one behind --, or none for the echo of this program")
	}
	o.check("calls", wrong)
	if o.callers < 0 || o.callers > maxCallers {
		wrong("-callers %d: give a number from 1 to %d, or leave the flag out for as many as the workers take", o.callers, maxCallers)
	}
	if o.callers == 0 {
		o.callers = max(1, o.workers) * max(1, o.inFlight)
	}
	if o.method == "" {
		wrong("-method: the name is empty; leave the flag out for %s", echoMethod)
	}
	if o.duration <= 0 || o.duration > maxLoad {
		wrong("-duration %v: give a duration such as 30s, up to %v", o.duration, maxLoad)
	}
	if math.IsNaN(o.rate) || o.rate < 0 || o.rate > maxRate {
		wrong("-rate %v: give calls a second, up to %d, or 0 for as many as the callers can", o.rate, maxRate)
	}
	if o.reload < 0 {
		wrong("-reload-every %v: give a duration such as 3s, or 0 for never", o.reload)
	}
	o.checkPayload(wrong)
	return errors.Join(problems...)
}

// checkPayload reports what is wrong with what is to be sent, and encodes it.
func (o *loadOptions) checkPayload(wrong wrongFunc) {
	if o.size < 0 || o.size > maxSize {
		wrong("-size %d: give a number of bytes from 0 to %d", o.size, maxSize)
	}
	if o.size >= 0 && o.callers > 0 && o.size > maxPayloads/o.callers {
		wrong("-callers %d -size %d: more than %d MiB of payloads at a time; lower one of them", o.callers, o.size, maxPayloads>>20)
	}
	if o.ledger != "" && (o.method != echoMethod || o.argsJSON != "") {
		wrong("-ledger: only the method %s can write one; leave out -method and -args, or -ledger", echoMethod)
	}
	if o.argsJSON == "" {
		return
	}
	var err error
	if o.args, err = encodeJSON(o.argsJSON); err != nil {
		wrong("-args: %w; give one JSON value, such as '{\"ms\": 5}'", err)
	}
}

// maxPayloads bounds the bytes that are sent at a time. Host and workers each hold a few copies.
const maxPayloads = 256 << 20

// prepare is complete, then begins the ledger.
func (o *loadOptions) prepare(args []string) error {
	if err := o.complete(args); err != nil {
		return err
	}
	return o.beginLedger()
}

// pool is the crew that the flags ask for. All its workers start at once, so that the load meets none that is starting.
func (o *loadOptions) pool() broker.PoolOptions {
	command := broker.Self(echoCrew)
	if len(o.command) > 0 {
		command = broker.Command{Path: o.command[0], Args: o.command[1:]}
	}
	return broker.PoolOptions{
		Command:  command,
		Min:      o.workers,
		Max:      o.workers,
		InFlight: o.inFlight,
		Queue:    max(1, o.callers), // every caller may wait at once
	}
}

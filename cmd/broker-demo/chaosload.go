package main

import (
	"context"
	"strconv"
	"time"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/testworkers/handlers"
)

// load is the calls of one caller, as a generator makes them. Their numbers say what kind of calls they are.
func (s *stage) load(ledger string, calls *callLog) exchange {
	in := handlers.LedgerEchoInput{Pass: loadPass, Ledger: ledger}
	payload := newPayload(largeCall)
	var answer []byte
	return func(ctx context.Context, number int64) (int64, error) {
		in.Key, in.Body = strconv.FormatInt(number, 10), payload[:sizeOf(number)]
		setNumber(in.Body, number)
		start := time.Now()
		answered := number
		err := s.crew.pool.Call(ctx, ledgerMethod, in, &answer, optionsOf(number)...)
		if err == nil {
			answered, err = answeredNumber(number, in.Body, answer)
		}
		calls.ended(err, time.Since(start), func(err error) bool {
			return transient(err) || leaves(number) && isClass(err, broker.ClassContext)
		})
		return answered, err
	}
}

const (
	smallCall = 64        // bytes of most calls
	largeCall = 200 << 10 // of some: more than a pipe holds
)

func sizeOf(number int64) int {
	if number%50 == 0 {
		return largeCall
	}
	return smallCall
}

// mayRepeat says which calls are idempotent.
func mayRepeat(number int64) bool { return number%2 == 0 }

// leaves says which callers do not wait for long.
func leaves(number int64) bool { return number%16 > 13 }

func optionsOf(number int64) (options []broker.CallOption) {
	if mayRepeat(number) {
		options = append(options, broker.Idempotent())
	}
	if leaves(number) {
		options = append(options, broker.Timeout(time.Duration(1+number%10)*time.Millisecond))
	}
	return options
}

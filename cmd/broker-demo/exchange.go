package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"strconv"

	"github.com/stdcrew/stdcrew/broker"
	"github.com/stdcrew/stdcrew/testworkers/handlers"
)

// exchanges returns what makes the kind of calls that the flags ask for, for one caller at a time.
func exchanges(o *loadOptions, pool *broker.Pool) func() exchange {
	var options []broker.CallOption
	if o.idempotent {
		options = append(options, broker.Idempotent())
	}
	switch {
	case o.ledger != "":
		return func() exchange { return ledgerExchange(o, pool, options) }
	case o.argsJSON == "" && o.method == echoMethod:
		return func() exchange { return echoExchange(o, pool, options) }
	default:
		return func() exchange { return plainExchange(o, pool, options) }
	}
}

// echoExchange sends the number of the call in its payload, and finds out whose answer it gets.
func echoExchange(o *loadOptions, pool *broker.Pool, options []broker.CallOption) exchange {
	payload := newPayload(o.size)
	var answer []byte
	return func(ctx context.Context, number int64) (int64, error) {
		setNumber(payload, number)
		if err := pool.Call(ctx, o.method, payload, &answer, options...); err != nil {
			return number, err
		}
		return answeredNumber(number, payload, answer)
	}
}

// ledgerExchange does the same by way of workers that write the ledger.
func ledgerExchange(o *loadOptions, pool *broker.Pool, options []broker.CallOption) exchange {
	in := handlers.LedgerEchoInput{Pass: loadPass, Ledger: o.ledger, Body: newPayload(o.size)}
	var answer []byte
	return func(ctx context.Context, number int64) (int64, error) {
		setNumber(in.Body, number)
		in.Key = strconv.FormatInt(number, 10)
		if err := pool.Call(ctx, ledgerMethod, in, &answer, options...); err != nil {
			return number, err
		}
		return answeredNumber(number, in.Body, answer)
	}
}

// plainExchange sends always the same and does not look at the answer.
func plainExchange(o *loadOptions, pool *broker.Pool, options []broker.CallOption) exchange {
	var in any = o.args
	if o.argsJSON == "" {
		in = newPayload(o.size)
	}
	return func(ctx context.Context, number int64) (int64, error) {
		return number, pool.Call(ctx, o.method, in, nil, options...)
	}
}

func newPayload(size int) []byte {
	payload := make([]byte, size)
	for i := range payload {
		payload[i] = byte(i)
	}
	return payload
}

// setNumber writes the number of a call into its payload, where there is room.
func setNumber(payload []byte, number int64) {
	if len(payload) >= numberSize {
		binary.BigEndian.PutUint64(payload, uint64(number))
	}
}

// answeredNumber returns the number of the call whose answer this is. An answer that is not like what was sent but for its
// number is an error of the call that got it.
func answeredNumber(number int64, sent, answer []byte) (int64, error) {
	if bytes.Equal(sent, answer) {
		return number, nil
	}
	if len(sent) < numberSize || len(sent) != len(answer) || !bytes.Equal(sent[numberSize:], answer[numberSize:]) {
		return number, errWrongAnswer
	}
	return int64(binary.BigEndian.Uint64(answer)), errWrongAnswer
}

package main

import (
	"errors"
	"slices"

	"github.com/stdcrew/stdcrew/broker"
)

// answered stands for no error among the classes of errors.
const answered broker.Class = 0

// modeEnds says how the call ends that has a hostile worker misbehave, by the worker's mode.
var modeEnds = map[string][]broker.Class{
	"slow": {answered}, "banner": {answered}, "banner-torn": {answered}, "print-after": {answered},
	"stderr-lines": {answered}, "stderr-endless": {answered}, "twice": {answered}, "stray": {answered},
	"grandchild": {answered}, "daemon": {answered}, "deaf": {answered}, "stuffed": {answered}, "closes-stdin": {answered},

	"never-hello": {broker.ClassUnavailable}, "hello-exit": {broker.ClassUnavailable}, "hello-silent": {broker.ClassUnavailable},
	"babble": {broker.ClassUnavailable}, "greet": {broker.ClassUnavailable},

	"bomb-array": {broker.ClassRemote}, "bomb-text": {broker.ClassRemote}, "bomb-deep": {broker.ClassRemote},
	"bomb-tail": {broker.ClassRemote}, "oversize": {broker.ClassRemote},
	"bomb-key": {broker.ClassCaller}, "bomb-nils": {answered, broker.ClassCaller}, // a megabyte of nils is a value like any other

	"print": {broker.ClassInterrupted}, "garbage": {broker.ClassInterrupted}, "half-header": {broker.ClassInterrupted},
	"half-frame": {broker.ClassInterrupted}, "half-message": {broker.ClassInterrupted}, "giant": {broker.ClassInterrupted},
	"giant-message": {broker.ClassInterrupted}, "parts": {broker.ClassInterrupted}, "unknown-type": {broker.ClassInterrupted},
	"second-hello": {broker.ClassInterrupted}, "host-only": {broker.ClassInterrupted}, "id-falls": {broker.ClassInterrupted},
	"late": {broker.ClassInterrupted}, "deaf-cancel": {broker.ClassInterrupted}, "exit-0": {broker.ClassInterrupted},
	"exit-half": {broker.ClassInterrupted}, "mute": {broker.ClassInterrupted}, "frozen": {broker.ClassInterrupted},
}

// mayEnd says whether the call that a fault makes on a hostile worker may end like this. On a busy machine it may be over before the worker has
// come to misbehave: no worker in time, no answer in time.
func mayEnd(f fault, err error) bool {
	switch {
	case err == nil:
		return slices.Contains(modeEnds[f.kind], answered)
	case isClass(err, broker.ClassContext):
		return f.leave > 0
	case isClass(err, broker.ClassUnavailable), errors.Is(err, broker.ErrCallTimeout):
		return true
	default:
		return isClass(err, modeEnds[f.kind]...)
	}
}

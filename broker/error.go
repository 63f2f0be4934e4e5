package broker

import (
	"errors"

	"github.com/stdcrew/stdcrew/pool"
	"github.com/stdcrew/stdcrew/process"
	"github.com/stdcrew/stdcrew/rpc"
)

// Error is how every call fails; its fields say whose matter it is and whether the call may have been executed. [Retryable] says whether
// repeating it is safe. errors.As finds a [RemoteError] in it if the worker answered with one, and an [Exit] if a process ended.
type Error = pool.Error

// RemoteError is an error with which a worker's handler answered.
type RemoteError = rpc.RemoteError

// Exit says how a worker's process ended. Its fields are listed at [pool.Exit].
type Exit = pool.Exit

// Class says whose matter a failed call is.
type Class = pool.Class

// The classes of a failed call.
const (
	ClassCaller      = pool.ClassCaller      // it asked for something impossible, or of a closed broker
	ClassContext     = pool.ClassContext     // the context or Timeout ended
	ClassRemote      = pool.ClassRemote      // the handler answered with an error
	ClassUnavailable = pool.ClassUnavailable // no worker could be had
	ClassInterrupted = pool.ClassInterrupted // the worker was lost
)

// Delivery says what is known of a failed call's execution.
type Delivery = rpc.Delivery

// What may be known of a failed call's execution.
const (
	Unknown  = rpc.Unknown  // it may have been executed
	NotSent  = rpc.NotSent  // it certainly was not
	Answered = rpc.Answered // the worker answered it
)

var (
	// ErrUnknownPool: the broker has no pool of that name.
	ErrUnknownPool = errors.New("unknown pool")

	ErrTransient    = pool.ErrTransient    // a later try may succeed
	ErrClosed       = pool.ErrClosed       // the broker is closed
	ErrStopping     = pool.ErrStopping     // the pool is being stopped
	ErrQueueFull    = pool.ErrQueueFull    // as many callers as allowed were waiting
	ErrQueueTimeout = pool.ErrQueueTimeout // no worker was free within QueueTimeout
	ErrCallTimeout  = pool.ErrCallTimeout  // no answer within CallTimeout
	ErrPoison       = pool.ErrPoison       // the call has crashed one worker after another
)

// Retryable says whether a failed call may be repeated whatever it does. Its table is in the documentation of pool.Retryable.
func Retryable(err error) bool { return pool.Retryable(err) }

// Command is a program to run: Path or Self, Args, Env, Dir, and what it may use. The fields are listed at [process.Command].
type Command = process.Command

// Limits is what a [Command] may use, such as memory. The fields are listed at [process.Limits].
type Limits = process.Limits

// Rlimit is one of the system's resource limits, for [Limits]; see [process.Rlimit].
type Rlimit = process.Rlimit

// Credential is the user that a [Command] runs as; see [process.Credential].
type Credential = process.Credential

// State is what a worker of a [Snapshot] is doing.
type State = pool.State

// The states of a worker.
const (
	StateStopped      = pool.StateStopped
	StateStarting     = pool.StateStarting
	StateReady        = pool.StateReady
	StateStopping     = pool.StateStopping
	StateWaitingReady = pool.StateWaitingReady
)

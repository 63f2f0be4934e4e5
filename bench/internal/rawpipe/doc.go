// Package rawpipe is the floor that calls are compared with: ping-pong over two pipes, by system calls that block. Both ends are Go programs
// with a garbage collector, like the real thing, but nothing of the runtime's poller, no frames and no encoding is between them.
package rawpipe

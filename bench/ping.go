package main

// The floor: ping-pong over two pipes, by system calls that block. Both ends
// are Go programs with a garbage collector, like the real thing, but nothing
// of the runtime's poller, no frames and no encoding is between them.

const (
	pingName    = "raw pipe"
	pongCommand = "pong" // makes the program the far end; its argument is the size
	maxSize     = 4096   // what any pipe takes in one piece
)

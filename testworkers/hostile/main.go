// Command hostile is a worker that misbehaves in one way: that of the mode
// which its first argument names.
//
// The modes and the methods are described in package modes.
package main

import (
	"os"

	"github.com/stdcrew/stdcrew/testworkers/hostile/modes"
)

func main() { os.Exit(modes.Main(os.Args[1:])) }

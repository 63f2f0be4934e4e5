package main

import (
	"os"
	"syscall"
)

// faultSignals are what faults send to a worker of the crew.
var faultSignals = map[string]os.Signal{
	faultKill: syscall.SIGKILL, faultTerm: syscall.SIGTERM, faultSegv: syscall.SIGSEGV, faultFreeze: syscall.SIGSTOP, faultHang: syscall.SIGSTOP,
}

// thaw has a frozen worker go on.
const thaw = syscall.SIGCONT

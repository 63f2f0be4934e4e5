package worker

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/stdcrew/stdcrew/rpc"
)

// Main makes a program its own worker; it is the first line of main. In a process that the program has started with broker.Self(name) it makes
// a Worker, has crews[name] register handlers with it, and runs it: it does not return. In any other process it returns at once.
//
// The number of calls at a time is PoolOptions.InFlight of that pool, so with more than one the handlers must be fit for it. A crew that needs
// other options makes a Worker of its own with New and runs that.
//
// A name that is not in crews ends the process with code 2.
func Main(crews map[string]func(*Worker)) {
	name, ok := calledAs()
	if !ok {
		return
	}
	crew := crews[name]
	if crew == nil {
		known := slices.Sorted(maps.Keys(crews))
		fmt.Fprintf(os.Stderr, "%s: worker.Main knows no worker %q; it knows %q\n", program(), name, known)
		os.Exit(exitMisuse)
	}
	w := New(Options{InFlight: AnyInFlight})
	crew(w)
	w.Run()
}

// calledAs returns the name under which the parent has started this process as a worker, if it has. The mark is removed. One that names another process
// than the parent was inherited and means nothing.
func calledAs() (name string, ok bool) {
	mark := os.Getenv(rpc.EnvSelf)
	if mark == "" {
		return "", false
	}
	_ = os.Unsetenv(rpc.EnvSelf) // fails for impossible names only
	colon := strings.LastIndexByte(mark, ':')
	if colon < 0 {
		return "", false
	}
	pid, err := strconv.Atoi(mark[colon+1:])
	return mark[:colon], err == nil && pid == parent
}

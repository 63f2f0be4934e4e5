package broker

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/stdcrew/stdcrew/rpc"
)

// Self is the running program as a worker's command: it is started again, and its worker.Main, which must be the first line of main, serves
// as the worker of that name.
func Self(name string) Command { return Command{Self: name} }

// forgottenMain says so if this process was started by Self and has come here all the same. A marker that names another process than the
// parent is a leftover and means nothing.
func forgottenMain() error {
	mark := os.Getenv(rpc.EnvSelf)
	colon := strings.LastIndexByte(mark, ':')
	if colon < 0 {
		return nil
	}
	name, parent := mark[:colon], mark[colon+1:]
	if pid, err := strconv.Atoi(parent); err != nil || pid != os.Getppid() {
		return nil
	}
	return fmt.Errorf("broker: this process was started by broker.Self to be the worker %q, but the program came to broker.New; "+
		"make worker.Main the first line of main", name)
}

//go:build darwin || (linux && posixprocess)

package process

// findsStrays says that what carries a mark cannot be found.
const findsStrays = false

// handle is what the system gives for a child beside its pid: nothing.
type handle struct{}

func (*handle) wait(pid int) { exits.await(pid) }

func (*handle) attend(Command) func(*Process) { return nil }

func (*handle) kill() {}

func (*handle) oom(bool) OOM { return "" }

func (*handle) close() {}

func (*handle) release() error { return nil }

// aftermath finds nothing: the system does not tell what a process has started.
func (*unixChild) aftermath() func() []Stray {
	return func() []Stray { return nil }
}

func (*handle) resident(int) (int64, error) {
	return 0, unsupported("resident memory")
}

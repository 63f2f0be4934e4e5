package rpc

import (
	"fmt"
	"strings"
)

// methods are those that the worker announced, by their names; nil: not known in advance.
type methods map[string]string

func newMethods(names []string) methods {
	if len(names) == 0 {
		return nil
	}
	m := make(methods, len(names))
	for _, name := range names {
		m[name] = name
	}
	return m
}

// checkMethod answers a call for a method that the worker does not have, in the worker's place.
func (p *Peer) checkMethod(method string) error {
	if p.methods == nil {
		return nil
	}
	if _, ok := p.methods[method]; ok {
		return nil
	}
	return &RemoteError{
		Code: CodeUnknownMethod, NotRun: true,
		Message: fmt.Sprintf("unknown method %q; the worker has %s", method, strings.Join(p.hello.Methods, ", ")),
	}
}

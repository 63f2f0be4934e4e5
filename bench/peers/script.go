package main

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"
)

// Those of other languages have a host in theirs: what is measured is what an application in that language sees.

func init() {
	python := []string{"python3", "/usr/bin/python3"} // the first may be one without the packages of the distribution
	contenders = append(contenders,
		scripted("ProcessPoolExecutor", "Python's own, callbacks, forked workers, pickle", "Python 3", python, "host.py", "standard"),
		scripted("pebble", "Python, ProcessPool, callbacks, forked workers, pickle", "pebble for Python 3", python, "host.py", "pebble"),
		scripted("loky", "Python, get_reusable_executor, callbacks, pickle", "loky or joblib for Python 3", python, "host.py", "loky"),
		scripted("workerpool", "Node, child processes, JSON for what is small, advanced serialization", "Node.js with workerpool", []string{"node"}, "host.cjs", "workerpool"),
	)
}

// scripted is a contender whose host is a script, run by the first of the interpreters that finds its library.
func scripted(name, what, needs string, interpreters []string, script ...string) contender {
	find := sync.OnceValues(func() (interpreter, version string) {
		for _, interpreter := range interpreters {
			if version := versionOf(interpreter, script); version != "" {
				return interpreter, version
			}
		}
		return "", ""
	})
	host := func(w workload) (*host, error) {
		interpreter, _ := find()
		return startHost(interpreter, script, w, os.Stderr)
	}
	return contender{
		name: name,
		what: what,
		missing: func() string {
			if interpreter, _ := find(); interpreter == "" {
				return needs
			}
			return ""
		},
		version: func() string {
			_, version := find()
			return version
		},
		start: func(w workload) (*session, error) {
			h, err := host(w)
			if err != nil {
				return nil, err
			}
			return &session{host: h, pids: h.pids, close: h.close}, nil
		},
		life: func() (start, recovery time.Duration, err error) {
			h, err := host(lone)
			if err != nil {
				return 0, 0, err
			}
			return h.life()
		},
	}
}

// versionOf is of the library and its language; it is empty if there is none.
func versionOf(interpreter string, script []string) string {
	h, err := startHost(interpreter, script, lone, nil)
	if err != nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := h.ask(ctx, "version")
	if errors.Join(err, h.close()) != nil {
		return ""
	}
	return r.Version
}

package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
)

// takeStock looks around. mark is an entry of the environment by which descendants are known wherever they have gone.
func takeStock(mark string) (stock, error) {
	s := stock{processes: map[int]bool{}, goroutines: runtime.NumGoroutine()}
	var err error
	if s.threads, err = countEntries("/proc/self/task"); err != nil {
		return s, err
	}
	if s.descriptors, err = countEntries("/proc/self/fd"); err != nil {
		return s, err
	}
	names, err := entries("/proc")
	if err != nil {
		return s, err
	}
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil && pid != os.Getpid() && isOurs(name, mark) {
			s.processes[pid] = true
		}
	}
	return s, nil
}

// isOurs says whether a process is a child of this one, or bears the mark. One that has ended meanwhile, or that this user may not look at, is not.
func isOurs(pid, mark string) bool {
	stat, err := readStat(pid)
	if err != nil {
		return false
	}
	if stat.isChild() {
		return true
	}
	environ, err := os.ReadFile("/proc/" + pid + "/environ")
	return err == nil && bytes.Contains(append([]byte{0}, environ...), []byte("\x00"+mark+"\x00"))
}

func countEntries(directory string) (int, error) {
	names, err := entries(directory)
	return len(names), err
}

func entries(directory string) ([]string, error) {
	d, err := os.Open(directory)
	if err != nil {
		return nil, fmt.Errorf("look for what is left: %w", err)
	}
	defer d.Close()
	return d.Readdirnames(-1)
}

package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// procStat is what the system says of a process in /proc/PID/stat, from the third field on, the state.
type procStat []string

// statField is a field's number in proc_pid_stat(5).
type statField int

const (
	statParent   statField = 4
	statThreads  statField = 20
	statResident statField = 24 // pages

	statFirst statField = 3
)

// readStat reads that of a process, which may be "self".
func readStat(pid string) (procStat, error) {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // behind the name, which may contain anything
	if len(fields) <= int(statResident-statFirst) {
		return nil, fmt.Errorf("/proc/%s/stat has %d fields behind the name", pid, len(fields))
	}
	return fields, nil
}

func (s procStat) number(f statField) (int, error) { return strconv.Atoi(s[f-statFirst]) }

// isChild says whether the process is a child of this one.
func (s procStat) isChild() bool {
	parent, err := s.number(statParent)
	return err == nil && parent == os.Getpid()
}

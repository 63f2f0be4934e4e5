package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// usageOf reads what /proc tells of a process.
func usageOf(pid int) (u usage, err error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	const kilo = 1 << 10
	for file, fields := range map[string]map[string]*float64{
		"smaps_rollup": {"Rss": &u.resident, "Pss": &u.proportional},
		"status":       {"Threads": &u.threads},
	} {
		if err := readFields(filepath.Join(dir, file), fields); err != nil {
			return u, err
		}
	}
	u.resident *= kilo
	u.proportional *= kilo
	open, err := os.ReadDir(filepath.Join(dir, "fd"))
	u.descriptors = float64(len(open))
	return u, err
}

// readFields reads numbers from lines such as "Rss:  1234 kB".
func readFields(path string, fields map[string]*float64) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	found := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, rest, _ := strings.Cut(lines.Text(), ":")
		value, ok := fields[name]
		if !ok {
			continue
		}
		words := strings.Fields(rest)
		if len(words) == 0 {
			return fmt.Errorf("%s: %s has no number", path, name)
		}
		if *value, err = strconv.ParseFloat(words[0], 64); err != nil {
			return fmt.Errorf("%s: %s: %w", path, name, err)
		}
		found++
	}
	if found < len(fields) {
		return fmt.Errorf("%s: of %d fields there are %d", path, len(fields), found)
	}
	return nil
}

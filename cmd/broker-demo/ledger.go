package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// newLedger empties or creates the file that the workers are going to append
// to, and returns its absolute path. It refuses a file that holds anything but
// an earlier ledger.
func newLedger(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("-ledger: %w", err)
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return "", fmt.Errorf("-ledger: %w; name a file that can be written", err)
	}
	if err := errors.Join(emptyLedger(file), file.Close()); err != nil {
		return "", fmt.Errorf("-ledger %s: %w", path, err)
	}
	return path, nil
}

func emptyLedger(file *os.File) error {
	const longest = 16 << 10 // of a line: a path, a few numbers
	first, err := bufio.NewReaderSize(file, longest).ReadSlice('\n')
	if len(first) > 0 && (err != nil || !strings.HasPrefix(string(first), "begin ")) {
		return errors.New("the file exists and is no ledger; name another, or remove it")
	}
	return file.Truncate(0)
}

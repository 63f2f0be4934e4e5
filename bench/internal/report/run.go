package report

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
)

// Run runs a program that prints results as JSON, and reads them. What it says on standard error is shown.
func Run[T any](command *exec.Cmd) ([]T, error) {
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("measure: %w", err)
	}
	var results []T
	if err := json.Unmarshal(out, &results); err != nil {
		return nil, fmt.Errorf("measure: read the results: %w", err)
	}
	return results, nil
}

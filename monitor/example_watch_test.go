package monitor_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stdcrew/stdcrew/monitor"
	"github.com/stdcrew/stdcrew/process"
)

// A program reports its progress line by line, as a backup or a build does. Without progress for five minutes it is ended.
func ExampleWatch() {
	backup := process.Command{Path: "/bin/sh", Args: []string{"-c", `echo "progress 50"; echo "done: 3 files"; exit 2`}}
	_, err := monitor.Watch(context.Background(), backup, monitor.WatchOptions{
		Inactivity: 5 * time.Minute,
		AllLines:   true,
		Line: func(_ context.Context, w *monitor.Watcher, line monitor.Line) error {
			if strings.HasPrefix(line.Text, "progress ") {
				w.Reset()
			}
			fmt.Println(line.Text)
			return nil // an error ends the program
		},
	})
	var exit *monitor.ExitError
	switch {
	case errors.Is(err, monitor.ErrInactive):
		fmt.Println("it hung")
	case errors.As(err, &exit):
		fmt.Println("it failed with code", exit.Report.Code)
	}
	// Output:
	// progress 50
	// done: 3 files
	// it failed with code 2
}

package monitor_test

import (
	"context"
	"fmt"
	"regexp"

	"github.com/stdcrew/stdcrew/monitor"
	"github.com/stdcrew/stdcrew/process"
)

// A program is kept running for as long as the context lives. Here it is a function in memory; without Start it is a child process.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	m, err := monitor.New(monitor.Options{
		OnEvent: func(e monitor.Event) {
			switch what := e.What.(type) {
			case monitor.Line:
				fmt.Printf("%s says %q\n", e.Program, what.Text)
			case monitor.Ready:
				fmt.Println(e.Program, "is ready")
				cancel() // this example has seen enough
			case monitor.Exited:
				fmt.Println(e.Program, "exited with code", what.Report.Code)
			}
		},
		Start: inMemory,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = m.Add("web", process.Command{Path: "web-server", Args: []string{"-port", "8080"}}, monitor.ProgramOptions{
		ReadyLine: regexp.MustCompile(`^listening`),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := m.Run(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// web says "listening on :8080"
	// web is ready
	// web says "bye"
	// web exited with code 0
}

func inMemory(c process.Command, o process.ManagedOptions) (*process.Managed, error) {
	return process.ManageFunc(func(m *process.Memory) int {
		term := m.Signals()
		fmt.Fprintf(m.Stdout, "listening on :%s\n", c.Args[1])
		<-term
		fmt.Fprintln(m.Stdout, "bye")
		return 0
	}, o), nil
}

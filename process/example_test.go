package process_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/stdcrew/stdcrew/process"
)

// A program is run with process.Start in the same way. The function in its place makes the example run everywhere.
func Example() {
	upper := func(m *process.Memory) int {
		lines := bufio.NewScanner(m.Stdin)
		for lines.Scan() {
			fmt.Fprintln(m.Stdout, strings.ToUpper(lines.Text()))
		}
		return 0
	}
	p := process.StartFunc(upper, process.Options{})
	defer p.Stream().Close()

	fmt.Fprintln(p.Stream(), "hello")
	answer, _ := bufio.NewReader(p.Stream()).ReadString('\n')
	fmt.Print(answer)

	p.Do(process.CloseStdin)
	<-p.Ended()
	fmt.Println(p.Report().Success())
	// Output:
	// HELLO
	// true
}

// A process that does not want to go is killed at the end of the ladder.
func ExampleProcess_Stop() {
	deaf := func(m *process.Memory) int {
		m.Signals() // from here on TERM does not end it
		fmt.Fprintln(m.Stderr, "I stay.")
		fmt.Fprintln(m.Stdout, "ready")
		<-m.Killed
		return 0
	}
	p := process.StartFunc(deaf, process.Options{})
	defer p.Stream().Close()
	bufio.NewReader(p.Stream()).ReadString('\n') // until it is ready

	p.Blame(process.KillerIdle)
	ladder := process.Ladder(time.Millisecond, time.Millisecond, 10*time.Millisecond)
	report := p.Stop(context.Background(), ladder, func() { io.WriteString(p.Stream(), "please go\n") })

	fmt.Println(report.Killer, report.Signal, report.Code)
	fmt.Print(report.StderrTail)
	// Output:
	// idle KILL -1
	// I stay.
}

// The lines of a program that is watched, and a source for its input.
func ExampleManageFunc() {
	shout := func(m *process.Memory) int {
		in := bufio.NewScanner(m.Stdin)
		for in.Scan() {
			fmt.Fprintln(m.Stdout, strings.ToUpper(in.Text()))
		}
		return 0
	}
	lines := process.Lines{Emit: func(line string) { fmt.Println("line:", line) }}
	m := process.ManageFunc(shout, process.ManagedOptions{
		Stdout: func(data []byte) { lines.Write(data) },
	})

	fmt.Fprintln(m.Input(context.Background()), "hello")
	io.Copy(m.Input(context.Background()), strings.NewReader("good\nbye\n"))
	m.CloseStdin()
	<-m.Ended()
	lines.Flush()
	fmt.Println(m.Report().Success())
	// Output:
	// line: HELLO
	// line: GOOD
	// line: BYE
	// true
}

package monitor

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/process"
)

// says writes text to a stream, then runs on.
func says(stdout, stderr string) script {
	return func(c process.Command, m *process.Memory) int {
		_, _ = io.WriteString(m.Stdout, stdout)
		_, _ = io.WriteString(m.Stderr, stderr)
		return heedsTerm(c, m)
	}
}

func texts(lines []Line, of Stream) []string {
	var all []string
	for _, l := range lines {
		if l.Stream == of {
			all = append(all, l.Text)
		}
	}
	return all
}

func TestL4_9_Lines(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	program := says("one\r\n\ntwo "+long+"\nbad \xff\xfe UTF-8\nunfinished", "an error\n"+long)
	inBubble(t, Options{}, map[string]script{"web": program}, func(t *testing.T, r *rig) {
		r.Start()
		synctest.Wait()
		require.Equal(t, StateRunning, r.state("web"))
		cut := long[:8<<10-len("two ")]
		require.Equal(t, []string{"one", "", "two " + cut + " … (cut)", "bad \uFFFD UTF-8"}, texts(r.lines("web"), Stdout))
		require.Equal(t, []string{"an error"}, texts(r.lines("web"), Stderr))

		require.NoError(t, r.Stop(t.Context()))
		lines := r.lines("web")
		require.Equal(t, "unfinished", texts(lines, Stdout)[4])
		require.Equal(t, long[:8<<10]+" … (cut)", texts(lines, Stderr)[1])

		// All lines come before the exit.
		require.Equal(t, []string{"Exited", "Stopped"}, kinds(r.events[len(r.events)-2:]))
	})
}

func TestL4_9_MaxLine(t *testing.T) {
	inBubble(t, Options{MaxLine: 4}, map[string]script{"web": says("12345\n1234\n", "")}, func(t *testing.T, r *rig) {
		r.Start()
		require.Equal(t, []string{"1234 … (cut)", "1234"}, texts(r.lines("web"), Stdout))
	})
}

// kinds names the types of the events.
func kinds(events []Event) []string {
	var all []string
	for _, e := range events {
		switch e.What.(type) {
		case Started:
			all = append(all, "Started")
		case Ready:
			all = append(all, "Ready")
		case Line:
			all = append(all, "Line")
		case Exited:
			all = append(all, "Exited")
		case BackingOff:
			all = append(all, "BackingOff")
		case Restarting:
			all = append(all, "Restarting")
		case StartFailed:
			all = append(all, "StartFailed")
		case GaveUp:
			all = append(all, "GaveUp")
		case Stopped:
			all = append(all, "Stopped")
		case Dropped:
			all = append(all, "Dropped")
		}
	}
	return all
}

// TestL4_10_Hooks: everything that happens is told, in order, with the program, the time and the generation.
func TestL4_10_Hooks(t *testing.T) {
	started := 0
	program := func(c process.Command, m *process.Memory) int {
		if started++; started == 1 {
			return 3
		}
		return heedsTerm(c, m)
	}
	inBubble(t, Options{}, map[string]script{"web": program}, func(t *testing.T, r *rig) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var streamed []Event
		events := r.Events(ctx)
		go func() {
			for e := range events {
				streamed = append(streamed, e)
			}
		}()
		r.Start()
		time.Sleep(2 * second)
		require.NoError(t, r.Stop(t.Context()))
		synctest.Wait()

		require.Equal(t, []string{"Started", "Exited", "BackingOff", "Restarting", "Started", "Exited", "Stopped"}, kinds(r.events))
		require.Equal(t, r.events, streamed)
		require.Equal(t, BackingOff{Delay: second, Attempt: 1}, r.events[2].What)
		require.Equal(t, 3, r.events[1].What.(Exited).Report.Code)
		for i, e := range r.events {
			require.Equal(t, "web", e.Program)
			require.Equal(t, []int{1, 1, 1, 2, 2, 2, 2}[i], e.Generation)
			require.Equal(t, []time.Duration{0, 0, 0, second, second, 2 * second, 2 * second}[i], e.Time.Sub(r.began))
		}
		require.Equal(t, "web: restart in 1s (attempt 1 failed)", r.events[2].String())
	})
}

// floods writes lines without end.
func floods(_ process.Command, m *process.Memory) int {
	for {
		if _, err := io.WriteString(m.Stdout, "all work and no play\n"); err != nil {
			return 1
		}
	}
}

// A receiver that blocks holds up the output of its program alone: the program is killed, restarted and backs off as ever.
func TestOnEvent_BlockedHoldsUpOutputAlone(t *testing.T) {
	release := make(chan struct{})
	o := Options{EventBuffer: 4, OnEvent: func(e Event) {
		if e.Program == "slow" {
			<-release
		}
	}}
	inBubble(t, o, map[string]script{"slow": floods, "dies": exitsAtOnce}, func(t *testing.T, r *rig) {
		release = make(chan struct{})
		r.Start()
		time.Sleep(3 * second)
		require.Equal(t, 3, r.status("dies").Generation)
		for generation := 2; generation < 9; generation++ {
			require.NoError(t, r.Restart("slow"))
			time.Sleep(second)
			require.Equal(t, StateRunning, r.state("slow"))
			require.Equal(t, generation, r.status("slow").Generation)
		}
		ctx, cancel := soon(second)
		defer cancel()
		require.ErrorIs(t, r.Stop(ctx), errSoon, "Stop waits for OnEvent too")
		require.Equal(t, StateStopped, r.state("slow"), "but the process is gone")
		close(release)
		require.NoError(t, r.Stop(t.Context()))

		var dropped int
		for _, w := range r.what("slow") {
			if d, is := w.(Dropped); is {
				dropped += d.Events
			}
		}
		require.Positive(t, dropped, "what there was no room for is counted")
		require.Equal(t, "slow", r.events[len(r.events)-1].Program)
	})
}

// The lines of a program that has died are not lost because OnEvent is slow.
func TestOnEvent_SlowGetsTheLastLines(t *testing.T) {
	program := func(_ process.Command, m *process.Memory) int {
		_, _ = io.WriteString(m.Stdout, strings.Repeat("line\n", 1000))
		return 1
	}
	o := Options{EventBuffer: 4, OnEvent: func(e Event) { time.Sleep(second / 10) }}
	inBubble(t, o, map[string]script{"web": program}, func(t *testing.T, r *rig) {
		r.Start()
		synctest.Wait()
		require.Equal(t, StateBackingOff, r.state("web"))
		require.NoError(t, r.Remove(t.Context(), "web"))
		require.Len(t, r.lines("web"), 1000)
		require.Empty(t, times[Dropped](r, "web"))
	})
}

func TestEvents_SlowSubscriberMissesSome(t *testing.T) {
	program := func(_ process.Command, m *process.Memory) int {
		_, _ = io.WriteString(m.Stdout, strings.Repeat("line\n", 1000))
		return 1
	}
	inBubble(t, Options{EventBuffer: 8}, map[string]script{"web": program}, func(t *testing.T, r *rig) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		events := r.Events(ctx)
		r.Start()
		synctest.Wait()
		require.Equal(t, StateBackingOff, r.state("web"), "nobody waits for the subscriber")

		var got []Event
		for e := range events {
			if got = append(got, e); len(got) == 12 {
				break
			}
		}
		require.Equal(t, []string{"Started", "Line", "Line", "Line", "Line", "Line", "Line", "Line", "Line", "Dropped", "Exited", "BackingOff"}, kinds(got))
		require.Equal(t, Dropped{Events: 992}, got[9].What)
		require.Equal(t, "992 events dropped", got[9].String())
		require.Empty(t, r.hub.boxes, "who leaves is not sent any more")
	})
}

// What is missing at the end is told too.
func TestMailbox_EndsWithDropped(t *testing.T) {
	b := newMailbox("", 2)
	line := Event{Program: "web", Generation: 3, What: Line{Text: "x"}}
	for range 5 {
		b.post(line)
	}
	events, more := b.take()
	require.True(t, more)
	require.Equal(t, []Event{line, line, {Generation: 3, What: Dropped{Events: 3}}}, events)
	b.close()
	events, more = b.take()
	require.Empty(t, events)
	require.False(t, more)
}

// OnEvent is not called for two processes of the same name at a time, not even if another program has got the name.
func TestOnEvent_IsSerialForAName(t *testing.T) {
	release := make(chan struct{})
	o := Options{OnEvent: func(e Event) {
		if _, is := e.What.(Exited); is && e.Generation == 1 {
			<-release
		}
	}}
	inBubble(t, o, map[string]script{"web": heedsTerm}, func(t *testing.T, r *rig) {
		release = make(chan struct{})
		r.Start()
		synctest.Wait()
		ctx, cancel := soon(second)
		defer cancel()
		require.ErrorIs(t, r.Remove(ctx, "web"), errSoon)
		require.NoError(t, r.Add("web", process.Command{Path: "web"}, ProgramOptions{}))
		require.Equal(t, StateRunning, r.state("web"), "it is started all the same")
		require.Equal(t, []string{"Started", "Exited"}, r.kinds())
		close(release)
		require.Equal(t, []string{"Started", "Exited", "Stopped", "Started"}, r.kinds())
	})
}

func TestEvents_EndsWithItsContext(t *testing.T) {
	inBubble(t, Options{}, nil, func(t *testing.T, r *rig) {
		ctx, cancel := context.WithCancel(t.Context())
		var over atomic.Bool
		events, unused := r.Events(ctx), r.Events(ctx)
		go func() {
			for range events {
			}
			over.Store(true)
		}()
		synctest.Wait()
		require.False(t, over.Load())
		require.Len(t, r.hub.boxes, 2)
		cancel()
		synctest.Wait()
		require.True(t, over.Load())
		require.Empty(t, r.hub.boxes)
		for range unused {
			t.Error("an event after the end")
		}
	})
}

// What is asked of the monitor inside OnEvent works, as long as it does not wait for its own program.
func TestOnEvent_MayCallTheMonitor(t *testing.T) {
	var m *Monitor
	o := Options{OnEvent: func(e Event) {
		if _, is := e.What.(Exited); is && e.Generation == 1 {
			_ = m.Restart(e.Program)
			_ = m.Add("other", process.Command{Path: "other"}, ProgramOptions{})
			_ = m.Remove(context.Background(), "waits")
		}
	}}
	inBubble(t, o, map[string]script{"web": exitsAtOnce, "waits": heedsTerm, "other": heedsTerm}, func(t *testing.T, r *rig) {
		m = r.Monitor
		require.NoError(t, r.Remove(t.Context(), "other"))
		r.Start()
		require.Equal(t, []time.Duration{0, 0}, times[Started](r, "web"))
		require.Equal(t, StateRunning, r.state("other"))
		require.Len(t, r.Snapshot(), 2)
	})
}

// Who hears of an exit and looks finds no process.
func TestSnapshot_IsNotBehindTheEvents(t *testing.T) {
	var seen []Status
	var look func() []Status
	log := slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.MessageKey && a.Value.String() == "exited" {
			seen = look()
		}
		return a
	}}))
	inBubble(t, Options{Log: log}, map[string]script{"web": exits(second, 3)}, func(t *testing.T, r *rig) {
		look = r.Snapshot
		r.Start()
		time.Sleep(3 * second / 2)
		require.NoError(t, r.Stop(t.Context()))
		require.Len(t, seen, 1)
	})
	require.Zero(t, seen[0].PID)
	require.NotZero(t, seen[0].LastReport.PID)
}

func TestEvent_String(t *testing.T) {
	report := process.Report{PID: 7, Code: 3, Uptime: second}
	for want, w := range map[string]What{
		"a: started (pid 7)":               Started{PID: 7},
		"a: ready after 1.2s":              Ready{After: 1200 * time.Millisecond},
		"a: stderr: oops":                  Line{Stream: Stderr, Text: "oops"},
		"a: stdout: fine":                  Line{Stream: Stdout, Text: "fine"},
		"a: exited with code 3 after 1s":   Exited{Report: report},
		"a: restarting":                    Restarting{},
		"a: not started: no":               StartFailed{Err: errors.New("no")},
		"a: given up after 2 attempts: no": GaveUp{Attempts: 2, Err: errors.New("no")},
		"a: given up after 2 attempts: exited with code 3 after 1s": GaveUp{Attempts: 2, Report: report},
		"a: stopped": Stopped{},
	} {
		require.Equal(t, want, Event{Program: "a", What: w}.String())
	}
}

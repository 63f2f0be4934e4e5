package pool

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/stdcrew/stdcrew/process"
)

// program is a worker program for in-memory processes that speaks jsonLines. The zero program echoes arguments, takes one call at a time
// and obeys.
type program struct {
	inFlight int
	loads    time.Duration // before the hello
	loading  int           // says so many times "still loading", every loads
	unable   string        // cannot start, and says why
	exits    *int          // instead of a hello, with this code
	stderr   string        // written at the start
	mute     bool          // never says hello

	once bool // exits as soon as it has answered a call

	deafToShutdown bool
	deafToEOF      bool
	deafToTERM     bool

	handle func(*visit) (any, error) // nil: echo
	heard  func(jsonLine)            // called with each line, in order
}

// visit is a call at a worker.
type visit struct {
	*session
	ctx  context.Context // ends with a cancel
	call jsonLine
}

// session is one run of a program.
type session struct {
	program
	*process.Memory
	exit    chan int        // buffered
	over    <-chan struct{} // closed when the run has ended
	writing sync.Mutex
	mu      sync.Mutex
	cancels map[int]context.CancelFunc
	calls   sync.WaitGroup
}

func (p program) run(m *process.Memory) int {
	ctx, cancel := context.WithCancel(context.Background())
	s := &session{program: p, Memory: m, exit: make(chan int, 1), over: ctx.Done(), cancels: map[int]context.CancelFunc{}}
	defer cancel() // handlers end with it
	if p.deafToTERM {
		m.Signals()
	}
	fmt.Fprint(m.Stderr, p.stderr)
	for range p.loading {
		if s.dies(p.loads) {
			return 0
		}
		s.say(jsonLine{Loading: "still"})
	}
	if s.dies(p.loads) {
		return 0
	}
	switch {
	case p.exits != nil:
		return *p.exits
	case p.unable != "":
		s.say(jsonLine{Unable: p.unable})
		return 1
	case p.mute:
	default:
		s.say(jsonLine{Hello: max(1, p.inFlight)})
		s.say(jsonLine{Ready: true})
	}
	go s.listen(ctx) // until its input breaks, which the exit does
	select {
	case code := <-s.exit:
		return code
	case <-m.Killed:
		return 0
	}
}

// dies waits, and says whether the process was killed meanwhile.
func (s *session) dies(d time.Duration) bool {
	if d == 0 {
		return false // see worker.setAlarm
	}
	select {
	case <-time.After(d):
		return false
	case <-s.Killed:
		return true
	}
}

// quit ends the run with this exit code, unless it is ending already.
func (s *session) quit(code int) {
	select {
	case s.exit <- code:
	default:
	}
}

func (s *session) ended() bool {
	select {
	case <-s.over:
		return true
	default:
		return false
	}
}

func (s *session) say(l jsonLine) {
	text, err := json.Marshal(l)
	if err != nil {
		panic(err)
	}
	s.print(string(text) + "\n")
}

func (s *session) print(text string) {
	s.writing.Lock()
	defer s.writing.Unlock()
	_, _ = s.Stdout.Write([]byte(text))
}

func (s *session) listen(ctx context.Context) {
	lines := bufio.NewReader(s.Stdin)
	for {
		text, err := lines.ReadBytes('\n')
		if err != nil {
			if !s.deafToEOF {
				s.quit(0)
			}
			return
		}
		var l jsonLine
		if err := json.Unmarshal(text, &l); err != nil {
			panic(err)
		}
		if s.heard != nil {
			s.heard(l)
		}
		s.hear(ctx, l)
	}
}

func (s *session) hear(ctx context.Context, l jsonLine) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case l.Shutdown != "":
		if s.deafToShutdown {
			return
		}
		if l.Shutdown == "now" {
			for _, cancel := range s.cancels {
				cancel()
			}
		}
		go func() {
			s.calls.Wait()
			s.say(jsonLine{Goodbye: "as asked"})
		}()
	case l.Ping:
		s.say(jsonLine{Ping: true})
	case l.Cancel:
		if cancel := s.cancels[l.ID]; cancel != nil {
			cancel()
		}
	case l.Method != "":
		ctx, cancel := context.WithCancel(ctx)
		s.cancels[l.ID] = cancel
		s.calls.Add(1)
		go s.serve(&visit{session: s, ctx: ctx, call: l})
	}
}

func (s *session) serve(v *visit) {
	defer s.calls.Done()
	answer := jsonLine{ID: v.call.ID}
	result, err := any(v.call.Args), error(nil)
	if s.handle != nil {
		result, err = s.handle(v)
	}
	switch {
	case s.ended():
		return // the dead say nothing
	case err != nil:
		answer.Error = err.Error()
	default:
		answer.Reply, err = json.Marshal(result)
		if err != nil {
			panic(err)
		}
	}
	s.say(answer)
	if s.once {
		s.quit(0)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancels[v.call.ID]()
	delete(s.cancels, v.call.ID)
}

// sleep works for some time, or until the process has ended: nothing must be left in a bubble. It does not heed cancels.
func (v *visit) sleep(d time.Duration) {
	select {
	case <-time.After(d):
	case <-v.over:
	}
}

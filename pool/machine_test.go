package pool

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// lifeOfASlot is L2's table, written down without looking at the one in table.go: for each event, in each state, the next state ("-": the
// same) and what is asked for. Facts are as they are in the usual life: see inState.
const lifeOfASlot = `
event         | stopped                         | starting                        | ready                                               | stopping                              | waiting_ready
get           | starting launch queue           | - queue                         | - answer                                            | - refuse                              | - refuse
stop          | - resolve                       | waiting_ready failwaiters       | stopping withdraw ladder                            | -                                     | -
created       | - INTERNAL reap                 | ready admit                     | - INTERNAL                                          | - LATE                                | stopping ladder
start failed  | - INTERNAL                      | stopping ladder bootfailed      | - INTERNAL                                          | - LATE                                | stopping ladder
launch failed | - INTERNAL                      | stopped bootfailed              | - INTERNAL                                          | - INTERNAL                            | stopped resolve
terminated    | - LATE                          | stopped bootfailed              | stopped withdraw died failcalls exithook            | stopped failcalls resolve exithook    | stopped resolve
retire        | - INTERNAL                      | waiting_ready                   | - withdraw                                          | - LATE                                | - INTERNAL
drained       | - LATE                          | - INTERNAL                      | - INTERNAL                                          | - LATE                                | - INTERNAL
kill          | - INTERNAL                      | stopping ladderkill             | stopping withdraw ladderkill                        | - next                                | stopping ladder
rung over     | - INTERNAL                      | - INTERNAL                      | - INTERNAL                                          | - next                                | - next
`

var actionWords = map[string]action{
	"launch": actLaunch, "answer": actAnswer, "queue": actQueue, "refuse": actRefuse, "admit": actAdmit, "failwaiters": actFailWaiters,
	"withdraw": actWithdraw, "ladder": actLadder, "ladderkill": actLadderKill, "next": actNextRung, "bootfailed": actBootFailed, "died": actDied,
	"failcalls": actFailCalls, "exithook": actExitHook, "resolve": actResolveStop, "reap": actReap, "LATE": actLate, "INTERNAL": actInternal,
}

// inState returns a machine in a state, with the facts of a usual life: a process that is stopping had been ready and was idle.
func inState(s State) machine {
	m := machine{state: s, gen: 3}
	if s == StateReady || s == StateStopping {
		m.facts.connected = true
	}
	return m
}

func allStates() []State {
	var all []State
	for s := range numStates {
		all = append(all, s)
	}
	return all
}

// TestL2_EveryCell takes every event in every state.
func TestL2_EveryCell(t *testing.T) {
	seen := 0
	for _, row := range strings.Split(strings.TrimSpace(lifeOfASlot), "\n")[1:] {
		cells := strings.Split(row, "|")
		kind := eventNamed(t, strings.TrimSpace(cells[0]))
		for i, text := range cells[1:] {
			state := State(i)
			seen++
			t.Run(fmt.Sprintf("%v in %v", kind, state), func(t *testing.T) {
				words := strings.Fields(text)
				want := []action{}
				for _, word := range words[1:] {
					require.Contains(t, actionWords, word)
					want = append(want, actionWords[word])
				}
				m := inState(state)
				got := m.step(event{kind: kind, gen: m.gen})
				require.Equal(t, want, got, "and in this order")
				if words[0] == "-" {
					require.Equal(t, state, m.state)
				} else {
					require.Equal(t, words[0], m.state.String())
				}
			})
		}
	}
	require.Equal(t, int(numEvents)*int(numStates), seen, "the expectation must be total, too")
}

func eventNamed(t *testing.T, name string) eventKind {
	t.Helper()
	for k := range numEvents {
		if k.String() == name {
			return k
		}
	}
	require.Fail(t, "no such event", name)
	return 0
}

// TestL2_4_StaleEventsChangeNothing: an event of another generation is late in every state, and its process is to be reaped.
func TestL2_4_StaleEventsChangeNothing(t *testing.T) {
	for kind := range numEvents {
		for _, state := range allStates() {
			for _, gen := range []uint64{2, 4} {
				m := inState(state)
				before := m
				require.Equal(t, []action{actLate, actReap}, m.step(event{kind: kind, gen: gen}), "%v in %v", kind, state)
				require.Equal(t, before, m)
			}
		}
	}
}

func TestMachine_UnknownEventIsAnInternalError(t *testing.T) {
	m := inState(StateReady)
	require.Equal(t, []action{actInternal}, m.step(event{kind: numEvents, gen: m.gen}))
	require.Equal(t, inState(StateReady), m)
}

// TestMachine_Lives: interleavings as data. Each line is a life, its last word what the last event must ask for (or must not).
func TestMachine_Lives(t *testing.T) {
	lives := []struct{ name, events, want, never string }{
		{"a stop that the user asked for runs no exit hook", "get created stop terminated", "resolve failcalls", "exithook died"},
		{"nor does one that joins another end", "get created kill! stop terminated", "died", "exithook"},
		{"an idle stop does", "get created retire drained terminated", "exithook", "died"},
		{"a violation is a death", "get created kill! terminated", "died exithook", ""},
		{"a kill that we wished for is not", "get created kill terminated", "exithook", "died"},
		{"a goodbye of its own accord is a death", "get created retire! drained terminated", "died exithook", ""},
		{"also if it exits before it has drained", "get created retire! terminated", "died exithook", ""},
		{"a retiring worker that exits is not", "get created retire terminated", "exithook", "died"},
		{"a failed start had no connection to lose", "get startfailed terminated", "resolve", "exithook died bootfailed"},
		{"stopped while starting, then created: no exit hook", "get stop created terminated", "resolve", "exithook died bootfailed"},
		{"retired while starting, then created: it was connected", "get retire created terminated", "exithook", "died bootfailed"},
		{"killed while starting", "get kill terminated", "resolve", "exithook died bootfailed"},
		{"facts end with the incarnation", "get created kill! terminated get created retire drained terminated", "exithook", "died"},
		{"asked ends with the incarnation", "get created stop terminated get created terminated", "exithook died", ""},
		{"only a retiring worker drains", "get created drained", "INTERNAL", "ladder"},
		{"and then it is stopped", "get created retire drained", "ladder", "INTERNAL"},
		{"created comes too late for a killed one", "get kill created", "LATE", "admit"},
	}
	for _, life := range lives {
		t.Run(life.name, func(t *testing.T) {
			var m machine
			var got []action
			for _, word := range strings.Fields(life.events) {
				got = m.step(lifeEvent(t, word, m.gen))
			}
			for _, word := range strings.Fields(life.want) {
				require.Contains(t, got, actionWords[word], word)
			}
			for _, word := range strings.Fields(life.never) {
				require.NotContains(t, got, actionWords[word], word)
			}
		})
	}
}

// lifeEvent turns a word into an event; with an exclamation mark it is the worker's own doing.
func lifeEvent(t *testing.T, word string, gen uint64) event {
	t.Helper()
	name, unwanted := strings.CutSuffix(word, "!")
	for k := range numEvents {
		if strings.ReplaceAll(k.String(), " ", "") == name {
			return event{kind: k, gen: gen, unwanted: unwanted}
		}
	}
	require.Fail(t, "no such event", word)
	return event{}
}

// TestMachine_RandomWalks checks what holds on every way through the table.
func TestMachine_RandomWalks(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		walk(t, random)
	}
}

func walk(t *testing.T, random *rand.Rand) {
	var m machine
	var trace []string
	launched, terminated, hooked := 0, 0, 0
	for range 60 {
		e := event{kind: eventKind(random.IntN(int(numEvents))), gen: m.gen, unwanted: random.IntN(2) == 0}
		if random.IntN(20) == 0 {
			e.gen--
		}
		before := m
		do := m.step(e)
		trace = append(trace, fmt.Sprintf("%v(%d)", e.kind, e.gen))
		explain := strings.Join(trace, " ")

		isLate := slices.Contains(do, actLate) || slices.Contains(do, actInternal)
		require.False(t, isLate && m != before, "a refused event changed something: %s", explain)
		if m.gen != before.gen {
			require.Equal(t, before.gen+1, m.gen, explain)
			require.Equal(t, machine{state: StateStarting, gen: m.gen}, m, "a launch begins afresh: %s", explain)
			require.Contains(t, do, actLaunch, explain)
			launched++
		}
		if m.state == StateStopped && before.state != StateStopped {
			terminated++
			require.True(t, e.kind == evTerminated || e.kind == evLaunchFailed, "stopped with a process: %s", explain)
			require.Equal(t, facts{}, m.facts, explain)
		}
		if slices.Contains(do, actExitHook) {
			hooked++
			require.True(t, before.facts.connected && !before.facts.asked, explain)
		}
		require.True(t, !m.facts.retiring || m.state == StateReady || m.state == StateStopping, explain)
	}
	require.LessOrEqual(t, launched-terminated, 1, "one process at a time")
	require.GreaterOrEqual(t, launched-terminated, 0)
	require.LessOrEqual(t, hooked, terminated)
}

func TestStrings(t *testing.T) {
	for _, s := range allStates() {
		require.NotContains(t, s.String(), "state ")
	}
	require.Equal(t, "state 9", State(9).String())
	require.Equal(t, "event 99", eventKind(99).String())
	require.Equal(t, "action 99", action(99).String())
	require.Equal(t, "internal error", actInternal.String())
	require.Equal(t, "class 0", Class(0).String())
}

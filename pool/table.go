package pool

// table is the whole life of a slot: what every event does in every state. docs/states.md is generated from it.
//
// "get" reaches the machine only where a process is wanted in a stopped slot. In the other states a caller is dealt with by
// Pool.take, which does what the table says without going through it: that is the hot path.
var table = [numEvents][numStates]cell{
	evGet: {
		StateStopped:      {next: StateStarting, do: []action{actLaunch, actQueue}},
		StateStarting:     {next: same, do: []action{actQueue}},
		StateReady:        {next: same, do: []action{actAnswer}, note: "or join the queue if there is one, or no place is free"},
		StateStopping:     {next: same, do: []action{actRefuse}, note: "if the stop is the pool's; otherwise queue"},
		StateWaitingReady: {next: same, do: []action{actRefuse}, note: "if the stop is the pool's; otherwise queue"},
	},
	evStop: {
		StateStopped:      {next: same, do: []action{actResolveStop}},
		StateStarting:     {next: StateWaitingReady, do: []action{actFailWaiters}},
		StateReady:        {next: StateStopping, do: []action{actWithdraw, actLadder}},
		StateStopping:     {next: same, note: "joins the stop under way"},
		StateWaitingReady: {next: same, note: "joins the stop under way"},
	},
	evCreated: {
		StateStopped:      {next: same, do: []action{actInternal, actReap}},
		StateStarting:     {next: StateReady, do: []action{actAdmit}},
		StateReady:        {next: same, do: []action{actInternal}},
		StateStopping:     {next: same, do: []action{actLate}},
		StateWaitingReady: {next: StateStopping, do: []action{actLadder}, note: "nobody gets the connection"},
	},
	evStartFailed: {
		StateStopped:      {next: same, do: []action{actInternal}},
		StateStarting:     {next: StateStopping, do: []action{actLadder, actBootFailed}},
		StateReady:        {next: same, do: []action{actInternal}},
		StateStopping:     {next: same, do: []action{actLate}},
		StateWaitingReady: {next: StateStopping, do: []action{actLadder}},
	},
	evLaunchFailed: {
		StateStopped:      {next: same, do: []action{actInternal}},
		StateStarting:     {next: StateStopped, do: []action{actBootFailed}},
		StateReady:        {next: same, do: []action{actInternal}},
		StateStopping:     {next: same, do: []action{actInternal}},
		StateWaitingReady: {next: StateStopped, do: []action{actResolveStop}},
	},
	evTerminated: {
		StateStopped:      {next: same, do: []action{actLate}},
		StateStarting:     {next: StateStopped, do: []action{actBootFailed}},
		StateReady:        {next: StateStopped, do: []action{actWithdraw, actDied, actFailCalls, actExitHook}, note: "a death only if not retiring, or retiring of its own accord"},
		StateStopping:     {next: StateStopped, do: []action{actDied, actFailCalls, actResolveStop, actExitHook}, note: "a death only if its end was its own doing; exit hook only if it was connected and the user did not ask for the stop"},
		StateWaitingReady: {next: StateStopped, do: []action{actResolveStop}, note: "no exit hook"},
	},
	evRetire: {
		StateStopped:      {next: same, do: []action{actInternal}},
		StateStarting:     {next: StateWaitingReady, note: "as stop, without failing waiters"},
		StateReady:        {next: same, do: []action{actWithdraw}, note: "retiring from now on; drained follows when no call is left or RetireGrace is over"},
		StateStopping:     {next: same, do: []action{actLate}},
		StateWaitingReady: {next: same, do: []action{actInternal}},
	},
	evDrained: {
		StateStopped:      {next: same, do: []action{actLate}},
		StateStarting:     {next: same, do: []action{actInternal}},
		StateReady:        {next: StateStopping, do: []action{actLadder}, note: "internal error if not retiring"},
		StateStopping:     {next: same, do: []action{actLate}},
		StateWaitingReady: {next: same, do: []action{actInternal}},
	},
	evKill: {
		StateStopped:      {next: same, do: []action{actInternal}},
		StateStarting:     {next: StateStopping, do: []action{actLadderKill}},
		StateReady:        {next: StateStopping, do: []action{actWithdraw, actLadderKill}, note: "from a gentler rung if the reason allows"},
		StateStopping:     {next: same, do: []action{actNextRung}, note: "at once"},
		StateWaitingReady: {next: StateStopping, do: []action{actLadder}},
	},
	evRungOver: {
		StateStopped:      {next: same, do: []action{actInternal}},
		StateStarting:     {next: same, do: []action{actInternal}},
		StateReady:        {next: same, do: []action{actInternal}},
		StateStopping:     {next: same, do: []action{actNextRung}},
		StateWaitingReady: {next: same, do: []action{actNextRung}},
	},
}

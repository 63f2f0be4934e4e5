package monitor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func newTestStreak(o ProgramOptions) *streak {
	o.Policy = o.Policy.over(defaultPolicy())
	s := newStreak(o)
	return &s
}

func requireDecision(t *testing.T, s *streak, d death, do decision, delay time.Duration) {
	t.Helper()
	gotDo, gotDelay := s.after(d)
	require.Equal(t, do, gotDo)
	require.Equal(t, delay, gotDelay)
}

// TestL4_3_ExactlyTheThresholdIsLong: strictly less is early.
func TestL4_3_ExactlyTheThresholdIsLong(t *testing.T) {
	s := newTestStreak(ProgramOptions{})
	requireDecision(t, s, death{lived: time.Second - 1}, wait, time.Second)
	requireDecision(t, s, death{}, wait, 2*time.Second)
	requireDecision(t, s, death{lived: time.Second}, again, 0)
	requireDecision(t, s, death{}, wait, time.Second)
}

func TestL4_4_SuccessIsADeathLikeAnother(t *testing.T) {
	s := newTestStreak(ProgramOptions{})
	requireDecision(t, s, death{success: true}, wait, time.Second)
	requireDecision(t, s, death{success: true, lived: time.Second}, again, 0)

	s = newTestStreak(ProgramOptions{StopOnSuccess: true})
	requireDecision(t, s, death{}, wait, time.Second)
	requireDecision(t, s, death{success: true, asked: true}, again, 0)
	requireDecision(t, s, death{success: true, unready: true}, wait, 2*time.Second)
	requireDecision(t, s, death{success: true}, finish, 0)
}

func TestL4_4_MaxAttemptsCountsThoseInARow(t *testing.T) {
	s := newTestStreak(ProgramOptions{Policy: Policy{MaxAttempts: 3}})
	for range 2 {
		requireDecision(t, s, death{failed: true}, wait, time.Second)
		requireDecision(t, s, death{}, wait, 2*time.Second)
		requireDecision(t, s, death{lived: time.Hour}, again, 0)
	}
	requireDecision(t, s, death{}, wait, time.Second)
	requireDecision(t, s, death{asked: true}, again, 0)
	requireDecision(t, s, death{failed: true}, wait, 2*time.Second)
	requireDecision(t, s, death{}, giveUp, 0)
}

// TestL4_5_AWantedEndIsNoEarlyDeath, and no proof of health either: restarts on demand do not defeat the back-off (P24).
func TestL4_5_AWantedEndIsNoEarlyDeath(t *testing.T) {
	s := newTestStreak(ProgramOptions{})
	requireDecision(t, s, death{asked: true}, again, 0)
	requireDecision(t, s, death{}, wait, time.Second)
	requireDecision(t, s, death{asked: true, lived: time.Hour}, again, 0)
	requireDecision(t, s, death{}, wait, 2*time.Second)
}

// TestP24_AProgramThatNeverBecomesReadyIsNotWell, however long it lives.
func TestP24_AProgramThatNeverBecomesReadyIsNotWell(t *testing.T) {
	s := newTestStreak(ProgramOptions{})
	requireDecision(t, s, death{lived: time.Hour, unready: true}, wait, time.Second)
	requireDecision(t, s, death{lived: time.Hour, unready: true}, wait, 2*time.Second)
}

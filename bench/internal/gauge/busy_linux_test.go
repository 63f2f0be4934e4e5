package gauge

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBusyTimeCountsWhatThisProcessUses(t *testing.T) {
	before, err := BusyTime()
	require.NoError(t, err)
	require.Positive(t, before)
	const use = 50 * time.Millisecond
	mine, err := CPUTime(os.Getpid())
	require.NoError(t, err)
	for now := mine; now < mine+use; {
		now, err = CPUTime(os.Getpid())
		require.NoError(t, err)
	}
	after, err := BusyTime()
	require.NoError(t, err)
	require.GreaterOrEqual(t, after-before, use/2, "of several ticks not all can be missed")
}

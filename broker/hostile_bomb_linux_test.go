package broker_test

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/broker"
)

// A reply that is a trap costs its own call alone. Where it is no valid value the worker is to blame, where it does not fit what the caller gave
// for it, or would need too much memory, it has been answered all the same.
func TestP5_RepliesThatAreTraps(t *testing.T) {
	trap := func(mode string, class broker.Class, out any, says ...string) crime {
		return crime{mode: mode, out: out, class: class, delivery: broker.Answered, says: says}
	}
	var list []any
	var dict map[any]any
	var wide []wideElement
	punish(t, []crime{
		trap("bomb-array", broker.ClassRemote, &list, "bad_reply"),
		trap("bomb-text", broker.ClassRemote, new(string), "bad_reply"),
		trap("bomb-deep", broker.ClassRemote, &list, "bad_reply", "nested deeper than"),
		trap("bomb-tail", broker.ClassRemote, new(int), "bad_reply", "behind the MessagePack value"),
		trap("bomb-key", broker.ClassCaller, &dict),
		trap("bomb-nils", broker.ClassCaller, &wide, "need more than 64 MiB"),
		trap("oversize", broker.ClassRemote, new([]byte), "bad_reply").with(broker.PoolOptions{MaxMessage: 1 << 20}),
	})
}

// wideElement takes one byte of a reply, if that is nil, and much more here.
type wideElement struct{ Words [68]uint64 }

// What is claimed is not taken for granted, and the megabyte of nils is not even begun to be decoded.
func TestP5_ClaimsTakeNoMemory(t *testing.T) {
	const much = 32 << 20
	leavesNothing(t)
	for _, mode := range []string{"bomb-array", "bomb-text", "bomb-nils", "giant", "giant-message"} {
		t.Run(mode, func(t *testing.T) {
			b, _ := hostile(t, broker.PoolOptions{}, mode)
			pidOf(t, b)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			var out []wideElement
			require.Error(t, b.Call(longEnough(t), "hostile.misbehave", 0, &out))
			runtime.ReadMemStats(&after)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(much))
			require.Empty(t, out)
		})
	}
}

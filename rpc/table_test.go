package rpc

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// A table does what a map does, whatever comes and goes: ids of calls, which rise by two, of which some stay for long, and of pings.
func TestTable(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for _, calls := range []int{1, 3, 64, 100_000} {
		table, model, id := newTable[call](calls), map[uint64]*call{}, uint64(r.IntN(2))
		require.LessOrEqual(t, len(table.ring), maxRing)
		for range 5000 {
			switch id += 2; {
			case r.IntN(20) == 0:
				c := &call{id: id | pingBit}
				model[c.id] = c
				table.put(c.id, c)
			case r.IntN(2) == 0 && len(model) < 200:
				model[id] = &call{id: id}
				table.put(id, model[id])
			default:
				gone := id - 2*uint64(r.IntN(8)) // mostly one of the latest
				if r.IntN(50) == 0 {
					gone = id - 2*uint64(r.IntN(2000))
				}
				require.Same(t, model[gone], table.get(gone))
				table.remove(gone)
				delete(model, gone)
				require.Nil(t, table.get(gone))
			}
			require.Equal(t, len(model), table.count)
		}
		require.ElementsMatch(t, values(model), slices.Collect(table.all()))
		for c := range table.all() {
			require.Same(t, c, table.get(c.id))
			table.remove(c.id)
		}
		require.Zero(t, table.count)
		require.Empty(t, slices.Collect(table.all()))
	}
}

func values(m map[uint64]*call) (all []*call) {
	for _, c := range m {
		all = append(all, c)
	}
	return all
}

func TestTable_AllCanBeLeftEarly(t *testing.T) {
	table := newTable[call](1)
	for id := range uint64(20) {
		table.put(2*id, &call{id: 2 * id})
	}
	seen := 0
	for range table.all() {
		if seen++; seen == minRing+1 { // one of those in the map
			break
		}
	}
	require.Equal(t, minRing+1, seen)
}

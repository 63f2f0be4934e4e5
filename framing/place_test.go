package framing

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A message must not hold on to memory of many times its size, which larger ones need: such a place is passed by.
func TestPlace_IsNotMuchTooLarge(t *testing.T) {
	const large, just = 2 * roomy * direct, 2 * direct
	found := 0
	for range 100 { // now and then a place goes to the garbage
		Recycle(make([]byte, large))
		require.LessOrEqual(t, cap(place(just-1)), roomy*(just-1))
		Recycle(make([]byte, large))
		if cap(place(just)) == large {
			found++
		}
	}
	require.Greater(t, found, 20)
}

// Only such as a large payload needs are kept: in place of a small one the next large message would have to take new memory.
func TestPlace_SmallOnesAreNotKept(t *testing.T) {
	for range 100 {
		Recycle(make([]byte, direct-1))
	}
	for p, ok := places.Get().(*[]byte); ok; p, ok = places.Get().(*[]byte) {
		require.GreaterOrEqual(t, cap(*p), direct)
	}
}

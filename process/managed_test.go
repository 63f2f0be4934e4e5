package process

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// collected is what a process has written, and what became of its pipes.
type collected struct {
	mu       sync.Mutex
	out, err strings.Builder
	lost     [3][]error
}

func (c *collected) options() ManagedOptions {
	return ManagedOptions{
		Stdout: func(data []byte) { c.write(&c.out, data) },
		Stderr: func(data []byte) { c.write(&c.err, data) },
		Lost: func(fd int, err error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.lost[fd] = append(c.lost[fd], err)
		},
	}
}

func (c *collected) write(to *strings.Builder, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	to.Write(data)
}

func (c *collected) stdout() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.String()
}

// copying copies its input to its output, and says so.
func copying(m *Memory) int {
	_, err := io.Copy(m.Stdout, m.Stdin)
	io.WriteString(m.Stderr, "copied")
	if err != nil {
		return 1
	}
	return 0
}

func TestManagedStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got collected
		m := ManageFunc(copying, got.options())
		require.Nil(t, m.Stream(), "the streams are not the caller's")
		n, err := m.Write(t.Context(), []byte("over "))
		require.NoError(t, err)
		require.Equal(t, 5, n)
		synctest.Wait()
		require.Equal(t, "over ", got.stdout())
		_, err = io.WriteString(m.Input(t.Context()), "and out")
		require.NoError(t, err)
		require.NoError(t, m.CloseStdin())
		<-m.Ended()
		require.True(t, m.Report().Success())
		require.Equal(t, "over and out", got.stdout())
		require.Equal(t, "copied", got.err.String())
		require.Equal(t, "copied", m.Report().StderrTail)
		require.Equal(t, [3][]error{{nil}, {nil}, {nil}}, got.lost)
		_, err = m.Write(context.Background(), []byte("x"))
		require.True(t, errors.Is(err, os.ErrClosed), err)
	})
}

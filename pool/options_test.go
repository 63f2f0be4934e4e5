package pool

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stdcrew/stdcrew/process"
)

// TestP38_AllContradictionsAtOnce: what cannot be meant is refused at construction, all of it, with the field and a remedy.
func TestP38_AllContradictionsAtOnce(t *testing.T) {
	_, err := New(Options{
		Name: "Images!", Command: process.Command{Path: "a", Self: "b"},
		Min: 5, Max: 3, InFlight: -1, Queue: -1, QueueTimeout: time.Second, MaxMessage: 10,
		Restart: Restart{Min: time.Minute, Max: time.Second},
	})
	require.Error(t, err)
	for _, field := range []string{"Name:", "Command:", "Min: 5", "InFlight:", "QueueTimeout:", "MaxMessage:", "Restart.Min:"} {
		require.ErrorContains(t, err, field)
	}
	require.Len(t, strings.Split(err.Error(), "\n"), 7)

	for field, o := range map[string]Options{
		"Command":     {},
		"Min":         {Min: -1},
		"Max":         {Max: -1},
		"InFlight":    {InFlight: maxInFlight + 1},
		"MaxMessage":  {MaxMessage: -1},
		"Restart.Min": {Restart: Restart{Min: -1}},
		"Restart.Max": {Restart: Restart{Max: -1}},
	} {
		if field != "Command" {
			o.Command.Path = "worker"
		}
		_, err := New(o)
		require.ErrorContains(t, err, field+":")
		require.Len(t, strings.Split(err.Error(), "\n"), 1)
	}
}

func TestOptions_Defaults(t *testing.T) {
	o, err := Options{Command: process.Command{Path: "worker"}}.resolve()
	require.NoError(t, err)
	require.Equal(t, "workers", o.Name)
	require.Equal(t, runtime.GOMAXPROCS(0), o.Max)
	require.Equal(t, 0, o.Min)
	require.Equal(t, 1024, o.Queue)
	require.Equal(t, 10*time.Second, o.StartTimeout)
	require.Negative(t, o.QueueTimeout)
	require.Negative(t, o.CallTimeout)
	require.Equal(t, 60*time.Second, o.IdleTimeout)
	require.Equal(t, 30*time.Second, o.RetireGrace)
	require.Equal(t, []time.Duration{5 * time.Second, 2 * time.Second, 5 * time.Second, 2 * time.Second}, []time.Duration{o.StopGrace, o.CloseGrace, o.KillGrace, o.DrainTimeout})
	require.Equal(t, Restart{Min: time.Second, Max: time.Minute}, o.Restart)

	o, err = Options{Command: process.Command{Self: "worker"}, Min: 1000, StopGrace: -1, Restart: Restart{Min: time.Hour}}.resolve()
	require.NoError(t, err)
	require.Equal(t, 1000, o.Max, "the default makes room for Min")
	require.Zero(t, o.StopGrace)
	require.Equal(t, Restart{Min: time.Hour, Max: time.Hour}, o.Restart)

	o, err = Options{Command: process.Command{Path: "worker"}, Restart: Restart{Max: time.Millisecond}}.resolve()
	require.NoError(t, err)
	require.Equal(t, Restart{Min: time.Millisecond, Max: time.Millisecond}, o.Restart)
}

func TestNewStartsNothingWithMinZero(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newCrew(t, Options{})
		time.Sleep(time.Hour)
		require.Empty(t, c.launched())
		require.NoError(t, c.Close())
		require.NoError(t, c.Stop(context.Background()))
	})
}

// TestWhatAProcessIsTold: the marker reaches every worker.
func TestWhatAProcessIsTold(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var told process.Options
		var command process.Command
		c := newCrew(t, Options{Name: "images", Command: process.Command{Path: "image-worker", Env: []string{}}, DrainTimeout: time.Second, Guard: true, SpareStrays: true, Start: func(pc process.Command, po process.Options) (*process.Process, error) {
			told, command = po, pc
			return process.StartFunc(program{}.run, po), nil
		}})
		c.serves()
		require.Equal(t, "image-worker", command.Path)
		require.Equal(t, "images/0", told.Name)
		require.Equal(t, []string{"STDCREW_WORKER=1"}, told.ExtraEnv)
		require.Equal(t, time.Second, told.DrainTimeout)
		require.True(t, told.Guard)
		require.True(t, told.SpareStrays)
	})
}

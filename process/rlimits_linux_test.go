//go:build !posixprocess

package process

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestResourceLimits(t *testing.T) {
	c := Command{Path: "sh", Args: []string{"-c", "read go; ulimit -Sn; ulimit -Hn; ulimit -c; ulimit -t"}}
	c.Limits.Rlimits = map[string]Rlimit{"nofile": {64, 80}, "4": {0, 0}, "cpu": {1000, Unlimited}}
	p := run(t, c, Options{})
	_, err := p.Stream().Write([]byte("go\n"))
	require.NoError(t, err)
	var words []string
	for range 4 {
		words = append(words, readLine(t, oneByte{p.Stream()}))
	}
	require.Equal(t, []string{"64", "80", "0", "1000"}, words)
	require.True(t, ended(t, p).Success())
}

// oneByte reads no further than asked, so that a reader on top of it has nothing left over.
type oneByte struct{ Stream }

func (o oneByte) Read(p []byte) (int, error) { return o.Stream.Read(p[:min(len(p), 1)]) }

// A limit that ends the process shows in its report as what it is.
func TestResourceLimitEndsTheProcess(t *testing.T) {
	c := Command{Path: "sh", Args: []string{"-c", `read go; echo too much > "$0"`, filepath.Join(t.TempDir(), "file")}}
	c.Limits.Rlimits = map[string]Rlimit{"fsize": {0, 0}}
	p := run(t, c, Options{})
	_, err := p.Stream().Write([]byte("go\n"))
	require.NoError(t, err)
	r := ended(t, p)
	require.Equal(t, "XFSZ", r.Signal.String(), "%v", r)
	require.Empty(t, r.Killer)
	require.Empty(t, r.OOM)
}

func TestWrongLimitsAreNamed(t *testing.T) {
	for text, l := range map[string]Limits{
		`start "true": Limits.Memory: -1 is negative: invalid argument`:                                  {Memory: -1},
		`start "true": Limits.Rlimits: nofile: Soft 2 is more than Hard 1: invalid argument`:             {Rlimits: map[string]Rlimit{"nofile": {2, 1}}},
		`start "true": Limits.Rlimits: resource 7 is limited twice: invalid argument`:                    {Rlimits: map[string]Rlimit{"nofile": {1, 1}, "7": {1, 1}}},
		`start "true": Limits.Rlimits: there is no resource "-1", only as, core, cpu, data, fsize, `:     {Rlimits: map[string]Rlimit{"-1": {}}},
		`start "true": Limits.Rlimits: there is no resource "NOFILE", only as, core, cpu, data, fsize, `: {Rlimits: map[string]Rlimit{"NOFILE": {}}},
	} {
		_, err := Start(Command{Path: "true", Limits: l}, Options{})
		require.ErrorIs(t, err, fs.ErrInvalid)
		require.True(t, strings.HasPrefix(err.Error(), text), err.Error())
	}

	before := len(descriptors())
	_, err := Start(Command{Path: "sleep", Args: []string{"300"}, Limits: Limits{Rlimits: map[string]Rlimit{"99": {}}}}, Options{})
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.Contains(t, err.Error(), "Limits.Rlimits: 99: ")
	require.Contains(t, err.Error(), "this kernel does not know the resource")
	require.True(t, eventually(func() bool { return len(descriptors()) <= before }), "the process that was there for a moment has left nothing")
}

func TestNoNewPrivs(t *testing.T) {
	own, err := os.ReadFile("/proc/thread-self/status")
	require.NoError(t, err)
	if strings.Contains(string(own), "NoNewPrivs:\t1") {
		t.Skip("facility missing: rights to be given up, this program has none to start with")
	}
	status := Command{Path: "grep", Args: []string{"NoNewPrivs", "/proc/self/status"}}
	for range 2 {
		status.Limits = Limits{NoNewPrivs: true}
		require.Equal(t, []string{"NoNewPrivs:", "1"}, says(t, status, Options{}))
		status.Limits = Limits{}
		require.Equal(t, []string{"NoNewPrivs:", "0"}, says(t, status, Options{}), "others keep their rights")
	}
	// With one thread at a time, the spawner finds itself on the main one at first.
	o := Options{ExtraEnv: append(asProgram("modest"), "GOMAXPROCS=1")}
	require.Equal(t, []string{"0"}, says(t, Command{Path: testBinary(t)}, o), "the main thread is left as it is")
}

func TestSpawnerThatCannotBePrepared(t *testing.T) {
	refused := errors.New("refused")
	s := newSpawner(func() error { return refused })
	require.Equal(t, refused, s.unfit)
	close(s.requests) // ends this one, which is no use to anybody
}

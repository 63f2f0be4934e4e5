package process

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// prints runs one of the programs that print a list, and returns it.
func prints(t *testing.T, c Command, o Options, mode string) []string {
	t.Helper()
	c.Path = testBinary(t)
	o.ExtraEnv = append(o.ExtraEnv, asProgram(mode)...)
	p := run(t, c, o)
	all, err := io.ReadAll(p.Stream())
	require.NoError(t, err)
	require.True(t, ended(t, p).Success(), p.StderrTail())
	return strings.Split(string(all), "\x00")
}

// file writes an executable for a test.
func file(t *testing.T, name, text string, mode fs.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), mode))
	return path
}

func TestL5_10_ArgumentsAreExact(t *testing.T) {
	args := []string{"", " ", "two words", `"quoted"`, `it's`, `back\slash\`, "new\nline", "$HOME *", "ünï\xff"}
	require.Equal(t, append([]string{testBinary(t)}, args...), prints(t, Command{Args: args}, Options{}, "args"))
}

func TestL5_1_EnvironmentIsInheritedOrExact(t *testing.T) {
	t.Setenv("PROCESS_TEST_VARIABLE", "inherited")
	t.Setenv("STDCREW_SELF", "old:1")
	t.Setenv("STDCREW_WORKER", "old")

	env := prints(t, Command{}, Options{ExtraEnv: []string{"STDCREW_WORKER=1"}}, "env")
	require.Contains(t, env, "PROCESS_TEST_VARIABLE=inherited")
	require.Contains(t, env, "STDCREW_WORKER=1")
	require.NotContains(t, env, "STDCREW_WORKER=old")
	require.NotContains(t, env, "STDCREW_SELF=old:1")

	require.Equal(t, []string{"A=1", "B=with spaces", "A=2", "C=3"},
		environOf(t, []string{"A=1", "B=with spaces", "A=2"}, "C=3"))
	require.Equal(t, []string{"B=2", "A=3"},
		environOf(t, []string{"A=1", "B=2"}, "A=3"), "an extra variable replaces")
	require.Empty(t, environOf(t, []string{}), "empty is empty")
}

func TestMarksAreAddedToTheEnvironment(t *testing.T) {
	needsLinux(t)
	own := func(o Options) []string {
		p := run(t, Command{Path: "cat", Args: []string{"/proc/self/environ"}, Env: []string{"A=1"}}, o)
		all, err := io.ReadAll(p.Stream())
		require.NoError(t, err)
		return strings.FieldsFunc(string(all), func(r rune) bool { return r == 0 })
	}
	first, second := own(Options{}), own(Options{})
	require.Len(t, first, 2)
	require.Regexp(t, fmt.Sprintf(`^STDCREW_CHILD=%d\.[0-9a-f]{16}\.\d+$`, os.Getpid()), first[1])
	require.NotEqual(t, first, second)
	require.Equal(t, []string{"A=1"}, own(Options{SpareStrays: true}))

	t.Setenv("STDCREW_CHILD", "1.a.1,2.b.2")
	require.Regexp(t, `^STDCREW_CHILD=1\.a\.1,2\.b\.2,\d+\.`, own(Options{})[1], "who started us finds what we start")
	require.Equal(t, []string{"A=1", "STDCREW_CHILD=1.a.1,2.b.2"}, own(Options{SpareStrays: true}))
	t.Setenv("STDCREW_CHILD", strings.Repeat("x", maxInheritedMarks+1))
	require.Regexp(t, fmt.Sprintf(`^STDCREW_CHILD=%d\.`, os.Getpid()), own(Options{})[1])
}

// environOf returns what the kernel gives a child as its environment, without the mark. A Go program would sort out doubles.
func environOf(t *testing.T, env []string, extra ...string) []string {
	t.Helper()
	p := run(t, Command{Path: "cat", Args: []string{"/proc/self/environ"}, Env: env}, Options{ExtraEnv: extra})
	all, err := io.ReadAll(p.Stream())
	require.NoError(t, err)
	entries := strings.FieldsFunc(string(all), func(r rune) bool { return r == 0 })
	if !findsStrays {
		return entries
	}
	last := len(entries) - 1
	require.True(t, strings.HasPrefix(entries[last], envChild+"="), entries)
	return entries[:last]
}

func TestSelfRunsThisProgramAgain(t *testing.T) {
	t.Setenv("STDCREW_SELF", "old:1")
	for mode, want := range map[string][]string{"args": {os.Args[0], "a", "b"}, "env": nil} {
		p := run(t, Command{Self: "resizer", Args: []string{"a", "b"}}, Options{ExtraEnv: asProgram(mode)})
		all, err := io.ReadAll(p.Stream())
		require.NoError(t, err)
		list := strings.Split(string(all), "\x00")
		if want != nil {
			require.Equal(t, want, list)
			continue
		}
		require.Contains(t, list, fmt.Sprintf("STDCREW_SELF=resizer:%d", os.Getpid()))
		require.NotContains(t, list, "STDCREW_SELF=old:1")
	}
}

func TestDir(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	p := run(t, Command{Path: "pwd", Dir: dir}, Options{})
	require.Equal(t, dir, readLine(t, p.Stream()))

	script := file(t, "tool", "#!/bin/sh\necho here\n", 0o755)
	p = run(t, Command{Path: "./tool", Dir: filepath.Dir(script)}, Options{})
	require.Equal(t, "here", readLine(t, p.Stream()), "a relative path is relative to Dir")
}

func TestL5_10_NoDescriptorLeaks(t *testing.T) {
	held, err := os.Open(file(t, "secret", "", 0o600))
	require.NoError(t, err)
	defer held.Close()
	sleeper(t) // whose pipes this program has open

	// What this program has inherited itself without being told to close it may leak. All else has been opened by Go, close-on-exec.
	ours := map[string]bool{}
	for _, entry := range descriptors() {
		number, target, _ := strings.Cut(entry, " → ")
		var fd int
		fmt.Sscan(number, &fd)
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		isPipe := strings.HasPrefix(target, "pipe:") // a Go child opens other files itself, of the same names
		if err == nil && flags&unix.FD_CLOEXEC != 0 && (isPipe || target == held.Name()) {
			ours[target] = true
		}
	}
	require.Contains(t, ours, held.Name())

	for _, entry := range prints(t, Command{}, Options{}, "descriptors") {
		number, target, _ := strings.Cut(entry, " → ")
		if number <= "2" && len(number) == 1 {
			require.Contains(t, target, "pipe:")
			continue
		}
		require.NotContains(t, ours, target, number)
	}
}

func TestChildEndsAreBlocking(t *testing.T) {
	p := run(t, Command{Path: "sh", Args: []string{"-c", "grep -h flags /proc/self/fdinfo/0 /proc/self/fdinfo/1 /proc/self/fdinfo/2"}}, Options{})
	all, err := io.ReadAll(p.Stream())
	require.NoError(t, err)
	lines := strings.Fields(strings.ReplaceAll(string(all), "flags:", ""))
	require.Len(t, lines, 3)
	for _, line := range lines {
		var flags int
		_, err := fmt.Sscanf(line, "%o", &flags)
		require.NoError(t, err)
		require.Zero(t, flags&unix.O_NONBLOCK, line)
	}
}

func TestOwnProcessGroup(t *testing.T) {
	p, _ := sleeper(t)
	pgid, err := unix.Getpgid(p.PID())
	require.NoError(t, err)
	require.Equal(t, p.PID(), pgid)
}

func TestStartErrorsNamePathAndRemedy(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", os.Getenv("PATH")+":.")
	dotTool := file(t, "only-here", "#!/bin/sh\n", 0o755)
	t.Chdir(filepath.Dir(dotTool))

	for name, test := range map[string]struct {
		command Command
		is      error
		says    []string
	}{
		"not in PATH":     {Command{Path: "no-such-program"}, fs.ErrNotExist, []string{`"no-such-program"`, "PATH"}},
		"not there":       {Command{Path: dir + "/nothing"}, fs.ErrNotExist, []string{dir + "/nothing", "check the path"}},
		"below a file":    {Command{Path: dotTool + "/x"}, syscall.ENOTDIR, []string{dotTool + "/x", "check the path"}},
		"current dir":     {Command{Path: "only-here"}, exec.ErrDot, []string{"./only-here"}},
		"is also missing": {Command{Path: "only-here"}, fs.ErrNotExist, []string{"only-here"}},
		"not executable":  {Command{Path: file(t, "plain", "#!/bin/sh\n", 0o644)}, fs.ErrPermission, []string{"plain", "chmod +x"}},
		"a directory":     {Command{Path: dir}, fs.ErrPermission, []string{dir, "it is a directory"}},
		"no program":      {Command{Path: file(t, "text", "hello\n", 0o755)}, syscall.ENOEXEC, []string{"text", "#!/bin/sh"}},
		"no interpreter":  {Command{Path: file(t, "script", "#!/no/such/sh\n", 0o755)}, fs.ErrNotExist, []string{"script", "interpreter"}},
		"no Dir":          {Command{Path: "true", Dir: dir + "/nothing"}, fs.ErrNotExist, []string{`"true"`, dir + "/nothing", "Dir"}},
		"Dir is a file":   {Command{Path: "true", Dir: dotTool}, syscall.ENOTDIR, []string{`"true"`, dotTool, "Dir"}},
		"no Path":         {Command{}, fs.ErrInvalid, []string{"Path", "name a program"}},
		"Path and Self":   {Command{Path: "true", Self: "me"}, fs.ErrInvalid, []string{"Self", "leave one"}},
		"NUL in argument": {Command{Path: "true", Args: []string{"a\x00b"}}, syscall.EINVAL, []string{"argument 0", "NUL"}},
		"NUL in Env":      {Command{Path: "true", Env: []string{"a=b", "c=\x00"}}, syscall.EINVAL, []string{"environment entry 1", "NUL"}},
		"too long":        {Command{Path: "true", Args: []string{strings.Repeat("x", 4<<20)}}, syscall.E2BIG, []string{"too long"}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Start(test.command, Options{})
			require.Nil(t, p)
			require.ErrorIs(t, err, test.is)
			var start *StartError
			require.ErrorAs(t, err, &start)
			for _, text := range test.says {
				require.ErrorContains(t, err, text)
			}
		})
	}
}

func TestL5_1_FailedStartLeavesNothing(t *testing.T) {
	text := file(t, "text", "hello\n", 0o755)
	before := descriptors()
	for range 50 {
		_, err := Start(Command{Path: text}, Options{})
		require.Error(t, err)
	}
	require.Len(t, descriptors(), len(before))
}

func TestL5_1_NoDescriptorsFree(t *testing.T) {
	p := run(t, Command{Path: "true"}, Options{}) // the poller and the spawner are there
	ended(t, p)
	before := descriptors()
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	restore := func() { require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)) }
	defer restore()

	c := Command{Path: "true"}
	needed := 6 + 2 // pipes, the pipe that the exec reports through
	if findsStrays {
		c.Limits.Memory = 1 << 30
		needed++ // the pidfd
	}
	for free := range needed { // so that each step of the start fails once
		low := unix.Rlimit{Cur: numberOfFree(free), Max: limit.Max}
		require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &low))
		_, err := Start(c, Options{})
		restore()
		require.ErrorIs(t, err, syscall.EMFILE, "%d free", free)
		require.ErrorContains(t, err, "ulimit -n", "%d free", free)
		require.Equal(t, before, descriptors())
	}
}

// numberOfFree returns the descriptor number below which this many are free.
func numberOfFree(free int) uint64 {
	for n := 0; ; n++ {
		if _, err := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0); err == nil {
			continue
		}
		if free == 0 {
			return uint64(n)
		}
		free--
	}
}

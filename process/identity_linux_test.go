package process

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// nobody is a user without rights, in two groups of no meaning.
func nobody() *Credential { return &Credential{UID: 65534, GID: 65533, Groups: []uint32{65531, 65532}} }

func requireRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("facility missing: running as root, who can start programs as another user")
	}
}

// says runs a command to its end and returns what it printed, in words.
func says(t *testing.T, c Command, o Options) []string {
	t.Helper()
	p := run(t, c, o)
	all, err := io.ReadAll(p.Stream())
	require.NoError(t, err)
	require.True(t, ended(t, p).Success(), "%v: %s %s", p.Report(), all, p.StderrTail())
	return strings.Fields(string(all))
}

func TestL5_1_ProgramRunsAsAnotherUser(t *testing.T) {
	requireRoot(t)
	c := Command{Path: "sh", Args: []string{"-c", "id -u; id -g; id -G"}, Credential: nobody()}
	require.Equal(t, []string{"65534", "65533", "65533", "65531", "65532"}, says(t, c, Options{}))

	c.Credential = &Credential{UID: 65534, GID: 65533}
	require.Equal(t, []string{"65534", "65533", "65533"}, says(t, c, Options{}), "no supplementary group is kept")
}

// Changing the user clears the parent-death signal if it comes last.
func TestP32_ChildOfAnotherUserDiesWithAKilledHost(t *testing.T) {
	needsLinux(t)
	requireRoot(t)
	p := play(t, Options{}, "userhost", "echo $$; exec sleep 300")
	line, err := bufio.NewReader(p.Stream()).ReadString('\n')
	require.NoError(t, err, p.StderrTail())
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	require.NoError(t, err)
	require.False(t, gone(pid))
	require.NoError(t, p.Do(Kill))
	wait(t, p.Exited())
	requireGone(t, []int{pid})
}

func TestL5_1_WhoIsNotRootIsRefused(t *testing.T) {
	needsLinux(t)
	c := Command{Self: "powerless"}
	if os.Geteuid() == 0 {
		c.Credential = nobody()
	}
	p := run(t, c, Options{ExtraEnv: asProgram("powerless")})
	all, err := io.ReadAll(p.Stream())
	require.NoError(t, err)
	require.True(t, ended(t, p).Success(), "%v: %s", p.Report(), p.StderrTail())
	lines := strings.Split(strings.TrimSpace(string(all)), "\n")
	require.Len(t, lines, 2, string(all))
	require.Equal(t, `start "sleep": Credential: user 0, group 0: unsupported operation: operation not permitted `+
		`(only root, or who has CAP_SETUID and CAP_SETGID, can run programs as another user)`, lines[0])
	require.Regexp(t, `^start "sleep": Limits\.Rlimits: nofile: unsupported operation: operation not permitted `+
		`\(the hard limit is \d+; only root, or who has CAP_SYS_RESOURCE, can raise it\)$`, lines[1])
}

func TestUserWhoMayNotExecuteIsNamed(t *testing.T) {
	requireRoot(t)
	_, err := Start(Command{Path: file(t, "tool", "#!/bin/sh\n", 0o700), Credential: nobody()}, Options{})
	require.ErrorIs(t, err, fs.ErrPermission)
	require.Contains(t, err.Error(), "it is run as user 65534, group 65533")
}

func TestL5_5_ExtraFilesReachTheChildAndNothingElse(t *testing.T) {
	path := file(t, "input", "from a file\n", 0o600)
	held, err := os.Open(path)
	require.NoError(t, err)
	defer held.Close()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()

	c := Command{ExtraFiles: []*os.File{held, nil, w}}
	open := prints(t, c, Options{}, "descriptors")
	numbers := map[string]string{}
	for _, entry := range open {
		number, target, _ := strings.Cut(entry, " → ")
		numbers[number] = target
	}
	require.Equal(t, path, numbers["3"])
	require.NotEqual(t, path, numbers["4"], "kept closed; the child opens something else")
	require.Contains(t, numbers["5"], "pipe:")

	c = Command{Path: "sh", Args: []string{"-c", "cat <&3; echo to a pipe >&5"}, ExtraFiles: c.ExtraFiles}
	require.Equal(t, strings.Fields("from a file"), says(t, c, Options{}))
	require.NoError(t, w.Close())
	text, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, "to a pipe\n", string(text))

	// /proc/self/fd of a program that opens nothing but that directory.
	list := says(t, Command{Path: "ls", Args: []string{"/proc/self/fd"}, ExtraFiles: []*os.File{held}}, Options{})
	require.Subset(t, list, []string{"0", "1", "2", "3"})
	require.Len(t, list, 5+len(leaked(t)), list)
}

// leaked returns the descriptors that this test program has inherited itself without the mark. Whoever started it may have left some open.
func leaked(t *testing.T) (fds []int) {
	t.Helper()
	for fd := 3; fd < 1024; fd++ {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC == 0 && fd != 3 {
			fds = append(fds, fd)
		}
	}
	return fds
}

func TestL5_1_ClosedExtraFileIsAnError(t *testing.T) {
	held, err := os.Open(os.DevNull)
	require.NoError(t, err)
	require.NoError(t, held.Close())
	_, err = Start(Command{Path: "true", ExtraFiles: []*os.File{nil, held}}, Options{})
	require.ErrorIs(t, err, fs.ErrClosed)
	require.False(t, errors.Is(err, errors.ErrUnsupported))
	require.Contains(t, err.Error(), "ExtraFiles: number 1")
}

// The shell gives the test binary a descriptor that is not marked as close-on-exec.
func TestL5_10_MarkedDescriptorsDoNotLeak(t *testing.T) {
	path := filepath.Join(t.TempDir(), "inherited")
	script := fmt.Sprintf(`exec 7>%s "$0"`, path)
	p := run(t, Command{Path: "sh", Args: []string{"-c", script, testBinary(t)}}, Options{ExtraEnv: asProgram("marker")})
	all, err := io.ReadAll(p.Stream())
	require.NoError(t, err)
	if strings.Contains(string(all), errors.ErrUnsupported.Error()) {
		t.Skip("facility missing: close_range with CLOSE_RANGE_CLOEXEC (Linux 5.11)")
	}
	require.True(t, ended(t, p).Success(), "%s %s", all, p.StderrTail())
	lines := strings.Split(strings.TrimSpace(string(all)), "\n")
	require.Len(t, lines, 2)
	require.Contains(t, lines[0], " 7", "it leaks without the mark")
	require.Equal(t, "[0 1 2 3]", lines[1], "3 is the directory that ls reads")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "still open here", string(text))
}

package process

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// numbered is an Rlimit with its resource's number.
type numbered struct {
	resource int
	Rlimit
}

// check returns the resource limits by number, in that order, or what is wrong with the limits.
func (l Limits) check() ([]numbered, error) {
	if l.Memory < 0 {
		return nil, fmt.Errorf("Limits.Memory: %d is negative: %w", l.Memory, fs.ErrInvalid)
	}
	var list []numbered
	for name, limit := range l.Rlimits {
		resource, ok := resourceNumber(name)
		if !ok {
			known := strings.Join(slices.Sorted(maps.Keys(resources)), ", ")
			return nil, fmt.Errorf("Limits.Rlimits: there is no resource %q, only %s: %w", name, known, fs.ErrInvalid)
		}
		if limit.Soft > limit.Hard {
			return nil, fmt.Errorf("Limits.Rlimits: %s: Soft %d is more than Hard %d: %w", name, limit.Soft, limit.Hard, fs.ErrInvalid)
		}
		list = append(list, numbered{resource, limit})
	}
	slices.SortFunc(list, func(a, b numbered) int { return cmp.Compare(a.resource, b.resource) })
	for i := 1; i < len(list); i++ {
		if list[i].resource == list[i-1].resource {
			return nil, fmt.Errorf("Limits.Rlimits: resource %d is limited twice: %w", list[i].resource, fs.ErrInvalid)
		}
	}
	return list, nil
}

// resources are the numbers of the resources that have a name.
var resources = map[string]int{
	"as": unix.RLIMIT_AS, "core": unix.RLIMIT_CORE, "cpu": unix.RLIMIT_CPU, "data": unix.RLIMIT_DATA, "fsize": unix.RLIMIT_FSIZE,
	"locks": unix.RLIMIT_LOCKS, "memlock": unix.RLIMIT_MEMLOCK, "msgqueue": unix.RLIMIT_MSGQUEUE, "nice": unix.RLIMIT_NICE,
	"nofile": unix.RLIMIT_NOFILE, "nproc": unix.RLIMIT_NPROC, "rss": unix.RLIMIT_RSS, "rtprio": unix.RLIMIT_RTPRIO, "rttime": unix.RLIMIT_RTTIME,
	"sigpending": unix.RLIMIT_SIGPENDING, "stack": unix.RLIMIT_STACK,
}

// resourceNumber takes a name or a number.
func resourceNumber(name string) (int, bool) {
	if n, ok := resources[name]; ok {
		return n, true
	}
	n, err := strconv.Atoi(name)
	return n, err == nil && n >= 0
}

// setRlimits gives a child its resource limits. A child that is gone has no need of them.
func setRlimits(c Command, pid int, limits []numbered) error {
	for _, l := range limits {
		var was unix.Rlimit
		err := unix.Prlimit(pid, l.resource, &unix.Rlimit{Cur: l.Soft, Max: l.Hard}, &was)
		switch {
		case err == nil, errors.Is(err, unix.ESRCH):
		case errors.Is(err, unix.EPERM):
			return refusal(c, "Limits.Rlimits: "+resourceName(l.resource), err,
				fmt.Sprintf("the hard limit is %d; only root, or who has CAP_SYS_RESOURCE, can raise it", hardLimit(l.resource)))
		case errors.Is(err, unix.EINVAL):
			return refusal(c, "Limits.Rlimits: "+resourceName(l.resource), err, "this kernel does not know the resource")
		default:
			return refusal(c, "Limits.Rlimits: "+resourceName(l.resource), err, "the system does not let this program set limits of others")
		}
	}
	return nil
}

// hardLimit returns this program's own, which its children start with.
func hardLimit(resource int) uint64 {
	var own unix.Rlimit
	if err := unix.Getrlimit(resource, &own); err != nil {
		return 0
	}
	return own.Max
}

func resourceName(number int) string {
	for name, n := range resources {
		if n == number {
			return name
		}
	}
	return strconv.Itoa(number)
}

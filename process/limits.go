package process

// Credential is the user that a program runs as, in numbers. Giving it takes the rights to change users: on Linux those of root, or
// CAP_SETUID and CAP_SETGID, and CAP_KILL so that the process can be ended again.
type Credential struct {
	UID    uint32
	GID    uint32
	Groups []uint32 // the supplementary groups, all of them: those of this program are not kept
}

// Limits is what a program may use. The zero Limits does not limit it. Limits are supported on Linux; elsewhere Start refuses them.
type Limits struct {
	// Memory bounds the bytes of memory that the process uses together with its group. A process that is over it is killed with all of its
	// group, and its report says so (KillerMemory). If zero, nothing is bounded but by the system.
	//
	// On Linux the process gets a control group (cgroup v2) of its own where the memory controller is delegated to this program; see the
	// package's documentation. The kernel then ends it in the moment in which it needs more than that, all its descendants with it, and no swap
	// is used in place of memory. Elsewhere the resident memory of the group is looked at four times a second, so for a moment it can be more.
	Memory int64

	// Rlimits are the system's limits for each single process, by resource: "as", "core", "cpu", "data", "fsize", "locks", "memlock",
	// "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio", "rttime", "sigpending" and "stack", as getrlimit(2) explains them, or the resource's number.
	// Resources that are not named keep the limits of this program.
	//
	// They are set right after the program has been loaded, before Start returns: its very first instructions run without them, what is
	// asked of it by way of its streams does not. To raise a hard limit takes the rights of root.
	Rlimits map[string]Rlimit

	// NoNewPrivs keeps the program and all its descendants from getting rights that it does not start with: set-user-ID programs, such as
	// sudo, run as the user that calls them. It cannot be undone.
	NoNewPrivs bool
}

// Rlimit is one limit: Soft is what holds, Hard what the program itself may raise it to. The unit is the resource's: bytes, seconds, a number.
type Rlimit struct{ Soft, Hard uint64 }

// Unlimited is the value of an Rlimit that does not limit.
const Unlimited = ^uint64(0)

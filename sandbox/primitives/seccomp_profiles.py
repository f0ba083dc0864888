"""Seccomp profiles: which system calls a container may make. Data only; `seccomp` turns it into a program.

"default" allows what Docker's default profile allows: calls that an ordinary program needs, and calls that the kernel itself
guards well. What is left out reaches parts of the kernel that are not namespaced (keys, modules, clocks, swap, kexec), or
that have been the way in too often (io_uring, userfaultfd, bpf, perf). Some come back with the capability that says so.
Stricter than Docker: no 32-bit and no x32 calls, no typing into the terminal (TIOCSTI).
"""

import errno
from collections.abc import Callable
from typing import NamedTuple

# What a filter can answer. seccomp(2), "return value of a filter"; an errno goes into the lower half.
ALLOW = 0x7FFF0000
ERRNO = 0x00050000
TRAP = 0x00030000  # a SIGSYS
KILL = 0x00000000  # of the thread
DENIED = ERRNO | errno.EPERM
#: For what this profile has never heard of: programs that try a new call know to fall back on ENOSYS, not on EPERM.
UNKNOWN = ERRNO | errno.ENOSYS


class Check(NamedTuple):
    """A verdict that depends on one argument: `then` where argument & mask is one of `values`, otherwise `otherwise`.

    Only the lower 32 bits are looked at. A filter can't follow pointers: a path or a struct stays invisible to it.
    """

    argument: int
    mask: int
    values: tuple[int, ...]
    then: int
    otherwise: int


class Condition(NamedTuple):
    """What an argument has to be, all 64 bits of it; `word` is libseccomp's: EQ, NE, LT, LE, GT, GE, MASKED_EQ."""

    argument: int
    word: str
    value: int
    mask: int


class Cases(NamedTuple):
    """A verdict that depends on several arguments: that of the first case whose conditions are all met, or `otherwise`."""

    cases: tuple[tuple[int, tuple[Condition, ...]], ...]
    otherwise: int


#: What happens to a call: always the same, or by its arguments.
Rule = int | Check | Cases

ALL_BITS = 0xFFFFFFFF

#: Calls that are always allowed, by what they are about.
ALLOWED = {
    "files": """
        open openat openat2 creat close close_range read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2
        lseek dup dup2 dup3 fcntl flock fsync fdatasync sync syncfs sync_file_range truncate ftruncate fallocate fadvise64
        readahead cachestat sendfile splice tee vmsplice copy_file_range stat fstat lstat newfstatat statx access faccessat
        faccessat2 statfs fstatfs chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat umask utime utimes futimesat
        utimensat file_getattr file_setattr name_to_handle_at""",
    "directories": """
        getcwd chdir fchdir getdents getdents64 mkdir mkdirat rmdir link linkat unlink unlinkat symlink symlinkat readlink
        readlinkat rename renameat renameat2 mknod mknodat inotify_init inotify_init1 inotify_add_watch inotify_rm_watch
        fanotify_mark statmount listmount""",
    "extended attributes": """
        setxattr lsetxattr fsetxattr setxattrat getxattr lgetxattr fgetxattr getxattrat listxattr llistxattr flistxattr
        listxattrat removexattr lremovexattr fremovexattr removexattrat""",
    "waiting": """
        poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd eventfd2
        signalfd signalfd4 timerfd_create timerfd_settime timerfd_gettime io_setup io_destroy io_submit io_cancel
        io_getevents io_pgetevents pause restart_syscall""",
    "memory": """
        brk mmap munmap mremap mprotect msync mincore madvise mlock mlock2 munlock mlockall munlockall mseal
        remap_file_pages pkey_alloc pkey_free pkey_mprotect memfd_create memfd_secret map_shadow_stack membarrier""",
    "processes": """
        fork vfork execve execveat exit exit_group wait4 waitid getpid getppid gettid getpgid setpgid getpgrp getsid setsid
        pidfd_open pidfd_send_signal process_mrelease set_tid_address set_robust_list get_robust_list rseq
        arch_prctl modify_ldt set_thread_area get_thread_area prctl uname getcpu getrandom sysinfo times
        getrlimit setrlimit prlimit64 getrusage getpriority setpriority ioprio_get ioprio_set
        futex futex_waitv futex_wait futex_wake futex_requeue""",
    # The kernel asks for rights over the traced process. Before Linux 4.8 a tracer could change a call behind the filter.
    "tracing": "ptrace process_vm_readv process_vm_writev uprobe uretprobe",
    "scheduling": """
        sched_yield sched_getparam sched_setparam sched_getscheduler sched_setscheduler sched_getattr sched_setattr
        sched_getaffinity sched_setaffinity sched_get_priority_max sched_get_priority_min sched_rr_get_interval""",
    "signals": """
        kill tkill tgkill rt_sigaction rt_sigprocmask rt_sigpending rt_sigsuspend rt_sigtimedwait rt_sigqueueinfo
        rt_tgsigqueueinfo rt_sigreturn sigaltstack""",
    "time": """
        time gettimeofday clock_gettime clock_getres clock_nanosleep nanosleep alarm getitimer setitimer timer_create
        timer_settime timer_gettime timer_getoverrun timer_delete adjtimex clock_adjtime""",
    "users": """
        getuid geteuid getgid getegid getresuid getresgid getgroups setuid setgid setreuid setregid setresuid setresgid
        setfsuid setfsgid setgroups capget capset""",
    "sockets": """
        socketpair bind listen accept accept4 connect getsockname getpeername getsockopt setsockopt sendto recvfrom sendmsg
        recvmsg sendmmsg recvmmsg shutdown""",
    "pipes and System V": """
        pipe pipe2 shmget shmat shmctl shmdt semget semop semctl semtimedop msgget msgsnd msgrcv msgctl mq_open mq_unlink
        mq_timedsend mq_timedreceive mq_notify mq_getsetattr""",
    "more walls": "seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self",
}

_CLONE_NEW_ANY = 0x7E020000  # CLONE_NEWNS | CGROUP | UTS | IPC | USER | PID | NET; legacy clone(2) can't say NEWTIME
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_AF_ALG, _AF_VSOCK = 38, 40

#: Calls whose verdict needs a second look.
CHECKED: dict[str, Rule] = {
    # New namespaces bring a full set of capabilities in them, and with it much more of the kernel within reach.
    "clone": Check(0, _CLONE_NEW_ANY, (0,), ALLOW, DENIED),
    # Its flags lie behind a pointer. On ENOSYS the C libraries take clone(2), which can be checked.
    "clone3": UNKNOWN,
    # Typing into one's terminal, as if the user had: the shell outside would read it. TIOCSTI(2const), TIOCLINUX(2const)
    "ioctl": Check(1, ALL_BITS, (_TIOCSTI, _TIOCLINUX), DENIED, ALLOW),
    # The kernel's crypto and the line to the hypervisor are not namespaced.
    "socket": Check(0, ALL_BITS, (_AF_ALG, _AF_VSOCK), ERRNO | errno.EAFNOSUPPORT, ALLOW),
    # PER_LINUX, PER_LINUX32, both with UNAME26, and the question what it is. The others weaken ASLR and the like.
    "personality": Check(0, ALL_BITS, (0, 8, 0x20000, 0x20008, 0xFFFFFFFF), ALLOW, DENIED),
}

#: Calls that come with a capability, where the container has it.
WITH_CAPABILITY = {
    "CAP_BPF": "bpf",
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_PERFMON": "perf_event_open",
    "CAP_SYSLOG": "syslog",
    "CAP_SYS_ADMIN": """
        bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount open_tree
        open_tree_attr perf_event_open pivot_root quotactl quotactl_fd setdomainname sethostname setns syslog umount2
        unshare""",
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "delete_module finit_module init_module",
    "CAP_SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_PTRACE": "kcmp pidfd_getfd process_madvise",
    "CAP_SYS_RAWIO": "ioperm iopl",
    "CAP_SYS_TIME": "clock_settime settimeofday",
    "CAP_SYS_TTY_CONFIG": "vhangup",
}


def default(capabilities: tuple[str, ...]) -> dict[str, Rule]:
    """The rule of each call that is not simply DENIED."""
    rules = {name: ALLOW for names in ALLOWED.values() for name in names.split()} | CHECKED
    for capability, names in WITH_CAPABILITY.items():
        if capability in capabilities:
            rules |= dict.fromkeys(names.split(), ALLOW)
    return rules


#: By name; None is a profile without a filter.
PROFILES: dict[str, Callable[[tuple[str, ...]], dict[str, Rule]] | None] = {"default": default, "unconfined": None}

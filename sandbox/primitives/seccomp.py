"""SEE grep Seccomp /proc/PID/status · runs inside, last. seccomp(2): a program that the kernel runs before every system call.

The way of a filter, each stage plain data that can be printed:

    profile     names and rules                        seccomp_profiles.py, or a policy file of LXC's: seccomp_policy.py
    numbers     {number: rule} for one architecture    numbered()
    ranges      [(first number, rule)], merged         merged()
    program     classic BPF, 8 bytes an instruction    seccomp_program.py, assemble(); shown by listing()

Loading costs by the instruction: the kernel checks, translates and tries the program for every call number in turn. So
neighbours with one rule become one range, and the ranges a binary tree: a call is judged after some seven comparisons. (One
that is always allowed after none: since Linux 5.11 the kernel remembers those while loading.)
"""

import errno
import functools
from typing import NamedTuple

from ..errors import InvalidOption, NotPossibleHere
from ..linux import constants as c
from ..linux import files, syscalls
from ..linux.numbers import AUDIT_ARCH, table
from ..step import Step, World
from . import seccomp_policy
from .seccomp_profiles import DENIED, PROFILES, UNKNOWN, Rule
from .seccomp_program import assemble

#: How many instructions the kernel takes: BPF_MAXINSNS of linux/bpf_common.h.
MOST = 4096
#: This bit and those above it are in no number of ours; x32 sets it on x86_64.
X32 = 0x40000000


@functools.lru_cache(maxsize=64)
def compile_profile(name: str, machine: str, capabilities: tuple[str, ...]) -> bytes:
    """The profile `name` for a machine (as uname(2) calls it) and what a container there may do; b"" for "unconfined".

    Raises:
        InvalidOption: there is no such profile.
        NotPossibleHere: the call numbers of this machine are not known.
    """
    if name not in PROFILES:
        raise InvalidOption(f"there is no seccomp profile {name!r}", cure=f"take one of {', '.join(PROFILES)}")
    profile = PROFILES[name]
    if profile is None:
        return b""
    return assemble(merged(numbered(profile(capabilities), _known(machine))), AUDIT_ARCH[machine])


@functools.lru_cache(maxsize=16)
def compile_policy(text: str, path: str, machine: str) -> bytes:
    """A policy in LXC's format, read from the file `path`. Raises InvalidOption, and NotPossibleHere as `compile_profile`."""
    policy = seccomp_policy.parse(text, path, _known(machine))
    program = assemble([*merged(policy.rules, policy.rest), (X32, UNKNOWN)], AUDIT_ARCH[machine])
    if len(program) > 8 * MOST:
        raise InvalidOption(f"{path} makes {len(program) // 8} instructions", condition=f"the kernel takes {MOST}")
    return program


def _known(machine: str) -> str:
    if machine not in AUDIT_ARCH:
        raise NotPossibleHere(
            f"no system-call filter for {machine}",
            condition=f"call numbers are known for {', '.join(AUDIT_ARCH)}",
            cure='run without one: seccomp "unconfined"',
        )
    return machine


def numbered(rules: dict[str, Rule], machine: str) -> dict[int, Rule]:
    """The rule of every call that the machine has; a call without one is DENIED."""
    return {number: rules.get(name, DENIED) for name, number in table(machine).items()}


def merged(rules: dict[int, Rule], rest: Rule = UNKNOWN) -> list[tuple[int, Rule]]:
    """The ranges of equal rules from 0 up: (first number, rule). `rest` is for holes, and all above the highest number."""
    ranges: list[tuple[int, Rule]] = []
    for number in range(max(rules, default=-1) + 2):
        rule = rules.get(number, rest)
        if not ranges or ranges[-1][1] != rule:
            ranges.append((number, rule))
    return ranges


class State(NamedTuple):
    """What /proc/PID/status says: mode 0 (none), 1 (strict) or 2 (filter), how many filters, and no_new_privs."""

    mode: int
    filters: int
    no_new_privileges: bool


def read(pid: int | str = "self") -> State:
    """The filters of a process. proc_pid_status(5). Raises OSError where there is no such process."""
    status = files.status(pid)
    return State(int(status.get("Seccomp", 0)), int(status.get("Seccomp_filters", 0)), status.get("NoNewPrivs") == "1")


class SetNoNewPrivileges(Step):
    """From here on no execve gives more privileges: set-uid bits and file capabilities mean nothing. For good."""

    man = "prctl(2) PR_SET_NO_NEW_PRIVS"
    see = "grep NoNewPrivs /proc/PID/status"

    def apply(self, world: World) -> None:
        syscalls.prctl(c.PR_SET_NO_NEW_PRIVS, 1)


class InstallSeccomp(Step):
    """Load the compiled filter `program`. It can't be taken off, only others put on top.

    It comes after every step that makes a call which the filter refuses: last, once no_new_privs is set; without that, just
    before SetCapabilities takes CAP_SYS_ADMIN away.
    """

    program: bytes = b""
    profile: str = "default"

    man = "seccomp(2)"
    see = "grep Seccomp /proc/PID/status"

    def apply(self, world: World) -> str:
        syscalls.seccomp_set_filter(self.program)
        return f"{len(self.program) // 8} instructions"

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        try:
            status = files.status()
        except OSError:
            status = {}
        if error.errno == errno.EACCES:
            held = int(status.get("CapEff", "0"), 16) >> c.CAPABILITIES.index("CAP_SYS_ADMIN") & 1
            found = f"NoNewPrivs is {status['NoNewPrivs']}, CAP_SYS_ADMIN is {'' if held else 'not '}effective"
            return (
                found if "NoNewPrivs" in status else "neither no_new_privs nor CAP_SYS_ADMIN",
                "put SetNoNewPrivileges before InstallSeccomp, or InstallSeccomp before SetCapabilities",
            )
        if error.errno == errno.EINVAL and status and "Seccomp" not in status:
            return "this kernel was built without CONFIG_SECCOMP_FILTER", 'run without a filter: seccomp "unconfined"'
        if error.errno == errno.EINVAL:
            return (
                f"the kernel does not accept this program of {len(self.program)} bytes",
                f"1 to {MOST} instructions of 8 bytes, as compile_profile() makes them",
            )
        if error.errno == errno.ENOMEM:
            return (
                f"{status.get('Seccomp_filters', 'many')} filters are loaded already",
                "together they may have 32768 instructions",
            )
        return "", ""

"""SEE grep Seccomp /proc/PID/status · runs inside, last. seccomp(2): a program that the kernel runs before every system call.

The way of a filter, each stage plain data that can be printed:

    profile     names and rules                        seccomp_profiles.py
    numbers     {number: rule} for one architecture    numbered()
    ranges      [(first number, rule)], merged         merged()
    program     classic BPF, 8 bytes an instruction    assemble(), shown by listing()

Loading costs by the instruction: the kernel checks, translates and tries the program for every call number in turn. So
neighbours with one rule become one range, and the ranges a binary tree: a call is judged after some seven comparisons. (One
that is always allowed after none: since Linux 5.11 the kernel remembers those while loading.)
"""

import errno
import functools
import struct
from collections.abc import Iterator
from typing import NamedTuple

from ..errors import InvalidOption, NotPossibleHere
from ..linux import constants as c
from ..linux import files, syscalls
from ..linux.numbers import AUDIT_ARCH, table
from ..step import Step, World
from .seccomp_profiles import ALL_BITS, ALLOW, DENIED, PROFILES, UNKNOWN, Check, Rule

# The few instructions needed, of linux/bpf_common.h. There is one register; jumps only go forward.
LOAD = 0x20  # register = 4 bytes of struct seccomp_data
AND = 0x54
JUMP = 0x05
JUMP_EQUAL = 0x15
JUMP_AT_LEAST = 0x35
RETURN = 0x06

# struct seccomp_data, seccomp(2)
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16

_INSTRUCTION = struct.Struct("=HBBI")  # code, jump if true, jump if false, operand


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
    if machine not in AUDIT_ARCH:
        raise NotPossibleHere(
            f"no system-call filter for {machine}",
            condition=f"call numbers are known for {', '.join(AUDIT_ARCH)}",
            cure='run without one: seccomp "unconfined"',
        )
    return assemble(merged(numbered(profile(capabilities), machine)), AUDIT_ARCH[machine])


def numbered(rules: dict[str, Rule], machine: str) -> dict[int, Rule]:
    """The rule of every call that the machine has; a call without one is DENIED."""
    return {number: rules.get(name, DENIED) for name, number in table(machine).items()}


def merged(rules: dict[int, Rule]) -> list[tuple[int, Rule]]:
    """The ranges of equal rules from 0 up: (first number, rule). Holes, and all above the highest number, are UNKNOWN."""
    ranges: list[tuple[int, Rule]] = []
    for number in range(max(rules, default=-1) + 2):
        rule = rules.get(number, UNKNOWN)
        if not ranges or ranges[-1][1] != rule:
            ranges.append((number, rule))
    return ranges


def assemble(ranges: list[tuple[int, Rule]], arch: int) -> bytes:
    """The program that finds the range of a call and does as its rule says.

    Numbers mean something else in another architecture (int 0x80 on x86_64): its calls are UNKNOWN, one and all. Those of
    x32 have bit 30 set, and so lie above the highest range.
    """
    program = _Backwards()
    tree = program.tree(ranges)
    body = program.then(LOAD, _NUMBER, tree)
    program.then(LOAD, _ARCH, program.jump(JUMP_EQUAL, arch, body, program.rule(UNKNOWN)))
    return b"".join(_INSTRUCTION.pack(*instruction) for instruction in reversed(program.code))


class _Backwards:
    """A program written from its end: as jumps only go forward, every target is there before the jump to it.

    A place is an index into `code`, whose first element is the last instruction.
    """

    def __init__(self) -> None:
        self.code: list[tuple[int, int, int, int]] = []
        self.places: dict[Rule, int] = {}

    def put(self, code: int, operand: int, yes: int = 0, no: int = 0) -> int:
        self.code.append((code, yes, no, operand))
        return len(self.code) - 1

    def distance(self, place: int) -> int:
        """How many instructions lie between the one that comes next and `place`."""
        return len(self.code) - 1 - place

    def near(self, place: int) -> int:
        """`place`, or a plain jump to it where it is too far for the 8 bits of a comparison."""
        return place if self.distance(place) < 250 else self.put(JUMP, self.distance(place))

    def jump(self, code: int, operand: int, yes: int, no: int) -> int:
        yes, no = self.near(yes), self.near(no)
        return self.put(code, operand, self.distance(yes), self.distance(no))

    def then(self, code: int, operand: int, place: int) -> int:
        """An instruction that does not jump, and after it on to `place`."""
        if self.distance(place):
            self.put(JUMP, self.distance(place))
        return self.put(code, operand)

    def rule(self, rule: Rule) -> int:
        """Where `rule` is carried out: once in a program, again only when that place is out of reach."""
        if rule not in self.places or self.distance(self.places[rule]) >= 250:
            self.places[rule] = self.check(rule) if isinstance(rule, Check) else self.put(RETURN, rule)
        return self.places[rule]

    def check(self, check: Check) -> int:
        then, place = self.rule(check.then), self.rule(check.otherwise)
        for value in reversed(check.values):
            place = self.jump(JUMP_EQUAL, value, then, place)
        if check.mask != ALL_BITS:
            place = self.then(AND, check.mask, place)
        # Both architectures are little endian: the lower half of an argument comes first.
        return self.then(LOAD, _ARGUMENTS + 8 * check.argument, place)

    def tree(self, ranges: list[tuple[int, Rule]]) -> int:
        if len(ranges) == 1:
            return self.rule(ranges[0][1])
        middle = len(ranges) // 2
        upper = self.tree(ranges[middle:])
        lower = self.tree(ranges[:middle])
        return self.jump(JUMP_AT_LEAST, ranges[middle][0], upper, lower)


def listing(program: bytes) -> str:
    """The program as text, an instruction a line, with the names of calls, architectures and errors."""
    return "\n".join(f"{at:4d}  {line}" for at, line in enumerate(_lines(program)))


def _lines(program: bytes) -> Iterator[str]:
    held = {0: ""}  # what the register holds, by line: found by following every jump
    names: dict[int, str] = {}
    for at, (code, yes, no, operand) in enumerate(_INSTRUCTION.iter_unpack(program)):
        register = held.get(at, "")
        following = [at + 1]
        if code == LOAD:
            register = {_NUMBER: "number", _ARCH: "arch"}.get(operand, f"argument {(operand - _ARGUMENTS) // 8}")
            yield f"load    {register}"
        elif code == AND:
            register = f"{register} & {operand:#x}"
            yield f"and     {operand:#x}"
        elif code == RETURN:
            following = []
            number = operand & 0xFFFF
            yield "return  " + ("ALLOW" if operand == ALLOW else f"ERRNO({errno.errorcode.get(number, number)})")
        elif code == JUMP:
            following = [at + 1 + operand]
            yield f"jump    {following[0]}"
        else:
            following = [at + 1 + yes, at + 1 + no]
            value = f"{operand:#x}"
            if register == "arch":
                value = next((machine for machine, arch in AUDIT_ARCH.items() if arch == operand), value)
                names = {number: name for name, number in table(value).items()}
            elif register == "number":
                value = f"{operand} {names.get(operand, '(no call)')}"
            sign = "==" if code == JUMP_EQUAL else ">="
            yield f"if      {register} {sign} {value}: {following[0]}, else {following[1]}"
        held.update(dict.fromkeys(following, register))


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
                "1 to 4096 instructions of 8 bytes, as compile_profile() makes them",
            )
        if error.errno == errno.ENOMEM:
            return (
                f"{status.get('Seccomp_filters', 'many')} filters are loaded already",
                "together they may have 32768 instructions",
            )
        return "", ""

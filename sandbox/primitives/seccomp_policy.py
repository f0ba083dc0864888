"""Policies in LXC's format: text in, rules out. lxc.container.conf(5), "Seccomp configuration"

    2                                  the version of the format; 1 knows only an allowlist of numbers
    denylist                           what is not named is allowed; "allowlist": it kills; "allowlist errno 1": that happens
    [all]                              which architecture the following lines are for
    kexec_load errno 1                 a call, and what happens: kill, trap, allow, errno N; without: a denylist kills
    socket errno 97 [0,38,==]          only where argument 0 is 38; != < <= > >= too, and [1,1,&=,3]: argument 1 & 3 is 1
    reject_force_umount                short for umount2 errno 13 [1,1,&=,1]

Of several lines about one call, the first without arguments counts (as for libseccomp), or else the first that fits. Calls of
32-bit programs and of x32 are not known here: they get ENOSYS, whatever the policy says.
"""

import errno
import re
from typing import NamedTuple

from ..errors import InvalidOption, placed
from ..linux.numbers import AUDIT_ARCH, table
from .seccomp_profiles import ALLOW, ERRNO, KILL, TRAP, Cases, Condition, Rule

_MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}
_OTHERS = (
    "x86", "x32", "arm", "ppc", "ppc64", "ppc64le", "mips", "mips64", "mips64n32", "mipsel", "mipsel64", "mipsel64n32", "s390",
    "s390x", "riscv64", "loongarch64",
)  # fmt: skip
_STYLES = {"denylist": ALLOW, "blacklist": ALLOW, "allowlist": KILL, "whitelist": KILL}
_WORDS = {"!=": "NE", "<": "LT", "<=": "LE", "==": "EQ", ">=": "GE", ">": "GT", "&=": "MASKED_EQ"}
_FORCE = 1  # MNT_FORCE, umount2(2)


class Policy(NamedTuple):
    """What happens to a call by its number, and to all others."""

    rules: dict[int, Rule]
    rest: int


def parse(text: str, path: str, machine: str) -> Policy:
    """The policy in `text`, which was read from `path`, for a machine as uname(2) calls it.

    Raises:
        InvalidOption: a line makes no sense; it says which.
    """
    numbered = ((number, line.partition("#")[0].strip()) for number, line in enumerate(text.split("\n"), 1))
    lines = [(f"{path}:{number}", line) for number, line in numbered if line]
    if len(lines) < 2 or lines[0][1] not in ("1", "2"):
        raise InvalidOption(f"{path} is no seccomp policy", condition="it does not begin with version 1 or 2 and a kind")
    version, (where, style) = lines[0][1], lines[1]
    with placed(where):
        kind, *action = style.split()
        if kind not in _STYLES or (version == "1" and _STYLES[kind] == ALLOW):
            raise InvalidOption(f"{style!r} is no kind of policy", cure="write allowlist, or in version 2 denylist")
        rest = _action(action, _STYLES[kind])
    policy = _Rules(machine, rest, KILL if _STYLES[kind] == ALLOW else ALLOW)
    for where, line in lines[2:]:
        with placed(where):
            policy.add(line) if version == "2" else policy.add_number(line)
    return policy.finish()


def _action(words: list[str], usual: int) -> int:
    match words:
        case []:
            return usual
        case ["kill"]:
            return KILL
        case ["trap"]:
            return TRAP
        case ["allow"]:
            return ALLOW
        case ["errno", number] if number.isdecimal() and int(number) <= 4095:  # MAX_ERRNO: the kernel cuts off what is more
            return ERRNO | int(number)
        case ["notify"]:
            raise InvalidOption("nobody listens here to decide about calls", cure="write errno N, kill, trap or allow")
    raise InvalidOption(f"{' '.join(words)!r} is nothing that can happen", cure="write errno N, kill, trap or allow")


class _Rules:
    """The rules as the lines come. `usual` is what happens to a call that a line only names."""

    def __init__(self, machine: str, rest: int, usual: int) -> None:
        self.machine, self.rest, self.usual = machine, rest, usual
        self.numbers = table(machine)
        self.meant = True  # whether the lines are for this machine
        self.always: dict[int, int] = {}
        self.cases: dict[int, list[tuple[int, tuple[Condition, ...]]]] = {}

    def add_number(self, line: str) -> None:
        if not line.isdecimal() or int(line) >= 1 << 16:
            raise InvalidOption(f"{line!r} is no number of a call", cure="version 1 has one in each line")
        self.always[int(line)] = ALLOW

    def add(self, line: str) -> None:
        if line.startswith("["):
            name = line.strip("[]").lower()
            if name not in ("all", *_MACHINES, *_OTHERS):
                raise InvalidOption(f"there is no architecture {line}", cure=f"write [all], or one of: {', '.join(_MACHINES)}")
            self.meant = name == "all" or _MACHINES.get(name) == self.machine
        elif line == "reject_force_umount":
            self.add(f"umount2 errno {errno.EACCES} [1,{_FORCE},&=,{_FORCE}]")
        elif self.meant:
            head, bracket, arguments = line.partition("[")
            name, *action = head.split()
            self._rule(name, _action(action, self.usual), _conditions(bracket + arguments))

    def _rule(self, name: str, action: int, conditions: tuple[Condition, ...]) -> None:
        number = self.numbers.get(name)
        if number is None:
            # An allowlist may name calls of many machines. What is to be refused must be known: it could be misspelt.
            if action != ALLOW and not any(name in table(machine) for machine in AUDIT_ARCH):
                raise InvalidOption(f"there is no call {name!r}", cure="see syscalls(2); those of 32 bits belong below [x86]")
        elif conditions:
            self.cases.setdefault(number, []).append((action, conditions))
        else:
            self.always.setdefault(number, action)

    def finish(self) -> Policy:
        cases = {number: Cases(tuple(cases), self.rest) for number, cases in self.cases.items()}
        return Policy({**cases, **self.always}, self.rest)


# --- arguments ------------------------------------------------------------------------------------------------------


def _conditions(text: str) -> tuple[Condition, ...]:
    """The arguments of a line: "[0,38,==][1,1,SCMP_CMP_MASKED_EQ,3]". All of them have to fit."""
    found = []
    for part in re.split(r"(?<=])[\s,]*(?=\[)", text) if text else ():
        fields = [field.strip() for field in part[1:-1].split(",")]
        if len(fields) not in (3, 4) or part[-1] != "]" or fields[0] not in ("0", "1", "2", "3", "4", "5"):
            raise InvalidOption(f"{part!r} describes no argument", cure="write [0,38,==], or [1,1,&=,3]")
        word = _WORDS.get(fields[2], fields[2].removeprefix("SCMP_CMP_"))
        if word not in _WORDS.values():
            raise InvalidOption(f"{fields[2]!r} compares nothing", cure=f"choose of: {' '.join(_WORDS)}")
        mask = _integer(fields[3]) if len(fields) > 3 else 0
        found.append(Condition(int(fields[0]), word, _integer(fields[1]), mask))
    return tuple(found)


def _integer(text: str) -> int:
    """A number as strtoull(3) reads it: 17, 0x11, 021."""
    if re.fullmatch("0x[0-9a-f]{1,16}|0[0-7]{0,21}|[1-9][0-9]{0,19}", text, re.IGNORECASE):
        number = int(text, 8) if text.isdecimal() and text[0] == "0" else int(text, 0)
        if number < 1 << 64:
            return number
    raise InvalidOption(f"{text!r} is no number of 64 bits")

"""SEE grep Cap /proc/PID/status · runs inside, around the change of user. capabilities(7).

Two steps, because the kernel wants them apart:

    DropBoundingSet    needs CAP_SETPCAP, so it comes while the process is still root in its user namespace
    (the user is set)  needs CAP_SETUID; leaving uid 0, the kernel clears the permitted and effective sets
    SetCapabilities    gives up the rest: last, for it also gives up what the steps above need

execve gives root all of the bounding set again (with no_new_privs only what it still had of it), so for root it is the
bounding set that counts. Any other user has no capability after execve, whatever was kept, as the inheritable and ambient sets
are empty. So it is in Docker too.
"""

import errno
import os
from collections.abc import Iterable

from ..errors import InvalidOption
from ..linux import constants as c
from ..linux import files, syscalls
from ..linux.constants import CAPABILITIES
from ..step import Step, World

SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


def parse(words: Iterable[str]) -> tuple[str, ...]:
    """What a user names ("NET_ADMIN", "cap_net_admin", "ALL") by full names, each once, in the order of their bits.

    Raises:
        InvalidOption: there is no such capability; the cure names those that are spelled alike.
    """
    wanted: set[str] = set()
    for word in words:
        name = word.upper()
        if name == "ALL":
            wanted.update(CAPABILITIES)
            continue
        name = name if name.startswith("CAP_") else f"CAP_{name}"
        if name not in CAPABILITIES:
            raise InvalidOption(f"there is no capability {word!r}", cure=_alike(name))
        wanted.add(name)
    return tuple(name for name in CAPABILITIES if name in wanted)


def _alike(name: str) -> str:
    import difflib  # only here: the launcher has no use for it

    alike = difflib.get_close_matches(name, CAPABILITIES, cutoff=0.7)
    return f"did you mean {' or '.join(alike)}?" if alike else "capabilities(7) lists them"


def mask(capabilities: Iterable[str]) -> int:
    """The bit mask of capabilities given by their full names. Raises ValueError for a name that is none."""
    return sum(1 << CAPABILITIES.index(name) for name in set(capabilities))


def names(bits: int) -> tuple[str, ...]:
    """The capabilities of a bit mask; one that is newer than this list is called by its number ("CAP_41")."""
    known = dict(enumerate(CAPABILITIES))
    return tuple(known.get(bit, f"CAP_{bit}") for bit in range(bits.bit_length()) if bits >> bit & 1)


def read(pid: int | str = "self") -> dict[str, tuple[str, ...]]:
    """The five sets of a process, by their names in /proc/PID/status (CapInh CapPrm CapEff CapBnd CapAmb).

    Raises OSError where there is no such process.
    """
    return {key: names(bits) for key, bits in _sets(pid).items()}


def _sets(pid: int | str) -> dict[str, int]:
    return {key: int(value, 16) for key, value in files.status(pid).items() if key in SETS}


class DropBoundingSet(Step):
    """Take all capabilities but `keep` out of the bounding set: no execve can bring them back.

    One prctl for each; the kernel knows no shorter way.
    """

    keep: tuple[str, ...] = ()

    man = "capabilities(7), prctl(2) PR_CAPBSET_DROP"
    see = "grep CapBnd /proc/PID/status"

    def apply(self, world: World) -> str:
        kept = mask(self.keep)
        dropped = 0
        for bit in range(64):
            if kept >> bit & 1:
                continue
            try:
                syscalls.prctl(c.PR_CAPBSET_DROP, bit)
            except OSError as error:
                # EINVAL: no capability has this number, or a higher one. Asking is surer than /proc/sys/kernel/cap_last_cap,
                # which may be out of sight here, and drops those that are newer than our list.
                if error.errno != errno.EINVAL:
                    raise
                break
            dropped += 1
        return f"{dropped} dropped"

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        if error.errno == errno.EPERM:
            return (
                "CAP_SETPCAP is not effective" + _seen("CapEff"),
                "DropBoundingSet belongs before the change of user and before SetCapabilities",
            )
        return "", ""


class SetCapabilities(Step):
    """Keep `keep`, as far as the process has it, permitted and effective; nothing inheritable, nothing ambient.

    Without uid 0 nothing is kept: execve would take it anyway.
    """

    keep: tuple[str, ...] = ()

    man = "capset(2)"
    see = "grep Cap /proc/PID/status"

    def apply(self, world: World) -> str:
        syscalls.prctl(c.PR_CAP_AMBIENT, c.PR_CAP_AMBIENT_CLEAR_ALL)
        wanted = mask(self.keep) if os.geteuid() == 0 else 0
        try:
            syscalls.capset(wanted, wanted, 0)
            had = wanted
        except OSError as error:
            # EPERM: that is more than is permitted. Only now look what is: it saves the usual start from reading /proc.
            if error.errno != errno.EPERM:
                raise
            had = wanted & _sets("self")["CapPrm"]
            syscalls.capset(had, had, 0)
        missing = names(wanted & ~had)
        return f"{had.bit_count()} kept" + (f", not permitted here: {', '.join(missing)}" if missing else "")

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        if error.errno == errno.EPERM:
            return "more is asked for than is permitted" + _seen("CapPrm"), "keep less, or start with more"
        if error.errno == errno.ENOENT:
            return "what is permitted can't be read: there is no /proc here", "keep less, or mount /proc before"
        return "", ""


def _seen(key: str) -> str:
    try:
        return f" ({key} {_sets('self')[key]:016x})"
    except OSError:
        return ""

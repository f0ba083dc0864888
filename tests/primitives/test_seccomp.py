import errno
import itertools
import json
import os
import random
import socket
import struct
import termios

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.errors import InvalidOption, NotPossibleHere
from sandbox.linux.constants import CAPABILITIES
from sandbox.linux.numbers import AUDIT_ARCH, SYSCALLS, table
from sandbox.primitives import seccomp
from sandbox.primitives.seccomp_profiles import (
    ALLOW,
    ALLOWED,
    CHECKED,
    DENIED,
    ERRNO,
    UNKNOWN,
    WITH_CAPABILITY,
    Cases,
    Check,
    Condition,
    Rule,
)  # fmt: skip
from sandbox.primitives.seccomp_program import assemble, listing
from sandbox.spec import DEFAULT_CAPABILITIES
from sandbox.step import Step, World

MACHINE = os.uname().machine
MACHINES = list(AUDIT_ARCH)
I386 = 0x40000003

#: What a default container may not call, written down apart from the profile. The rest of the table it may.
REFUSED = {
    "acct", "add_key", "bpf", "clock_settime", "delete_module", "fanotify_init", "finit_module", "fsconfig", "fsmount",
    "fsopen", "fspick", "get_mempolicy", "init_module", "io_uring_enter", "io_uring_register", "io_uring_setup", "kcmp",
    "kexec_file_load", "kexec_load", "keyctl", "lookup_dcookie", "lsm_get_self_attr", "lsm_list_modules",
    "lsm_set_self_attr", "mbind", "migrate_pages", "mount", "mount_setattr", "move_mount", "move_pages", "nfsservctl",
    "open_by_handle_at", "open_tree", "open_tree_attr", "perf_event_open", "pidfd_getfd", "pivot_root", "process_madvise",
    "quotactl", "quotactl_fd", "reboot", "request_key", "set_mempolicy", "set_mempolicy_home_node", "setdomainname",
    "sethostname", "setns", "settimeofday", "swapoff", "swapon", "syslog", "umount2", "unshare", "userfaultfd", "vhangup",
}  # fmt: skip
REFUSED_ON_X86_64 = {
    "_sysctl", "afs_syscall", "create_module", "epoll_ctl_old", "epoll_wait_old", "get_kernel_syms", "getpmsg", "ioperm",
    "iopl", "putpmsg", "query_module", "security", "sysfs", "tuxcall", "uselib", "ustat", "vserver",
}  # fmt: skip


def judge(program: bytes, number: int, *arguments: int, arch: int = AUDIT_ARCH[MACHINES[0]]) -> int:
    """The filter's verdict, by running it as the kernel does: a small interpreter of classic BPF."""
    data = struct.pack("=IIQ6Q", number & 0xFFFFFFFF, arch, 0, *arguments, *[0] * (6 - len(arguments)))
    at, register = 0, 0
    while True:
        code, yes, no, operand = struct.unpack_from("=HBBI", program, 8 * at)
        at += 1
        if code == 0x06:  # BPF_RET | BPF_K
            return int(operand)
        if code == 0x20:  # BPF_LD | BPF_W | BPF_ABS
            (register,) = struct.unpack_from("=I", data, operand)
        elif code == 0x54:  # BPF_ALU | BPF_AND | BPF_K
            register &= operand
        elif code == 0x05:  # BPF_JMP | BPF_JA
            at += operand
        elif code == 0x15:  # BPF_JMP | BPF_JEQ | BPF_K
            at += yes if register == operand else no
        elif code == 0x35:  # BPF_JMP | BPF_JGE | BPF_K
            at += yes if register >= operand else no
        elif code == 0x25:  # BPF_JMP | BPF_JGT | BPF_K, which only libseccomp makes
            at += yes if register > operand else no
        else:
            raise AssertionError(f"instruction {at - 1}: unknown code {code:#x}")


def default(machine: str = MACHINES[0], *more: str) -> bytes:
    return seccomp.compile_profile("default", machine, (*DEFAULT_CAPABILITIES, *more))


@pytest.mark.parametrize("machine", MACHINES)
def test_every_number_gets_the_verdict_that_is_written_down_here(machine: str) -> None:
    program, names = default(machine), {number: name for name, number in table(machine).items()}
    refused = REFUSED | REFUSED_ON_X86_64 if machine == "x86_64" else REFUSED
    assert refused <= set(names.values())
    for number in [*range(1024), 0x40000000, 0x40000027, 0xFFFFFFFF]:
        name = names.get(number)
        expected = DENIED if name in refused else UNKNOWN if name in (None, "clone3") else ALLOW
        assert judge(program, number, arch=AUDIT_ARCH[machine]) == expected, f"{number} {name}"


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("capabilities", [(), DEFAULT_CAPABILITIES, CAPABILITIES], ids=["none", "default", "all"])
def test_the_filter_stays_small(machine: str, capabilities: tuple[str, ...]) -> None:
    assert len(seccomp.compile_profile("default", machine, capabilities)) // 8 < 110


def test_every_name_in_the_profile_is_a_system_call_somewhere_and_stands_there_once() -> None:
    real = {name for machine in MACHINES for name in table(machine)}
    names = [name for group in ALLOWED.values() for name in group.split()] + list(CHECKED)
    assert len(names) == len(set(names))
    assert set(names) <= real
    assert {name for group in WITH_CAPABILITY.values() for name in group.split()} <= real
    assert set(WITH_CAPABILITY) <= set(CAPABILITIES)


@pytest.mark.parametrize("capability", WITH_CAPABILITY)
def test_a_capability_brings_its_calls_back(capability: str) -> None:
    without, program = (
        seccomp.compile_profile("default", "x86_64", ()),
        seccomp.compile_profile("default", "x86_64", (capability,)),
    )
    for name in WITH_CAPABILITY[capability].split():
        new_namespace = 0x10000000
        assert judge(without, table("x86_64")[name], new_namespace) != ALLOW
        assert judge(program, table("x86_64")[name], new_namespace) == ALLOW


@pytest.mark.parametrize("arch", [I386, AUDIT_ARCH["aarch64"]])
def test_no_call_of_another_architecture_is_known(arch: int) -> None:
    assert {judge(default(), number, arch=arch) for number in range(512)} == {UNKNOWN}


def test_no_call_of_x32_is_known() -> None:
    assert {judge(default(), number | 0x40000000) for number in range(600)} == {UNKNOWN}


@pytest.mark.parametrize("upper_half", [0, 1 << 32, 0xFFFFFFFF << 32])
def test_the_kernel_ignores_the_upper_half_of_an_int_and_so_does_the_filter(upper_half: int) -> None:
    ioctl = table("x86_64")["ioctl"]
    assert judge(default(), ioctl, 0, upper_half | termios.TIOCSTI) == DENIED
    assert judge(default(), ioctl, 0, upper_half | 0x541C) == DENIED
    assert judge(default(), ioctl, 0, upper_half | termios.TIOCGWINSZ) == ALLOW
    assert judge(default(), table("x86_64")["socket"], upper_half | socket.AF_ALG) == ERRNO | errno.EAFNOSUPPORT


@pytest.mark.parametrize(
    ("name", "argument", "expected"),
    [
        ("clone", 0x11, ALLOW), ("clone", 0x3D0F00, ALLOW), *(("clone", flag | 0x11, DENIED) for flag in (
            0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)),
        ("socket", socket.AF_UNIX, ALLOW), ("socket", socket.AF_INET6, ALLOW), ("socket", socket.AF_NETLINK, ALLOW),
        ("socket", socket.AF_VSOCK, ERRNO | errno.EAFNOSUPPORT),
        ("personality", 0xFFFFFFFF, ALLOW), ("personality", 8, ALLOW), ("personality", 0x0040000, DENIED),
        ("personality", 0x400000, DENIED),
    ],
)  # fmt: skip
def test_the_first_argument_decides(name: str, argument: int, expected: int) -> None:
    for machine in MACHINES:
        assert judge(default(machine), table(machine)[name], argument, arch=AUDIT_ARCH[machine]) == expected


def test_unconfined_is_no_program_and_an_unknown_name_is_refused_with_those_that_exist() -> None:
    assert seccomp.compile_profile("unconfined", "x86_64", ()) == b""
    with pytest.raises(InvalidOption, match=r"'defautl'[^$]*default, unconfined"):
        seccomp.compile_profile("defautl", "x86_64", ())
    with pytest.raises(NotPossibleHere, match="vax"):
        seccomp.compile_profile("default", "vax", ())


verdicts = st.sampled_from([ALLOW, DENIED, UNKNOWN])
values = st.integers(0, 0xFFFFFFFF)
checks = st.builds(Check, st.integers(0, 5), values, st.tuples(values, values), verdicts, verdicts)
edges = st.sampled_from([0, 1, 7, 8, 0xFFFFFFFF, 1 << 32, (1 << 32) + 7, 1 << 63, (1 << 64) - 1])
wide = edges | st.integers(0, (1 << 64) - 1)
COMPARE = {
    "EQ": lambda a, b: a == b, "NE": lambda a, b: a != b, "LT": lambda a, b: a < b, "LE": lambda a, b: a <= b,
    "GT": lambda a, b: a > b, "GE": lambda a, b: a >= b,
}  # fmt: skip
conditions = st.builds(Condition, st.integers(0, 5), st.sampled_from([*COMPARE, "MASKED_EQ"]), wide, wide)
cases = st.builds(
    Cases, st.lists(st.tuples(verdicts, st.lists(conditions, max_size=3).map(tuple)), max_size=4).map(tuple), verdicts
)
rules = st.dictionaries(st.integers(0, 600), verdicts | checks | cases, max_size=60)


def is_met(condition: Condition, arguments: list[int]) -> bool:
    argument, word, value, mask = arguments[condition.argument], condition.word, condition.value, condition.mask
    return argument & mask == value & mask if word == "MASKED_EQ" else COMPARE[word](argument, value)


def by_hand(rule: Rule, arguments: list[int]) -> int:
    if isinstance(rule, Check):
        return rule.then if arguments[rule.argument] & rule.mask in rule.values else rule.otherwise
    if isinstance(rule, Cases):
        met = (verdict for verdict, all_of in rule.cases if all(is_met(condition, arguments) for condition in all_of))
        return next(met, rule.otherwise)
    return rule


@settings(deadline=None)
@given(rules, st.lists(wide, min_size=6, max_size=6))
def test_any_set_of_rules_is_judged_as_written(rules: dict[int, Rule], arguments: list[int]) -> None:
    program = assemble(seccomp.merged(rules), AUDIT_ARCH["x86_64"])
    for number in {n + d for n in rules for d in (0, 1)} | {0, 601, 0xFFFFFFFF}:
        assert judge(program, number, *arguments) == by_hand(rules.get(number, UNKNOWN), arguments)


@settings(deadline=None)
@given(st.dictionaries(st.integers(0, 300), verdicts))
def test_ranges_are_as_few_as_they_can_be_and_the_last_is_for_what_nobody_knows(rules: dict[int, Rule]) -> None:
    ranges = seccomp.merged(rules)
    assert ranges[0][0] == 0
    assert ranges[-1][1] == UNKNOWN
    assert all(a[0] < b[0] and a[1] != b[1] for a, b in itertools.pairwise(ranges))


def test_jumps_longer_than_eight_bits_find_their_way() -> None:
    dice = random.Random(7)
    rules: dict[int, Rule] = {n: Check(n % 6, 0xFF, (n & 0xFF, 7), DENIED, dice.choice([ALLOW, UNKNOWN])) for n in range(500)}
    program = assemble(seccomp.merged(rules), AUDIT_ARCH["x86_64"])
    assert len(program) // 8 > 1000
    arguments = [dice.choice([7, n]) for n in range(6)]
    assert all(judge(program, n, *arguments) == by_hand(rules.get(n, UNKNOWN), arguments) for n in range(520))


def test_libseccomp_as_the_referee_gives_the_same_verdicts() -> None:
    try:
        import pyseccomp
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"the referee is absent: {error}")
    if MACHINE != "x86_64":
        pytest.skip("libseccomp is asked for x86_64 only")
    referee = pyseccomp.SyscallFilter(pyseccomp.ERRNO(errno.EPERM))
    for name in (name for group in ALLOWED.values() for name in group.split() if name in SYSCALLS):
        referee.add_rule(pyseccomp.ALLOW, SYSCALLS[name])
    equal = pyseccomp.MASKED_EQ
    referee.add_rule(pyseccomp.ALLOW, SYSCALLS["chroot"])
    referee.add_rule(pyseccomp.ERRNO(errno.ENOSYS), SYSCALLS["clone3"])
    referee.add_rule(pyseccomp.ALLOW, SYSCALLS["clone"], pyseccomp.Arg(0, equal, 0x7E020000, 0))
    for value in (0, 8, 0x20000, 0x20008, 0xFFFFFFFF):
        referee.add_rule(pyseccomp.ALLOW, SYSCALLS["personality"], pyseccomp.Arg(0, equal, 0xFFFFFFFF, value))
    samples = [0, 1, 8, 16, 0x11, 0x20000, 0x20008, 0x3D0F00, 0x10000011, 0x40000011, 0xFFFFFFFF, 1 << 32 | 8]
    with open(os.memfd_create("filter"), "w+b") as file:
        referee.export_bpf(file)
        file.seek(0)
        theirs = file.read()
    assert len(default()) < len(theirs) / 2
    for name in set(SYSCALLS) - {"ioctl", "socket"}:  # libseccomp can't say "all but these values"
        for value in samples:
            assert judge(default(), SYSCALLS[name], value, 2) == judge(theirs, SYSCALLS[name], value, 2), f"{name}({value:#x})"


def test_the_listing_shows_names_and_tells_where_every_branch_goes() -> None:
    program = default()
    lines = listing(program).splitlines()
    assert len(lines) == len(program) // 8
    assert "arch == x86_64: 2, else" in lines[1]
    assert any("argument 0 & 0x7e020000 == 0x0" in line for line in lines)
    assert any("number >= 272 unshare" in line for line in lines)
    assert len([line for line in lines if line.endswith("return  ALLOW")]) == 1
    assert "return  ERRNO(ENOSYS)" in lines[-1]


def test_long_programs_are_listed_too() -> None:
    rules: dict[int, Rule] = dict(enumerate([ALLOW, DENIED] * 300))
    assert "jump    " in listing(assemble(seccomp.merged(rules), AUDIT_ARCH["aarch64"]))


def test_the_step_survives_the_wire_and_shows_itself_briefly() -> None:
    step = seccomp.InstallSeccomp(default())
    assert Step.from_json(json.loads(json.dumps(step.to_json()))) == step
    assert str(step) == f"InstallSeccomp(program=<{len(default())} bytes>)"
    assert step.explain(OSError(errno.EIO, ""), World()) == ("", "")

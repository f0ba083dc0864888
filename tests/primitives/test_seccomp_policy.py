"""Policies in LXC's format: what they say, judged by our own interpreter of filters, by libseccomp, and by the kernel."""

import errno
import os
import random
from contextlib import suppress
from pathlib import Path

import pytest

from sandbox.errors import InvalidOption, NotPossibleHere
from sandbox.linux.numbers import AUDIT_ARCH, SYSCALLS, table
from sandbox.primitives import seccomp, seccomp_policy
from sandbox.primitives.seccomp_profiles import ALLOW, DENIED, ERRNO, KILL, TRAP, UNKNOWN
from sandbox.primitives.seccomp_program import listing
from tests.primitives.test_seccomp import I386, MACHINES, judge
from tests.primitives.test_seccomp_steps import inside, needs_this_machine

COMMON = """\
2
denylist
reject_force_umount  # comment this to allow umount -f;  not recommended
[all]
kexec_load errno 1
open_by_handle_at errno 1
init_module errno 1
finit_module errno 1
delete_module errno 1
"""


def policy(*lines: str, kind: str = "denylist", version: str = "2") -> str:
    return "\n".join([version, kind, *lines, ""])


def verdict(text: str, call: str, *arguments: int, machine: str = "x86_64") -> int:
    program = seccomp.compile_policy(text, "p", machine)
    return judge(program, table(machine)[call], *arguments, arch=AUDIT_ARCH[machine])


@pytest.mark.parametrize("machine", MACHINES)
def test_the_policy_of_lxcs_common_conf_refuses_what_it_names_and_allows_the_rest(machine: str) -> None:
    named = {"kexec_load", "open_by_handle_at", "init_module", "finit_module", "delete_module"}
    for name in table(machine):
        assert verdict(COMMON, name, machine=machine) == (DENIED if name in named else ALLOW)
    assert verdict(COMMON, "umount2", 0, 1, machine=machine) == ERRNO | errno.EACCES
    assert verdict(COMMON, "umount2", 0, 2 | 1, machine=machine) == ERRNO | errno.EACCES
    assert verdict(COMMON, "umount2", 0, 2, machine=machine) == ALLOW


def test_the_installed_policy_of_lxc_is_that_one() -> None:
    path = Path("/usr/share/lxc/config/common.seccomp")
    if not path.exists():
        pytest.skip("LXC is not installed")
    assert seccomp.compile_policy(path.read_text(), "p", "x86_64") == seccomp.compile_policy(COMMON, "p", "x86_64")


@pytest.mark.parametrize("name", ["seccomp-v1.conf", "seccomp-v2.conf", "seccomp-v2-denylist.conf"])
def test_the_examples_of_lxc_are_read(name: str) -> None:
    path = Path("/usr/share/doc/lxc/examples") / name
    if not path.exists():
        pytest.skip("LXC's examples are not installed")
    text = path.read_text()
    assert verdict(text, "read") == ALLOW
    assert verdict(text, "mknod") == {"seccomp-v1.conf": ALLOW, "seccomp-v2.conf": TRAP}.get(name, ERRNO)
    assert verdict(text, "kexec_load") == {"seccomp-v1.conf": ALLOW, "seccomp-v2.conf": TRAP}.get(name, ALLOW)


def test_an_allowlist_kills_what_it_does_not_name_or_does_what_its_second_word_says() -> None:
    assert verdict(policy("read", kind="allowlist"), "read") == ALLOW
    assert verdict(policy("read", kind="allowlist"), "write") == KILL
    assert verdict(policy("read", kind="whitelist errno 38"), "write") == ERRNO | 38
    assert verdict(policy("read trap", kind="allowlist kill"), "read") == TRAP


def test_a_denylist_kills_what_it_only_names_or_does_what_its_second_word_says() -> None:
    text = policy("mount", "umount2 errno 5", "chroot trap", "mknod allow", kind="blacklist")
    found = [verdict(text, name) for name in ("mount", "umount2", "chroot", "mknod", "read")]
    assert found == [KILL, ERRNO | 5, TRAP, ALLOW, ALLOW]


def test_version_1_is_an_allowlist_of_numbers() -> None:
    text = policy("0", "# read is 0", "", "1", kind="allowlist", version="1")
    assert [verdict(text, name) for name in ("read", "write", "open")] == [ALLOW, ALLOW, KILL]
    with pytest.raises(InvalidOption, match=r"^p:2: 'denylist' is no kind"):
        verdict(policy(kind="denylist", version="1"), "read")


def test_lines_for_another_architecture_are_passed_over() -> None:
    text = policy("[x86]", "socketcall", "mount", "[x86_64]", "read errno 1", "[arm64]", "write errno 1", "[all]")
    text += "mlock errno 1\n"
    found = {name: verdict(text, name) for name in ("mount", "read", "write", "mlock")}
    assert found == {"mount": ALLOW, "read": DENIED, "write": ALLOW, "mlock": DENIED}
    assert verdict(text, "write", machine="aarch64") == DENIED
    with pytest.raises(InvalidOption, match=r"^p:3: there is no architecture \[vax\]"):
        verdict(policy("[vax]"), "read")


@pytest.mark.parametrize("kind", ["denylist", "allowlist", "denylist errno 5"])
def test_calls_of_32_bits_and_of_x32_never_get_past_the_policy(kind: str) -> None:
    program = seccomp.compile_policy(policy("read errno 1", kind=kind), "p", "x86_64")
    assert {judge(program, number, arch=I386) for number in range(500)} == {UNKNOWN}
    assert {judge(program, number | 0x40000000) for number in range(600)} == {UNKNOWN}


def test_arguments_are_compared_whole_and_all_have_to_fit() -> None:
    text = policy("socket errno 97 [0,38,==][1,0x5,>=]", "mount errno 1 [3,0x1000,SCMP_CMP_MASKED_EQ,0x1000]")
    assert verdict(text, "socket", 38, 5) == ERRNO | 97
    assert verdict(text, "socket", 38, 4) == ALLOW
    assert verdict(text, "socket", 38 | 1 << 32, 5) == ALLOW
    assert verdict(text, "socket", 39, 1 << 63) == ALLOW
    assert verdict(text, "mount", 0, 0, 0, 0x1001) == DENIED
    assert verdict(text, "mount", 0, 0, 0, 0x2001) == ALLOW


def test_of_lines_about_one_call_the_first_that_fits_counts_and_one_without_arguments_before_all() -> None:
    text = policy("mount errno 5 [0,1,==]", "mount errno 9 [0,3,<]")
    assert [verdict(text, "mount", number) for number in (1, 2, 3)] == [ERRNO | 5, ERRNO | 9, ALLOW]
    assert verdict(text + "mount errno 7\nmount errno 8\n", "mount", 1) == ERRNO | 7


def test_a_call_of_other_machines_may_stand_in_a_policy_but_a_misspelt_one_to_be_refused_may_not() -> None:
    assert verdict(policy("open errno 1"), "openat", machine="aarch64") == ALLOW
    assert verdict(policy("socketcall", "read", kind="allowlist"), "read") == ALLOW
    with pytest.raises(InvalidOption, match=r"^p:3: there is no call 'kexec_laod'"):
        verdict(policy("kexec_laod errno 1"), "read")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["mount notify"], "p:3: nobody listens"),
        (["mount errno"], "p:3: 'errno' is nothing that can happen"),
        (["mount errno 5000"], "p:3: 'errno 5000' is nothing"),
        (["mount errno ²"], "p:3: 'errno ²' is nothing"),
        (["mount explode"], "p:3: 'explode' is nothing"),
        (["mount kill [6,1,==]"], r"p:3: '\[6,1,==\]' describes no argument"),
        (["mount kill [0,1,==]["], r"p:3: '\[' describes no argument"),
        (["mount kill [0,1,===]"], "p:3: '===' compares nothing"),
        (["mount kill [0,0x1ffffffffffffffff,==]"], "p:3: '0x1ffffffffffffffff' is no number"),
        (["mount kill [0,-1,==]"], "p:3: '-1' is no number"),
        (["mount kill [0,1_0,==]"], "p:3: '1_0' is no number"),
        (["", "#", "[0,1,==]"], "p:5: there is no architecture"),
    ],
)
def test_a_line_that_makes_no_sense_is_named(lines: list[str], message: str) -> None:
    with pytest.raises(InvalidOption, match=f"^{message}"):
        seccomp.compile_policy(policy(*lines), "p", "x86_64")


@pytest.mark.parametrize("text", ["", "\n", "2", "2\n", "3\ndenylist\n", "denylist\n2\n", "2\nmount\n", "1 2\nallowlist\n"])
def test_what_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises(InvalidOption, match=r"^p(:2)?: ?|^p is no"):
        seccomp.compile_policy(text, "p", "x86_64")


def test_a_policy_for_a_machine_whose_calls_are_not_known_is_not_possible() -> None:
    with pytest.raises(NotPossibleHere, match="vax"):
        seccomp.compile_policy(COMMON, "p", "vax")


def test_a_policy_that_the_kernel_would_not_take_is_refused_before() -> None:
    endless = policy(*(f"mount errno {n % 7} [0,{n},==][1,{n},>][2,{n},<=]" for n in range(1000)))
    with pytest.raises(InvalidOption, match=r"p makes [0-9]+ instructions \(the kernel takes 4096\)"):
        seccomp.compile_policy(endless, "p", "x86_64")


def test_garbage_is_an_invalid_option_and_nothing_else() -> None:
    dice = random.Random(5)
    words = ["2", "1", "denylist", "allowlist", "[all]", "[", "]", "mount", "errno", "1", "[0,1,==]", "#", "\n", "\x1b", "é"]
    for _ in range(2000):
        text = "2\ndenylist\n" + "".join(dice.choice(words) + dice.choice(["", " ", "\n"]) for _ in range(dice.randrange(30)))
        with suppress(InvalidOption):
            assert isinstance(seccomp_policy.parse(text[dice.randrange(3) :], "p", "x86_64").rest, int)


def test_the_listing_shows_halves_of_arguments_and_what_kills() -> None:
    shown = listing(seccomp.compile_policy(policy("mount [0,0x500000007,==]", "read trap"), "p", "x86_64"))
    assert "if      upper half of argument 0 == 0x5" in shown
    assert "if      argument 0 == 0x7" in shown
    assert "return  KILL" in shown
    assert "return  TRAP" in shown


VALUES = [0, 1, 2, 3, 7, 8, 0xFFFFFFFF, 1 << 32, (1 << 32) + 1, (1 << 32) | 8, (1 << 64) - 1, 1 << 63, 0xDEADBEEF00000003]


def test_libseccomp_as_the_referee_gives_the_same_verdicts() -> None:
    try:
        import pyseccomp as referee
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"the referee is absent: {error}")
    if os.uname().machine != "x86_64":
        pytest.skip("libseccomp is asked for x86_64 only")
    words = {"!=": referee.NE, "<": referee.LT, "<=": referee.LE, "==": referee.EQ, ">=": referee.GE, ">": referee.GT,
             "&=": referee.MASKED_EQ}  # fmt: skip
    actions = {"kill": referee.KILL, "trap": referee.TRAP, "allow": referee.ALLOW, "errno 5": referee.ERRNO(5)}
    kinds = {"denylist": "allow", "allowlist": "kill", "allowlist trap": "trap"}
    dice = random.Random(11)
    for _ in range(100):
        kind = dice.choice(list(kinds))
        theirs, lines = referee.SyscallFilter(actions[kinds[kind]]), []
        for name in dice.sample(["mount", "umount2", "ioctl", "clone", "socket", "read"], 4):
            action = dice.choice([word for word in actions if word != kinds[kind]])
            given, text = [], ""
            for argument in dice.sample(range(6), dice.choice([0, 0, 1, 1, 2, 3])):
                word, value, mask = dice.choice(list(words)), dice.choice(VALUES), dice.choice(VALUES)
                masked = word == "&="
                given.append(referee.Arg(argument, words[word], *((mask, value) if masked else (value,))))
                text += f"[{argument},{value:#x},{word},{mask}]" if masked else f"[{argument},{value},{word}]"
            theirs.add_rule(actions[action], SYSCALLS[name], *given)
            lines.append(f"{name} {action} {text}")
        with open(os.memfd_create("filter"), "w+b") as file:
            theirs.export_bpf(file)
            file.seek(0)
            program = file.read()
        ours = policy(*lines, kind=kind)
        for name in ("mount", "umount2", "ioctl", "clone", "socket", "read", "write", "kexec_load"):
            for _ in range(20):
                arguments = [dice.choice([*VALUES, dice.getrandbits(64)]) for _ in range(6)]
                expected = judge(program, SYSCALLS[name], *arguments)
                assert verdict(ours, name, *arguments) == expected, f"{ours}{name}{arguments}"


@needs_this_machine
def test_the_kernel_takes_the_program_and_does_what_the_policy_says() -> None:
    script = f"""
from sandbox.primitives.seccomp import compile_policy
text = {policy("mkdir errno 28", "kill errno 3 [1,0,==]", "getppid kill")!r}
SetNoNewPrivileges().apply(world)
InstallSeccomp(compile_policy(text, "p", os.uname().machine)).apply(world)
found = []
for act in (lambda: os.mkdir("/nowhere/never"), lambda: os.kill(os.getpid(), 0), lambda: os.kill(os.getpid(), 28)):
    try:
        act()
        found.append(0)
    except OSError as error:
        found.append(error.errno)
print(json.dumps(found), flush=True)
os.getppid()
print("still here")
"""
    done = inside(script)
    numbers = "[28, 3, 0]\n" if "mkdir" in SYSCALLS else "[2, 3, 0]\n"
    assert done.stdout == numbers
    assert done.returncode == -31  # SIGSYS: the only thread was killed by its call

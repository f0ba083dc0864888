import re
import shutil
import subprocess
from pathlib import Path

import pytest

from sandbox.linux import constants
from sandbox.linux.numbers import AUDIT_ARCH, SYSCALLS, table

# What the architecture's own header asks of asm-generic/unistd.h: arch/arm64/include/uapi/asm/unistd.h of the kernel.
AARCH64_WANTS = ("RENAMEAT", "NEW_STAT", "SET_GET_RLIMIT", "TIME32_SYSCALLS", "SYS_CLONE3", "MEMFD_SECRET")
HEADERS = {
    "x86_64": ("asm/unistd_64.h", ()),
    "aarch64": ("asm-generic/unistd.h", tuple(f"-D__ARCH_WANT_{name}" for name in AARCH64_WANTS)),
}


def of_the_headers(machine: str) -> dict[str, int]:
    """Number by name as the C preprocessor sees them."""
    name, flags = HEADERS[machine]
    if not shutil.which("gcc"):
        pytest.skip("the preprocessor of gcc reads the headers, and there is no gcc")
    header = next((h for h in (Path("/usr/include") / name, Path("/usr/include/x86_64-linux-gnu") / name) if h.exists()), None)
    if not header:
        pytest.skip(f"linux-libc-dev with {name} is not installed")
    text = subprocess.run(["gcc", "-E", "-dM", *flags, str(header)], capture_output=True, text=True, check=True).stdout
    macros = dict(re.findall(r"#define (__NR\w*) (\w+)$", text, re.MULTILINE))
    numbers = {}
    for macro, value in macros.items():
        while value in macros:
            value = macros[value]
        if macro.startswith("__NR_") and macro not in ("__NR_syscalls", "__NR_arch_specific_syscall"):
            numbers[macro.removeprefix("__NR_")] = int(value)
    return numbers


@pytest.mark.parametrize("machine", HEADERS)
def test_every_call_of_the_kernels_headers_has_that_number_here(machine: str) -> None:
    ours = table(machine)
    theirs = {name: number for name, number in of_the_headers(machine).items() if number <= max(ours.values())}
    assert len(theirs) > 300
    assert {name: ours.get(name) for name in theirs} == theirs


@pytest.mark.parametrize("machine", HEADERS)
def test_no_number_has_two_names(machine: str) -> None:
    assert len(set(table(machine).values())) == len(table(machine))


def test_all_architectures_share_the_numbers_from_424_on() -> None:
    shared = [{name: number for name, number in table(machine).items() if number >= 424} for machine in HEADERS]
    assert shared[0] == shared[1]
    assert max(shared[0].values()) == 469


@pytest.mark.parametrize("machine", HEADERS)
def test_the_calls_without_a_wrapper_have_the_same_numbers_in_constants(machine: str) -> None:
    for name, number in vars(constants).items():
        if name.startswith("SYS_"):
            expected = number[machine] if isinstance(number, dict) else number
            assert table(machine)[name.removeprefix("SYS_").lower()] == expected, name


def test_a_machine_that_we_do_not_know_has_an_empty_table() -> None:
    assert table("vax") == {}
    assert not SYSCALLS or SYSCALLS in [table(machine) for machine in AUDIT_ARCH]

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from sandbox.linux import constants
from sandbox.linux.numbers import AUDIT_ARCH

HEADERS = (
    "asm/ioctls.h", "linux/audit.h", "linux/capability.h", "linux/fcntl.h", "linux/fs.h", "linux/if.h", "linux/if_addr.h",
    "linux/if_link.h", "linux/inotify.h", "linux/mount.h", "linux/netfilter.h", "linux/netfilter/nf_tables.h",
    "linux/netfilter/nfnetlink.h", "linux/netlink.h", "linux/nsfs.h",
    "linux/openat2.h", "linux/prctl.h", "linux/rtnetlink.h", "linux/sched.h",
    "linux/seccomp.h", "linux/securebits.h", "linux/sockios.h", "linux/veth.h",
)  # fmt: skip
#: The C library's own header for what the kernel's don't show; the two can't be included together.
LIBC = {"MNT_DETACH": "sys/mount.h", "SOL_NETLINK": "sys/socket.h"}
#: Younger than the headers of Debian 12 (Linux 6.1). PIDFD_GET_INFO is _IOWR(0xFF, 11, struct pidfd_info of 64 bytes).
#: And PF_EXITING, which is in the kernel's own include/linux/sched.h, and in no header for others.
NEWER = {"PIDFD_GET_INFO": (3 << 30) | (64 << 16) | (0xFF << 8) | 11, "PIDFD_INFO_EXIT": 1 << 3, "PF_EXITING": 1 << 2}
RENAMED = {"LINUX_CAPABILITY_VERSION_3": "_LINUX_CAPABILITY_VERSION_3"}


def in_c(folder: Path, headers: tuple[str, ...], names: list[str]) -> dict[str, int]:
    """The values that a C program sees, by name."""
    if not shutil.which("gcc"):
        pytest.skip("the headers are read by a C program, and there is no gcc")
    if not Path("/usr/include/linux/capability.h").exists():
        pytest.skip("linux-libc-dev is not installed")
    source, program = folder / "show.c", folder / "show"
    source.write_text(
        "".join(f"#include <{header}>\n" for header in ("stdio.h", *headers))
        + "int main(void) {\n"
        + "".join(f'printf("{name} %lld\\n", (long long)({RENAMED.get(name, name)}));\n' for name in names)
        + "}\n"
    )
    built = subprocess.run(["gcc", "-o", str(program), str(source)], capture_output=True, text=True)
    assert built.returncode == 0, f"a constant needs a header that is not in HEADERS:\n{built.stderr}"
    output = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout
    return {name: int(value) for name, value in (line.split() for line in output.splitlines())}


def numbers() -> dict[str, int]:
    """All constants but the call numbers, which test_numbers.py looks at."""
    return {
        name: value
        for name, value in vars(constants).items()
        if re.fullmatch("[A-Z][A-Z0-9_]+", name) and isinstance(value, int) and not name.startswith("SYS_")
    }


def test_every_constant_has_the_value_of_the_kernels_headers(tmp_path: Path) -> None:
    ours = {name: value for name, value in numbers().items() if name not in LIBC and name not in NEWER}
    assert len(ours) > 50
    assert {name: numbers()[name] for name in NEWER} == NEWER
    assert in_c(tmp_path, HEADERS, list(ours)) == ours


@pytest.mark.parametrize("name", LIBC)
def test_what_the_kernels_headers_do_not_show_has_the_value_of_the_c_library(name: str, tmp_path: Path) -> None:
    assert in_c(tmp_path, (LIBC[name],), [name]) == {name: numbers()[name]}


def test_capabilities_stand_in_the_order_of_their_bits(tmp_path: Path) -> None:
    ours = {name: bit for bit, name in enumerate(constants.CAPABILITIES)}
    theirs = in_c(tmp_path, HEADERS, [*ours, "CAP_LAST_CAP"])
    assert theirs.pop("CAP_LAST_CAP") >= len(ours) - 1
    assert theirs == ours


def test_architectures_are_called_as_the_audit_header_calls_them(tmp_path: Path) -> None:
    ours = {f"AUDIT_ARCH_{machine.upper()}": number for machine, number in AUDIT_ARCH.items()}
    assert in_c(tmp_path, HEADERS, list(ours)) == ours

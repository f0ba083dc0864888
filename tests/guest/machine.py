"""The machine: QEMU in software emulation. KVM is not used: it is often there and does not work, inside other clouds."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.guest.kernel import Kernel

#: Seconds after which a guest is given up. It takes about a third of that beside other work.
PATIENCE = 420.0

# One processor: with two, both once spun for ever in a kernel that was rewriting its own code; and it is no faster.
_QEMU = (
    "qemu-system-x86_64", "-machine", "pc,vmport=off,usb=off,hpet=off", "-accel", "tcg", "-cpu", "qemu64",
    "-m", "768", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
    "-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap",
)  # fmt: skip
# The clocks, ciphers and mitigations that a kernel tries out at its start cost seconds here.
_KERNEL = (
    "console=ttyS0 8250.nr_uarts=2 panic=-1 reboot=t quiet no_timer_check tsc=reliable cryptomgr.notests random.trust_cpu=on "
    "mitigations=off nokaslr noreplace-smp apparmor=0 selinux=0 audit=0 i8042.noaux i8042.nokbd"
)


@contextlib.contextmanager
def booted(kernel: Kernel, initramfs: Path, disk: Path, report: Path, console: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The running machine, gone at the end. What it and QEMU print is in `console`, what it reports in `report`."""
    command = [
        *_QEMU, "-kernel", str(kernel.image), "-initrd", str(initramfs), "-append", _KERNEL, "-serial", "stdio",
        "-serial", f"file:{report}", "-drive", f"file={disk},format=raw,if=virtio,cache=unsafe",
    ]  # fmt: skip
    report.touch()
    with open(console, "wb") as log:
        # A session of its own: Ctrl-C is for pytest, which ends the machine itself.
        qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        yield qemu
    finally:
        qemu.kill()
        qemu.wait()

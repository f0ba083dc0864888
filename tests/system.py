"""A container that is a system of its own: busybox's init, with a shell on each of its terminals."""

import json
import os
import re
import shutil
import time
from dataclasses import replace
from typing import Any

from sandbox import Container, images
from sandbox.home import home as open_home
from sandbox.job import Job
from sandbox.linux.constants import CAPABILITIES
from sandbox.spec import Mount, Process, Root, Spec

NOT_KEPT = {"CAP_MAC_ADMIN", "CAP_MAC_OVERRIDE", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_TIME"}
INITTAB = "::sysinit:/bin/echo booted\nconsole::respawn:-/bin/sh\ntty1::respawn:-/bin/sh\ntty2::respawn:-/bin/sh\n"


def make_system(name: str, inittab: str = INITTAB, **changes: Any) -> Container:
    """Put one on the shelf; `changes` are fields of its Spec."""
    home = open_home()
    with home.build(name) as folder:
        (layer,) = images.get("busybox", home).layers
        shutil.copytree(layer, f"{folder}/rootfs", symlinks=True)
        os.makedirs(f"{folder}/rootfs/sbin", exist_ok=True)
        if not os.path.lexists(f"{folder}/rootfs/sbin/init"):
            os.symlink("/bin/busybox", f"{folder}/rootfs/sbin/init")
        with open(f"{folder}/rootfs/etc/inittab", "w") as file:
            file.write(inittab)
        spec = Spec(
            name=name,
            image="busybox",
            process=Process(
                args=("/sbin/init",), env=("container=lxc", "PATH=/bin:/sbin", "PS1=\\w\\$ "), terminal=True,
                capabilities=tuple(word for word in CAPABILITIES if word not in NOT_KEPT), no_new_privileges=False,
            ),
            root=Root(path=f"{home.folder(name)}/rootfs"),
            mounts=(Mount("/sys/fs/cgroup", "cgroup"),),
            masked_paths=(),
            readonly_paths=("/proc/sys",),
            system=True,
            terminals=2,
            stop_signal=10,  # SIGUSR1: halt
            reboot_signal=15,
        )  # fmt: skip
        spec = replace(spec, **changes)
        with open(f"{folder}/config.json", "w") as file:
            json.dump(spec.to_json(), file)
    return Container(name, home)


def read_until(job: Job, words: bytes, seconds: float = 60.0) -> bytes:
    """What a terminal shows, up to and with these words. The test fails where they do not come."""
    seen = b""
    end = time.monotonic() + seconds
    while words not in seen:
        assert time.monotonic() < end, f"waited {seconds:g} s in vain for {words!r}; seen: {seen.decode('utf-8', 'replace')}"
        assert not job.done, f"it ended before {words!r}; seen: {seen.decode('utf-8', 'replace')}"
        seen += b"".join(data for _, data in job.poll(0.1))
    return seen


def ask(job: Job, command: str) -> str:
    """What a command prints at the shell of a terminal."""
    # The line that is typed is echoed: so the word that ends the answer does not stand in it as it will be printed.
    job.write(f"{command}; echo DO''NE\n".encode())
    text = read_until(job, b"DONE").decode("utf-8", "replace").replace("\r\n", "\n")
    return re.split(r"DO''NE[^\n]*\n", text)[-1].rpartition("DONE")[0]

"""Containers as LXC keeps them: a folder with a config and a root of busybox."""

import shutil
from pathlib import Path

from sandbox import Container, images
from sandbox.home import home as open_home

PASSWD = "root:x:0:0:root:/root:/bin/sh\n"


def make_lxc(name: str, *lines: str) -> Container:
    """Put one on the shelf. `lines` are added to its config; its first process is a shell that waits."""
    home = open_home()
    with home.build(name) as folder:
        root = Path(folder, "rootfs")
        shutil.copytree(images.get("busybox", home).layers[0], root, symlinks=True)
        (root / "etc/passwd").write_text(PASSWD)
        (root / "etc/shadow").write_text("root:*:0:0:99999:7:::\n")
        own = (
            f"lxc.rootfs.path = dir:{home.folder(name)}/rootfs", f"lxc.uts.name = {name}", "lxc.net.0.type = empty",
            "lxc.init.cmd = /bin/sh -c 'trap \"exit 0\" TERM PWR; sleep 1000 & wait'", "lxc.signal.halt = SIGTERM",
        )  # fmt: skip
        Path(folder, "config").write_text("".join(f"{line}\n" for line in (*own, *lines)))
    return Container(name, home)

"""`host`: the programs of this machine (its /usr, read-only), in a system of the container's own. Nothing is installed.

Its init, its logins and its passwd are those of busybox: the machine's own would look for settings that do not belong to a
container. Without a busybox there is no init: lxc-start gives a shell, lxc-execute runs a program.
"""

import hashlib
import os
from argparse import ArgumentParser, Namespace

from ... import disk_copy
from ...errors import NotPossibleHere
from ...images import busybox, host, layers
from ...store import Home
from . import Made, Tell
from .busybox import CONFIG, install, system

#: Raise it when `fill` changes what it does.
RECIPE = 1
PURPOSE = "a system of its own around the programs of this machine, which it can only read"

#: Where busybox lies: everywhere else its names would be taken by the machine's programs.
PLACE = "opt/bin"
APPLETS = ("getty", "halt", "init", "login", "passwd", "poweroff", "reboot", "su", "syslogd", "udhcpc")
PROFILE = f"export PATH=/{PLACE}:$PATH\n"
SHELLS = ("/bin/bash", "/bin/sh")


def arguments(parser: ArgumentParser) -> None:
    """Where its init is."""
    parser.add_argument("--busybox-path", metavar="PATH", default="", help="the static busybox whose init it gets")


def make(home: Home, asked: Namespace, tell: Tell) -> Made:
    """Raises NotPossibleHere: there is no shell in /usr/bin or /bin; or the busybox that was asked for is none."""
    image = host.image(home)
    (skeleton,) = image.layers
    mounts = [
        f"lxc.mount.entry = {mount.source} {mount.destination[1:]} none {','.join(mount.options)} 0 0"
        for mount in image.mounts
    ]
    try:
        program = busybox.find(asked.busybox_path)
    except NotPossibleHere:
        if asked.busybox_path:
            raise
        return Made(skeleton, (*CONFIG, *mounts, "lxc.init.cmd = /bin/sh"), passwd="")
    files = system(f"/{PLACE}/getty -l /{PLACE}/login", f"/{PLACE}:/usr/sbin:/usr/bin:/sbin:/bin")
    shell = next(path for path in SHELLS if os.path.exists(path))
    parts = (RECIPE, skeleton, busybox.digest(program), files, APPLETS, PROFILE, shell)
    key = hashlib.sha256(repr(parts).encode()).hexdigest()[:32]

    def fill(root: str) -> None:
        disk_copy.copy_entries(skeleton, root)
        for name, (text, mode) in files.items():
            install(root, f"etc/{name}", text.encode(), mode)
        with open(f"{root}/etc/profile", "a", encoding="ascii") as file:
            file.write(PROFILE)
        with open(f"{root}/etc/passwd", "w", encoding="ascii") as file:
            file.write(layers.PASSWD.replace("/bin/sh", shell))
        with open(program, "rb") as source:
            install(root, f"{PLACE}/busybox", source.read(), 0o755)
        for name in APPLETS:
            os.symlink("busybox", f"{root}/{PLACE}/{name}")

    layer = layers.make(home, f"lxc-host-{key}", fill)
    return Made(layer, (*CONFIG, *mounts, f"lxc.init.cmd = /{PLACE}/init"), passwd=f"/{PLACE}/passwd")

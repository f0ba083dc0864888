"""`debian`: Debian itself with systemd and an SSH server, from the mirror that this machine's own packages come from."""

import hashlib
import os
import platform
from argparse import ArgumentParser, Namespace

from ... import disk
from ...errors import InvalidOption, NotPossibleHere
from ...images import layers
from ...store import Home
from .. import bootstrap
from . import Made, Tell

#: Raise it when `finish` changes what it does.
RECIPE = 1
PURPOSE = "Debian with systemd and an SSH server; the first one takes a minute, for its packages are fetched"

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
#: On top of what is essential, and apt.
PACKAGES = ("dbus", "iproute2", "iputils-ping", "openssh-server", "procps", "systemd-sysv", "udhcpc")

#: Of /usr/share: what nobody reads in a container.
PRUNED = ("info", "locale", "man")

#: Files of the container that are written anew; an empty one is filled in by the container's first start, or by `create`.
FILES = {
    "etc/hostname": "",
    "etc/hosts": layers.HOSTS,
    "etc/machine-id": "",
    "etc/resolv.conf": "",
    "etc/default/locale": "LANG=C.UTF-8\n",
    "etc/dpkg/dpkg.cfg.d/container": "".join(f"path-exclude=/usr/share/{name}/*\n" for name in PRUNED),
    # Debian lets root in by key only. This is the walk-through's container: root, with its password, is all there is.
    "etc/ssh/sshd_config.d/container.conf": "PermitRootLogin yes\n",
    # Each container makes its own key when its server starts for the first time, and so does a clone that has none.
    "etc/systemd/system/ssh.service.d/key.conf": """\
[Service]
ExecStartPre=
ExecStartPre=/bin/sh -c '[ -e %K ] || ssh-keygen -q -t ed25519 -N "" -f %K'
ExecStartPre=/usr/sbin/sshd -t
""".replace("%K", "/etc/ssh/ssh_host_ed25519_key"),
    # A login on each further terminal. systemd asks for /dev/tty0, the mark of a machine with a screen.
    "etc/systemd/system/getty@.service.d/container.conf": "[Unit]\nConditionPathExists=\nConditionPathExists=/dev/%I\n",
    # Debian's agetty sleeps a second before it asks who is there (it thinks of modems); the getty of busybox does not.
    "etc/systemd/system/console-getty.service.d/container.conf": """\
[Service]
ExecStart=
ExecStart=-/bin/busybox getty 0 console $TERM
""",
    "etc/systemd/system/address.service": """\
[Unit]
Description=Ask for an address of eth0, by DHCP

[Service]
# Mostly it was given one from outside.
ExecCondition=/bin/sh -c '[ -e /sys/class/net/eth0 ] && ! ip -4 address show dev eth0 | grep -q inet'
ExecStart=/sbin/udhcpc -f -i eth0
""",
}
UNITS = "etc/systemd/system"
#: As `systemctl enable` and `systemctl mask` would make them.
LINKS = {
    f"{UNITS}/multi-user.target.wants/address.service": f"/{UNITS}/address.service",
    **{f"{UNITS}/getty.target.wants/getty@tty{n}.service": "/lib/systemd/system/getty@.service" for n in (1, 2, 3, 4)},
    # No user namespace may mount these. With one that failed, `systemctl is-system-running` would say "degraded".
    **{f"{UNITS}/sys-kernel-{name}.mount": "/dev/null" for name in ("config", "debug", "tracing")},
    f"{UNITS}/getty-static.service": "/dev/null",
}
CONFIG = (
    "lxc.signal.halt = SIGRTMIN+3",  # systemd(1), SIGNALS
    "lxc.tty.max = 4",
    "lxc.pty.max = 1024",
    "lxc.cap.drop = mac_admin mac_override sys_time sys_module sys_rawio",
    "lxc.mount.auto = cgroup:mixed proc:mixed sys:mixed",
)


def arguments(parser: ArgumentParser) -> None:
    """Which Debian."""
    parser.add_argument(
        "-r", "--release", metavar="NAME", default="", help="bookworm, trixie, sid … (default: this machine's)"
    )
    parser.add_argument("-a", "--arch", metavar="NAME", default="", help="amd64, arm64 … (default: this machine's)")
    parser.add_argument("--mirror", metavar="URL", default="", help="where packages come from (default: what apt uses here)")
    parser.add_argument("--packages", metavar="A,B…", default="", help="further packages")


def make(home: Home, asked: Namespace, tell: Tell) -> Made:
    """Raises NotPossibleHere, InvalidOption, and SandboxError: the packages could not be had or installed."""
    if os.geteuid():
        raise NotPossibleHere(
            "the template debian needs root",
            condition=f"we are user {os.geteuid()}, and the files of a Debian belong to many",
            cure="sudo lxc-create …, or take the template busybox",
        )
    release = asked.release or _here()
    arch = asked.arch or _ARCHITECTURES.get(os.uname().machine, os.uname().machine)
    packages = (*PACKAGES, *filter(None, asked.packages.split(",")))
    bootstrap.check(release, arch, *packages)
    sources = bootstrap.sources(release, asked.mirror)
    parts = (RECIPE, packages, sources, FILES, LINKS, PRUNED)
    name = f"lxc-debian-{release}-{arch}-{hashlib.sha256(repr(parts).encode()).hexdigest()[:16]}"

    def fill(root: str) -> None:
        tell(f"Installing Debian {release} ({arch}) in {home.layers}/{name}; this is done once ...")
        bootstrap.install(root, sources, release, arch, packages, tell)
        finish(root, "".join(f"{source.line}\n" for source in sources))

    return Made(layers.make(home, name, fill), CONFIG)


def _here() -> str:
    """The release of this machine. os-release(5)."""
    system = platform.freedesktop_os_release()
    if system["ID"] != "debian" or "VERSION_CODENAME" not in system:
        raise InvalidOption(
            "which Debian is it to be?",
            condition=f"this machine runs {system.get('PRETTY_NAME', system['ID'])}",
            cure="name one, and its mirror: lxc-create … -- --release bookworm --mirror URL",
        )
    return system["VERSION_CODENAME"]


def finish(root: str, sources: str) -> None:
    """Make a container's root of what the installer left."""
    pruned = (f"usr/share/{name}" for name in PRUNED)
    for name in ("dev", "run", "tmp", "var/cache/apt", "var/lib/apt/lists", *pruned):
        _empty(f"{root}/{name}")
    for name in os.listdir(f"{root}/etc/ssh"):
        if name.startswith("ssh_host_"):
            os.unlink(f"{root}/etc/ssh/{name}")
    for name, text in {**FILES, "etc/apt/sources.list": sources}.items():
        _clear(root, name)
        layers.write(f"{root}/{name}", text.encode())
    for name, target in LINKS.items():
        _clear(root, name)
        os.symlink(target, f"{root}/{name}")


def _empty(folder: str) -> None:
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            disk.remove_tree(entry.path)
        else:
            os.unlink(entry.path)


def _clear(root: str, name: str) -> None:
    """Let there be the folder, and nothing of that name in it."""
    if not os.path.isdir(above := os.path.dirname(f"{root}/{name}")):
        layers.folder_at(above)
    if os.path.lexists(f"{root}/{name}"):
        os.unlink(f"{root}/{name}")

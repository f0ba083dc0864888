"""`busybox`: init, logins, a shell and 270 commands in one static program. Boots to `login:` in a tenth of a second.

Where this machine has dropbear, an SSH server that needs little, that is put in, too.
"""

import hashlib
import os
from argparse import ArgumentParser, Namespace
from functools import lru_cache

from ...errors import InvalidOption
from ...images import busybox, layers
from ...store import Home
from . import Made, Tell

#: Raise it when `_fill` changes what it does.
RECIPE = 1
PURPOSE = "a small Linux of one program, which boots at once"

#: What init starts: TERMINAL::WHEN:COMMAND. The first is done once, before all others; the logins again whenever they end.
INITTAB = """\
::sysinit:/etc/init.d/rcS
console::respawn:GETTY 0 console vt100
tty1::respawn:GETTY 0 tty1 vt100
tty2::respawn:GETTY 0 tty2 vt100
tty3::respawn:GETTY 0 tty3 vt100
tty4::respawn:GETTY 0 tty4 vt100
"""
SSH_SERVER = "# It makes its keys when it is first called.\n::respawn:/usr/sbin/dropbear -F -R\n"
RC = """\
#!/bin/sh
# What is done at the start, before anybody can log in.
PATH=FOLDERS
hostname -F /etc/hostname
mount -a                        # what /etc/fstab names
syslogd                         # writes /var/log/messages
# Mostly eth0 was given its address from outside. If not, it is asked for by DHCP, and the start goes on meanwhile.
if [ -e /sys/class/net/eth0 ] && ! ip -4 address show dev eth0 | grep -q inet; then
    udhcpc -i eth0 -s /etc/udhcpc/default.script >/dev/null 2>&1 &
fi
"""
FSTAB = "# What says who runs is not true any more at the next start.\ntmpfs /run tmpfs nosuid,nodev,mode=0755 0 0\n"
#: What udhcpc calls when it got an address, or lost it; the variables are the server's answer.
UDHCPC = """\
#!/bin/sh
PATH=FOLDERS
case "$1" in
deconfig)
    ip address flush dev "$interface"
    ip link set dev "$interface" up
    ;;
bound | renew)
    ip address replace "$ip/$mask" dev "$interface"
    [ -z "$router" ] || ip route replace default via "${router%% *}" dev "$interface"
    for server in $dns; do echo "nameserver $server"; done >/etc/resolv.conf
    ;;
esac
"""
SHELLS = "/bin/sh\n/bin/ash\n"
CONFIG = (
    "lxc.signal.halt = SIGUSR1",  # what busybox's init listens to
    "lxc.signal.reboot = SIGTERM",
    "lxc.tty.max = 4",
    "lxc.pty.max = 1024",
    "lxc.cap.drop = mac_admin mac_override sys_time sys_module sys_rawio",
    "lxc.mount.auto = cgroup:mixed proc:mixed sys:mixed",
)
_DROPBEAR = ("/usr/sbin/dropbear", "/usr/local/sbin/dropbear")


def arguments(parser: ArgumentParser) -> None:
    """Where the programs are."""
    parser.add_argument("--busybox-path", metavar="PATH", default="", help="the static busybox to take")
    parser.add_argument("--dropbear-path", metavar="PATH", default="", help="the SSH server to take")


def make(home: Home, asked: Namespace, tell: Tell) -> Made:
    """Raises NotPossibleHere: there is no static busybox. InvalidOption: there is no such SSH server."""
    program, server = busybox.find(asked.busybox_path), _server(asked.dropbear_path)
    files = system("/sbin/getty", "/usr/sbin:/usr/bin:/sbin:/bin", SSH_SERVER if server else "")
    # The name says all that goes in: whatever changes makes another layer.
    parts = (RECIPE, busybox.digest(program), files, [(path, *_identity(path)) for path in server])
    key = hashlib.sha256(repr(parts).encode()).hexdigest()[:32]
    return Made(layers.make(home, f"lxc-busybox-{key}", lambda root: _fill(root, program, server, files)), CONFIG)


def system(getty: str, path: str, also: str = "") -> dict[str, tuple[str, int]]:
    """What makes busybox's programs an operating system: (text, mode) of files in /etc.

    `getty` is the command of a login, `path` the folders of the programs, `also` further lines for init.
    """
    texts = {
        "inittab": (INITTAB + also, 0o644), "init.d/rcS": (RC, 0o755), "fstab": (FSTAB, 0o644), "shells": (SHELLS, 0o644),
        "udhcpc/default.script": (UDHCPC, 0o755),
    }  # fmt: skip
    return {name: (text.replace("GETTY", getty).replace("FOLDERS", path), mode) for name, (text, mode) in texts.items()}


def install(root: str, name: str, content: bytes, mode: int) -> None:
    """Write a file, and the folders above it."""
    if not os.path.isdir(above := os.path.dirname(f"{root}/{name}")):
        layers.folder_at(above)
    layers.write(f"{root}/{name}", content, mode)


def _fill(root: str, program: str, server: tuple[str, ...], files: dict[str, tuple[str, int]]) -> None:
    # Hard links: all names are one inode. Ext4 takes its time to find 270 free ones where as many were freed a minute ago.
    busybox.fill(root, program, hard=True)
    # Set-uid root, for su and passwd. Under all names that do not need it, busybox gives it up at once; and its shell runs
    # its other names without looking for a file, so that a set-uid copy under the name of su would not be met.
    os.chmod(f"{root}/bin/busybox", 0o4755)
    for name, (text, mode) in files.items():
        install(root, f"etc/{name}", text.encode(), mode)
    for path in server:
        install(root, "usr/sbin/dropbear" if path == server[0] else path[1:], _content(path), 0o755)
    if server:
        layers.folder_at(f"{root}/etc/dropbear", 0o700)


def _server(chosen: str) -> tuple[str, ...]:
    """The SSH server and its libraries, or nothing."""
    if chosen and not os.access(chosen, os.X_OK):
        raise InvalidOption(f"--dropbear-path: {chosen} is no program", cure="apt install dropbear-bin")
    program = chosen or next((path for path in _DROPBEAR if os.access(path, os.X_OK)), "")
    return (program, *_libraries(program, *_identity(program))) if program else ()


@lru_cache(maxsize=4)
def _libraries(program: str, *_identity: int) -> tuple[str, ...]:
    """What the program is linked to, and the loader. ld.so(8), LD_TRACE_LOADED_OBJECTS; this is what ldd(1) does."""
    import subprocess  # only where there is such a server

    environment = {**os.environ, "LD_TRACE_LOADED_OBJECTS": "1"}
    lines = subprocess.run([program], env=environment, capture_output=True, text=True, check=False).stdout.splitlines()
    words = (word for line in lines for word in line.split())
    return tuple(dict.fromkeys(word for word in words if word.startswith("/")))


def _identity(path: str) -> tuple[int, int, int]:
    status = os.stat(path)
    return status.st_ino, status.st_size, status.st_mtime_ns


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()

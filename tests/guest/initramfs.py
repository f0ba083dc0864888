"""What the guest finds in memory when its kernel is up: busybox, modules and /init. It takes the host's files from there.

The guest's "/" is the host's, by 9p and read-only, under an overlay: what the guest writes stays in its memory. Containers are
kept on an ext4 disk, as on most machines; /sys/fs/cgroup is a v2 tree, and there is no other.
"""

import shlex
from pathlib import Path

#: The serial port for what is reported, and the folder of the disk.
REPORT = "/dev/ttyS1"
DISK = "/disk"

_FOLDERS = ("bin", "dev", "proc", "sys", "m", "host", "rw", "new")

# switch_root and not chroot: who was chrooted may not make a user namespace. user_namespaces(7), EPERM.
_INIT = """\
#!/bin/busybox sh
B=/bin/busybox
$B mount -t devtmpfs dev /dev
for module in /m/*; do $B insmod $module; done
$B mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288,cache=loose,ro host /host
$B mount -t tmpfs tmpfs /rw
$B mkdir /rw/upper /rw/work
$B mount -t overlay -o lowerdir=/host,upperdir=/rw/upper,workdir=/rw/work overlay /new
$B mkdir -p /new{disk}
$B mount -t ext4 /dev/vda /new{disk}
$B mount -t proc proc /new/proc
$B mount -t sysfs sysfs /new/sys
$B mount -t cgroup2 cgroup2 /new/sys/fs/cgroup
$B mount -t devtmpfs dev /new/dev
$B mkdir -p /new/dev/pts /new/dev/shm
$B mount -t devpts -o mode=620,ptmxmode=666 devpts /new/dev/pts
$B mount -t tmpfs -o mode=1777 tmpfs /new/dev/shm
$B mount -t tmpfs -o mode=755 tmpfs /new/run
exec $B switch_root /new /bin/sh -c {script}
"""

_SCRIPT = """\
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME={disk} TMPDIR={disk}/tmp
mkdir -m 1777 {disk}/tmp
cd {folder}
{command}
echo "all done, exit status $?"
echo b > /proc/sysrq-trigger
"""


def build(busybox: Path, modules: list[Path], folder: Path, command: list[str]) -> bytes:
    """An archive with an /init that runs `command` in `folder`, and then ends the machine."""
    script = _SCRIPT.format(disk=DISK, folder=shlex.quote(str(folder)), command=shlex.join(command))
    init = _INIT.format(disk=DISK, script=shlex.quote(script))
    files = {"init": init.encode(), "bin/busybox": busybox.read_bytes()}
    files |= {f"m/{module.name}": module.read_bytes() for module in modules}
    entries = [_entry(name, 0o040755) for name in _FOLDERS]
    entries += [_entry(name, 0o100755, content) for name, content in files.items()]
    return b"".join([*entries, _entry("TRAILER!!!", 0)])


def _entry(name: str, mode: int, content: bytes = b"") -> bytes:
    """One file in the "newc" format: 13 numbers in hexadecimal, name and content, each filled up to four bytes. cpio(5)."""
    path = name.encode() + b"\0"
    # ino, mode, uid, gid, nlink, mtime, filesize, four of devices, namesize, check
    numbers = (0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(path), 0)
    head = b"070701" + b"".join(b"%08X" % number for number in numbers) + path
    return head + bytes(-len(head) % 4) + content + bytes(-len(content) % 4)

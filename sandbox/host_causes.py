"""Causes: why this machine refused a trial, as read from it right now, and how to change that. Sister of `host`."""

import errno
import os
from collections.abc import Iterator
from typing import NamedTuple

from .linux import files
from .primitives.namespaces import KINDS
from .primitives.users import read_maps


class Cause(NamedTuple):
    """What stands in the way, and what to do about it."""

    condition: str
    cure: str


#: (sysctl, the value that forbids user namespaces to ordinary users or to all, cure)
FORBIDDING = (
    ("user.max_user_namespaces", "0", "sysctl user.max_user_namespaces=15000"),
    ("kernel.unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone=1, or run as root"),
    ("kernel.apparmor_restrict_unprivileged_userns", "1",
     "sysctl kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu 23.10 and later), an AppArmor profile with "
     "`userns,` for this Python, or run as root"),
)  # fmt: skip

#: Folders that the kernel made for mounting on: they are always empty, so a mount there hides nothing.
MADE_FOR_MOUNTS = (
    "/proc/fs/nfsd", "/proc/sys/fs/binfmt_misc", "/sys/firmware/efi/efivars", "/sys/fs/bpf", "/sys/fs/cgroup",
    "/sys/fs/fuse/connections", "/sys/fs/nfs", "/sys/fs/pstore", "/sys/fs/resctrl", "/sys/fs/selinux", "/sys/fs/smackfs",
    "/sys/hypervisor/s390", "/sys/kernel/config", "/sys/kernel/debug", "/sys/kernel/security", "/sys/kernel/tracing",
)  # fmt: skip

#: By key of the finding and errno; a key that ends with "." stands for all that begin with it.
KNOWN = {
    ("mount.overlay", errno.ENODEV): Cause("overlay is not in /proc/filesystems", "modprobe overlay"),
    ("mount.overlay", errno.EPERM): Cause("overlay in a user namespace came with Linux 5.11", "use a newer kernel"),
    ("mount.", errno.ENODEV): Cause("the file system is not in /proc/filesystems", "use a kernel that has it"),
    ("tmpfs.xattr", errno.EOPNOTSUPP): Cause(
        "user.* attributes on tmpfs came with Linux 6.6 (CONFIG_TMPFS_XATTR)", "keep what containers write on disk (--keep)"),
    ("mount_api", errno.ENOSYS): Cause("the new mount calls came with Linux 5.2 to 5.12", "use a newer kernel"),
    ("overlay.lowerdir+", errno.EINVAL): Cause("lowerdir+ came with Linux 6.7", "none needed: one string will do"),
    ("clone3", errno.ENOSYS): Cause("clone3 came with Linux 5.3, and old Docker's filter hides it", "update Docker or kernel"),
    ("seccomp", errno.EINVAL): Cause("the kernel is built without CONFIG_SECCOMP_FILTER", "use a kernel that has it"),
    ("idmap", errno.EINVAL): Cause("this file system can't be seen through an id map", "use ext4, xfs or btrfs"),
    ("idmap", errno.EPERM): Cause("only root may see a file system through an id map", "none needed: ids are shifted instead"),
    ("idmap", errno.ENOENT): Cause("there is no such folder", "make it"),
    ("namespace.", errno.EINVAL): Cause("the kernel does not know this kind of namespace", "use a kernel that has it"),
    ("newuidmap", errno.EPERM): Cause("the program refused the range", "see subuid(5) and newuidmap(1)"),
    ("newgidmap", errno.EPERM): Cause("the program refused the range", "see subgid(5) and newgidmap(1)"),
    ("network.", errno.EOPNOTSUPP): Cause("the kernel has no network device of this kind", "load its module (modprobe)"),
    ("network.nft", errno.EINVAL): Cause("the kernel has no nf_tables", "modprobe nf_tables"),
    ("network.nft", errno.EPROTONOSUPPORT): Cause("the kernel has no nfnetlink", "modprobe nf_tables"),
    ("diag.", errno.ENOENT): Cause("the kernel can't list sockets of this family", "load its module (modprobe)"),
}  # fmt: skip


def cause(key: str, number: int) -> Cause:
    """Why the trial `key` ended with this errno."""
    if number == errno.ENOSPC:
        return full([key.removeprefix("namespace.")] if key.startswith("namespace.") else list(KINDS))
    if key == "namespace.user":
        return no_user_namespace(number)
    if key in ("mount.proc", "mount.sysfs") and number == errno.EPERM:
        return hidden(key.removeprefix("mount."))
    for candidate in (key, key.partition(".")[0] + "."):
        if found := KNOWN.get((candidate, number)):
            return found
    if filtered():
        return Cause("this process runs under a seccomp filter (Seccomp: 2 in /proc/self/status)", UNFILTERED)
    return Cause("nothing that usually forbids it was found", "")


# --- user namespaces ------------------------------------------------------------------------------------------------

UNFILTERED = "inside Docker: docker run --security-opt seccomp=unconfined, or --privileged"


def sysctl(name: str) -> str | None:
    """The value of "kernel.pid_max" and the like, or None where this kernel has no such knob."""
    try:
        return files.read(f"/proc/sys/{name.replace('.', '/')}").strip()
    except OSError:
        return None


def filtered() -> bool:
    """Whether this process runs under a seccomp filter."""
    return files.status().get("Seccomp") == "2"


def in_the_way() -> Cause | None:
    """What can be read beforehand that forbids user namespaces, or may do so. user_namespaces(7)."""
    if not os.path.exists("/proc/self/ns/user"):
        return Cause("the kernel is built without user namespaces (no /proc/self/ns/user)", "use one with CONFIG_USER_NS")
    for name, bad, cure in FORBIDDING:
        if sysctl(name) == bad and (name.startswith("user.") or os.geteuid() != 0):
            return Cause(f"{name} is {bad}", cure)
    if filtered():
        return Cause("this process runs under a seccomp filter (Seccomp: 2 in /proc/self/status)", UNFILTERED)
    return None


def full(kinds: list[str]) -> Cause:
    """Why there is no room for one more namespace of one of these kinds. namespaces(7), "The /proc/sys/user directory"."""
    limits = {f"user.max_{KINDS[kind][1]}_namespaces": "" for kind in kinds}
    limits = {name: sysctl(name) or "?" for name in limits}
    limits = {name: value for name, value in limits.items() if value == "0"} or limits
    shown = ", ".join(f"{name} is {value}" for name, value in limits.items())
    many = "" if "0" in limits.values() else ": so many exist, or they are nested 32 deep"
    return Cause(shown + many, f"sysctl {next(iter(limits))}=15000, outside of every user namespace that sets it lower")


def no_user_namespace(number: int) -> Cause:
    """Why no user namespace could be made, or none with its capabilities. unshare(2), user_namespaces(7)."""
    if number == errno.EPERM and not any(mount.mount_point == "/" for mount in files.mountinfo()):
        return Cause("this process is in a chroot: no line of /proc/self/mountinfo is for /", "use pivot_root, not chroot")
    return in_the_way() or Cause(
        f"CapEff is {files.status().get('CapEff')}, and nothing that usually forbids it was found", "run as root"
    )


# --- /proc and /sys -------------------------------------------------------------------------------------------------


def covering(fstype: str) -> Iterator[files.MountLine]:
    """The mounts that hide a part of a mounted `fstype` ("proc", "sysfs"). mount_namespaces(7), "Restrictions"."""
    mounts = list(files.mountinfo())
    ids = {mount.line.split(" ")[0] for mount in mounts if mount.fstype == fstype and mount.root == "/"}
    for mount in mounts:
        if mount.line.split(" ")[1] in ids and mount.mount_point not in MADE_FOR_MOUNTS:
            yield mount


def hidden(fstype: str) -> Cause:
    """Why a user namespace may not mount `fstype`: it would show what is hidden here."""
    cure = "inside Docker: --security-opt systempaths=unconfined, or --privileged; elsewhere: umount what covers it"
    if lines := [mount.line for mount in covering(fstype)]:
        more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        return Cause(f"a new {fstype} would show what this mount hides: {lines[0]!r}{more}", cure)
    if not any(mount.fstype == fstype and mount.root == "/" for mount in files.mountinfo()):
        return Cause(f"no whole {fstype} is mounted here, so none may be mounted in a user namespace", f"mount {fstype} first")
    return Cause(f"the {fstype} mounted here is more restricted than the one asked for", cure)


# --- where we are ---------------------------------------------------------------------------------------------------


def text(path: str) -> str:
    """The text of a file without blanks around it; "" where it is missing or closed to us."""
    try:
        return files.read(path).strip().strip("\0")
    except OSError:
        return ""


def outer() -> Iterator[str]:
    """Signs that this whole machine is itself a container."""
    for path, kind in (("/.dockerenv", "Docker"), ("/run/.containerenv", "Podman"), ("/dev/lxd", "LXD")):
        if os.path.exists(path):
            yield f"{kind} ({path})"
    if kind := text("/run/systemd/container"):
        yield f"{kind} (/run/systemd/container)"
    if (rows := read_maps()["uid"]) != ((0, 0, 0xFFFFFFFF),):
        yield f"a user namespace (/proc/self/uid_map: {rows})"

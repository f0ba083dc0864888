"""`host`: the host's programs (/usr, read-only) under a skeleton of ours. No other file of the host is in it.

What /usr cannot run without lies in /etc, and only that is copied, and of that only what everybody may read: the loader's
cache, the links that `update-alternatives` keeps, the certificate authorities, the settings of OpenSSL, Python, Perl and Java,
terminals, time zone, and the names of services and protocols. Users, passwords, hosts, networks, keys and the settings of
servers are not.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from functools import lru_cache

from ..errors import NotPossibleHere
from ..spec import Mount
from ..store import Home
from . import layers
from .image import Image

#: Raise it when what is made below changes.
RECIPE = 1
CARD = (
    "The programs of this machine (its /usr, read-only) under an empty file system of the container's own. It does not run on "
    "the host: its processes are in a container like any other, and see none of the host's files outside of /usr."
)
#: In /etc. A folder is taken with all that is in it; what a distribution does not have is left out.
COPIED = (
    "ld.so.cache", "alternatives", "ssl/openssl.cnf", "ssl/certs", "pki/tls", "pki/ca-trust/extracted", "crypto-policies",
    "ca-certificates/extracted", "localtime", "os-release", "debian_version", "terminfo", "inputrc", "locale.alias",
    "services", "protocols", "mime.types", "perl",
)  # fmt: skip
#: And what begins so: python3.11, java-17-openjdk.
COPIED_TOO = ("python3", "java-")
#: Inside of these, files that are no links: the bundle only. The others may be this machine's own certificates and their keys.
_BUNDLES = {"ssl/certs": ("ca-certificates.crt", "ca-bundle.crt", "cacerts"), "pki/tls": ("ca-bundle.crt", "openssl.cnf")}
_TOP = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "libo32")
_NSSWITCH = b"passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: files\n"
_READ_ONLY = ("rbind", "ro", "nosuid", "nodev")

Entry = tuple[str, str | bytes | None]
"""A path below the root, and a link's target, a file's content, or None for a folder."""


def image(home: Home) -> Image:
    """The image; its skeleton is made anew when what is in it has changed on the host. Raises NotPossibleHere."""
    if not os.path.exists("/usr/bin/sh") and not os.path.exists("/bin/sh"):
        raise NotPossibleHere(
            "the image host needs a shell in /usr/bin or /bin", condition="there is none", cure="use busybox"
        )
    key, mounts = _recipe(_stamp())
    folder = layers.make(home, f"host-{key}", lambda root: _fill(root, mounts))
    return Image("host", (folder,), mounts=mounts, card=CARD)


def _sources() -> list[str]:
    return [*COPIED, *sorted(name for name in os.listdir("/etc") if name.startswith(COPIED_TOO))]


def _stamp() -> tuple[tuple[int, int, int], ...]:
    """What `stat` says of all sources: the same means that nothing was added, taken away or replaced. Takes 0.15 ms."""
    return tuple(_identity(f"/etc/{name}") for name in _sources()) + tuple(_identity(f"/{name}") for name in _TOP)


def _identity(path: str) -> tuple[int, int, int]:
    try:
        found = os.lstat(path)
    except OSError:
        return (0, 0, 0)
    return found.st_ino, found.st_mtime_ns, found.st_size


@lru_cache(maxsize=2)
def _recipe(_stamp: object) -> tuple[str, tuple[Mount, ...]]:
    """The name of the skeleton, from all that goes in, and what is mounted on it."""
    key = hashlib.sha256(b"%d" % RECIPE)
    for entry in _entries():
        key.update(repr(entry).encode("utf-8", "surrogateescape"))
    # Before /usr was merged, /bin and /lib were folders of their own; they are programs of the host just like it.
    own = [f"/{name}" for name in _TOP if os.path.isdir(f"/{name}") and not os.path.islink(f"/{name}")]
    return key.hexdigest()[:32], tuple(Mount(path, "bind", path, _READ_ONLY) for path in ["/usr", *own])


def _entries() -> Iterator[Entry]:
    for name in _TOP:
        if os.path.islink(f"/{name}"):
            yield name, os.readlink(f"/{name}")
    for name in _sources():
        yield from _copied(name, _BUNDLES.get(name))


def _copied(name: str, bundles: tuple[str, ...] | None) -> Iterator[Entry]:
    path = f"/etc/{name}"
    try:
        mode = os.lstat(path).st_mode
        if stat.S_ISLNK(mode):
            yield f"etc/{name}", os.readlink(path)
        elif not mode & stat.S_IROTH:
            return
        elif stat.S_ISDIR(mode):
            yield f"etc/{name}", None
            for inner in sorted(os.listdir(path)):
                yield from _copied(f"{name}/{inner}", bundles)
        elif stat.S_ISREG(mode) and (bundles is None or os.path.basename(name) in bundles):
            with open(path, "rb") as file:
                yield f"etc/{name}", file.read()
    except OSError:
        return  # it went while we looked, or is not for us to read


def _fill(root: str, mounts: tuple[Mount, ...]) -> None:
    layers.furnish(root)
    layers.write(f"{root}/etc/nsswitch.conf", _NSSWITCH)
    for mount in mounts:
        layers.folder_at(f"{root}{mount.destination}")
    for name, content in _entries():
        path = f"{root}/{name}"
        if not os.path.isdir(above := os.path.dirname(path)):
            layers.folder_at(above)
        if content is None:
            layers.folder_at(path)
        elif isinstance(content, bytes):
            layers.write(path, content)
        else:
            os.symlink(content, path)

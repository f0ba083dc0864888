"""A Debian kernel for the guest: fetched by the machine's own apt, cut down to an image and a dozen modules, and kept."""

import lzma
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

#: What the guest needs and Debian does not build in: a disk, the host's files by 9p, overlay, ext4 (with its checksum).
WANTED = ("virtio_pci", "virtio_blk", "9pnet_virtio", "9p", "overlay", "crc32c_generic", "ext4")


class Unavailable(Exception):
    """There is no such kernel to be had here; the text says why."""


@dataclass(frozen=True)
class Kernel:
    """The folder of one kernel: `image`, and modules with names that sort in the order in which they must be loaded."""

    folder: Path

    @property
    def image(self) -> Path:
        return self.folder / "vmlinuz"

    @property
    def modules(self) -> list[Path]:
        return sorted(self.folder.glob("*.ko"))


def get(version: str, cache: Path) -> Kernel:
    """Debian's generic kernel of a version such as "6.1", from `cache`, or else from apt: 70 to 110 MB. Raises Unavailable."""
    kept = sorted(cache.glob(f"linux-image-{version}.*"))
    if kept:
        return Kernel(kept[-1])
    package = _newest(version)
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        os.chmod(scratch, 0o755)  # apt fetches as a user of its own
        _run("apt-get", "-q", "download", package, cwd=scratch)
        (archive,) = Path(scratch).glob("*.deb")
        _run("dpkg-deb", "-x", str(archive), f"{scratch}/tree", cwd=scratch)
        made = Path(scratch, "made")
        made.mkdir()
        _cut_down(Path(scratch, "tree"), made)
        made.rename(cache / package)
    return Kernel(cache / package)


def _newest(version: str) -> str:
    """The package's name. The cloud and real-time kernels are others: they have no 9p, or another scheduler."""
    listed = _run("apt-cache", "pkgnames", f"linux-image-{version}.").split()
    names = [name for name in listed if re.fullmatch(r"linux-image-[\d.]+(-\d+|\+deb\d+)-amd64", name)]
    if not names:
        raise Unavailable(f"apt knows no Debian kernel {version} for amd64 (apt-get update, or another distribution)")
    return max(names, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])


def _run(*command: str, cwd: str | None = None) -> str:
    if not shutil.which(command[0]):
        raise Unavailable(f"a Debian kernel is fetched with {command[0]}, which is not here")
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise Unavailable(f"{' '.join(command)}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
    return done.stdout


def _cut_down(tree: Path, made: Path) -> None:
    (image,) = tree.glob("boot/vmlinuz-*")
    shutil.copy(image, made / "vmlinuz")
    found = {_name(path): path for path in [*tree.rglob("*.ko"), *tree.rglob("*.ko.xz")]}
    order: list[str] = []
    for name in WANTED:
        _after_its_needs(name, found, order)
    for number, name in enumerate(order):
        (made / f"{number:02}-{name}.ko").write_bytes(_read(found[name]))


def _after_its_needs(name: str, found: dict[str, Path], order: list[str]) -> None:
    """Add a module to `order` after those that it needs. One without a file is built in."""
    if name in order or name not in found:
        return
    needs = re.search(rb"(?:^|\0)depends=([^\0]*)", _read(found[name]))
    for need in needs[1].decode().split(",") if needs else ():
        _after_its_needs(need.replace("-", "_"), found, order)
    order.append(name)


def _name(path: Path) -> str:
    return path.name.partition(".")[0].replace("-", "_")


def _read(path: Path) -> bytes:
    return lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()

"""/dev: seven nodes that work, and nothing that an image can do about it."""

import errno
import os
import stat

import pytest

from sandbox.primitives.devices import LINKS, NODES
from tests.primitives.staging import Refused, play
from tests.primitives.test_mounts import ROOT

pytestmark = pytest.mark.needs_userns


def test_the_nodes_are_the_hosts_and_they_work() -> None:
    said = play(
        ROOT
        + """
do(MakeDev(), world)
dev = world.root + "/dev/"
numbers = {n: [os.major(os.stat(dev + n).st_rdev), os.minor(os.stat(dev + n).st_rdev)] for n in os.listdir(dev)
           if not os.path.islink(dev + n)}
try:
    with open(dev + "full", "wb", buffering=0) as file:
        file.write(b"x")
except OSError as error:
    full = error.errno
with open(dev + "null", "r+b", buffering=0) as null, open(dev + "zero", "rb") as zero, open(dev + "urandom", "rb") as random:
    said = [numbers, null.write(b"gone"), null.read(1) == b"", zero.read(4) == bytes(4), len(random.read(16)), full]
"""
    )
    assert said == [{name: list(number) for name, number in NODES.items()}, 4, True, True, 16, errno.ENOSPC]


def test_the_links_are_those_of_the_specification() -> None:
    said = play(
        ROOT
        + """
do(MakeDev(), world)
dev = world.root + "/dev/"
said = {n: os.readlink(dev + n) for n in os.listdir(dev) if os.path.islink(dev + n)}
"""
    )
    assert said == LINKS


@pytest.mark.parametrize(
    "make", ['os.symlink("/etc", dev)', 'open(dev, "w").close()', "os.mkfifo(dev)", 'os.symlink("gone", dev)']
)
def test_a_dev_that_is_no_folder_is_refused(make: str) -> None:
    """CVE-2026-41579."""
    with pytest.raises(Refused, match="MakeDev: lstat /dev: ENOTDIR") as refusal:
        play(f"{ROOT}dev = world.root + '/dev'\n{make}\ndo(MakeDev(), world)")
    assert refusal.value.condition == "in this image /dev is not a directory"


def test_nodes_taken_after_the_old_root_is_gone_are_refused_and_say_so() -> None:
    with pytest.raises(Refused, match=r"MakeDev: .*: ENOENT") as refusal:
        play(f"{ROOT}do(PivotRoot(), world); do(MakeDev(), world)")
    assert refusal.value.condition == "the old root is gone, and with it the host's /dev, whose nodes are taken"


def test_what_an_image_has_in_its_dev_is_covered() -> None:
    said = play(
        ROOT
        + """
os.mkdir(world.root + "/dev")
for name in ("null", "sda", "mem"):
    open(f"{world.root}/dev/{name}", "w").write("of the image")
do(MakeDev(), world)
said = sorted(os.listdir(world.root + "/dev"))
"""
    )
    assert said == sorted([*NODES, *LINKS])


def test_no_device_can_be_made_in_a_user_namespace() -> None:
    said = play(
        ROOT
        + """
do(MakeDev(), world)
try:
    os.mknod(world.root + "/dev/mem", stat.S_IFCHR | 0o666, os.makedev(1, 1))
except OSError as error:
    said = error.errno
"""
    )
    assert said == errno.EPERM


@pytest.mark.needs_root
def test_without_a_user_namespace_the_nodes_are_made_anew_and_the_hosts_stay_as_they_are() -> None:
    before = os.stat("/dev/null")
    said = play(ROOT + """
do(MakeDev(made=True), world)
os.chmod(world.root + "/dev/null", 0o600)
os.mknod(world.root + "/dev/again", stat.S_IFCHR | 0o666, os.makedev(1, 3))
with open(world.root + "/dev/null", "r+b", buffering=0) as null:
    written = null.write(b"gone")
try:
    os.open(world.root + "/dev/again", os.O_RDWR)
except OSError as error:
    said = [written, error.errno]
""", namespaces=("mount", "pid"))  # fmt: skip
    assert said == [4, errno.EACCES]  # nodev: only what is bound can be opened
    after = os.stat("/dev/null")
    assert (after.st_mode, after.st_rdev) == (before.st_mode, before.st_rdev)
    assert stat.S_IMODE(after.st_mode) == 0o666


@pytest.mark.needs_root
def test_a_host_whose_null_is_something_else_is_refused() -> None:
    """In a scratch namespace: the host's own /dev is never touched."""
    over = ("unshare", "--mount", "sh", "-c", 'mount --bind /dev/zero /dev/null && exec "$@"', "sh")
    with pytest.raises(Refused, match="MakeDev: stat /dev/null: ENODEV") as refusal:
        play(ROOT + "do(MakeDev(), world)", before=over)
    assert "on this host it is not c (1, 3)" in refusal.value.condition
    with pytest.raises(Refused, match="Mask: stat /dev/null: ENODEV"):
        play(ROOT + "do(Mask(('/x',)), world)", before=over)

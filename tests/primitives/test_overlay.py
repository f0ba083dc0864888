"""overlay: what is below stays as it is, what is above is seen first."""

import errno
import os
from pathlib import Path

import pytest

from sandbox.primitives.overlay import MountOverlay
from sandbox.step import World
from tests.primitives.staging import Refused, play

pytestmark = [pytest.mark.needs_userns, pytest.mark.needs_root]

START = """
do(MakePrivate(), world)
do(MountScratch(16 << 20), world)
"""


@pytest.fixture
def layers(tmp_path: Path) -> Path:
    """Two layers and an upper folder."""
    for path, text in {
        "low/only-low": "low",
        "low/both": "low",
        "low/gone": "low",
        "high/both": "high",
        "high/new": "high",
    }.items():
        file = tmp_path / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    for path in ("upper", "upper/upper", "upper/work"):
        (tmp_path / path).mkdir()
    return tmp_path


def trees(layers: Path, *names: str) -> str:
    return "\n".join(
        f"do(OpenTree({name!r}, {str(layers / name)!r}, {('nodev',) if name == 'upper' else ('ro', 'nodev')}, True), world)"
        for name in names
    )


def test_the_higher_layer_hides_the_lower_and_both_stay_as_they_are(layers: Path) -> None:
    said = play(
        START
        + """
do(MountOverlay(("low", "high")), world)
before = {name: open(f"{world.root}/{name}").read() for name in sorted(os.listdir(world.root))}
open(f"{world.root}/both", "w").write("written inside")
os.unlink(f"{world.root}/gone")
said = [before, sorted(os.listdir(world.root))]
""",
        outside=trees(layers, "low", "high"),
    )
    assert said == [{"both": "high", "gone": "low", "new": "high", "only-low": "low"}, ["both", "new", "only-low"]]
    assert (layers / "high/both").read_text() == "high"
    assert (layers / "low/gone").read_text() == "low"


def test_what_is_written_is_kept_in_the_upper_folder_with_plain_owners(layers: Path) -> None:
    script = (
        START
        + """
do(MountOverlay(("low",), "upper"), world)
with open(f"{world.root}/kept", "w") as file:
    file.write("kept")
os.chown(f"{world.root}/kept", 1000, 1000)
os.unlink(f"{world.root}/gone")
said = sorted(os.listdir(world.root))
"""
    )
    assert play(script, outside=trees(layers, "low", "upper")) == ["both", "kept", "only-low"]
    kept = layers / "upper/upper/kept"
    assert (kept.read_text(), kept.stat().st_uid) == ("kept", 1000)  # and not 0x70000000 + 1000
    again = START + 'do(MountOverlay(("low",), "upper"), world); said = sorted(os.listdir(world.root))'
    assert play(again, outside=trees(layers, "low", "upper")) == ["both", "kept", "only-low"]


def test_without_an_upper_folder_what_is_written_goes_with_the_container_and_is_bounded(layers: Path) -> None:
    said = play(
        """
do(MakePrivate(), world)
do(MountScratch(1 << 20), world)
do(MountOverlay(("low",)), world)
try:
    open(f"{world.root}/big", "wb").write(bytes(2 << 20))
except OSError as error:
    said = error.errno
""",
        outside=trees(layers, "low"),
    )
    assert said == errno.ENOSPC


def test_a_device_in_an_image_can_not_be_opened(layers: Path) -> None:
    os.mknod(layers / "low/null", 0o20666, os.makedev(1, 3))
    said = play(
        START
        + """
do(MountOverlay(("low",)), world)
try:
    os.open(f"{world.root}/null", os.O_RDWR)
except OSError as error:
    said = error.errno
""",
        outside=trees(layers, "low"),
    )
    assert said == errno.EACCES


def test_more_layers_than_fit_into_a_page_of_options_are_mounted_one_by_one(tmp_path: Path) -> None:
    names = [f"layer-{number:03}-{'x' * 40}" for number in range(120)]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text("")
        (tmp_path / name / "top").write_text(name)
    assert len(":".join(names)) > 4096
    inside = (
        START + f"do(MountOverlay({names!r}), world); said = [len(os.listdir(world.root)), open(world.root + '/top').read()]"
    )
    assert play(inside, outside=trees(tmp_path, *names)) == [121, names[-1]]


def test_an_upper_folder_on_overlay_is_refused_and_says_so(layers: Path) -> None:
    script = (
        START
        + """
do(MountOverlay(("low",)), world)
os.makedirs(world.root + "/inner")
world.trees["low"] = syscalls.open_tree("/tmp/low", c.OPEN_TREE_CLONE)
world.trees["upper"] = syscalls.open_tree(world.root + "/inner", c.OPEN_TREE_CLONE)
world.scratch = "/tmp/second"
os.mkdir(world.scratch)
do(MountOverlay(("low",), "upper"), world)
"""
    )
    with pytest.raises(Refused, match=r"MountOverlay: .*EINVAL") as refusal:
        play(script, outside=trees(layers, "low"))
    assert "itself overlay" in refusal.value.condition
    assert "SANDBOX_HOME" in refusal.value.cure


def assembled() -> World:
    world = World()
    world.scratch = "/tmp"
    return world


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENODEV, errno.EINVAL, errno.EACCES, errno.EOVERFLOW])
def test_every_usual_errno_has_a_condition_and_a_cure(number: int) -> None:
    condition, cure = MountOverlay(("low",)).explain(OSError(number, ""), assembled())
    assert condition
    assert cure


def test_too_many_layers_are_counted_in_the_refusal() -> None:
    names = tuple(f"layer{number}" for number in range(501))
    condition, cure = MountOverlay(names).explain(OSError(errno.EINVAL, ""), assembled())
    assert condition.startswith("501 layers")
    assert "flatten" in cure

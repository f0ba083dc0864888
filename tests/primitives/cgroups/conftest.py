"""Recorded machines and trees, and real groups below our own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.linux import files
from sandbox.primitives import cgroups
from sandbox.primitives.cgroups.hierarchy import ROOM, UNIFIED, Directories, Layout, read_layout
from sandbox.step import World

DATA = Path(__file__).parent.parent.parent / "data" / "cgroups"
V2_CONTROLLERS = ("memory", "pids", "cpu", "io", "cpuset")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Layout]:
    """The layout of a recorded machine whose /sys/fs/cgroup is a folder of the test; `groups` are folders in it."""

    def build(name: str, groups: dict[str, dict[str, str]], own: str = "", known: str = "") -> Layout:
        text = (DATA / "layouts" / f"{name}.mountinfo").read_text().replace("/sys/fs/cgroup", str(tmp_path))
        for folder, content in groups.items():
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            for file, value in ({"cgroup.procs": ""} | content).items():
                (tmp_path / folder / file).write_text(value)
        with monkeypatch.context() as patched:
            patched.setattr(files, "read", lambda _: text)
            mounts = list(files.mountinfo())
        return read_layout(mounts, own or (DATA / "layouts" / f"{name}.cgroup").read_text(), known)

    return build


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[[str], Directories]:
    """A copy of a recorded group that has had 40 MiB and 20 processes at most, half a CPU, and one process killed."""

    def copy(name: str) -> Directories:
        group = tmp_path / ROOM / "box"
        shutil.copytree(DATA / name, group)
        if name == "v2":
            return tuple((controller, str(group)) for controller in (*V2_CONTROLLERS, UNIFIED))
        return tuple((folder.name, str(folder)) for folder in group.iterdir())

    return copy


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What was written: (file name, text). A plain file, unlike a kernel's, would keep the end of its old text."""
    found: list[tuple[str, str]] = []
    write = files.write

    def noted(path: str, text: str, dirfd: int | None = None) -> None:
        write(path, text, dirfd)
        found.append((os.path.basename(path), text))

    monkeypatch.setattr(files, "write", noted)
    return found


# --- real ones ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def layout() -> Iterator[Layout]:
    """This machine's own layout, prepared as the launcher does it."""
    found = cgroups.prepare(read_layout(), [os.getpid()])
    yield found
    cgroups.release(found)


class Group:
    """One real group, and programs that run in it."""

    def __init__(self, directories: Directories) -> None:
        self.directories = directories
        self.children: list[subprocess.Popen[str]] = []

    def limit(self, **limits: object) -> str:
        step = cgroups.SetLimits("box", directories=self.directories, explicit=tuple(limits), **limits)  # type: ignore[arg-type]
        return step.apply(World())

    def start(self, code: str) -> "subprocess.Popen[str]":
        """Python code, running in the group from its first line on."""
        command = [sys.executable, "-I", "-S", "-c", f"input()\n{code}"]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.children.append(child)
        for directory in dict.fromkeys(directory for _, directory in self.directories):
            files.write(f"{directory}/cgroup.procs", str(child.pid))
        assert child.stdin
        child.stdin.write("\n")
        child.stdin.flush()
        return child

    def run(self, code: str) -> tuple[int, str]:
        """Exit status and output of the code."""
        child = self.start(code)
        output, _ = child.communicate(timeout=60)
        return child.returncode, output

    def close(self) -> None:
        for child in self.children:
            child.kill()
            child.communicate()


@pytest.fixture
def make_group(layout: Layout) -> Iterator[Callable[..., Group]]:
    """Make a real group below our own, by default in every tree; gone after the test."""
    made: list[tuple[cgroups.MakeCgroups, Group]] = []

    def make(*extra: str, layout: Layout = layout) -> Group:
        name = f"test-{os.getpid()}-{len(made)}"
        step = cgroups.MakeCgroups(name, extra, cgroups.place(name, layout, extra))
        if not step.directories:
            pytest.skip(f"no group can be made here: {layout.at(UNIFIED).problem}")
        group = Group(step.directories)
        made.append((step, group))
        step.apply(World())
        return group

    yield make
    for step, group in made:
        group.close()
        step.undo()
        assert not any(os.path.exists(directory) for _, directory in step.directories)


@pytest.fixture
def private(make_group: Callable[..., Group], layout: Layout) -> Layout:
    """A layout whose own group nobody else works in: launchers of other users of this machine would make and remove ours."""
    where = dict(make_group().directories)
    return Layout(tuple(place._replace(own=where[place.controller]) for place in layout.places if place.controller in where))


@pytest.fixture
def needs(layout: Layout) -> Callable[[str], None]:
    """Skip unless a controller is usable here."""

    def check(controller: str) -> None:
        if why := layout.at(controller).problem:
            pytest.skip(f"needs the {controller} controller: {why}")

    return check

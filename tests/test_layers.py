"""The house stands: who may import whom, and the few rules that no linter knows. The picture is in docs/architecture.md."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

#: The floor of each room (a module, or a folder with all in it). A room imports nothing from above its own floor.
FLOORS = {
    "sandbox.linux": 1, "sandbox.errors": 1, "sandbox.immutable": 1, "sandbox.trace": 1, "sandbox.events": 1,
    "sandbox.step": 1, "sandbox.spec": 1, "sandbox.columns": 2,
    "sandbox.primitives": 2, "sandbox.disk": 2, "sandbox.disk_copy": 2, "sandbox.dependents": 2, "sandbox.host": 2,
    "sandbox.host_trials": 2, "sandbox.host_causes": 2,
    "sandbox.lanes": 3, "sandbox.plans": 3, "sandbox.cabling": 3, "sandbox.options": 3, "sandbox.store": 3, "sandbox.home": 3,
    "sandbox.logs": 3, "sandbox.images": 3, "sandbox.metrics": 3, "sandbox.values": 3,
    "sandbox.scripts": 3, "sandbox.lxc_config": 3,
    "sandbox.launcher": 4, "sandbox.networks": 4,
    "sandbox.machines": 5,
    "sandbox.job": 6, "sandbox.starting": 6, "sandbox.listing": 6, "sandbox.states": 6, "sandbox.unsharing": 6,
    "sandbox.container": 6, "sandbox.observing": 6, "sandbox.stages": 6, "sandbox.stepper": 6, "sandbox.timelines": 6,
    "sandbox.runc": 6, "sandbox.sampling": 6, "sandbox.updating": 6, "sandbox.loads": 6, "sandbox.maps": 6,
    "sandbox.lxc": 7, "sandbox.build": 7, "sandbox.compare": 7, "sandbox.docker": 7, "sandbox.oci": 7, "sandbox.cluster": 7,
    "sandbox.terminal": 7, "sandbox.console": 7, "sandbox.cli": 8, "sandbox.__main__": 8, "sandbox": 8,
    "kernel_ext": 9,
}  # fmt: skip

PLAIN = ("sandbox.errors", "sandbox.immutable", "sandbox.trace", "sandbox.events", "sandbox.step", "sandbox.spec")
DOORS = ("sandbox.lxc", "sandbox.build", "sandbox.docker", "sandbox.oci", "sandbox.cluster")

#: Rooms that may import even less than their floor allows.
ONLY = {
    "sandbox.linux": (),
    **dict.fromkeys(PLAIN, PLAIN),
    "sandbox.primitives": ("sandbox.linux", *PLAIN),
    "sandbox.launcher": (
        "sandbox.lanes",
        "sandbox.plans",
        "sandbox.store",
        "sandbox.logs",
        "sandbox.primitives",
        "sandbox.linux",
        *PLAIN,
    ),
    "sandbox.machines": ("sandbox.launcher.client", "sandbox.linux", "sandbox.host", *PLAIN),
    "kernel_ext": ("sandbox",),
}

#: The one file that hands its names on; everything else imports where a thing is at home.
FRONT = "sandbox"

SOURCES = {
    str(path.relative_to(REPOSITORY).with_suffix("")).replace("/", ".").removesuffix(".__init__"): path
    for package in ("sandbox", "kernel_ext")
    for path in sorted((REPOSITORY / package).rglob("*.py"))
}


def room_of(module: str) -> str:
    """The room that a module lies in: the longest name in FLOORS that covers it."""
    rooms = [room for room in FLOORS if module == room or (room != FRONT and module.startswith(f"{room}."))]
    assert rooms, f"{module} stands on no floor: give it one in FLOORS"
    return max(rooms, key=len)


def imports(module: str, *, top_level: bool = False) -> Iterator[tuple[str, int]]:
    """What a file imports: (full name of the module, line). With `top_level`, only what loading the file imports."""
    path = SOURCES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    tree = ast.parse(path.read_text(), path)
    for node in tree.body if top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            up = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join([*up, *([node.module] if node.module else [])])
            for alias in node.names:  # `from .linux import files` imports the module sandbox.linux.files
                yield (full if (full := f"{base}.{alias.name}") in SOURCES else base), node.lineno


def own_imports(module: str) -> Iterator[tuple[str, int]]:
    return ((name, line) for name, line in imports(module) if name.split(".")[0] in ("sandbox", "kernel_ext"))


def within(name: str, rooms: tuple[str, ...]) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


@pytest.mark.parametrize("module", SOURCES)
def test_a_file_imports_nothing_from_above_its_floor(module: str) -> None:
    room = room_of(module)
    for name, line in own_imports(module):
        at = f"{SOURCES[module].relative_to(REPOSITORY)}:{line} imports {name}"
        if room in ONLY and module != FRONT and not within(name, (room,)):
            assert within(name, ONLY[room]), f"{at}; {room} may import {', '.join(ONLY[room]) or 'nothing of ours'}"
        assert FLOORS[room_of(name)] <= FLOORS[room], f"{at}, which stands above it"


def test_a_primitive_never_imports_another() -> None:
    for module in SOURCES:
        if module.startswith("sandbox.primitives."):
            mine = ".".join(module.split(".")[:3])
            for name, line in own_imports(module):
                # `seccomp_profiles` and `seccomp_policy` are annexes of `seccomp`, not neighbours.
                house = mine.partition("_")[0]
                other = (
                    name.startswith("sandbox.primitives") and not within(name, (mine,)) and not name.startswith(f"{house}_")
                )
                assert not other, f"{SOURCES[module]}:{line} imports its neighbour {name}"


def test_a_door_knows_no_other_door() -> None:
    for module in SOURCES:
        for door in DOORS:
            if within(module, (door,)):
                others = tuple(d for d in DOORS if d != door)
                assert not [name for name, _ in own_imports(module) if within(name, others)], f"{module} knows another door"


def test_kernel_ext_uses_only_what_sandbox_exports() -> None:
    for module in SOURCES:
        if within(module, ("kernel_ext",)):
            for line in SOURCES[module].read_text().splitlines():
                assert not re.match(r"\s*(from|import) sandbox\.", line), f"{module}: {line.strip()!r} goes past the front"


def test_no_circle_of_imports() -> None:
    graph = {module: {name for name, _ in own_imports(module)} - {module, FRONT} for module in SOURCES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' → '.join(error.args[1])}")


@pytest.mark.parametrize("module", [module for module in SOURCES if within(module, ("sandbox",))])
def test_loading_a_file_of_sandbox_needs_only_the_standard_library(module: str) -> None:
    for name, line in imports(module, top_level=True):
        top = name.split(".")[0]
        assert top == "sandbox" or top in sys.stdlib_module_names, f"{SOURCES[module]}:{line} imports {name} at top level"


def test_ctypes_is_used_only_in_linux_and_ipython_only_in_kernel_ext() -> None:
    for module in SOURCES:
        for name, line in imports(module):
            top, at = name.split(".")[0], f"{SOURCES[module]}:{line}"
            assert top not in ("ctypes", "_ctypes") or within(module, ("sandbox.linux",)), f"{at} uses ctypes"
            assert top not in ("IPython", "ipykernel") or within(module, ("kernel_ext",)), f"{at} uses {top}"


def test_kernel_files_are_written_through_one_door() -> None:
    kernel_file = r"""f?["']/(proc|sys)/[^)\n]*"""
    writing = re.compile(rf"""open\(\s*{kernel_file}(,\s*["'](w|a|x|r\+)|O_WRONLY|O_RDWR)|Path\({kernel_file}\)\.write_""")
    for module, path in SOURCES.items():
        if module != "sandbox.linux.files":
            found = writing.search(path.read_text())
            assert not found, f"{path}: {found and found[0]!r} should be linux.files.write"


@pytest.mark.parametrize("package", ["sandbox", "kernel_ext"])
def test_importing_loads_nothing_heavy(package: str) -> None:
    heavy = {
        "IPython", "aiohttp", "anywidget", "asyncio", "concurrent.futures", "email", "http.client", "ipywidgets", "matplotlib",
        "multiprocessing", "nbclient", "nbformat", "numpy", "pyroute2", "pyseccomp", "requests", "rich", "ssl", "unittest",
        "urllib.request", "xml",
    }  # fmt: skip
    code = f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); before = set(sys.modules); import {package}; "
    code += "print(*(set(sys.modules) - before))"
    bare = [sys.executable, "-I"] if package == "kernel_ext" else [sys.executable, "-I", "-S"]
    loaded = subprocess.run([*bare, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert package in loaded
    if package == "kernel_ext":  # it is loaded by IPython, into a kernel that runs asyncio
        heavy -= {"IPython", "asyncio", "concurrent.futures", "email", "multiprocessing", "unittest", "xml"}
    assert not heavy & set(loaded), f"import {package} loads {sorted(heavy & set(loaded))}"


def test_no_file_is_longer_than_a_reader_likes(tracked: list[Path]) -> None:
    code = [path for path in tracked if path.suffix in (".py", ".c", ".js")]
    assert code
    lengths = {path: (REPOSITORY / path).read_text().count("\n") for path in code}
    long = [
        f"{path}: {lines} lines" for path, lines in lengths.items() if lines > 320 and path.parts[:2] != ("notebooks", "src")
    ]
    assert not long, f"two rooms in one? at most 320 lines: {'; '.join(long)}"


def test_no_file_names_a_registry_or_a_path_of_one_machine(tracked: list[Path]) -> None:
    hosts = r"pythonhosted\.org|pypi\.org|registry\.npmjs|(deb|security)\.debian\.org|--?index-url|\"resolved\": \"http"
    paths = r"(?<![\w.$}])/(work|farm|root/\.pyenv)/[\w.]"
    for path in tracked:
        try:
            text = (REPOSITORY / path).read_text()
        except UnicodeDecodeError:  # a picture
            continue
        for number, line in enumerate(text.splitlines(), 1):
            found = re.search(f"{hosts}|{paths}", line)
            assert not found or path == Path("tests/test_layers.py"), f"{path}:{number} names {found and found[0]!r}"

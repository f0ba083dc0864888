"""Lessons, their source, and how they went."""

import contextlib
import functools
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from types import ModuleType

import pytest

from sandbox import host
from tests.conftest import REPOSITORY, as_nobody, nothing_is_left, refusal
from tests.primitives.network.steps import needs

from .stage import Layer, Run, open_folder, stage


def load_generator() -> ModuleType:
    """notebooks/generate.py, which belongs to no package."""
    spec = importlib.util.spec_from_file_location("generate", REPOSITORY / "notebooks" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["generate"] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


generate = load_generator()
GENERATED = generate.generated()
NOTEBOOKS = sorted(GENERATED)


@functools.cache
def user_refusal() -> str:
    """Why an ordinary user can't play a notebook here, or nothing."""
    # setpriv still has root's capabilities when it calls the first program; that one must be able to call itself again.
    needed = "import os, sys, ipykernel, nbclient; sys.exit(not os.access(sys.executable, os.X_OK))"
    if subprocess.run(as_nobody(sys.executable, "-c", needed), capture_output=True, cwd="/").returncode:
        return f"an ordinary user can't run {sys.executable} with ipykernel and nbclient: put the environment elsewhere"
    return ""


def as_user(item: pytest.Item) -> bool:
    """Whether the notebook of this test is to be played by an ordinary user."""
    return bool(item.get_closest_marker("plays").kwargs.get("as_user"))


@pytest.fixture(scope="session")
def begun(request: pytest.FixtureRequest) -> Iterator[dict[str, tuple[Path, "Future[Run]"]]]:
    """By test, the folder and the outcome of the notebook that it asks for (mark "plays"); it is played, or waits for it."""
    asked = [item for item in request.session.items if item.get_closest_marker("plays") and not refusal(item)]
    asked = [item for item in asked if not (as_user(item) and user_refusal())]

    with contextlib.ExitStack() as stack:
        opened, found = stack.enter_context(stage()), {}
        for item in sorted(asked, key=needs_debian):  # these are the last: a Debian takes a while to come
            parameters = item.callspec.params if hasattr(item, "callspec") else {}
            text = functools.partial(item.get_closest_marker("plays").args[0], **parameters)
            folder, layer = stack.enter_context(open_folder()), debian(request) if needs_debian(item) else lambda: None
            found[item.nodeid] = folder, opened.begin(text, folder, as_user=as_user(item), layer=layer)
        yield found


def needs_debian(item: pytest.Item) -> bool:
    """Whether its lesson installs a Debian: from a network namespace of its own it can't fetch any."""
    return "14_system-containers" in item.name and bool(item.get_closest_marker("plays").kwargs.get("debian"))


def debian(request: pytest.FixtureRequest) -> Layer:
    """Begins to fetch one, and returns what waits for it; there may be none to be had."""
    with contextlib.suppress(pytest.skip.Exception):
        made = request.getfixturevalue("debian_begun")

        def layer() -> Path | None:
            with contextlib.suppress(pytest.skip.Exception):
                return made()
            return None

        return layer
    return lambda: None


@pytest.fixture
def tools(request: pytest.FixtureRequest) -> None:
    """Skips a lesson that can't do without what is missing here: its first cell says so, and the others are void."""
    if any(words in request.node.name for words in ("12_network", "lesson_12")):
        needs("ip", "iproute2")
        needs("nft", "nftables")
        report = host.report()
        for what in ("network.veth", "network.bridge", "network.nft"):
            if not report.can(what):
                pytest.skip(f"needs {what}: {report.why_not(what)}")


@pytest.fixture
def played(
    request: pytest.FixtureRequest, tools: None, begun: dict[str, tuple[Path, "Future[Run]"]], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Run]:
    """How the notebook went that this test is marked with. Nothing is left of it."""
    pytest.importorskip("nbclient", reason="needs nbclient and a kernel: pip install '.[lab,test]'")
    pytest.importorskip("ipykernel", reason="needs a kernel: pip install '.[lab]'")
    if as_user(request.node) and (why := user_refusal()):
        pytest.skip(why)
    folder, future = begun[request.node.nodeid]
    yield future.result()
    if not as_user(request.node):
        monkeypatch.setenv("SANDBOX_HOME", str(folder / "home"))
        nothing_is_left()

"""Our own figures: one function a figure, all through the names that `sandbox` promises.

Times are nanoseconds, memory is bytes. A part that is missing raises `Absent` with its name.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peers import HERE, Absent, Measure, Place

import sandbox
from sandbox.spec import Root, Spec
from sandbox.trace import Trace

KIB = 1024


def part(name: str) -> Any:
    """A name that `sandbox` promises."""
    found = getattr(sandbox, name, None)
    if not callable(found):
        raise Absent(f"there is no sandbox.{name}")
    return found


def clock(function: Callable[[], object]) -> int:
    start = time.perf_counter_ns()
    function()
    return time.perf_counter_ns() - start


def run_warm(place: Place) -> Measure:
    """`sandbox.run` of true in a default container, in a process that has the launcher already."""
    run = part("run")

    def measure() -> int:
        start = time.perf_counter_ns()
        result = run("busybox", ["true"])
        took = time.perf_counter_ns() - start
        if result.exit_code:
            raise Absent(f"sandbox.run gave {result.exit_code}: {result.reason}")
        return took

    return measure


@contextmanager
def running(name: str, command: list[str]) -> Iterator[Any]:
    """A started container, destroyed at the end."""
    container = part("Container").create(name, image="busybox", command=command)
    try:
        container.start()
        yield container
    finally:
        container.stop(timeout=0)
        container.destroy()


def exec_true(place: Place) -> Measure:
    """`exec` of true into a running container."""
    container = place.undo.enter_context(running(f"bench-exec-{os.getpid()}", ["sleep", "3600"]))

    def measure() -> int:
        start = time.perf_counter_ns()
        result = container.exec(["true"])
        took = time.perf_counter_ns() - start
        if result.exit_code:
            raise Absent(f"exec gave {result.exit_code}")
        return took

    return measure


def _in_fresh_python(code: str, home: Path | None = None) -> int:
    """Run `code` in a new interpreter; it sets `took`, in nanoseconds."""
    text = f"import time\nstart = time.perf_counter_ns()\n{code}\nprint(time.perf_counter_ns() - start)"
    env = {**os.environ, "SANDBOX_HOME": str(home)} if home else None
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, env=env, cwd=HERE.parent)
    if done.returncode:
        raise Absent((done.stderr.strip().splitlines() or ["failed"])[-1])
    return int(done.stdout.split()[-1])


def first_run(place: Place) -> Measure:
    """The first container of a fresh process and a fresh SANDBOX_HOME: import, image, launcher and keeper included."""
    part("run")
    count = iter(range(1_000_000))
    code = "import sandbox\nassert sandbox.run('busybox', ['true']).exit_code == 0"
    return lambda: _in_fresh_python(code, place.path / f"home-{next(count)}")


def import_sandbox(place: Place) -> Measure:
    """`import sandbox` in a fresh interpreter."""
    return lambda: _in_fresh_python("import sandbox")


def load_extension(place: Place) -> Measure:
    """`%load_ext kernel_ext`, on top of a kernel that is already loaded."""
    code = (
        "from ipykernel.zmqshell import ZMQInteractiveShell\n"
        "shell = ZMQInteractiveShell.instance()\n"
        "start = time.perf_counter_ns()\n"
        "shell.run_line_magic('load_ext', 'kernel_ext')\n"
        "if 'kernel_ext' not in shell.extension_manager.loaded: raise SystemExit('kernel_ext is no extension')"
    )
    return lambda: _in_fresh_python(code)


def plan_cost(place: Place) -> Measure:
    """What being a plan costs: compile, encode to JSON, and read a trace of that many steps back."""
    plan, run = part("plan"), part("run")
    spec = Spec(name="bench", image="busybox", root=Root(layers=(str(place.root),)))
    trace = run("busybox", ["true"]).trace
    rows, steps = json.dumps(trace.rows), trace.plan

    def measure() -> int:
        start = time.perf_counter_ns()
        json.dumps(plan(spec).to_json())
        if not Trace(json.loads(rows), steps).entries:
            raise SystemExit("an empty trace")
        return time.perf_counter_ns() - start

    return measure


# --- many at once ---------------------------------------------------------------------------------------------------


def many(count: int) -> dict[str, float]:
    """`count` containers at once: start times, our memory, and the time of a list with usage."""
    create, containers, namespaces = part("Container").create, part("containers"), part("namespaces")
    made: list[Any] = []
    try:
        # One is started and not counted: it brings up launcher and keeper, whose memory is the base line.
        with running(f"bench-first-{os.getpid()}", ["sleep", "3600"]):
            before = engine_memory()
            starts = []
            for i in range(count):
                made.append(create(f"bench-{os.getpid()}-{i}", image="busybox", command=["sleep", "3600"]))
                starts.append(clock(made[-1].start))
            after = engine_memory()
            listing = min(clock(containers) for _ in range(3))
            with part("Sampler")() as sampler:
                sampler.sample()  # opens the files
                rounds = [clock(sampler.sample) for _ in range(20)]
            mapping = min(clock(lambda: str(namespaces())) for _ in range(3))
        edge = max(1, min(100, count // 5))
        return {
            "containers": count,
            "start, first": statistics.median(starts[:edge]),
            "start, last": statistics.median(starts[-edge:]),
            "memory each": (after - before) / count,
            "launcher and keeper, one container": before,
            "launcher and keeper, all": after,
            "containers() with usage": listing,
            "a round of all": statistics.median(rounds),
            "map of namespaces": mapping,
        }
    finally:
        for container in made:
            container.stop(timeout=0)
            container.destroy()


def engine_memory() -> int:
    """PSS of the launcher and the keeper of our own SANDBOX_HOME, found by their environment. proc_pid_smaps(5)."""
    mark = f"SANDBOX_HOME={os.environ['SANDBOX_HOME']}\0".encode()
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.name != str(os.getpid()) and mark in (process / "environ").read_bytes():
                rollup = (process / "smaps_rollup").read_text()
                total += KIB * next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        except OSError:  # gone meanwhile, or a stranger's
            continue
    if not total:
        raise Absent("launcher and keeper do not carry SANDBOX_HOME in their environment")
    return total

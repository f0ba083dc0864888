"""The peers: other programs that start a container, each as a function that measures one start.

A peer is made once (`runc(place)` writes its bundle) and then asked again and again; what it leaves behind is undone when the
`Place` closes. A peer that this machine lacks raises `Absent` with the reason. All get the same root: a static busybox.
"""

import contextlib
import json
import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sandbox.linux import files
from sandbox.linux.constants import CAPABILITIES
from sandbox.primitives import cgroups, seccomp
from sandbox.spec import Spec

#: One container from start to end; returns how long it took, in nanoseconds.
Measure = Callable[[], int]

HERE = Path(__file__).parent
APPLETS = ("sh", "true", "sleep", "cat", "ls", "ps", "id", "hostname")


class Absent(Exception):
    """This peer can't run here; the message says why."""


class Place:
    """A scratch folder with the shared root, and the list of what has to be undone at the end."""

    def __init__(self) -> None:
        self.undo = contextlib.ExitStack()
        self.path = Path(tempfile.mkdtemp(prefix="bench-"))
        self.undo.callback(self._remove)
        self.path.chmod(0o711)
        self.root = self.path / "rootfs"
        for folder in ("bin", "sbin", "dev", "proc", "sys", "tmp", "etc"):
            (self.root / folder).mkdir(parents=True)
        shutil.copy(busybox(), self.root / "bin/busybox")
        for applet in APPLETS:
            (self.root / "bin" / applet).symlink_to("busybox")

    def _remove(self) -> None:
        inside = [m.mount_point for m in files.mountinfo() if m.mount_point.startswith(f"{self.path}/")]
        if inside:  # deleting through somebody's mount would delete what is mounted there
            print(f"kept {self.path}: still mounted: {', '.join(inside)}")
        else:
            shutil.rmtree(self.path)


def busybox() -> str:
    """The static busybox of this machine."""
    found = shutil.which("busybox")
    if not found:
        raise Absent("no busybox: apt-get install busybox-static")
    if b"/ld-linux" in Path(found).read_bytes():
        raise Absent(f"{found} is not static: apt-get install busybox-static")
    return found


def spawn(*command: str) -> int:
    """Run a program to its end, silently; nanoseconds. posix_spawn: what the caller itself weighs must not count."""
    null = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1, 2)]
    start = time.perf_counter_ns()
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=null)
    status = os.waitpid(pid, 0)[1]
    took = time.perf_counter_ns() - start
    if status:  # once more, to hear why
        said = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace").stderr
        why = (said.strip().splitlines() or ["nothing was said"])[-1]
        raise Absent(f"{Path(command[0]).name}: exit status {os.waitstatus_to_exitcode(status)}: {why}")
    return took


def program(name: str) -> str:
    found = shutil.which(name)
    if not found:
        raise Absent("not installed")
    return found


def need_root() -> None:
    if os.geteuid():
        raise Absent("needs root")


# --- the peers ------------------------------------------------------------------------------------------------------


def unshare(place: Place) -> Measure:
    """util-linux: six namespaces and a /proc, no image, no limits, nothing dropped."""
    maps = ("-r",) if os.geteuid() else ()
    command = (program("unshare"), "-muinpCf", *maps, "--mount-proc", "true")
    return lambda: spawn(*command)


def bwrap(place: Place) -> Measure:
    """bubblewrap: all namespaces, a root of its own, /proc and /dev; no cgroups, no filter."""
    view = ("--ro-bind", str(place.root), "/", "--proc", "/proc", "--dev", "/dev")
    command = (program("bwrap"), "--unshare-all", *view, "true")
    return lambda: spawn(*command)


def _bundle(place: Place, name: str, args: list[str]) -> Path:
    bundle = place.path / name
    bundle.mkdir()
    subprocess.run([program("runc"), "spec"], cwd=bundle, check=True)
    config = json.loads((bundle / "config.json").read_text())
    config["process"].update(terminal=False, args=args)
    config["root"]["path"] = str(place.root)
    (bundle / "config.json").write_text(json.dumps(config))
    return bundle


def _oci(place: Place, name: str) -> Measure:
    need_root()
    command = (program(name), "--root", str(place.path / f"{name}-state"), "run")
    bundle = str(_bundle(place, name, ["true"]))
    return lambda: spawn(*command, "--bundle", bundle, f"bench-{os.getpid()}")


def runc(place: Place) -> Measure:
    """runc with the bundle that `runc spec` writes: no filter, no user namespace, cgroups."""
    return _oci(place, "runc")


def crun(place: Place) -> Measure:
    """crun, the same bundle."""
    return _oci(place, "crun")


def runc_exec(place: Place) -> Measure:
    """`runc exec` of true into a running container."""
    need_root()
    name, command = f"bench-exec-{os.getpid()}", (program("runc"), "--root", str(place.path / "runc-exec-state"))
    bundle = str(_bundle(place, "runc-exec", ["sleep", "3600"]))
    spawn(*command, "run", "-d", "--bundle", bundle, name)
    place.undo.callback(spawn, *command, "delete", "--force", name)
    return lambda: spawn(*command, "exec", name, "true")


def _lxc(place: Place, name: str, *lines: str) -> tuple[str, ...]:
    need_root()
    config = place.path / f"{name}.conf"
    ours = (f"lxc.rootfs.path = dir:{place.root}", "lxc.net.0.type = empty", "lxc.mount.auto = proc:mixed sys:ro")
    config.write_text("\n".join((*ours, "lxc.apparmor.profile = unconfined", *lines, "")))
    return (program(name), "-P", str(place.path), "-n", f"{name}-{os.getpid()}", "-f", str(config))


def lxc_execute(place: Place) -> Measure:
    """lxc-execute: the command under LXC's own small init, which has to lie in the root."""
    init = next(iter(Path("/usr").glob("sbin/init.lxc.static")), None)
    if init is None:
        raise Absent("no init.lxc.static, which must be copied into the root")
    command = _lxc(place, "lxc-execute")
    shutil.copy(init, place.root / "sbin")
    return lambda: spawn(*command, "--", "/bin/true")


def lxc_start(place: Place) -> Measure:
    """lxc-start in the foreground, true as PID 1."""
    command = _lxc(place, "lxc-start", "lxc.init.cmd = /bin/true")
    return lambda: spawn(*command, "-F")


def docker(place: Place) -> Measure:
    """`docker run --rm`, if a daemon already answers; none is started, it would change the host's network."""
    client = program("docker")
    if subprocess.run([client, "version"], capture_output=True, timeout=20).returncode:
        raise Absent("no daemon answers")
    image = f"bench-{os.getpid()}"
    archive = subprocess.run(["tar", "-C", str(place.root), "-c", "."], check=True, capture_output=True).stdout
    subprocess.run([client, "import", "-", image], input=archive, check=True, capture_output=True)
    place.undo.callback(spawn, client, "rmi", image)
    return lambda: spawn(client, "run", "--rm", image, "true")


# --- the referee ----------------------------------------------------------------------------------------------------


def referee(place: Place) -> Measure:
    """container.c, asked through a pipe; it reports its own time, as the launcher would."""
    need_root()
    binary = place.path / "container"
    source = str(HERE / "container.c")
    subprocess.run([program("gcc"), "-std=gnu11", "-O2", "-Wall", "-o", str(binary), source], check=True)
    command = [str(binary), "-s", *_default_container(place), "--", "true"]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    place.undo.enter_context(server)  # closes the pipes and waits

    def measure() -> int:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write("\n")
        took, _, status = server.stdout.readline().partition(" ")
        if status.strip() != "0":
            raise Absent("container.c failed, see its line above")
        return int(took)

    return measure


def _default_container(place: Place) -> list[str]:
    """The default Spec as the options of container.c."""
    spec, options = Spec(), ["-l", str(place.root)]
    options += ["-k", f"{sum(1 << CAPABILITIES.index(name) for name in spec.process.capabilities):x}"]
    program_file = place.path / "filter.bpf"
    program_file.write_bytes(seccomp.compile_profile(spec.seccomp, platform.machine(), spec.process.capabilities))
    options += ["-f", str(program_file)]
    for flag, paths in (("-m", spec.masked_paths), ("-r", spec.readonly_paths)):
        options += [word for path in paths for word in (flag, path)]
    memory, pids = spec.resources.memory, spec.resources.pids
    limits = {
        ("memory", 1): {"memory.limit_in_bytes": memory, "memory.memsw.limit_in_bytes": memory},
        ("memory", 2): {"memory.max": memory, "memory.swap.max": spec.resources.swap},
        ("pids", 1): {"pids.max": pids},
        ("pids", 2): {"pids.max": pids},
    }
    layout = cgroups.read_layout()
    places = [layout.at(controller) for controller, _ in cgroups.place("bench", layout)]
    for own in dict.fromkeys(place.own for place in places):  # beside the launcher's room, which may be away
        options += ["-g", f"{own}/bench-{os.getpid()}"]
    for where in places:
        for name, value in limits.get((where.controller, where.version), {}).items():
            if "memsw" not in name or os.path.exists(f"{where.own}/{name}"):  # a kernel may not count swap
                options += ["-w", f"{where.own}/bench-{os.getpid()}/{name}={value}"]
    return options


PEERS: dict[str, Callable[[Place], Measure]] = {
    "unshare": unshare, "bwrap --unshare-all": bwrap, "C referee": referee, "crun run": crun, "runc run": runc,
    "lxc-execute": lxc_execute, "lxc-start": lxc_start, "docker run --rm": docker,
}  # fmt: skip

"""Nothing of the runtime is within reach of a container: not its program, its descriptors, its helpers, nor its mounts."""

import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import sandbox
from sandbox.errors import InvalidOption, KernelRefused, NotFound
from tests.attacks.hostile import WATCHER, Hostile, program, refusal, shell

#: A program loader that makes of whoever is loaded the attacker: it keeps the loaded program open and goes on as a script.
LOADER = r"""
static long call(long n, long a, long b, long c) {
    long r;
    __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return r;
}
void _start(void) {
    char *argv[] = {"sh", "/attack", 0}, *envp[] = {"PATH=/bin", 0};
    long fd = call(2, (long)"/proc/self/exe", 0, 0);
    call(33, fd, 9, 0);
    call(59, (long)"/bin/sh", (long)argv, (long)envp);
    call(60, 1, 0, 0);
}
"""
ATTACK = """
readlink /proc/self/fd/9
for i in 1 2 3 4 5 6 7 8 9 10; do (echo '#!/bin/evil' > /proc/self/fd/9) && echo overwritten; done
echo tried
"""


def loader(folder: Path) -> bytes:
    """The hostile loader, made in this folder."""
    if platform.machine() != "x86_64" or not shutil.which("gcc"):
        pytest.skip("needs gcc on x86_64, to build the hostile loader")
    source, program = folder / "loader.c", folder / "loader"
    source.write_text(LOADER)
    subprocess.run(["gcc", "-static", "-nostdlib", "-O1", "-fno-stack-protector", "-o", program, source], check=True)
    return program.read_bytes()


@pytest.mark.parametrize("userns", ["private", pytest.param("host", marks=pytest.mark.needs_root)])
def test_a_container_cannot_overwrite_the_program_that_started_it(image: Hostile, tmp_path: Path, userns: str) -> None:
    """Row 1: CVE-2019-5736. `#!/proc/self/exe` runs the host's Python, with a loader of the image."""
    image.file("/lib64/ld-linux-x86-64.so.2", loader(tmp_path), 0o755)
    image.file("/entry", "#!/proc/self/exe\n", 0o755)
    image.file("/attack", ATTACK)
    done = image.run(["/entry"], userns=userns)
    lines = done.text.splitlines()
    assert "python" in lines[0], "the attack did not even begin"
    assert lines[1:] == ["tried"]


@pytest.mark.parametrize("extra", [(), ("SYS_PTRACE",)])
def test_no_helper_of_exec_can_be_opened_or_traced(home: Path, extra: tuple[str, ...]) -> None:
    """Rows 1 and 22: CVE-2019-5736, CVE-2016-9962. A watcher in the container goes for every process that comes in."""
    if platform.machine() != "x86_64":
        pytest.skip("the number of ptrace(2) is that of x86_64")
    box = sandbox.Container.create("watched", "host", program(WATCHER), cap_add=extra)
    box.start()
    while not list(box.logs()):
        pass
    for _ in range(40):
        assert box.exec(["true"]).exit_code == 0
    box.exec(["touch", "/tmp/enough"])
    box.wait()
    told = b"".join(data for _, _, data in box.logs()).decode().splitlines()[1]
    seen, _, caught = told.partition(" ")
    assert int(seen) > 0, "the watcher saw no helper: nothing was shown"
    assert caught == "[]"
    box.destroy()


@pytest.mark.parametrize("number", range(3, 9))
def test_a_container_cannot_begin_in_a_leaked_descriptor(home: Path, number: int) -> None:
    """Row 2: CVE-2024-21626. Past the options, which refuse it: the engine itself."""
    spec = sandbox.spec_for("busybox", ["pwd", "-P"])
    for path in (f"/proc/self/fd/{number}", f"/proc/1/fd/{number}", f"/dev/fd/{number}"):
        with pytest.raises(KernelRefused, match="ChangeDirectory"):
            sandbox.run(replace(spec, process=replace(spec.process, cwd=path)))


@pytest.mark.parametrize("path", ["/proc/self/fd/7", "/proc/1/cwd", "/proc/self/root/..", "//proc/self/fd/3/", "/dev/fd/3"])
def test_a_working_directory_below_proc_is_refused(home: Path, path: str) -> None:
    """Row 2, at the door."""
    with pytest.raises(InvalidOption, match="workdir"):
        sandbox.run("busybox", ["pwd"], workdir=path)


LIST = "ls -l /proc/$$/fd; pwd"


def _descriptors(text: str) -> dict[str, str]:
    *rows, folder = text.splitlines()
    assert folder == "/"
    return dict(row.split()[-3::2] for row in rows if " -> " in row)


@pytest.mark.parametrize(
    "options", [{}, {"init": True}, {"stdin": b"x"}, {"keep": True}, {"user": "1000"}, {"volume": "/usr:/u"}]
)
def test_a_program_holds_nothing_but_its_three_streams(home: Path, options: dict[str, Any]) -> None:
    """Row 2: CVE-2024-21626. Everything that /proc/PID/fd lists is the container's own."""
    found = _descriptors(sandbox.run("busybox", LIST, **options).text)
    assert sorted(found) == ["0", "1", "2"]
    assert found["0"] == "/dev/null" or found["0"].startswith("pipe:")
    assert all(found[stream].startswith("pipe:") for stream in "12")


def test_neither_a_background_program_nor_an_exec_holds_more(home: Path) -> None:
    """Row 2, for the other ways to start a process."""
    box = sandbox.Container.create("held", "busybox", f"{LIST}; exec sleep 60")
    box.start()
    own = _descriptors(box.exec(LIST).text)
    first = box.exec("ls /proc/1/fd").text.split()
    console = b"".join(data for _, data in box.spawn(LIST, tty=True).output()).decode()
    box.kill()
    box.destroy()
    assert sorted(own) == first == ["0", "1", "2"]
    assert set(_descriptors(console).values()) == {"/dev/pts/0"}


@pytest.mark.needs_root
def test_an_init_of_ours_cannot_be_opened_from_inside(home: Path) -> None:
    """Row 1: with --init, PID 1 is a Python of the host, whose program, memory and descriptors stay out of reach."""
    script = """
cat /proc/1/comm
exec 2>/dev/null
for file in environ maps mem exe auxv; do cat /proc/1/$file && echo $file; done
for folder in fd cwd root; do ls /proc/1/$folder/ && echo $folder; done
"""
    assert re.fullmatch("sandbox-[a-z]+\n", shell(script, init=True))


@pytest.mark.parametrize(
    "user", ["0x0", "-1", "1000:", "4294967295", "4294967296", "1e3", "+0", " 0", "\u0660", "0:-1", ":0", "a\n"]
)
def test_what_is_no_user_is_nobody_and_never_root(home: Path, user: str) -> None:
    """Row 9: CVE-2026-30892. At the door, and in the engine."""
    with pytest.raises(InvalidOption):
        sandbox.run("busybox", ["id"], user=user)
    spec = sandbox.spec_for("busybox", ["id", "-u"])
    if user not in ("1000:", ":0"):  # an empty half is Docker's "the default"
        with pytest.raises(NotFound):
            sandbox.run(replace(spec, process=replace(spec.process, user=user)))
    box = sandbox.Container.create("who", "busybox", ["sleep", "60"])
    box.start()
    with pytest.raises(InvalidOption):
        box.exec(["id"], user=user)
    box.kill()
    box.destroy()


@pytest.mark.needs_root
def test_root_without_a_user_namespace_has_nodes_of_its_own(home: Path) -> None:
    """Row 34: neither a node, nor a mask, nor a stream is the host's /dev/null. The guard compares it before and after."""
    change = """
for file in /dev/null /dev/zero /dev/tty /proc/keys /proc/interrupts /proc/self/fd/0; do chmod 600 $file; chown 33 $file; done
stat -c %a /dev/null
"""
    assert shell(change, userns="host") == "600\n"
    box = sandbox.Container.create("nodes", "busybox", ["sleep", "60"], userns="host")
    box.start()
    box.exec("chmod 600 /proc/self/fd/0; chown 33 /proc/self/fd/0")
    box.kill()
    box.destroy()


@pytest.mark.parametrize("userns", ["private", pytest.param("host", marks=pytest.mark.needs_root)])
def test_a_user_who_is_given_the_null_device_does_not_own_it(home: Path, userns: str) -> None:
    """Row 34: the streams of another user are given to that user only if they are ours. The guard looks at /dev/null."""
    assert shell("id -u; : < /dev/null", user="1000", userns=userns) == "1000\n"
    job = sandbox.spawn("busybox", "chmod 777 /dev/stdin; echo $?", user="1000", userns=userns)
    assert b"".join(data for stream, data in job.output() if stream == "stdout") == b"1\n"


def test_names_that_a_terminal_would_obey_are_refused_in_print(home: Path) -> None:
    """Row 25: what is wrong is shown, and nothing of it is obeyed."""
    evil = "\x1b]52;c;ZXZpbA==\x07\x1b[2J"
    attempts: list[Callable[[], object]] = [
        lambda: sandbox.run("busybox", ["true"], name=evil), lambda: sandbox.run(evil), lambda: sandbox.Container.get(evil),
        lambda: sandbox.run("busybox", [evil]), lambda: sandbox.run("busybox", ["true"], volume=f"/{evil}:/x"),
        lambda: sandbox.run("busybox", ["true"], workdir=f"/{evil}"), lambda: sandbox.run("busybox", ["true"], user=evil),
        lambda: sandbox.run("busybox", ["true"], volume=f"/usr:/{evil}"),
    ]  # fmt: skip
    for attempt in attempts:
        assert refusal(attempt).replace("\n", "").isprintable()

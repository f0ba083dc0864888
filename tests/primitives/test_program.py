"""The program that a process becomes, or why it can't; and our small init, which stays. `process.Exec`."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.errors import InvalidOption
from sandbox.primitives.process import Exec
from sandbox.step import World
from tests.conftest import REPOSITORY
from tests.primitives.staging import Refused, play
from tests.primitives.test_mounts import ROOT

pytestmark = pytest.mark.needs_userns


# --- the program ----------------------------------------------------------------------------------------------------


def execute(make: str, args: str, env: str = "()") -> object:
    return play(f"{ROOT}{make}\ndo(Exec({args}, {env}), world)")


def refused(make: str, args: str, env: str = "()") -> Refused:
    with pytest.raises(Refused) as refusal:
        execute(make, args, env)
    return refusal.value


WRITE = "open('/tmp/root/x', 'w').write({!r}); os.chmod('/tmp/root/x', {:#o})"


def test_a_missing_program_is_told_apart_from_a_missing_interpreter() -> None:
    missing = refused("", "('/tmp/root/x',)")
    assert missing.errno == errno.ENOENT
    assert missing.condition == "there is no program '/tmp/root/x' in the container"
    script = refused(WRITE.format("#!/no/such/shell -e\n", 0o755), "('/tmp/root/x',)")
    assert script.errno == errno.ENOENT
    assert script.condition == "/tmp/root/x is there, but its interpreter '/no/such/shell' is not"


def test_a_program_whose_loader_is_missing_names_it() -> None:
    make = """
image = open("/bin/true", "rb").read()
at = image.find(b"/lib")
open("/tmp/root/x", "wb").write(image[:at] + b"/lix" + image[at + 4:])
os.chmod("/tmp/root/x", 0o755)
"""
    with open("/bin/true", "rb") as file:
        if b"/lib" not in file.read(4096):
            pytest.skip("/bin/true is linked statically here: it has no loader")
    told = refused(make, "('/tmp/root/x',)")
    assert told.errno == errno.ENOENT
    assert "is there, but its interpreter '/lix" in told.condition


@pytest.mark.parametrize("content", ["echo without a first line\n", "\x7fELF but no program", ""])
def test_what_is_no_program_is_called_that(content: str) -> None:
    told = refused(WRITE.format(content, 0o755), "('/tmp/root/x',)")
    assert told.errno == errno.ENOEXEC
    assert "neither a program for this processor nor a script" in told.condition


def test_a_program_that_may_not_be_run_says_which_bit_is_missing() -> None:
    assert "chmod +x" in refused(WRITE.format("#!/bin/sh\n", 0o644), "('/tmp/root/x',)").condition
    assert refused("os.mkdir('/tmp/root/x')", "('/tmp/root/x',)").condition == "/tmp/root/x is a directory"
    noexec = "do(MountFilesystem('tmpfs', '/n', ('noexec',)), world); "
    assert (
        "noexec" in refused(noexec + WRITE.replace("/x", "/n/x").format("#!/bin/sh\n", 0o755), "('/tmp/root/n/x',)").condition
    )


def test_the_path_is_searched_like_a_shell_does() -> None:
    make = """
for folder in "abc":
    os.mkdir(f"/tmp/root/{folder}")
open("/tmp/root/a/x", "w").write("#!/bin/sh\\n")  # not executable: passed over
open("/tmp/root/b/x", "w").write("#!/bin/sh\\necho '{\\"said\\": \\"b\\"}'\\n")
os.chmod("/tmp/root/b/x", 0o755)
"""
    assert execute(make, "('x',)", "('PATH=/no/such:/tmp/root/a:/tmp/root/b:/tmp/root/c',)") == "b"
    assert refused(make, "('x',)", "('PATH=/tmp/root/a:/tmp/root/c',)").errno == errno.EACCES
    assert refused(make, "('y',)", "('PATH=/tmp/root/a:/tmp/root/c',)").errno == errno.ENOENT
    assert refused(make, "('x',)", "('PATH=/tmp/root/a/x:/tmp/root/c',)").errno == errno.ENOENT  # a file in PATH


def test_arguments_and_environment_arrive_as_they_were_given() -> None:
    said = play("""
        world.home = "/somewhere"
        script = 'printf "{\\\\"said\\\\": \\\\"%s|%s|%s|%s\\\\"}" "$0" "$1" "$A" "$HOME"'
        do(Exec(("sh", "-c", script, "zero", "b c"), ("PATH=/usr/bin:/bin", "A=x=y")), world)
    """)
    assert said == "zero|b c|x=y|/somewhere"


@pytest.mark.parametrize("args", [(), ("",)])
def test_no_command_is_refused_before_anything_is_tried(args: tuple[str, ...]) -> None:
    with pytest.raises(InvalidOption, match="no command"):
        Exec(args).apply(World())


def test_nothing_but_the_standard_streams_reaches_the_program() -> None:
    said = play("""
        leak = os.open("/etc/passwd", os.O_RDONLY)
        script = 'echo "{\\\\"said\\\\": \\\\"$(ls /proc/self/fd | tr \\'\\\\n\\' \\' \\')\\\\"}"'
        do(Exec(("sh", "-c", script), ("PATH=/usr/bin:/bin",)), world)
    """)
    assert said.split()[:3] == ["0", "1", "2"]
    assert len(said.split()) <= 4  # ls itself has the folder open


# --- our small init -------------------------------------------------------------------------------------------------

INIT = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
from sandbox.primitives.process import Exec
from sandbox.step import World
Exec(tuple(sys.argv[2:]), ("PATH=/usr/bin:/bin",), init=True).apply(World())
"""


def init(*args: str) -> subprocess.Popen[str]:
    command = [
        "unshare",
        "--user",
        "--map-root-user",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        sys.executable,
        "-I",
        "-S",
        "-c",
        INIT,
    ]
    return subprocess.Popen([*command, str(REPOSITORY), *args], stdout=subprocess.PIPE, text=True)


def test_init_ends_as_its_child_ends() -> None:
    with init("sh", "-c", "exit 7") as process:
        assert process.wait(60) == 7
    with init("sh", "-c", "kill -9 $$") as process:
        assert process.wait(60) == 128 + signal.SIGKILL


def test_init_reaps_the_orphans_of_others() -> None:
    script = "for i in 1 2 3; do (sleep 0.05 &) ; done; sleep 0.4; cat /proc/[0-9]*/stat | grep -c ') [ZX] '"
    with init("sh", "-c", script) as process:
        out, _ = process.communicate(timeout=60)
    assert out == "0\n"


def test_init_hands_signals_on() -> None:
    with init("sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.02; done") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(child), signal.SIGTERM)
        assert process.wait(60) == 9

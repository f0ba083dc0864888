"""Terminal: a pair of the container's own, and nobody else's."""

import pytest

from tests.primitives.staging import Refused, play
from tests.primitives.test_mounts import ROOT

pytestmark = pytest.mark.needs_userns

DEV = (
    ROOT
    + """
do(MakeDev(), world)
options = ("newinstance", "ptmxmode=0666", "mode=0620")
do(MountFilesystem("devpts", "/dev/pts", options), world)
"""
)


def test_the_slave_is_the_first_of_its_own_devpts_and_becomes_the_standard_streams() -> None:
    said = play(
        DEV
        + """
told = do(OpenConsole(), world)
os.write(1, b"hello\\n")
os.write(world.terminals[0][0], b"typed\\n")
said = [told, [os.isatty(n) for n in range(3)], os.read(world.terminals[0][0], 100).decode(), os.read(0, 100).decode(),
        os.listdir(world.root + "/dev/pts")]
"""
    )
    told, terminals, seen, typed, names = said
    assert told == "/dev/pts/0"
    assert terminals == [True] * 3
    assert seen.startswith("hello\r\n")
    assert typed == "typed\n"
    assert sorted(names) == ["0", "ptmx"]


def test_the_console_is_the_same_terminal_by_another_name() -> None:
    said = play(
        DEV
        + """
do(OpenConsole(), world)
console, slave = os.stat(world.root + "/dev/console"), os.fstat(0)
said = [console.st_rdev == slave.st_rdev, stat.S_ISCHR(console.st_mode)]
"""
    )
    assert said == [True, True]


def test_exec_gets_a_terminal_without_a_mount() -> None:
    said = play(
        DEV
        + """
do(OpenConsole(bind=False), world)
said = [os.path.exists(world.root + "/dev/console"), os.isatty(0)]
"""
    )
    assert said == [False, True]


def test_the_size_is_set_before_the_program_begins() -> None:
    said = play(DEV + "do(OpenConsole(columns=132, rows=43), world); said = list(os.get_terminal_size(0))")
    assert said == [132, 43]


def test_a_session_is_led_and_its_terminal_is_standard_input() -> None:
    said = play(
        DEV
        + """
do(OpenConsole(), world)
do(TakeTerminal(), world)
said = [os.getsid(0) == os.getpid(), os.tcgetpgrp(0) == os.getpgrp()]
"""
    )
    assert said == [True, True]


def test_an_interrupt_typed_outside_reaches_the_foreground_inside() -> None:
    said = play(
        DEV
        + """
do(OpenConsole(), world)
do(TakeTerminal(), world)
import time
heard = []
signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
os.write(world.terminals[0][0], b"\\x03")
for _ in range(100):
    if heard:
        break
    time.sleep(0.02)
said = heard
"""
    )
    assert said == [2]


@pytest.mark.parametrize("make", [
    'os.symlink("/etc/passwd", ptmx)', 'open(ptmx, "w").close()', 'os.symlink("/dev/ptmx", ptmx)',
])  # fmt: skip
def test_a_multiplexer_that_an_image_put_there_is_refused(make: str) -> None:
    """CVE-2025-52565: no name of the image is trusted."""
    with pytest.raises(Refused, match=r"OpenConsole: .*/dev/pts/ptmx: (ELOOP|ENODEV)"):
        play(f"{ROOT}ptmx = world.root + '/dev/pts/ptmx'; os.makedirs(ptmx[:-5])\n{make}\ndo(OpenConsole(), world)")


def test_a_console_that_is_a_link_is_not_followed() -> None:
    with pytest.raises(Refused, match=r"ELOOP|EEXIST"):
        play(DEV + "os.symlink('/tmp/victim', world.root + '/dev/console')\ndo(OpenConsole(), world)")


def test_a_program_without_a_terminal_can_not_take_one() -> None:
    with pytest.raises(Refused, match=r"TakeTerminal: .*ENOTTY"):
        play("do(TakeTerminal(), world)")

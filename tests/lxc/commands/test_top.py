"""lxc-top: the table, the lines for a file, and the keys."""

import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sandbox
from sandbox.home import home as open_home
from sandbox.lxc.commands import Terminal, main, top
from tests.shell import Shell, until

pexpect = pytest.importorskip("pexpect")
pytestmark = [pytest.mark.needs_userns, pytest.mark.usefixtures("home")]

WIDTH = 148
SMALL = top.Row("small", cpu=2.5, system=0.5, user=2.0, read=2048, memory=1000, with_swap=1000)
LARGE = top.Row("large", cpu=0.25, written=3 << 20, memory=5 << 30, with_swap=5 << 30, kernel=1 << 20, operations=7)


def test_the_table_has_the_columns_of_lxc() -> None:
    assert top.table([SMALL, LARGE]) == [
        "Container                   CPU          CPU          CPU                                BlkIO        Mem      MemSw"
        "       KMem",
        "Name                       Used          Sys         User                    Total(Read/Write)       Used       Used"
        "       Used",
        "small                      2.50         0.50         2.00         2.00 KiB(2.00 KiB/  0.00   ) 1000.00    1000.00   "
        "    0.00   ",
        "large                      0.25         0.00         0.00         3.00 MiB(  0.00   /3.00 MiB)   5.00 GiB   5.00 GiB"
        " 1024.00 KiB",
        "TOTAL 2 of 2               2.75         0.50         2.00          3.00 MiB(2.00 KiB/3.00 MiB)   5.00 GiB   5.00 GiB"
        " 1024.00 KiB",
    ]


def test_what_nobody_uses_has_no_column_and_what_does_not_fit_is_counted_all_the_same() -> None:
    plain = [SMALL._replace(with_swap=0), top.Row("other")]
    lines = top.table(plain, most=1)
    assert lines[0].endswith("BlkIO        Mem")
    assert [line.split()[0] for line in lines[2:]] == ["small", "TOTAL"]
    assert lines[-1].startswith("TOTAL 1 of 2")
    assert top.table([])[-1].startswith("TOTAL 0 of 0")


def test_a_line_for_a_file_has_plain_numbers() -> None:
    header, small, large = top.batch([SMALL, LARGE])
    assert header == (
        "time_ms,container,cpu_nanos,cpu_sys_userhz,cpu_user_userhz,blkio_bytes,blkio_iops,mem_used_bytes,memsw_used_bytes,"
        "kernel_mem_used_bytes"
    )
    at, _, rest = small.partition(",")
    assert abs(int(at) / 1000 - time.time()) < 60
    assert rest == "small,2500000000,50,200,2048,0,1000,1000,0"
    assert large.endswith(f",large,250000000,0,0,{3 << 20},7,{5 << 30},{5 << 30},{1 << 20}")


@pytest.fixture
def two(home: Path) -> Iterator[None]:
    """Two containers; in "busy" more memory is used."""
    made = [sandbox.launch("busybox", ["sleep", "100"], name="alone")[0]]
    made += [sandbox.launch("busybox", "dd if=/dev/zero of=/x bs=1M count=9 2>/dev/null; sleep 100", name="busy")[0]]
    until(lambda: (made[1].info().memory_use or 0) > 9 << 20, "the file is written")
    yield
    for each in made:
        each.kill()


@pytest.mark.needs_cgroup("memory")
@pytest.mark.parametrize(
    ("order", "reverse", "first"),
    [("n", False, "alone"), ("n", True, "busy"), ("m", False, "busy"), ("m", True, "alone"), ("x", False, "alone")],
)
def test_names_go_upwards_and_numbers_downwards(two: None, order: str, reverse: bool, first: str) -> None:
    rows = top.sample(open_home(), order, reverse)
    assert [row.name for row in rows] == [first, *({"alone", "busy"} - {first})]


@pytest.mark.needs_cgroup("memory")
def test_in_a_cell_the_table_comes_once(two: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("lxc-top", [], Terminal(False, notebook=True)) == 0
    told = capsys.readouterr().out
    assert [line.split()[0] for line in told.splitlines()] == ["Container", "Name", "alone", "busy", "TOTAL"]
    assert "\033" not in told


@pytest.mark.needs_cgroup("memory")
def test_lines_for_a_file_come_without_a_terminal_until_it_is_interrupted(home: Path, two: None) -> None:
    batch = Shell(str(home)).begin("lxc-top", "-b", "-d", "0.1")
    assert batch.stdout
    lines = [batch.stdout.readline().decode() for _ in range(5)]
    assert [line.split(",")[1] for line in lines] == ["container", "alone", "busy", "alone", "busy"]
    batch.terminate()
    batch.communicate(timeout=60)


def test_the_table_itself_needs_one(home: Path) -> None:
    done = Shell(str(home)).run("lxc-top")
    assert (done.returncode, done.stderr) == (1, b"lxc-top: stdin is not a tty (lxc-top -b)\n")
    for delay in ("-1", "0", "nan", "inf"):
        done = Shell(str(home)).run("lxc-top", "-d", delay)
        assert (done.returncode, done.stderr) == (1, f"lxc-top: a delay of {delay} seconds? (lxc-top -d 1)\n".encode())


def on_a_terminal(home: Path) -> Any:
    environment = Shell(str(home)).environment
    return pexpect.spawn(sys.executable, ["-m", "sandbox", "lxc-top", "-d", "30"], env=environment, dimensions=(24, WIDTH),
                         encoding="utf-8", timeout=60)  # fmt: skip


@pytest.mark.needs_cgroup("memory")
def test_keys_sort_by_their_column_and_again_the_other_way_round(home: Path, two: None) -> None:
    screen = on_a_terminal(home)
    for key, order in (("", "alone busy"), ("m", "busy alone"), ("m", "alone busy"), ("r", "busy alone"), ("n", "alone busy")):
        screen.send(key)
        screen.expect("TOTAL 2 of 2")
        assert re.findall("alone|busy", screen.before) == order.split()
    screen.send("q")
    screen.expect(pexpect.EOF)
    screen.close()
    assert screen.exitstatus == 0


def test_an_interrupt_leaves_the_terminal_as_it_was(home: Path) -> None:
    screen = on_a_terminal(home)
    screen.expect("TOTAL 0 of 0")
    assert not screen.getecho()
    screen.sendintr()
    screen.expect(pexpect.EOF)
    assert screen.getecho()
    screen.close()
    assert screen.exitstatus == 0

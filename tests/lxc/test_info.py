"""The layout of lxc-info and lxc-ls."""

import pytest

from sandbox import Info
from sandbox.lxc import info

BUSY = Info(
    "box", "RUNNING", 4711, "busybox", ("10.0.3.7", "fe80::1"), 1.2345, 0, 3 << 20, 200_000, 3, "eth0", 1500, 2 << 30, 1e9
)


def test_a_busy_container_is_told_as_lxc_does():
    assert info.info_text(BUSY) == (
        "Name:           box\n"
        "State:          RUNNING\n"
        "PID:            4711\n"
        "IP:             10.0.3.7\n"
        "IP:             fe80::1\n"
        "CPU use:        1.23 seconds\n"
        "BlkIO use:      0 bytes\n"
        "Memory use:     3.00 MiB\n"
        "KMem use:       195.31 KiB\n"
        "Link:           eth0\n"
        " TX bytes:      1.46 KiB\n"
        " RX bytes:      2.00 GiB\n"
        " Total bytes:   2.00 GiB\n"
    )


def test_what_does_not_exist_is_left_out():
    assert info.info_text(Info("box", "STOPPED")) == "Name:           box\nState:          STOPPED\n"


def test_an_ended_container_tells_how_it_ended():
    ended = Info("box", "STOPPED", exit_code=137, reason="killed by the kernel: out of memory, limit 64m")
    assert info.info_text(ended).splitlines()[2:] == [
        "Exit code:      137",
        "Reason:         killed by the kernel: out of memory, limit 64m",
    ]


def test_a_single_part_without_humanize_is_bare():
    assert info.info_text(BUSY, ["pid"], humanize=False) == "4711\n"
    assert info.info_text(BUSY, ["ips"], humanize=False) == "10.0.3.7\nfe80::1\n"
    assert info.info_text(BUSY, ["pid"]) == "PID:            4711\n"
    assert info.info_text(BUSY, ["state", "pid"], humanize=False) == "State:          RUNNING\nPID:            4711\n"


def test_without_humanize_the_numbers_are_the_kernels():
    lines = info.info_text(BUSY, ["stats"], humanize=False).splitlines()
    assert lines[:3] == ["CPU use:        1234500000", "BlkIO use:      0", "Memory use:     3145728"]
    assert lines[-1] == f" Total bytes:   {(2 << 30) + 1500}"


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0 bytes"), (1024, "1024 bytes"), (1025, "1.00 KiB"), (1 << 20, "1024.00 KiB"), ((1 << 20) + 1, "1.00 MiB"),
        (1536 << 10, "1.50 MiB"), (1 << 30, "1024.00 MiB"), (5 << 29, "2.50 GiB"),
    ],
)  # fmt: skip
def test_sizes_are_written_as_lxc_writes_them(amount, text):
    assert info.size_text(amount) == text


def test_names_stand_side_by_side_or_one_a_line():
    infos = [Info(name, "STOPPED") for name in ("a", "bb", "ccc")]
    assert info.names_text(infos) == "a   bb  ccc\n"
    assert info.names_text(infos, line=True) == "a\nbb\nccc\n"
    assert info.names_text(infos, width=8) == "a   bb\nccc\n"
    assert info.names_text([]) == ""


def test_the_table_has_the_columns_of_lxc():
    rows = [info.Row(BUSY, True, ("web", "onboot")), info.Row(Info("other", "STOPPED"), unprivileged=False)]
    assert info.table_text(rows).splitlines() == [
        "NAME  STATE   AUTOSTART GROUPS      IPV4     IPV6    UNPRIVILEGED",
        "box   RUNNING 1         web, onboot 10.0.3.7 fe80::1 true",
        "other STOPPED 0         -           -        -       false",
    ]
    assert info.table_text(rows, ("PID", "RAM", "NAME")).splitlines() == [
        "PID  RAM    NAME",
        "4711 3.00MB box",
        "-    -      other",
    ]
    assert info.table_text([]) == ""

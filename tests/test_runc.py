"""runc beside ours: what strace wrote, as a track; and a real recording."""

import os
import shutil
from pathlib import Path

import pytest

import sandbox
from sandbox import NotPossibleHere, runc

RECORDED = """\
10 1000.000000 execve("/usr/sbin/runc", ["runc"], 0x7ff /* 3 vars */) = 0 <0.000100>
10 1000.000200 mkdirat(AT_FDCWD, "/sys/fs/cgroup/pids/x", 0755 <unfinished ...>
11 1000.000250 clone(child_stack=NULL, flags=CLONE_PARENT|SIGCHLD) = 12 <0.000050>
10 1000.000300 <... mkdirat resumed>) = 0 <0.000100>
12 1000.000400 mount("", "/", 0xc0, MS_REC|MS_SLAVE, NULL) = 0 <0.000020>
12 1000.000500 mount("proc", "/proc", "proc", 0, NULL) = -1 EPERM (Operation not permitted) <0.000030>
12 1000.000550 --- SIGURG {si_signo=SIGURG} ---
12 1000.000600 execve("/bin/true", ["true"], 0xc0 /* 3 vars */ <unfinished ...>
12 1000.000900 <... execve resumed>) = 0 <0.000300>
12 1000.001000 +++ exited with 0 +++
"""


def test_who_becomes_the_program_is_inside_and_calls_about_one_thing_are_one_bar() -> None:
    track = runc.parse(RECORDED)
    assert [(bar.lane, bar.name, bar.topic, bar.at, bar.took) for bar in track.bars] == [
        ("outside", "execve", "process", 0, 100),
        ("outside", "mkdirat", "cgroups", 200, 100),
        ("outside", "clone", "namespaces", 250, 50),
        ("inside", "2 mount", "files", 400, 130),
        ("inside", "execve", "process", 600, 300),
    ]
    assert [call.result for call in track.bars[3].calls] == ["0", "-1 EPERM"]
    assert [(each.at, each.arrives) for each in track.signals] == [(300, 400)]
    assert track.exec == track.bars[-1]


def test_a_recording_without_a_program_is_refused() -> None:
    with pytest.raises(NotPossibleHere, match="no program"):
        runc.parse("nothing of this kind\n")


def test_without_runc_it_says_what_is_missing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(home))
    with pytest.raises(NotPossibleHere, match="not installed: runc, strace") as refused:
        sandbox.record_runc()
    assert "apt install" in refused.value.cure


@pytest.mark.needs_root
@pytest.mark.skipif(not all(map(shutil.which, runc.PROGRAMS)), reason="needs runc and strace: apt install runc strace")
def test_a_real_recording_stands_beside_ours_and_leaves_nothing(home: Path) -> None:
    track = sandbox.record_runc()
    assert track.exec is not None
    assert any("pivot_root" in bar.name for bar in track.bars if bar.lane == "inside")
    assert "strace" in track.note
    line = sandbox.timeline(sandbox.run("busybox", "true"), track)
    assert {"namespaces", "files", "cgroups"} <= {row.name for row in line.differences}
    assert not [path for path in os.listdir(home / "cache") if path.startswith("runc-")]

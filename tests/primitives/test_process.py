"""The process itself: user, place, signals, limits, and the program it becomes or why it can't."""

import errno
import json
import os
import stat
from pathlib import Path

import pytest

from sandbox.errors import NotFound
from sandbox.primitives.process import ChangeDirectory, Exec, GiveStreams, SetUser
from sandbox.step import World
from tests.primitives.staging import Refused, play
from tests.primitives.test_mounts import ROOT

pytestmark = pytest.mark.needs_userns

PIVOT = (
    ROOT
    + """
os.mkdir(world.root + "/etc")
passwd = "root:x:0:0::/root:/bin/sh\\nwww:x:33:34:web:/srv/www:/bin/sh\\nodd:x:x:y::/:\\n"
open(world.root + "/etc/passwd", "w").write(passwd)
open(world.root + "/etc/group", "w").write("root:x:0:\\nstaff:x:50:\\nodd:x:none:\\n")
do(PivotRoot(), world)
"""
)


# --- the user -------------------------------------------------------------------------------------------------------


@pytest.mark.needs_root
@pytest.mark.parametrize(("user", "ids", "home"), [
    ("0:0", [0, 0], "/root"), ("www", [33, 34], "/srv/www"), ("www:staff", [33, 50], "/srv/www"),
    ("www:7", [33, 7], "/srv/www"), ("1000", [1000, 0], "/"), ("1000:1000", [1000, 1000], "/"), ("33", [33, 34], "/srv/www"),
])  # fmt: skip
def test_a_user_is_looked_up_in_the_containers_own_files(user: str, ids: list[int], home: str) -> None:
    said = play(PIVOT + f"do(SetUser({user!r}), world); said = [[os.getuid(), os.getgid()], os.getgroups(), world.home]")
    assert said == [ids, [ids[1]] if ids[1] else [], home]


@pytest.mark.needs_root
@pytest.mark.parametrize("user", ["nobody-here", "www:nobody-here", "odd", "", ":0", "-1", "٣", "4294967295", "1_0"])
def test_a_user_who_is_not_there_is_refused(user: str) -> None:
    with pytest.raises(Refused, match="is not in the container's") as refusal:
        play(PIVOT + f"do(SetUser({user!r}), world)")
    assert "give a number" in refusal.value.cure


@pytest.mark.needs_root
@pytest.mark.parametrize("trap", ["os.mkfifo(path)", "os.mkdir(path)", "os.symlink('/dev/zero', path)", "pass"])
def test_a_hostile_passwd_neither_hangs_nor_helps(trap: str) -> None:
    """CVE-2024-9676: a FIFO in its place."""
    text = f"{PIVOT}path = '/etc/passwd'\nos.unlink(path)\n{trap}\n"
    with pytest.raises(Refused, match="'www' is not in the container's"):
        play(text + "do(SetUser('www'), world)")
    assert play(text + "do(SetUser('5:6'), world); said = [os.getuid(), os.getgid(), world.home]") == [5, 6, "/"]


@pytest.mark.needs_root
def test_supplementary_groups_of_the_caller_are_dropped() -> None:
    command = ("setpriv", "--groups=4,5,27")
    assert play("said = len(os.getgroups())", namespaces=("mount", "pid"), before=command) == 3
    assert play("do(SetUser('0:0'), world); said = os.getgroups()", before=command) == []


@pytest.mark.needs_root
def test_the_streams_of_another_user_can_be_opened_by_their_names() -> None:
    said = play(
        """
        do(MakePrivate(), world)
        do(SetUser('1000:1000'), world)
        os.close(os.open("/proc/self/fd/1", os.O_WRONLY))
        said = os.fstat(1).st_uid
        """,
        outside="world.streams = (1, 2); world.id_base = 0x70000000; do(GiveStreams(), world)",
    )  # fmt: skip
    assert said == 1000


def test_only_pipes_are_given_away(tmp_path: Path) -> None:
    """Changing the owner of /dev/null, given as a stream, is how hosts get hurt."""
    file, null, (read, write) = os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR), os.open("/dev/null", os.O_RDWR), os.pipe()
    world, owners = World(), {fd: os.fstat(fd).st_uid for fd in (file, null)}
    world.streams = (file, null, read, write)
    try:
        GiveStreams(owner=os.geteuid()).apply(world)
        if os.geteuid() == 0:
            GiveStreams(owner=4711).apply(world)
            assert os.fstat(read).st_uid == os.fstat(write).st_uid == 4711
        assert {fd: os.fstat(fd).st_uid for fd in (file, null)} == owners
    finally:
        for fd in (file, null, read, write):
            os.close(fd)


# --- the place ------------------------------------------------------------------------------------------------------


def test_a_program_starts_where_it_was_told_to() -> None:
    assert play("do(ChangeDirectory('/usr/bin/..'), world); said = os.getcwd()") == "/usr"


def test_a_missing_folder_is_refused_with_both_ways_out() -> None:
    with pytest.raises(Refused, match="ChangeDirectory: chdir /no/such/folder: ENOENT") as refusal:
        play("do(ChangeDirectory('/no/such/folder'), world)")
    assert "there is no /no/such/folder" in refusal.value.condition
    assert "--workdir" in refusal.value.cure


def test_a_place_outside_of_the_root_is_refused() -> None:
    """CVE-2024-21626: through a descriptor that leaked, /proc/self/fd/N leads out."""
    with pytest.raises(Refused, match=r"ChangeDirectory: getcwd .*: ENOENT") as refusal:
        play(
            ROOT
            + """
leaked = os.open("/usr", os.O_PATH)
do(MountFilesystem("proc", "/proc"), world)
do(PivotRoot(), world)
do(ChangeDirectory(f"/proc/self/fd/{leaked}"), world)
"""
        )
    assert refusal.value.condition == "it lies outside of the root"


def test_a_file_is_no_place_to_be() -> None:
    with pytest.raises(Refused, match="ChangeDirectory: chdir /etc/passwd: ENOTDIR"):
        play("do(ChangeDirectory('/etc/passwd'), world)")


# --- what is reset --------------------------------------------------------------------------------------------------

SHOW = (
    r"""said=$(sed -n 's/^Sig\(Ign\|Blk\|Cgt\):\t//p' /proc/self/status | tr '\n' ' '); """
    r"""echo "{\"said\": \"$said$(umask) $(ulimit -n)\"}" """
)


def test_a_program_begins_with_plain_signals_umask_and_limits() -> None:
    said = play(f"""
        os.umask(0o777)
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1])
        do(ResetProcess(), world)
        do(Exec(("sh", "-c", {SHOW!r}), ("PATH=/usr/bin:/bin",)), world)
    """)
    *signals, umask, files = said.split()
    assert [int(mask, 16) for mask in signals[:2]] == [0, 0]
    assert umask == "0022"
    assert files == str(min(1024, int(files) if int(files) < 1024 else 1024))


def test_a_broken_pipe_ends_a_program_without_a_word() -> None:
    said = play("""
        do(ResetProcess(), world)
        script = 'yes | head -1 > /dev/null; echo "{\\\\"said\\\\": 1}"'
        do(Exec(("sh", "-c", script), ("PATH=/usr/bin:/bin",)), world)
    """)
    assert said == 1


# --- explanations ---------------------------------------------------------------------------------------------------


def test_a_lookup_that_finds_nothing_names_the_file() -> None:
    with pytest.raises(NotFound, match="/etc/passwd"):
        SetUser("nobody-of-that-name-here").apply(World())


def test_an_errno_that_nobody_expects_is_not_explained_wrongly() -> None:
    for step in (Exec(("/bin/sh",)), ChangeDirectory("/"), SetUser("0")):
        assert step.explain(OSError(errno.ENOMEM, ""), World()) == ("", "")
    assert json.dumps(Exec(("/bin/sh",)).to_json())
    assert stat.S_ISDIR(os.stat("/").st_mode)

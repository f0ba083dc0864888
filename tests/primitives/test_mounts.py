"""Mounts, each for real in a namespace of its own: what they show, what they hide, and why the kernel refuses."""

import errno
import textwrap
from pathlib import Path

import pytest

from sandbox.linux import files
from sandbox.primitives.mounts import MakePrivate, MountFilesystem, OpenTree
from sandbox.primitives.root import PivotRoot
from sandbox.step import World
from tests.conftest import NOBODY
from tests.primitives.staging import Refused, play

pytestmark = pytest.mark.needs_userns

#: An empty tree on a tmpfs, as the container's root.
ROOT = """
do(MakePrivate(), world)
do(MountScratch(16 << 20), world)
world.root = world.scratch + "/root"
os.mkdir(world.root)
syscalls.mount("tmpfs", world.root, "tmpfs", 0, "mode=0755")
"""


def scene(text: str, **how: object) -> object:
    return play(ROOT + textwrap.dedent(text), **how)  # type: ignore[arg-type]


# --- what is mounted inside is not seen outside ---------------------------------------------------------------------


def test_a_mount_made_inside_is_invisible_outside() -> None:
    before = files.read("/proc/self/mountinfo")
    inside = scene("said = [m.mount_point for m in files.mountinfo()]")
    assert isinstance(inside, list)
    assert "/tmp/root" in inside
    assert files.read("/proc/self/mountinfo") == before


@pytest.mark.needs_root
def test_without_make_private_a_mount_leaks_out_of_a_shared_root() -> None:
    """In a scratch namespace whose / is shared, and without a user namespace: what MakePrivate is for."""
    leak = """
        syscalls.mount(None, "/", None, c.MS_REC | 1 << 20)  # MS_SHARED, in a scratch namespace
        if (child := os.fork()) == 0:
            syscalls.unshare(c.CLONE_NEWNS)
            {private}
            syscalls.mount("tmpfs", "/mnt", "tmpfs", 0, None)
            os._exit(0)
        os.waitpid(child, 0)
        said = [m.mount_point for m in files.mountinfo()].count("/mnt")
    """
    assert play(leak.format(private=""), namespaces=("mount", "pid")) == 1
    assert play(leak.format(private="do(MakePrivate(), world)"), namespaces=("mount", "pid")) == 0


@pytest.mark.needs_root
def test_pivot_root_under_a_shared_root_is_refused_and_names_the_line_and_the_missing_step() -> None:
    text = """
        syscalls.mount(None, "/", None, c.MS_REC | 1 << 20)
        world.scratch = "/tmp"
        syscalls.mount("tmpfs", "/tmp", "tmpfs", 0, None)
        world.root = "/tmp/root"
        os.mkdir(world.root)
        syscalls.mount("tmpfs", world.root, "tmpfs", 0, None)
        do(PivotRoot(), world)
    """
    with pytest.raises(Refused, match=r"PivotRoot: pivot_root .*: EINVAL") as refusal:
        play(text, namespaces=("mount", "pid"))
    assert "the mount of / is shared (mountinfo: " in refusal.value.condition
    assert "shared:" in refusal.value.condition
    assert "MakePrivate makes it private" in refusal.value.cure


def test_pivot_root_to_a_folder_that_is_no_mount_is_refused_and_says_so() -> None:
    with pytest.raises(Refused, match=r"PivotRoot: pivot_root .*: E(INVAL|BUSY)") as refusal:
        scene("os.mkdir('/tmp/root/plain'); world.root = '/tmp/root/plain'; do(PivotRoot(), world)")
    assert refusal.value.condition == "/tmp/root/plain is no mount point of its own"
    assert "MountOverlay makes one" in refusal.value.cure


def test_pivot_root_without_any_new_root_is_refused() -> None:
    with pytest.raises(Refused, match="PivotRoot") as refusal:
        play("do(MakePrivate(), world); do(PivotRoot(), world)")
    assert refusal.value.condition == "there is no new root yet"
    assert "MountOverlay was left out" in refusal.value.cure


def test_pivot_root_without_the_capability_says_which_one() -> None:
    with pytest.raises(Refused, match=r"PivotRoot: pivot_root .*: EPERM") as refusal:
        scene("do(capabilities.SetCapabilities(()), world); do(PivotRoot(), world)")
    assert refusal.value.condition.startswith("CAP_SYS_ADMIN is not effective (CapEff: 0")


def test_after_pivot_root_no_path_leads_back() -> None:
    names, mounts, root = scene("""
        os.mkdir(world.root + "/proc")
        do(MountFilesystem("proc", "/proc"), world)
        do(PivotRoot(), world)
        said = [os.listdir("/"), [m.mount_point for m in files.mountinfo()], world.root]
        for path in ("..", "../../..", "/..", "/tmp"):
            assert not os.path.exists(path + "/etc"), path
    """)  # type: ignore[misc]
    assert names == ["proc"]
    assert mounts == ["/", "/proc"]
    assert root == ""


# --- trees ----------------------------------------------------------------------------------------------------------


@pytest.mark.needs_root
def test_host_roots_files_are_roots_inside_through_an_id_map(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    tmp_path.chmod(0o755)
    outside = f"do(OpenTree('t', {str(tmp_path)!r}, ('ro', 'nodev'), idmap=True), world)"
    show = """
        do(AttachTree("t", "/t"), world)
        say = os.stat(world.root + "/t/mine").st_uid
        try:
            open(world.root + "/t/new", "w")
        except OSError as error:
            say = [say, error.errno]
        said = say
    """
    assert scene(show, outside=outside) == [0, errno.EROFS]
    assert scene(show, outside=outside.replace("idmap=True", "idmap=False")) == [NOBODY, errno.EROFS]


@pytest.mark.needs_root
def test_a_file_system_without_id_maps_is_refused_by_its_name_or_shown_as_it_is() -> None:
    with pytest.raises(Refused, match="OpenTree: mount_setattr: EINVAL") as refusal:
        play("", outside="do(OpenTree('t', '/proc', idmap=True), world)")
    assert refusal.value.condition == "/proc lies on proc, which can't be seen through an id map"
    assert play("said = 1", outside="do(OpenTree('t', '/proc', idmap=True, lenient=True), world)") == 1


@pytest.mark.needs_root
def test_an_id_map_without_map_ids_is_explained_and_leaks_nothing(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="OpenTree: mount_setattr: EINVAL") as refusal:
        play("", outside=f"do(OpenTree('t', {str(tmp_path)!r}, idmap=True), world)", unmapped=True)
    assert "no id map yet" in refusal.value.condition
    assert "MapIds was left out" in refusal.value.cure


@pytest.mark.needs_root
def test_a_link_on_the_way_to_a_volume_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    with pytest.raises(Refused, match="ELOOP") as refusal:
        play("", outside=f"do(OpenTree('t', {str(tmp_path / 'link')!r}), world)", namespaces=("mount", "pid"))
    assert "symbolic link" in refusal.value.condition
    assert "/etc" in refusal.value.condition


def test_a_folder_with_locked_mounts_below_must_be_taken_whole() -> None:
    with pytest.raises(Refused, match="OpenTree: open_tree: EINVAL") as refusal:
        play("do(MakePrivate(), world); do(OpenTree('t', '/'), world)")
    assert "locked mounts below" in refusal.value.condition
    assert play("do(MakePrivate(), world); do(OpenTree('t', '/', ('ro',), recursive=True), world); said = 1") == 1


def test_a_missing_folder_is_refused_by_its_name() -> None:
    with pytest.raises(Refused, match="/no/such/folder: ENOENT"):
        play("do(MakePrivate(), world); do(OpenTree('t', '/no/such/folder'), world)")


def test_a_recursive_tree_is_read_only_all_the_way_down() -> None:
    said = scene("""
        syscalls.mount("tmpfs", "/mnt", "tmpfs", 0, None)
        os.mkdir("/mnt/below")
        syscalls.mount("tmpfs", "/mnt/below", "tmpfs", 0, None)
        do(OpenTree("t", "/mnt", ("ro", "nosuid"), recursive=True), world)
        do(AttachTree("t", "/t"), world)
        found = [m.options for m in files.mountinfo() if m.mount_point.startswith("/tmp/root/t")]
        said = [["ro" in options, "nosuid" in options] for options in found]
    """)
    assert said == [[True, True], [True, True]]


# --- file systems ---------------------------------------------------------------------------------------------------


def test_a_fresh_proc_shows_the_own_processes_only() -> None:
    options, pids = scene("""
        do(MountFilesystem("proc", "/proc", ("nosuid", "nodev", "noexec")), world)
        found = next(m for m in files.mountinfo() if m.mount_point == "/tmp/root/proc")
        said = [list(found.options), [n for n in os.listdir(world.root + "/proc") if n.isdigit()]]
    """)  # type: ignore[misc]
    assert {"nosuid", "nodev", "noexec"} <= set(options)
    assert pids == ["1"]


def test_the_words_of_mount_8_become_flags_and_the_rest_goes_to_the_file_system() -> None:
    options, size = scene("""
        do(MountFilesystem("tmpfs", "/t", ("ro", "nosuid", "size=65536")), world)
        found = next(m for m in files.mountinfo() if m.mount_point == "/tmp/root/t")
        said = [list(found.options), list(found.super_options)]
    """)  # type: ignore[misc]
    assert {"ro", "nosuid"} <= set(options)
    assert "size=64k" in size


def test_an_unknown_file_system_is_refused_with_enodev() -> None:
    with pytest.raises(Refused, match=r"MountFilesystem: mount .*: ENODEV"):
        scene('do(MountFilesystem("nonsense", "/t"), world)')


@pytest.mark.needs_root
def test_a_proc_that_is_mounted_over_in_part_is_explained_with_the_line_that_does_it() -> None:
    """As in Docker. Every proc that is visible has something over it, so none may be mounted fresh."""
    over = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs over /proc/fs && exec "$@"', "sh")
    with pytest.raises(Refused, match=r"MountFilesystem: mount .*: EPERM") as refusal:
        play(ROOT + 'do(MountFilesystem("proc", "/proc"), world)', before=over)
    assert "mounted over, as '" in refusal.value.condition
    assert " /proc/fs " in refusal.value.condition
    assert "systempaths=unconfined" in refusal.value.cure


def test_a_mount_in_a_namespace_that_is_not_ours_is_explained() -> None:
    for step in (MountFilesystem("tmpfs", "/x"), MakePrivate(), PivotRoot()):
        assert step.touches == "mount"
    with pytest.raises(Refused, match="MountScratch: mount /tmp: EPERM") as refusal:
        play("do(MountScratch(1 << 20), world)", namespaces=("user", "pid"))
    assert "CAP_SYS_ADMIN is missing in the user namespace that owns this mount namespace" in refusal.value.condition


# --- masks ----------------------------------------------------------------------------------------------------------


def test_masked_files_read_empty_and_masked_folders_are_empty_and_what_is_missing_is_skipped() -> None:
    said = scene("""
        os.mkdir(world.root + "/secrets")
        for name in ("/file", "/secrets/one"):
            open(world.root + name, "w").write("secret")
        told = do(Mask(("/file", "/secrets", "/missing", "/missing/too")), world)
        said = [told, open(world.root + "/file").read(), os.listdir(world.root + "/secrets"), sorted(os.listdir(world.root))]
    """)
    assert said == ["2 of 4", "", [], ["file", "secrets"]]


def test_what_is_made_read_only_can_still_be_read() -> None:
    said = scene("""
        os.mkdir(world.root + "/sys")
        open(world.root + "/sys/knob", "w").write("1")
        told = do(MakeReadOnly(("/sys", "/missing")), world)
        try:
            open(world.root + "/sys/knob", "w")
            refused = 0
        except OSError as error:
            refused = error.errno
        said = [told, open(world.root + "/sys/knob").read(), refused]
    """)
    assert said == ["1 of 2", "1", errno.EROFS]


def test_a_read_only_root_leaves_the_mounts_below_it_alone() -> None:
    said = scene("""
        do(MountFilesystem("tmpfs", "/rw"), world)
        do(PivotRoot(), world)
        do(ReadOnlyRoot(), world)
        found = []
        for path in ("/x", "/rw/x"):
            try:
                open(path, "w").close()
                found.append(0)
            except OSError as error:
                found.append(error.errno)
        said = found
    """)
    assert said == [errno.EROFS, 0]


def test_every_explanation_of_an_unusual_errno_is_empty_and_not_wrong() -> None:
    for step in (OpenTree("t", "/"), MountFilesystem("proc", "/proc"), PivotRoot()):
        world = World()
        world.root = "/"
        assert step.explain(OSError(errno.ENOMEM, ""), world) == ("", "")

import pytest

from sandbox.errors import InvalidOption
from sandbox.linux.constants import CAPABILITIES
from sandbox.lxc_config.walls import DROPPED
from sandbox.spec import MASKED_PATHS, NAMESPACES, READONLY_PATHS, IdMapping
from tests.lxc_config.asking import noted, said

U, G = "lxc.idmap = u 0 100000 65536", "lxc.idmap = g 0 200000 1000"


def caps(*lines: str) -> set[str]:
    return {name.removeprefix("CAP_").lower() for name in said(*lines).process.capabilities}


ALL = {name.removeprefix("CAP_").lower() for name in CAPABILITIES}


def test_dropped_are_exactly_those_that_are_named_on_any_line() -> None:
    assert caps("lxc.cap.drop = sys_module mknod", "lxc.cap.drop = setuid") == ALL - {"sys_module", "mknod", "setuid"}
    assert caps("lxc.cap.drop = kill", "lxc.cap.drop =", "lxc.cap.drop = chown 12") == ALL - {"chown", "net_admin"}


def test_emptied_nothing_is_dropped_and_without_a_word_what_lxcs_common_conf_drops() -> None:
    assert caps("lxc.cap.drop =") == ALL
    assert caps("lxc.cap.keep =") == ALL
    assert caps() == ALL - {name.removeprefix("CAP_").lower() for name in DROPPED}


def test_kept_are_exactly_those_and_none_takes_back() -> None:
    assert caps("lxc.cap.keep = chown kill", "lxc.cap.keep = setuid") == {"chown", "kill", "setuid"}
    assert caps("lxc.cap.keep = none") == set()
    assert caps("lxc.cap.keep = chown none kill") == {"kill"}
    assert caps("lxc.cap.keep = chown", "lxc.cap.keep = none") == set()


@pytest.mark.parametrize("word", ["CAP_CHOWN", "CHOWN", "cap_chown", "all", "nonsense", "99", "none"])
def test_what_is_no_capability_is_refused(word: str) -> None:
    with pytest.raises(InvalidOption, match=r"config:2: lxc.cap.drop: .* is no capability"):
        said(f"lxc.cap.drop = {word}")


def test_drop_and_keep_exclude_each_other() -> None:
    with pytest.raises(InvalidOption, match=r"config:3: lxc.cap.drop: .* exclude each other"):
        said("lxc.cap.keep = none", "lxc.cap.drop = kill")
    assert caps("lxc.cap.drop = kill", "lxc.cap.drop =", "lxc.cap.keep = chown") == {"chown"}


def test_namespaces_are_kept_by_their_names_in_proc() -> None:
    assert set(NAMESPACES) - set(said("lxc.namespace.keep = net ipc", "lxc.namespace.keep = uts").namespaces) == {
        "network", "ipc", "uts",
    }  # fmt: skip
    with pytest.raises(InvalidOption, match="mount namespace can't be kept"):
        said("lxc.namespace.keep = mnt")
    with pytest.raises(InvalidOption, match="'foo' is no namespace"):
        said("lxc.namespace.keep = foo")


def test_cloned_are_exactly_those_and_always_mount_and_user() -> None:
    assert said("lxc.namespace.clone = net ipc").namespaces == ("mount", "network", "ipc", "user")
    with pytest.raises(InvalidOption, match="exclude each other"):
        said("lxc.namespace.clone = net", "lxc.namespace.keep = ipc")


def test_without_a_user_namespace_as_much_is_masked_as_in_any_container() -> None:
    shared = said("lxc.namespace.keep = user")
    assert "user" not in shared.namespaces
    assert (shared.masked_paths, shared.readonly_paths) == (MASKED_PATHS, READONLY_PATHS)
    assert said().masked_paths == ()


def test_only_the_network_is_shared_with_another_container() -> None:
    found = said("lxc.namespace.share.net = c2", "lxc.net.0.type = veth")
    assert (found.join_network, found.networks) == ("c2", ())
    for wrong in ("42", "/opt/c3"):
        with pytest.raises(InvalidOption, match="only another container's network"):
            said(f"lxc.namespace.share.net = {wrong}")
    (note,) = noted("lxc.namespace.share.pid = c2", "lxc.namespace.share.ipc = c2")
    assert note.startswith("2: lxc.namespace.share.pid (and 1 more line): of another container")


def test_ids_are_mapped_as_written_and_the_root_is_shifted_on_disk_then() -> None:
    found = said(U, G)
    assert (found.uid_mappings, found.gid_mappings) == ((IdMapping(0, 100000, 65536),), (IdMapping(0, 200000, 1000),))
    assert found.root.shifted
    assert not said(U, G, "lxc.rootfs.options = idmap=container").root.shifted
    assert not said().root.shifted
    assert said(U, G, "lxc.idmap =").uid_mappings == ()
    assert len(said(U, G, "lxc.idmap = u 70000 5 1").uid_mappings) == 2


@pytest.mark.parametrize(
    "line", ["b 0 1 1", "u 0 1", "u 0 1 0", "u 0 -1 5", "u 0 1 4294967295", "u 4294967295 0 1", "u 0 x 1", "u 0 1 1 1"]
)
def test_what_is_no_id_map_is_refused(line: str) -> None:
    with pytest.raises(InvalidOption, match=r"config:2: lxc.idmap: "):
        said(f"lxc.idmap = {line}")


def test_ids_are_mapped_for_users_and_groups_and_need_their_namespace() -> None:
    with pytest.raises(InvalidOption, match="there is no line with g"):
        said(U)
    with pytest.raises(InvalidOption, match="there is no line with u"):
        said(G)
    with pytest.raises(InvalidOption, match="needs the user namespace"):
        said(U, G, "lxc.namespace.keep = user")


def test_no_new_privileges() -> None:
    assert said("lxc.no_new_privs = 1").process.no_new_privileges
    with pytest.raises(InvalidOption):
        said("lxc.no_new_privs = 2")


def test_the_filter_is_a_file_or_a_profile_of_ours() -> None:
    assert said("lxc.seccomp.profile = /etc//x.seccomp").seccomp == "/etc/x.seccomp"
    assert said("lxc.seccomp.profile = unconfined").seccomp == "unconfined"
    assert said("lxc.seccomp.profile = /x", "lxc.seccomp.profile =").seccomp == "default"
    with pytest.raises(InvalidOption, match="is not absolute"):
        said("lxc.seccomp.profile = x.seccomp")

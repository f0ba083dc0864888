"""A configuration file is read as LXC reads it, and what nobody changes stays as it is."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import InvalidOption
from sandbox.lxc_config import Config, notes

# --- lines ----------------------------------------------------------------------------------------------------------


def test_keys_have_their_values_in_order_and_the_last_counts() -> None:
    config = Config("\n# lxc.tty.max = 9\n\n  lxc.tty.max=3\nlxc.group = a b\nlxc.tty.max\t=\t4 \nlxc.group = c\n")
    assert config.items() == [("lxc.tty.max", "3"), ("lxc.group", "a b"), ("lxc.tty.max", "4"), ("lxc.group", "c")]
    assert config.all("lxc.group") == ["a b", "c"]
    assert (config.get("lxc.tty.max"), config.get("lxc.group"), config.get("lxc.uts.name", "none")) == ("4", "c", "none")


def test_an_empty_value_takes_back_what_the_key_was_given_before_and_only_that() -> None:
    text = "lxc.cap.drop = kill\nlxc.cgroup.a = 1\nlxc.cgroup.a.b = 2\nlxc.cap.drop =\nlxc.cap.drop = chown\nlxc.cgroup.a="
    config = Config(text)
    assert config.items() == [("lxc.cgroup.a.b", "2"), ("lxc.cap.drop", "chown")]
    assert config.mentions("lxc.cgroup.a")
    assert not config.mentions("lxc.cap.keep")


@pytest.mark.parametrize(
    ("group", "gone", "stays"),
    [
        ("lxc.net", ["lxc.net.0.type", "lxc.net.12.link"], ["lxc.namespace.keep"]),
        ("lxc.net.1", ["lxc.net.1.type", "lxc.net.1.ipv4.address"], ["lxc.net.0.type", "lxc.net.11.type"]),
        ("lxc.cgroup", ["lxc.cgroup.memory.limit_in_bytes"], ["lxc.cgroup2.memory.max"]),
        ("lxc.cgroup2", ["lxc.cgroup2.memory.max"], ["lxc.cgroup.pids.max"]),
        ("lxc.hook", ["lxc.hook.start", "lxc.hook.start-host"], ["lxc.group"]),
        ("lxc.prlimit", ["lxc.prlimit.nofile"], ["lxc.proc.oom_score_adj"]),
        ("lxc.sysctl", ["lxc.sysctl.net.ipv4.ip_forward"], ["lxc.start.auto"]),
        ("lxc.hook.start", ["lxc.hook.start"], ["lxc.hook.start-host"]),
        ("lxc.init", [], ["lxc.init.cmd"]),
    ],
)
def test_a_group_of_keys_is_emptied_by_its_name(group: str, gone: list[str], stays: list[str]) -> None:
    config = Config("\n".join([*(f"{key} = 1" for key in [*gone, *stays]), f"{group} ="]))
    assert [key for key, _ in config.items()] == stays


@pytest.mark.parametrize(
    ("written", "meant"),
    [("'a b'", "a b"), ('"a=b"', "a=b"), ("'a", "'a"), ("a'", "a'"), ("''a''", "'a'"), ('"', '"'), ("''", ""), ("a#b", "a#b"),
     ("a  b", "a  b"), ("a=b=c", "a=b=c"), ("a\r", "a")],
)  # fmt: skip
def test_quotes_around_all_of_a_value_are_not_a_part_of_it(written: str, meant: str) -> None:
    assert Config(f"lxc.init.cmd = {written}\n").get("lxc.init.cmd") == meant


def test_a_line_that_is_no_key_is_kept_and_means_nothing() -> None:
    config = Config("foo = bar\nLXC.tty.max = 3\n= 4\nplain words\n")
    assert config.items() == []
    assert [(line.value, line.number) for line in config.lines][3] == ("plain words", 4)
    assert config.text() == "foo = bar\nLXC.tty.max = 3\n= 4\nplain words\n"


def test_a_key_without_an_equals_sign_is_named_with_its_line() -> None:
    with pytest.raises(InvalidOption, match=r"^/etc/x:3: 'lxc.tty.max 4' has no '='"):
        Config("\n\nlxc.tty.max 4\n", "/etc/x")


# --- include --------------------------------------------------------------------------------------------------------


def test_the_lines_of_an_included_file_stand_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "inner").write_text("lxc.group = b\nlxc.cap.drop =\n")
    text = f"lxc.group = a\nlxc.cap.drop = kill\nlxc.include = {tmp_path}/inner\nlxc.group = c\n"
    config = Config(text, f"{tmp_path}/config")
    assert config.all("lxc.group") == ["a", "b", "c"]
    assert config.all("lxc.cap.drop") == []
    assert [(Path(line.file).name, line.number) for line in config.lines if line.key == "lxc.group"] == [
        ("config", 1), ("inner", 1), ("config", 4),
    ]  # fmt: skip
    assert "lxc.group = b" not in config.text()


def test_of_a_folder_the_files_that_end_in_conf_are_included_by_name(tmp_path: Path) -> None:
    for name in ("b.conf", "a.conf", "c.txt", ".conf", "README"):
        (tmp_path / name).write_text(f"lxc.group = {name}\n")
    assert Config(f"lxc.include = {tmp_path}\n").all("lxc.group") == ["a.conf", "b.conf"]


def test_a_relative_path_is_looked_for_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x").write_text("lxc.include = y\n")
    (tmp_path / "d" / "y").write_text("lxc.group = y\n")
    assert Config("lxc.include = d/x\n", f"{tmp_path}/config").all("lxc.group") == ["y"]


def test_a_missing_file_is_refused_a_missing_folder_is_not(tmp_path: Path) -> None:
    with pytest.raises(InvalidOption, match=r"^f:1: .*missing can't be included \(No such file"):
        Config(f"lxc.include = {tmp_path}/missing\n", "f")
    assert Config(f"lxc.include = {tmp_path}/missing/\nlxc.include =\nlxc.group = a\n").items() == [("lxc.group", "a")]


def test_lxcs_own_files_may_be_missing_and_that_is_said() -> None:
    config = Config("lxc.include = /usr/share/lxc/config/nothing.conf\nlxc.rootfs.path = /r\n", "/c/config")
    assert notes(config) == ["/c/config:1: lxc.include: LXC is not installed here; what its own files say is the default"]


# --- change ---------------------------------------------------------------------------------------------------------

TEXT = "# ours\n\nlxc.uts.name=old # not a comment\nunknown\t line\nlxc.new.key = 1\nlxc.group = a\nlxc.group = b\n#end"


def test_what_is_not_changed_stays_byte_for_byte(tmp_path: Path) -> None:
    content = TEXT.encode() + b"\n# \xff\xfe \xc3\xa9 \r\nlxc.environment = L=\xe9\n"
    (tmp_path / "config").write_bytes(content)
    config = Config.read(f"{tmp_path}/config")
    config.write()
    assert (tmp_path / "config").read_bytes() == content
    config.set("lxc.uts.name", "new")
    config.write(f"{tmp_path}/other")
    assert (tmp_path / "other").read_bytes() == content.replace(b"lxc.uts.name=old # not a comment", b"lxc.uts.name = new")
    assert sorted(os.listdir(tmp_path)) == ["config", "other"]


def test_set_leaves_one_line_with_the_key_at_its_place() -> None:
    config = Config(TEXT)
    config.set("lxc.group", "c")
    assert config.text() == TEXT.replace("lxc.group = a\nlxc.group = b", "lxc.group = c")
    config.set("lxc.tty.max", "4")
    assert config.text().endswith("#end\nlxc.tty.max = 4\n")


def test_set_wins_over_a_file_that_is_included_later(tmp_path: Path) -> None:
    (tmp_path / "inc").write_text("lxc.tty.max = 7\n")
    config = Config(f"lxc.tty.max = 1\nlxc.include = {tmp_path}/inc\n")
    assert config.get("lxc.tty.max") == "7"
    config.set("lxc.tty.max", "3")
    assert config.get("lxc.tty.max") == "3"
    assert config.text() == f"lxc.include = {tmp_path}/inc\nlxc.tty.max = 3\n"


def test_append_and_remove() -> None:
    config = Config(TEXT)
    config.append("lxc.group", "c")
    assert config.all("lxc.group") == ["a", "b", "c"]
    config.remove("lxc.group")
    assert config.text() == TEXT.replace("lxc.group = a\nlxc.group = b\n", "") + "\n"
    config.append("lxc.net.0.type", "veth")
    config.append("lxc.net.1.type", "empty")
    config.remove("lxc.net")
    assert "lxc.net" not in config.text()


def test_remove_takes_back_what_an_included_file_says(tmp_path: Path) -> None:
    (tmp_path / "inc").write_text("lxc.net.0.type = veth\n")
    config = Config(f"lxc.include = {tmp_path}/inc\nlxc.net.0.link = br0\n")
    config.remove("lxc.net")
    assert config.text() == f"lxc.include = {tmp_path}/inc\nlxc.net =\n"
    assert [key for key, _ in config.items()] == ["lxc.include"]


@pytest.mark.parametrize("value", [" a ", "'a'", '"a"', '"', "a=b", "#", "", "\udcff", "a\tb", "a\r"])
def test_any_value_of_one_line_is_read_as_it_was_set(value: str) -> None:
    config = Config("")
    config.set("lxc.init.cmd", value)
    assert Config(config.text()).get("lxc.init.cmd") == config.get("lxc.init.cmd") == value


@pytest.mark.parametrize(
    ("key", "value"), [("lxc.a", "1\nlxc.b = 2"), ("lxc.a", "\0"), ("lxc.a b", "1"), ("a", "1"), ("lxc.a=b", "")]
)
def test_what_would_be_read_as_something_else_is_not_written(key: str, value: str) -> None:
    config = Config(TEXT)
    for change in (config.set, config.append):
        with pytest.raises(InvalidOption):
            change(key, value)
    assert config.text() == TEXT


def test_a_change_that_makes_no_sense_leaves_the_configuration_as_it_was(tmp_path: Path) -> None:
    config = Config(TEXT)
    with pytest.raises(InvalidOption, match="can't be included"):
        config.append("lxc.include", f"{tmp_path}/missing")
    assert config.text() == TEXT


keys = st.sampled_from(["lxc.group", "lxc.uts.name", "lxc.net.0.type", "lxc.net.1.type", "lxc.net", "lxc.x.y"])
raws = st.builds("{} = {}".format, keys, st.sampled_from(["", "a", "'b'"])) | st.sampled_from(["# c", "", "  ", "odd"])


@given(st.lists(raws, max_size=12), keys, st.sampled_from(["n", "m"]))
def test_after_any_change_the_text_says_what_the_configuration_says(raw: list[str], key: str, value: str) -> None:
    config = Config("\n".join(raw))
    others = [item for item in config.items() if item[0] != key]
    config.set(key, value)
    assert config.get(key) == value
    assert config.all(key) == [value]
    assert Config(config.text()).items() == config.items()
    if key != "lxc.net":
        assert [item for item in config.items() if item[0] != key] == others
    config.remove(key)
    assert Config(config.text()).items() == config.items()
    assert config.all(key) == []

"""One value: what is read, what is refused, and that what we write is read as the same."""

import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import values
from sandbox.errors import InvalidOption
from sandbox.home import home
from sandbox.spec import NAMESPACES, Mount

ONLINE = os.sysconf("SC_NPROCESSORS_ONLN")
ANYTHING = st.one_of(
    st.text(max_size=12), st.integers(), st.floats(), st.none(), st.booleans(), st.binary(max_size=3),
    st.text("0123456789.:-+xbkmgtiKMGsha_ ", max_size=8), st.lists(st.text(max_size=2), max_size=2),
)  # fmt: skip
PARSERS = (
    values.text, values.size, values.memory, values.cpus, values.cpuset, values.pids, values.duration, values.hostname,
    values.user, values.env, values.namespace, values.workdir, values.volume, values.flag, values.whole(1, 10),
    values.one_of("a"),
)  # fmt: skip


@pytest.mark.parametrize("parse", PARSERS, ids=lambda parse: parse.__qualname__)
@given(value=ANYTHING)
def test_anything_is_read_or_refused_as_an_invalid_option(parse: object, value: object) -> None:
    with suppress(InvalidOption):
        parse(value)  # type: ignore[operator]


# --- amounts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("65536", 65536), ("64m", 64 << 20), ("64M", 64 << 20), ("64MiB", 64 << 20), ("64mb", 64 << 20), ("64 m", 64 << 20),
        ("512k", 512 << 10), ("1.5g", 3 << 29), ("0.5k", 512), ("100b", 100), ("2t", 2 << 40), ("0", 0), (4096, 4096),
    ],
)  # fmt: skip
def test_sizes_are_read_as_docker_reads_them(text: object, amount: int) -> None:
    assert values.size(text) == amount


@pytest.mark.parametrize(
    "text", ["", "m", "-1", "+1m", "1e3", "1_000", "64q", "64mm", "1,5g", "0x10", "٣m", "1.m", ".5m", "8388608t", "9" * 30,
             1.5, True, None],
)  # fmt: skip
def test_these_are_no_sizes(text: object) -> None:
    with pytest.raises(InvalidOption, match="is no size"):
        values.size(text)


@given(st.integers(0, (1 << 63) - 1))
def test_a_written_size_is_read_as_the_same(amount: int) -> None:
    assert values.size(values.size_text(amount)) == amount


def test_memory_has_a_least_amount_with_a_reason_and_may_be_without_limit() -> None:
    assert values.memory("6m") == 6 << 20
    assert values.memory("max") is None
    assert values.size_text(None) == "max"
    with pytest.raises(InvalidOption, match="the launcher"):
        values.memory("5m")


@given(st.integers(10, ONLINE * 1000))
def test_a_written_number_of_cpus_is_read_as_the_same(thousandths: int) -> None:
    assert values.cpus(values.cpus_text(thousandths / 1000)) == thousandths / 1000


@pytest.mark.parametrize(
    "value", [0, "0", -1, "-1", "0.001", ONLINE + 0.01, "1e0", "nan", "inf", float("nan"), float("inf"), True, ""]
)
def test_these_are_no_cpus_of_this_machine(value: object) -> None:
    with pytest.raises(InvalidOption):
        values.cpus(value)


def test_cpusets_name_cpus_that_are_there() -> None:
    last = os.sysconf("SC_NPROCESSORS_CONF") - 1
    for good in ("0", f"0-{last}", f"0,{last}"):
        assert values.cpuset(good) == good
    for bad in ("", "0-", "a", f"{last + 1}", f"0-{last + 1}", "1-0", "0,,0", " 0", "0\n"):
        with pytest.raises(InvalidOption):
            values.cpuset(bad)


def test_pids_are_whole_and_at_least_one_or_without_limit() -> None:
    assert [values.pids(value) for value in (1, "64", "max")] == [1, 64, None]
    for bad in (0, "0", "-1", 1.5, "1.5", "64k", True, "", "10000000"):
        with pytest.raises(InvalidOption):
            values.pids(bad)


@pytest.mark.parametrize(
    ("text", "seconds"), [("10s", 10), ("2m", 120), ("1h", 3600), ("500ms", 0.5), ("1.5", 1.5), (3, 3), (0.25, 0.25)]
)
def test_times_are_seconds(text: object, seconds: float) -> None:
    assert values.duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "s", "0", "0s", "-1s", "10 s", "1d", "nan", "1e3", "9" * 400, float("inf"), float("nan"), -1, True]
)
def test_these_are_no_times(text: object) -> None:
    with pytest.raises(InvalidOption, match="is no time"):
        values.duration(text)


@given(st.integers(1, 10**12))
def test_a_written_time_is_read_as_the_same(milliseconds: int) -> None:
    assert values.duration(values.duration_text(milliseconds / 1000)) == milliseconds / 1000


# --- names ----------------------------------------------------------------------------------------------------------


def test_host_names_are_those_of_hostname_7_and_fit_into_the_kernel() -> None:
    for good in ("box", "a-b", "a.b.c", "0", "x" * 63, "x" * 32 + "." + "y" * 31):
        assert values.hostname(good) == good
    for bad in ("", "-a", ".a", "a..b", "a.", "a_b", "a b", "a\n", "ä", "x" * 64, "x" * 33 + "." + "y" * 31, "a.-b"):
        with pytest.raises(InvalidOption):
            values.hostname(bad)


@pytest.mark.parametrize("who", ["0", "1000", "1000:1000", "nobody", "nobody:nogroup", "0:tty", "_apt", "4294967294", 1000])
def test_these_are_users(who: object) -> None:
    assert values.user(who) == str(who)


@pytest.mark.parametrize(
    "who",
    ["", ":", "0x0", "-1", "1000:", ":1000", "4294967295", "4294967296", "00", "01", "1.0", "+1", " 1", "1\n", "Root", "a b",
     "1:2:3", "٣", "1e3", "root/..", "x" * 33, -1, 1.0, True, None],
)  # fmt: skip
def test_these_are_not_and_never_become_root(who: object) -> None:
    with pytest.raises(InvalidOption, match=r"is no user|is no text"):
        values.user(who)


def test_an_environment_variable_without_a_value_is_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE", "yes=1")
    monkeypatch.delenv("NOT_THERE", raising=False)
    assert [values.env(word) for word in ("A=b=c", "A=", "MINE", "NOT_THERE")] == ["A=b=c", "A=", "MINE=yes=1", ""]
    for bad in ("", "=x", "A=\0"):
        with pytest.raises(InvalidOption):
            values.env(bad)


def test_namespaces_go_by_both_names_and_mount_is_never_shared() -> None:
    assert [values.namespace(word) for word in ("net", "network", "pid", "uts")] == ["network", "network", "pid", "uts"]
    assert {values.namespace(name) for name in NAMESPACES if name != "mount"} == set(NAMESPACES) - {"mount"}
    for word in ("mount", "mnt"):
        with pytest.raises(InvalidOption, match="over the host's"):
            values.namespace(word)
    with pytest.raises(InvalidOption, match="is no namespace"):
        values.namespace("host")


# --- paths ----------------------------------------------------------------------------------------------------------


def test_working_folders_are_absolute_and_lead_nowhere_else() -> None:
    assert [values.workdir(path) for path in ("/", "/a/../b/", "//tmp", "/procfs")] == ["/", "/b", "/tmp", "/procfs"]
    for bad in ("", "a", "./a", "/a\0"):
        with pytest.raises(InvalidOption):
            values.workdir(bad)


@pytest.mark.parametrize("number", range(3, 65))
def test_no_working_folder_is_reached_through_a_descriptor(number: int) -> None:
    for path in (f"/proc/self/fd/{number}", f"/dev/fd/{number}", f"/tmp/../proc/self/fd/{number}/x", f"//proc//1/fd/{number}"):
        with pytest.raises(InvalidOption, match="lead out of the container"):
            values.workdir(path)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SANDBOX_HOME", str(tmp_path / "shelf"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def test_a_volume_is_read_only_unless_it_says_rw(data: Path) -> None:
    for word in (f"{data}:/data", f"{data}:/data:ro", f"{data}/../data:/x/../data/"):
        assert values.volume(word) == Mount("/data", "bind", str(data), ("rbind", "ro", "nosuid", "nodev"))
    writable = values.volume(f"{data}:/data:rw")
    assert "ro" not in writable.options
    assert {"rw"} <= set(writable.options)


def test_a_written_volume_is_read_as_the_same(data: Path) -> None:
    for word in (f"{data}:/data:ro", f"{data}:/a/b:rw"):
        assert values.volume_text(values.volume(word)) == word


def test_a_relative_source_is_the_callers_and_a_link_is_what_it_leads_to(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(data.parent)
    (data.parent / "link").symlink_to("data")
    assert values.volume("./data:/x").source == values.volume("./link:/x").source == str(data)
    with pytest.raises(InvalidOption, match="no named volumes"):
        values.volume("data:/x")


@pytest.mark.parametrize(
    "word", ["", "/tmp", ":/x", "/tmp:", "/tmp:x", "/tmp:/x:", "/tmp:/x:rx", "/tmp:/x:ro:", "/nowhere/at/all:/x"]
)
def test_these_are_no_volumes(word: str) -> None:
    with pytest.raises(InvalidOption):
        values.volume(word)


@pytest.mark.parametrize("place", ["/", "/.", "/x/..", "/proc", "/proc/1", "/sys", "/dev", "/dev/null", "/x/../proc"])
def test_no_volume_covers_what_is_the_containers_own(data: Path, place: str) -> None:
    with pytest.raises(InvalidOption, match="the container's own"):
        values.volume(f"{data}:{place}")


def test_no_volume_holds_our_shelf_or_our_sockets(data: Path) -> None:
    shelf = home()
    (data.parent / "link").symlink_to(shelf.path)
    sources = [shelf.path, f"{shelf.path}/layers", str(data.parent), "/", f"{data.parent}/link", shelf.runtime,
               os.path.dirname(shelf.runtime), os.path.dirname(os.path.dirname(shelf.runtime))]  # fmt: skip
    for source in sources:
        with pytest.raises(InvalidOption, match="could command the runtime"):
            values.volume(f"{source}:/x")
    assert values.volume(f"{data}:/x").source == str(data)
    os.rmdir(shelf.runtime)


def test_the_hosts_kernel_is_no_volume(data: Path) -> None:
    for source in ("/proc", "/proc/self", "/sys/kernel"):
        with pytest.raises(InvalidOption, match="the host's kernel"):
            values.volume(f"{source}:/x")

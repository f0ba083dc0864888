"""Debian comes from where this machine's packages come from."""

from pathlib import Path

import pytest

from sandbox.errors import InvalidOption, NotPossibleHere
from sandbox.lxc import bootstrap
from sandbox.lxc.bootstrap import Source

KEY = "/usr/share/keyrings/debian-archive-keyring.gpg"
DEB822 = f"""\
# made by the installer
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: {KEY}

Types: deb
# URIs: http://old.example/
URIs: http://mirror.example/security
Suites: bookworm-security
Components: main
Signed-By: {KEY}

Types: deb
URIs: http://other.example/
Suites: bookworm
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBF
Enabled: no

Types: deb
URIs: http://tools.example/
Suites: bookworm
Components: main
Signed-By: /usr/share/keyrings/tools.gpg
"""
ONE_LINE = f"""\
# deb http://old.example/ bookworm main
deb [arch=amd64 signed-by={KEY}] http://mirror.example/debian bookworm main contrib # a word
deb-src http://mirror.example/debian bookworm main
deb http://mirror.example/debian   bookworm-updates  main
deb [ signed-by=/etc/apt/keyrings/docker.asc ] http://docker.example/linux/debian bookworm stable
deb http://cloud.example/apt cloud-sdk-bookworm main
deb http://mirror.example/security bookworm/updates main
"""


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    (tmp_path / "sources.list.d").mkdir()
    return tmp_path


def test_of_deb822_files_those_of_debian_are_taken(etc: Path) -> None:
    (etc / "sources.list.d/debian.sources").write_text(DEB822)
    assert bootstrap.sources("bookworm", etc=str(etc)) == [
        Source("http://mirror.example/debian", "bookworm", ("main", "contrib"), KEY),
        Source("http://mirror.example/debian", "bookworm-updates", ("main", "contrib"), KEY),
        Source("http://mirror.example/security", "bookworm-security", ("main",), KEY),
    ]


def test_of_one_line_files_too(etc: Path) -> None:
    (etc / "sources.list").write_text(ONE_LINE)
    assert [source.line for source in bootstrap.sources("bookworm", etc=str(etc))] == [
        f"deb [signed-by={KEY}] http://mirror.example/debian bookworm main contrib",
        "deb http://mirror.example/debian bookworm-updates main",
        "deb http://mirror.example/security bookworm/updates main",
    ]


def test_files_that_apt_does_not_read_are_not_read(etc: Path) -> None:
    (etc / "sources.list.d/debian.sources.disabled").write_text(DEB822)
    (etc / "sources.list.d/README").write_text(ONE_LINE)
    with pytest.raises(NotPossibleHere, match=r"name no archive of Debian(.|\n)*--mirror"):
        bootstrap.sources("bookworm", etc=str(etc))


def test_another_release_comes_from_the_same_archive_without_what_it_may_not_have(etc: Path) -> None:
    (etc / "sources.list.d/debian.sources").write_text(DEB822)
    assert bootstrap.sources("sid", etc=str(etc)) == [Source("http://mirror.example/debian", "sid", ("main",), KEY)]


def test_a_mirror_that_is_named_is_asked_alone(etc: Path) -> None:
    (etc / "sources.list").write_text(ONE_LINE)
    assert bootstrap.sources("trixie", "http://mine.example/debian", str(etc)) == [
        Source("http://mine.example/debian", "trixie")
    ]


def test_of_a_list_of_mirrors_the_first_is_taken(etc: Path) -> None:
    (etc / "mirrors").write_text("# near\nhttp://near.example/debian priority:1\nhttp://far.example/debian\n")
    (etc / "sources.list").write_text(f"deb mirror+file:{etc}/mirrors bookworm main\n")
    assert bootstrap.sources("bookworm", etc=str(etc)) == [Source("http://near.example/debian", "bookworm")]


@pytest.mark.parametrize("word", ["-r", "", "a b", "../x", "a,b", "A"])
def test_what_would_be_an_option_or_a_path_is_refused(word: str) -> None:
    with pytest.raises(InvalidOption, match="no name that Debian would use"):
        bootstrap.sources(word)


@pytest.mark.parametrize("mirror", ["mirror.example", "http://a b/", "http://a\ndeb http://b/ x main", "--option=x://"])
def test_what_is_no_address_is_refused(mirror: str) -> None:
    with pytest.raises(InvalidOption, match="no address of a mirror"):
        bootstrap.sources("bookworm", mirror)


def test_without_a_tool_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name, path=None: None)
    with pytest.raises(NotPossibleHere, match="apt install mmdebstrap"):
        bootstrap.install(str(tmp_path), [Source("http://mirror.example", "sid")], "sid", "amd64", (), print)

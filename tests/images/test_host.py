"""The image host shows the host's programs and nothing else of it."""

import os
from pathlib import Path

import pytest

from sandbox.images import get, host
from sandbox.store import Home
from tests.images.conftest import inside

pytestmark = pytest.mark.needs_userns


def test_its_python_runs_and_knows_the_certificate_authorities(shelf: Home) -> None:
    if not os.path.exists("/usr/bin/python3"):
        pytest.skip("needs /usr/bin/python3: apt install python3")
    script = "import ctypes, ssl, pwd; c = ssl.create_default_context(); print(len(c.get_ca_certs()), pwd.getpwuid(0).pw_dir)"
    count, folder = inside(get("host", shelf), "/usr/bin/python3", "-c", script).split()
    assert folder == "/root"
    assert int(count) > 0 or not os.path.exists("/etc/ssl/certs/ca-certificates.crt")


def test_programs_behind_update_alternatives_are_found(shelf: Home) -> None:
    if not os.path.exists("/etc/alternatives/awk"):
        pytest.skip("this distribution keeps no alternatives in /etc/alternatives")
    assert inside(get("host", shelf), "/bin/sh", "-c", "awk 'BEGIN { print 6 * 7 }'") == "42\n"


def test_no_file_of_the_host_is_in_it_but_its_programs_and_what_they_need(shelf: Home) -> None:
    image = get("host", shelf)
    (layer,) = image.layers
    allowed = (*(f"etc/{name}" for name in host._sources()), "etc/nsswitch.conf", "etc/passwd", "etc/shadow", "etc/group",
               "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/profile")  # fmt: skip
    for folder, _, names in os.walk(layer):
        for name in names:
            path = os.path.relpath(f"{folder}/{name}", layer)
            assert path in host._TOP or any(path == entry or path.startswith(f"{entry}/") for entry in allowed), path
    assert "root:*:" in Path(layer, "etc/shadow").read_text()
    assert Path(layer, "etc/passwd").read_text().count("\n") == 2
    assert {mount.source for mount in image.mounts} <= {"/usr", *(f"/{name}" for name in host._TOP)}
    assert all("ro" in mount.options for mount in image.mounts)


def test_what_not_everybody_may_read_and_certificates_of_this_machine_are_left_out() -> None:
    taken = {name: content for name, content in host._entries() if isinstance(content, bytes)}
    for name in taken:
        assert os.stat(f"/{name}").st_mode & 0o004, name
        assert not name.startswith("etc/ssl/certs/") or name.endswith(("ca-certificates.crt", "ca-bundle.crt", "cacerts")), (
            name
        )
    assert b"PRIVATE KEY-----" not in b"".join(taken.values())


def test_the_skeleton_is_made_anew_when_the_host_changes(shelf: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = get("host", shelf)
    monkeypatch.setattr(host, "RECIPE", host.RECIPE + 1)
    host._recipe.cache_clear()
    second = get("host", shelf)
    host._recipe.cache_clear()
    assert second.layers != first.layers
    real = host._entries
    monkeypatch.setattr(host, "_entries", lambda: [*real(), ("etc/alternatives/new", "/usr/bin/new")])
    assert os.readlink(f"{get('host', shelf).layers[0]}/etc/alternatives/new") == "/usr/bin/new"
    host._recipe.cache_clear()


def test_a_change_of_a_source_is_seen_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = host._stamp()
    assert host._stamp() == before
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "ld.so.cache").write_text("one")
    one = host._identity(f"{tmp_path}/etc/ld.so.cache")
    (tmp_path / "new").write_text("two")
    (tmp_path / "new").rename(tmp_path / "etc" / "ld.so.cache")
    assert host._identity(f"{tmp_path}/etc/ld.so.cache") != one


def test_its_card_says_that_it_does_not_run_on_the_host(shelf: Home) -> None:
    assert "does not run on the host" in get("host", shelf).card

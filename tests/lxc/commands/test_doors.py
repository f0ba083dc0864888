"""One table of commands for every door: `sandbox lxc-…`, links, and the same words everywhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import sandbox
from sandbox.cli import linking
from sandbox.lxc import commands
from tests.lxc.folders import make_lxc
from tests.shell import Shell


@pytest.fixture
def shell(home: Path) -> Shell:
    return Shell(str(home))


def installed() -> Path | None:
    """The program that stands beside this interpreter, if the project is installed there."""
    return next((path for name in linking.OWN if (path := Path(sys.executable).parent / name).exists()), None)


needs_installation = pytest.mark.skipif(installed() is None, reason="needs the project to be installed: pip install -e .")


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    module = commands.module(name)
    assert module.PURPOSE
    asked = commands.parse(name, ["--help"])
    assert asked.answer.startswith(f"Usage: {name}")
    assert "page of the manual" not in asked.answer


@pytest.mark.usefixtures("home")
def test_a_common_option_means_the_same_everywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main("lxc-info", ["-n", "nobody", "-q", "-o", f"{tmp_path}/log"]) == 1
    assert capsys.readouterr().err == ""
    assert "lxc-info nobody" in (tmp_path / "log").read_text()
    assert "ERROR    there is no container" in (tmp_path / "log").read_text()
    assert commands.main("lxc-info", ["--version"]) == 0
    assert capsys.readouterr().out == "5.0.2\n"
    assert commands.main("lxc-nosuch", []) == 1
    assert "there is no command 'lxc-nosuch'" in capsys.readouterr().err


@pytest.mark.usefixtures("home")
def test_with_lxcpath_the_containers_of_another_folder_are_meant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_lxc("here")
    assert commands.main("lxc-ls", ["-P", f"{tmp_path}/there"]) == 0
    assert commands.main("lxc-copy", ["here", "-N", "there", "-p", f"{tmp_path}/there"]) == 0
    assert capsys.readouterr().out == ""
    assert commands.main("lxc-ls", ["-1", f"-P{tmp_path}/there"]) == 0
    assert commands.main("lxc-ls", ["-1"]) == 0
    assert capsys.readouterr().out == "there\nhere\n"
    assert commands.main("lxc-destroy", ["--lxcpath", f"{tmp_path}/there", "there"]) == 0


def test_the_shell_knows_them_as_words_of_sandbox(shell: Shell) -> None:
    assert shell.text("lxc-ls") == ""
    done = shell.run("lxc-info", "-n", "nobody")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"lxc-info: nobody: there is no container")
    done = shell.run("lxc-info", "--nosuch")
    assert (done.returncode, done.stderr) == (1, b"lxc-info: unrecognized option '--nosuch' (lxc-info --help)\n")


def test_whoever_reads_us_may_stop_reading(shell: Shell) -> None:
    words = f"{sys.executable} -m sandbox lxc-checkconfig; echo $? >&2"
    done = subprocess.run(["bash", "-c", f"({words}) | head -c1"], env=shell.environment, capture_output=True)
    assert done.stderr in (b"141\n", b"0\n")


@needs_installation
def test_links_are_the_commands_and_scripts_find_them_first(shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    told = subprocess.run([str(installed()), "links", str(folder)], env=shell.environment, capture_output=True, text=True)
    assert (told.returncode, told.stderr) == (0, "")
    assert sorted(os.listdir(folder)) == sorted(commands.COMMANDS)
    environment = {**shell.environment, "PATH": f"{folder}:{os.environ['PATH']}"}
    script = "set -e; which lxc-ls; lxc-ls; lxc-info --version; lxc-info -n nobody || echo $?"
    done = subprocess.run(["sh", "-c", script], env=environment, capture_output=True, text=True)
    assert done.stdout == f"{folder}/lxc-ls\n5.0.2\n1\n"
    assert done.stderr.startswith("lxc-info: nobody: ")


@needs_installation
def test_links_are_renewed_but_nothing_of_others_is_overwritten(shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    os.symlink("/gone/bin/sandbox", folder / "lxc-ls")
    links = [str(installed()), "links", str(folder)]
    assert subprocess.run(links, env=shell.environment, capture_output=True).returncode == 0
    assert os.readlink(folder / "lxc-ls") == str(installed())
    (folder / "lxc-wait").unlink()
    (folder / "lxc-wait").write_text("somebody's own")
    (folder / "lxc-attach").unlink()
    done = subprocess.run(links, env=shell.environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"{folder}/lxc-wait is not a link to `sandbox`" in done.stderr
    assert (folder / "lxc-wait").read_text() == "somebody's own"
    assert not (folder / "lxc-attach").exists()


def test_a_command_loads_no_other_and_nothing_heavy() -> None:
    code = "import sys; from sandbox.lxc import commands; commands.parse('lxc-stop', ['--help']); print(*sys.modules)"
    source = str(Path(sandbox.__path__[0]).parent)
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": source}, capture_output=True, text=True
    )
    loaded = set(done.stdout.split())
    assert "sandbox.lxc.commands.stop" in loaded
    assert not {"sandbox.lxc.commands.start", "sandbox.lxc.checkconfig", "shutil", "subprocess", "asyncio"} & loaded

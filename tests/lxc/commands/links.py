"""LXC's names as commands, whether the project is installed or not."""

from pathlib import Path

from sandbox.lxc.commands import COMMANDS
from tests.shell import Shell

_PROGRAM = """\
#!/bin/sh
exec {python} -c 'import sys; sys.argv = sys.argv[1:]; from sandbox.cli import main; sys.exit(main())' "$0" "$@"
"""


def make_links(folder: Path, shell: Shell) -> dict[str, str]:
    """Make links named lxc-… in a folder, and `sandbox` itself; returns an environment that has them first in PATH."""
    folder.mkdir()
    program = folder / "sandbox"
    program.write_text(_PROGRAM.format(python=shell.words[0]))
    program.chmod(0o755)
    for name in COMMANDS:
        (folder / name).symlink_to(program)
    return {**shell.environment, "PATH": f"{folder}:{shell.environment['PATH']}"}

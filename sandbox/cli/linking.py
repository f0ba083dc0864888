"""Commands of LXC: `sandbox lxc-create`, `sandbox lxc-start` …, or by these names alone after `sandbox links`."""

import argparse
import os
import sys

from ..errors import AlreadyExists, NotPossibleHere
from .words import arg, command

#: The names under which this program is installed. A link to one of them is a link of ours.
OWN = ("sandbox", "container-sandbox")


@command(
    "make links named lxc-… to this program in a folder: with it first in PATH, LXC's scripts run here",
    arg("folder", metavar="DIR", help="made if it is missing"),
)
def do_links(args: argparse.Namespace) -> int:
    from ..lxc.commands import COMMANDS

    program = _program()
    folder = os.path.abspath(args.folder)
    os.makedirs(folder, exist_ok=True)
    for name in COMMANDS:  # all are looked at before the first is made
        if os.path.lexists(f"{folder}/{name}") and not _is_ours(f"{folder}/{name}"):
            raise AlreadyExists(f"{folder}/{name} is not a link to `sandbox`", cure="choose a folder of its own for the links")
    for name in COMMANDS:
        temporary = f"{folder}/.{name}-{os.getpid()}"
        os.symlink(program, temporary)
        os.rename(temporary, f"{folder}/{name}")
    print(f'{len(COMMANDS)} links in {folder}; export PATH="{folder}:$PATH"')
    return 0


def _is_ours(path: str) -> bool:
    return os.path.islink(path) and os.path.basename(os.readlink(path)) in OWN


def _program() -> str:
    """The installed program: the one that runs, or, under `python -m sandbox`, the one beside the interpreter."""
    beside = os.path.dirname(sys.executable)
    for path in (os.path.abspath(sys.argv[0]), *(f"{beside}/{name}" for name in OWN)):
        if os.path.basename(path) in OWN and os.access(path, os.X_OK):
            return path
    raise NotPossibleHere(
        "there is nothing to link to",
        condition=f"no `sandbox` lies in {beside}",
        cure="install it: pip install container-sandbox",
    )

"""lxc-checkpoint(1)."""

import argparse
import subprocess

from ... import host
from ...container import Container
from ...errors import InvalidOption, NotPossibleHere, WrongState
from . import Terminal

PURPOSE = """checkpoints and restores a container
  Serializes a container's running state to disk to allow restoring it in
  its running state at a later time. Not possible here: it tells why."""
USAGE = "--name=NAME"


def arguments(parser: argparse.ArgumentParser) -> None:
    """All of them."""
    parser.add_argument("-r", "--restore", action="store_true", help="Restore container")
    parser.add_argument("-D", "--checkpoint-dir", dest="folder", metavar="DIR", help="directory to save the checkpoint in")
    parser.add_argument("-v", "--verbose", action="store_true", help="Enable verbose criu logs")
    parser.add_argument("-A", "--action-script", metavar="PATH", help="Path to criu action script")
    parser.add_argument("-s", "--stop", action="store_true", help="Stop the container after checkpointing")
    parser.add_argument("-p", "--pre-dump", action="store_true", help="Only pre-dump the memory of the container")
    parser.add_argument("--predump-dir", metavar="DIR", help="path to images from previous dump (relative to -D)")
    parser.add_argument("-d", "--daemon", action="store_true", help="Daemonize the container (default)")
    parser.add_argument("-F", "--foreground", action="store_true", help="Start with the current tty attached to /dev/console")


def run(asked: argparse.Namespace, io: Terminal) -> int:
    """Refuse, with the reason that comes first: a wrong word, a wrong state, no criu, a criu that does not work here, ours."""
    if asked.restore and (asked.stop or asked.pre_dump):
        raise InvalidOption(f"{'-s' if asked.stop else '-p'} not compatible with -r")
    if not asked.restore and (asked.daemon or asked.foreground):
        raise InvalidOption("-d and -F need -r")
    if not asked.folder:
        raise InvalidOption("-D is required", cure=f"{asked.command} -n {asked.name} -D DIR")
    found = Container(asked.name, asked.home)
    running = found.entry is not None
    if not running and not found.on_shelf:
        raise WrongState(f"{asked.name} is not defined", cure="lxc-ls")
    if running == asked.restore:
        state, doing = ("is running", "restoring") if running else ("not running", "checkpointing")
        raise WrongState(f"{asked.name} {state}, not {doing}")
    failure = f"{'Restoring' if asked.restore else 'Checkpointing'} {asked.name} failed"
    raise NotPossibleHere(failure, condition=_why(), cure="lxc-snapshot keeps its files, lxc-freeze its processes")


def _why() -> str:
    if (program := host.program("criu")) is None:
        return "criu, which does it, is not installed"
    checked = subprocess.run([program, "check"], capture_output=True, text=True, errors="replace", check=False)
    if checked.returncode:
        # What it says first is that its own children failed.
        told = [line for line in checked.stderr.splitlines() if "exited, status" not in line]
        return f"{program} does not work with this kernel: {told[0] if told else f'it ended with {checked.returncode}'}"
    return "what criu restores would be its own child; the parent of our containers is the keeper, which tells how they end"

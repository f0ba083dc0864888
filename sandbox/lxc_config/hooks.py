"""Hooks: programs that whoever configures a container has run at moments of its life, with what LXC tells them."""

from ..spec import Hook
from . import values
from .draft import Draft, Row

MOMENTS = ("pre-start", "pre-mount", "mount", "autodev", "start-host", "start", "stop", "post-stop", "clone", "destroy")


def _at(moment: str) -> Row:
    def row(draft: Draft, value: str, which: str) -> None:
        draft.hooks.append((moment, value))

    return row


def version(draft: Draft, value: str, which: str) -> None:
    draft.hook_version = values.whole(value, 0, 1)


def hooks_of(draft: Draft) -> tuple[Hook, ...]:
    """Every hook, in order, as a command line of the shell, which it is for LXC, too.

    Version 0 has the container's name, the word "lxc" and the moment as arguments (further ones may be added behind them),
    version 1 as variables. "Container hooks environment variables" in the man page lists these; who runs the hook adds what is
    known only then: LXC_HOOK_TYPE, LXC_TARGET, LXC_SRC_NAME, and where the root is mounted.
    """
    root = draft.root.removeprefix("dir:")
    env = {
        "LXC_NAME": draft.name,
        "LXC_CONFIG_FILE": draft.path,
        "LXC_ROOTFS_PATH": root,
        "LXC_ROOTFS_MOUNT": root,
        "LXC_HOOK_VERSION": str(draft.hook_version),
        "LXC_CGNS_AWARE": "1",
        "LXC_LOG_LEVEL": "ERROR",
    }
    if draft.console:
        env["LXC_CONSOLE"] = draft.console
    if draft.hook_version:
        env["LXC_HOOK_SECTION"] = "lxc"
    told = tuple(f"{name}={value}" for name, value in env.items())
    found = []
    for moment, command in draft.hooks:
        words = () if draft.hook_version else (draft.name, "lxc", moment)
        args = ("/bin/sh", "-c", f'exec {command} "$@"', moment, *words)
        found.append(Hook(moment, args, told))  # type: ignore[arg-type]  # one of MOMENTS
    return tuple(found)


ROWS: dict[str, Row] = {f"lxc.hook.{moment}": _at(moment) for moment in MOMENTS} | {"lxc.hook.version": version}

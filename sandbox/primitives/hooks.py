"""Hooks: programs of whoever configures a container, run at moments of its life. lxc.container.conf(5), Container hooks."""

import os

from ..errors import KernelRefused
from ..step import Step, World


def run(args: tuple[str, ...], env: dict[str, str], when: str, **more: object) -> None:
    """Run a program and wait for it. Raises KernelRefused when it fails: what was to follow does not happen then."""
    try:
        pid = os.posix_spawnp(args[0], args, {"PATH": os.defpath, **env}, **more)  # type: ignore[arg-type]
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except OSError as error:
        raise KernelRefused(f"hook {when}", "execve", error.errno or 0, path=args[0]) from None
    if code:
        ended = f"it ended with {code}" if code > 0 else f"signal {-code} ended it"
        raise KernelRefused(f"hook {when}", args[0], 10, condition=ended, cure="look at what it writes, or take it out")


class RunHook(Step):
    """Run a hook inside, as the container's root: "mount" and "autodev" while the host's files still show, "start" after."""

    man = "lxc.container.conf(5), Container hooks"

    when: str
    args: tuple[str, ...]
    env: tuple[str, ...] = ()

    def apply(self, world: World) -> None:
        env = dict(item.split("=", 1) for item in self.env)
        run(self.args, {**env, "LXC_HOOK_TYPE": self.when, "LXC_ROOTFS_MOUNT": world.root or "/"}, self.when)


class RunAfter(Step):
    """Nothing now: the hook runs on the host when the container has ended ("stop", then "post-stop"), whoever learns of it.

    Its failure changes nothing any more, and nobody waits for it.
    """

    lane = "outside"
    man = "lxc.container.conf(5), Container hooks"

    when: str
    args: tuple[str, ...]
    env: tuple[str, ...] = ()

    def apply(self, world: World) -> str:
        return "when it has ended"

    def undo(self) -> None:
        env = dict(item.split("=", 1) for item in self.env)
        # A shell starts it and ends at once: so it is nobody's child of ours that would have to be waited for.
        words = ("/bin/sh", "-c", '"$@" </dev/null >/dev/null 2>&1 &', "hook", *self.args)
        child = os.posix_spawn(words[0], words, {"PATH": os.defpath, **env, "LXC_HOOK_TYPE": self.when}, setsid=True)
        os.waitpid(child, 0)

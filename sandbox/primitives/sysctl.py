"""Kernel settings that a container has for itself: those of its network, ipc and uts namespaces. sysctl(8), proc_sys(5)."""

import os

from ..errors import InvalidOption
from ..linux import files
from ..step import Step, World


class SetSysctls(Step):
    """Write settings below /proc/sys: ("net.ipv4.ip_forward", "1"). The kernel refuses those of the whole machine."""

    man = "sysctl(8)"
    see = "sysctl NAME"
    touches = "mount"

    settings: tuple[tuple[str, str], ...]

    def apply(self, world: World) -> None:
        for name, value in self.settings:
            parts = name.replace(".", "/").split("/")
            if not all(part and part != ".." for part in parts):
                raise InvalidOption(f"{name!r} is no kernel setting", cure="write it as sysctl(8) does: net.ipv4.ip_forward")
            # The new /proc is the kernel's own, just mounted: nothing of the image can lie in the way.
            files.write(os.path.join(world.at("/proc/sys"), *parts), value)

    def explain(self, error: OSError, world: World) -> tuple[str, str]:
        names = ", ".join(name for name, _ in self.settings)
        if error.errno in (1, 13, 30):
            return f"one of {names} is a setting of the whole machine, not of a namespace", "set it on the host, if at all"
        if error.errno == 2:
            return f"one of {names} is not there: its part of the kernel is missing or not in this namespace", "leave it out"
        return "", ""

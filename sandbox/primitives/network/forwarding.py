"""Whether the host hands packets on from one device to another: changed device by device, noted, and taken back. ip-sysctl."""

import os
from contextlib import suppress

from ...linux import files
from . import state

_IPV4 = "/proc/sys/net/ipv4/conf/{}/forwarding"
_IPV6 = "/proc/sys/net/ipv6/conf/{}/force_forwarding"  # from Linux 6.17 on; before, only all devices at once can be set


def open_way(bridge: str, ipv6: bool) -> list[str]:
    """Let the bridge, and the host's devices that lead somewhere, hand packets on; returns those that did not before.

    Each device by itself: never the setting for all, which would make a router of the machine. What is changed is noted first.
    """
    paths = [_IPV4.format(device) for device in _with_routes() - set(os.listdir(state.STATE))]
    if ipv6 and not _forwards6():
        paths += [_IPV6.format(device) for device in (bridge, *_leading6())]
    with state.base_lock():
        noted = _noted(bridge)
        closed = [path for path in paths if os.path.exists(path) and (path in noted or files.read(path).strip() == "0")]
        with open(f"{state.folder_of(bridge)}/forwarding", "w", encoding="utf-8") as file:
            file.writelines(f"{path}\n" for path in closed)
        for path in closed:
            files.write(path, "1")
    return sorted({path.split("/")[-2] for path in closed} - {bridge})


def close_way(bridge: str) -> None:
    """Take back what `open_way` changed, unless another network of ours still needs it, or the machine has become a router."""
    with state.base_lock(), suppress(FileNotFoundError):
        mine = files.read(f"{state.folder_of(bridge)}/forwarding").splitlines()
        router = files.read(_IPV4.format("all")).strip() == "1"
        for path in set(mine) - _noted(bridge):
            if not router:
                with suppress(FileNotFoundError):  # the device went away
                    files.write(path, "0")
        os.unlink(f"{state.folder_of(bridge)}/forwarding")


def _noted(bridge: str) -> set[str]:
    """The settings that were changed for other bridges."""
    found: set[str] = set()
    for other in os.listdir(state.STATE):
        if other != bridge:
            with suppress(OSError):
                found.update(files.read(f"{state.folder_of(other)}/forwarding").splitlines())
    return found


def leads_out6() -> bool:
    """Whether the host has a way to the rest of the IPv6 world, and can hand packets on there for a single bridge."""
    return bool(_leading6()) and (_forwards6() or os.path.exists(_IPV6.format("all")))


def _forwards6() -> bool:
    """Whether the whole host is an IPv6 router already."""
    return files.read("/proc/sys/net/ipv6/conf/all/forwarding").strip() == "1"


def _with_routes() -> set[str]:
    """The host's devices by which somebody can be reached; our own bridges are set as they are made. proc_pid_net(5)"""
    return {line.split()[0] for line in files.read("/proc/net/route").splitlines()[1:]} - {"lo"}


def _leading6() -> set[str]:
    """The host's devices with a default route of IPv6. proc_pid_net(5)"""
    with suppress(FileNotFoundError):
        rows = [line.split() for line in files.read("/proc/net/ipv6_route").splitlines()]
        return {row[-1] for row in rows if row[0] == "0" * 32 and row[1] == "00" and row[-1] != "lo"}
    return set()

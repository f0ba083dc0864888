"""The one barrier: the child waits until the host side has mapped its ids, set its limits and laid out its trees."""

import json
import os
import socket

from ..step import Step, World


class Go(Step):
    """Let the child go on, and hand it the trees that were made for it. unix(7), SCM_RIGHTS."""

    lane = "outside"
    man = "unix(7)"
    see = "ls -l /proc/PID/fd"

    def apply(self, world: World) -> None:
        assert world.wire is not None
        names = list(world.trees)
        # One message carries 253 descriptors at most (SCM_MAX_FD): an image may have 500 layers.
        for first in range(0, len(names) or 1, 250):
            batch = names[first : first + 250]
            word = {"trees": batch, "more": first + 250 < len(names)}
            socket.send_fds(world.wire, [json.dumps(word).encode()], [world.trees[name] for name in batch])
        while names:
            os.close(world.trees.pop(names.pop()))


class WaitForGo(Step):
    """Wait for it. If the other side goes away instead, end: nothing may run half made."""

    man = "unix(7)"
    see = "ls -l /proc/PID/fd"

    def apply(self, world: World) -> None:
        assert world.wire is not None
        more = True
        while more:
            # Close-on-exec: a tree left open would be a way out of the root for the program (CVE-2024-21626).
            message, fds, _, _ = socket.recv_fds(world.wire, 16384, 253, socket.MSG_CMSG_CLOEXEC)
            if not message:
                os._exit(125)
            word = json.loads(message)
            world.trees.update(zip(word["trees"], fds, strict=True))
            more = word["more"]

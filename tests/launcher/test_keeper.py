"""The keeper, where no container is needed to see it work."""

import fcntl
import socket

from sandbox.launcher import protocol
from sandbox.launcher.keeper import Keeper


def test_what_a_dead_launcher_said_is_heard_on_a_descriptor_above_1023_too() -> None:
    """It holds up to five descriptors for each container, and select(2) takes no number that high."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with near, far, socket.socket(fileno=fcntl.fcntl(near, fcntl.F_DUPFD_CLOEXEC, 1100)) as high, socket.socket() as listener:
        keeper = Keeper("", "", listener)
        keeper.wire = high
        high.setblocking(False)
        assert not keeper._pending()
        protocol.send(far, {"do": "end"})
        assert keeper._pending()
        keeper.listen()
        assert keeper.ending

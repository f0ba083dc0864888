"""The words between client, launcher, child and keeper: one JSON object a packet, descriptors beside it. unix(7)."""

import json
import os
import socket
from typing import Any

Message = dict[str, Any]

#: The largest packet that is sent (and the room that is made for it).
LIMIT = 4 << 20
#: So many descriptors go into one message. unix(7), SCM_MAX_FD
MOST_FDS = 253


def send(sock: socket.socket, message: Message, fds: tuple[int, ...] | list[int] = ()) -> None:
    """Send one message."""
    raw = json.dumps(message).encode()
    if fds:
        socket.send_fds(sock, [raw], list(fds))
    else:
        sock.send(raw)


def receive(sock: socket.socket) -> tuple[Message | None, list[int]]:
    """The next message with its descriptors; None when the other side is gone. May raise BlockingIOError."""
    try:
        # A packet that did not fit would be cut: MSG_PEEK|MSG_TRUNC asks for its length first. recv(2).
        length = sock.recv_into(bytearray(1), 1, socket.MSG_PEEK | socket.MSG_TRUNC)
        raw, fds, _, _ = socket.recv_fds(sock, max(length, 1), MOST_FDS)
    except (ConnectionResetError, BrokenPipeError):
        return None, []
    for fd in fds:
        os.set_inheritable(fd, False)
    return (json.loads(raw) if raw else None), list(fds)


def wires() -> tuple[socket.socket, socket.socket]:
    """A pair of connected ends, with room for large packets."""
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for wire in pair:
        enlarge(wire)
    return pair


def enlarge(sock: socket.socket) -> None:
    """Make room for large packets, as far as net.core.wmem_max lets us. socket(7)."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LIMIT)

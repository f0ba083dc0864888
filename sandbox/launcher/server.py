"""The launcher's process: from its fork to its end."""

import gc
import os
import socket
from typing import NoReturn

from ..linux import syscalls
from ..store import Home
from . import adoption, requests
from .launcher import Launcher


def main(runtime: str, home: str, listener: socket.socket, keeper: socket.socket,
         held: dict[str, dict[str, int]], exits: dict[int, int]) -> NoReturn:  # fmt: skip
    """Be the launcher. `held` and `exits` are the keeper's, inherited."""
    try:
        syscalls.set_name("sandbox-launch")
        launcher = Launcher(Home(home, runtime), listener, keeper, requests.HANDLERS)
        adoption.adopt_all(launcher, held, exits)
        # What lives until now lives for ever; and a child never collects: it would copy every page it looks at.
        gc.freeze()
        gc.disable()
        launcher.run()
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(1)

"""Another program, run to its end for a new container: an installer, or a template of somebody else's.

It is PID 1 of a namespace, so that nothing is left of it, whatever happens: when we die, it is killed, and with it all that it
started; what it mounted nobody else has seen, and is gone.
"""

import os
from collections.abc import Callable, Sequence

from ..errors import SandboxError

_TIED = ("setpriv", "--pdeathsig", "KILL", "--", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
#: So many of its last lines are told when it fails.
_LAST = 8


def run(command: Sequence[str], heard: Callable[[str], None]) -> None:
    """Run a program, and hand on each line that it writes. It is root, if only of its own files where we are an ordinary user.

    Raises SandboxError: it failed.
    """
    import subprocess

    environment = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    mapped = ("--user", "--map-root-user") if os.geteuid() else ()
    last: list[str] = []
    # In a session of its own: Ctrl-C is for us, and we end it.
    with subprocess.Popen(
        [*_TIED, *mapped, "--", *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=environment, text=True, errors="replace", start_new_session=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout
            for line in process.stdout:
                heard(line.rstrip())
                last = [*last, line.rstrip()][-_LAST:]
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise SandboxError(f"{os.path.basename(command[0])} failed with {process.returncode}", condition="\n".join(last))

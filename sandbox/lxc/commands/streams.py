"""What the commands share that run a program and have its exit code."""

import argparse
import errno

from ... import terminal
from ...errors import KernelRefused
from ...job import Job
from . import Terminal, complain

#: The shell's codes for a program that can't be run, and for one that is not there, which LXC has, too.
CANNOT_RUN, NO_PROGRAM = 126, 127


def follow(job: Job, asked: argparse.Namespace, io: Terminal) -> int:
    """Be the streams of a job, or its terminal, until it ends; returns its exit code."""
    if io.show:
        io.show(job)
    else:
        terminal.carry(job, stdin=True)
    if not job.done:  # it has a terminal in the notebook
        return 0
    try:
        return job.result().exit_code
    except KernelRefused as error:
        if error.step != "Exec":
            raise
        complain(asked, error)
        return NO_PROGRAM if error.errno in (errno.ENOENT, errno.ENOTDIR) else CANNOT_RUN

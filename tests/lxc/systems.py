"""Containers that were made by lxc-create, and somebody who logs in."""

from pathlib import Path

import pytest

from sandbox import Container
from sandbox.images import busybox
from sandbox.job import Job
from tests.system import read_until

STATIC = next(filter(busybox.is_static, busybox.PLACES), "")
needs_busybox = pytest.mark.skipif(not STATIC, reason="needs a static busybox: apt install busybox-static")


def password_of(box: Container) -> str:
    """What tmp_root_pass says."""
    return Path(box.home.folder(box.name), "tmp_root_pass").read_text().strip()


def log_in(box: Container, tty: int = 0, password: str = "") -> Job:
    """Be root at one of its terminals, with its temporary password, or another."""
    job = box.attach(tty)
    job.write(b"\n")  # what it showed before anybody looked is gone
    read_until(job, b"login: ")
    job.write(b"root\n")
    read_until(job, b"assword: ")
    job.write(f"{password or password_of(box)}\n".encode())
    read_until(job, b"# ")
    return job


def program(tmp_path: Path, text: str) -> str:
    """A template of LXC's kind: a program."""
    path = tmp_path / "lxc-template"
    path.write_text(f"#!/bin/sh\n{text}")
    path.chmod(0o755)
    return str(path)

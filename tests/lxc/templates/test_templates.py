"""The folder of templates is the list of them."""

import os

import pytest

from sandbox.errors import NotFound
from sandbox.lxc import templates


def test_each_file_in_the_folder_is_one() -> None:
    files = {name.removesuffix(".py") for name in os.listdir(os.path.dirname(templates.__file__)) if name.endswith(".py")}
    assert {"busybox", "debian", "host"} <= files
    assert templates.names() == tuple(sorted(files - {"__init__"}))


def test_each_says_in_one_line_what_it_is_for() -> None:
    lines = templates.listing().splitlines()
    assert [line.split()[0] for line in lines] == list(templates.names())
    assert all(len(line) < 110 and len(line.split()) > 3 for line in lines)


def test_what_is_no_name_of_one_is_not_found() -> None:
    for name in ("", "nosuch", "__init__", "busybox.py", "..", "busybox/"):
        with pytest.raises(NotFound, match="busybox, debian, host"):
            templates.get(name)

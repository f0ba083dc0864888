"""`%cgroups` and `%lxc_top`: what containers use, live. Both return at once."""

import importlib.util

import sandbox

from .container_magic import Session
from .lxc_magics import finish, lxc, parse, split
from .parser import Parser
from .untrusted import visible


def cgroups(session: Session, line: str) -> None:
    """The plots of the containers that are named, or of all that run, also of those that are started later."""
    parser = Parser("%cgroups", "What containers use, live, against their limits, which can be turned: %cgroups [NAME …]")
    found, names = parser.parse_line(line)
    if found.help:
        print(parser.format_help())
        return
    for name in names:
        sandbox.Container.get(name)
    sampler = sandbox.Sampler(*names)
    if not session.in_notebook or importlib.util.find_spec("anywidget") is None:
        with sampler:
            sampler.sample()
            print(visible(str(sampler)))
        return
    from .pictures.cgroups import CgroupsView

    CgroupsView(sampler)._ipython_display_()


def top(session: Session, command: str, line: str) -> None:
    """LXC's lxc-top in a cell: a table that goes on living. With -b, or where there are no widgets, the table once."""
    words = split(line)
    asked = parse(session, command, words)
    if asked is None:
        return
    if not session.in_notebook or asked.batch or importlib.util.find_spec("anywidget") is None:
        return lxc(session, command, line)
    from .pictures.top import TopView

    def show() -> int:
        delay = sandbox.lxc.commands.module(asked.command).delay_of(asked)
        TopView(asked.home, asked.sort, asked.reverse, delay)._ipython_display_()
        return 0

    finish(session, asked, show)

"""LXC's commands as line magics, with LXC's own options. Each is a row of `COMMANDS`."""

from collections.abc import Callable

import sandbox
from sandbox import InvalidOption

from .container_magic import Session
from .interrupt import Interrupt
from .parser import Parser
from .streaming import OUTPUT_LIMIT, Printer


def lxc_info(session: Session, line: str) -> None:
    """Show what is known of a container: %lxc_info [-n NAME] [-s] [-p] [-i] [-S] [-H]. Without -n: of the last one."""
    parser = Parser("%lxc_info", "What is known of a container, running or ended; all of it, or only what is asked for.")
    parser.add_argument("-n", "--name", metavar="NAME", help="the container (default: the last one of this notebook)")
    for part, what in zip(sandbox.lxc.info.PARTS, ("its state", "its PID 1", "its addresses", "what it used"), strict=True):
        letter = "S" if part == "stats" else part[0]
        parser.add_argument(f"-{letter}", f"--{part}", dest="parts", action="append_const", const=part, help=what)
    parser.add_argument("-H", "--no-humanize", dest="humanize", action="store_false", help="plain numbers")
    found, words = parser.parse_line(line)
    if found.help:
        print(parser.format_help())
        return
    name = _name(session, parser, [found.name, *words] if found.name else words)
    asked = found.parts or ()
    parts = [part for part in sandbox.lxc.info.PARTS if part in asked]
    print(sandbox.lxc.info.info_text(sandbox.Container(name).info(), parts, humanize=found.humanize), end="")


def lxc_ls(session: Session, line: str) -> None:
    """List the containers: %lxc_ls [-f] [-1] [--running] [--frozen] [--stopped] [--active]."""
    parser = Parser("%lxc_ls", "The containers that run, and those that rest on the shelf.")
    parser.add_argument("-f", "--fancy", action="store_true", help="a table")
    parser.add_argument("-1", "--line", action="store_true", help="one name a line")
    states = {"running": ["RUNNING"], "frozen": ["FROZEN"], "stopped": ["STOPPED"], "active": ["RUNNING", "FROZEN"]}
    for word, names in states.items():
        what = f"only those that are {' or '.join(names)}"
        parser.add_argument(f"--{word}", dest="states", action="append_const", const=names, help=what)
    found, words = parser.parse_line(line)
    if words:
        parser.error(f"what is {words[0]!r}?")
    if found.help:
        print(parser.format_help())
        return
    wanted = {name for names in found.states or states.values() for name in names}
    shown = [info for info in sandbox.containers() if info.state in wanted]
    if found.fancy:
        text = sandbox.lxc.info.table_text(shown, lambda name: "user" in sandbox.Container(name).spec.namespaces)
    else:
        text = sandbox.lxc.info.names_text(shown, line=found.line)
    print(text, end="")


def lxc_checkconfig(session: Session, line: str) -> None:
    """Show what this machine allows: LXC's report, then what this project can do here."""
    Parser("%lxc_checkconfig").parse_line(line)
    print(sandbox.lxc.checkconfig.report(), end="")


def container_logs(session: Session, line: str) -> None:
    """Show what a container wrote: %container_logs [NAME] [--output-limit SIZE]. Without NAME: the last one."""
    parser = Parser("%container_logs", "What a container wrote, running or ended; the beginning and the end of it.")
    parser.add_argument("--output-limit", dest="limit", metavar="SIZE", help="how much the cell shows (default 1m)")
    found, words = parser.parse_line(line)
    if found.help:
        print(parser.format_help())
        return
    name = _name(session, parser, words)
    limit = OUTPUT_LIMIT if found.limit is None else sandbox.values.size(found.limit)
    printer = Printer(limit, f"more of it: %container_logs {name} --output-limit 16m")
    with Interrupt() as interrupt:
        for _, stream, data in sandbox.Container(name).logs():
            printer.feed(stream, data)
            printer.show()
            if interrupt.noted:
                break
        printer.finish(stop=lambda: interrupt.noted)


def _name(session: Session, parser: Parser, words: list[str]) -> str:
    """The one container that is meant."""
    if len(words) > 1:
        parser.error(f"one name, please, and not {len(words)}: {' '.join(words)}")
    if not words and not session.last:
        raise InvalidOption(f"{parser.prog}: of which container?", cure="no cell of this notebook made one yet: give its name")
    return words[0] if words else session.last


#: Every line magic: its name, and what it does.
COMMANDS: dict[str, Callable[[Session, str], None]] = {
    command.__name__: command for command in (lxc_info, lxc_ls, lxc_checkconfig, container_logs)
}

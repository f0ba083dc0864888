"""The one vocabulary: the same options, with the same names and values, in Python, in cells and in a shell.

`OPTIONS` is the only list of them. From it come the arguments of any argparse parser, the check of Python's keywords, the
table in the documentation, and, through `spec_from`, the Spec. Python's `read_only=True` is the shell's `--read-only`.
"""

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from . import scripts, values
from .errors import InvalidOption, NotPossibleHere, SandboxError
from .images.image import Image
from .immutable import immutable
from .primitives import capabilities
from .spec import DEFAULT_CAPABILITIES, DEFAULT_NETWORK, NAMESPACES, Network, Process, Resources, Root, Spec
from .store import check_name

if TYPE_CHECKING:
    import argparse


def capability(value: object) -> str:
    """A capability's name, or "ALL"."""
    word = values.text(value).upper()
    return word if word == "ALL" else capabilities.parse([word])[0]


@immutable
class Option:
    """One option. `parse` takes text or a Python value, `text` writes what it returned back; no `metavar`: yes or no."""

    name: str
    parse: Callable[[Any], Any]
    metavar: str
    help: str
    flags: tuple[str, ...] = ()  # further spellings
    repeatable: bool = False
    text: Callable[[Any], str] = str

    @property
    def spellings(self) -> tuple[str, ...]:
        """As it is written in a shell, the long one first."""
        return (f"--{self.name.replace('_', '-')}", *self.flags)


#: Those that set a field of Resources.
LIMITS = (
    Option("memory", values.memory, "SIZE", "memory limit: 64m, 1.5g, or max (default 512m)", ("-m",), text=values.size_text),
    Option("swap", values.size, "SIZE", "swap on top of the memory limit (default 0)", text=values.size_text),
    Option("cpus", values.cpus, "N", "how many CPUs' time it may use: 0.5, 2", text=values.cpus_text),
    Option("cpu_weight", values.whole(1, 10000), "N", "its share when CPUs are scarce, 1 … 10000 (default 100)"),
    Option("cpuset", values.cpuset, "LIST", "the CPUs it may run on: 0-1,3", ("--cpuset-cpus",)),
    Option("pids", values.pids, "N", "how many processes and threads, or max (default 512)", ("--pids-limit",),
           text=lambda n: "max" if n is None else str(n)),
)  # fmt: skip

OPTIONS = (
    Option("name", check_name, "NAME", "its name (default: two friendly words)"),
    *LIMITS,
    Option("hostname", values.hostname, "NAME", "its host name (default: its name)"),
    Option("env", values.env, "NAME[=VALUE]", "an environment variable; a bare name is taken from yours", ("-e",), True),
    Option("workdir", values.workdir, "DIR", "where it starts", ("-w",)),
    Option("user", values.user, "USER[:GROUP]", "as whom it runs, by name or number (default: root, inside)", ("-u",)),
    Option("volume", values.volume, "SOURCE:DIR[:rw]", "show it a file or folder of the host; it may write only with :rw",
           ("-v",), True, values.volume_text),
    Option("read_only", values.flag, "", "its root can't be written to"),
    Option("cap_add", capability, "CAP", "a capability more, or ALL: NET_ADMIN", (), True),
    Option("cap_drop", capability, "CAP", "a capability less, or ALL", (), True),
    Option("seccomp", values.one_of("default", "unconfined"), "PROFILE", "the filter of system calls: default or unconfined"),
    Option("network", values.network, "NETWORK", "none: loopback alone (default); bridge: our default one, or another's name; "
           "host: the host's; container:NAME: another container's", ("--net",), True),
    Option("publish", values.publish, "PORT:PORT[/udp]", "let a port of the host lead to one of the container", ("-p",), True,
           values.publish_text),
    Option("share", values.namespace, "NAMESPACE", "do not isolate this: network, pid, ipc, uts, cgroup, time or user",
           (), True),
    Option("userns", values.one_of("host", "private"), "host", "host: no user namespace; root inside IS root outside"),
    Option("timeout", values.duration, "TIME", "end it after this time: 10s, 2m", text=values.duration_text),
    Option("init", values.flag, "", "a small init is PID 1: it reaps orphans and hands signals on"),
    Option("tty", values.flag, "", "give it a terminal", ("-t",)),
    Option("interpreter", scripts.interpreter, "PROGRAM", "what runs the script's text: python3, bash -e (default: /bin/sh)",
           text=lambda words: " ".join(words[:-1])),
    Option("detach", values.flag, "", "start it and return at once", ("-d", "--bg")),
    Option("keep", values.flag, "", "keep its files when it has ended"),
)  # fmt: skip

BY_NAME = {option.name: option for option in OPTIONS}


def add_arguments(parser: "argparse.ArgumentParser", only: Collection[str] | None = None) -> None:
    """Give a parser these options (all, or `only` some). What is not given is not in its result: see `given`."""
    import argparse  # ten milliseconds, and Python callers need none of it

    for option in OPTIONS:
        if only is None or option.name in only:
            kind: dict[str, Any] = {"action": "append" if option.repeatable else "store", "metavar": option.metavar}
            if not option.metavar:
                kind = {"action": "store_true"}
            parser.add_argument(*option.spellings, dest=option.name, default=argparse.SUPPRESS, help=option.help, **kind)


def given(namespace: "argparse.Namespace") -> dict[str, Any]:
    """The options that were given to a parser, as the keywords of `spec_from`."""
    return {name: value for name, value in vars(namespace).items() if name in BY_NAME}


def parsed(options: Mapping[str, Any]) -> dict[str, Any]:
    """Every given option (not None) with its checked value, a tuple for those that may be repeated. Raises InvalidOption."""
    found: dict[str, Any] = {}
    for name, value in options.items():
        option = BY_NAME.get(name)
        if option is None:
            raise InvalidOption(f"unknown option {name!r}", cure=_alike(name))
        if value is None:
            continue
        try:
            found[name] = tuple(map(option.parse, _words(value))) if option.repeatable else option.parse(value)
        except SandboxError as error:
            raise InvalidOption(f"{name}: {error.message}", condition=error.condition, cure=error.cure) from None
    return found


def _words(value: object) -> Iterable[object]:
    if isinstance(value, Mapping):  # environment variables
        return [f"{key}={content}" for key, content in value.items()]
    return value if isinstance(value, Iterable) and not isinstance(value, (str, bytes)) else [value]


def _alike(name: str) -> str:
    import difflib

    alike = difflib.get_close_matches(name, BY_NAME, 1)
    return f"did you mean {alike[0]}?" if alike else f"there are: {', '.join(BY_NAME)}"


def describe() -> str:
    """The vocabulary as a Markdown table."""
    rows = ["| shell and cell | Python | meaning |", "|---|---|---|"]
    for option in OPTIONS:
        shell = f"{', '.join(option.spellings)} {option.metavar}".strip()
        again = "; may be repeated" if option.repeatable else ""
        rows.append(f"| `{shell}` | `{option.name}` | {option.help}{again} |")
    return "\n".join(rows)


def spec_from(image: Image, command: Sequence[str] | str | None = None, **options: Any) -> Spec:
    """What is wanted, as a Spec. A text is a script (for /bin/sh, if nothing else is said), a list is a program's arguments.

    The names of limits that were given are kept as the annotation "explicit": such a limit is refused where it can't be
    set, while a default one is only dropped with a warning.

    Raises:
        InvalidOption: an option is unknown, or a value makes no sense; or two contradict each other.
        NotPossibleHere: an ordinary user wants no user namespace.
    """
    chosen = parsed(options)
    limits = {option.name: chosen[option.name] for option in LIMITS if option.name in chosen}
    config = image.config
    devices, joined = _networks(chosen)
    terminal = chosen.get("tty", False)
    return Spec(
        name=chosen.get("name", ""),
        image=image.name,
        hostname=chosen.get("hostname", ""),
        process=Process(
            args=(*config.entrypoint, *_arguments(config.cmd if command is None else command, chosen.get("interpreter", ()))),
            env=_environment(config.env, chosen.get("env", ()), terminal),
            cwd=chosen.get("workdir", config.cwd),
            user=chosen.get("user", config.user),
            terminal=terminal,
            capabilities=_capabilities(chosen.get("cap_add", ()), chosen.get("cap_drop", ())),
            init=chosen.get("init", False),
        ),
        root=Root(layers=image.layers, readonly=chosen.get("read_only", False)),
        mounts=(*image.mounts, *chosen.get("volume", ())),
        namespaces=_namespaces(chosen),
        resources=Resources(**{"memory": Spec.resources.memory, "pids": Spec.resources.pids, **limits}),
        seccomp=chosen.get("seccomp", Spec.seccomp),
        timeout=chosen.get("timeout"),
        networks=devices,
        join_network=joined,
        annotations=(("explicit", ",".join(limits)),) if limits else (),
    )


def _arguments(command: Sequence[str] | str, interpreter: tuple[str, ...]) -> tuple[str, ...]:
    if isinstance(command, str):
        return scripts.script(command, interpreter)
    if interpreter:
        raise InvalidOption("interpreter: the command is a list, and no script", cure="give the script as one text")
    if not command:
        raise InvalidOption("there is no command to run")
    return tuple(map(values.text, command))


def _environment(image: tuple[str, ...], wanted: tuple[str, ...], terminal: bool) -> tuple[str, ...]:
    words = [*Process.env, "LANG=C.UTF-8", *image]
    if terminal:
        words.append(f"TERM={os.environ.get('TERM') or 'xterm'}")
    return tuple(f"{name}={value}" for name, value in dict(word.split("=", 1) for word in (*words, *wanted) if word).items())


def _capabilities(add: tuple[str, ...], drop: tuple[str, ...]) -> tuple[str, ...]:
    """Docker's rule: dropping ALL leaves those that are added; otherwise what is dropped is gone, added or not."""
    if "ALL" in drop:
        return capabilities.parse(add)
    dropped = capabilities.parse(drop)
    return tuple(name for name in capabilities.parse((*DEFAULT_CAPABILITIES, *add)) if name not in dropped)


def _networks(chosen: dict[str, Any]) -> tuple[tuple[Network, ...], str]:
    """Its network devices, and the container whose network it shares instead. Who publishes a port wants a network."""
    words, ports = chosen.get("network", ()), chosen.get("publish", ())
    alone = [word for word in words if word in ("none", "host") or word.startswith("container:")]
    if alone and (len(words) > 1 or ports):
        other = "publish" if ports else "another network"
        raise InvalidOption(f"network: {alone[0]} goes with nothing else", cure=f"leave out {alone[0]}, or {other}")
    if ports and not words:
        words = ("bridge",)
    names = dict.fromkeys(DEFAULT_NETWORK if word == "bridge" else word for word in words if word not in alone)
    devices = [Network(network=name) for name in names]
    if ports:
        devices[0] = replace(devices[0], publish=ports)
    return tuple(devices), "".join(alone).removeprefix("container:") if alone and ":" in alone[0] else ""


def _namespaces(chosen: dict[str, Any]) -> tuple[Any, ...]:
    shared = set(chosen.get("share", ()))
    if "host" in chosen.get("network", ()):
        shared.add("network")
        del chosen["network"]
    if chosen.get("userns") == "host":
        shared.add("user")
    if "user" in shared and os.geteuid() != 0:
        raise NotPossibleHere(
            "share: only root can do without a user namespace",
            condition=f"we are user {os.geteuid()}, and only in a user namespace may we make the others",
            cure="leave out --userns host and --share user",
        )
    for kind, option in (("uts", "hostname"), ("network", "network")):
        if kind in shared and option in chosen:
            raise InvalidOption(f"{option}: it would change the host's, as that is shared", cure=f"leave out --share {kind}")
    return tuple(name for name in NAMESPACES if name not in shared)

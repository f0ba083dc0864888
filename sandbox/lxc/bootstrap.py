"""Debian's packages, put together to a root file system by the machine's own tool: mmdebstrap(1), else debootstrap(8).

They come from the mirror that apt is configured with here: no address of a mirror is written in our files.
"""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..errors import InvalidOption, NotPossibleHere
from . import tool

_WORD = re.compile(r"[a-z0-9][a-z0-9.+:-]*")


@dataclass(frozen=True)
class Source:
    """Where apt gets packages from: one suite of one archive. sources.list(5)."""

    uri: str
    suite: str
    components: tuple[str, ...] = ("main",)
    signed_by: str = ""

    @property
    def line(self) -> str:
        """In one-line style."""
        options = f"[signed-by={self.signed_by}] " if self.signed_by else ""
        return f"deb {options}{self.uri} {self.suite} {' '.join(self.components)}"


def sources(release: str, mirror: str = "", etc: str = "/etc/apt") -> list[Source]:
    """Where a release comes from: `mirror`, or what apt uses here. Another release is taken from the same archive.

    Raises:
        InvalidOption: that is no name of a release, or no address.
        NotPossibleHere: apt is not here, or uses no archive of Debian.
    """
    check(release)
    if mirror:
        if not re.fullmatch(r"[a-z+]+:/\S+", mirror):
            raise InvalidOption(f"{mirror!r} is no address of a mirror", cure="write it as in sources.list(5)")
        return [Source(mirror, release)]
    found = [source for source in _configured(etc) if _is_debians(source)]
    same = [source for source in found if re.split("[-/]", source.suite)[0] == release]
    if any(source.suite == release for source in same):
        return same
    for source in found:
        if not set(source.suite) & set("-/"):
            return [Source(source.uri, release, ("main",), source.signed_by)]
    raise NotPossibleHere(
        "it is not known where Debian's packages can be had",
        condition=f"{etc}/sources.list and {etc}/sources.list.d name no archive of Debian",
        cure="name one: lxc-create … -- --mirror URL --release NAME",
    )


def check(*words: str) -> None:
    """Raises InvalidOption for what can't be a release, an architecture or a package."""
    for word in words:
        if not _WORD.fullmatch(word):
            raise InvalidOption(f"{word!r} is no name that Debian would use", cure="use a-z, 0-9, '.', '+', '-'")


def install(
    root: str, found: list[Source], release: str, arch: str, packages: tuple[str, ...], tell: Callable[[str], None]
) -> None:
    """Fill the empty folder `root` with what is essential, apt, and these packages. Takes a minute.

    Raises:
        NotPossibleHere: there is no tool for it.
        SandboxError: the tool failed; its last lines say why.
    """
    import shutil  # only where something is installed: `lxc-create --help` loads every template

    names = f"--include={','.join(packages)}"
    if shutil.which("mmdebstrap"):
        hooks = "/usr/share/mmdebstrap/hooks/maybe-merged-usr"  # or the package usrmerge and with it all of Perl is taken in
        command = ["mmdebstrap", "--variant=minbase", f"--architectures={arch}", names]
        command += [f"--hook-dir={hooks}"] if os.path.isdir(hooks) else []
        command += [release, root, *(source.line for source in found)]
    elif program := shutil.which("debootstrap", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"):
        first = next(source for source in found if source.suite == release)
        command = [program, "--variant=minbase", f"--arch={arch}", names]
        command += [f"--keyring={first.signed_by}"] if first.signed_by else []
        command += [release, root, first.uri]
    else:
        raise NotPossibleHere("nothing here can install a Debian", cure="apt install mmdebstrap")
    tool.run(command, lambda line: tell(line[3:]) if line.startswith("I: ") else None)  # so both tools say what they do


# --- what apt is configured with ------------------------------------------------------------------------------------


def _configured(etc: str) -> Iterator[Source]:
    """All sources of binary packages, file by file. sources.list(5)."""
    more = f"{etc}/sources.list.d"
    found = sorted(os.listdir(more)) if os.path.isdir(more) else []
    for path in [f"{etc}/sources.list", *(f"{more}/{name}" for name in found)]:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError:
            continue
        if path.endswith(".sources"):
            for stanza in re.split(r"\n\s*\n", re.sub(r"(?m)^#.*\n?", "", text)):
                yield from _stanza(stanza)
        elif path.endswith(".list"):
            for line in text.splitlines():
                yield from _line(line)


def _stanza(text: str) -> Iterator[Source]:
    """One source in deb822 style."""
    fields = {key.lower(): value.split() for key, value in re.findall(r"(?m)^([\w-]+):((?:.*\n?)(?:[ \t].*\n?)*)", text)}
    if "deb" in fields.get("types", ()) and fields.get("enabled") != ["no"]:
        # The key itself may stand there instead of its file; then the machine's own keys have to do.
        signed_by = next((word for word in fields.get("signed-by", ()) if word.startswith("/")), "")
        for uri in fields.get("uris", ()):
            for suite in fields.get("suites", ()):
                yield Source(_uri(uri), suite, tuple(fields.get("components", ())), signed_by)


def _line(text: str) -> Iterator[Source]:
    """One source in one-line style."""
    found = re.fullmatch(r"\s*deb\s+(?:\[(.*?)\]\s+)?(\S+)\s+(\S+)\s+([^#]+?)\s*(?:#.*)?", text)
    if found:
        options = dict(word.partition("=")[::2] for word in (found[1] or "").split())
        yield Source(_uri(found[2]), found[3], tuple(found[4].split()), options.get("signed-by", ""))


def _uri(text: str) -> str:
    """The mirror itself, where a file lists several. apt-transport-mirror(1)."""
    if text.startswith("mirror+file:"):
        with open(text.removeprefix("mirror+file:"), encoding="utf-8") as file:
            return next((word for line in file for word in line.split()[:1] if word[0] != "#"), text)
    return text


def _is_debians(source: Source) -> bool:
    """Others have suites of the same names; their keys are called otherwise."""
    return "main" in source.components and "debian" in (os.path.basename(source.signed_by) or "debian")

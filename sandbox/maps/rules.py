"""Rules of nf_tables, in words: those of our own tables, as nft(8) lists them."""

import re
import subprocess
from collections.abc import Iterable

from ..primitives.network import find_program

#: A line of a table → what it does, said for people. The first that matches is meant.
_WORDS = (
    (r"(?:ip|ip6) saddr (\S+) oifname != \S+ masquerade", "who comes from {0} and leaves it is seen with the host's address"),
    (r"(?:ip|ip6) saddr (\S+) oifname \S+ ct status dnat masquerade",
     "who comes from {0} by a published port is seen as the host"),
    (r'ip saddr 127\S+ oifname "(\S+)" masquerade', "the host's own calls to published ports come from its address on {0}"),
    (r'iifname "(\S+)" oifname "\1" accept', "who is on {0} reaches the others on it"),
    (r"ct state .*established.* accept", "answers to what was asked are let through"),
    (r"ct status dnat accept", "what comes by a published port is let in"),
    (r'iifname "(\S+)" ip daddr 127\S+ drop', "nobody on {0} reaches the host's loopback"),
    (r'^oifname "(\S+)" drop', "nothing else gets into {0}: not from outside, and not from another network"),
    (r'iifname "(\S+)" oifname != "\1" drop', "{0} forwards for our networks only"),
    (r"(?:ip|ip6) daddr (\S+) (tcp|udp) dport (\d+) dnat \S+ to (\S+)", "port {2}/{1} of the host's {0} leads to {3}"),
    (r"(tcp|udp) dport (\d+) dnat \S+ to (\S+)", "port {1}/{0} of the host leads to {2}"),
)  # fmt: skip


def read(tables: Iterable[str]) -> dict[str, str]:
    """The rules of these tables of the family inet, as nft(8) prints them; one that is not there is left out."""
    program = find_program("nft")
    found = {}
    for table in tables if program else ():
        words = [program, "list", "table", "inet", table]
        done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, start_new_session=True)
        if done.returncode == 0:
            found[table] = done.stdout
    return found


def explained(table: str) -> list[str]:
    """What the rules of a table do, each thing once."""
    told = []
    for line in map(str.strip, table.splitlines()):
        for pattern, words in _WORDS:
            if found := re.search(pattern, line):
                told.append(words.format(*found.groups()))
                break
    return list(dict.fromkeys(told))

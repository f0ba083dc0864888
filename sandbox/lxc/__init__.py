"""LXC's words: its configuration, its commands, its reports. A door like the others: above it stand the nouns."""

from . import checkconfig, info

__all__ = ["checkconfig", "info"]

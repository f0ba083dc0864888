"""Text tables: columns as wide as they must be."""

from collections.abc import Iterable, Sequence

from .errors import plain


def lines(rows: Iterable[Sequence[str]]) -> list[str]:
    """The rows of a table, one line each. What a container may have named stays plain text."""
    cells = [[plain(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def tree(children: dict[int, list[int]], root: int, indent: str = "") -> Iterable[tuple[str, int]]:
    """A tree as lines: what to draw in front of each, and which it is; the root's own children come right below it."""
    below = children.get(root, [])
    for number, child in enumerate(below, 1):
        last = number == len(below)
        yield indent + ("└ " if last else "├ "), child
        yield from tree(children, child, indent + ("  " if last else "│ "))

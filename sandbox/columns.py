"""What people read: a table as text, in columns as wide as they must be, and sizes in it."""

from collections.abc import Iterable, Sequence

from .errors import plain


def columns(rows: Iterable[Sequence[str]]) -> str:
    """Rows of cells, which may come from anybody: what a terminal would obey is made visible."""
    cells = [[plain(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells)


def amount(size: float | None) -> str:
    """A size for people: "64.0 MiB"; "–" for one that is not known (None, or not a number)."""  # noqa: RUF002
    if size is None or size != size:
        return "–"  # noqa: RUF001
    if size < 1024:
        return f"{size:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        size /= 1024
        if size < 1024 or unit == "GiB":
            break
    return f"{size:.1f} {unit}"


def tree(children: dict[int, list[int]], root: int, indent: str = "") -> Iterable[tuple[str, int]]:
    """A tree as lines: what to draw in front of each, and which it is; the root's own children come right below it."""
    below = children.get(root, [])
    for number, child in enumerate(below, 1):
        last = number == len(below)
        yield indent + ("└ " if last else "├ "), child
        yield from tree(children, child, indent + ("  " if last else "│ "))

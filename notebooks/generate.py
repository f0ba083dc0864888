"""Make the notebooks from their sources: `python notebooks/generate.py`, or `make notebooks`.

    src/NN_topic.py   the lesson, in English (py:percent)      → NN_topic.ipynb
    src/zh.po         its translation, one message a cell      → zh/NN_topic.ipynb

A cell begins with `# %% id="…"`, or `# %% [markdown] id="…"`, and `tags=["…"]` where it has some. Its id never changes: it is
the cell's id in every notebook, and the context of its message. So that the source is Python, magics are commented out: a
line of a code cell that begins with `# %` or `# !`, and the whole of a cell that begins with `# %%`.

The PO file is brought up to date as well: a new cell gets an empty message, and one that was changed is marked "fuzzy" and
shows in English until somebody has looked at it. Markdown must be translated; in code only words and comments may differ.
"""

import ast
import json
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
SOURCES = FOLDER / "src"
LANGUAGES = ("zh",)
#: What gettext's tools want to find on top of a PO file.
HEADER = "Language: {}\nMIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\n"

_MARKER = re.compile(
    r'# %% (?P<markdown>\[markdown\] )?id="(?P<id>[a-z0-9-]{1,64})"(?: tags=(?P<tags>\[.*\]))?'
)


@dataclass(frozen=True)
class Cell:
    """A cell of a lesson. `line` is where it begins in the source."""

    id: str
    kind: str  # "markdown" or "code"
    text: str
    tags: tuple[str, ...]
    line: int


def lessons() -> list[Path]:
    """The sources of all lessons."""
    return sorted(SOURCES.glob("[0-9][0-9]_*.py"))


def read(source: Path) -> list[Cell]:
    """The cells of a lesson. Raises ValueError for what is no cell."""
    cells: list[Cell] = []
    lines: list[str] = []
    begun: tuple[re.Match[str], int] | None = None
    for number, line in enumerate([*source.read_text().splitlines(), "# %% "], 1):
        if not line.startswith("# %% "):
            lines.append(line)
            continue
        if begun:
            cells.append(_cell(*begun, "\n".join(lines).strip("\n").split("\n")))
        elif any(lines):
            raise ValueError(
                f"{source.name}: line {number} is the first of a cell, but there is something above it"
            )
        found = _MARKER.fullmatch(line)
        if not found and line != "# %% ":
            raise ValueError(f"{source.name}:{number}: {line!r} begins no cell")
        begun, lines = (found, number) if found else None, []
    return cells


def _cell(marker: re.Match[str], line: int, lines: list[str]) -> Cell:
    markdown = bool(marker["markdown"])
    if markdown or lines[0].startswith("# %%"):
        lines = [line[2:] if line.startswith("# ") else line.removeprefix("#") for line in lines]
    else:
        lines = [line[2:] if line.startswith(("# %", "# !")) else line for line in lines]
    kind = "markdown" if markdown else "code"
    return Cell(marker["id"], kind, "\n".join(lines), tuple(json.loads(marker["tags"] or "[]")), line)


@dataclass(frozen=True)
class Message:
    """A cell in another language. `fuzzy`: the English has changed since; `text` is "" as long as there is none."""

    english: str
    text: str = ""
    fuzzy: bool = False


def messages(language: str) -> dict[str, Message]:
    """What a PO file holds, by its context: "NN_topic/cell-id". GNU gettext, "The Format of PO Files"."""
    found: dict[str, Message] = {}
    path = SOURCES / f"{language}.po"
    for block in path.read_text().split("\n\n") if path.exists() else ():
        field, fuzzy = "", False
        parts = {"msgctxt": "", "msgid": "", "msgstr": ""}
        for line in block.splitlines():
            if line.startswith("#"):
                fuzzy = fuzzy or line.startswith("#, fuzzy")
                continue
            if not line.startswith('"'):
                field, _, line = line.partition(" ")
            parts[field] += ast.literal_eval(line)
        if parts["msgid"]:
            found[parts["msgctxt"]] = Message(parts["msgid"], parts["msgstr"], fuzzy)
    return found


def updated(known: dict[str, Message]) -> dict[str, Message]:
    """The same with a message for every cell that there is now, and for no other."""
    made = {}
    for source in lessons():
        for cell in read(source):
            context = f"{source.stem}/{cell.id}"
            old = known.get(context, Message(cell.text))
            same = old.english == cell.text
            made[context] = old if same else Message(cell.text, old.text, fuzzy=bool(old.text))
    return made


def po_text(language: str, known: dict[str, Message]) -> str:
    """The text of a PO file."""
    blocks = ["\n".join(('msgid ""', *_quoted("msgstr", HEADER.format(language))))]
    for context, message in known.items():
        lines = [
            f"#: {context.split('/')[0]}.py",
            *(["#, fuzzy"] if message.fuzzy else []),
            f'msgctxt "{context}"',
        ]
        blocks.append(
            "\n".join((*lines, *_quoted("msgid", message.english), *_quoted("msgstr", message.text)))
        )
    return "\n\n".join(blocks) + "\n"


def _quoted(field: str, text: str) -> list[str]:
    first, *more = [
        json.dumps(line, ensure_ascii=False) for line in text.splitlines(keepends=True)
    ] or ['""']
    return [f'{field} ""', first, *more] if more else [f"{field} {first}"]


def translated(source: Path, cells: list[Cell], known: dict[str, Message]) -> list[Cell]:
    """The cells in another language; what is not translated stays as it is."""
    made = []
    for cell in cells:
        message = known.get(f"{source.stem}/{cell.id}")
        usable = message and message.text and not message.fuzzy and message.english == cell.text
        made.append(replace(cell, text=message.text) if message and usable else cell)
    return made


def notebook(cells: list[Cell]) -> str:
    """The text of a notebook file without outputs. nbformat 4.5"""
    made: list[dict[str, Any]] = []
    for cell in cells:
        one: dict[str, Any] = {"cell_type": cell.kind, "id": cell.id, "metadata": {}}
        if cell.tags:
            one["metadata"] = {"tags": list(cell.tags)}
        if "check" in cell.tags:  # shown folded: one click opens it
            one["metadata"]["jupyter"] = {"source_hidden": True}
        if cell.kind == "code":
            one |= {"execution_count": None, "outputs": []}
        made.append(one | {"source": cell.text.splitlines(keepends=True)})
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    whole = {"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def generated() -> dict[Path, str]:
    """Every notebook, by its path."""
    made = {}
    for source in lessons():
        cells = read(source)
        made[FOLDER / f"{source.stem}.ipynb"] = notebook(cells)
        for language in LANGUAGES:
            path = FOLDER / language / f"{source.stem}.ipynb"
            made[path] = notebook(translated(source, cells, messages(language)))
    return made


def main() -> None:
    for language in LANGUAGES:
        (SOURCES / f"{language}.po").write_text(po_text(language, updated(messages(language))))
    for path, text in generated().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        print(path.relative_to(FOLDER), file=sys.stderr)


if __name__ == "__main__":
    main()

"""Make the notebooks from their sources: `python notebooks/generate.py`, or `make notebooks`.

    src/NN_topic.py   the lesson, in English (py:percent)     → NN_topic.ipynb
    src/zh.po         its translation, one message a cell     → zh/NN_topic.ipynb

A cell begins with `# %% id="…"` or `# %% [markdown] id="…"`, with `tags=["…"]` behind it if it has any.
The id never changes: it is the cell's id in every notebook, and the context of its message. So that the
source is Python, magics are commented out: a line of a code cell that begins with `# %` or `# !`, and
the whole of a cell that begins with `# %%`.

The PO file is brought up to date as well: a new cell gets an empty message; one that was changed is
marked "fuzzy", and shows in English until somebody has looked at it. Markdown must be translated; code
may be, and then only its words differ.
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
HEADER = """\
Language: {}
MIME-Version: 1.0
Content-Type: text/plain; charset=UTF-8
Content-Transfer-Encoding: 8bit
"""

_MARKER = re.compile(r'^# %% (\[markdown\] )?id="([a-z0-9-]{1,64})"(?: tags=(\[.*\]))?$', re.MULTILINE)


@dataclass(frozen=True)
class Cell:
    """A cell of a lesson. `kind` is "markdown" or "code"."""

    id: str
    kind: str
    text: str
    tags: tuple[str, ...] = ()


def lessons() -> list[Path]:
    """The sources of all lessons."""
    return sorted(SOURCES.glob("[0-9][0-9]_*.py"))


def read(source: Path) -> list[Cell]:
    """The cells of a lesson. Raises ValueError for a line that only looks like a cell's first."""
    above, *parts = _MARKER.split(source.read_text())
    texts = parts[3::4]
    for line in "".join((above, *texts)).splitlines():
        if line.startswith("# %% "):
            raise ValueError(f"{source.name}: {line!r} begins no cell")
    cells = []
    for markdown, id, tags, text in zip(parts[::4], parts[1::4], parts[2::4], texts, strict=True):
        kind = "markdown" if markdown else "code"
        cells.append(
            Cell(id, kind, _uncommented(kind, text.strip("\n")), tuple(json.loads(tags or "[]")))
        )
    return cells


def _uncommented(kind: str, text: str) -> str:
    if kind == "markdown" or text.startswith("# %%"):
        return re.sub(r"^# ?", "", text, flags=re.MULTILINE)
    return re.sub(r"^# (?=[%!])", "", text, flags=re.MULTILINE)


@dataclass(frozen=True)
class Message:
    """A cell in another language; "" if it stays as it is. `fuzzy`: the English has changed since."""

    english: str
    text: str = ""
    fuzzy: bool = False


def messages(language: str) -> dict[str, Message]:
    """What a PO file holds, by context ("NN_topic/cell-id"). GNU gettext, "The Format of PO Files"."""
    found: dict[str, Message] = {}
    path = SOURCES / f"{language}.po"
    for block in path.read_text().split("\n\n") if path.exists() else ():
        field, parts = "", {"msgctxt": "", "msgid": "", "msgstr": ""}
        for line in block.splitlines():
            if line.startswith("#"):
                continue
            if not line.startswith('"'):
                field, _, line = line.partition(" ")
            parts[field] += ast.literal_eval(line)
        if parts["msgid"]:
            found[parts["msgctxt"]] = Message(parts["msgid"], parts["msgstr"], "\n#, fuzzy\n" in block)
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
    blocks = [_field("msgid", "") + _field("msgstr", HEADER.format(language))]
    for context, message in known.items():
        flag = "#, fuzzy\n" if message.fuzzy else ""
        fields = (
            _field("msgctxt", context)
            + _field("msgid", message.english)
            + _field("msgstr", message.text)
        )
        blocks.append(f"#: {context.split('/')[0]}.py\n{flag}{fields}")
    return "\n".join(blocks)


def _field(name: str, text: str) -> str:
    lines = [json.dumps(line, ensure_ascii=False) for line in text.splitlines(keepends=True)] or ['""']
    return "\n".join([name + " " + lines[0]] if len(lines) == 1 else [f'{name} ""', *lines]) + "\n"


def translated(source: Path, cells: list[Cell], known: dict[str, Message]) -> list[Cell]:
    """The cells in another language; what is not translated stays as it is."""
    made = []
    for cell in cells:
        message = known.get(f"{source.stem}/{cell.id}", Message(cell.text))
        valid = message.text and not message.fuzzy and message.english == cell.text
        made.append(replace(cell, text=message.text) if valid else cell)
    return made


def notebook(cells: list[Cell]) -> str:
    """The text of a notebook file without outputs. nbformat 4.5"""
    made: list[dict[str, Any]] = []
    for cell in cells:
        one: dict[str, Any] = {"cell_type": cell.kind, "id": cell.id, "metadata": {}}
        if cell.tags:
            one["metadata"]["tags"] = list(cell.tags)
        if "check" in cell.tags:  # shown folded: a click opens it
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

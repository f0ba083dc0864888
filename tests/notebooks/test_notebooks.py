"""The lessons: generated from one source, in every language the same; and all that they claim is true on this machine."""

import ast
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sandbox import host
from tests.conftest import REPOSITORY

from .conftest import GENERATED, NOTEBOOKS, generate
from .stage import ALONE, Cells, Run
from .wrong import WRONG

FOLDER = REPOSITORY / "notebooks"
#: More lines than this and a cell has to be scrolled.
SCREEN = 45

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: str(path.relative_to(FOLDER)))
each_lesson = pytest.mark.parametrize("lesson", generate.lessons(), ids=lambda path: path.stem)
#: To wait for one may be to wait for those before it, and for their boots.
PATIENCE = pytest.mark.timeout(900)
each_language = pytest.mark.parametrize("language", generate.LANGUAGES)


def cells_of(path: Path) -> Cells:
    return json.loads(path.read_text())["cells"]


def source_of(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


# --- generated ------------------------------------------------------------------------------------------------------


@each_notebook
def test_the_notebook_is_what_its_source_says(path):
    assert path.read_text() == GENERATED[path], "run `make notebooks`"


def test_there_is_no_notebook_without_a_source():
    assert sorted(FOLDER.rglob("*.ipynb")) == NOTEBOOKS


@each_notebook
def test_the_notebook_is_valid_and_holds_no_outputs(path):
    nbformat = pytest.importorskip("nbformat", reason="needs nbformat: pip install '.[test]'")
    nbformat.validate(nbformat.read(path, as_version=4))
    for cell in cells_of(path):
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None


@each_lesson
def test_cells_have_ids_of_their_own_that_do_not_depend_on_their_place(lesson, tmp_path):
    cells = generate.read(lesson)
    ids = [cell.id for cell in cells]
    assert len(set(ids)) == len(ids)
    longer = tmp_path / lesson.name
    longer.write_text('# %% id="new"\n1\n\n' + lesson.read_text())
    assert generate.read(longer)[1:] == cells
    assert [cell["id"] for cell in cells_of(FOLDER / f"{lesson.stem}.ipynb")] == ids


def test_what_only_looks_like_a_cell_is_refused(tmp_path):
    source = tmp_path / "99_wrong.py"
    for line in ("# %% title", '# %% id="Has Spaces"', "# %% [markdown]"):
        source.write_text(f'# %% id="right"\n1\n\n{line}\n2\n')
        with pytest.raises(ValueError, match="begins no cell"):
            generate.read(source)


# --- languages ------------------------------------------------------------------------------------------------------


@each_language
def test_the_po_file_has_every_cell_and_no_other_and_nothing_in_it_is_out_of_date(language):
    known = generate.messages(language)
    text = (generate.SOURCES / f"{language}.po").read_text()
    assert text == generate.po_text(language, generate.updated(known)), "run `make notebooks`"
    assert not [context for context, message in known.items() if message.fuzzy]


@each_language
@each_lesson
def test_all_text_is_translated(language, lesson):
    known = generate.messages(language)
    missing = [cell.id for cell in generate.read(lesson)
               if cell.kind == "markdown" and not known[f"{lesson.stem}/{cell.id}"].text]  # fmt: skip
    assert not missing


@each_language
def test_gettext_reads_the_po_file_as_we_do(language):
    pofile = pytest.importorskip("babel.messages.pofile", reason="needs Babel: pip install '.[lab]'")
    with (generate.SOURCES / f"{language}.po").open("rb") as file:
        theirs = pofile.read_po(file, abort_invalid=True)
    ours = generate.messages(language)
    assert {m.context: (m.id, m.string, m.fuzzy) for m in theirs if m.id} == {
        context: (m.english, m.text, m.fuzzy) for context, m in ours.items()
    }


def test_a_cell_that_changed_is_fuzzy_and_shows_in_english():
    lesson = generate.lessons()[0]
    cell = generate.read(lesson)[0]
    context = f"{lesson.stem}/{cell.id}"
    now = generate.updated({context: generate.Message("as it was", "alt"), f"{lesson.stem}/gone": generate.Message("x", "y")})
    assert now[context] == generate.Message(cell.text, "alt", fuzzy=True)
    assert f"{lesson.stem}/gone" not in now
    assert generate.translated(lesson, [cell], now) == [cell]


@each_language
@each_lesson
def test_the_code_differs_in_words_only(language, lesson):
    english, other = cells_of(FOLDER / f"{lesson.stem}.ipynb"), cells_of(FOLDER / language / f"{lesson.stem}.ipynb")
    assert [(c["id"], c["cell_type"], c["metadata"]) for c in english] == [
        (c["id"], c["cell_type"], c["metadata"]) for c in other
    ]
    for ours, theirs in zip(english, other, strict=True):
        if ours["cell_type"] == "code":
            assert wordless(source_of(ours)) == wordless(source_of(theirs)), ours["id"]
        else:
            assert fenced(source_of(ours)) == fenced(source_of(theirs)), ours["id"]


def wordless(code: str) -> str:
    """Python without its comments and the words in its texts; a script for a container as it is."""
    if code.startswith("%%"):
        return code
    tree = ast.parse(re.sub(r"^[%!]", "# ", code, flags=re.MULTILINE))
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):  # the order of values may differ, and the words between them
            node.values = sorted((v for v in node.values if isinstance(v, ast.FormattedValue)), key=ast.dump)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return ast.dump(tree)


def fenced(markdown: str) -> list[str]:
    """The Python in a text."""
    return re.findall(r"^```python\n(.*?)^```$", markdown, re.DOTALL | re.MULTILINE)


# --- run ------------------------------------------------------------------------------------------------------------


def is_quiet_and_short(done: Run) -> None:
    """No cell complained, and none said more than a screen shows."""
    assert [(id, out["text"]) for id, out in done.outputs("stream") if out["name"] == "stderr"] == []
    for cell in done.cells:
        assert done.text(cell["id"]).count("\n") <= SCREEN, f"what {cell['id']} prints is longer than a screen"


def as_it_is(lesson: Path) -> str:
    return (FOLDER / f"{lesson.stem}.ipynb").read_text()


def with_answers(lesson: Path, language: str) -> str:
    """Each exercise is also answered wrongly, and then by its solution."""
    cells = cells_of(FOLDER / language / f"{lesson.stem}.ipynb")
    by_id = {cell["id"]: cell for cell in cells}
    all_cells: Cells = []
    for cell in cells:
        all_cells.append(cell)
        if found := re.fullmatch(r"(exercise-\d+)-check", cell["id"]):
            exercise = found[1]
            [solution] = fenced(source_of(by_id[f"{exercise}-solution"]))
            for what, code in {"wrong": WRONG[lesson.stem, exercise], "right": f"tidy_up()\n{solution}"}.items():
                all_cells += [code_cell(f"{exercise}-{what}", code), {**cell, "id": f"{exercise}-{what}-check"}]
    all_cells.insert(1, code_cell("helper", TIDY_UP))
    return json.dumps({**json.loads((FOLDER / language / f"{lesson.stem}.ipynb").read_text()), "cells": all_cells})


@pytest.mark.begins
def test_the_lessons_are_begun(begun):
    """They mostly wait: the tests that ask how they went are the last (tests/conftest.py)."""
    assert not [test for test, (_, outcome) in begun.items() if outcome.done()]


@PATIENCE
@pytest.mark.slow
@pytest.mark.needs_userns
@pytest.mark.asks
@pytest.mark.plays(as_it_is, debian=True)
@each_lesson
def test_all_claims_of_the_lesson_are_true_here(lesson, played):
    assert played.errors == {}
    is_quiet_and_short(played)


@PATIENCE
@pytest.mark.slow
@pytest.mark.needs_userns
@pytest.mark.asks
@pytest.mark.plays(with_answers, debian=True)
@each_language
@each_lesson
def test_the_exercises_wait_accept_their_solutions_and_say_what_is_wrong(lesson, language, played):
    if lesson.stem.startswith(("08_", "09_")) and not (report := host.report()).can("cgroup.memory"):
        pytest.skip(f"these exercises turn limits: {report.why_not('cgroup.memory')}")
    exercises = [exercise for stem, exercise in WRONG if stem == lesson.stem]
    assert played.errors.keys() == {f"{exercise}-wrong-check" for exercise in exercises}
    assert all(error.startswith("AssertionError: ") for error in played.errors.values()), played.errors
    for exercise in exercises:
        waits, right = played.text(f"{exercise}-check"), played.text(f"{exercise}-right-check")
        assert exercise.partition("-")[2] in waits, "it says which exercise waits"
        assert right.strip(), "it says that it is right"
        assert right != waits
    is_quiet_and_short(played)


#: Takes away what a wrong answer made, and stops what an exercise itself had made.
TIDY_UP = """
import sandbox
def tidy_up():
    for each in sandbox.containers():
        if each.name in ("twin", "bare", "web", "web2", "pluto", "reaper", "beating", "nest", "daemon"):
            sandbox.Container(each.name).destroy(force=True)
        if each.name == "broken" and each.pid:
            sandbox.Container(each.name).kill()
    if "guests" in globals():  # lesson 05
        house.exec("killall sleep")
    if "shuffled" in globals():  # lesson 06
        prison.exec("killall sleep")
        puzzle.reset()
        globals()["puzzle"] = shuffled()
    if "lodger" in globals():
        lodger.exec("rm -rf /tmp/gift")
    if "forget" in globals():  # lesson 12 has a shelf of its own
        forget("door", "front", "back", "inner")
"""


def code_cell(id: str, code: str) -> dict[str, Any]:
    return {"cell_type": "code", "id": id, "metadata": {}, "execution_count": None, "outputs": [], "source": code}


@PATIENCE
@pytest.mark.slow
@pytest.mark.needs_userns
@pytest.mark.needs_root
@pytest.mark.asks
@pytest.mark.plays(lambda: as_it_is(Path("14_system-containers")))
def test_without_debians_packages_that_lesson_says_so_and_goes_on(played):
    assert played.errors == {}
    assert "mmdebstrap" in played.text("debian")
    assert played.text("boot").startswith("Skipped: ")


@pytest.mark.slow
@pytest.mark.needs_userns
def test_the_host_of_lesson_12_goes_with_its_notebook_even_if_that_is_killed(home, tools):
    load, places = (cell.text for cell in generate.read(generate.SOURCES / "12_network.py") if cell.id in ("load", "places"))
    killed = "print(host.pid, pid('internet'), shelf, flush=True); assert shelf.exists(); os.kill(os.getpid(), 9)"
    code = "\n".join([load.removeprefix("%load_ext kernel_ext"), places, killed])
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([*ALONE, sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    host, internet, shelf = done.stdout.splitlines()[-1].split()
    assert done.returncode in (-9, 128 + 9), done.stderr
    assert shelf.startswith(str(home))
    end = time.monotonic() + 60
    while left := [path for path in (f"/proc/{host}", f"/proc/{internet}", shelf) if os.path.exists(path)]:
        assert time.monotonic() < end, left
        time.sleep(0.1)


@PATIENCE
@pytest.mark.slow
@pytest.mark.needs_userns
@pytest.mark.asks
@pytest.mark.plays(as_it_is, as_user=True)
@each_lesson
def test_all_claims_are_true_for_an_ordinary_user(lesson, played):
    assert played.errors == {}
    assert [(id, out["text"]) for id, out in played.outputs("stream") if out["name"] == "stderr"] == []
    assert "left of this lesson: nothing" in played.text("tidy")

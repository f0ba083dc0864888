"""`make screenshots`: every picture in JupyterLab, in light and dark, as docs/pictures/NAME-light.png and NAME-dark.png.

A picture is a row of PICTURES: its name, the cells that make it, and what of the page is taken. Names on the command line
make only those: make screenshots ARGS=timeline. `networks` makes a bridge, as any container on a network does.
"""

import io
import os
import sys
import tempfile
from pathlib import Path

from PIL import Image

REPOSITORY = Path(__file__).parents[1]
sys.path.insert(0, str(REPOSITORY))

import sandbox  # noqa: E402
from tests.kernel_ext.lab import Lab, lab  # noqa: E402

FOLDER = REPOSITORY / "docs/pictures"
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
#: Bytes that a file may have. What is larger gets fewer colours.
LARGEST = 120_000
LOAD = "%load_ext kernel_ext\nimport sandbox, threading, time"
BEGIN = """
def begin(name, **options):
    return sandbox.launch("busybox", "exec sleep 1000", name=name, **options)[0]

"""

#: name → the cells, of which the last one shows it; in its output the element to point at, or ""; and what is run after it.
PICTURES = {
    "timeline": ((LOAD, "%%container --timeline --calls\nhostname"), "[aria-label^='outside: Clone']"),
    "timeline-compared": (
        (
            LOAD,
            "cold = sandbox.run('busybox', 'true', calls=True)\nwarm = sandbox.run('busybox', 'true')",
            "%timeline cold warm",
        ),
        "",
    ),
    "timeline-runc": ((LOAD, "%%container --out ours\ntrue", "%timeline ours --runc"), ""),
    "stepper": (
        (LOAD, "%%container busybox --hostname box --step --out s\nhostname", "print(s.to('MountOverlay'))", "s"),
        "",
    ),
    "namespaces": (
        (LOAD, f"{BEGIN}web, side = begin('web'), begin('side', network='container:web')", "%namespaces"),
        "tr.sandbox-container td",
    ),
    "cgroups": (
        (LOAD, f"{BEGIN}web = begin('web', memory='96m', cpus=1, pids=40)", "%cgroups web"),
        "",
        "def load():\n    web.exec('timeout 9 sh -c \"while :; do :; done\"')\n    web.exec('tail /dev/zero')\n"
        "threading.Thread(target=load).start(); time.sleep(4); web.update(cpus=0.3); time.sleep(9)",
    ),
    "networks": (
        (
            LOAD,
            f"{BEGIN}web, cache = begin('web', network='bridge', publish=['8080:80']), begin('cache', network='bridge')\n"
            "alone = begin('alone')\nto = cache.info().ips[0]\n"
            "threading.Thread(target=lambda: web.exec(f'ping -c 60 -i 0.3 -s 1000 {to}')).start()",
            "%networks",
        ),
        "",
    ),
    "card": ((LOAD, "%%container busybox --memory 1\ntrue"), ""),
}


def main(names: list[str]) -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in names or PICTURES:
        cells, point, *after = PICTURES[name]
        with tempfile.TemporaryDirectory() as folder:
            os.environ["SANDBOX_HOME"] = f"{folder}/home"
            with lab(Path(folder), (*cells, *after), {}) as book:
                take(book, name, len(cells) - 1, point)
            for told in sandbox.containers():
                sandbox.Container(told.name).kill()


def take(book: Lab, name: str, shown: int, point: str) -> None:
    """Run the cells, and write what the last one shows, in each theme."""
    book.page.set_viewport_size({"width": 1300, "height": 1600})
    book.page.evaluate("jupyterapp.commands.execute('application:toggle-left-area')")
    for number in range(book.cells):
        book.run(number)
    for suffix, theme in THEMES.items():
        book.theme(theme)
        output = book.output(shown)
        output.scroll_into_view_if_needed()
        book.page.wait_for_timeout(1500)  # until the theme's style sheet is there, and things that move have moved
        if point:
            output.locator(point).first.focus()
        write(output.screenshot(), FOLDER / f"{name}-{suffix}.png")


def write(picture: bytes, path: Path) -> None:
    """Write a PNG, in as many colours as there is room for."""
    colours, data = 256, picture
    while len(data) > LARGEST and colours >= 16:
        reduced = io.BytesIO()
        Image.open(io.BytesIO(picture)).convert("RGB").quantize(colours).save(reduced, "png", optimize=True)
        colours, data = colours // 2, reduced.getvalue()
    path.write_bytes(data)
    print(f"{os.path.relpath(path)}  {len(data) // 1000} kB")


if __name__ == "__main__":
    main(sys.argv[1:])

#!/usr/bin/env python3
"""How fast it is, beside whichever peers are installed, in the same minutes.

Everything is measured interleaved (A B C A B C …), so that a busy minute hits all alike; medians are compared. The table goes
to standard output, all samples to build/bench.json.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import ours
import plots
import words
from peers import PEERS, Absent, Measure, Place, runc_exec

BUILD = Path(__file__).resolve().parent.parent / "build"
MS = MB = 1_000_000
KIB = 1024

Setup = Callable[[Place], Measure]

STARTS: dict[str, Setup] = {"sandbox.run": ours.run_warm, **PEERS}
EXECS: dict[str, Setup] = {"exec": ours.exec_true, "runc exec": runc_exec}
COSTS: dict[str, Setup] = {
    "first run": ours.first_run, "import sandbox": ours.import_sandbox, "%load_ext": ours.load_extension,
    "plan": ours.plan_cost, "plots of 12: update": plots.update,
}  # fmt: skip

#: Parts of which each sample takes long: one of so many rounds.
SHARE = {"cost": 10, "words": 5, "slow": 20}

#: (what, figure, of what, at most): a ratio of two medians, or a figure in its own unit.
TARGETS = (
    ("default container, of bwrap", "sandbox.run", "bwrap --unshare-all", 1.25),
    ("default container, of the C program", "sandbox.run", "C referee", 1.3),
    ("default container, of runc run", "sandbox.run", "runc run", 1 / 4),
    ("default container, of docker run", "sandbox.run", "docker run --rm", 1 / 80),
    ("exec, of runc exec", "exec", "runc exec", 1 / 4),
    ("first run, ms", "first run", MS, 250),
    ("import sandbox, ms", "import sandbox", MS, 60),
    ("%load_ext kernel_ext, ms", "%load_ext", MS, 100),
    ("plan: compile, encode, trace, ms", "plan", MS, 1),
    ("login: busybox, of LXC's", "login: busybox", "lxc-start, busybox", 1),
    ("login: debian, of LXC's", "login: debian", "lxc-start, debian", 1),
    ("attach, of lxc-attach", "attach", "lxc-attach", 1),
    ("info, of lxc-info", "info", "lxc-info", 1),
    ("destroy, of lxc-destroy", "destroy", "lxc-destroy", 1),
    ("clone, of lxc-copy", "clone", "lxc-copy", 1),
    ("create, of lxc-create", "create", "lxc-create", 1 / 10),
    ("clone of 1 GiB (overlay), of lxc-copy", "clone 1 GiB, overlay", "lxc-copy 1 GiB", 1 / 10),
    ("clone of 1 GiB (overlay), ms", "clone 1 GiB, overlay", MS, 20),
    ("sandbox lxc-info, whole process, ms", "sandbox lxc-info", MS, 60),
    ("sandbox lxc-ls, whole process, ms", "sandbox lxc-ls", MS, 60),
    ("500 at once: start of the last, of the first", "start, last", "start, first", 1.5),
    ("500 at once: memory each, KiB", "memory each", KIB, 64),
    ("500 at once: launcher and keeper, MB", "launcher and keeper, all", MB, 24),
    ("500 at once: containers() with usage, ms", "containers() with usage", MS, 50),
    ("500 at once: one round of a Sampler, ms", "a round of all", MS, 25),
    ("plots: a round of 12 and its frame, ms", "plots of 12: update", MS, 1),
    ("plots: share of a core at 10 Hz", "plots of 12: share of a core", 1, 0.02),
    ("500 at once: map of namespaces, ms", "map of namespaces", MS, 1000),
)


def prepare(setups: dict[str, Setup], place: Place) -> dict[str, Measure]:
    """The figures that can be measured here; for each of the others one line that says why not."""
    ready = {}
    for name, setup in setups.items():
        try:
            measure = setup(place)
            measure()  # warm, and whether it works at all
            ready[name] = measure
        except Absent as absent:
            print(f"{name:24} not measured: {absent}")
    return ready


def interleave(measures: dict[str, Measure], rounds: int) -> dict[str, list[int]]:
    """`rounds` samples of each, one of each in turn."""
    samples: dict[str, list[int]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            samples[name].append(measure())
    return samples


def table(samples: dict[str, list[int]], base: str) -> None:
    """Median and spread in ms, and how many times the first column's median each one is."""
    if not samples:
        return
    print(f"\n{'':24} {'median ms':>10} {'fastest':>9} {'90 %':>9} {'ratio':>7}")
    zero = statistics.median(samples.get(base) or next(iter(samples.values())))
    for name, values in sorted(samples.items(), key=lambda item: statistics.median(item[1])):
        middle, slow = statistics.median(values), sorted(values)[len(values) * 9 // 10]
        print(f"{name:24} {middle / MS:10.2f} {min(values) / MS:9.2f} {slow / MS:9.2f} {middle / zero:7.2f}")


def judge(figures: dict[str, float]) -> list[dict[str, object]]:
    """Each target beside what was measured."""
    print(f"\n{'target':48} {'at most':>8} {'measured':>9}")
    verdicts: list[dict[str, object]] = []
    for what, name, of, most in TARGETS:
        unit = figures.get(of) if isinstance(of, str) else of
        value = figures[name] / unit if name in figures and unit else None
        shown = "—" if value is None else f"{value:.4g}"
        verdict = "" if value is None else "ok" if value <= most else "MISSED"
        print(f"{what:48} {most:8.4g} {shown:>9}  {verdict}")
        verdicts.append({"target": what, "at most": most, "measured": value})
    return verdicts


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds, 50 containers at once")
    parser.add_argument("--rounds", type=int, help="samples of each (default 100, quick 10)")
    parser.add_argument("--many", type=int, help="containers at once (default 500, quick 50, 0 for none)")
    parser.add_argument("--only", choices=("start", "exec", "cost", "words", "slow", "many"), help="one part of it")
    chosen = parser.parse_args()
    chosen.rounds = chosen.rounds or (10 if chosen.quick else 100)
    chosen.many = (50 if chosen.quick else 500) if chosen.many is None else chosen.many
    return chosen


def main() -> int:
    chosen = arguments()
    try:
        place = Place()
    except Absent as absent:
        print(f"nothing can be measured: {absent}")
        return 1
    os.environ["SANDBOX_HOME"] = str(place.path / "home")
    samples: dict[str, list[int]] = {}
    figures: dict[str, float] = {}
    with place.undo:
        parts = (
            ("start", STARTS, "bwrap --unshare-all"), ("exec", EXECS, "runc exec"), ("cost", COSTS, "import sandbox"),
            ("words", words.WORDS, "lxc-info"), ("slow", words.SLOW, "lxc-start, debian"),
        )  # fmt: skip
        for part, setups, base in parts:
            if chosen.only in (None, part):
                rounds = max(5, chosen.rounds // SHARE.get(part, 1))
                found = interleave(prepare(setups, place), rounds)
                table(found, base)
                samples |= found
        if chosen.only in (None, "cost"):
            try:
                figures |= plots.share()
            except Absent as absent:
                print(f"{'plots of 12':24} not measured: {absent}")
        if chosen.many and chosen.only in (None, "many"):
            try:
                figures |= ours.many(chosen.many)
            except Absent as absent:
                print(f"{'many at once':24} not measured: {absent}")
    figures |= {name: statistics.median(values) for name, values in samples.items()}
    machine = {"kernel": platform.release(), "machine": platform.machine(), "cpus": os.cpu_count(), "load": os.getloadavg()}
    report = {
        "when": time.strftime("%F %T"),
        "machine": machine,
        "targets": judge(figures),
        "figures": figures,
        "samples": samples,
    }
    BUILD.mkdir(exist_ok=True)
    (BUILD / "bench.json").write_text(json.dumps(report | {"samples": samples}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

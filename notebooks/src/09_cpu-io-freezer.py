# %% [markdown] id="welcome"
# # How fast: CPU, disk, and a stop button
#
# Memory that somebody has, nobody else can have. With computing time it is another matter: it is dealt
# out anew every few milliseconds. So there are two kinds of limits for it, which are easily mixed up:
# one takes effect always, the other one only in a crowd. You will measure both. Then you will stop a
# container in the middle of a word and let it go on as if nothing had happened, and see what reaches a
# disk and what doesn't.
#
# Everything is turned while it runs, by a number in a file. The files have different names in the two
# versions of control groups (lesson 8); this lesson shows those that this machine has.
#
# As before: write your `guess` into a cell before you run it. It takes about 40 minutes. As an ordinary
# user you may have no control groups of your own: then most cells say so, and do nothing.

# %% id="load"
# %load_ext kernel_ext
import os
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import sandbox

OURS = ("busy", "light", "heavy", "patient", "reader", "left", "right")  # the containers of this lesson
BURN = "while :; do :; done"  # a shell that does nothing, as fast as it can
CPU = str(min(os.sched_getaffinity(0)))  # one CPU, for which they shall compete


def tidy():
    """End what is there of this lesson, perhaps from the last time."""
    for each in sandbox.containers():
        if each.name in OURS:
            container = sandbox.Container(each.name)
            if each.state == "FROZEN":
                container.unfreeze()
            container.destroy(force=True)


def knob(name, *files):
    """The first of these files that this machine has, in a running container's groups."""
    groups = dict(next(entry["cgroups"] for entry in sandbox.ledger() if entry["name"] == name))
    for file in files:
        for folder in (groups.get(file.partition(".")[0]), groups.get("cgroup2")):
            if folder and (Path(folder) / file).exists():
                return Path(folder) / file
    raise AssertionError(f"there is none of {' '.join(files)}")


def turn(name, **values):
    """Write the first file that is there: version 2's, or version 1's (with _ for the first dot)."""
    words = {file.replace("_", ".", 1): value for file, value in values.items()}
    file = knob(name, *words)
    file.write_text(words[file.name])
    print(f"{name}: echo {words[file.name]} > {file.name}")


def shares(*containers, seconds=0.5):
    """How many CPUs each of them uses, measured over some time; longer, while others leave nothing."""
    before = [(container, container.info().cpu_use, time.monotonic()) for container in containers]
    for _ in range(20):
        time.sleep(seconds)
        found = [(one.info().cpu_use - used) / (time.monotonic() - at) for one, used, at in before]
        if any(found):
            break
    for container, part in zip(containers, found, strict=True):
        print(f"{container.name:8}{part:6.2f} CPUs  {'█' * round(40 * part)}")
    return found


tidy()
report = sandbox.host.report()
assert report.can("namespace.user"), report.why_not("namespace.user")
LIMITS = report.can("cgroup.cpu") and report.can("cgroup.cpuset")
skipped = "Skipped: this user can't limit CPUs here."
if not LIMITS:
    print(skipped, report.why_not("cgroup.cpu"))

# %% [markdown] id="free-intro"
# ## 1. As much as there is
#
# The container `busy` runs a shell that does nothing, as fast as it can. It may use only one CPU
# (`cpuset`), but that one all the time.

# %% id="free"
guess = "?"  # how much of a CPU will a loop that does nothing use?

if LIMITS:
    busy, _ = sandbox.launch("busybox", BURN, name="busy", cpuset=CPU)
    [alone] = shares(busy)
    file = knob("busy", "cpuset.cpus")
    print(f"{file.name}: {file.read_text().strip()}; you said: {guess}")
    assert alone > 0, "somebody else needs this CPU very much"
    assert file.read_text().strip() == CPU
else:
    print(skipped)

# %% [markdown] id="quota-intro"
# All of it, or what others on this machine leave of it.
#
# ## 2. A quota
#
# `--cpus 0.2`, here said to a container that runs already: a fifth of a CPU. Version 2 wants two
# numbers in `cpu.max`, version 1 has two files: 20,000 µs out of every 100,000.

# %% id="quota"
guess = "?"  # how does a loop run with a fifth of a CPU: "slowly", or "in bursts"?

if LIMITS:
    turn("busy", cpu_max="20000 100000", cpu_cfs_quota_us="20000")
    time.sleep(0.2)
    [some] = shares(busy, seconds=0.7)
    print("you said:", guess)
    assert 0 < some < 0.3
else:
    print(skipped)

# %% [markdown] id="pattern-intro"
# A fifth; but how? We look every 10 milliseconds whether it has used any time since: `█` means that it
# was running, `·` that it stood still.

# %% id="pattern"
if LIMITS:
    usage, line = busy.info, ""
    last = usage().cpu_use
    for _ in range(80):
        time.sleep(0.01)
        now = usage().cpu_use
        line += "█" if now - last > 0.004 else "▄" if now - last > 0.0005 else "·"
        last = now
    print(line)
    assert "·" in line
    assert line.strip("·")
else:
    print(skipped)

# %% [markdown] id="throttled-intro"
# In bursts. At the beginning of each tenth of a second it gets 20 milliseconds, uses them up at full
# speed, and then stands still for 80, however idle the machine is. That is called *throttled*, and it
# is counted.

# %% id="throttled"
guess = "?"  # in the next second, there are ten periods. In how many of them will it be throttled?


def throttled(name):
    """How many periods there were, and in how many the quota ran out."""
    words = knob(name, "cpu.stat").read_text().split()
    found = dict(zip(words[::2], map(int, words[1::2]), strict=True))
    return found["nr_periods"], found["nr_throttled"]


if LIMITS:
    before = throttled("busy")
    for _ in range(10):  # more than once only if others leave it hardly any time
        time.sleep(1)
        after = throttled("busy")
        if after[1] - before[1] > 2:
            break
    periods, times = after[0] - before[0], after[1] - before[1]
    print(f"throttled in {times} of {periods} periods; you said: {guess}")
    assert times > 2
else:
    print(skipped)

# %% [markdown] id="late-intro"
# In practically all. It explains what puzzles many people: a web server with `cpus=0.2` that computes
# only 30 milliseconds for an answer needs not 30, but 110: twenty, a pause of eighty, and the last ten.
# Its average load is low, its answers are slow, and the only place where that can be read is
# `nr_throttled`.
#
# ## 3. Turn it
#
# That was by hand. `update` writes the same files, in whichever version there is; and `%cgroups` draws
# what containers use, while they run, with a slider for each limit. It needs no running cell: move the
# sliders of `busy` as long as you like, and look for the marks on the axis when it is throttled. Then
# run the next cell, and watch the line.

# %% id="plots"
# %cgroups

# %% id="turned"
guess = "?"  # write down three numbers for 0.5, 0.1, and 1

if LIMITS:
    measured = []
    for cpus in (0.5, 0.1, 1):
        busy.update(cpus=cpus)
        file = knob("busy", "cpu.max", "cpu.cfs_quota_us")
        print(f"{file.name}: {file.read_text().strip()}")
        time.sleep(0.2)
        measured += shares(busy)
    print("you said:", guess)
    busy.kill()
    assert measured[0] < 0.7
    assert measured[1] < 0.2
else:
    print(skipped)

# %% [markdown] id="weight-intro"
# ## 4. A weight
#
# The other kind. A *weight* is not a piece of a CPU, but a share in a dispute. The container `light`
# has the weight 100, which is the default; `heavy` will have 300. Both may use the same, single CPU.
# First, `light` is alone.

# %% id="alone"
guess = "?"  # with a weight of 100, alone: how much of the CPU will it get?

if LIMITS:
    light, _ = sandbox.launch("busybox", BURN, name="light", cpu_weight=100, cpuset=CPU)
    [alone] = shares(light)
    file = knob("light", "cpu.weight", "cpu.shares")
    print(f"{file.name}: {file.read_text().strip()}")
    print("you said:", guess)
    assert alone > 0
else:
    print(skipped)

# %% [markdown] id="crowd-intro"
# Everything (or what others leave of it), as if there were no weight. (Version 1 has another scale:
# 1024 is the default of `cpu.shares`, and the same as 100 in `cpu.weight`.) Now `heavy` comes.

# %% id="crowd"
guess = "?"  # what part of the CPU will be left to light?


def ratio(one, other, expected):
    """How many times as much `one` gets; measured again if it is far off."""
    for _ in range(8):
        mine, its = shares(one, other)
        if abs(mine / its / expected - 1) < 0.25:
            break
    return mine / its


if LIMITS:
    heavy, _ = sandbox.launch("busybox", BURN, name="heavy", cpu_weight=300, cpuset=CPU)
    found = ratio(heavy, light, 3)
    print(f"heavy gets {found:.1f} times as much as light; you said: {guess}")
    assert 2 < found < 4.5
else:
    print(skipped)

# %% [markdown] id="pause-intro"
# A quarter: 100 of 400. And no other number than 100 and 300 is needed for that. If a third one comes
# with 100, it will be a fifth.
#
# ## 5. Stop
#
# What becomes of `light` if `heavy` stops? We don't kill it: we *freeze* it. No signal is sent, no
# program is asked. The kernel just does not let any process of the group run.

# %% id="freeze"
guess = "?"  # what part of the CPU will light have, while heavy is frozen?

if LIMITS:
    heavy.freeze()
    [mine, its] = shares(light, heavy)
    file = knob("heavy", "cgroup.freeze", "freezer.state")
    state = Path(f"/proc/{heavy.info().pid}/stat").read_text().rpartition(") ")[2][0]
    print(f"{file.name}: {file.read_text().strip()}; ps says {state}, lxc-info {heavy.state}")
    print("you said:", guess)
    assert its < 0.02
    assert mine > 0
    assert heavy.state == "FROZEN"
    heavy.kill()
    light.kill()
else:
    print(skipped)

# %% [markdown] id="rule-intro"
# All of it again: who doesn't run takes part in no dispute.
#
# | | quota | weight |
# |:--|:--|:--|
# | version 2 | `cpu.max` | `cpu.weight` |
# | version 1 | `cpu.cfs_quota_us`, `cpu.cfs_period_us` | `cpu.shares` |
# | takes effect | always | only if others want the CPU, too |
# | idle CPU | stays idle | is used |
# | counted | `nr_throttled` | – |
# | good for | a price list, a test | everything else |
#
# ## 6. What does the frozen one notice?
#
# `patient` sleeps for half a second, then asks the clock how long it has been. In the middle of that we
# freeze it, for a whole second.

# %% id="notice"
guess = "?"  # how long will it think that it has slept, in seconds?

FREEZER = report.can("cgroup.freeze") or report.can("cgroup.freezer")
if LIMITS and FREEZER:
    WAIT = "read a b < /proc/uptime; sleep 0.5; read c d < /proc/uptime; echo $a $c; exec sleep 3600"
    patient, _ = sandbox.launch("busybox", WAIT, name="patient")
    time.sleep(0.2)
    patient.freeze()
    time.sleep(1)
    silent = list(patient.logs())
    patient.unfreeze()
    for _ in range(100):
        told = b"".join(data for _, _, data in patient.logs()).decode().split()
        if told:
            break
        time.sleep(0.02)
    slept = float(told[1]) - float(told[0])
    print(f"it slept from {told[0]} to {told[1]}: {slept:.2f} s. You said: {guess}")
    patient.kill()
    assert not silent, "it went on while it was frozen"
    assert slept > 1
else:
    print(skipped)

# %% [markdown] id="io-intro"
# Longer than a second. It was not told anything, but the clock is the same for all: when it went on,
# the half second was long over. A frozen program can't see that it is frozen, only that it is late.
# That is how a container is moved to another machine, or its files are copied without any of them
# changing meanwhile.
#
# ## 7. The disk
#
# A folder of this machine, with a file of 8 MiB that has just been written to the disk, and thrown out
# of memory. The container reads it. And then once more.

# %% id="io"
guess = "?"  # how much will be counted, in MiB: after the first reading, and after the second?


def read_bytes(name):
    """How many bytes a group has read from devices."""
    file = knob(name, "io.stat", "blkio.throttle.io_service_bytes_recursive")
    words = file.read_text().replace("=", " ").split()
    return file, sum(int(n) for word, n in pairwise(words) if word in ("rbytes", "Read"))


IO = LIMITS and (report.can("cgroup.io") or report.can("cgroup.blkio"))
if IO:
    with tempfile.TemporaryDirectory(prefix="lesson-09-", dir="/var/tmp") as folder:
        with open(f"{folder}/file", "wb") as file:
            file.write(os.urandom(8 << 20))
            file.flush()
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        os.chmod(folder, 0o755)
        volume = f"{folder}:/data"
        reader, _ = sandbox.launch("busybox", "exec sleep 3600", name="reader", volume=volume)
        counted = [read_bytes("reader")[1]]
        for _ in range(2):
            reader.exec("cat /data/file > /dev/null")
            counted.append(read_bytes("reader")[1])
        print(read_bytes("reader")[0].name, *(f"{number / (1 << 20):.0f} MiB" for number in counted))
        print("you said:", guess)
        reader.kill()
    assert counted[2] == counted[1], "what is in memory was read again"
    DISK = counted[1] > counted[0]
    print("" if DISK else "This folder lies in memory, or on a disk that is not counted.")
    assert counted[1] - counted[0] >= 8 << 20 or not DISK
else:
    print(skipped)

# %% [markdown] id="recap"
# Eight, and eight: the second time it came from the *page cache*, and no disk was asked. What is
# counted is the work of a device, not what a program reads. (It is similar with writing: a program
# writes into memory, and later the kernel writes to the disk. Whose writing that was, version 2 knows.
# Version 1 counts only what is written at once.)
#
# ## What a share is
#
# - a *quota* is a fence: so many microseconds in each period, then it stands still, even if nobody else
#   wants to run; `nr_throttled` counts it;
# - a *weight* is a share in a dispute: nothing at all as long as one is alone;
# - `cpuset` says which CPUs; only who stands at the same CPU is in the same dispute;
# - to *freeze* is to let no process of a group run; they do not notice, but they are late;
# - for disks, the work of devices is counted, and memory is in between;
# - all of it is a number in a file, and can be turned while it runs.
#
# ## Exercises
#
# ### 1. Three to one
#
# The next cell starts `left` and `right`, on the same CPU, with the same weight. Without a quota, and
# without starting them anew, let `left` get three times as much as `right`.

# %% id="exercise-1-start"
if LIMITS:
    for name in ("left", "right"):
        if name in {each.name for each in sandbox.containers()}:
            sandbox.Container(name).destroy(force=True)
    left, _ = sandbox.launch("busybox", BURN, name="left", cpuset=CPU)
    right, _ = sandbox.launch("busybox", BURN, name="right", cpuset=CPU)
    both = left.info().pid, right.info().pid
    given = [knob(name, "cpu.weight", "cpu.shares").read_text() for name in ("left", "right")]
else:
    print(skipped)

# %% id="exercise-1"
# your answer

# %% id="exercise-1-check" tags=["check"]
if not LIMITS:
    print(f"Exercise 1: {skipped}")
else:
    now = [knob(name, "cpu.weight", "cpu.shares").read_text() for name in ("left", "right")]
    for name in ("left", "right"):
        quota = knob(name, "cpu.max", "cpu.cfs_quota_us").read_text().split()[0]
        assert quota in ("max", "-1"), f"{name} has a quota: that takes effect even if it is alone"
    if now == given:
        print("Exercise 1 waits for you: both have the weight that they had.")
    else:
        assert (left.info().pid, right.info().pid) == both, "these are other containers"
        found = ratio(left, right, 3)
        assert 2.2 < found < 4, f"left gets {found:.2f} times as much as right"
        print(f"Right: {found:.1f} to one.")

# %% [markdown] id="exercise-1-solution"
# <details><summary>Hint</summary>
#
# `turn("left", …)`, as in part 2, or `left.update(…)`. Part 4 has the files, and says how the two
# scales are related.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# left.update(cpu_weight=300)
# ```
#
# </details>
#
# ### 2. Everything for one
#
# Now `left` shall have the CPU for itself. But `right` must not end, and must be able to go on later
# from where it is.

# %% id="exercise-2"
# your answer

# %% id="exercise-2-check" tags=["check"]
if not LIMITS:
    print(f"Exercise 2: {skipped}")
else:
    assert right.state != "STOPPED", "right has ended"
    mine, its = shares(left, right, seconds=0.4)
    if right.state == "RUNNING" and its > mine / 10:
        print("Exercise 2 waits for you: right is still running.")
    else:
        assert right.info().pid == both[1], "that is another container"
        assert right.state == "FROZEN", f"right is {right.state}, and gets {its:.3f} CPUs"
        assert its < 0.01, "right is still computing"
        assert left.state == "RUNNING", f"left is {left.state}"
        print("Right: one works, the other one waits and does not notice.")

# %% [markdown] id="exercise-2-solution"
# <details><summary>Hint</summary>
#
# Part 5.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# right.freeze()
# ```
#
# </details>
#
# ## Tidy up
#
# When you have finished, run the last cell. It ends what this lesson has started, and looks into the
# ledger once more.

# %% id="tidy"
tidy()
left = [entry["name"] for entry in sandbox.ledger() if entry["name"] in OURS]
print("left of this lesson:", left or "nothing")
assert not left

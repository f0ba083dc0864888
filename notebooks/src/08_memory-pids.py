# %% [markdown] id="welcome"
# # How much: memory and processes
#
# Namespaces decide what a process *sees*. In this lesson it is about what it may *use*: memory, and
# processes. You will fill a container until the kernel kills something in it, and find out what, and
# why it was not something else. You will set off a fork bomb, which brings down a whole machine where
# nobody has thought of it, and watch it fizzle out. And you will turn a limit while the container runs.
#
# The mechanism is called *control groups*. It exists in two versions, and many machines have both: what
# is called `memory.max` in version 2 is `memory.limit_in_bytes` in version 1. This lesson runs on each
# of them, and always shows the files that it really used.
#
# As before: write your `guess` into a cell before you run it. It takes about 40 minutes. As an ordinary
# user you may have no control groups of your own: then most cells say so, and do nothing.

# %% id="load"
# %load_ext kernel_ext
import random
import signal
import time
from pathlib import Path

import sandbox

OURS = ("small", "other", "bomb", "tight")  # the containers of this lesson
MIB = 1 << 20


def tidy():
    """End what is there of this lesson, perhaps from the last time."""
    for each in sandbox.containers():
        if each.name in OURS:
            sandbox.Container(each.name).destroy(force=True)


def groups(name):
    """The folders of a running container's groups, by controller."""
    return dict(next(entry["cgroups"] for entry in sandbox.ledger() if entry["name"] == name))


def knob(name, *files):
    """The first of these files that this machine has: they are called differently in both versions."""
    for file in files:
        folder = groups(name).get(file.partition(".")[0])
        if folder and (Path(folder) / file).exists():
            return Path(folder) / file
    raise AssertionError(f"there is none of {' '.join(files)}")


def show(name, *files):
    """Show all of these files that there are, and return what they say."""
    said = ""
    for file in files:
        folder = groups(name).get(file.partition(".")[0])
        if folder and (Path(folder) / file).exists():
            text = (Path(folder) / file).read_text()
            print(f"{file:28}{'  '.join(text.splitlines())}")
            said += text
    return said


tidy()
report = sandbox.host.report()
assert report.can("namespace.user"), report.why_not("namespace.user")
LIMITS = report.can("cgroup.memory") and report.can("cgroup.pids")
skipped = "Skipped: this user can't limit memory or processes here."
if not LIMITS:
    print(skipped, report.why_not("cgroup.memory"))

# %% [markdown] id="folder-intro"
# ## 1. A folder for a group
#
# We start a container with 32 MiB and at most 20 processes. For each *controller* the kernel shows a
# tree of folders; a folder is a group, a process is in one of them in each tree, and a limit is a
# number in a file.

# %% id="folder"
if LIMITS:
    small, _ = sandbox.launch("busybox", "exec sleep 3600", name="small", memory="32m", pids=20)
    for controller, folder in groups("small").items():
        version = 2 if (Path(folder) / "cgroup.controllers").exists() else 1
        print(f"{controller:10}version {version}: {folder}")
    print()
    for line in Path(f"/proc/{small.info().pid}/cgroup").read_text().splitlines():
        print(line)
else:
    print(skipped)

# %% [markdown] id="files-intro"
# The second list is the kernel's own: `/proc/PID/cgroup`, a line for each tree (`0::` is version 2).
# And these are the two limits. Whoever may write these files may change them; inside of the container
# nobody even sees them.

# %% id="files"
if LIMITS:
    show("small", "memory.max", "memory.limit_in_bytes", "pids.max")
    limit = int(knob("small", "memory.max", "memory.limit_in_bytes").read_text())
    inside = small.exec("ls /sys/fs/cgroup").text
    print("the container sees in /sys/fs/cgroup:", inside or "nothing")
    assert limit == 32 * MIB
    assert knob("small", "pids.max").read_text() == "20\n"
    assert not inside
else:
    print(skipped)

# %% [markdown] id="use-intro"
# | what | version 2 | version 1 |
# |:--|:--|:--|
# | the limit | `memory.max` | `memory.limit_in_bytes` |
# | used now | `memory.current` | `memory.usage_in_bytes` |
# | used at most | `memory.peak` | `memory.max_usage_in_bytes` |
# | of what kind | `memory.stat` | `memory.stat` |
# | killed | `memory.events` | `memory.oom_control` |
# | processes | `pids.max`, `pids.current`, `pids.events` | the same |
#
# ## 2. What counts
#
# `tail` waits for the end of a line, and keeps all of it. So this takes 10 MiB, and holds them for a
# while. And then a *file* of 10 MiB is written, which no process holds.

# %% id="use"
guess = "?"  # after the file was written: will the group use 10 MiB, or 20?


def used():
    """What the group uses, in MiB."""
    return int(knob("small", "memory.current", "memory.usage_in_bytes").read_text()) / MIB


def until(true, seconds=10):
    """Wait until `true()` is so; returns whether it came to that."""
    end = time.monotonic() + seconds
    while not (come := true()) and time.monotonic() < end:
        time.sleep(0.02)
    return come


if LIMITS:
    numbers = [used()]
    holder = small.spawn("(head -c 10m /dev/zero; sleep 600) | tail")
    assert until(lambda: used() > 10), "it takes nothing"
    numbers.append(used())
    small.exec("head -c 10m /dev/zero > /tmp/file")
    numbers.append(used())
    for what, number in zip(("sleep alone", "and tail", "and a file"), numbers, strict=True):
        print(f"{what:12}{number:6.1f} MiB  {'█' * round(number)}")
    print("you said:", guess)
    assert numbers[1] > numbers[0] + 9
    assert numbers[2] > numbers[1] + 9
else:
    print(skipped)

# %% [markdown] id="kinds-intro"
# Twenty. The container's files are in memory here (a tmpfs), so they count; and even if they were on a
# disk, what the kernel keeps of them in memory (the *page cache*) would count. But there is a
# difference: what is also on a disk can be thrown away when memory gets scarce, what is only in memory
# can't. The kernel keeps books on that, too. The lines are called `anon` and `file` in version 2, `rss`
# and `cache` in version 1.

# %% id="kinds"
if LIMITS:
    stat = dict(line.split() for line in knob("small", "memory.stat").read_text().splitlines())
    anon = int(stat.get("anon", stat.get("total_rss", 0))) / MIB
    files = int(stat.get("file", stat.get("total_cache", 0))) / MIB
    print(f"of processes {anon:.1f} MiB, of files {files:.1f} MiB")
    small.exec("rm /tmp/file; killall tail sleep")  # process 1 can't be killed from inside
    assert until(lambda: used() < 5), "it was not given back"
    print(f"and after both are gone: {used():.1f} MiB")
    show("small", "memory.peak", "memory.max_usage_in_bytes")
    assert anon > 10
    assert files >= 10
else:
    print(skipped)

# %% [markdown] id="oom-intro"
# Given back at once; and the highest point is kept, which will be useful in an exercise.
#
# ## 3. Too much
#
# Now a process that wants more and more. There are three in the container by then: `sleep`, which is
# its process 1; a shell; and `tail`, which eats.

# %% id="oom"
guess = "?"  # which one will be killed: "sleep", "the shell", "tail", or "all"?

if LIMITS:
    eaten = small.exec("tail /dev/zero; echo tail ended with $?; ps -o pid,comm")
    print(eaten.text)
    show("small", "memory.events", "memory.oom_control")
    print("you said:", guess)
    counts = knob("small", "memory.events", "memory.oom_control").read_text().split()
    assert f"tail ended with {128 + signal.SIGKILL}" in eaten.text
    assert counts[counts.index("oom_kill") + 1] == "1"
    assert small.state == "RUNNING"
else:
    print(skipped)

# %% [markdown] id="why-intro"
# Only `tail`, with SIGKILL, and a shell calls that 137: 128 + 9. The kernel looks at all processes *of
# this group*, and takes the one that uses most (`/proc/PID/oom_score` is the number of points that each
# of them has). It did not ask anybody: no error, no warning, no last word.
#
# That is the famous "exit code 137". If the greedy one had been process 1, the container would have
# ended. How can one tell it from a `kill -9` by somebody? Only by the counter: `oom_kill 1`.

# %% id="first"
guess = "?"  # now process 1 itself is the eater: what will the sandbox say of its end?

if LIMITS:
    gone = sandbox.run("busybox", "exec tail /dev/zero", memory="16m")
    print(f"exit code {gone.exit_code}: {gone.reason}")
    killed = sandbox.run("busybox", "sh -c 'kill -9 $$'; exit $?", memory="16m")
    print(f"exit code {killed.exit_code}: {killed.reason or 'no reason: nobody ran out of memory'}")
    print("you said:", guess)
    assert gone.exit_code == killed.exit_code == 137
    assert "out of memory" in gone.reason
    assert "memory" not in killed.reason
else:
    print(skipped)

# %% [markdown] id="free-intro"
# The same number, twice; the reason only once, as it was read from the counter before the group was
# removed.
#
# ## 4. What does the container know of it?
#
# It has 32 MiB. A program in there wants to know how much memory it may take, and does what all
# programs do: it asks `free`, or reads `/proc/meminfo`.

# %% id="free"
guess = "?"  # how much memory will `free` promise, in MiB: "32", or as much as the whole machine has?

if LIMITS:
    seen = small.exec("free -m").text
    print(seen)
    promised = int(seen.splitlines()[1].split()[1])
    real = int(Path("/proc/meminfo").read_text().split()[1]) // 1024
    print(f"this machine has {real} MiB; you said: {guess}")
    assert abs(promised - real) < 2
else:
    print(skipped)

# %% [markdown] id="turn-intro"
# All of it: no namespace covers that. Programs that take "a quarter of the memory" for themselves (Java
# did, databases do) were killed for years without knowing why, until they learned to look for the
# control group.
#
# ## 5. Turn it while it runs
#
# The limit is a number in a file, so it can be written. `update` does that (as `docker update`), in the
# files of whichever version there is. 24 MiB are too much for a limit of 16. And then they are not. The
# container runs all the time.

# %% id="turn"
guess = "?"  # three limits, 16, 32 and 16 again: which exit codes will the job have?

if LIMITS:
    born, codes = small.info().pid, []
    for mib in (16, 32, 16):
        small.update(memory=f"{mib}m")
        show("small", "memory.max", "memory.limit_in_bytes")
        codes.append(small.exec("dd if=/dev/zero of=/dev/null bs=24M count=1").exit_code)
        print(f"    with {mib} MiB: exit code {codes[-1]}")
    print("you said:", guess)
    assert codes == [137, 0, 137]
    assert small.info().pid == born, "it was the same container all the time"
else:
    print(skipped)

# %% [markdown] id="below-intro"
# What if the new limit is *below* what is in use? 10 MiB are held by `tail` again, and we ask for a
# limit of 8. The two versions have different opinions about that: version 1 refuses, if it can't get
# the memory back, version 2 obeys at once, whatever it costs.

# %% id="below"
guess = "?"  # on this machine: will the new limit be "refused", or will `tail` be "killed"?

if LIMITS:
    small.update(memory="32m")
    holder = small.spawn("(head -c 10m /dev/zero; sleep 600) | tail")
    assert until(lambda: used() > 10), "it takes nothing"
    file = knob("small", "memory.max", "memory.limit_in_bytes")
    try:
        small.update(memory="8m")
        came = "killed" if until(lambda: "tail" not in small.exec("ps -o comm").text, 3) else "nothing"
    except sandbox.KernelRefused as error:
        came = "refused"
        print(error)
    print(f"{file.name}: {came}; you said: {guess}")
    assert came == ("killed" if file.name == "memory.max" else "refused")
    small.kill()
else:
    print(skipped)

# %% [markdown] id="bomb-intro"
# ## 6. A fork bomb
#
# This shell function calls itself, twice, in the background:
#
# ```text
#   bomb() { bomb | bomb & }; bomb
# ```
#
# 1, 2, 4, 8 … after twenty rounds that is a million processes. Without a limit the machine can't even
# start the program any more with which you want to stop it. Here at most 30 processes are allowed.
# **How many times will `fork` be refused?**

# %% id="bomb"
guess = "?"  # how many processes will be counted at most: 30, 31, or a million?

if LIMITS:
    bomb, _ = sandbox.launch("busybox", "exec sleep 3600", name="bomb", pids=30)
    fuse = bomb.spawn("bomb() { bomb | bomb & }; bomb; sleep 2")
    highest, end = 0, time.monotonic() + 1.5
    while time.monotonic() < end:
        highest = max(highest, int(knob("bomb", "pids.current").read_text()))
    show("bomb", "pids.max", "pids.current", "pids.peak", "pids.events")
    refused = int(knob("bomb", "pids.events").read_text().split()[1])
    print(f"at most {highest} were seen; {refused} times `fork` was refused. You said: {guess}")
    assert highest <= 30
    assert refused > 0
    assert bomb.state == "RUNNING"
else:
    print(skipped)

# %% [markdown] id="defuse-intro"
# Never more than 30. `fork` returns `EAGAIN`, "try again", and the shell says *can't fork*. Out here
# you did not notice anything: this cell was not slow, and this machine has as many free numbers for
# processes as before. And how does one get rid of such a thing? Who kills one process after the other
# is always too late. But all of them are in *one group*:

# %% id="defuse"
if LIMITS:
    folder = Path(groups("bomb")["pids"])
    bomb.kill()
    print("left of it:", [entry for entry in sandbox.ledger() if entry["name"] == "bomb"] or "nothing")
    assert not folder.exists()
else:
    print(skipped)

# %% [markdown] id="default-intro"
# (In a container it is even simpler: when process 1 ends, all others of its pid namespace end with it.)
#
# And if you say nothing? Then a container has limits all the same: here are those in its plan.

# %% id="default"
plan = sandbox.plan(sandbox.spec_for("busybox", "true"))
limits = next(step for step in plan if step.name == "SetLimits")
print(f"{limits.memory // MIB} MiB, and {limits.pids} processes")

assert (limits.memory, limits.pids) == (512 * MIB, 512)

# %% [markdown] id="recap"
# ## What a limit is
#
# - a group is a folder, a limit a number in a file, and what is used stands in the file beside it;
# - memory of processes counts, files in memory count, and what the kernel needs for them as well;
# - too much memory: the kernel kills the process of this group that uses most, by SIGKILL (137), and
#   counts that; nobody is asked;
# - too many processes: `fork` fails with `EAGAIN`, nobody is killed, and that is counted, too;
# - the container is told nothing: `free` shows the whole machine;
# - a limit can be turned while it runs.
#
# ## Exercises
#
# ### 1. Just enough
#
# The job `JOB`, which the next cell makes, needs a certain amount of memory. Find the smallest limit
# with which it still ends with 0, to within 10 %: `limit`, in MiB. (Trying all of them is allowed.
# Measuring is quicker.)

# %% id="exercise-1-start"
need = random.randint(25, 60)
JOB = f"dd if=/dev/zero of=/dev/null bs={need}M count=1 2> /dev/null"
print("The job is made; have no look at it.")

# %% id="exercise-1"
limit = None

# %% id="exercise-1-check" tags=["check"]
if not LIMITS:
    print(f"Exercise 1: {skipped}")
elif limit is None:
    print("Exercise 1 waits for you: give limit a value in the cell above, run it, then this one.")
else:
    enough = sandbox.run("busybox", JOB, memory=f"{round(limit * 1024)}k")
    assert enough.exit_code == 0, f"with {limit} MiB it ends with {enough.exit_code}: {enough.reason}"
    less = sandbox.run("busybox", JOB, memory=f"{round(limit * 1024 * 0.9)}k")
    assert less.exit_code, f"with {limit * 0.9:.1f} MiB it would do as well: {limit} is too much"
    print(f"Right: with {limit} MiB it ends with 0, with a tenth less it is killed.")

# %% [markdown] id="exercise-1-solution"
# <details><summary>Hint</summary>
#
# The table in part 2: which file knows how much a group has used at most? Let the job run in a
# container with a generous limit. A little more is needed than that (for the program's own start).
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# other, _ = sandbox.launch("busybox", "exec sleep 3600", name="other", memory="256m")
# other.exec(JOB)
# peak = Path(groups("other")["memory"])
# for file in ("memory.peak", "memory.max_usage_in_bytes"):
#     if (peak / file).exists():
#         limit = int((peak / file).read_text()) / MIB + 1
# other.kill()
# ```
#
# Where version 2 is older than Linux 5.19 there is no `memory.peak`: there you have to try.
#
# </details>
#
# ### 2. More room
#
# The next cell starts the container `tight`, in which hardly anything can be done: at most 3 processes,
# and 8 MiB. Without starting it anew, let it have 50 processes and 64 MiB.

# %% id="exercise-2-start"
if LIMITS:
    tight, _ = sandbox.launch("busybox", "exec sleep 3600", name="tight", memory="8m", pids=3)
    tight_pid = tight.info().pid
    print(tight.exec("sleep 1 & sleep 1 & sleep 1 & sleep 1").stderr.decode())
else:
    print(skipped)

# %% id="exercise-2"
# your answer

# %% id="exercise-2-check" tags=["check"]
if not LIMITS:
    print(f"Exercise 2: {skipped}")
else:
    processes = knob("tight", "pids.max").read_text().strip()
    memory = int(knob("tight", "memory.max", "memory.limit_in_bytes").read_text())
    if (processes, memory) == ("3", 8 * MIB):
        print("Exercise 2 waits for you: tight is as tight as before.")
    else:
        assert tight.info().pid == tight_pid, "that is another container"
        assert processes == "50", f"pids.max says {processes}"
        assert memory == 64 * MIB, f"its memory limit is {memory / MIB:g} MiB"
        hungry = tight.exec("dd if=/dev/zero of=/dev/null bs=50M count=1")
        assert hungry.exit_code == 0, "a job of 50 MiB is still killed"
        print("Right: the same container, and more room.")

# %% [markdown] id="exercise-2-solution"
# <details><summary>Hint</summary>
#
# Part 5. `update` takes the same names as `launch`.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# tight.update(memory="64m", pids=50)
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

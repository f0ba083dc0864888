# %% [markdown] id="welcome"
# # A new root: chroot and pivot_root
#
# Every process has a root directory: the place where a path that begins with `/` begins. A container
# has another one than this machine. There are two ways to get there. The old one is from 1979, takes
# one line, and can be left again by anybody who knows how: you will see the five lines that do it. The
# new one holds, but it has conditions, and when one of them is missing the kernel only says *Invalid
# argument*, to everybody, for every reason. Here you will make each of these errors yourself, and the
# machine will tell you the reason.
#
# In between, you start a container in slow motion: step by step, in the order that *you* choose.
#
# As before: write your `guess` into a cell before you run it. It takes about 45 minutes, as root or as
# an ordinary user. Whatever breaks out here breaks out of a folder, inside a container.

# %% id="load"
# %load_ext kernel_ext
import os
import subprocess
import textwrap
import time
from pathlib import Path

import sandbox

OURS = ("house", "prison", "stepped", "puzzle")  # the containers of this lesson


def tidy():
    """End what is there of this lesson, perhaps from the last time."""
    for name in ("s", "puzzle"):
        if isinstance(globals().get(name), sandbox.Stepper):
            globals()[name].reset()
    for each in sandbox.containers():
        if each.name in OURS:
            sandbox.Container(each.name).destroy(force=True)


def mounts(pid):
    """The lines of /proc/PID/mountinfo, cut at the spaces."""
    return [line.split() for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()]


tidy()
report = sandbox.host.report()
assert report.can("namespace.user"), report.why_not("namespace.user")
PYTHON = sandbox.run("host", "command -v python3 pivot_root mount").exit_code == 0
print(
    "All of it can be done here."
    if PYTHON
    else "There is no python3 in /usr: parts 1 to 3 are for reading."
)

# %% [markdown] id="jail-intro"
# ## 1. The old way: `chroot`
#
# The image `host` is this machine's own programs, read-only, in a container; so there is a `python3` in
# it. The script makes a folder, puts a file into it, and says: for me, this folder is `/` from now on.

# %% id="jail"
guess = "?"  # the script lists "/" in the end: what will be there?

JAIL = """
import os
os.mkdir("/tmp/jail")
open("/tmp/jail/hello", "w").close()
print("before:", *sorted(os.listdir("/")))
os.chroot("/tmp/jail")
os.chdir("/")
print("in jail:", *sorted(os.listdir("/")))
"""
if PYTHON:
    seen = sandbox.run("host", JAIL, interpreter="python3").text
    print(f"{seen}you said: {guess}")
    assert seen.splitlines()[-1] == "in jail: hello"

# %% [markdown] id="escape-intro"
# Only `hello`. There is no path that leads out: `/..` is `/` itself, the kernel sees to that. It looks
# like a prison, it is called so everywhere, and for many years web servers and FTP servers were locked
# up in it.
#
# ## 2. Out again, in five lines
#
# The prisoner is root in there (of its own user namespace; that is enough). It may do what its guard
# did: call `chroot`. So it makes a second prison inside the first one, and does *not* go in.

# %% id="escape"
guess = "?"  # what will the prisoner see at the end: "door", "hello", or "everything"?

ESCAPE = """
os.mkdir("door")
os.chroot("door")     # the root is down there now. I am still here
for _ in range(100):
    os.chdir("..")    # ... on the way up there is no root any more that would stop me
os.chroot(".")
print("out:", *sorted(os.listdir("/")))
"""
if PYTHON:
    seen = sandbox.run("host", JAIL + ESCAPE, interpreter="python3").text
    print(f"{seen}you said: {guess}")
    before, _, out = (line.partition(": ")[2] for line in seen.splitlines())
    assert out == before

# %% [markdown] id="why-intro"
# Everything. How can that be? The kernel keeps two entries for each process: where its *root* is, and
# where it *is* (its working directory). `chroot` changes the first, and nothing else. And `..` is
# stopped at one place only: when the process stands *at its root*. Who stands outside of it never comes
# by.
#
# ```text
#   /                      ← where 100 × ".." ends
#   └── tmp
#       └── jail           ← I am here
#           └── door       ← my root is here: never on my way up
# ```
#
# `chroot(2)` says it in its manual page: it is *not intended to be used for any kind of security
# purpose*. Nothing was taken away: all the files were still mounted. Only the way to them had been
# forgotten.
#
# But one thing you should ask now: **why did it stop there?** A hundred times `..` is more than enough
# to reach the root of *this machine*. It only came up to the root of its container, and that was made
# in the new way. Here is the new way, for the same folder, and then the same five lines.

# %% id="pivot"
guess = "?"  # what will the prisoner see this time?

WALL = """
import ctypes, subprocess
subprocess.run(["mount", "-t", "tmpfs", "jail", "/mnt"])  # a file system of its own
os.chdir("/mnt")
open("hello", "w").close()
subprocess.run(["pivot_root", ".", "."])
ctypes.CDLL(None).umount2(b".", 2)  # 2: MNT_DETACH
os.chdir("/")
print("in jail:", *sorted(os.listdir("/")))
"""
if PYTHON:
    options = {"interpreter": "python3", "cap_add": "SYS_ADMIN"}
    held = sandbox.run("host", "import os" + WALL + ESCAPE, **options)
    print(f"{held.text}you said: {guess}")
    assert held.text.splitlines() == ["in jail: hello", "out: door hello"]

# %% [markdown] id="house-intro"
# The walker goes up a hundred times, and is where it was. `pivot_root` does not change an entry of one
# process: it changes **the tree of mounts**. The new file system becomes the top of the tree, the old
# one hangs below it for a moment, and is then unmounted. There is no "above" any more to which one
# could walk.
#
# ## 3. Two words, seen from outside
#
# A container called `house`, with two guests. Both `sleep`; one of them was locked up by `chroot`, the
# other one by `pivot_root`, in a mount namespace of its own (`unshare -m`). Inside, both see the same
# few files. Out here the kernel shows what it has noted.

# %% id="house"
house, _ = sandbox.launch("busybox", "exec sleep 3600", name="house", cap_add="SYS_ADMIN")


def at_home(line):
    """Type a line in the house; show it and what it says."""
    done = house.exec(line)
    print(f"house# {line.strip()}\n{done.text}{done.stderr.decode()}", end="")
    return done.text + done.stderr.decode()


at_home("mount -t tmpfs jail /mnt; mkdir /mnt/bin /mnt/old /mnt/cell; cp -a /bin/. /mnt/bin; ls /mnt")
chrooted = house.spawn("exec chroot /mnt sleep 1001")
walled = house.spawn(
    "exec unshare -m sh -c 'cd /mnt; pivot_root . old; umount -l /old; exec sleep 1002'"
)


def guest(seconds):
    """The number of the process `sleep SECONDS` in the house, out here."""
    space = os.readlink(f"/proc/{house.info().pid}/ns/pid")
    for _ in range(100):
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_text().split("\0")[:-1]
                if words == ["sleep", str(seconds)] and os.readlink(folder / "ns/pid") == space:
                    return int(folder.name)
            except OSError:  # it has just ended, or is somebody else's
                continue
        time.sleep(0.05)
    raise AssertionError(f"there is no sleep {seconds}")


# %% id="guests"
guess = (
    "?"  # nsenter -m goes into a guest's mount namespace, and sees its top. In which one is the house?
)

tops = {}
for how, seconds in (("chroot", 1001), ("pivot_root", 1002)):
    pid = guest(seconds)
    inner = Path(f"/proc/{pid}/status").read_text().split("NSpid:")[1].split()[1]
    where = os.readlink(f"/proc/{pid}/root")
    print(f"{how}: /proc/{pid}/root is {where}, mount namespace {os.readlink(f'/proc/{pid}/ns/mnt')}")
    tops[how] = at_home(f"nsenter -t {inner} -m ls /").split()
print("you said:", guess)

space = os.readlink(f"/proc/{house.info().pid}/ns/mnt")
assert os.readlink(f"/proc/{guest(1001)}/ns/mnt") == space, "chroot made no new namespace"
assert os.readlink(f"/proc/{guest(1001)}/root") == "/mnt"
assert os.readlink(f"/proc/{guest(1002)}/root") == "/"
assert "etc" in tops["chroot"]
assert tops["pivot_root"] == ["bin", "cell", "old"]
assert [words[4] for words in mounts(guest(1002))] == ["/"], "one mount, and nothing else"

# %% [markdown] id="plan-intro"
# The guest with `chroot` stands in a folder, `/mnt`, of a tree that it shares with the whole house: who
# goes into its namespace stands in the living room. The one with `pivot_root` is in a world of one
# single mount, and for it the house does not exist.
#
# ## 4. A container in slow motion
#
# That was by hand. Now a real container, and this time you make it: a `Stepper` has the plan of a
# container, and makes a step only when you say so. `▸` is the next one.

# %% id="plan"
s = sandbox.Stepper("busybox", "echo I live on $(hostname); ls -C /", hostname="box", name="stepped")
print(*(line[:100] for line in str(s).splitlines()), sep="\n")

# %% [markdown] id="first-intro"
# Both lanes of a start, in one order: what the launcher does on the host, and what the new process does
# to itself. We go up to `Clone`, then make that one. What has changed is not taken from any text-book:
# it was read from `/proc` before and after.

# %% id="first"
s.to("Clone")
born = s.next()
print(born)

assert s.pid
assert os.path.exists(f"/proc/{s.pid}")
assert "uts namespace" in [change.what for change in born.changed]

# %% [markdown] id="wait-intro"
# A process, in namespaces of its own, that waits. It waits really: have a look into `/proc`, or into
# `top`, as long as you like. Now all the others up to `PivotRoot`, each with the first thing that it
# changed.

# %% id="wait"
while s.upcoming.name != "PivotRoot":
    stage = s.next()
    first = str(stage.changed[0]) if stage.changed else "-"
    more = f" (+{len(stage.changed) - 1})" if len(stage.changed) > 1 else ""
    print(f"{stage.name:24}{textwrap.shorten(first, 62, placeholder=' …')}{more}")
    assert not stage.error

# %% [markdown] id="moment-intro"
# Its new root is there: put together below `/tmp` of a tmpfs that only this process sees. But it has
# not moved in. **Which mounts does it see now? And how many will be left after the next step?**

# %% id="moment"
guess = "?"  # how many of this machine's own mounts will be left: "all", "some", "none"?

before = {words[4] for words in mounts(s.pid)}
stage = s.next()
after = {words[4] for words in mounts(s.pid)}
print(f"before: {len(before)} mounts, {' '.join(sorted(before)[:8])} …")
print(f"after:  {len(after)} mounts, {' '.join(sorted(after)[:8])} …")
print(*(f"{call.name}({call.arguments}) = {call.result}" for call in stage.calls), sep="\n")
print("you said:", guess)

assert {"/", "/tmp", "/tmp/root", "/tmp/root/proc"} <= before
assert after == {
    path.removeprefix("/tmp/root") or "/" for path in before if path.startswith("/tmp/root")
}

# %% [markdown] id="rest-intro"
# None. What began with `/tmp/root` begins with `/` now, and all the rest is gone: two system calls.
# With that its last way back has gone as well. See how far you have come, and run the rest.

# %% id="rest"
done = s.run()
print(done.text)
s.reset()
print("left in the ledger:", s.held or "nothing")

assert done.exit_code == 0
assert "I live on box" in done.text

# %% [markdown] id="order-intro"
# ## 5. In another order
#
# With `s.skip("NAME")` a step is left out, with `s.move("NAME", before="NAME")` it is made at another
# time. It is safe: the container has a user namespace of its own, and without one the stepper refuses.
#
# Six changes of the order. **Which of these containers will come to life?**

# %% id="order"
guess = "?"  # the numbers of those that will live

CHANGES = (
    ("PivotRoot before MountOverlay", lambda s: s.move("PivotRoot", before="MountOverlay")),
    ("SetCapabilities before PivotRoot", lambda s: s.move("SetCapabilities", before="PivotRoot")),
    ("InstallSeccomp before PivotRoot", lambda s: s.move("InstallSeccomp", before="PivotRoot")),
    ("SetHostname just before Exec", lambda s: s.move("SetHostname", before="Exec")),
    ("Mask after PivotRoot", lambda s: s.move("Mask", before="SetUser")),
    ("no PivotRoot at all", lambda s: s.skip("PivotRoot")),
)
lived = []
for number, (what, change) in enumerate(CHANGES, 1):
    with sandbox.Stepper("busybox", "hostname; ls -a /", hostname="box", name="stepped") as s:
        change(s)
        try:
            seen = s.run().text.split()[1:]
            lived.append(number)
            came = f"lives, and sees {len(seen)} files in /"
        except sandbox.SandboxError as refused:
            came = refused.message + (f" ({refused.condition})" if refused.condition else "")
    print(f"{number} {what}\n      {textwrap.shorten(came, 92, placeholder=' …')}")
print("you said:", guess)

assert lived == [5, 6]
assert set(seen) >= set(os.listdir("/")), "the last one sees this machine's files"
assert sandbox.ledger() == [] or "stepped" not in [entry["name"] for entry in sandbox.ledger()]

# %% [markdown] id="order-why"
# Four are refused, and the order tells you why:
#
# - 1: what shall become the root must be there before (`ENOENT`);
# - 2, 3 and 4: **power is given up last.** `pivot_root` and `sethostname` need `CAP_SYS_ADMIN`; the
#   filter of system calls forbids the first one even to root. What a container must not be able to do,
#   it has to have done before;
# - 5: to hide files one needs the files, and not the old root;
# - 6: nobody is refused. That is the dangerous kind of mistake: everything runs, and it sees all the
#   files of this machine.
#
# ## 6. *Invalid argument*
#
# The most searched-for error of all who build containers themselves is `pivot_root: Invalid argument`.
# `EINVAL` has at least four reasons, and the kernel does not say which. We make them, in a container
# that is just about to take that step: we go into its mount namespace, from outside, and meddle with
# it.
#
# First reason. On most machines systemd makes `/` *shared*: mounts are passed on to other namespaces
# (lesson 5). A root that others share can't be moved.


# %% id="shared"
def meddle(line):
    """Do a line in the mount namespace of the waiting process, as root of its user namespace."""
    who = [] if os.geteuid() == 0 else ["--preserve-credentials"]
    enter = ["nsenter", f"--target={s.pid}", "--user", "--mount", *who, *line.split()]
    done = subprocess.run(enter, capture_output=True, text=True, cwd="/")
    print(f"meddle# {line}\n{done.stderr}", end="")
    assert done.returncode == 0


guess = "?"  # `mount --make-rshared /`, then PivotRoot: "works" or "refused"?

s = sandbox.Stepper("busybox", "echo It lives after all.", name="stepped")
s.to("PivotRoot")
meddle("mount --make-rshared /")
stage = s.next()
print(stage.error)
print("you said:", guess)

assert "EINVAL" in stage.error.message
assert "shared:" in stage.error.condition

# %% [markdown] id="again-intro"
# The kernel only said `EINVAL`. The line of `mountinfo` behind it was looked up afterwards, by the step
# itself: it has `shared:` in it. And a step that was refused does not end anything. It stays the next
# one; so take away the reason, and try again.

# %% id="again"
meddle("mount --make-rprivate /")
stage = s.next()
print(f"{stage.name}: {stage.error or stage.state}")
print(s.run().text)
s.reset()

assert not stage.error

# %% [markdown] id="point-intro"
# (The step `MakePrivate`, almost at the beginning, is there for that.) Second reason: the new root has
# to be a *mount*. A folder is not enough. We take away the mount, and leave the folder in which it was.

# %% id="point"
guess = "?"  # the folder is there, and empty: will it be "ENOENT", "EBUSY" or "EINVAL"?

s.to("PivotRoot")
meddle("umount -l /tmp/root")
stage = s.next()
print(stage.error)
print("you said:", guess)
s.reset()

assert "EINVAL" in stage.error.message
assert "no mount point" in stage.error.condition

# %% [markdown] id="busy-intro"
# That is why so many programs begin with the strange line `mount --bind jail jail`: a folder, mounted
# on itself. It changes nothing, and now it is a mount.
#
# ## 7. By hand
#
# There is one more: `EBUSY`, *Device or resource busy*. `pivot_root NEW OLD` moves the old root to the
# folder OLD, and this has to lie *below* NEW. We do it in the house, where `/mnt` is a tmpfs, and
# `/mnt/cell` a folder in it. Before each try, a small program out here reads `mountinfo`, and says what
# is wrong.

# %% id="busy"
guess = "?"  # four tries: write down "works", "EINVAL" or "EBUSY" for each


def verdict(new, old):
    """What pivot_root(2) will say in the house, from its mountinfo alone."""
    table = {words[4]: words for words in mounts(house.info().pid)}

    def under(path):
        """The mount in which a path lies."""
        return max((p for p in table if p == "/" or f"{path}/".startswith(f"{p}/")), key=len)

    above = under(os.path.dirname(new))
    for path in (under(old), above):
        if any(word.startswith("shared:") for word in table[path][6:]):
            return "EINVAL", f"the mount {path} is shared"
    if "/" in (under(new), under(old)):
        return "EBUSY", f"{new if under(new) == '/' else old} lies on the root mount itself"
    if new not in table:
        return "EINVAL", f"{new} is no mount, only a folder of the mount {under(new)}"
    return ("works", "") if f"{old}/".startswith(f"{new}/") else ("EINVAL", f"{old} is not below {new}")


TRIES = (
    ("/mnt/cell", "/mnt/cell", ""),
    ("/mnt", "/tmp", ""),
    ("/mnt/cell", "/mnt/cell", "mount --bind /mnt/cell /mnt/cell; mount --make-shared /mnt"),
    ("/mnt", "/mnt/old", "umount /mnt/cell; mount --make-private /mnt"),
)
WORDS = {"Invalid argument": "EINVAL", "Device or resource busy": "EBUSY"}
for number, (new, old, first) in enumerate(TRIES, 1):
    if first:
        at_home(first)
    expected, reason = verdict(new, old)
    said = at_home(
        f"unshare -m --propagation {'shared' if number == 3 else 'private'} pivot_root {new} {old}"
    )
    came = WORDS.get(said.strip().rpartition(": ")[2], "works")
    print(f"    {number}: {came}. {reason}\n")
    assert came == expected
print("you said:", guess)

# %% [markdown] id="proc-intro"
# All four as the small program had said. The conditions stand in `pivot_root(2)`, and whether they hold
# stands in `mountinfo`: nothing about it is secret, only the error is so short.
#
# One last thing about the order. In the plan, `/proc` is mounted *before* `PivotRoot`, in the new root.
# Why not afterwards, when one has moved in and can simply say `mount -t proc proc /proc`?

# %% id="proc"
guess = "?"  # after pivot_root and umount of the old root: can a new /proc be mounted, "yes" or "no"?

MOVE_IN = """unshare -m sh -c '
    cd /mnt; mkdir -p proc; {0}
    pivot_root . old; umount -l /old; {1}
    ls /proc | grep -c cpuinfo'"""
said_late = at_home(MOVE_IN.format("", "mount -t proc proc /proc"))
said_early = at_home(MOVE_IN.format("mount -t proc proc proc", ""))
print("you said:", guess)

assert "permission denied" in said_late
assert said_early == "1\n"

# %% [markdown] id="recap"
# No: in a user namespace the kernel mounts a new `proc` only for who can *see a whole one already*, so
# that nothing that was hidden in the old one can be uncovered that way (`mount_namespaces(7)`). With
# the old root the last whole one is gone. So: first everything that needs the old world, then the move,
# then give up power, then the program.
#
# ## What a new root is
#
# - a process has a root and a working directory; `chroot` changes only the first, and `..` is stopped
#   only there: so five lines lead out;
# - `pivot_root` changes the tree of mounts, and with the old root unmounted there is no "out" left;
# - the new root must be a mount, no mount around it may be shared, the old one must go below the new
#   one: `EINVAL`, `EINVAL`, `EBUSY`, and `mountinfo` shows which;
# - the order of a start is no matter of taste: what needs the old root, then `PivotRoot`, then what
#   takes power away, and `Exec` last;
# - the worst mistakes are not those that are refused, but those that run.
#
# ## Exercises
#
# ### 1. A wall
#
# In the container `prison`, which the next cell starts, is a folder `/srv/jail` with a small system in
# it. Let a `sleep 12345` run in there, in the background, so that no way leads out: it sees one mount,
# which is that folder. (`job = prison.spawn("…")` starts a line in it, and does not wait. It ends with
# `job`.)

# %% id="exercise-1-start"
prison, _ = sandbox.launch("busybox", "exec sleep 3600", name="prison", cap_add="SYS_ADMIN")
made = prison.exec(
    "mkdir -p /srv/jail/bin /srv/jail/old; cp -a /bin/. /srv/jail/bin; touch /srv/jail/here"
)
assert made.exit_code == 0


def prisoner():
    """The number of `sleep 12345` in the prison, out here; 0 if there is none."""
    space = os.readlink(f"/proc/{prison.info().pid}/ns/pid")
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_text().split("\0")[:-1]
            if words[-2:] == ["sleep", "12345"] and os.readlink(folder / "ns/pid") == space:
                return int(folder.name)
        except OSError:  # it has just ended, or is somebody else's
            continue
    return 0


# %% id="exercise-1"
# your answer

# %% id="exercise-1-check" tags=["check"]
time.sleep(0.5)
if not prisoner():
    print("Exercise 1 waits for you: there is no sleep 12345 in the prison.")
else:
    pid = prisoner()
    assert os.path.exists(f"/proc/{pid}/root/here"), "its root is not the folder /srv/jail"
    same = os.readlink(f"/proc/{pid}/ns/mnt") == os.readlink(f"/proc/{prison.info().pid}/ns/mnt")
    assert not same, "it shares its mounts with the prison: that is chroot, and five lines lead out"
    seen = [words[4] for words in mounts(pid)]
    assert os.readlink(f"/proc/{pid}/root") == "/", (
        "its root is a folder of a larger tree: five lines lead out"
    )
    assert seen == ["/"], f"the old root is still mounted: it sees {' '.join(seen[:6])}"
    print("Right: one mount, and no way out.")

# %% [markdown] id="exercise-1-solution"
# <details><summary>Hint</summary>
#
# The guest of part 3. And what has to be done first with a folder that shall become a root? (Part 6.)
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# job = prison.spawn("""exec unshare -m sh -c '
#     mount --bind /srv/jail /srv/jail
#     cd /srv/jail
#     pivot_root . old
#     umount -l /old
#     exec sleep 12345'""")
# ```
#
# </details>
#
# ### 2. Sorted
#
# Somebody has shuffled the plan of the container `puzzle`. Bring it into an order that works, and run
# it: `puzzle.move(…)`, `puzzle.run()`; and `print(puzzle)` shows how far it is. Leave nothing out, and
# don't move what is not in the way. (If you get lost: run the next cell again. `puzzle.reset()` would
# bring back the order of the plan, and that would be too easy.)


# %% id="exercise-2-start"
def shuffled():
    """A stepper whose steps are in a wrong order."""
    made = sandbox.Stepper(
        "busybox", "echo sorted; grep -E 'CapEff|Seccomp:' /proc/self/status", name="puzzle"
    )
    made.move("PivotRoot", before="Mask")
    made.move("SetNoNewPrivileges", before="MountScratch")
    made.move("InstallSeccomp", before="MountScratch")
    made.move("SetCapabilities", before="MountOverlay")
    return made


if isinstance(globals().get("puzzle"), sandbox.Stepper):
    puzzle.reset()
puzzle = shuffled()
given = [stage.name for stage in puzzle.stages]
print(*given, sep=" → ")

# %% id="exercise-2"
# your answer

# %% id="exercise-2-check" tags=["check"]
if puzzle.result is None and [stage.name for stage in puzzle.stages] == given:
    print("Exercise 2 waits for you: the steps of puzzle are as they were.")
else:
    left_out = [stage.name for stage in puzzle.stages if stage.state == "skipped"]
    assert not left_out, f"left out: {', '.join(left_out)}"
    failed = [f"{stage.name}: {stage.error.message}" for stage in puzzle.stages if stage.error]
    assert not failed, f"it is stuck at {failed[0]}"
    assert puzzle.result is not None, "it has not been run to its end"
    order = [stage.name for stage in puzzle.stages]
    assert order.index("PivotRoot") < order.index("Mask"), (
        "PivotRoot was not in the way: leave it there"
    )
    assert puzzle.result.text.startswith("sorted\n"), f"it says {puzzle.result.text!r}"
    assert "Seccomp:\t2" in puzzle.result.text, "it has no filter"
    print("Right: first build, then move in, then give up power.")

# %% [markdown] id="exercise-2-solution"
# <details><summary>Hint</summary>
#
# Two steps take power away, and both come too early: to mount needs that power. Is the place of
# `PivotRoot` a mistake at all? (Part 5.)
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# for name in ("SetCapabilities", "SetNoNewPrivileges", "InstallSeccomp"):
#     puzzle.move(name, before="Exec")
# puzzle.run()
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

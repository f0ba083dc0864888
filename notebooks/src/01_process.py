# %% [markdown] id="welcome"
# # A container is a process
#
# You will start containers, look at them from inside and from outside, take one apart step by step, and
# then say in one sentence what a container is. You need a shell and a little Python, and any Linux with
# user namespaces, as root or as an ordinary user. Everything is real: this machine, its own kernel, no
# recordings.
#
# **Guess first.** Many cells begin with `guess`. Write down what you expect, then run the cell. Nobody
# keeps score; but a wrong guess is the moment at which you learn something.
#
# Run the cells in order, with Shift+Enter. It takes about 45 minutes and no network, and at the end
# nothing of it is left on this machine: you will see the proof. First, what does the machine allow?

# %% id="load"
# %load_ext kernel_ext
import os
import random
import signal
import subprocess
import textwrap
from pathlib import Path

import sandbox

OURS = ("sleeper", "small", "quiz", "twin", "bare")  # the containers of this lesson that have a name


def tidy():
    """End what is still there of this lesson, perhaps from the last time."""
    for each in sandbox.containers():
        if each.name in OURS:
            sandbox.Container(each.name).destroy(force=True)


tidy()
report = sandbox.host.report()
LIMITS = report.can("cgroup.memory") and report.can("cgroup.pids")
ids, kernel = sandbox.host.mapping_mode(), report["kernel"].detail
print(f"Linux {kernel} · limits: {'yes' if LIMITS else 'no'} · ids: {ids}")
assert report.can("namespace.user"), report.why_not("namespace.user")

# %% [markdown] id="first-intro"
# *limits: no* means that this user can't limit memory here. Cells about limits then say so and do
# nothing, and the first container shows a yellow card about it. *ids* becomes clear in part 5.
# (`%lxc_checkconfig` shows all that was found.)
#
# ## 1. A first container
#
# With `%%container` on top, a cell is a shell script that runs in a new container. `busybox` is the
# image: a complete small Linux in one file. `--out first` keeps the result in the Python variable
# `first`.

# %% id="first"
# %%container busybox --hostname box --out first
# echo "I am $(id -un) on $(hostname), and my process number is $$."
# ps -o pid,user,comm
# ls -C /

# %% [markdown] id="vm-intro"
# A name of its own, a root user of its own, files of its own, and hardly any processes: that looks like
# another machine.
#
# ## 2. Is it a virtual machine?
#
# A virtual machine boots a kernel of its own. `uname -r` prints the version of the kernel.
# (`sandbox.run` is `%%container` for Python.)

# %% id="vm"
guess = "?"  # will it be "the same" version inside as outside, or "another"?

inside = sandbox.run("busybox", "uname -r").text.strip()
outside = os.uname().release
took = (max(entry.end for entry in first.trace) - first.trace.entries[0].start) / 1e6
print(f"inside {inside}, outside {outside}")
print("you said:", guess)
print(f"the first container was ready after {took:.0f} ms")

assert "I am root on box, and my process number is 1." in first.text
assert inside == outside
assert took < 1000, "that would be long enough to boot a kernel"

# %% [markdown] id="pid-intro"
# The same, because there is only one kernel. Nothing was booted: so few milliseconds would not be
# enough.
#
# ## 3. Then where is it?
#
# We start one that stays: with `--bg` it runs in the background, and `sleeper` is a handle on it.
# (`exec`: the shell does not wait for `sleep`, it becomes `sleep`.) Then we look at it twice. From
# inside, with `--in`: the script runs in a container that is there already. And from outside: this
# machine's kernel lists every process under `/proc`.

# %% id="sleeper"
# %%container busybox --bg --name sleeper --hostname box --out sleeper
# exec sleep 3600

# %% id="pid-inside"
# %%container --in sleeper --out seen
# ps -o pid,comm

# %% id="pid-outside"
guess = "?"  # this one process, sleep: how many process numbers (PIDs) does it have?


def status(pid):
    """The lines of /proc/PID/status as a dictionary."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


# %lxc_info -n sleeper
pid = sleeper.info().pid
print(f"\n/proc/{pid}/status:")
for key in ("Name", "State", "Pid", "NSpid"):
    print(f"{key + ':':15} {status(pid)[key]}")
print("you said:", guess)

assert ["1", "sleep"] in [line.split() for line in seen.text.splitlines()]
assert (status(pid)["Name"], status(pid)["NSpid"].split()) == ("sleep", [str(pid), "1"])
born = sleeper.exec("cat /proc/1/stat").text.split()[21]  # in ticks since the machine started
assert born == Path(f"/proc/{pid}/stat").read_text().split()[21]

# %% [markdown] id="ns-intro"
# Two numbers, one process. `NSpid` lists both: first the one that is known out here (to LXC's words
# above, to `ps` in a terminal, to you), then the one that is known inside. It is no copy and no twin:
# both views agree even on the tick of the clock at which it was born.
#
# ```text
#   this machine, one kernel            ┌── inside ──────┐
#   1     init                          │                │
#   …     jupyter, this notebook, …     │                │
#   PID   sleep  ── the same process ── │  1    sleep    │
#                                       └────────────────┘
# ```
#
# ## 4. Eight namespaces
#
# Which process is number 1? That depends on the *namespace* from which one asks. The kernel has eight
# kinds:
#
# | kind | answers the question |
# |:--|:--|
# | `mnt` | which file systems are mounted, and where? |
# | `pid` | which processes are there, and what are their numbers? |
# | `net` | which network cards, addresses and ports are there? |
# | `ipc` | which message queues and shared memory are there? |
# | `uts` | what is this machine called? |
# | `user` | which users are there, and what may they do? |
# | `cgroup` | which control groups (for limits) are there? |
# | `time` | how long has this machine been running? |
#
# Every process is in one of each kind; `/proc/PID/ns` tells in which. We compare three processes: this
# notebook, an ordinary `sleep` that it starts, and the `sleep` in the container.

# %% id="ns"
guess = "pid uts"  # the kinds in which the container will differ from this notebook

KINDS = ("mnt", "pid", "net", "ipc", "uts", "user", "cgroup", "time")


def namespaces(pid):
    """Which namespace of each kind a process is in. The kernel gives every namespace a number."""
    return {kind: os.readlink(f"/proc/{pid}/ns/{kind}").removeprefix(f"{kind}:") for kind in KINDS}


child = subprocess.Popen(["sleep", "60"])
here, ordinary, there = namespaces("self"), namespaces(child.pid), namespaces(pid)
child.kill()
child.wait()

print("        this notebook   ordinary child  container")
for kind in KINDS:
    mark = "=" if here[kind] == there[kind] else "≠"
    print(f"{kind:8}{here[kind]:16}{ordinary[kind]:16}{there[kind]:14}{mark}")
right = sum((kind in guess.split()) == (here[kind] != there[kind]) for kind in KINDS)
print(f"you said: {guess}. That is right for {right} of {len(KINDS)}.")

assert ordinary == here, "a child is in the same namespaces as its parent"
assert not set(there.values()) & set(here.values()), "the container has its own of all eight kinds"

# %% [markdown] id="root-intro"
# An ordinary child shares all eight with its parent; the container shares none. These are eight entries
# in the kernel's record of a process, and a few more will follow; but there is no box around it.
#
# ## 5. Root inside
#
# Inside it is root, user 0, and writes a file.

# %% id="root-inside"
# %%container --in sleeper
# id
# echo "by root" > /tmp/mine
# ls -ln /tmp/mine

# %% id="root-outside"
guess = "?"  # whose are that process and that file out here: "root", "me", or "somebody else"?

user = int(status(pid)["Uid"].split()[0])
owner = os.stat(f"/proc/{pid}/root/tmp/mine").st_uid
uid_map = Path(f"/proc/{pid}/uid_map").read_text().split()
print(f"the process is of user {user}, the file of user {owner}; this notebook of user {os.geteuid()}")
print("inside, outside, how many ids:", *uid_map)
print("you said:", guess)

assert user == owner == int(uid_map[1])
assert user > 65535 if sandbox.host.mapping_mode() == "range" else user == os.geteuid()

# %% [markdown] id="power-intro"
# The second line is the map of ids, `/proc/PID/uid_map`. Started by root, a container gets 65,536 ids
# that nobody else has: its root is *somebody else*, and owns nothing out here. Started by an ordinary
# user, its root is that user (*me*), and may do nothing that the user may not.
#
# So what is it worth to be root? Ask for a few things that only root may do:

# %% id="power"
for command in (
    "hostname other",
    "mount -t tmpfs none /mnt",
    "mknod /tmp/disk b 8 0",
    "ifconfig lo down",
    "dmesg",
):
    answer = sleeper.exec(command)
    print(f"{command:26}{answer.stderr.decode().strip()}")
    assert answer.exit_code != 0, f"{command} should have been refused"

# %% [markdown] id="world-intro"
# Root's power is cut into about forty *capabilities*; the container keeps the 14 that programs usually
# need, and even those count only for what belongs to its own user namespace.
#
# ## 6. A world of its own
#
# No need to go in: the kernel shows the world of every process under `/proc/PID`.


# %% id="world"
def world(pid):
    """What a process sees, read from outside."""
    cards = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
    return {
        "files in /": len(os.listdir(f"/proc/{pid}/root")),
        "mounts": len(Path(f"/proc/{pid}/mountinfo").read_text().splitlines()),
        "network cards": " ".join(line.split(":")[0].strip() for line in cards),
    }


ours = {"name": os.uname().nodename, **world("self")}
its = {"name": sleeper.exec("hostname").text.strip(), **world(pid)}
print("                this notebook           container")
for key in ours:
    print(f"{key:16}{ours[key]!s:24}{its[key]}")

assert its["name"] == "box"
assert its["network cards"] == "lo", "by default, a container has no network but itself"
assert not os.path.samefile(f"/proc/{pid}/root", "/")

# %% [markdown] id="limits-intro"
# ## 7. Limits
#
# Namespaces decide what a process *sees*. How much it may *use* is another mechanism: control groups.
# First memory: `tail /dev/zero` waits for the end of a line that never ends, and keeps all of it.

# %% id="memory"
guess = "?"  # when 16 MiB are used up, will it "wait", get an "error", or be "killed"?

if LIMITS:
    hog = sandbox.run("busybox", "tail /dev/zero", memory="16m")
    print(f"exit code {hog.exit_code}: {hog.reason}")
    print("you said:", guess)
    assert hog.exit_code == 128 + signal.SIGKILL
    assert "out of memory" in hog.reason
else:
    print("Skipped, this user can't limit memory here:", report.why_not("cgroup.memory"))

# %% [markdown] id="counter-intro"
# Killed; and a shell calls that 137, which is 128 + 9 (SIGKILL). The limit itself is nothing but a
# number in a file, in a folder that stands for the group; and in the file beside it the kernel counts
# its kills. To see both, the next container stays, and the hog is a second process in it.

# %% id="counter"
if LIMITS:
    small, _ = sandbox.launch("busybox", "sleep 3600", name="small", memory="16m")
    small.exec("tail /dev/zero")
    groups = next(entry["cgroups"] for entry in sandbox.ledger() if entry["name"] == "small")
    folder = Path(dict(groups)["memory"])
    found = {}
    for name in "memory.max", "memory.events", "memory.limit_in_bytes", "memory.oom_control":
        if (folder / name).exists():  # the first two are cgroup v2's, the others v1's
            found[name] = (folder / name).read_text().split()
            print(f"{name:24}{' '.join(found[name])}")
    limit, counts = found.values()
    assert limit == [str(16 << 20)]
    assert counts[counts.index("oom_kill") + 1] == "1"
    assert small.state == "RUNNING", "its first process used little memory, and lives"
    small.kill()
else:
    print("Skipped, this user can't limit memory here.")

# %% [markdown] id="pids-intro"
# The number of processes can be limited, too. This script starts one `sleep` after the other, and
# counts them.

# %% id="pids"
guess = "?"  # with 5 processes allowed: how far will it count?

if LIMITS:
    many = sandbox.run("busybox", "i=0; while sleep 9 & do i=$((i+1)); echo $i; done", pids=5)
    print(*many.text.split(), many.stderr.decode().strip())
    print("you said:", guess)
    assert many.text.split() == ["1", "2", "3", "4"]
else:
    print("Skipped, this user can't limit processes here:", report.why_not("cgroup.pids"))

# %% [markdown] id="free-intro"
# To four: the shell itself is the fifth. This wall stops a fork bomb. And what does a container *know*
# about its limits?

# %% id="free"
guess = "?"  # 64 MiB are allowed: what will `free` call the total, "64" or "all" of this machine?

limits = {"memory": "64m"} if LIMITS else {}
free = sandbox.run("busybox", "free -m; grep MemTotal /proc/meminfo", **limits)
print(f"{free.text}you said: {guess}")

assert free.text.splitlines()[-1] in Path("/proc/meminfo").read_text()

# %% [markdown] id="plan-intro"
# All of it: no namespace covers `/proc/meminfo`. A program that looks there to decide how much memory
# to take gets killed for it; a true story, and a common one.
#
# ## 8. The plan
#
# How is such a process made? By a list of steps, each of them one call to the kernel, or a few. Here
# that list is plain data: the *plan*. (On top of any script, `%%container --plan` prints it in full and
# runs nothing.)

# %% id="plan"
plan = sandbox.plan(sandbox.spec_for("busybox", "true", hostname="box"))
for lane in ("outside", "inside"):
    print(lane)
    for step in getattr(plan, lane):
        name = f"{step.name} {getattr(step, 'destination', '')}"
        purpose = step.__doc__.split(":")[0].split(". ")[0]
        print(f"  {name:29}{textwrap.shorten(purpose, 66, placeholder=' …')}")

# %% [markdown] id="trace-intro"
# Read it aloud. **Outside**, a small helper program claims ids and sets limits, where it may. `Clone`
# is the moment of birth: a single call, `clone3`, makes a process in new namespaces. It waits until the
# helper has finished, and goes on at `Go`. **Inside**, the newborn furnishes its own world: it puts its
# files together, lets go of the old root (`PivotRoot`), takes a name, gives up power for good, and at
# last becomes the program (`Exec`): the same process, with other code.
#
# The *trace* is the plan with a clock: when each step was made, and how long it took.

# %% id="trace"
trace = sandbox.run("busybox", "true").trace
start = trace.entries[0].start
column = (max(entry.end for entry in trace) - start) / 40
for entry in trace:
    name, at, took = entry.step.partition("(")[0], entry.start - start, entry.end - entry.start
    bar = " " * int(at / column) + "█" * max(1, round(took / column))
    print(f"{took / 1000:6.0f} µs  {entry.lane:8}{name:24}{bar}")

assert sorted(entry.step.partition("(")[0] for entry in trace) == sorted(step.name for step in plan)

# %% [markdown] id="without-intro"
# (`%%container --trace` prints it with every detail, `--calls` with every system call.)
#
# ## 9. Leave a step out
#
# There is no better way to learn what a step is for. And it is safe: the container has a user namespace
# of its own, so even a wrong plan can't harm this machine. The first victim is `SetHostname`. **What
# will the container be called: `box`, nothing, or something else?**

# %% id="hostname"
# %%container --hostname box --without SetHostname --out named
# hostname

# %% [markdown] id="pivot-intro"
# It is called what this machine is called. A new `uts` namespace is not empty: it begins as a *copy*.
#
# So does a new `mnt` namespace (while `pid`, `net` and `ipc` begin empty). The next container goes
# without `PivotRoot`, and has everything else: eight namespaces, limits, filters. **Whose files will it
# see? And can it read `/etc/shadow`, the file with the passwords?**

# %% id="pivot"
# %%container --without PivotRoot --out unpivoted
# ls -C /
# cat /etc/shadow 2>&1

# %% [markdown] id="caps-intro"
# It sees this machine's files, and eight namespaces don't hide them. (Even `ls` was this machine's
# own.) What still protects the passwords is the map of ids: this root is nobody out here.
#
# Behind every lock there is a second one. One step lowers the capabilities that the process has
# (`SetCapabilities`), another those that it can ever get (`DropBoundingSet`).

# %% id="caps"
guess = "?"  # how many of the two must be left out, until the container has all capabilities: 1 or 2?

counted = []
for without in ([], ["SetCapabilities"], ["DropBoundingSet"], ["SetCapabilities", "DropBoundingSet"]):
    effective = sandbox.run("busybox", "grep CapEff /proc/self/status", without=without).text.split()[1]
    counted.append(int(effective, 16).bit_count())
    print(f"{counted[-1]:3} capabilities without {' and '.join(without) or 'anything left out'}")
print("you said:", guess)

assert counted[0] == counted[1] == counted[2] == 14
assert counted[3] > 30
assert named.text.strip() == os.uname().nodename
assert set(unpivoted.text.split()) >= {name for name in os.listdir("/") if not name.startswith(".")}
assert unpivoted.exit_code != 0, "the passwords could be read"

# %% [markdown] id="table-intro"
# And now all of them, each in turn. A script looks around in the container; each row shows what it
# finds changed when that step is missing. (`-`: nothing that the script can see.)

# %% id="table"
LOOK = """
echo name: $(hostname)
echo files in /: $(ls / | wc -l)
echo devices: $(ls /dev | wc -l)
echo process 1: $(cat /proc/1/comm)
echo interrupts: $(head -n 1 /proc/interrupts | wc -w)
echo write /proc/sys: $( (echo > /proc/sys/kernel/domainname) 2>&1 | sed 's/.*: //')
echo own group: $(cut -d : -f 3 /proc/self/cgroup | sort | tail -n 1)
echo loopback: $(grep -q 9 /sys/class/net/lo/flags && echo up || echo down)
echo open stderr: $( (: > /proc/1/fd/2) 2>/dev/null && echo yes || echo no)
grep -E 'SigIgn|CapEff|CapBnd|NoNewPrivs|Seccomp:' /proc/self/status | tr '\\t' ' '
for i in 1 2 3 4 5 6 7 8 9; do sleep 9 & echo processes: $i; done
"""


def look(**options):
    """What LOOK sees, as a dictionary; or, as text, why there was no container."""
    limits = {"pids": 8} if LIMITS else {}
    try:
        seen = sandbox.run("busybox", LOOK, hostname="box", **options, **limits)
    except sandbox.SandboxError as refused:
        return "refused: " + " ".join(word for word in refused.message.split() if word[0] != "/")
    return dict(line.split(": ", 1) for line in seen.text.splitlines() if ": " in line)


whole = look()
changes = {}
for step in dict.fromkeys(step.name for step in plan):
    if step in ("Clone", "Go", "WaitForGo", "Exec"):
        continue  # without these, nothing would run at all
    now = look(without=[step])
    if isinstance(now, dict):
        different = [key for key in whole if now.get(key) != whole[key]]
        now = ", ".join(f"{key} {whole[key]} → {now.get(key, '?')}" for key in different)
    changes[step] = now
    print(f"{step:24}{textwrap.shorten(now or '-', 72, placeholder=' …')}")

assert changes["SetNoNewPrivileges"].startswith("refused: InstallSeccomp")
assert changes["InstallSeccomp"] == "Seccomp 2 → 0"
assert changes["BringUpLoopback"] == "loopback up → down"
assert changes["Mask"].startswith("interrupts 0 → ")
assert "process 1 sh → ?" in changes["MountFilesystem"]
assert changes["MakePrivate"] == changes["SetCapabilities"] == ""
assert changes["SetLimits"] == ("processes 7 → 9" if LIMITS else "")

# %% [markdown] id="exec-intro"
# There are three kinds of rows:
#
# - **Refused**: a later step needs this one, and the kernel says so. That is the good case: there is no
#   container at all.
# - **A change**: it runs, and something leaks or is missing. Without `MountFilesystem` even `ps` would
#   be blind, as a list of processes is nothing but a look into `/proc`; and without `PivotRoot` it is
#   this machine's `/proc`, with all its processes.
# - **Nothing to see**: a second lock, or something that this script does not look at. The most famous
#   one is `MakePrivate`. Without it, mounts made inside could show up outside; but out of a user
#   namespace the kernel lets nothing like that pass.
#
# ## 10. Going in
#
# What does `--in` do, then, if there is no box that one could go into? It is a plan, too: a *new*
# process, which joins the namespaces and the group of one that is there.

# %% id="exec"
joined = sleeper.exec("readlink /proc/self/ns/uts; readlink /proc/1/ns/uts")
steps = [entry.step.partition("(")[0] for entry in joined.trace]
print(textwrap.fill(" → ".join(steps), 96))

assert "Enter" in steps
assert not {"Clone", "PivotRoot", "SetHostname", "MountOverlay"} & set(steps)
assert len(set(joined.text.split())) == 1, "both processes are in the same namespace"

# %% [markdown] id="end-intro"
# `Enter` (the call `setns`) takes the place of `Clone`. Nothing is mounted or named: all that is there.
# But power has to be given up once more, step by step, since the new process comes from outside, where
# it still had it.
#
# ## 11. The end
#
# Whatever is taken from the kernel for a container is first written into the *ledger*. We read what is
# held for `sleeper`. And then: if a container is a process, plain old `kill` should be enough to end
# it, by its number out here.

# %% id="end"
held = next(entry for entry in sandbox.ledger() if entry["name"] == "sleeper")
things = [Path(f"/proc/{held['pid']}"), *(Path(folder) for _, folder in held["cgroups"])]
groups = " ".join(name for name, _ in held["cgroups"]) or "none"
print(f"held for it:  process {pid}; groups: {groups}")
assert held["pid"] == pid
assert all(thing.exists() for thing in things)

os.kill(pid, signal.SIGKILL)

ended = sleeper.wait()
assert "sleeper" not in [entry["name"] for entry in sandbox.ledger()]
left = [thing for thing in things if thing.exists()]
print(f"exit code:    {ended.exit_code}, {ended.reason}")
print("left of it:  ", left or "nothing")
assert not left
assert sleeper.state == "STOPPED"

# %% [markdown] id="shared-intro"
# The process is gone, and so the container is gone. Its namespaces and mounts, and with them its files,
# ended with the last process in them; the groups were removed; and the ledger has no entry any more.
#
# ## 12. What is *not* isolated
#
# There is one kernel, and much of what it says is true for everybody. Each line was read in a container
# and is the same out here:

# %% id="shared"
SHARED = {
    "kernel": "uname -rv",
    "this boot": "cat /proc/sys/kernel/random/boot_id",
    "memory": "grep MemTotal /proc/meminfo",
    "processor": "grep -m 1 -E '^(model name|CPU part)' /proc/cpuinfo",
    "started at": "grep btime /proc/stat",
}
for what, command in SHARED.items():
    inside = sandbox.run("busybox", command).text
    outside = subprocess.run(command, shell=True, capture_output=True, text=True).stdout
    print(f"{what:12}{' '.join(inside.split()):.80}")
    assert inside == outside, what

# %% [markdown] id="recap"
# The same goes for the clock, the load, and above all for every bug of the kernel. That is why this
# sandbox is made for learning, and not against programs that want to break out.
#
# ## What a container is
#
# **A container is a process to which the kernel gives other answers.** In the order of this lesson:
#
# - it has one number out here and another one inside, and can be killed like any process;
# - eight *namespaces* decide what it sees; some begin empty and some as a copy, which it then has to
#   change;
# - a *map of ids* makes its root a nobody; *capabilities* and a *filter* of system calls take power
#   from it;
# - *control groups* limit what it uses, and it isn't even told;
# - it is made by a list of steps, and takes most of them itself;
# - when the process has ended, there is nothing else that could remain.
#
# ## Exercises
#
# Each has a cell for your answer, and a cell that checks it by asking the kernel.
#
# ### 1. Find it
#
# The next cell starts a container in which a `sleep` runs, for a random number of seconds. Which number
# does that process have *out here*? Find it without `quiz.info()` and `%lxc_info`: use `/proc`, or a
# terminal.

# %% id="exercise-1-start"
seconds = random.randint(100_000, 999_999)
quiz, _ = sandbox.launch("busybox", f"sleep {seconds}", name="quiz")
print(f"sleep {seconds}")

# %% id="exercise-1"
my_pid = None

# %% id="exercise-1-check" tags=["check"]
if my_pid is None:
    print("Exercise 1 waits for you: give my_pid a value in the cell above, run it, then this one.")
else:
    assert Path(f"/proc/{my_pid}").exists(), f"out here there is no process {my_pid}"
    numbers = status(my_pid)["NSpid"].split()
    assert len(numbers) > 1, f"process {my_pid} has no other number: it is in no container"
    command = Path(f"/proc/{my_pid}/cmdline").read_text().split("\0")[:-1]
    assert command == ["sleep", str(seconds)], f"process {my_pid} is another one: {' '.join(command)}"
    print(f"Right: out here {numbers[0]}, inside {numbers[-1]}.")

# %% [markdown] id="exercise-1-solution"
# <details><summary>Hint</summary>
#
# `/proc/PID/cmdline` holds the words of a command, with a zero byte after each.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# for folder in Path("/proc").glob("[0-9]*"):
#     try:
#         words = (folder / "cmdline").read_text().split("\0")
#     except OSError:  # it has just ended
#         continue
#     if words[:2] == ["sleep", str(seconds)]:
#         my_pid = int(folder.name)
# ```
#
# </details>
#
# ### 2. Share a name
#
# In part 9 a container had this machine's name as a *copy*. Start one called `twin`, in the background,
# that really *shares* it: seven namespaces of its own, and one that is ours. (`%%container --help`
# lists the options.)

# %% id="exercise-2"
# your answer

# %% id="exercise-2-check" tags=["check"]
running = {each.name: each.pid for each in sandbox.containers() if each.pid}
if "twin" not in running:
    print("Exercise 2 waits for you: no container called twin is running.")
else:
    mine, its = namespaces("self"), namespaces(running["twin"])
    shared = [kind for kind in KINDS if mine[kind] == its[kind]]
    told = f"twin shares {' '.join(shared) or 'nothing'} with this notebook: does that hold the name?"
    assert shared == ["uts"], told
    print("Right: it shares the name, and nothing else.")

# %% [markdown] id="exercise-2-solution"
# <details><summary>Hint</summary>
#
# The option is `--share`. The table in part 4 tells which kind of namespace holds the name.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# sandbox.launch("busybox", "sleep 3600", name="twin", share="uts")
# ```
#
# or a cell that begins with `%%container --bg --name twin --share uts`, with `sleep 3600` below it.
#
# </details>
#
# ### 3. Powerless
#
# Start a container called `bare`, in the background, whose process is root inside and has no capability
# at all: neither in effect nor within reach.

# %% id="exercise-3"
# your answer

# %% id="exercise-3-check" tags=["check"]
running = {each.name: each.pid for each in sandbox.containers() if each.pid}
if "bare" not in running:
    print("Exercise 3 waits for you: no container called bare is running.")
else:
    found = status(running["bare"])
    root = Path(f"/proc/{running['bare']}/uid_map").read_text().split()[1]
    assert found["Uid"].split()[0] == root, "it is not root inside"
    for name in ("CapEff", "CapPrm", "CapBnd"):
        left = int(found[name], 16).bit_count()
        assert not left, f"{name} is {found[name]}: {left} are left"
    print("Right: root, and powerless.")

# %% [markdown] id="exercise-3-solution"
# <details><summary>Hint</summary>
#
# `--cap-drop` takes a name, or `ALL`. `/proc/PID/status` shows the sets as `CapEff`, `CapPrm` and
# `CapBnd`.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# sandbox.launch("busybox", "sleep 3600", name="bare", cap_drop="ALL")
# ```
#
# </details>
#
# ## Tidy up
#
# When you have finished, run the last cell. It ends what the exercises started, and looks into the
# ledger once more.

# %% id="tidy"
tidy()
left = [entry["name"] for entry in sandbox.ledger() if entry["name"] in OURS]
print("left of this lesson:", left or "nothing")
assert not left

# %% [markdown] id="welcome"
# # Namespaces, one by one
#
# In lesson 1 a container had all eight kinds of namespaces at once. Now we take them singly: a process
# gets one new namespace at a time, while you watch from outside what changes, and what does not. You
# will meet one name, one clock and one control group that are different things to different processes;
# enter a namespace; and find one that is still there when all its processes are gone.
#
# As before, write your `guess` into a cell before you run it. It takes about 45 minutes, as root or as
# an ordinary user, without network. (Three kinds have lessons of their own: `pid` is lesson 4, `mnt`
# lesson 5, `user` lesson 7, and `net` was lesson 12's.)

# %% id="load"
# %load_ext kernel_ext
import collections
import fcntl
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import sandbox

OURS = ("box", "open", "grouped", "guest", "ghost")  # the containers of this lesson


def tidy():
    """End what is still there of this lesson, perhaps from the last time."""
    for each in sandbox.containers():
        if each.name in OURS:
            sandbox.Container(each.name).destroy(force=True)


tidy()
report = sandbox.host.report()
for what in ("user", "mount", "pid", "network", "ipc", "uts", "cgroup", "time"):
    assert report.can(f"namespace.{what}"), report.why_not(f"namespace.{what}")
for program in ("ipcmk", "ipcrm"):
    assert shutil.which(program), f"there is no {program}: apt install util-linux"
print(f"Linux {report['kernel'].detail}: it has all eight.")

# %% [markdown] id="links-intro"
# ## 1. Eight links
#
# For every process, `/proc/PID/ns` holds one link for each namespace in which it is. This is the
# notebook's:

# %% id="links"
KINDS = ("mnt", "pid", "net", "ipc", "uts", "user", "cgroup", "time")


def namespaces(pid):
    """The links in /proc/PID/ns: in which namespace a process is, by kind."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/ns"):
        try:
            found[name] = os.readlink(f"/proc/{pid}/ns/{name}")
        except FileNotFoundError:  # a pid namespace in which nobody was born yet
            found[name] = "(nobody yet)"
    return found


mine = namespaces("self")
for name, link in mine.items():
    number = os.stat(f"/proc/self/ns/{name}").st_ino
    print(f"{name:20}→ {link:22} inode {number}")
    assert link.endswith(f":[{number}]")

# %% [markdown] id="census-intro"
# There are ten links, not eight: two kinds have a second one, `…_for_children`. Keep that in mind.
#
# The number is an inode, the number of a file. Two processes are in the same namespace exactly if their
# links have the same number. So the world can be counted:

# %% id="census"
guess = "?"  # of which kind will there be the most namespaces on this machine?

members = collections.defaultdict(set)
for folder in Path("/proc").glob("[0-9]*"):
    try:
        for kind in KINDS:
            members[os.readlink(folder / "ns" / kind)].add(folder.name)
    except OSError:  # it has just ended, or belongs to somebody else: ptrace(2) rules who may look
        continue
for kind in KINDS:
    sizes = [len(members[link]) for link in members if link.startswith(kind + ":")]
    print(f"{kind:8}{len(sizes):3} namespaces; in that of this notebook: {len(members[mine[kind]])}")
print("you said:", guess)

assert all(str(os.getpid()) in members[mine[kind]] for kind in KINDS)

# %% [markdown] id="puppet-intro"
# (An ordinary user may look only at his own processes.) Even where there is no container, services have
# namespaces of their own: systemd gives them some, and so does a web browser.
#
# ## 2. One call, one change
#
# How does one get a new namespace? By a call to the kernel, `unshare`: *I don't want to share this any
# longer.* We need somebody who makes that call and then stands still. So here is a puppet: a process
# that does one call after the other, as we tell it. You need not read the cell.

# %% id="puppet"
PUPPET = """
import os, subprocess, sys
from sandbox.linux.constants import *
from sandbox.linux.syscalls import sethostname, setns, unshare

def join(*paths):
    for fd in [os.open(path, os.O_RDONLY) for path in paths]:
        setns(fd, 0)

def sh(line):
    return subprocess.run(line, shell=True, stdout=-1, stderr=-2, text=True).stdout.strip()

def write(path, text):
    with open(path, "w") as file:
        file.write(text)

print("ready", flush=True)
for line in sys.stdin:
    try:
        said = eval(line)
    except OSError as error:
        said = "refused: " + os.strerror(error.errno)
    print(repr(said), flush=True)
"""


PUPPETS = []


class Puppet:
    """A process that does calls when told to. With `root`, it is root in a user namespace."""

    def __init__(self, root=True):
        environment = os.environ | {"PYTHONPATH": str(Path(sandbox.__file__).parent.parent)}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        PUPPETS.append(self)
        self.process = subprocess.Popen([sys.executable, "-c", PUPPET], **pipes, env=environment)
        assert self.process.stdout.readline() == "ready\n"
        self.pid = self.process.pid
        if root:
            self.do("unshare(CLONE_NEWUSER)", show=False)
            Path(f"/proc/{self.pid}/setgroups").write_text("deny")
            Path(f"/proc/{self.pid}/uid_map").write_text(f"0 {os.geteuid()} 1")
            Path(f"/proc/{self.pid}/gid_map").write_text(f"0 {os.getegid()} 1")

    def do(self, call, show=True):
        """Have it make a call; show and return what came of it."""
        print(call, file=self.process.stdin, flush=True)
        said = eval(self.process.stdout.readline())
        if show:
            print(f"puppet {self.pid}: {call}" + (f"\n{said}" if said is not None else ""))
        return said

    def end(self):
        if self.process.returncode is None:
            self.process.communicate()  # at the end of its input it ends


puppet = Puppet()
print("the puppet is process", puppet.pid)
print("it differs from us in:", *[kind for kind in KINDS if namespaces(puppet.pid)[kind] != mine[kind]])

# %% [markdown] id="grid-intro"
# It has a user namespace already, in which it is root: without that only root may make the others
# (lesson 7). Now it asks for a new one of each kind, one call after the other; and after each we read
# its ten links, from outside.

# %% id="grid"
guess = "?"  # two of the eight will NOT change by their call: which?

FLAGS = {kind: "NEW" + kind.upper() for kind in KINDS} | {"mnt": "NEWNS"}
before, changed = namespaces(puppet.pid), {}
for kind, flag in FLAGS.items():
    puppet.do(f"unshare(CLONE_{flag})", show=False)
    after = namespaces(puppet.pid)
    changed[kind] = [name for name in after if after[name] != before[name]]
    print(f"unshare(CLONE_{flag + ')':12}{' '.join(changed[kind]):20}→ {after[changed[kind][0]]}")
    before = after
print("you said:", guess)

assert all(len(names) == 1 for names in changed.values()), "each call changes exactly one link"
assert [kind for kind in KINDS if changed[kind] != [kind]] == ["pid", "time"]

# %% [markdown] id="children-intro"
# Exactly one each. But `pid` and `time` stayed as they were, and only the link *for children* moved.
#
# There is a good reason. A process knows its own number, has perhaps written it down, and relies on it
# as long as it lives: so **nobody's PID ever changes**, and only who is born later is in the new
# namespace. The same goes for the clock: it must not jump under a program that is just measuring.
# (`CLONE_NEWNS`, by the way, was the first, in 2002. Nobody thought that there would be more.)
#
# So the puppet needs a child:

# %% id="children"
guess = "?"  # how many numbers will `NSpid` show for the child: 1 or 2?

said = puppet.do("sh('grep NSpid /proc/self/status; cd /proc/self/ns; readlink pid time')")
print("you said:", guess)

after = namespaces(puppet.pid)
assert said.splitlines()[1:] == [after["pid_for_children"], after["time_for_children"]]
assert len(said.splitlines()[0].split()) == 3, "NSpid and two numbers: one out here, one in there"
puppet.end()

# %% [markdown] id="uts-intro"
# Two: it is the child's number out here, and in there.
#
# ## 3. `uts`: what this machine is called
#
# The simplest kind. It holds two texts, the host name and the domain name. (UTS is the *Unix
# time-sharing system*, from the name of the structure that `uname` fills in.)

# %% id="uts"
guess = "?"  # right after unshare, before anybody gives one: what is the name in the new namespace?

puppet = Puppet()
puppet.do("unshare(CLONE_NEWUTS)")
first = puppet.do("os.uname().nodename")
puppet.do("sethostname('pinocchio')")
second = puppet.do("os.uname().nodename")
print("and out here:", os.uname().nodename)
print("you said:", guess)

assert first == os.uname().nodename != second == "pinocchio"
puppet.end()

# %% [markdown] id="shared-intro"
# It begins as a *copy*, and goes its own way from there. And if a container does not get one, but
# *shares* ours (`--share uts`)? Then `hostname` says our name. May its root change it?

# %% id="shared"
guess = (
    "?"  # "hostname oops" in a container that shares our name: does that "work", or is it "refused"?
)

box, _ = sandbox.launch("busybox", "sleep 3600", name="box", cap_add="SYS_ADMIN")
shares, _ = sandbox.launch("busybox", "sleep 3600", name="open", cap_add="SYS_ADMIN", share="uts")
for each in (box, shares):
    tried = each.exec("hostname oops; hostname")
    print(f"{each.name:6}{tried.text.strip():20}{tried.stderr.decode().strip()}")
print("you said:", guess)

assert box.exec("hostname").text == "oops\n"
assert shares.exec("hostname").text.strip() == os.uname().nodename != "oops"

# %% [markdown] id="owner-intro"
# Refused, and both containers have the very capability that it takes (`CAP_SYS_ADMIN`). The difference
# is *whose* the namespace is: **every namespace belongs to a user namespace**, the one that its maker
# was in. A capability counts only for what belongs to one's own. The kernel can be asked for the owner
# (ioctl_ns(2)):


# %% id="owner"
def owner(pid, kind):
    """The user namespace that owns a namespace of this process."""
    with open(f"/proc/{pid}/ns/{kind}") as link:
        user = fcntl.ioctl(link, 0xB701)  # NS_GET_USERNS
    try:
        return os.readlink(f"/proc/self/fd/{user}")
    finally:
        os.close(user)


print("              its uts belongs to    it is in")
for each in (box, shares):
    pid = each.info().pid
    print(f"{each.name:14}{owner(pid, 'uts'):22}{namespaces(pid)['user']}")

assert owner(box.info().pid, "uts") == namespaces(box.info().pid)["user"]
assert owner(shares.info().pid, "uts") == owner("self", "uts") != namespaces(shares.info().pid)["user"]
shares.destroy(force=True)

# %% [markdown] id="ipc-intro"
# ## 4. `ipc`: what programs hand each other
#
# Programs can share a piece of memory, or send messages to each other through the kernel. The oldest
# way (System V, 1983) has no files for that, only numbers, and everybody on a machine sees them. We
# make a piece of shared memory out here, of 4,321 bytes, and look for it in `/proc/sysvipc/shm`.

# %% id="ipc"
guess = "?"  # where will it be seen: in a container with its "own" ipc, with a "shared" one, or "both"?

made = subprocess.run(["ipcmk", "-M", "4321"], capture_output=True, text=True).stdout.split()[-1]
try:
    seen = {}
    for what, options in {"own": {}, "shared": {"share": "ipc"}}.items():
        seen[what] = sandbox.run(
            "busybox", "grep -c ' 4321 ' /proc/sysvipc/shm", **options
        ).text.strip()
        print(f"{what:8}{seen[what]} found")
finally:
    subprocess.run(["ipcrm", "-m", made], check=True)
print("you said:", guess)

assert seen == {"own": "0", "shared": "1"}

# %% [markdown] id="shm-intro"
# A new `ipc` namespace begins *empty*; and when it ends, what is in it goes, too.
#
# A trap: the newer way to share memory (POSIX, `shm_open`) is just a file in `/dev/shm`. Files are
# found through mounts. So **which namespace decides about that one?** We leave `ipc` shared:

# %% id="shm"
guess = "?"  # a file in /dev/shm out here: will the container with --share ipc see it?

note = Path(f"/dev/shm/lesson-03-{os.getpid()}")
note.write_text("hello")
try:
    listed = sandbox.run("busybox", "ls -A /dev/shm", share="ipc").text.split()
finally:
    note.unlink()
print("in /dev/shm of the container:", *listed or ["nothing"])
print("you said:", guess)

assert note.name not in listed

# %% [markdown] id="cgroup-intro"
# No: `/dev/shm` is a mount, and so a matter of `mnt`. Two mechanisms with the same purpose, two
# namespaces. (Databases that complain in containers about too little shared memory mean this one.)
#
# ## 5. `cgroup`: where in the tree of groups
#
# Limits are set on *control groups*, and those make a tree: `/proc/PID/cgroup` says where in it a
# process is. We read this file of one and the same process twice: from outside, and from inside.


# %% id="cgroup"
def groups(text):
    """The places in /proc/PID/cgroup, by tree. On cgroup v1 there are several trees, v2 has one."""
    return {row.split(":")[1] or "v2": row.split(":", 2)[2] for row in text.splitlines()}


guess = "?"  # will the two agree?

outside = groups(Path(f"/proc/{box.info().pid}/cgroup").read_text())
inside = groups(box.exec("cat /proc/1/cgroup").text)
for tree in outside:
    print(f"{tree[:14]:16}inside {inside[tree]:4}outside {outside[tree][-64:]}")
print("you said:", guess)

assert set(inside.values()) == {"/"}

# %% [markdown] id="cgroup-reader-intro"
# The file depends on who reads it. **A cgroup namespace moves no process to another group, and lifts no
# limit: it only hides the beginning of the path**, so that a container does not learn where in the tree
# it is. The group in which it was when it made the namespace is `/` from then on.
#
# And how does somebody see himself who looks from there, but isn't in that group? We send a puppet into
# the container's `cgroup` namespace (and into its `user` first; part 7 will tell why).

# %% id="cgroup-reader"
guess = "?"  # what is above the root?

places = [f"/proc/{box.info().pid}/ns/{kind}" for kind in ("user", "cgroup")]
visitor = Puppet(root=False)
visitor.do(f"join(*{places})")
seen = groups(visitor.do("open('/proc/self/cgroup').read()", show=False))
for tree in seen:
    print(f"{tree[:14]:16}{seen[tree]}")
print("you said:", guess)

ours = groups(Path("/proc/self/cgroup").read_text())
for tree in seen:
    assert seen[tree].startswith("/..") == (not Path(ours[tree]).is_relative_to(outside[tree])), tree
visitor.end()

# %% [markdown] id="time-intro"
# Where the container has a group of its own, the puppet is seen above or beside it: `/..`. (Where this
# user can make no groups, both are in the same, and it is `/`.)
#
# ## 6. `time`: how long has it been running?
#
# The youngest kind, of 2020. It was made so that a container can be moved to another machine, on which
# the clock that counts from the start shows something quite different. There are two numbers to set,
# and only as long as nobody is in the new namespace: so before the first child.

# %% id="clock"
guess = "?"  # we add 100 years to the time since the start: what will jump, "uptime", "date", or both?

puppet = Puppet()
puppet.do("unshare(CLONE_NEWTIME)")
puppet.do(f"write('/proc/self/timens_offsets', 'boottime {100 * 365 * 24 * 3600} 0')")
said = puppet.do("sh('cut -d . -f 1 /proc/uptime; date +%Y')")
up, year = map(int, said.split())
here = float(Path("/proc/uptime").read_text().split()[0])
print(f"out here: up for {here:.0f} seconds, and the year is {time.localtime().tm_year}")
print("you said:", guess)

assert abs(up - here - 100 * 365 * 24 * 3600) < 10
assert abs(year - time.localtime().tm_year) < 2
late = puppet.do("write('/proc/self/timens_offsets', 'boottime 5 0')")
assert late == "refused: Permission denied"
puppet.end()

# %% [markdown] id="join-intro"
# Only the uptime. There are clocks that count from the start (`CLOCK_BOOTTIME`, `CLOCK_MONOTONIC`),
# and one for date and time (`CLOCK_REALTIME`); **the date has no namespace**: it is the same for all,
# and who may set it, sets it for all. A second try to set the offsets was refused: now somebody has
# lived by that clock.
#
# ## 7. Going in
#
# `unshare` makes a namespace. The other call, `setns`, joins one that is there: it takes an open file,
# and the links in `/proc/PID/ns` are files that can be opened. (The command is `nsenter`; `%%container
# --in` and `docker exec` do the same.) Nobody has to join all eight.

# %% id="join"
guess = "?"  # a puppet joins only user and uts of `box`: whose files, and which name will it see?

visitor = Puppet(root=False)
pid = box.info().pid
places = [f"/proc/{pid}/ns/{kind}" for kind in ("user", "uts")]
visitor.do(f"join(*{places})")
name = visitor.do("os.uname().nodename")
files = visitor.do("sorted(os.listdir('/'))[:8]")
print("you said:", guess)

its, now = namespaces(pid), namespaces(visitor.pid)
print("it shares with box:    ", *[kind for kind in KINDS if now[kind] == its[kind]])
print("it shares with us:     ", *[kind for kind in KINDS if now[kind] == mine[kind]])
assert name == "oops"
assert files == sorted(os.listdir("/"))[:8], "its files are ours"
assert [kind for kind in KINDS if now[kind] == its[kind]] == ["uts", "user"]
visitor.end()

# %% [markdown] id="back-intro"
# A mixture that no container has; and `box` does not even notice. For a look into a container's network
# with the tools of the host, that is exactly what one wants.
#
# So if one may go in, may one also go *out*? The puppet is root in a user namespace of its own. It
# opens the link to our `uts`, in which it still is; leaves it; and wants to go back by the file that
# it holds.

# %% id="back"
guess = "?"  # does going back "work", or is it "refused"?

puppet = Puppet()
puppet.do("(old := os.open('/proc/self/ns/uts', os.O_RDONLY))")
puppet.do("unshare(CLONE_NEWUTS)")
back = puppet.do("setns(old, CLONE_NEWUTS)")
print("you said:", guess)

assert back == "refused: Operation not permitted"
puppet.end()

# %% [markdown] id="alive-intro"
# Refused. To join a namespace takes power in the user namespace that *owns* it, and ours is not the
# puppet's. That is also why a visitor joins `user` first: by that it gets the power over the others.
# The way in is open to the one above; the way out is open to nobody.
#
# ## 8. What keeps a namespace alive
#
# Nobody deletes a namespace. It ends when nobody uses it any longer. Is "nobody" the same as "no
# process"? We open two of `box`'s links, and then kill `box`.

# %% id="alive"
guess = "?"  # its last process is dead: is there still a name "oops" somewhere in this kernel?

pid = box.info().pid
kept = [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY) for kind in ("user", "uts")]
uts = namespaces(pid)["uts"]
box.destroy(force=True)


def users_of(namespace):
    """How many processes are in a namespace, as far as we may look."""
    count = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            count += namespace in namespaces(folder.name).values()
        except OSError:
            continue
    return count


print(f"{uts}: {users_of(uts)} processes; our open file: {os.readlink(f'/proc/self/fd/{kept[1]}')}")
visitor = Puppet(root=False)
visitor.do(f"join(*{[f'/proc/{os.getpid()}/fd/{fd}' for fd in kept]})")
name = visitor.do("os.uname().nodename")
print("you said:", guess)

assert name == "oops"
visitor.end()
for fd in kept:
    os.close(fd)

# %% [markdown] id="whole-intro"
# **An empty house, and the name is still at the door.** What keeps a namespace alive: a process in it;
# an open file; a *mount* of such a file (that is what `ip netns add` does, so that a network has a name
# before anybody lives there); and for `pid` and `user` also a child namespace. With the last of them it
# ends. We have closed our files, so this one is gone.
#
# ## 9. The whole container
#
# Now the real thing, slowly: `sandbox.Stepper` makes a container step by step, and after each step it
# knows what has changed. At which steps do the namespaces change?

# %% id="whole"
guess = "?"  # eight namespaces: in how many of the steps will they come?

when = {}
with sandbox.Stepper("busybox", "true", hostname="box") as stepper:
    while stepper.upcoming:
        stage = stepper.next()
        kinds = [c.after.split(":")[0] for c in stage.changed if c.what.endswith(" namespace")]
        if kinds:
            when[stage.name] = kinds
for step, kinds in when.items():
    print(f"{step:26}{' '.join(kinds)}")
print("you said:", guess)

assert list(when) == ["Clone", "UnshareCgroupNamespace"]
assert when["UnshareCgroupNamespace"] == ["cgroup"]
assert set(when["Clone"]) == set(KINDS) - {"cgroup"}

# %% [markdown] id="recap"
# In two. `Clone` makes a child that is *born* in seven new namespaces: so `pid` and `time` hold for it
# at once. But not `cgroup`: its root is the group in which one is at that moment, and the child has to
# be in its own group first. You know why from part 5.
#
# ## The eight
#
# | kind | what is different in it | begins | flag | since Linux |
# |:--|:--|:--|:--|:--|
# | `mnt` | mounts: which files there are, and where | as a copy | `CLONE_NEWNS` | 2.4.19 (2002) |
# | `uts` | host name and domain name | as a copy | `CLONE_NEWUTS` | 2.6.19 (2006) |
# | `ipc` | System V objects, POSIX message queues | empty | `CLONE_NEWIPC` | 2.6.19 (2006) |
# | `pid` | processes and their numbers | empty; the first is 1 | `CLONE_NEWPID` | 2.6.24 (2008) |
# | `net` | cards, addresses, routes, ports | with `lo`, switched off | `CLONE_NEWNET` | 2.6.29 (2009) |
# | `user` | ids and capabilities | without ids | `CLONE_NEWUSER` | 3.8 (2013) |
# | `cgroup` | the root of the tree of groups | where one is | `CLONE_NEWCGROUP` | 4.6 (2016) |
# | `time` | the time since the start | with the same time | `CLONE_NEWTIME` | 5.6 (2020) |
#
# - A namespace is what a process's link in `/proc/PID/ns` names; the same number, the same namespace.
# - `unshare` makes one, `setns` joins one, `clone` makes a child in new ones. `pid` and `time` only
#   ever change for children.
# - Each belongs to a user namespace; power over it is power *there*.
# - It lives as long as something refers to it: a process, an open file, a mount, a child.
#
# ## Exercises
#
# ### 1. Predict
#
# Five calls. For each: which of the ten links of the process that makes it will be different? Write
# their names, with blanks between them. (`"uts net"`; `""` for none. The names are those of part 1.)

# %% id="exercise-1"
my_prediction = {
    "unshare(CLONE_NEWUTS | CLONE_NEWIPC)": None,
    "unshare(CLONE_NEWPID)": None,
    "unshare(CLONE_NEWNET | CLONE_NEWTIME)": None,
    "unshare(0)": None,
    "setns(os.open('/proc/self/ns/uts', 0), 0)": None,
}

# %% id="exercise-1-check" tags=["check"]
if None in my_prediction.values():
    print("Exercise 1 waits for you: replace each None above, run that cell, then this one.")
else:
    right = 0
    for call, predicted in my_prediction.items():
        puppet = Puppet()
        before = namespaces(puppet.pid)
        puppet.do(call, show=False)
        after = namespaces(puppet.pid)
        puppet.end()
        really = {name for name in after if after[name] != before[name]}
        same = set(predicted.split()) == really
        right += same
        print(f"{'✓' if same else '✗'} {call}")
        if not same:
            said = " ".join(sorted(really))
            print(f"    you said {predicted!r}, the kernel says {said!r}")
    assert right == len(my_prediction), f"{right} of {len(my_prediction)} are right"
    print("Right: all five.")

# %% [markdown] id="exercise-1-solution"
# <details><summary>Hint</summary>
#
# Part 2; and who joins where he is already?
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# my_prediction = {
#     "unshare(CLONE_NEWUTS | CLONE_NEWIPC)": "uts ipc",
#     "unshare(CLONE_NEWPID)": "pid_for_children",
#     "unshare(CLONE_NEWNET | CLONE_NEWTIME)": "net time_for_children",
#     "unshare(0)": "",
#     "setns(os.open('/proc/self/ns/uts', 0), 0)": "",
# }
# ```
#
# (In the last row the puppet was refused, or joined what it was in already.)
#
# </details>
#
# ### 2. A guest
#
# The next cell starts a container, `guest`. Make a puppet, or any other process, that sees the
# *network* of `guest`, but its *files*, its *name* and all the rest are ours. Only its user namespace
# may be `guest`'s too. Put its number into `my_pid`.

# %% id="exercise-2-start"
guest, _ = sandbox.launch("busybox", "sleep 3600", name="guest")
print("process 1 of guest is process", guest.info().pid)

# %% id="exercise-2"
my_pid = None

# %% id="exercise-2-check" tags=["check"]
if my_pid is None:
    print("Exercise 2 waits for you: give my_pid a value in the cell above, run it, then this one.")
else:
    assert Path(f"/proc/{my_pid}").exists(), f"there is no process {my_pid}"
    its, now = namespaces(guest.info().pid), namespaces(my_pid)
    assert now["net"] == its["net"], f"process {my_pid} is not in the network of guest"
    strange = [kind for kind in KINDS if now[kind] != mine[kind] and kind not in ("net", "user")]
    assert not strange, f"its {' '.join(strange)} is not ours"
    assert now["user"] in (its["user"], mine["user"]), "its user namespace is neither guest's nor ours"
    print("Right: it has guest's network, and everything else is ours.")

# %% [markdown] id="exercise-2-solution"
# <details><summary>Hint</summary>
#
# As in part 7. In a terminal `nsenter --target PID --user --preserve-credentials --net` does it.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# visitor = Puppet(root=False)
# visitor.do(f"join('/proc/{guest.info().pid}/ns/user', '/proc/{guest.info().pid}/ns/net')")
# my_pid = visitor.pid
# ```
#
# </details>
#
# ### 3. A ghost
#
# Start a container called `ghost`, with the host name `casper`; and have it end, with no process
# left, but so that its name survives. Put what keeps the name into `my_fd`: the number of an open
# file of this notebook. (To enter it, the check needs the way into its user namespace too, in
# `my_user_fd`.)

# %% id="exercise-3"
my_fd = my_user_fd = None

# %% id="exercise-3-check" tags=["check"]
if my_fd is None or my_user_fd is None:
    print("Exercise 3 waits for you: give my_fd and my_user_fd values in the cell above.")
else:
    link, user = (os.readlink(f"/proc/self/fd/{fd}") for fd in (my_fd, my_user_fd))
    assert link.startswith("uts:["), f"my_fd is {link}: that holds no name"
    assert user.startswith("user:["), f"my_user_fd is {user}"
    assert users_of(link) == 0, f"{link} is not empty: {users_of(link)} processes are in it"
    medium = Puppet(root=False)
    places = [f"/proc/{os.getpid()}/fd/{fd}" for fd in (my_user_fd, my_fd)]
    medium.do(f"join(*{places})", show=False)
    name = medium.do("os.uname().nodename", show=False)
    medium.end()
    assert name == "casper", f"in there the name is {name}"
    os.close(my_fd)
    os.close(my_user_fd)
    my_fd = my_user_fd = None
    print("Right: nobody is there, and it is called casper. (Now I have closed both.)")

# %% [markdown] id="exercise-3-solution"
# <details><summary>Hint</summary>
#
# Part 8. The files must be opened while the container runs.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# ghost, _ = sandbox.launch("busybox", "sleep 3600", name="ghost", hostname="casper")
# my_fd = os.open(f"/proc/{ghost.info().pid}/ns/uts", os.O_RDONLY)
# my_user_fd = os.open(f"/proc/{ghost.info().pid}/ns/user", os.O_RDONLY)
# ghost.destroy(force=True)
# ```
#
# </details>
#
# ## Tidy up
#
# When you have finished, run the last cell. It ends what this lesson has started, and looks into the
# ledger.

# %% id="tidy"
tidy()
for each in PUPPETS:
    each.end()
left = [entry["name"] for entry in sandbox.ledger() if entry["name"] in OURS]
print("left of this lesson:", left or "nothing")
assert not left

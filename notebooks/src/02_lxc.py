# %% [markdown] id="welcome"
# # LXC, line by line
#
# In lesson 1 a container was a process. Here it becomes a *system*: with a disk that stays, an init, a
# login prompt, a password. You will make one, start it, log in, take it apart, freeze it, copy it and
# destroy it, in the words of LXC, the oldest container tool for Linux. And you will not believe a
# single number that it prints before you have found it in the kernel yourself.
#
# In a notebook LXC's commands begin with `%` and are written with `_`: `%lxc_info` is `lxc-info`. In a
# terminal `sandbox lxc-info` is the same command. (`sandbox links FOLDER` makes links with LXC's own
# names; real LXC is not needed, and not touched.)
#
# As before: write your `guess` into a cell before you run it. It takes about 45 minutes and no
# internet.

# %% id="load"
# %load_ext kernel_ext
import contextlib
import difflib
import io
import ipaddress
import itertools
import os
import re
import shlex
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import sandbox

OURS = ("myhost1", "myhost2", "myhost3", "web", "web2", "pluto", "broken")


def lxc(line, code=0):
    """Do a line as a shell does, show what it says, and check its exit code (None: any will do)."""
    words = [sys.executable, "-m", "sandbox", *shlex.split(line.removeprefix("sandbox "))]
    done = subprocess.run(words, input="", capture_output=True, text=True)
    said = done.stdout + done.stderr
    print(f"$ {line}\n{said}", end="")
    assert code in (None, done.returncode), f"exit code {done.returncode}"
    return said


def tidy():
    """Destroy what is there of this lesson, with snapshots, and with the clones that stand on it."""
    for name in OURS:
        if (SHELF / name).exists():
            lxc(f"lxc-destroy -f -s -n {name}")


SHELF = Path(lxc("lxc-config lxc.lxcpath").strip())
report = sandbox.host.report()
LIMITS = report.can("cgroup.memory") and report.can("cgroup.freeze")
LOGIN = sandbox.host.mapping_mode() != "single"
print(f"limits and freezer: {'yes' if LIMITS else 'no'} · logins: {'yes' if LOGIN else 'no'}")

assert report.can("namespace.user"), report.why_not("namespace.user")
taken = sorted(set(OURS) & set(os.listdir(SHELF)))
assert not taken, f"there is {' '.join(taken)}: if it is of this lesson, do tidy() in a cell, and go on"

# %% [markdown] id="check-intro"
# Every container is a folder, below the path that was printed: that is where LXC keeps them.
#
# A *no* means that you, an ordinary user, may not do that here: limit and freeze; or be several users
# at once, without which `login` refuses everybody. Then the cells that need it say so and do nothing.
#
# ## 1. Can this machine do it?
#
# A container is made by the kernel, so the first question is what the kernel can do.
# `%lxc_checkconfig` asks. It has a lot to say; here in two columns:

# %% id="check"
with contextlib.redirect_stdout(io.StringIO()):
    lines = lxc("lxc-checkconfig").splitlines()
lines = [line for line in lines if not line.startswith("  ")]  # without the reasons
half = (len(lines) + 1) // 2
for left, right in itertools.zip_longest(lines[:half], lines[half:], fillvalue=""):
    print(f"{left:48}  {right}")

assert "User namespace: enabled" in lines

# %% [markdown] id="templates-intro"
# You know the first part from lesson 1: namespaces. (LXC prints *missing* in red where something can't
# work.) `Veth` and `Bridges` are for networks, and the last part is ours: LXC reads how the kernel was
# built, we *try* things.
#
# ## 2. A template
#
# Where do the files of a new system come from? LXC has no images. It has *templates*: programs that
# fill a folder.

# %% id="templates"
templates = Path(sandbox.lxc.__file__).parent / "templates"
print("$ ls templates")
print(*sorted(path.name for path in templates.glob("[a-z]*.py")))
lxc("lxc-create -n myhost1 -t solaris", code=1)

assert (templates / "busybox.py").exists()

# %% [markdown] id="create-intro"
# `debian` installs a Debian, package by package; lesson 14 boots one. We take `busybox`: some 270
# commands, an init and a login prompt in one program. **What do you expect: seconds, or minutes?**

# %% id="create"
begun = time.monotonic()
# %lxc_create -t busybox -n myhost1
print(f"\n{time.monotonic() - begun:.2f} seconds")

# %% [markdown] id="folder-intro"
# ## 3. What a container is on disk

# %% id="folder"
guess = "?"  # 270 commands: how many MiB will rootfs take, "2", "20" or "200"?

myhost1 = SHELF / "myhost1"
for path in sorted(myhost1.iterdir()):
    print(f"{path.stat().st_mode & 0o777:o}  {path.name}")
files = [path for path in (myhost1 / "rootfs").rglob("*") if path.is_file() and not path.is_symlink()]
inodes = {path.stat().st_ino: path.stat().st_blocks * 512 for path in files}
size = sum(inodes.values()) / 2**20
print(f"{len(files)} names of {len(inodes)} files, {size:.1f} MiB")
print("you said:", guess)
password = (myhost1 / "tmp_root_pass").read_text().strip()
print("the temporary password of root:", password)

assert sorted(os.listdir(myhost1)) == ["config", "rootfs", "tmp_root_pass"]
assert (myhost1 / "tmp_root_pass").stat().st_mode & 0o777 == 0o600, "others may read the password"
assert len(files) > 200
assert size < 10

# %% [markdown] id="config-intro"
# Three things, and that is all: LXC has no database and no daemon. `rootfs` is the container's `/`.
# (All commands are one file with 270 names: busybox looks by which name it was called.) The
# password is in clear text in `tmp_root_pass`, for you, and as a hash in the container's `/etc/shadow`.
#
# `config` is the truth about the container. Each line is a key of
# [lxc.container.conf(5)](https://linuxcontainers.org/lxc/manpages/man5/lxc.container.conf.5.html):

# %% id="config"
print((myhost1 / "config").read_text())

# %% [markdown] id="keys-intro"
# | key | what it says |
# |:--|:--|
# | `lxc.uts.name` | the name of the machine, in its `uts` namespace |
# | `lxc.rootfs.path` | what becomes its `/`; `dir:` means that it is a plain folder |
# | `lxc.tty.max` | so many terminals (`/dev/tty1` …) besides the console |
# | `lxc.pty.max` | so many pseudo terminals (`/dev/pts/0` …), which an SSH server needs, for example |
# | `lxc.signal.halt` | `lxc-stop` sends this to its init |
# | `lxc.signal.reboot` | `lxc-stop -r` sends this |
# | `lxc.cap.drop` | what its root may not do, though it is root: set the clock, load kernel modules … |
# | `lxc.mount.auto` | `proc`, `sys` and the control groups are mounted; `mixed`: most of it read-only |
# | `lxc.net.0.type` | its first network card is one end of a cable, a *veth* |
# | `lxc.net.0.link` | the other end is plugged into the bridge of this network |
# | `lxc.net.0.name`, `hwaddr`, `flags` | its name inside, its MAC address, and that it is up |
#
# What is *not* in there is telling, too: nothing about a user namespace. With LXC, a container that
# root makes has none, until somebody writes `lxc.idmap` into its config: its root **is** root. Here
# every container has one.
#
# A bridge is a switch made of software, out here on this machine. The network `sandbox` is ours, with
# addresses that nobody else uses here. (For an ordinary user there are no lines with `lxc.net`: only
# root may plug a cable into the host, and without any, a container has only its loopback.)

# %% id="cable"
network = re.search("lxc.net.0.link = (.*)", (myhost1 / "config").read_text())
CABLE = bool(network)
if CABLE:
    lxc(f"sandbox network inspect {network[1]}")
else:
    print("Only loopback: there will be no cable.")

# %% [markdown] id="wrong-intro"
# A config is text, and may be wrong. Let us ask for a signal that does not exist.

# %% id="wrong"
config = (myhost1 / "config").read_text()
(myhost1 / "config").write_text(config.replace("SIGUSR1", "SIGNOTHING"))
said = lxc("lxc-start -n myhost1", code=1)
(myhost1 / "config").write_text(config)

assert "SIGNOTHING" in said

# %% [markdown] id="chroot-intro"
# ## 4. A chroot is not a container
#
# A password that somebody else chose is no good. LXC's text says how it is changed before the first
# start: `chroot …/rootfs passwd`. A chroot is the oldest of all walls (1979): one call, and a process
# takes another folder for `/`. In the words of lesson 1 it is a plan, too, from which all that makes a
# system is missing. These are the steps of our container, and which of them the chroot has:

# %% id="chroot-plan"
container = sandbox.Container("myhost1")
whole, bare = sandbox.plan(container.spec), sandbox.lxc.chroot.compiled(container, ["passwd"])
kept = [step.name for lane in (bare.outside, bare.inside) for step in lane]
steps = dict.fromkeys(step.name for lane in (whole.outside, whole.inside) for step in lane)
both, missing = [name for name in steps if name in kept], [name for name in steps if name not in kept]
print(textwrap.fill(f"both: {' '.join(both)}", 96))
print(textwrap.fill(f"only the container: {' '.join(missing)}", 96))
print("only the chroot:", *[name for name in kept if name not in steps])
for what, plan in ("the container", whole), ("the chroot", bare):
    clone = next(step for step in plan if step.name == "Clone")
    print(f"namespaces of {what}:", *clone.namespaces)

assert "Chroot" in kept
assert set(missing) >= {"PivotRoot", "SetHostname", "MakeDev", "MountCgroups"}
assert "uts" not in clone.namespaces

# %% [markdown] id="passwd-intro"
# (What is left protects *this machine*: a map of ids, fewer capabilities, limits. A plain `chroot(8)`
# would not even have these.)
#
# Now `passwd`, in that chroot. `sandbox.Console` is a terminal at which a program sits instead of a
# person: it waits for a text, and types an answer. In a terminal of your own you would type
# `sandbox chroot myhost1 passwd`.

# %% id="passwd"
secret = "lesson-two-2"
before = (myhost1 / "rootfs/etc/shadow").read_text()
job = sandbox.lxc.chroot.spawn(container, ["passwd"], terminal=True)
with sandbox.Console(job) as console:
    for _ in range(2):
        console.expect("password: ")
        console.send(secret)
    console.expect("changed")
    print(console.text)

assert (myhost1 / "rootfs/etc/shadow").read_text() != before
assert secret not in console.text, "the terminal showed the password"

# %% [markdown] id="view-intro"
# It worked: `passwd` wanted to see another `/etc/shadow`, and that is exactly what a chroot changes.
# What does it *not* change?

# %% id="view"
guess = "?"  # in the chroot: will `hostname` say "myhost1", or the name of this machine?


def in_chroot(script):
    """What a script prints in the chroot."""
    job = sandbox.lxc.chroot.spawn(container, ["sh", "-c", script])
    return b"".join(data for _, data in job.output()).decode().strip()


name = in_chroot("hostname")
print("hostname:", name)
print("you said:", guess)
print("ps:", in_chroot("ps"))
print("in /dev:", in_chroot("ls /dev") or "nothing")

assert name == os.uname().nodename
assert in_chroot("ls /dev /proc | wc -w") == "2", "there is something in /dev or /proc"

# %% [markdown] id="escape-intro"
# The name is still this machine's. `/proc` and `/dev` are empty folders, for nobody mounted anything
# there: `ps` can't even see itself. `init` could not live here.
#
# And is it at least a wall? Five lines of Python, run as root of a user namespace (so that nothing can
# break): one `chroot` into the container's `rootfs`, and then an attempt to get out again.

# %% id="escape"
guess = "?"  # root in a chroot wants to see the files of this machine: "possible" or "impossible"?

ESCAPE = """
import os, sys
os.chroot(sys.argv[1]); os.chdir("/")
print("in the chroot:", *sorted(os.listdir("/"))[:6])
os.chroot("tmp")                       # another one, deeper; and we stay where we are: outside of it
for _ in range(100): os.chdir("..")    # up, and no root in the way any more
os.chroot(".")
print("escaped to:   ", *sorted(os.listdir("/"))[:6])
"""
as_root = ["unshare", "--user", "--map-root-user", sys.executable, "-c", ESCAPE, myhost1 / "rootfs"]
escaped = subprocess.run(as_root, capture_output=True, text=True)
print(escaped.stdout + escaped.stderr)
print("you said:", guess)

assert escaped.stdout.splitlines()[-1].split(": ")[1].split() == sorted(os.listdir("/"))[:6]

# %% [markdown] id="start-intro"
# It is that easy: a chroot moves the *root* of a process, and not the place where the process *is*.
# chroot(2) says it in plain words: "not intended to be used for any kind of security purpose". A
# container changes the mount tree itself (`PivotRoot`): there is no outside any more to climb to. More
# in lesson 6.
#
# ## 5. The start
#
# `%lxc_start` shows what the container's console shows, until somebody could log in. **How long will
# the boot of this system take: as long as yours, 10 seconds, 1 second, or less?**

# %% id="start"
begun = time.monotonic()
# %lxc_start -n myhost1
print(f"{time.monotonic() - begun:.2f} seconds")

# %% id="booted"
lxc("lxc-ls -f")
lxc("lxc-start -n myhost1")  # once more?
lxc("lxc-attach -n myhost1 -- ps -o pid,ppid,comm")

assert container.state == "RUNNING"

# %% [markdown] id="login-intro"
# A start is no boot: there is no BIOS, no kernel to load, no hardware to find. Process 1 is `init`,
# which read `/etc/inittab` and started all others. A `getty` waits at each terminal, and prints
# `login:`.
#
# ## 6. Log in
#
# This is a real terminal in the notebook (or, where its part for the browser was not built, a box for
# lines). Try it: press Enter, and `login:` appears; the user is `root`, the password `lesson-two-2`.
# `Ctrl-a q` leaves it. The lesson does not wait for you.

# %% id="terminal"
# %lxc_console -n myhost1 -t 2

# %% [markdown] id="script-intro"
# So that the lesson can also run without a person, here is the same once more at the console, by a
# program: first with the old password, then with ours.

# %% id="login"
guess = "?"  # is the temporary password still "valid", now that another one was set in the chroot?

if LOGIN:
    console = sandbox.Console("myhost1")
    try:
        console.login("root", password)
    except sandbox.SandboxError as refused:
        print(f"{refused.message}: {refused.condition}")
    console.login("root", secret)
    print(console.text)
    print("you said:", guess)
    assert "incorrect" in console.text
    assert secret not in console.text
else:
    print("Skipped: there is only one user id for you here, and login(1) needs several. See subuid(5).")

# %% [markdown] id="inside-intro"
# Now we are in. What does this system think of its disk, and of its network?

# %% id="inside"
if LOGIN:
    disk, network = console.run("df -h /"), console.run("ip address")
    print(disk, network, sep="\n")
    who = console.run("id -un; tty; hostname").split()
    print(*who)
    assert who == ["root", "/dev/console", "myhost1"]
    assert "127.0.0.1" in network
    assert ("eth0" in network) == CABLE
    console.close()
else:
    print("Skipped: nobody is logged in.")

# %% [markdown] id="attach-intro"
# `df` shows *this machine's* disk, with all that is on it: `rootfs` is a folder of it, and no disk of
# its own. The network has `lo`, and `eth0` as far as the config asked for it.
#
# ## 7. Console, attach, ssh
#
# Three ways lead in, and they are quite different. At a **console** sits one person: two would steal
# each other's keys.

# %% id="one"
sitting = sandbox.Console("myhost1", tty=1)
try:
    sandbox.Console("myhost1", tty=1)
except sandbox.SandboxError as refused:
    print(refused.message)
else:
    raise AssertionError("two of them sit at one terminal")
sitting.close()

# %% [markdown] id="attach-how"
# **Attach** needs no terminal and no password: a new process is put into the container from outside
# (`--in` of lesson 1).

# %% id="attach"
guess = "?"  # every process has a parent: what number has the parent of this `ps`, seen from inside?

seen = lxc("lxc-attach -n myhost1 -- ps -o pid,ppid,comm")
print("you said:", guess)

parents = {line.split()[2]: line.split()[1] for line in seen.splitlines()}
assert parents["getty"] == "1"
assert parents["ps"] == "0"

# %% [markdown] id="ssh-intro"
# 0: it has a parent, but that one is outside, and out of sight. (Only `init` has 0 besides; all others
# descend from it.)
#
# **ssh** needs a network and a server. Among busybox's 270 commands there is `telnetd`, but no SSH
# server: keys and ciphers would make it twice as large. (If this machine has `dropbear`, a small SSH
# server, the template takes that along.) Lesson 14 does `ssh root@ADDRESS`, with a Debian.

# %% id="ssh"
programs = {path.name for path in (myhost1 / "rootfs").rglob("*bin/*")}
print("servers for logins:", *sorted(programs & {"telnetd", "sshd", "dropbear"}))

assert "telnetd" in programs
assert "sshd" not in programs

# %% [markdown] id="info-intro"
# ## 8. `lxc-info`: don't believe it
#
# First let it work a little, so that there is something to see: it writes 8 MiB to the disk. The option
# `-H` is for raw numbers.

# %% id="info"
lxc("lxc-attach -n myhost1 -- dd if=/dev/zero of=/root/8m bs=1M count=8 conv=fsync")
shown = [line.split(":", 1) for line in lxc("lxc-info -n myhost1 -H").splitlines()]
info = {label.strip(): value.strip() for label, value in shown}
addresses = {value.strip() for label, value in shown if label == "IP"}

assert info["Name"] == "myhost1"
assert set(info) >= {"State", "PID"}
assert not LIMITS or set(info) >= {"CPU use", "Memory use"}
assert not CABLE or set(info) >= {"IP", "Link", "TX bytes", "RX bytes", "Total bytes"}

# %% [markdown] id="pid-intro"
# Where does each line come from? Nobody reported anything: `lxc-info` has read files of the kernel, and
# you can do that, too.
#
# **PID.** Every process has a link to its root folder, `/proc/PID/root`. And we know the root folder of
# `myhost1`. Of all processes in there we want the one that is number 1 inside.


# %% id="pid"
def status(pid):
    """The lines of /proc/PID/status as a dictionary."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def inhabitants(rootfs):
    """{number out here: number inside} of the processes whose root this folder is."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or is closed to us
            if os.path.samefile(folder / "root", rootfs):
                found[int(folder.name)] = int(status(folder.name)["NSpid"].split()[-1])
    return found


for pid, inside in inhabitants(myhost1 / "rootfs").items():
    print(f"{pid:8} is {inside:4} inside: {status(pid)['Name']}")
init = next(pid for pid, inside in inhabitants(myhost1 / "rootfs").items() if inside == 1)
print(f"\nlxc-info: {info['PID']}, we: {init}")

assert str(init) == info["PID"]

# %% [markdown] id="used-intro"
# **What it used.** The kernel counts in the container's control groups: folders with files, one tree
# for each kind of resource (cgroup v1), or one for all (v2), or a mixture. What do they say?

# %% id="groups"
groups = next(entry["cgroups"] for entry in sandbox.ledger() if entry["name"] == "myhost1")
VERSION_2 = ["cpu.stat", "memory.current", "memory.stat", "io.stat", "cgroup.freeze"]
VERSION_1 = ["cpuacct.usage", "memory.usage_in_bytes", "memory.kmem.usage_in_bytes"]
VERSION_1 += ["blkio.throttle.io_service_bytes", "freezer.state"]
said = {}
for folder in dict.fromkeys(folder for _, folder in groups):
    for name in VERSION_2 + VERSION_1:
        if (path := Path(folder) / name).exists():
            said[name] = said.get(name, "") + path.read_text()
for name, text in said.items():
    print(f"{name:34}{' · '.join(text.splitlines()[:3])}")


def count(pattern, *names):
    """The sum of all numbers that the pattern finds in these files; None if there are none."""
    numbers = [int(number) for name in names for number in re.findall(pattern, said.get(name, ""))]
    return sum(numbers) if numbers else None


# %% [markdown] id="derive-intro"
# Each number of `lxc-info` is in there: at most some addition is needed. Out of two files `BlkIO use`,
# for example, is what was read plus what was written, on all disks.

# %% id="derive"
guess = "?"  # 8 MiB were written: are they in use as memory, too, though `dd` has ended? "yes" or "no"

frozen = count(r"^1", "cgroup.freeze") or "FROZEN" in said.get("freezer.state", "")
ours = {"State": "FROZEN" if frozen else "RUNNING"}
if LIMITS:
    moved = r"(?:Read |Write |rbytes=|wbytes=)(\d+)"
    ours["CPU use"] = count(r"(\d+)", "cpuacct.usage") or 1000 * count(r"usage_usec (\d+)", "cpu.stat")
    ours["BlkIO use"] = count(moved, "io.stat", "blkio.throttle.io_service_bytes")
    ours["Memory use"] = count(r"(\d+)", "memory.current", "memory.usage_in_bytes")
    ours["KMem use"] = count(r"(\d+)", "memory.kmem.usage_in_bytes")
    ours["KMem use"] = ours["KMem use"] or count(r"\nkernel (\d+)", "memory.stat")
for label, value in ours.items():
    print(f"{label:12}lxc-info: {info.get(label, '-'):12} we: {value}")
print("you said:", guess if LIMITS else "nothing: this user has no control groups here")

assert ours["State"] == info["State"]
for label in set(ours) & set(info) - {"State"}:  # some time has passed since then
    assert abs(int(info[label]) - ours[label]) <= 2**20 + ours[label] // 5, label

# %% [markdown] id="memory-intro"
# Yes: the pages that were written stay in memory as a cache of the disk, and the cache is charged to
# whoever filled it. When memory gets short, they are the first to go.
#
# **The network.** `/proc/PID/net` shows the network as that process sees it: its addresses, and what
# its cards have counted. And a cable has two ends: the card `eth0` in there knows the number of its
# other end out here.


# %% id="network"
def counted(pid, card):
    """(bytes received, bytes sent) by a card that this process sees."""
    line = re.search(rf"{card}:(.*)", Path(f"/proc/{pid}/net/dev").read_text())[1].split()
    return int(line[0]), int(line[8])


if CABLE:
    four = re.findall(r"\|-- (\S+)\n +/32 host LOCAL", Path(f"/proc/{init}/net/fib_trie").read_text())
    six = [line.split() for line in Path(f"/proc/{init}/net/if_inet6").read_text().splitlines()]
    found = {ipaddress.ip_address(each) for each in four}
    # Without those that are good for this link only (fe80::…).
    found |= {ipaddress.ip_address(bytes.fromhex(words[0])) for words in six if words[3] == "00"}
    found = {str(address) for address in found if not address.is_loopback}
    end = int(Path(f"/proc/{init}/root/sys/class/net/eth0/iflink").read_text())
    link = socket.if_indextoname(end)
    print(f"IP      lxc-info: {' '.join(sorted(addresses))}  we: {' '.join(sorted(found))}")
    print(f"Link    lxc-info: {info['Link']}  we: {link}, which is number {end} out here")
    print(f"eth0 has received and sent (inside):  {counted(init, 'eth0')}")
    print(f"{link} has received and sent (outside): {counted('self', link)}")
    print(f"lxc-info: TX {info['TX bytes']}, RX {info['RX bytes']}, Total {info['Total bytes']}")
    assert found == addresses
    assert link == info["Link"]
    assert int(info["TX bytes"]) + int(info["RX bytes"]) == int(info["Total bytes"])
    received, sent = counted(init, "eth0")  # a little may have come and gone meanwhile
    assert 0 <= received - int(info["RX bytes"]) < 5000
    assert 0 <= sent - int(info["TX bytes"]) < 5000
else:
    print("Skipped: there is no cable.")

# %% [markdown] id="ping-intro"
# Inside and outside, the two numbers are crossed: what one end sends, the other receives. LXC reads
# them outside, and prints them as the container would.

# %% id="ping"
guess = "?"  # a ping sends 3 times 1000 bytes: will "TX" grow, "RX", or "both"?

if CABLE:
    bridge = next(re.sub(r"\d+$", "1", address) for address in addresses if "." in address)
    lxc(f"lxc-attach -n myhost1 -- ping -c 3 -s 1000 {bridge}")
    now = sandbox.Container("myhost1").info()
    grown = now.tx_bytes - int(info["TX bytes"]), now.rx_bytes - int(info["RX bytes"])
    print(f"TX has grown by {grown[0]}, RX by {grown[1]}; you said: {guess}")
    assert min(grown) > 3000
else:
    print("Skipped: there is no cable.")

# %% [markdown] id="twelve"
# These are all twelve lines of `lxc-info`: name, state, PID, IP, CPU, BlkIO, memory, kernel memory,
# link, TX, RX and their total. There is no magic behind any of them.
#
# ## 9. Freeze
#
# A process in the container writes the time into a file, five times a second. Then we stop everything
# that is in there, at once.

# %% id="freeze"
guess = "?"  # after the thaw, what will the container's clock show: "the time of the freeze", or "now"?

BEAT = "while date +%s >> /tmp/beat; do sleep 0.2; done >/dev/null 2>&1 &"
lxc(f"lxc-attach -n myhost1 -- sh -c '{BEAT}'")
beat = myhost1 / "rootfs/tmp/beat"
if LIMITS:
    lxc("lxc-freeze -n myhost1")
    lxc("lxc-info -n myhost1 -s")
    before, still = beat.stat().st_mtime, time.time()
    time.sleep(1.5)
    assert beat.stat().st_mtime == before, "something moved"
    assert container.state == "FROZEN"
    lxc("lxc-unfreeze -n myhost1")
    time.sleep(1)
    print(f"frozen at {still:.0f}; the last beat: {beat.read_text().split()[-1]}; you said:", guess)
    assert int(beat.read_text().split()[-1]) >= int(still + 1)
    assert container.state == "RUNNING"
else:
    print("Skipped, this user can't freeze here:", report.why_not("cgroup.freeze"))

# %% [markdown] id="stop-intro"
# Nobody in there noticed anything, except that the clock has jumped. No process was asked, and none got
# a signal: the kernel just doesn't let them run.
#
# ## 10. What is refused
#
# A container that runs can't be copied (its files may be half written), and not be destroyed by
# accident. (LXC has `-f` for those who mean it.)

# %% id="refused"
lxc("lxc-clone -o myhost1 -n myhost2", code=1)
lxc("lxc-destroy -n myhost1", code=1)

assert container.state == "RUNNING"
assert not (SHELF / "myhost2").exists()

# %% [markdown] id="stop-how"
# ## 11. Stop
#
# `lxc-stop` does not kill. It sends the signal of `lxc.signal.halt` to init, and waits; only after a
# minute it would kill (`-t` changes that, `-k` kills at once). **How long will this system take, which
# booted in a fraction of a second?**

# %% id="stop"
begun = time.monotonic()
# %lxc_stop -n myhost1
print(f"{time.monotonic() - begun:.2f} seconds. Its last words on the console:")
log = b"".join(data for _, _, data in container.logs()).decode()
print(log[log.index("The system is going down") :].replace("\r\n\r\n", "\n"))
lxc("lxc-info -n myhost1")
lxc("lxc-stop -n myhost1", code=2)

assert "SIGTERM" in log
assert not inhabitants(myhost1 / "rootfs")

# %% [markdown] id="clone-intro"
# Busybox's init gives everybody a second after SIGTERM, and another after SIGKILL, whether somebody
# needs it or not. Then it calls `reboot(2)`; and because it does that in a pid namespace, the kernel
# stops only this namespace (lesson 14).
#
# ## 12. Clone
#
# Now the copy. `lxc-clone` is the old name of `lxc-copy`, in which `-o` is the original and `-n` the
# new one.

# %% id="clone"
guess = "?"  # which of these will differ: "name", "password", "address", "all"?

lxc("lxc-clone -o myhost1 -n myhost2")
myhost2 = SHELF / "myhost2"
texts = [(folder / "config").read_text().splitlines() for folder in (myhost1, myhost2)]
print(*(line for line in difflib.unified_diff(*texts, n=0, lineterm="") if line[0] in "+-"), sep="\n")
old, new = myhost1 / "rootfs", myhost2 / "rootfs"
names = [str(path.relative_to(old)) for path in old.rglob("*") if path.is_file()]
differ = [name for name in names if (old / name).read_bytes() != (new / name).read_bytes()]
print("files that differ:", *differ)
print("you said:", guess)

assert differ == ["etc/hostname"]

# %% [markdown] id="destroy-intro"
# Only the name differs (and the address of a network card, if there is one). So the clone must have the
# password of the original; and it stands on its own feet.

# %% id="destroy"
lxc("lxc-destroy -n myhost1")
assert not myhost1.exists()
lxc("lxc-start -n myhost2 -d")
if LOGIN:
    with sandbox.Console("myhost2") as console:
        console.login("root", secret)
        print(console.text, console.run("cat /etc/hostname; ls -l /root"))
        assert "8m" in console.text
else:
    print("Skipped: nobody can log in.")
lxc("lxc-stop -k -n myhost2")

assert "rootfs" in os.listdir(myhost2)

# %% [markdown] id="snapshot-intro"
# ## 13. Snapshots
#
# A snapshot is a copy that stays in the container's folder. We take one, and then make a mistake.

# %% id="snapshot"
lxc("lxc-snapshot -n myhost2")
lxc("lxc-snapshot -n myhost2 -L")
(myhost2 / "rootfs/sbin/init").unlink()
said = lxc("lxc-start -n myhost2", code=1)

assert "/sbin/init" in said

# %% id="restore"
lxc("lxc-snapshot -n myhost2 -r snap0")
lxc("lxc-start -n myhost2")
lxc("lxc-ls -f")
lxc("lxc-stop -k -n myhost2")

assert (myhost2 / "rootfs/sbin/init").exists()

# %% [markdown] id="overlay-intro"
# (`-r snap0 -N NAME` would have made another container of it.)
#
# ## 14. A clone that costs nothing
#
# A copy of a gigabyte is a gigabyte. With `-B overlay` (or just `-s`) the clone gets no files at all:
# it sees those of the original, and keeps only what it changes.


# %% id="overlay"
guess = "?"  # what will the overlay clone need, in KiB?


def disk(folder):
    """The KiB that a folder takes, each file once: du(1)."""
    found = [path.lstat() for path in [folder, *folder.rglob("*")]]
    return sum({each.st_ino: each.st_blocks for each in found}.values()) // 2


begun = time.monotonic()
lxc("lxc-copy -n myhost2 -N myhost3 -B overlay")
print(f"{1000 * (time.monotonic() - begun):.0f} ms")
myhost3 = SHELF / "myhost3"
print(f"rootfs of myhost2: {disk(myhost2 / 'rootfs')} KiB, all of myhost3: {disk(myhost3)} KiB")
print("you said:", guess)
print(re.search("lxc.rootfs.path = .*", (myhost3 / "config").read_text())[0])

assert disk(myhost3) < disk(myhost2 / "rootfs") / 20

# %% [markdown] id="upper-intro"
# `overlay:LOWER:UPPER`: it reads from the lower folder, which is the rootfs of `myhost2`, and writes
# into the upper one, its own. We change one file in the clone. **Which files will be in the upper
# folder, and what does `myhost2` notice?**

# %% id="upper"
lxc("lxc-start -n myhost3")
lxc("lxc-attach -n myhost3 -- sh -c 'echo hello > /etc/motd; ls / | wc -l'")
lxc("lxc-stop -k -n myhost3")
upper = myhost3 / "overlay/upper"
print("upper:", *sorted(str(path.relative_to(upper)) for path in upper.rglob("*") if path.is_file()))
lxc("lxc-destroy -n myhost2", code=1)

assert (upper / "etc/motd").read_text() == "hello\n"
assert not (myhost2 / "rootfs/etc/motd").exists()
assert not (upper / "bin").exists(), "commands were copied"

# %% [markdown] id="end-intro"
# What is written goes up; the rest stays below, and is shared. That is why `myhost2` can't be
# destroyed: `myhost3` stands on it. Layers of images are the same idea (lessons 10 and 11).
#
# ## 15. The end
#
# In the right order, it works. And the snapshot goes only if one says so.

# %% id="end"
lxc("lxc-destroy -n myhost3")
lxc("lxc-destroy -n myhost2", code=1)
lxc("lxc-destroy -n myhost2 -s")
tidy()
left = [name for name in ("myhost1", "myhost2", "myhost3") if (SHELF / name).exists()]
held = [entry["name"] for entry in sandbox.ledger() if entry["name"] in OURS]
print("left on disk:", left or "nothing")
print("held in the kernel:", held or "nothing")

assert not left
assert not held

# %% [markdown] id="recap"
# ## What a system container is
#
# - on disk a folder: a config, a root file system, nothing else;
# - a *template* fills it, once;
# - a start makes a process with namespaces, as in lesson 1. But the process is an *init*, and makes a
#   system of it: terminals, logins, services;
# - a *console* is a wire to one of its terminals, *attach* puts a process in from outside;
# - each line of `lxc-info` is a file of the kernel;
# - *freeze* stops it, *stop* asks it, `-k` does not ask;
# - a *copy* is a copy of the folder with another name in it; an *overlay* copies only what changes.
#
# ## Exercises
#
# Each has a cell for your answer, and a cell that checks it by asking the kernel and the disk.
#
# ### 1. Two of a kind
#
# Make a busybox container called `web`, and in it the file `/root/token` with the text `one`. Make a
# clone of it called `web2`, whose `/root/token` says `two`. Then destroy `web`; `web2` runs in the end.

# %% id="exercise-1"
# your answer

# %% id="exercise-1-check" tags=["check"]
if not (SHELF / "web").exists() and not (SHELF / "web2").exists():
    print("Exercise 1 waits for you: there is neither web nor web2.")
else:
    assert (SHELF / "web2").exists(), "there is no web2"
    assert not (SHELF / "web").exists(), "web is still there"
    web2 = sandbox.Container("web2")
    assert web2.state == "RUNNING", "web2 does not run"
    token = web2.exec("cat /root/token").text.strip()
    assert token == "two", f"the token of web2 is {token!r}"
    assert web2.exec("hostname").text.strip() == "web2", "it does not know its name: is it a clone?"
    print("Right: the clone has outlived its original.")

# %% [markdown] id="exercise-1-solution"
# <details><summary>Hint</summary>
#
# A file can be written before the first start: `SHELF / "web/rootfs/root/token"`.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# lxc("lxc-create -t busybox -n web")
# (SHELF / "web/rootfs/root/token").write_text("one\n")
# lxc("lxc-copy -n web -N web2")
# (SHELF / "web2/rootfs/root/token").write_text("two\n")
# lxc("lxc-destroy -n web")
# lxc("lxc-start -n web2")
# ```
#
# </details>
#
# ### 2. By the config
#
# Make a container called `pluto`. Inside it shall be called `charon`, have the two terminals `tty1` and
# `tty2` and no more, and an environment variable `MOON` with the value `yes`. Start it. (The keys are
# in lxc.container.conf(5): one of them was not in part 3.)

# %% id="exercise-2"
# your answer

# %% id="exercise-2-check" tags=["check"]
pluto = sandbox.Container("pluto")
if pluto.state != "RUNNING":
    print("Exercise 2 waits for you: no container called pluto is running.")
else:
    first = Path(f"/proc/{pluto.info().pid}")
    terminals = sorted(path.name for path in (first / "root/dev").glob("tty[0-9]*"))
    assert terminals == ["tty1", "tty2"], f"it has {' '.join(terminals) or 'no terminals'}"
    name = pluto.exec("cat /proc/sys/kernel/hostname").text.strip()
    assert name == "charon", f"inside it is called {name!r}"
    environment = (first / "environ").read_bytes().split(b"\0")
    assert b"MOON=yes" in environment, "its init has no MOON=yes"
    print("Right: all three come from the config.")

# %% [markdown] id="exercise-2-solution"
# <details><summary>Hint</summary>
#
# `lxc.uts.name`, `lxc.tty.max`, `lxc.environment`. But `/etc/init.d/rcS` in the rootfs sets the name
# again, from `/etc/hostname`.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# lxc("lxc-create -t busybox -n pluto")
# config = SHELF / "pluto/config"
# text = config.read_text().replace("lxc.uts.name = pluto", "lxc.uts.name = charon")
# config.write_text(text.replace("lxc.tty.max = 4", "lxc.tty.max = 2") + "lxc.environment = MOON=yes\n")
# (SHELF / "pluto/rootfs/etc/hostname").write_text("charon\n")
# lxc("lxc-start -n pluto")
# ```
#
# </details>
#
# ### 3. Repair
#
# The next cell makes a container called `broken`, which does not deserve its name yet, and takes a
# snapshot; and then it happens. Get it to run again, with the diary that was in its `/root`.

# %% id="exercise-3-start"
with contextlib.redirect_stdout(io.StringIO()):
    lxc("lxc-create -t busybox -n broken")
    (SHELF / "broken/rootfs/root/diary").write_text("Today I was happy.\n")
    lxc("lxc-snapshot -n broken")
    for name in ("bin", "sbin"):
        for path in (SHELF / "broken/rootfs" / name).iterdir():
            path.unlink()
    (SHELF / "broken/rootfs/root/diary").unlink()
said = lxc("lxc-start -n broken", code=1)

assert "/sbin/init" in said, said

# %% id="exercise-3"
# your answer

# %% id="exercise-3-check" tags=["check"]
broken = sandbox.Container("broken")
if broken.state != "RUNNING":
    print("Exercise 3 waits for you: broken does not run.")
else:
    diary = broken.exec("cat /root/diary").text.strip()
    assert diary == "Today I was happy.", "it runs, but its diary is not the old one"
    print("Right: it runs, and remembers.")

# %% [markdown] id="exercise-3-solution"
# <details><summary>Hint</summary>
#
# Part 13. And `lxc-snapshot --help`.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# lxc("lxc-snapshot -n broken -r snap0")
# lxc("lxc-start -n broken")
# ```
#
# </details>
#
# ## Tidy up
#
# When you have finished, run the last cell. It destroys what the exercises have made.

# %% id="tidy"
tidy()
left = [name for name in OURS if (SHELF / name).exists()]
left += [entry["name"] for entry in sandbox.ledger() if entry["name"] in OURS]
print("left of this lesson:", left or "nothing")
assert not left

# %% [markdown] id="welcome"
# # A whole system in a container
#
# In lesson 2 a container had an init, and that was that. Here we look at it closely: why process 1 is
# special, what an init does all day, what a reboot is where there is no machine to reboot. And then a
# real Debian boots, with the systemd that runs most servers of this world. It finds out by itself that
# it is in a container, divides its control groups further, starts its services, and stops when asked
# in the right way.
#
# As before: write your `guess` into a cell before you run it. It takes about 45 minutes. The second
# half needs root, and Debian's packages, which are fetched once from the place where this machine gets
# its own. Where that is not possible, its cells say so and do nothing.

# %% id="load"
# %load_ext kernel_ext
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import sandbox

OURS = ("lonely", "minded", "box", "deb", "stubborn", "reaper", "beating")


def lxc(line, code=0):
    """Do a line as a shell does, show what it says, and check its exit code (None: any will do)."""
    words = [sys.executable, "-m", "sandbox", *shlex.split(line.removeprefix("sandbox "))]
    done = subprocess.run(words, input="", capture_output=True, text=True)
    said = done.stdout + done.stderr
    print(f"$ {line}\n{said}", end="")
    assert code in (None, done.returncode), f"exit code {done.returncode}"
    return said


def tidy():
    """End and destroy what is there of this lesson."""
    for each in sandbox.containers():
        if each.name in OURS:
            sandbox.Container(each.name).destroy(force=True)


def until(true, seconds=20):
    """Wait until `true()` is so, and return what it says."""
    end = time.monotonic() + seconds
    while not (found := true()) and time.monotonic() < end:
        time.sleep(0.05)
    assert found, f"it did not come within {seconds} s"
    return found


SHELF = Path(lxc("lxc-config lxc.lxcpath").strip())
report = sandbox.host.report()
assert report.can("namespace.user"), report.why_not("namespace.user")
taken = sorted(set(OURS) & {each.name for each in sandbox.containers()})
assert not taken, f"there is {' '.join(taken)}: if it is of this lesson, do tidy() in a cell, and go on"

# %% [markdown] id="one-intro"
# ## 1. Process 1 can't be killed
#
# The first process of a pid namespace has number 1, whatever it is. In this container it is `sleep`.
# Another process in there, with all rights of root, tries to kill it: first politely, then with
# `SIGKILL`, which no process can catch or ignore.

# %% id="one"
guess = "?"  # will process 1 be "killed", or "live"?

lonely, _ = sandbox.launch("busybox", "exec sleep 3600", name="lonely")
KILL = "kill -TERM 1 && echo TERM: sent; kill -KILL 1 && echo KILL: sent"
print(lonely.exec(f"ps -o pid,comm; {KILL}").text)
time.sleep(0.5)
print(f"it is {lonely.state}; you said: {guess}")

assert lonely.state == "RUNNING"

# %% [markdown] id="orphan-intro"
# It lives: the kernel protects process 1 from all signals for which it has no handler, as long as they
# come from inside its own namespace. For when it dies, all others in there die with it. (From outside,
# `SIGKILL` works: that is how containers end. pid_namespaces(7).)
#
# ## 2. Process 1 gets the orphans
#
# A process whose parent has ended becomes a child of process 1. And when *it* ends, somebody has to ask
# how (`wait`), or it stays in the table as a *zombie*: no memory, no program, only a number and an exit
# code. Three orphans, which end at once:

# %% id="orphan"
guess = "?"  # how many zombies will there be in a container whose process 1 is `sleep`?

ORPHANS = "for i in 1 2 3; do (sleep 0.1 &); done; sleep 0.7; ps -o pid,ppid,stat,comm"
seen = lonely.exec(ORPHANS).text
print(seen, "you said: ", guess, sep="")
lonely.kill()

assert sum(" Z" in line for line in seen.splitlines()) == 3

# %% [markdown] id="zombie-intro"
# `sleep` never asks. In a container that runs for weeks, and has a limit on processes, that ends badly:
# it is the reason for small inits like `tini` or `docker run --init`. Ours is the option `--init`:

# %% id="minded"
minded, _ = sandbox.launch("busybox", "exec sleep 3600", name="minded", init=True)
seen = minded.exec(ORPHANS).text
print(seen)
minded.kill()

assert " Z" not in seen
assert seen.splitlines()[1].split()[0] == "1"

# %% [markdown] id="init-intro"
# ## 3. An init
#
# So process 1 has duties: it takes in orphans, and must not end. A real init does more: it starts all
# others, and sees to it that they go on. What the init of busybox shall start is in `/etc/inittab`:

# %% id="inittab"
lxc("lxc-create -q -t busybox -n box")
print((SHELF / "box/rootfs/etc/inittab").read_text())
lxc("lxc-start -n box -d")
box = sandbox.Container("box")
until(lambda: b"login:" in b"".join(data for _, _, data in box.logs()))
lxc("lxc-attach -n box -- ps -o pid,ppid,args")

assert box.state == "RUNNING"

# %% [markdown] id="respawn-intro"
# `TERMINAL::WHEN:COMMAND`. `sysinit` is done once, at the start; `respawn` means: whenever it ends,
# again. We kill a login prompt.


# %% id="respawn"
def getty(terminal):
    """The number of the process that waits for a login at this terminal; 0 if there is none."""
    found = re.search(rf"(\d+) \S*getty 0 {terminal} ", box.exec("ps -o pid,args").text)
    return int(found[1]) if found else 0


guess = "?"  # a killed getty: will there be "another", "none", or "the same"?

before = getty("tty3")
lxc(f"lxc-attach -n box -- kill -KILL {before}")
after = until(lambda: (now := getty("tty3")) != before and now)
print(f"getty on tty3: process {before} before, {after} after; you said: {guess}")

assert after > before

# %% [markdown] id="reboot-intro"
# That is how a login prompt comes back after each logout, too: `getty` becomes `login`, `login` starts
# a shell, and when that ends, init starts `getty` again.
#
# ## 4. Halt and reboot
#
# `reboot(2)` is a call of the kernel: it restarts the machine. **Root in a container calls it. What
# will happen to this machine, where your notebook runs?** First without the capability for it, then
# with.

# %% id="reboot"
for capabilities in ("", "SYS_BOOT"):
    for command in ("reboot -f", "halt -f"):
        ended = sandbox.run("busybox", f"exec {command}", cap_add=capabilities or ())
        said = ended.stderr.decode().strip() or ended.reason
        print(f"{command:10} with {capabilities or 'nothing':9} exit code {ended.exit_code}: {said}")
        expected = {"reboot -f": signal.SIGHUP, "halt -f": signal.SIGINT}[command]
        assert ended.exit_code == (128 + expected if capabilities else 1)

# %% [markdown] id="restart-intro"
# In a pid namespace other than the first, the kernel does something else: it kills process 1 (and so
# all of them), by `SIGHUP` for a reboot and by `SIGINT` for a halt. Whoever made the container sees
# that signal as its end, and so knows what was wanted. (reboot(2), "Behavior inside PID namespaces")
#
# LXC, and this sandbox, then start the container again, or leave it at that. Real inits don't use
# `-f`: they end everybody first.

# %% id="restart"
guess = "?"  # after the reboot, will init have the "same" number out here, or "another"?

before = box.info().pid
box.exec("touch /root/kept /run/lost /tmp/mark; reboot")
after = until(lambda: (now := box.info().pid) != before and now)
print(f"init was process {before}, and is process {after}; you said: {guess}")
until(lambda: box.exec("pidof getty").text)
print("there still:", box.exec("ls /root/kept /run/lost 2>/dev/null").text)

assert box.exec("ls /root").text.strip() == "kept"
assert not box.exec("ls /run/lost").text

# %% id="halt"
box.exec("poweroff")
lxc("lxc-wait -n box -s STOPPED -t 10")
lxc("lxc-info -n box")

assert box.state == "STOPPED"

# %% [markdown] id="stop-intro"
# The disk is kept through a reboot; `/run`, which is memory, is not, as on any machine. (From outside,
# `lxc-stop -r` asks for a reboot.)
#
# ## 5. Asking in the right way
#
# `lxc-stop` asks init to halt, by a signal; and each init wants another one. `lxc.signal.halt` in the
# config says which. What if it is the wrong one?

# %% id="wrong"
guess = "?"  # a signal that means nothing to init: what will `lxc-stop -t 2` do after 2 seconds?

config = SHELF / "box/config"
right = config.read_text()
config.write_text(right.replace("halt = SIGUSR1", "halt = SIGWINCH"))
lxc("lxc-start -n box -d")
lxc("lxc-stop -n box -t 1 --nokill", code=1)
assert box.state == "RUNNING"
begun = time.monotonic()
lxc("lxc-stop -n box -t 2")
code = box.info().exit_code
print(f"{time.monotonic() - begun:.1f} s; exit code of its init: {code}; you said: {guess}")
config.write_text(right)

assert code == 128 + signal.SIGKILL

# %% [markdown] id="auto-intro"
# It was killed, as a machine whose plug is pulled: nothing was written to its disk any more. (With
# `--nokill` it is only asked, and exit code 1 says that it did not obey.)
#
# ## 6. At boot
#
# `lxc.start.auto = 1` means: start it when this machine boots. Whatever runs at boot calls
# `lxc-autostart` for that; we call it ourselves, for the group `lesson` only.

# %% id="auto"
config.write_text(right + "lxc.start.auto = 1\nlxc.start.delay = 1\nlxc.group = lesson\n")
lxc("lxc-autostart -L -g lesson")
lxc("lxc-autostart -g lesson")
lxc("lxc-ls -f -g lesson")
lxc("lxc-autostart -k -g lesson")

assert box.state == "STOPPED"

# %% [markdown] id="debian-intro"
# ## 7. A Debian
#
# Now a real system. The template `debian` installs it, package by package, with the machine's own tool
# (`mmdebstrap`). The first time takes about a minute; what was installed is kept as a layer, and the
# next container begins with that. With `-B overlay` nothing is even copied.

# %% id="debian"
begun = time.monotonic()
lxc("lxc-create -t debian -B overlay -n deb", code=None)
DEBIAN = (SHELF / "deb").exists()
skipped = "Skipped: there is no Debian here. Part 7 says why."
if DEBIAN:
    print(f"{time.monotonic() - begun:.0f} seconds")
else:
    print("Without it, the next cells do nothing.")

# %% [markdown] id="boot-intro"
# ## 8. Boot
#
# **How long will a Debian take, from the start to `login:`?** A program waits at the console and logs
# in. Of all that systemd says on the way, we print the milestones that it reached (its *targets*).

# %% id="boot"
if DEBIAN:
    deb = sandbox.Container("deb")
    begun = time.monotonic()
    deb.start()
    console = sandbox.Console(deb)
    console.login()  # as root, with the password in tmp_root_pass
    took = time.monotonic() - begun
    reached = re.findall(r"Reached target (\S+)\.target", console.text)
    print(textwrap.fill(" → ".join([*reached, "login"]), 96))
    print(f"{took:.1f} seconds, {console.text.count('Started')} services and the like")
    state = console.run("systemctl is-system-running --wait").strip()
    print("systemd says of itself:", state)
    failed = console.run("systemctl --failed --no-pager")
    console.close()
    assert state == "running", failed
else:
    print(skipped)

# %% [markdown] id="know-intro"
# *running* is the best that it can be: everything that shall run does; *degraded* would be if one thing
# had failed. And that in a user namespace, where it is not even really root. It can, because it knows
# where it is:

# %% id="know"
guess = "?"  # no hardware was faked for it: how does systemd know that it is in a container?

if DEBIAN:
    print("systemd-detect-virt:", deb.exec("systemd-detect-virt").text.strip())
    environment = Path(f"/proc/{deb.info().pid}/environ").read_text().split("\0")
    print("its environment:    ", *environment)
    for unit in ("ssh.service", "systemd-random-seed.service", "fstrim.timer"):
        met = deb.exec(f"systemctl show -P ConditionResult {unit}").text.strip() == "yes"
        asked = re.findall("Condition.*", deb.exec(f"systemctl cat {unit}").text)
        print(f"{unit:28}{'started' if met else 'left out'}: {' '.join(asked)}")
    print("you said:", guess)
    assert "container=lxc" in environment
    assert deb.exec("systemd-detect-virt").text.strip() == "lxc"
    assert deb.exec("systemctl show -P ConditionResult fstrim.timer").text.strip() == "no"
else:
    print(skipped)

# %% [markdown] id="service-intro"
# It was told: by the variable `container` in the environment of process 1. That is the whole protocol
# (<https://systemd.io/CONTAINER_INTERFACE>). Then it leaves out what only a whole machine needs:
# `fstrim`, which tells a disk what is free; the seed of the kernel's random numbers.
#
# ## 9. Services
#
# A service is what `respawn` was in `inittab`, with much more around it. We kill the SSH server, and
# look into the journal, where systemd writes down what happens.

# %% id="service"
guess = "?"  # after SIGKILL: will the SSH server be "running" or "failed"?

if DEBIAN:
    server = deb.exec("systemctl show -P MainPID ssh").text.strip()
    deb.exec(f"kill -KILL {server}")
    until(lambda: deb.exec("systemctl is-active ssh").text == "active\n"
          and deb.exec("systemctl show -P MainPID ssh").text.strip() != server)  # fmt: skip
    print(deb.exec("systemctl show -p MainPID -p NRestarts -p ActiveState ssh").text)
    print(deb.exec("journalctl -u ssh -o cat | tail -n 8").text)
    print("you said:", guess)
    assert deb.exec("systemctl show -P NRestarts ssh").text.strip() == "1"
else:
    print(skipped)

# %% [markdown] id="groups-intro"
# ## 10. Groups below groups
#
# For each service systemd makes a control group of its own, so that it can count what the service uses,
# and find all its processes. But the container is in a control group itself, with a limit, set from
# outside. May its root change that?

# %% id="groups"
guess = "?"  # root in there writes "8G" into the file of the memory limit: "works" or "refused"?

if DEBIAN:
    print(deb.exec("systemd-cgls --no-pager -l | grep -v invocation_id | head -n 20").text)
    LIMITS = "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"  # cgroup v2, v1
    limit = next(path for path in LIMITS if deb.exec(f"test -e {path}").exit_code == 0)
    before = deb.exec(f"cat {limit}").text
    tried = deb.exec(f"echo 8G > {limit}; chmod 666 {limit}")
    print(f"{limit}: {before}{tried.stderr.decode()}you said: {guess}")
    assert deb.exec(f"cat {limit}").text == before
    assert "denied" in tried.stderr.decode()
else:
    print(skipped)

# %% [markdown] id="owner-intro"
# Refused; and why, the owners of the files tell:

# %% id="owner"
if DEBIAN:
    top, name = os.path.split(limit)
    FILES = f". cgroup.procs {name} system.slice system.slice/{name}"
    print(deb.exec(f"cd {top} && ls -ld {FILES}").text)
    owners = deb.exec(f"cd {top} && stat -c %U {FILES}").text.split()
    assert owners == ["root", "root", "nobody", "root", "root"]
else:
    print(skipped)

# %% [markdown] id="delegation-intro"
# That is called *delegation*. The folder is root's (of the container): so it may make folders in it,
# which are groups. `cgroup.procs` is root's: so it may move processes into them. But the limit of the
# whole belongs to `nobody`, that is, to somebody outside. **Everything below is its own business; the
# sum is not.**
#
# Systemd can give a service a limit of its own, and out here the kernel shows it:

# %% id="delegation"
if DEBIAN:
    deb.exec("systemctl set-property --runtime ssh.service MemoryMax=64M")
    groups = dict(next(entry["cgroups"] for entry in sandbox.ledger() if entry["name"] == "deb"))
    inner = Path(groups["memory"], "system.slice/ssh.service", name)
    print(f"{inner}:\n{inner.read_text()}")
    hog = deb.exec("systemd-run --quiet --wait -p MemoryMax=16M -p MemorySwapMax=0 tail /dev/zero")
    print("a service that needs more than its 16 MiB:")
    print(deb.exec("journalctl -o cat -n 2").text)
    assert inner.read_text().strip() == str(64 << 20)
    assert hog.exit_code
    assert deb.state == "RUNNING"
else:
    print(skipped)

# %% [markdown] id="ssh-intro"
# So a program may go wild in there, and it is stopped by the container's own rules, before ours.
#
# ## 11. `ssh root@ADDRESS`
#
# A system that has a network card (lesson 2, part 3) and an SSH server can be reached like any machine.
# SSH asks for the password; a script answers that.

# %% id="ssh"
guess = "?"  # whose child is the shell of this login: of "sshd", of "systemd", or of "nobody" in there?

if DEBIAN and "lxc.net.0.link" in (SHELF / "deb/config").read_text():
    lxc("lxc-info -n deb -i")
    address = next(ip for ip in deb.info().ips if ":" not in ip)
    with socket.create_connection((address, 22), timeout=10) as server:
        banner = server.recv(64).decode()
    print("port 22 says:", banner)
    assert banner.startswith("SSH-2.0-")
    if shutil.which("ssh"):
        answer = SHELF / "deb/answer"
        answer.write_text(f"#!/bin/sh\ncat {shlex.quote(str(SHELF / 'deb/tmp_root_pass'))}\n")
        answer.chmod(0o700)
        environment = os.environ | {"SSH_ASKPASS": str(answer), "SSH_ASKPASS_REQUIRE": "force"}
        options = "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"
        ssh = ["ssh", "-F/dev/null", *(f"-o{option}" for option in options), f"root@{address}"]
        look = "hostname; whoami; pid=$$; while [ $pid != 0 ]; "
        look += "do ps -o pid=,comm= $pid; pid=$(ps -o ppid= $pid); done"
        done = subprocess.run([*ssh, look], env=environment, input="", text=True, capture_output=True)
        print(f"$ ssh root@{address}\n{done.stdout}{done.stderr}you said: {guess}")
        told = done.stdout.split()
        assert told[:2] == ["deb", "root"]
        assert "sshd" in told
        assert told[-2:] == ["1", "systemd"]
    else:
        print("(There is no program ssh on this machine: apt install openssh-client)")
else:
    print(skipped if not DEBIAN else "Skipped: it has no network.")

# %% [markdown] id="stop-intro-2"
# The shell descends from `sshd`, and that from process 1: this login came in by the front door, and
# left its name in the journal.
#
# ## 12. Stop
#
# `systemd` wants yet another signal for a halt: `SIGRTMIN+3`.

# %% id="stop"
if DEBIAN:
    print(*[line for line in (SHELF / "deb/config").read_text().splitlines() if "signal" in line])
    begun = time.monotonic()
    lxc("lxc-stop -n deb")
    log = sandbox.console.Plain()(b"".join(data for _, _, data in deb.logs()), final=True)
    print(*re.findall(r"Stopped target .*|Reached target .*", log)[-6:], sep="\n")
    print(f"{time.monotonic() - begun:.1f} seconds")
    assert deb.info().exit_code == 0
    lxc("lxc-destroy -n deb")
else:
    print(skipped)

# %% [markdown] id="recap"
# ## What an init is
#
# - process 1 of a namespace can't be killed from inside, takes in the orphans, and ends all others when
#   it ends;
# - an init starts the others, and starts them again;
# - a reboot or a halt, in a pid namespace, is a signal with which process 1 ends; who made the
#   container does the rest;
# - to stop a system is to *ask* its init, in the way that it understands;
# - `container=lxc` is how a system knows where it is;
# - what is *delegated* to a container it may divide further, but never enlarge.
#
# ## Exercises
#
# ### 1. No zombies
#
# Start a container called `reaper`, in the background, whose first process is no system's init, but in
# which orphans don't become zombies.

# %% id="exercise-1"
# your answer

# %% id="exercise-1-check" tags=["check"]
if "reaper" not in {each.name for each in sandbox.containers(all=False)}:
    print("Exercise 1 waits for you: no container called reaper is running.")
else:
    reaper = sandbox.Container("reaper")
    zombies = reaper.exec(ORPHANS).text.count(" Z")
    assert not zombies, f"three orphans ended, and {zombies} are zombies"
    assert "getty" not in reaper.exec("ps").text, "that is a whole system"
    print("Right: its process 1 asks how they ended.")

# %% [markdown] id="exercise-1-solution"
# <details><summary>Hint</summary>
#
# Part 2.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# sandbox.launch("busybox", "exec sleep 3600", name="reaper", init=True)
# ```
#
# </details>
#
# ### 2. A service
#
# Make a busybox container called `beating`, in which `sleep 12345` runs from the start on, and again
# whenever it ends.

# %% id="exercise-2"
# your answer

# %% id="exercise-2-check" tags=["check"]
beating = sandbox.Container("beating")
if beating.state != "RUNNING":
    print("Exercise 2 waits for you: no container called beating is running.")
else:

    def heart():
        """The number of the process `sleep 12345`; 0 if there is none."""
        found = re.search(r"(\d+) +1 sleep 12345\n", beating.exec("ps -o pid,ppid,args").text)
        return int(found[1]) if found else 0

    assert heart(), "process 1 has no child `sleep 12345`"
    before = heart()
    beating.exec(f"kill -KILL {before}")
    try:
        until(lambda: (now := heart()) != before and now, 5)
    except AssertionError:
        raise AssertionError("I killed it, and it did not come back") from None
    print("Right: init looks after it.")

# %% [markdown] id="exercise-2-solution"
# <details><summary>Hint</summary>
#
# A line in `SHELF / "beating/rootfs/etc/inittab"`, before the start; part 3. A service needs no
# terminal.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# lxc("lxc-create -q -t busybox -n beating")
# with (SHELF / "beating/rootfs/etc/inittab").open("a") as inittab:
#     inittab.write("::respawn:sleep 12345\n")
# lxc("lxc-start -n beating -d")
# time.sleep(1)
# ```
#
# </details>
#
# ### 3. Stubborn
#
# With the container that the next cell starts `lxc-stop` has no luck: after the timeout it kills it.
# Find out why, and see to it that it ends by itself.

# %% id="exercise-3-start"
lxc("lxc-create -q -t busybox -n stubborn")
config = SHELF / "stubborn/config"
given = config.read_text().replace("halt = SIGUSR1", "halt = SIGHUP")
config.write_text(given)
lxc("lxc-start -n stubborn -d")
lxc("lxc-stop -n stubborn -t 1")
print("exit code of its init:", sandbox.Container("stubborn").info().exit_code)

# %% id="exercise-3"
# your answer

# %% id="exercise-3-check" tags=["check"]
if (SHELF / "stubborn/config").read_text() == given:
    print("Exercise 3 waits for you: the config of stubborn is as it was.")
else:
    stubborn = sandbox.Container("stubborn")
    if stubborn.state != "STOPPED":
        stubborn.kill()
    stubborn.start()  # with the config as it is now
    until(lambda: stubborn.exec("pidof getty").text)
    code = stubborn.stop(timeout=5).exit_code
    assert code == 0, f"asked to stop, it did not: exit code {code}"
    print("Right: asked in its own language, it stops.")

# %% [markdown] id="exercise-3-solution"
# <details><summary>Hint</summary>
#
# Compare its config with that of `box`. The init of busybox takes `SIGHUP` for "read inittab again",
# `SIGTERM` for a reboot, `SIGUSR1` for a halt, `SIGUSR2` for a halt with the power off.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# config.write_text(given.replace("halt = SIGHUP", "halt = SIGUSR1"))
# ```
#
# </details>
#
# ## Tidy up
#
# When you have finished, run the last cell. It destroys what this lesson has made. (Debian's packages
# stay as a layer, in `layers` beside the folder of containers, for the next time.)

# %% id="tidy"
tidy()
left = [name for name in OURS if (SHELF / name).exists()]
left += [entry["name"] for entry in sandbox.ledger() if entry["name"] in OURS]
print("left of this lesson:", left or "nothing")
assert not left

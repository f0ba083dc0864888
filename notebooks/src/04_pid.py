# %% [markdown] id="welcome"
# # Process 1
#
# In a container the first process has the number 1, as the init of a whole machine has. With the number
# come privileges and duties, and most programs know nothing of them. That explains why some containers
# can't be stopped, why others end at once, and why a third kind slowly fills with zombies.
#
# As before, write your `guess` into a cell before you run it. It takes about 40 minutes, as root or as
# an ordinary user, without network.

# %% id="load"
# %load_ext kernel_ext
import os
import signal
import time
from pathlib import Path

import sandbox

OURS = ("doll", "deaf", "polite", "family", "reaper", "nest", "daemon")  # the containers of this lesson


def tidy():
    """End what is still there of this lesson, perhaps from the last time."""
    for each in sandbox.containers():
        if each.name in OURS:
            sandbox.Container(each.name).destroy(force=True)


def status(pid):
    """The lines of /proc/PID/status as a dictionary."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def until(true, seconds=5):
    """Wait until `true()` is so; returns whether it came to that."""
    end = time.monotonic() + seconds
    while not (come := true()) and time.monotonic() < end:
        time.sleep(0.01)
    return come


tidy()
report = sandbox.host.report()
for what in ("user", "pid", "mount"):
    assert report.can(f"namespace.{what}"), report.why_not(f"namespace.{what}")
print(f"This notebook is process {os.getpid()}; its numbers on all levels: {status('self')['NSpid']}")

# %% [markdown] id="levels-intro"
# ## 1. A number on each level
#
# A pid namespace has a parent: the one in which it was made. A process is in its own namespace *and in
# all above it*, and has a number in each. We start a container, and in it, by `unshare -p -f`, a pid
# namespace in a pid namespace. (`-f`: nobody's own number ever changes, so it takes a child; that was
# lesson 3. And it takes `CAP_SYS_ADMIN`, which a container has only if it is given.)

# %% id="levels"
guess = "?"  # how many numbers will the innermost `sleep` have?

doll, _ = sandbox.launch("busybox", "unshare -p -f sleep 3600", name="doll", cap_add="SYS_ADMIN")
top = doll.info().pid


def children(pid):
    """The numbers of the children of a process, as they are called out here."""
    return [int(each.name) for each in Path("/proc").glob("[0-9]*") if parent(each.name) == pid]


def parent(pid):
    """The number of its parent; 0 if it has just ended."""
    try:
        return int(status(pid)["PPid"])
    except (OSError, KeyError):
        return 0


def below(pid):
    """A process, its children, their children …"""
    return [pid, *(each for child in children(pid) for each in below(child))]


until(lambda: status(below(top)[-1])["Name"] == "sleep")
for pid in below(top):
    print(f"{status(pid)['Name']:10}NSpid: {status(pid)['NSpid']}")
print("you said:", guess)

inner = below(top)[-1]
own = len(status("self")["NSpid"].split())
assert len(status(top)["NSpid"].split()) == own + 1
assert len(status(inner)["NSpid"].split()) == own + 2
assert status(inner)["NSpid"].split()[-1] == "1"

# %% [markdown] id="down-intro"
# One more with each level; `NSpid` shows them from the outermost (that you may see) to its own. There
# are two processes with the number 1 below us, and out here both have another one.
#
# One sees down, but not up. **Which processes does the container see, and which the innermost?** In
# there, `/proc` is that of the container, and nobody has mounted another one.

# %% id="lie"
guess = "?"  # the innermost process says it is number 1; what does /proc/1 say who number 1 is?

script = "echo I am $$; echo /proc/1 is $(cat /proc/1/comm); echo /proc/self is $(readlink /proc/self)"
said = doll.exec(["unshare", "-p", "-f", "sh", "-c", script]).text
print(said, "you said: ", guess, sep="")

lines = said.splitlines()
assert lines[0] == "I am 1"
assert lines[1] == "/proc/1 is unshare"
assert lines[2] != "/proc/self is 1"

# %% [markdown] id="lie-why"
# **`/proc` of the wrong namespace lies.** It shows the processes of the pid namespace of who *mounted*
# it, and with the numbers from there. `kill`, on the other hand, takes the numbers of who calls it. A
# `ps` whose numbers are useless for `kill`: that is how people shoot the wrong process.
#
# So whoever makes a pid namespace also mounts a `/proc` of its own (step `MountFilesystem` in the
# plan), and for that takes a mount namespace.

# %% id="own-proc"
guess = "?"  # with a /proc of its own: how many processes will it see?

script = "mount -t proc proc /proc && ps -o pid,ppid,comm"
opened, _ = sandbox.launch(
    "busybox", "sleep 3600", name="nest", cap_add="SYS_ADMIN", without=["Mask", "MakeReadOnly"]
)
said = opened.exec(["unshare", "-p", "-f", "-m", "sh", "-c", script])
print(said.text, said.stderr.decode(), "you said: ", guess, sep="")
opened.destroy(force=True)

assert said.text.splitlines()[1].split()[0] == "1"
assert "unshare" not in said.text

# %% [markdown] id="signals-intro"
# Only itself. (The steps `Mask` and `MakeReadOnly` were left out for that: while parts of `/proc` are
# covered, the kernel may refuse a fresh one in a user namespace, that would show them again.)
#
# ## 2. The deaf process
#
# `kill` sends SIGTERM, *please end*, and a program that has not thought about it ends. Now to number 1,
# from inside; and then even SIGKILL, which nobody can ignore.

# %% id="deaf"
guess = "?"  # which of the two will end it: "TERM", "KILL", "both", or "none"?

deaf, _ = sandbox.launch("busybox", "exec sleep 3600", name="deaf")
pid = deaf.info().pid
said = deaf.exec("kill -TERM 1; kill -KILL 1; sleep 0.1; ps -o pid,comm").text
print(said, "you said: ", guess, sep="")

assert deaf.state == "RUNNING"
assert ["1", "sleep"] in [line.split() for line in said.splitlines()]

# %% [markdown] id="outside-intro"
# None. The kernel protects the init of a pid namespace: **only signals arrive for which it has set up a
# handler**; for all others what usually happens is left out. It has to be so, since everything depends
# on it. `SigCgt` in `/proc/PID/status` are the signals with a handler, one bit each: `sleep` has none.
#
# And from outside, from the namespace above? There it is an ordinary number.

# %% id="outside"
guess = "?"  # SIGTERM from out here: will it end?

print("signals with a handler:", status(pid)["SigCgt"])
os.kill(pid, signal.SIGTERM)
time.sleep(0.1)
print("after SIGTERM:", deaf.state)
print("you said:", guess)
assert deaf.state == "RUNNING"
assert int(status(pid)["SigCgt"], 16) == 0

os.kill(pid, signal.SIGKILL)
ended = deaf.wait()
print("after SIGKILL:", deaf.state, "–", ended.reason)
assert deaf.state == "STOPPED"

# %% [markdown] id="polite-intro"
# SIGTERM is ignored even from outside. Only SIGKILL and SIGSTOP from above can't be refused. Now you
# know why `docker stop` often takes ten seconds: it sends SIGTERM, waits in vain, and then kills.
#
# The cure is a handler. In a shell that is `trap`:

# %% id="polite"
guess = "?"  # from inside, SIGTERM to number 1 that has a trap: will it end now?

polite, _ = sandbox.launch("busybox", "trap 'exit 7' TERM; while :; do sleep 0.05; done", name="polite")
until(lambda: int(status(polite.info().pid)["SigCgt"], 16) >> signal.SIGTERM - 1 & 1)
print("signals with a handler:", status(polite.info().pid)["SigCgt"])
polite.exec("kill -TERM 1")
ended = polite.wait()
print("exit code:", ended.exit_code)
print("you said:", guess)

assert ended.exit_code == 7

# %% [markdown] id="family-intro"
# ## 3. Orphans
#
# If a process ends before its child, the child gets another parent. We start a `sleep` from a shell
# that ends at once. (`exec`, in the sandbox: a new process that joins.)

# %% id="orphan"
guess = "?"  # who will be the parent of the orphaned sleep: 0, 1, or nobody, because it ends, too?

family, _ = sandbox.launch("busybox", "exec sleep 3600", name="family")
said = family.exec("(sleep 1234 &); sleep 0.1; ps -o pid,ppid,args").text
print(said, "you said: ", guess, sep="")
top = family.info().pid
print(f"out here: process {top}, its children {children(top)}")

rows = [line.split(None, 2) for line in said.splitlines()]
assert next(row[1] for row in rows if row[2] == "sleep 1234") == "1"
assert next(row[1] for row in rows if row[0] == "1") == "0"
assert len(children(top)) == 1

# %% [markdown] id="kill-one-intro"
# Number 1 takes it in. (And who has the parent 0? Whose parent is out of sight, in another namespace:
# number 1 itself, and what comes in by `exec`.)
#
# Now number 1 dies, and has two children more. What becomes of them?

# %% id="kill-one"
guess = "?"  # will the children "live on", with another parent, or "die"?

family.exec("sleep 1235 & sleep 1236 & sleep 0.05")
orphans = children(top)
print("before:", [status(each)["Name"] for each in orphans])
link = os.open(f"/proc/{top}/ns/pid", os.O_RDONLY)  # this keeps the namespace
os.kill(top, signal.SIGKILL)
family.wait()
alive = [each for each in orphans if os.path.exists(f"/proc/{each}")]
print("after: ", alive or "nobody")
print("you said:", guess)
os.close(link)

assert len(orphans) == 3
assert not alive

# %% [markdown] id="early-intro"
# All die: **with its process 1 a pid namespace ends**, and the kernel kills everyone in it. For a
# container that is good: nothing can be left over. And it is the answer to a frequent question:

# %% id="early"
guess = "?"  # a script starts a service in the background, and is done: how long will the service run?

begun = time.monotonic()
short = sandbox.run("busybox", "sleep 1000 & echo the service is running")
took = time.monotonic() - begun
print(short.text, f"It took {took:.2f} seconds, exit code {short.exit_code}. You said: {guess}", sep="")

assert short.exit_code == 0
assert took < 60

# %% [markdown] id="zombie-intro"
# *My container ends at once.* The script was number 1, and it was done. A service in a container has to
# stay in the foreground, or somebody must wait for it.
#
# ## 4. Zombies
#
# A process that has ended stays in the table of processes until its parent has asked how it ended (by
# `wait`). Until then it is a *zombie*. Who takes in orphans must ask; `sleep` does not. We let five
# orphans end under three different number ones.

# %% id="zombies"
guess = "?"  # zombies under: sleep, a shell that waits, a small init (--init)?

ORPHANS = "for i in 1 2 3 4 5; do (sleep 0 &); done; sleep 0.7; ps -o pid,ppid,stat,comm"
counted = {}
for what, script, options in (
    ("sleep", "exec sleep 3600", {}),
    ("a shell", "sleep 3600 & while :; do wait; done", {}),
    ("an init", "exec sleep 3600", {"init": True}),
):
    one, _ = sandbox.launch("busybox", script, name="reaper", **options)
    counted[what] = one.exec(ORPHANS).text.count(" Z")
    one.destroy(force=True)
    print(f"{what:10}{counted[what]} zombies")
print("you said:", guess)

assert counted == {"sleep": 5, "a shell": 0, "an init": 0}

# %% [markdown] id="recap"
# The program of five lines that asks is all that an init must do; `--init` puts a small one in front.
# (A whole system's init: lesson 14.) Zombies use no memory to speak of, but each keeps its number, and
# it counts for the limit of processes: in the end there is no room for anybody else.
#
# ## What number 1 is
#
# - a process has a number on each level, and one sees only down;
# - `/proc` shows the namespace of who mounted it;
# - signals for which process 1 has no handler don't reach it, except SIGKILL and SIGSTOP from above;
# - it takes in the orphans, and has to ask how they ended;
# - when it ends, everyone in its namespace is killed.
#
# ## Exercises
#
# ### 1. An init
#
# Write an init as a shell script. It must leave no zombies, and when it gets SIGTERM, it ends at once
# with exit code 143 (that is 128 + 15, as a program that was ended by it).

# %% id="exercise-1"
my_init = None

# %% id="exercise-1-check" tags=["check"]
if my_init is None:
    print("Exercise 1 waits for you: give my_init a value in the cell above, run it, then this one.")
else:
    if "reaper" in {each.name for each in sandbox.containers()}:
        sandbox.Container("reaper").destroy(force=True)
    reaper, _ = sandbox.launch("busybox", my_init, name="reaper")
    try:
        reaper.exec("for i in $(seq 20); do (sleep 0 &); done")
        zombies = "?"

        def clean():
            """Whether all twenty are gone."""
            global zombies
            zombies = reaper.exec("ps -o stat").text.count("Z")
            return not zombies

        until(clean, 3)
        assert not zombies, f"20 orphans ended, and {zombies} are zombies"
        os.kill(reaper.info().pid, signal.SIGTERM)
        until(lambda: reaper.state == "STOPPED", 3)
        assert reaper.state == "STOPPED", "three seconds after SIGTERM it still runs"
        code = reaper.info().exit_code
        assert code == 143, f"its exit code is {code}"
    finally:
        reaper.destroy(force=True)
    print("Right: no zombies, and it listens.")

# %% [markdown] id="exercise-1-solution"
# <details><summary>Hint</summary>
#
# Parts 2 and 4. A shell does what its `trap` says only when no command runs in the foreground; but
# `wait` is interrupted by it.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# my_init = """
# trap 'exit 143' TERM
# while :; do
#     sleep 3600 &
#     wait $!
# done
# """
# ```
#
# </details>
#
# ### 2. A nest
#
# Make a container `nest` in which a process runs that has *four* numbers more than this notebook has:
# it is in the pid namespace of the container, and in three others, one within the other.

# %% id="exercise-2"
# your answer

# %% id="exercise-2-check" tags=["check"]
running = {each.name: each.pid for each in sandbox.containers() if each.pid}
if "nest" not in running:
    print("Exercise 2 waits for you: no container called nest is running.")
else:

    def depth():
        """The most numbers that a process in there has, not counting the notebook's levels."""
        return max(len(status(each)["NSpid"].split()) for each in below(running["nest"])) - own

    until(lambda: depth() == 4, 2)
    assert depth() == 4, f"the most numbers that one of its processes has more than we is {depth()}"
    print("Right:", status(below(running["nest"])[-1])["NSpid"])

# %% [markdown] id="exercise-2-solution"
# <details><summary>Hint</summary>
#
# As in part 1, only more often.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# command = "unshare -p -f unshare -p -f unshare -p -f sleep 3600"
# sandbox.launch("busybox", command, name="nest", cap_add="SYS_ADMIN")
# ```
#
# </details>
#
# ### 3. A service that ends at once
#
# `SERVICE` starts its server in the background and is done. Start a container `daemon` in which this
# very script runs (you may write something before and after it), and the server stays: as a child of
# process 1.

# %% id="exercise-3-start"
SERVICE = "sleep 98765 &"

# %% id="exercise-3"
# your answer

# %% id="exercise-3-check" tags=["check"]
if "daemon" not in {each.name for each in sandbox.containers()}:
    print("Exercise 3 waits for you: no container called daemon is running (any more).")
else:
    daemon = sandbox.Container("daemon")
    until(lambda: daemon.state == "STOPPED", 0.3)
    assert daemon.state == "RUNNING", "it has ended, and the server with it"
    rows = [line.split(None, 2) for line in daemon.exec("ps -o pid,ppid,args").text.splitlines()]
    servers = [row[1] for row in rows if row[2] == "sleep 98765" and row[0] != "1"]
    assert servers == ["1"], f"servers that are children of process 1: {servers.count('1')}"
    print("Right: process 1 stays, and so does the server.")

# %% [markdown] id="exercise-3-solution"
# <details><summary>Hint</summary>
#
# Who must not end? And for what could it wait?
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# sandbox.launch("busybox", f"{SERVICE}\nwait", name="daemon")
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
left = [entry["name"] for entry in sandbox.ledger() if entry["name"] in OURS]
print("left of this lesson:", left or "nothing")
assert not left

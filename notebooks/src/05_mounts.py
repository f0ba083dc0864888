# %% [markdown] id="welcome"
# # Mounts: the tree of files
#
# Where do the files of a container come from? From nowhere else than your own: from *mounts*. A mount
# puts a tree of files at a place, and all of these together are what a process sees below `/`. A mount
# namespace is a table of them, and each line of this table can be read.
#
# In this lesson you will mount something that nobody out here can see, hide files behind others, make
# the same file writable in one place and read-only in another, and let mounts pass from one world to
# the next, in both directions, in one, or in none. In the end you will take off a mask.
#
# As before: write your `guess` into a cell before you run it. It takes about 40 minutes, as root or as
# an ordinary user. All of it happens in one container, called `house`; this machine's own mounts are
# not touched, and you will see the proof.

# %% id="load"
# %load_ext kernel_ext
import os
import time
from pathlib import Path

import sandbox

OURS = ("house", "plain", "flat")  # the containers of this lesson


def tidy():
    """End what is there of this lesson, perhaps from the last time."""
    for each in sandbox.containers():
        if each.name in OURS:
            sandbox.Container(each.name).destroy(force=True)


def mountinfo(pid):
    """The table of mounts of a process, a line for each."""
    return Path(f"/proc/{pid}/mountinfo").read_text().splitlines()


def line_of(pid, place):
    """The line of the mount at a place that is on top; "" if there is none."""
    return next((line for line in reversed(mountinfo(pid)) if line.split()[4] == place), "")


tidy()
report = sandbox.host.report()
assert report.can("namespace.user"), report.why_not("namespace.user")
outside_before = mountinfo("self")
print(f"This notebook sees {len(outside_before)} mounts.")

# %% [markdown] id="house-intro"
# The house is a container as any other, with one exception: its root has the capability
# `CAP_SYS_ADMIN`, without which one may not mount anything. It is safe to give it, because it counts
# only for what belongs to the container's own user namespace. `at_home("…")` types a line in it.


# %% id="house"
house, _ = sandbox.launch("busybox", "exec sleep 3600", name="house", cap_add="SYS_ADMIN")
pid = house.info().pid


def at_home(line, inside=house):
    """Type a line in the house; show it and what it says."""
    done = inside.exec(line)
    said = done.text + done.stderr.decode()
    print(f"{inside.name}# {line.strip()}\n{said}", end="")
    return said


said = at_home("mount | cut -c 1-90")

assert len(said.splitlines()) == len(mountinfo(pid)), "both tell of the same table"

# %% [markdown] id="line-intro"
# ## 1. A line
#
# More than twenty, and you have mounted nothing so far. That is the whole work of art: a root
# (`overlay`, lesson 10), a `/dev` with a handful of devices, `/proc`, `/sys`, and some that hide
# something. `mount` prints it prettily. The kernel's own words are in `/proc/PID/mountinfo`; here is
# one line, word by word.

# %% id="line"
FIELDS = ("number", "number of the parent", "device", "root", "mount point", "options")
line = line_of(pid, "/dev/null")
left, _, right = line.partition(" - ")
print(line, "\n")
for name, word in zip(FIELDS, left.split(), strict=False):
    print(f"    {name:26}{word}")
print(f"    {'propagation (part 5)':26}{' '.join(left.split()[6:]) or '-'}")
for name, word in zip(("type", "source", "options of the device"), right.split(), strict=True):
    print(f"    {name:26}{word}")
parent = next(other for other in mountinfo(pid) if other.split()[0] == line.split()[1])
print(f"\nits parent is mounted at {parent.split()[4]}")

assert parent.split()[4] == "/dev"

# %% [markdown] id="inside-intro"
# *Root* is the part of the file system that is shown. So a mount need not be a whole disk: here it is a
# single file of another file system, `/null`. And mounts form a tree: each one hangs at a place of its
# parent.
#
# ## 2. In here, and not out there
#
# A *tmpfs* is a file system that lives in memory. We mount one at `/mnt`, and write a letter into it.

# %% id="inside"
guess = "?"  # is the letter to be seen in this machine's own /mnt: "yes" or "no"?

at_home("mount -t tmpfs -o size=1m letters /mnt; echo 'Dear reader,' > /mnt/letter; df /mnt")
print("in the house:  ", line_of(pid, "/mnt"))
print("this notebook: ", line_of("self", "/mnt") or "no such mount")
print("you said:", guess)

assert not Path("/mnt/letter").exists()
assert "letters" in line_of(pid, "/mnt")
assert mountinfo("self") == outside_before

# %% [markdown] id="through-intro"
# No, since this line is only in one of the two tables. (It is really only a table: the kernel follows a
# path folder by folder, and at each of them looks whether *this namespace* has something mounted
# there.)
#
# But there is a door. `/proc/PID/root` is the root of that process, seen with its eyes:

# %% id="through"
letter = Path(f"/proc/{pid}/root/mnt/letter")
print(letter, "says:", letter.read_text())

assert os.stat(letter).st_dev != os.stat("/").st_dev

# %% [markdown] id="over-intro"
# ## 3. Over it
#
# What happens to files in a folder on which something is mounted?

# %% id="over"
guess = "?"  # after umount: will the old file be "gone" or "back"?

at_home("mkdir /srv; echo 'I was here first.' > /srv/old; mount -t tmpfs other /srv; ls /srv")
hidden = at_home("cat /srv/old")
back = at_home("umount /srv; cat /srv/old")
print("you said:", guess)

assert "No such file" in hidden
assert back == "I was here first.\n"

# %% [markdown] id="bind-intro"
# Back: it was never away. A mount *covers* a place, like a sheet of paper on a page, and the page below
# it can't be read until the sheet is taken off. Keep that in mind for part 6. The tmpfs, however, is
# gone with all its files: nobody had it mounted any more.
#
# ## 4. Twice the same
#
# A *bind* mount needs no new file system: it shows a folder or a file that is there already at a second
# place. We make the second one read-only.

# %% id="bind"
guess = "?"  # of these two, which can be written: "both", "/srv", "/window", or "none"?

at_home("mkdir /window; mount --bind /srv /window; mount -o remount,bind,ro /window")
first = at_home("echo hello > /srv/new && ls /window")
second = at_home("echo hello > /window/new2")
print("you said:", guess)
print(line_of(pid, "/window"))
root, point, options = line_of(pid, "/window").split()[3:6]
device = line_of(pid, "/window").split()[2]

assert "new" in first.split()
assert "Read-only file system" in second
assert (root, point, options.split(",")[0]) == ("/srv", "/window", "ro")
assert device == line_of(pid, "/").split()[2], "the same file system"

# %% [markdown] id="ro-intro"
# `/srv` can. *Read-only* is written in the line of the mount (6th word), not in the file: the same
# files, two ways to them, and each with rules of its own. This is how a volume `-v FOLDER:/data` comes
# into a container, read-only unless you say `:rw`; and this is how `/proc/sys` is sealed in every
# container. The plan says so:

# %% id="volume"
plan = sandbox.plan(sandbox.spec_for("busybox", "true", volume="/usr:/data"))
for step in plan:
    if "/data" in str(step) or "/usr" in str(step) or step.name == "MakeReadOnly":
        print(step)
seen = sandbox.run("busybox", "ls /data; touch /data/x", volume="/usr:/data")
print(seen.text.split(), seen.stderr.decode())

assert "bin" in seen.text.split()
assert "Read-only" in seen.stderr.decode()

# %% [markdown] id="spread-intro"
# ## 5. Who else sees it?
#
# Until now there were two worlds, and what was mounted in one did not show in the other. That is not a
# law of nature, but a setting of each mount, its *propagation*: `shared` passes on to all copies of it,
# and gets from them; a `slave` only gets; `private` does neither. A new namespace begins as a *copy*,
# and the copy may be of any of these kinds.
#
# We make `/mnt` in the house shared. Then three guests move in, each with a copy of the table, one of
# each kind.


# %% id="guests"
def guest(seconds, tries=40):
    """The number of the process `sleep SECONDS` in the house, out here; 0 if there is none."""
    space = os.readlink(f"/proc/{pid}/ns/pid")
    for _ in range(tries):
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_text().split("\0")
                if words[-3:-1] == ["sleep", str(seconds)] and os.readlink(folder / "ns/pid") == space:
                    return int(folder.name)
            except OSError:  # it has just ended, or is somebody else's
                continue
        time.sleep(0.05)
    return 0


at_home("mount --make-shared /mnt")
jobs, guests = [], {}
for seconds, kind in ((1001, "shared"), (1002, "slave"), (1003, "private")):
    jobs.append(house.spawn(f"exec unshare -m --propagation {kind} sleep {seconds}"))
    guests[kind] = guest(seconds)
print(f"{'house':9}{line_of(pid, '/mnt')}")
for kind, number in guests.items():
    print(f"{kind:9}{line_of(number, '/mnt')}")

assert "shared:" in line_of(guests["shared"], "/mnt")
assert "master:" in line_of(guests["slave"], "/mnt")
assert "shared:" not in line_of(guests["private"], "/mnt")

# %% [markdown] id="down-intro"
# The 7th word of the line says it: `shared:1` is a member of group 1, `master:1` gets from group 1,
# nothing is private. Four tables. **The house mounts something at `/mnt/gift`. Who sees it?**

# %% id="down"
guess = "shared"  # which of shared, slave, private will see it?

at_home("mkdir -p /mnt/gift; mount -t tmpfs gift /mnt/gift")
seen = [kind for kind, number in guests.items() if line_of(number, "/mnt/gift")]
print(f"seen by: {' '.join(seen)}. You said: {guess}")

assert seen == ["shared", "slave"]

# %% [markdown] id="up-intro"
# And in the other direction: each of the guests mounts something. **Which of the three does the house
# see?** (`nsenter -m` does a command in the mount namespace of another process.)

# %% id="up"
guess = "shared"  # whose mount will be seen in the house?

for kind, number in guests.items():
    inner = Path(f"/proc/{number}/status").read_text().split("NSpid:")[1].split()[1]
    at_home(f"mkdir -p /mnt/by-{kind}; nsenter -t {inner} -m mount -t tmpfs {kind} /mnt/by-{kind}")
    assert line_of(number, f"/mnt/by-{kind}")
seen = [kind for kind in guests if line_of(pid, f"/mnt/by-{kind}")]
print(f"seen in the house: {' '.join(seen)}. You said: {guess}")

assert seen == ["shared"]

# %% [markdown] id="why-intro"
# | propagation | gets from the others | passes on |
# |:--|:--|:--|
# | `shared` | yes | yes |
# | `slave` | yes | no |
# | `private` | no | no |
#
# `slave` is what one wants for a USB stick: it is plugged in on the host, and shows in the container;
# but what the container mounts is its own business.
#
# And this machine? On most of them systemd makes everything shared. If it is so here, too, and a
# container is a copy: why did nothing of the house come out here? There are two locks. One is a step of
# the plan, `MakePrivate`. The other one is the kernel's: in a new *user* namespace every copy of
# something shared becomes a slave by itself. So even without the step nothing comes out:

# %% id="locks"
guess = "?"  # without MakePrivate: how many mounts of the container will come out here, 0 or more?

kinds = [("shared" if "shared:" in line else "private") for line in mountinfo("self")]
print(f"out here: {kinds.count('shared')} shared, {kinds.count('private')} private")
flat, _ = sandbox.launch("busybox", "exec sleep 3600", name="flat", without=["MakePrivate"])
here, there = len(mountinfo("self")), len(mountinfo(flat.info().pid))
print(f"the container has {there} mounts; out here there are {here}, as before")
print("you said:", guess)
flat.kill()

assert mountinfo("self") == outside_before

# %% [markdown] id="mask-intro"
# ## 6. Masks
#
# `/proc` tells a lot about this machine: which interrupts there were, which keys there are. In a
# container some of that is empty. How is it done? You know by now.

# %% id="mask"
plain, _ = sandbox.launch("busybox", "exec sleep 3600", name="plain")  # without CAP_SYS_ADMIN
empty = at_home("wc -c < /proc/interrupts", plain)
print("out here:", len(Path("/proc/interrupts").read_text()), "bytes")
print(line_of(plain.info().pid, "/proc/interrupts"))

assert empty == "0\n"
assert line_of(plain.info().pid, "/proc/interrupts").split()[3] == "/null"

# %% [markdown] id="unmask-intro"
# `/dev/null`, mounted over it: a sheet of paper over a page. And a sheet can be taken off. We try that
# in both containers.

# %% id="unmask"
guess = "?"  # where will it work: in "plain", in the "house", in "both", or in "none"?

refused = at_home("umount /proc/interrupts; wc -c < /proc/interrupts", plain)
worked = at_home("umount /proc/interrupts; wc -c < /proc/interrupts")
print("you said:", guess)

assert refused.startswith("0\n")
assert int(worked.split()[-1]) > 0

# %% [markdown] id="proc-intro"
# A mask is only as strong as the capability that is missing to take it off. That is why `CAP_SYS_ADMIN`
# is none of the 14 that a container gets, and why giving it away (`--cap-add SYS_ADMIN`,
# `--privileged`) is never only about the one thing for which it was needed.
#
# ## 7. What is `/proc`?
#
# No disk has these files. They are made up by the kernel while you read them. The file system `proc`
# shows the processes of *one* pid namespace: of the one in which it was mounted. What if a process gets
# a new pid namespace, and keeps the old `/proc`?

# %% id="proc"
guess = (
    "?"  # process 1 of the new namespace looks into /proc/1: who will be there, "itself" or "sleep"?
)

old = at_home("unshare -p -f sh -c 'echo I am $$; cat /proc/1/comm; true'")
new = at_home("unshare -p -f --mount-proc sh -c 'echo I am $$; cat /proc/1/comm; true'")
print("you said:", guess)

assert old == "I am 1\nsleep\n"
assert new == "I am 1\nsh\n"

# %% [markdown] id="recap"
# `sleep`: the old `/proc` goes on telling of the old namespace, and everything that reads it (`ps`,
# `top`, `kill`) is told about the wrong processes. So to each pid namespace belongs a `/proc` of its
# own, and to that a mount namespace: kinds of namespaces need each other.
#
# ## What a mount is
#
# - a line in a table: this part of that file system, at this place, with these options; a mount
#   namespace is such a table, and begins as a copy;
# - a mount covers what is below, and does not destroy it;
# - a bind mount shows the same files at a second place, and may be stricter there;
# - `shared` passes on both ways, `slave` one way, `private` none; out of a user namespace nothing
#   passes;
# - a mask is a mount, too, and who may unmount takes it off;
# - `/proc` shows the pid namespace for which it was mounted.
#
# ## Exercises
#
# ### 1. A `/tmp` of one's own
#
# Let a `sleep 7001` run in the house that has a `/tmp` of its own: an empty tmpfs, which nobody else in
# the house sees. (`job = house.spawn("…")` starts a line, and does not wait. It ends with `job`.)

# %% id="exercise-1-start"
said = at_home("echo 'This is the tmp of the house.' > /tmp/sign")

# %% id="exercise-1"
# your answer

# %% id="exercise-1-check" tags=["check"]
found = guest(7001, 10)
if not found:
    print("Exercise 1 waits for you: there is no sleep 7001 in the house.")
else:
    own, houses = line_of(found, "/tmp"), line_of(pid, "/tmp")
    assert not houses, f"the house has it, too: {houses}"
    assert own, "nothing is mounted at its /tmp"
    assert own.partition(" - ")[2].startswith("tmpfs "), f"that is no tmpfs: {own}"
    assert "shared:" not in own, f"it is shared, and would pass on: {own}"
    assert not os.listdir(f"/proc/{found}/root/tmp"), "it is not empty"
    print("Right: a /tmp for it alone.")

# %% [markdown] id="exercise-1-solution"
# <details><summary>Hint</summary>
#
# `unshare -m` (private, if nothing else is said) starts a shell in a new table. What that shell mounts,
# and then what it becomes, is your line.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# job = house.spawn("exec unshare -m sh -c 'mount -t tmpfs own /tmp; exec sleep 7001'")
# ```
#
# </details>
#
# ### 2. One way
#
# In the house, `/media` is a mount. Let a `sleep 7002` run in a namespace of its own, so that whatever
# the house mounts *from now on* below `/media` shows there as well, but nothing that is mounted there
# comes back into the house.

# %% id="exercise-2-start"
said = at_home("mkdir -p /media; mount -t tmpfs media /media; mkdir /media/stick /media/secret")

# %% id="exercise-2"
# your answer

# %% id="exercise-2-check" tags=["check"]
found = guest(7002, 10)
if not found:
    print("Exercise 2 waits for you: there is no sleep 7002 in the house.")
else:
    own_table = os.readlink(f"/proc/{found}/ns/mnt") != os.readlink(f"/proc/{pid}/ns/mnt")
    assert own_table, "it has no mount namespace of its own"
    inner = Path(f"/proc/{found}/status").read_text().split("NSpid:")[1].split()[1]
    house.exec("mount -t tmpfs stick /media/stick")
    house.exec(f"nsenter -t {inner} -m mount -t tmpfs secret /media/secret")
    came, went = line_of(found, "/media/stick"), line_of(pid, "/media/secret")
    house.exec(f"umount /media/stick /media/secret; nsenter -t {inner} -m umount /media/secret")
    assert came, f"what the house mounted did not show: {line_of(found, '/media')}"
    assert not went, f"what was mounted there came back: {line_of(found, '/media')}"
    print("Right: it gets everything, and gives nothing.")

# %% [markdown] id="exercise-2-solution"
# <details><summary>Hint</summary>
#
# Two things: in the house, `/media` has to pass on (part 5). In the copy it has to be the other kind.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# house.exec("mount --make-shared /media")
# job2 = house.spawn("exec unshare -m --propagation slave sleep 7002")
# ```
#
# </details>
#
# ## Tidy up
#
# When you have finished, run the last cell. It ends what this lesson has started, and looks into the
# ledger once more, and into the table of mounts of this machine.

# %% id="tidy"
tidy()
left = [entry["name"] for entry in sandbox.ledger() if entry["name"] in OURS]
print("left of this lesson:", left or "nothing")
assert not left
assert mountinfo("self") == outside_before

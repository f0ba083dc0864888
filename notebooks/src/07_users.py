# %% [markdown] id="welcome"
# # Root inside, nobody outside
#
# A user is a number. In a user namespace the numbers are other ones than outside, and a *map* says
# which belong together. With that map, one can be root in a container, with all its power, and out
# here be somebody who may do nothing. You will write such a map yourself, be refused a few times, and
# see whose a file is from three sides.
#
# As before, write your `guess` into a cell before you run it. It takes about 40 minutes, as root or as
# an ordinary user (much of it is made for the latter), without network.

# %% id="load"
# %load_ext kernel_ext
import os
import shutil
import subprocess
import sys
from pathlib import Path

import sandbox
from sandbox.home import home

OURS = ("mighty", "lodger", "citizen")  # the containers of this lesson


def tidy():
    """End what is still there of this lesson, perhaps from the last time."""
    for each in sandbox.containers():
        if each.name in OURS:
            sandbox.Container(each.name).destroy(force=True)


tidy()
report = sandbox.host.report()
assert report.can("namespace.user"), report.why_not("namespace.user")
assert shutil.which("unshare"), "there is no unshare: apt install util-linux"
MODE = sandbox.host.mapping_mode()
print(f"You are user {os.geteuid()}; containers get their ids by the way {MODE!r}.")

# %% [markdown] id="empty-intro"
# ## 1. Without a map
#
# `unshare --user` starts a command in a new user namespace, and does nothing else. Anybody may do that.

# %% id="empty"
guess = "?"  # which number will `id -u` say: yours, 0, or another?

said = subprocess.run(["unshare", "--user", "id", "-u"], capture_output=True, text=True).stdout.strip()
overflow = Path("/proc/sys/kernel/overflowuid").read_text().strip()
print(f"in there: {said}; /proc/sys/kernel/overflowuid: {overflow}")
print("you said:", guess)

assert said == overflow

# %% [markdown] id="map-intro"
# Usually 65534, called *nobody*: it is what the kernel says for **every id that it can't translate**.
# The process is still yours; only there is no number for you in there.
#
# The translation is written into `/proc/PID/uid_map`, in rows of three numbers: the first id inside,
# the first id outside, how many. A process makes a user namespace and tries to write its own map:

# %% id="map"
guess = "?"  # which of the seven attempts will be refused?

CHILD = """
import os
from sandbox.linux.constants import CLONE_NEWUSER
from sandbox.linux.syscalls import unshare

me, group = os.geteuid(), os.getegid()
unshare(CLONE_NEWUSER)

def write(file, text):
    try:
        with open(f"/proc/self/{file}", "wb", 0) as opened:
            opened.write(text.encode())
        said = "done"
    except OSError as error:
        said = error.strerror
    print(f"{text:16}→ {file:12}{said}")

write("uid_map", f"0 {me} 65536")
write("uid_map", f"0 {me + 1} 1")
write("uid_map", f"0 {me} 1")
write("uid_map", f"7 {me} 1")
write("gid_map", f"0 {group} 1")
write("setgroups", "deny")
write("gid_map", f"0 {group} 1")
print("now it is user", os.geteuid())
try:
    os.setgroups([])
except OSError as error:
    print("setgroups:", error.strerror)
"""
environment = os.environ | {"PYTHONPATH": str(Path(sandbox.__file__).parent.parent)}
said = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, env=environment)
print(said.stdout, said.stderr, "you said: ", guess, sep="")

results = [line.split(None, 5)[-1] for line in said.stdout.splitlines()[:7]]
refused = [
    number for number, line in enumerate(said.stdout.splitlines()[:7], 1) if "not permitted" in line
]
assert refused == [1, 2, 4, 5]
assert "now it is user 0\n" in said.stdout
assert "setgroups: Operation not permitted" in said.stdout

# %% [markdown] id="rules-intro"
# Four of them. The rules (user_namespaces(7)): who has no power outside may write **one row, of one id,
# his own**; and only once. So nobody becomes somebody else by this. It would be a gift to get 65,536
# ids: they might be somebody's.
#
# And the groups? Mostly a group gives rights. But a file may also be *closed* for a group and open to
# all others (`rw----r--`); who could leave a group would get in. So `setgroups` must first be given up,
# for ever, before the map of groups may be written.
#
# ## 2. Where more ids come from
#
# - *Root* has the power (`CAP_SETUID`) to write any map. The sandbox then takes 65,536 ids that nobody
#   else has (`range`).
# - *An ordinary user* can get a range from root in `/etc/subuid`. The set-uid program `newuidmap` looks
#   there and writes the map for him (`newuidmap`). That is what *rootless* Docker and Podman do.
# - Without that, it is one id: his own is root inside (`single`).

# %% id="ranges"
subuid = Path("/etc/subuid")
print("/etc/subuid:", subuid.read_text().split() if subuid.exists() else "there is none")
print("newuidmap:  ", shutil.which("newuidmap") or "there is none")

mighty, _ = sandbox.launch("busybox", "sleep 3600", name="mighty", cap_add="ALL", seccomp="unconfined")
pid = mighty.info().pid
rows = [list(map(int, row.split())) for row in Path(f"/proc/{pid}/uid_map").read_text().splitlines()]
for first, outside, count in rows:
    print(
        f"{first} … {first + count - 1} inside are {outside} … {outside + count - 1} out here ({count})"
    )
base = rows[0][1]

assert rows[0][0] == 0
assert (sum(count for _, _, count in rows) == 1) == (MODE == "single")

# %% [markdown] id="power-intro"
# ## 3. All power, and powerless
#
# This container, `mighty`, was given everything: all capabilities (`--cap-add ALL`), and no filter of
# system calls. Some of the following is for root only, and some not even for this root.

# %% id="power"
guess = "?"  # three of these six will be refused: which?

capabilities = mighty.exec("grep CapEff /proc/self/status").text.split()[1]
print(f"capabilities: {capabilities}, that is {int(capabilities, 16).bit_count()}")
worked = {}
for command in (
    "hostname mightier",
    "mount -t tmpfs none /mnt",
    "chown 0:0 /mnt",
    "chown 4000000000 /tmp",
    "mknod /tmp/disk b 8 0",
    "dmesg",
):
    answer = mighty.exec(command)
    worked[command] = answer.exit_code == 0
    print(f"{command:26}{answer.stderr.decode().strip() or 'works'}")
print("you said:", guess)

assert int(capabilities, 16).bit_count() > 30
assert list(worked.values()) == [True, True, True, False, False, False]

# %% [markdown] id="power-why"
# A capability counts for **what belongs to one's own user namespace**. The name and the mounts do:
# their namespaces were made in it. Disks and the kernel's messages belong to the first user
# namespace, that of the machine; so `EPERM`, *Operation not permitted*.
#
# `chown` failed in another way: `EINVAL`, *Invalid argument*. It was not refused; **in there, there
# is no such user**. An id that isn't in the map can't be written down, since nothing would stand on
# the disk.
#
# ## 4. Whose is this file?
#
# Root inside makes a file. We look at it from inside and from outside; and let the container look at a
# file of the machine's root.

# %% id="both"
guess = "?"  # whom does a file of the machine's root belong to, seen from inside?

mighty.exec("touch /tmp/mine")
inside = mighty.exec("stat -c %u /tmp/mine /proc/sys/kernel/hostname").text.split()
outside = [os.stat(path).st_uid for path in (f"/proc/{pid}/root/tmp/mine", "/proc/sys/kernel/hostname")]
print("                            inside     outside")
for what, here, there in zip(
    ("a file of its root", "a file of the machine"), outside, inside, strict=True
):
    print(f"{what:28}{there:11}{here}")
print("you said:", guess)

assert inside[0] == "0"
assert outside[0] == base
if outside[1] == 0:
    assert inside[1] == overflow

# %% [markdown] id="layer-intro"
# *Nobody* again: there is no number for it. And the rights of that file hold for the container's root
# as for any stranger, all capabilities notwithstanding.
#
# One thing does not fit. The files of the image, `/bin/busybox` for instance, lie on our disk once and
# are used by all containers, each with other ids. Whose are they?

# %% id="layer"
guess = "?"  # /bin/busybox: which user on the disk, and which inside?

layer = next(each for each in Path(home().layers).iterdir() if each.name.startswith("busybox-"))
disk = os.stat(layer / "bin/busybox").st_uid
through = os.stat(f"/proc/{pid}/root/bin/busybox").st_uid
inside = int(mighty.exec("stat -c %u /bin/busybox").text)
print(f"on the disk: {disk}; through the container's mount: {through}; inside: {inside}")

options = []
with sandbox.Stepper("busybox", "true") as stepper:
    stepper.to("PivotRoot")
    options = [
        change.after for stage in stepper.stages for change in stage.changed if "layer0" in change.after
    ]
print("\n".join(options))
print("you said:", guess)

assert inside == 0
assert through == base
assert disk == os.geteuid()
assert any("idmapped" in line for line in options) == (
    MODE == "range" and sandbox.host.can_idmap(str(layer))
)

# %% [markdown] id="recap"
# As root: 0 on the disk, 0 inside, and in between the container's range. The *mount* has a map, too
# (`idmapped`, Linux 5.12): on the way, it translates the owners. Before that, one had to `chown` every
# file of an image for each container. (Of an ordinary user's one id there is nothing to translate.)
#
# ## What to remember
#
# - A user namespace has a map of ids; whoever is not in it is *nobody*, and can't be named: `EINVAL`.
# - Without power outside: one row, the own id, once, and `setgroups` given up.
# - Capabilities count for what belongs to one's own user namespace; for all else, one is outside who
#   one is outside.
# - The owner on the disk is the number *outside*, unless the mount has a map.
#
# ## Exercises
#
# ### 1. A gift
#
# The next cell starts a container, `lodger`, and thinks of an owner. Make a file `/tmp/gift` in the
# container (from inside) that *out here* belongs to the user `wanted`. (Where only one id is mapped,
# there is but one that could be wanted.)

# %% id="exercise-1-start"
lodger, _ = sandbox.launch("busybox", "sleep 3600", name="lodger")
first, start, count = map(int, Path(f"/proc/{lodger.info().pid}/uid_map").read_text().split()[:3])
wanted = start + min(1234, count - 1)
print("wanted:", wanted)

# %% id="exercise-1"
# your answer

# %% id="exercise-1-check" tags=["check"]
gift = Path(f"/proc/{lodger.info().pid}/root/tmp/gift")
if not gift.exists():
    print("Exercise 1 waits for you: there is no /tmp/gift in lodger.")
else:
    assert gift.is_file(), "it is no file"
    assert gift.stat().st_uid == wanted, f"out here it belongs to {gift.stat().st_uid}, not to {wanted}"
    print("Right: it belongs to", wanted)

# %% [markdown] id="exercise-1-solution"
# <details><summary>Hint</summary>
#
# `lodger.exec("…")` does a line inside, `chown` takes a number: the one *inside*.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# lodger.exec(f"touch /tmp/gift; chown {wanted - start + first} /tmp/gift")
# ```
#
# </details>
#
# ### 2. User 1234
#
# Start a process in a user namespace of its own in which you are not root, but user 1234; and nobody
# else is mapped. It shall live for a minute. Put its number into `my_pid`.

# %% id="exercise-2"
my_pid = None

# %% id="exercise-2-check" tags=["check"]
if my_pid is None:
    print("Exercise 2 waits for you: give my_pid a value in the cell above, run it, then this one.")
else:
    assert Path(f"/proc/{my_pid}").exists(), f"there is no process {my_pid}"
    link = os.readlink(f"/proc/{my_pid}/ns/user")
    assert link != os.readlink("/proc/self/ns/user"), "its user namespace is ours"
    found = Path(f"/proc/{my_pid}/uid_map").read_text().split()
    assert found, "its map is empty"
    assert found == ["1234", str(os.geteuid()), "1"], f"its map is {' '.join(found)}"
    print("Right: out here you, in there 1234.")

# %% [markdown] id="exercise-2-solution"
# <details><summary>Hint</summary>
#
# Who starts a process in a new user namespace may write its map from outside, too: part 1 has the
# rules. But first wait until it is in there.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# ready = ["unshare", "--user", "sh", "-c", "echo ready; exec sleep 60"]
# process = subprocess.Popen(ready, stdout=subprocess.PIPE, text=True)
# process.stdout.readline()
# Path(f"/proc/{process.pid}/uid_map").write_text(f"1234 {os.geteuid()} 1")
# my_pid = process.pid
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
if "process" in globals():
    process.kill()
    process.wait()
left = [entry["name"] for entry in sandbox.ledger() if entry["name"] in OURS]
print("left of this lesson:", left or "nothing")
assert not left

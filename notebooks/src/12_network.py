# %% [markdown] id="welcome"
# # A network, cable by cable
#
# At the beginning of this lesson a container has no network at all. At its end it reaches the internet,
# and serves a page to it. In between you lay a cable, plug it into a switch, give addresses, and teach
# the host to pass packets on: each by a command that you know from any Linux, or should: `ip`,
# `bridge`, `nft`. Then the sandbox does the same for you, and you will find each of your commands in
# its plan.
#
# **Nothing here touches the network of your machine.** The *host* of this lesson, and even the
# *internet*, are made for it, as network namespaces. They are no toys: for the kernel, the network of
# your machine is a namespace like these, only the first one.
#
# As before: write your `guess` into a cell before you run it. It takes about 45 minutes, as root or as
# an ordinary user. It needs two programs (`apt install iproute2 nftables`), and says so if they are
# missing.

# %% id="load"
# %load_ext kernel_ext
import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import sandbox
from sandbox.home import home
from sandbox.plans import Plan

PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"  # root's programs, which are not in everybody's
for program in ("ip", "bridge", "nft", "nsenter"):
    found = shutil.which(program, path=PATH)
    assert found, f"there is no {program}: apt install iproute2 nftables util-linux"
report = sandbox.host.report()
for what in ("namespace.user", "network.veth", "network.bridge", "network.nft"):
    assert report.can(what), report.why_not(what)
powers = int(re.search(r"CapEff:\s*(\w+)", Path("/proc/self/status").read_text())[1], 16)
ROOT = bool(powers >> 21 & 1)  # CAP_SYS_ADMIN. capabilities(7)
print("You are", "root." if ROOT else "an ordinary user.")

# %% [markdown] id="places-intro"
# ```text
#   ┌─ internet ─────────────┐           ┌─ host ───────────────────┐         ┌─ one ─┐
#   │ 198.51.100.7, a server │           │                          │    ?    │       │
#   │            203.0.113.1 ├───────────┤ uplink, 203.0.113.2      │         │       │
#   └────────────────────────┘           └──────────────────────────┘         └───────┘
# ```
#
# The next cell makes a machine without network: a process in a network namespace of its own. That is
# our host. (Only root may make one just so. An ordinary user makes a *user namespace* around it, and is
# root in there.) It has a sandbox of its own, with its own containers. One of them plays the internet:
# the provider has laid a cable to it already, `uplink`. You need not read the cell. But what it defines
# will be used all the time: `on("host", "…")` types a line on the host, and `on("one", "…")` in a
# container called `one`.

# %% id="places"
# Mounts of its own, too: what the sandbox notes about its bridges is nobody else's business.
WAYS, RUN = ["--net", "--mount"], "/run/container-sandbox-networks"
if not ROOT:
    WAYS, RUN = [*WAYS, "--user"], "/run"
SANDBOX = f'sandbox() {{ {shlex.quote(sys.executable)} -m sandbox "$@"; }}'
# It waits until this notebook ends, however it ends; then it takes all that is its own away.
LIFE = f"""{SANDBOX}; mkdir -p {RUN} && mount -t tmpfs run {RUN} &&
ip link set lo up && echo 0 > /proc/sys/net/ipv4/ip_forward && echo ready && cat
sandbox rm -f $(sandbox ps -q) > /dev/null 2>&1; rm -r "$SANDBOX_HOME" """

if "host" in globals():
    host.communicate()  # the one of the last time
shelf = Path(tempfile.mkdtemp(prefix="lesson-12-", dir=home().cache))
environment = os.environ | {"PATH": PATH, "SANDBOX_HOME": str(shelf)}
environment["PYTHONPATH"] = str(Path(sandbox.__file__).parent.parent)
pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
make = ["unshare", *WAYS, *([] if ROOT else ["--map-root-user"]), "sh", "-c", LIFE]
host = subprocess.Popen(make, **pipes, stderr=subprocess.STDOUT, start_new_session=True)
said = host.stdout.readline()
assert said == "ready\n", said
enter = ["nsenter", *WAYS, *([] if ROOT else ["--preserve-credentials"]), "--target", str(host.pid)]


def shell(place, line):
    """Do a line on the host or in a container, and show nothing."""
    if place != "host":
        line = f"sandbox exec {place} sh -c {shlex.quote(line)}"
    words = [*enter, "sh", "-c", f"{SANDBOX}; {line}"]
    both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.run(words, input="", text=True, env=environment, **both)


class Said(str):
    """What was said, and shown: as a cell's last value it is not shown again."""

    def _ipython_display_(self):
        pass


def on(place, lines, code=0):
    """Type lines at a place, show what they say, and check the exit codes (None: any will do)."""
    said = ""
    for line in map(str.strip, lines.strip().splitlines()):
        done = shell(place, line)
        print(f"{place}# {line}\n{done.stdout}", end="")
        assert code in (None, done.returncode), f"exit code {done.returncode}"
        said += done.stdout
    return Said(said)


def info(name):
    """What `sandbox info` knows of a container; nothing, if there is none."""
    done = shell("host", f"sandbox info --json {name}")
    return {} if done.returncode else json.loads(done.stdout)


def pid(name):
    """The number of its first process."""
    return info(name)["pid"]


def until(true, seconds=10):
    """Wait until `true()` is so; returns whether it came to that."""
    end = time.monotonic() + seconds
    while not (come := true()) and time.monotonic() < end:
        time.sleep(0.05)
    return come


on("host", "sandbox run -d --name internet busybox sh -c 'echo Hello! > index.html; exec httpd -f -vv'")
inside = f"nsenter --target {pid('internet')} --net"
for line in (
    f"ip link add uplink type veth peer name eth0 netns {pid('internet')}",
    "ip address add 203.0.113.2/24 dev uplink",
    "ip link set uplink up",
    "ip route add default via 203.0.113.1",
    f"{inside} ip address add 203.0.113.1/24 dev eth0",
    f"{inside} ip address add 198.51.100.7/32 dev lo",
    f"{inside} ip link set eth0 up",
):
    assert not shell("host", line).returncode, line
on("host", "ip -brief -4 address")

# %% [markdown] id="empty-intro"
# ## 1. Nothing but itself
#
# A container without network is the normal case here: `--network none` need not even be said.

# %% id="empty"
guess = "?"  # how many network cards will it have?

on("host", "sandbox run -d --name one --network none busybox sleep 3600")
said = on("one", "ip address")
print("you said:", guess)

assert re.findall(r"^\d+: (\w+)", said, re.MULTILINE) == ["lo"]

# %% [markdown] id="unreachable-intro"
# One, `lo`, the *loopback*: what is sent to it comes back. It reaches the container itself, and nobody
# else. Now it calls the server on the internet.

# %% id="unreachable"
guess = "?"  # will there be "silence", or an "error" at once?

on("one", "ping -c 1 127.0.0.1")
said = on("one", "ping -c 1 -W 3 198.51.100.7", code=1)
print("you said:", guess)

assert "Network is unreachable" in said

# %% [markdown] id="route-table-intro"
# An error, and at once. Who said so? Nobody out there: not a single packet was sent. The container's
# own kernel looked into its *routing table*, where each row says which addresses are reached by which
# card; `/proc/net/route` shows it:

# %% id="route-table"
on("host", "cut -f 1-3,8 /proc/net/route")
said = on("one", "cut -f 1-3,8 /proc/net/route")

assert len(said.splitlines()) == 1

# %% [markdown] id="cable-intro"
# The host has a row for everybody (`00000000`), and one for its neighbours (`007100CB` is 203.0.113.0,
# in hexadecimal and backwards). The container has none, only the headline; and that is what
# `ENETUNREACH` means, "Network is unreachable". Keep it in mind:
#
# **An error at once is said by your own kernel. Silence comes from further away.**
#
# ## 2. A cable
#
# The kernel can make a pair of network cards that are joined by a cable: `veth`. We make one on the
# host, and put its other end into the container straight away: into the network namespace of the
# process with this number.

# %% id="cable"
guess = "?"  # who will have a new network card: the "host", "one", or "both"?

on("host", f"ip link add cable type veth peer name eth0 netns {pid('one')}")
outside, inside = on("host", "ip link show cable"), on("one", "ip link show eth0")
print("you said:", guess)

near = re.search(r"(\d+): cable@if(\d+):", outside).groups()
far = re.search(r"(\d+): eth0@if(\d+):", inside).groups()
assert near == far[::-1], "each end says the number of the other"

# %% [markdown] id="power-intro"
# Both: a cable has two ends, and each is a network card. `@if` and a number says where the other end
# is: it is card number so-and-so, over there. Both are off (`DOWN`), and nobody has an address. `one`
# has a root user, who could change that. Or not?

# %% id="power"
guess = "?"  # root inside gives its card an address: does that "work", or is it "refused"?

said = on("one", "ip address add 10.0.0.2/24 dev eth0", code=None)
print("you said:", guess)

assert "Operation not permitted" in said

# %% [markdown] id="address-intro"
# Refused: it needs the capability `CAP_NET_ADMIN`, and a container is made without it (lesson 1,
# part 5). Somebody with more power has to do it: we, on the host. `nsenter --net` does a command in the
# network of another process, and everything else of it stays ours, power included.

# %% id="address"
inside = f"nsenter --target {pid('one')} --net"
setup = f"""
    ip address add 10.0.0.1/24 dev cable
    ip link set cable up
    {inside} ip address add 10.0.0.2/24 dev eth0
    {inside} ip link set eth0 up
"""
on("host", setup)
said = on("one", "ping -c 2 10.0.0.1\nip route")

assert "2 packets received" in said
assert "10.0.0.0/24 dev eth0" in said

# %% [markdown] id="unplug-intro"
# **The first ping.** The row in the routing table came by itself, from the `/24` behind the address:
# the first 24 bits are those of the network, so all of 10.0.0.… must be at the other end of this cable.
#
# And if the cable is cut? We switch off our end, and look at the other.

# %% id="unplug"
guess = "?"  # what will the container's kernel say of its card: "UP" as before, "DOWN", or what?

on("host", "ip link set cable down")
said = on("one", "ip link show eth0")
on("host", "ip link set cable up")
print("you said:", guess)

assert "NO-CARRIER" in said

# %% [markdown] id="switch-intro"
# `NO-CARRIER`: it is switched on, but hears nothing at the other end. As with a cable of copper.
#
# ## 3. A switch
#
# A second container shall join, and a third. A cable has only two ends; so we need a switch. The kernel
# has one, made of software: it is called *bridge*. A card gets a *master*, and is from then on nothing
# but a socket of that switch. So the host's address can't stay there: it moves to the switch, which is
# a card of the host, too.

# %% id="switch"
moved = """
    ip link add switch type bridge
    ip link set switch up
    ip link set cable master switch
    ip address del 10.0.0.1/24 dev cable
    ip address add 10.0.0.1/24 dev switch
"""


def plug(name, cable, address):
    """Lay a cable from the switch into a container, and set up the end in there."""
    inside = f"nsenter --target {pid(name)} --net"
    lines = f"""
        ip link add {cable} type veth peer name eth0 netns {pid(name)}
        ip link set {cable} master switch up
        {inside} ip address add {address}/24 dev eth0
        {inside} ip link set eth0 up
    """
    on("host", lines)


on("host", moved)
for name in ("two", "three"):
    on("host", f"sandbox run -d --name {name} busybox sleep 3600")
plug("two", "cable2", "10.0.0.3")
plug("three", "cable3", "10.0.0.4")
said = on("host", "ip -brief link show master switch")
cards = [line.split(":")[0].strip() for line in Path("/proc/net/dev").read_text().splitlines()[2:]]
print("And your own machine has only its own cards:", *cards)

assert len(said.splitlines()) == 3
assert not {"switch", "cable", "uplink"} & set(cards)

# %% [markdown] id="arp-intro"
# Three cables in one switch. Next, `one` sends a ping to `two`, and we want to see what really goes
# over the wire. The usual tool is `tcpdump`; here is one in twenty lines. Whoever has `CAP_NET_RAW` may
# ask the kernel for a copy of every packet.

# %% id="arp"
WATCH = """
import select, socket, sys
wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))  # all kinds. packet(7)
print("ready", flush=True)
while wire in select.select([wire, sys.stdin], [], [])[0]:
    data, (card, kind, way, *_) = wire.recvfrom(2048)
    ip = lambda at: socket.inet_ntoa(data[at : at + 4])
    if kind == 0x0806:  # ARP, RFC 826
        asks = f"who has {ip(24)}? tell {ip(14)}"
        what = asks if data[7] == 1 else f"{ip(14)} is at {data[8:14].hex(':')}"
    elif kind == 0x0800 and data[16] < 224:  # IPv4, RFC 791, but none for all: switches talk, too
        inner = data[(data[0] & 15) * 4 :]
        names = {(1, 8): "ping", (1, 0): "answer to ping", (1, 3): "can't be reached"}
        name = {1: names.get((1, inner[0]), "ICMP"), 6: "TCP", 17: "UDP"}.get(data[9], "?")
        what = f"{ip(12)} → {ip(16)}  {name}"
    else:
        continue
    print(f"{card:8}{'out' if way == 4 else 'in':5}{what}")
"""


@contextlib.contextmanager
def watching(place, show=True):
    """A small tcpdump: show in the end what has passed the network cards of a place."""
    inside = [] if place == "host" else ["nsenter", "--target", str(pid(place)), "--net"]
    with subprocess.Popen([*enter, *inside, sys.executable, "-c", WATCH], **pipes) as watcher:
        assert watcher.stdout.readline() == "ready\n"
        seen = []
        yield seen
        seen += watcher.communicate()[0].splitlines()
    if show:
        print(f"seen on {place}:", *seen or ["nothing"], sep="\n    ")


guess = "?"  # what will be the very first thing that `two` gets to see?

with watching("two") as seen:
    on("one", "ping -c 1 10.0.0.3")
print("you said:", guess)

assert "who has 10.0.0.3? tell 10.0.0.2" in seen[0]
assert "10.0.0.2 → 10.0.0.3  ping" in "\n".join(seen)

# %% [markdown] id="tables-intro"
# A question to all: *who has 10.0.0.3?* For on a wire, cards are not called by their IP addresses.
# Each has an address of its own, six bytes, the *MAC address*; and who knows only the IP address has to
# ask. That is ARP. `two` has answered, and `one` has noted the answer. The switch was listening, too:

# %% id="tables"
known = on("one", "ip neigh")
learned = on("host", "bridge fdb show br switch | grep -v permanent")


def mac(name):
    """The address of a container's card."""
    return re.search(r"link/ether (\S+)", shell(name, "ip link show eth0").stdout)[1]


assert mac("two") in known
assert f"{mac('one')} dev cable " in learned
assert f"{mac('two')} dev cable2 " in learned

# %% [markdown] id="eavesdrop-intro"
# Nobody has told it anything. It looks at who *sends*: a packet of this address came in there, so that
# is where it lives. For an address that it does not know, it tries all sockets.
#
# `three` is at the same switch. **Can it listen to what the others say to each other?**

# %% id="eavesdrop"
guess = "?"  # of the next ping from one to two, `three` will see "everything", "a part", or "nothing"

with watching("three") as seen:
    on("one", "ping -c 1 10.0.0.3")
print("you said:", guess)

assert not [line for line in seen if "ping" in line]

# %% [markdown] id="default-intro"
# Nothing: the switch knows where both live, and bothers nobody else. (It would be no wall against a
# liar. Whoever has `CAP_NET_RAW` may write packets by hand as well, for example "10.0.0.3 is at *my*
# address". Containers have it, ours and Docker's, for the sake of `ping`. `--cap-drop NET_RAW` takes it
# away.)
#
# ## 4. The way out
#
# `one` has a cable now, a switch, neighbours, and a host that is on the internet. It tries again.

# %% id="default"
guess = "?"  # an "error", "silence", or an "answer"?

said = on("one", "ping -c 1 -W 1 198.51.100.7", code=1)
print("you said:", guess)

assert "Network is unreachable" in said

# %% [markdown] id="forward-intro"
# You know who says that. Its table has one row, for 10.0.0.…, and 198.51.100.7 is none of these. What
# is missing is a row for all others, the *default route*: give it to this neighbour, who may know more.
# Then we ping three addresses, each a step further: the other card of the host, the internet's side of
# the cable, and the server.

# %% id="forward"
guess = "?"  # how many of the three will answer?

on("host", f"nsenter --target {pid('one')} --net ip route add default via 10.0.0.1")
answers = []
for address in ("203.0.113.2", "203.0.113.1", "198.51.100.7"):
    said = on("one", f"ping -c 1 -W 1 {address} | grep packets")
    answers.append("1 packets received" in said)
print("you said:", guess)

assert answers == [True, False, False]

# %% [markdown] id="router-intro"
# One. The error is gone, but now there is silence: so the packets are sent, and get lost further away.
# Where? We watch the host. (The same packet passes `cable`, and then `switch`.)

# %% id="router"
with watching("host") as seen:
    on("one", "ping -c 1 -W 1 198.51.100.7 | grep packets")
setting = on("host", "cat /proc/sys/net/ipv4/ip_forward")

assert [line for line in seen if "→ 198.51.100.7" in line]
assert not [line for line in seen if line.startswith("uplink")], "nothing has left"
assert setting == "0\n"

# %% [markdown] id="open-intro"
# It came in, and did not go out. A packet for somebody else is none of the host's business: to pass it
# on is what a *router* does, and Linux is one only if it is told to. (203.0.113.2 answered, because
# that is the host itself, whatever card the question came in by.) So we make the host a router.

# %% id="open"
guess = "?"  # how far will the ping come now: to the "host", to the "internet", or "there and back"?

on("host", "echo 1 > /proc/sys/net/ipv4/ip_forward")
with watching("internet") as seen:
    on("one", "ping -c 1 -W 1 198.51.100.7 | grep packets")
print("you said:", guess)
on("internet", "ip route")

assert [line for line in seen if "10.0.0.2 → 198.51.100.7" in line]
assert not [line for line in seen if "answer" in line]

# %% [markdown] id="nat-intro"
# It arrives! And the server would like to answer, to 10.0.0.2. But its table has no row for that: who
# on the internet should know the network that you have just made up? There are millions of networks
# 10.0.0.…; these addresses are set aside for everybody's own use (RFC 1918).
#
# ## 5. A lie
#
# There is one address here that the internet does know: the host's. So the host writes it into the
# packet as the sender, notes that it did so, and puts the answer right again: NAT, *network address
# translation*. It takes a rule in the kernel's packet filter, `nftables`: what has been routed
# (`postrouting`), comes from 10.0.0.…, and is about to leave by `uplink`, is counted, and gets another
# sender.

# %% id="nat"
guess = "?"  # who will be the sender that the internet sees?

rules = """
    nft add table ip lesson
    nft add chain ip lesson leaving '{ type nat hook postrouting priority srcnat; }'
    nft add rule ip lesson leaving ip saddr 10.0.0.0/24 oifname uplink counter masquerade
"""
on("host", rules)
with watching("internet") as seen:
    said = on("one", "ping -c 3 -W 1 198.51.100.7")
print("you said:", guess)

assert "3 packets received" in said
assert [line for line in seen if "203.0.113.2 → 198.51.100.7  ping" in line]
assert not [line for line in seen if "10.0.0.2" in line]

# %% [markdown] id="counter-intro"
# **The ping is back.** That was all: cable, switch, address, route, router, NAT. (`masquerade` means:
# with the address of the card by which it leaves, whatever that is.)
#
# The rule counts. Three pings went out; and next, a page is fetched.


# %% id="counter"
def counted():
    """How many packets the rule has counted."""
    return int(re.search(r"counter packets (\d+)", on("host", "nft list ruleset"))[1])


guess = "?"  # which number stands there after three pings?

first = counted()
print("you said:", guess)
on("one", "wget -q -O - http://198.51.100.7/")
second = counted()
on("host", "sandbox logs internet")

assert (first, second) == (1, 2)

# %% [markdown] id="wall-intro"
# One, and then two: packets of a NAT chain are the *first* ones of a conversation only. The kernel
# remembers conversations (*connection tracking*); what belongs to one that it knows gets the same
# treatment without asking the rules. It is how an answer finds its way back. And the web server's log
# shows what the whole internet sees of you: your host.
#
# So nobody out there can reach the container: who does not know the way can't come. Or is that no wall?
# Suppose that an attacker sits at the same wire as `uplink`: at your provider, or in the same café. One
# line is enough to tell a machine a way.

# %% id="wall"
guess = "?"  # will a ping from there reach the container: "yes" or "no"?

attack = f"nsenter --target {pid('internet')} --net"
on("host", f"{attack} ip route add 10.0.0.0/24 via 203.0.113.2")
said = on("internet", "ping -c 1 -W 1 10.0.0.2", code=None)
print("you said:", guess)

assert "1 packets received" in said

# %% [markdown] id="teardown-intro"
# It does. You made the host a router, and a router passes on, in *both* directions. **NAT hides, but it
# is no wall.** (Until version 28, of 2025, Docker's networks had this hole on every host whose own
# firewall let it pass.) We shall see what the sandbox does about it.
#
# Now we throw away what we have built. First the containers:

# %% id="teardown"
guess = "?"  # what will vanish by itself: the "cables", the "switch", the "rule"?

on("host", "sandbox rm -f one two three")
until(lambda: "cable" not in shell("host", "ip link").stdout)
said = on("host", "ip -brief link | cut -c 1-60; nft list ruleset | head -n 1")
print("you said:", guess)
clear = f"""
    ip link del switch
    nft delete table ip lesson
    echo 0 > /proc/sys/net/ipv4/ip_forward
    {attack} ip route del 10.0.0.0/24
"""
on("host", clear)

assert "cable" not in said
assert "switch" in said
assert "lesson" in said

# %% [markdown] id="plan-intro"
# The cables. With the last process of a container its network namespace ends, with that the card in it,
# and with that the other end. All else was the host's, and stayed: whoever builds by hand has to clean
# up by hand.
#
# ## 6. The same, in one word
#
# `sandbox run` is `%%container` for the shell, with the same options, and here the option is
# `--network bridge`. With `--plan` it prints what it would do. We look at the steps that have to do
# with the network, and below each at what you did.

# %% id="plan"
guess = "?"  # you gave the address from outside. Who will do that in the plan: "outside" or "inside"?

SERVE = "busybox sh -c 'echo A page of $(hostname). > index.html; exec httpd -f -vv'"
web = f"--name web --network bridge -p 8080:80 {SERVE}"
plan = Plan.from_json(shell("host", f"sandbox run --plan --json {web}").stdout)
YOURS = {
    "MakeBridge": "ip link add switch type bridge; ip link set switch up; ip address add …",
    "RaiseNat": "echo 1 > …/ip_forward; nft add rule … masquerade",
    "PlugVeth": "ip link add cable type veth peer name eth0 netns …; ip link set cable master switch",
    "ConfigureLink": "nsenter … ip address add …; ip link set eth0 up; ip route add default via …",
}
for lane in ("outside", "inside"):
    print(f"{lane}:")
    for step in getattr(plan, lane):
        if "network" in type(step).__module__ or step.name == "WriteEtc":
            print("   ", textwrap.shorten(str(step), 96, placeholder=" …"))
            print("        you:", YOURS.get(step.name, "–"))
print("you said:", guess)

assert {step.name for step in plan} >= set(YOURS)
assert "ConfigureLink" in [step.name for step in plan.inside]

# %% [markdown] id="run-intro"
# All four are there. (What begins with `fd` is IPv6: most things are there twice.) The container sets
# up its card by itself, and only then gives up the power to do so. What you did not do: `ServeNames`
# and `WriteEtc`, so that containers know each other by name; `Publish`, which comes in part 8; and
# `AwaitHelpers` waits for the programs that were started on the way.
#
# `nft` is one of these, `ip` is not. A step sends the same messages to the kernel that `ip` would send:
# that is *netlink*. `--calls` shows them.

# %% id="run"
on("host", f"sandbox run -d {web}")
calls = on("host", "sandbox run --calls --network bridge busybox true 2>&1 | grep -o 'RTM_NEW.*'")
on("host", "ip -brief -4 address; ip -brief link show type veth; ip -4 route")
said = on("web", "ip -4 address show eth0; ip route; ping -c 1 198.51.100.7")

assert "RTM_NEWLINK(veth" in calls
assert "RTM_NEWROUTE(default via" in calls
assert "1 packets received" in said

# %% [markdown] id="rules-intro"
# The subnet is chosen so that it clashes with nothing that the host knows (`sandbox network create
# --subnet` lets you choose). And these are the rules. **Which line keeps the attacker out?** Then the
# attack is repeated.

# %% id="rules"
bridge = on("host", "sandbox network ls").split()[1]
listed = on("host", f"nft list table inet bridge_{bridge} | grep -v ip6")
address = next(ip for ip in info("web")["ips"] if "." in ip)
on("host", f"{attack} ip route add {address}/32 via 203.0.113.2")
said = on("internet", f"ping -c 1 -W 1 {address}", code=1)
on("host", f"{attack} ip route del {address}/32")
forwards = on("host", "cd /proc/sys/net/ipv4; grep . ip_forward conf/*/forwarding")

assert f'oifname "{bridge}" drop' in listed
assert "0 packets received" in said
assert "ip_forward:0" in forwards
assert forwards.count(":1") == 2

# %% [markdown] id="names-intro"
# `oifname "sb…" drop`: what goes *to* the network is dropped, unless a line above has let it pass: it
# comes from the same network, it is an answer, or it came by a published port. And there is one
# difference more: the host did not become a router as a whole. Each card has a setting of its own for
# that, and only two were changed. (The last `drop` is for what would come in by `uplink` and leave by
# another card than ours, only because we have changed that.)
#
# ## 7. Names
#
# Nobody wants to know addresses. A second container calls `web` by its name.

# %% id="names"
guess = "?"  # who will tell it the address: "/etc/hosts", a "server", or the "kernel"?

on("host", "sandbox run -d --name guest --network bridge busybox sleep 3600")
said = on("guest", "wget -q -O - http://web/\ncat /etc/resolv.conf\ncat /etc/hosts")
print("you said:", guess)

assert "A page of web." in said
assert "nameserver" in said if shutil.which("dnsmasq", path=PATH) else "\tweb" in said

# %% [markdown] id="publish-intro"
# The kernel knows no names: for it there are only addresses. Programs look into two files.
# `/etc/hosts` has names; `/etc/resolv.conf` has the address of somebody to ask. Where `dnsmasq` is
# installed, that is the bridge: the sandbox has a small server running there, which knows all
# containers on this network. Where it is not, the names of those that run already stand in
# `/etc/hosts`.
#
# ## 8. The way in
#
# Nobody from outside can call `web`. That would be sad for a web server. But it was started with
# `-p 8080:80`: what comes to port 8080 of the host shall go to its port 80.

# %% id="publish"
guess = "?"  # whose address will stand in the log of `web`: the "internet's", or the "host's"?

said = on("internet", "wget -q -O - http://203.0.113.2:8080/")
on("host", "nft list ruleset | grep dport")
log = on("host", "sandbox logs web")
print("you said:", guess)

assert said == "A page of web.\n"
assert "203.0.113.1" in log

# %% [markdown] id="taken-intro"
# The internet's: here it is not the sender that is replaced, but the *destination* (`dnat`), and for
# the answers the other way round. (Two chains have the rule: one for packets that arrive, one for those
# of the host's own programs.)
#
# A port of the host can lead to one container only. **And if a second one wants it?**

# %% id="taken"
said = on("host", "sandbox run --name late -p 8080:80 busybox true", code=125)

assert "8080" in said

# %% [markdown] id="apart-intro"
# Refused, and the container was never made. The sandbox does not only write a rule, it also *takes* the
# port, by a socket of the host: so no other program of the host can have it, either.
#
# ## 9. Apart
#
# Containers that have nothing to do with each other get networks of their own. The usual case: a
# database shall be reached by the program in front of it, and by nobody else; and it shall reach
# nobody. `--internal` is a network without a way out, and a container may be on two networks.
#
# **Who reaches whom?** Write down the pairs that you think will work.

# %% id="apart"
guess = "api→db guest→api"  # and which others?

build = """
    sandbox network create backstage --internal
    sandbox run -d --name db --network backstage busybox sleep 3600
    sandbox run -d --name api --network bridge --network backstage busybox sleep 3600
    sandbox network ls
"""
on("host", build)
WHO = ("guest", "api", "db")
addresses = {name: [ip for ip in info(name)["ips"] if "." in ip] for name in WHO}
addresses["internet"] = ["198.51.100.7"]


def reaches(place, *addresses):
    """Whether a ping to one of these addresses is answered."""
    pings = " || ".join(f"ping -c 1 -W 1 {address}" for address in addresses)
    return shell(place, pings).returncode == 0


pairs = [f"{a}→{b}" for a in WHO for b in addresses if a != b and reaches(a, *addresses[b])]
print(f"they reach each other: {' '.join(pairs)}\nyou said: {guess}")

assert set(pairs) == {"guest→api", "guest→internet", "api→guest", "api→db", "api→internet", "db→api"}

# %% [markdown] id="others-intro"
# `db` and `guest` are not even on the same switch; and what could go from one switch to the other by
# way of the host is dropped by the rules. `db` has no default route, either.
#
# These are all words that `--network` knows:
#
# | `--network` | means |
# |:--|:--|
# | `none` | a namespace of its own, with nothing in it |
# | `bridge`, `NAME` | a cable to the switch of this network; may be said more than once |
# | `container:NAME` | no network of its own: it shares that of a container |
# | `host` | no network of its own: it shares the host's |
#
# A config of LXC (lesson 2) has more: `lxc.net.0.type = macvlan` does without a switch. The container
# gets a second MAC address of a card of the host, and so stands in the host's own network, like one
# more machine.
#
# ## 10. The end
#
# A bridge, rules, a server, settings of the host, cables. All four containers go.

# %% id="end"
guess = "?"  # what will be left on the host: the "bridge", the "rules", "nothing"?


def left():
    """What is on the host beside its own two cards."""
    return shell("host", "ip -brief link | grep -Ev '^(lo|uplink)'; nft list ruleset").stdout


on("host", "sandbox rm -f web guest api db\nsandbox network rm backstage")
until(lambda: not left())  # for a moment it is kept: the next container might want it
on("host", "ip -brief link\nnft list ruleset")
forwards = on("host", "cat /proc/sys/net/ipv4/conf/uplink/forwarding")
ledger = on("host", "sandbox ledger")
print("you said:", guess)

assert not left()
assert forwards == "0\n"
assert "PlugVeth" not in ledger

# %% [markdown] id="mine-intro"
# Nothing: the last one that leaves a bridge takes it along. All of it stood in the *ledger* before it
# was made. (Only the container that plays the internet is still there.)
#
# ## 11. On your own machine
#
# All this happened on a host that was made for it. What would the same word do where you are? The next
# cell only shows the plan. **If you set `REALLY` to `True`, it really makes the container.** As root,
# your machine then has one more bridge and one more table of rules, and those of its cards that lead
# somewhere pass on the packets of this bridge; and a moment later all of it is taken back. An ordinary
# user may change nothing of a machine's network: there, a program (`pasta` or `slirp4netns`) carries
# each packet over, as if it were its own.

# %% id="mine"
REALLY = False

for step in sandbox.plan(sandbox.spec_for("busybox", "true", network="bridge")):
    if "network" in type(step).__module__:
        print(textwrap.shorten(str(step), 96, placeholder=" …"))
if REALLY:
    print(sandbox.run("busybox", "ip address; ip route; ping -c 1 -W 2 1.1.1.1", network="bridge").text)

# %% [markdown] id="recap"
# (In a cell of its own, that is `%%container --network bridge`.)
#
# ## What a network of containers is
#
# - a network namespace has cards, addresses, a routing table, rules and ports of its own, and begins
#   with none;
# - a *cable* (`veth`) is two cards, one here and one there; a *switch* (bridge) learns who is where;
# - an *address* brings a row of the routing table, a *default route* the row for all others;
# - a *router* passes on what is not for itself, if it is told to, and in both directions;
# - *NAT* replaces the sender on the way out, *publish* the destination on the way in; neither is a
#   wall, and so there are rules beside them;
# - the container goes, and its cables go; the rest somebody has to take away: that is what the ledger
#   is for;
# - and when a ping fails: an error is your own kernel's, silence comes from further away. Watch, step
#   by step, how far it comes.
#
# ## Exercises
#
# Each has a cell for your answer, and a cell that checks it. `on("host", "…")` is your terminal;
# `forget("NAME")` removes what you have made, container or network, so that you can begin again.
#
# ### 1. Lost
#
# The next cell starts the container `lost`, and somebody spoils its network, in two places. Repair it,
# so that it reaches 198.51.100.7. (Don't make it anew: that would be too easy.)


# %% id="exercise-1-start"
def forget(*names):
    """Remove containers and networks, if they are there."""
    for name in names:
        shell("host", f"sandbox rm -f {name}")
    for name in names:
        shell("host", f"sandbox network rm {name}")


forget("lost")
shell("host", "sandbox run -d --name lost --network bridge busybox sleep 3600")
lost, link = pid("lost"), info("lost")["link"]
wrong = re.sub(r"\d+$", "250", next(ip for ip in info("lost")["ips"] if "." in ip))
for line in (
    f"ip link set {link} down",
    f"nsenter --target {lost} --net ip route replace default via {wrong} dev eth0",
):
    assert not shell("host", line).returncode, line
on("lost", "ping -c 1 -W 1 198.51.100.7", code=1)

# %% id="exercise-1"
# your answer

# %% id="exercise-1-check" tags=["check"]
cut = "DOWN" in shell("host", f"ip -brief link show {link}").stdout
astray = f"via {wrong}" in shell("lost", "ip route").stdout
if cut and astray:
    print("Exercise 1 waits for you: the network of lost is as it was.")
else:
    assert pid("lost") == lost, "that is another container"
    with watching("internet", show=False) as seen:
        back = reaches("lost", "198.51.100.7")
    assert back, f"no answer, and the internet has seen {'the question' if seen else 'nothing of it'}"
    print("Right: it is on the internet again.")

# %% [markdown] id="exercise-1-solution"
# <details><summary>Hint</summary>
#
# `ip -brief link show type veth` shows the host's ends of cables, `ip route` inside the way out. And
# which address has the host on the switch?
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# on("host", f"ip link set {info('lost')['link']} up")
# gateway = re.search(r"sb\S+ +UP +([\d.]+)", on("host", "ip -brief -4 address"))[1]
# on("host", f"nsenter --target {pid('lost')} --net ip route replace default via {gateway}")
# ```
#
# </details>
#
# ### 2. A door
#
# Start a container called `door` that serves a page on its port 80 (`SERVE` is an image and a command
# that do so). From the internet it shall be reached on port 9090 of the host, 203.0.113.2; but on
# 127.0.0.1, that port of the host shall stay closed.

# %% id="exercise-2"
# your answer

# %% id="exercise-2-check" tags=["check"]
if not info("door").get("pid"):
    print("Exercise 2 waits for you: no container called door is running.")
else:
    fetch = "timeout 2 wget -q -O - http://203.0.113.2:9090/"
    reached = until(lambda: not shell("internet", fetch).returncode, 3)
    assert reached, "it can't be reached from the internet"
    call = "import socket; socket.create_connection(('127.0.0.1', 9090), 2)"
    done = shell("host", f'{shlex.quote(sys.executable)} -c "{call}"')
    assert done.returncode, "on 127.0.0.1 it is open, too"
    print("Right: one door, and only to the outside.")

# %% [markdown] id="exercise-2-solution"
# <details><summary>Hint</summary>
#
# `-p` takes an address in front of the two ports.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# on("host", f"sandbox run -d --name door --network bridge -p 203.0.113.2:9090:80 {SERVE}")
# ```
#
# </details>
#
# ### 3. Front and back
#
# Make the containers `front` and `back`. Both reach each other; `front` reaches the internet; `back`
# does not. And a container on the network `bridge` that is neither of them does not reach `back`.

# %% id="exercise-3"
# your answer

# %% id="exercise-3-check" tags=["check"]
if not (info("front").get("pid") and info("back").get("pid")):
    print("Exercise 3 waits for you: front and back are not both running.")
else:
    forget("stranger")
    shell("host", "sandbox run -d --name stranger --network bridge busybox sleep 3600")
    own = {name: [ip for ip in info(name)["ips"] if "." in ip] for name in ("front", "back")}
    assert all(own.values()), "one of them has no address"
    checks = {
        "front reaches back": reaches("front", *own["back"]),
        "back reaches front": reaches("back", *own["front"]),
        "front reaches the internet": reaches("front", "198.51.100.7"),
        "back does not reach the internet": not reaches("back", "198.51.100.7"),
        "a stranger does not reach back": not reaches("stranger", *own["back"]),
    }
    forget("stranger")
    failed = [claim for claim, true in checks.items() if not true]
    assert not failed, f"this is not so: {', '.join(failed)}"
    print("Right: who is in front is reached, who is behind is not.")

# %% [markdown] id="exercise-3-solution"
# <details><summary>Hint</summary>
#
# Part 9. `back` needs a network without a way out, and `front` is on two.
#
# </details>
# <details><summary>Solution</summary>
#
# ```python
# on("host", "sandbox network create inner --internal")
# on("host", "sandbox run -d --name back --network inner busybox sleep 3600")
# on("host", "sandbox run -d --name front --network bridge --network inner busybox sleep 3600")
# ```
#
# </details>
#
# ## Tidy up
#
# When you have finished, run the last cell. It removes what is left, the internet included, looks into
# the ledger, and switches the host off. (Without it, that happens when the notebook ends.)

# %% id="tidy"
on("host", "sandbox rm -f $(sandbox ps -q)\nsandbox ledger")
held = shell("host", "sandbox ledger --json").stdout
host.communicate()
left = [*json.loads(held), *([shelf] if shelf.exists() else [])]
print("left of this lesson:", left or "nothing")
assert not left

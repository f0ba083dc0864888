"""What our reader makes of a configuration, compared with LXC's own: its lxc-info -c shows what its parser understood."""

from pathlib import Path
from typing import Any

import pytest

from sandbox.errors import InvalidOption
from sandbox.linux.constants import CAPABILITIES
from sandbox.lxc_config import Config, default, notes, spec
from sandbox.lxc_config.draft import Card, Draft
from sandbox.lxc_config.keys import fill
from tests.lxc_config.asking import needs_lxc, real

CONF = Path("/usr/share/lxc/config")


@pytest.mark.parametrize("name", ["common.conf", "userns.conf", "nesting.conf", "oci.common.conf"])
def test_the_configurations_of_lxc_are_read_and_make_a_spec(name: str) -> None:
    if not (CONF / name).exists():
        pytest.skip("LXC is not installed")
    config = Config.read(f"{CONF}/{name}")
    assert config.text() == (CONF / name).read_text()
    config.append("lxc.rootfs.path", "dir:/r")
    assert spec(config, "c1", "/srv/c1").root.path == "/r"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("  lxc.tty.max  =   3  \n", "lxc.tty.max"),
        ("lxc.tty.max=3\nlxc.tty.max = 4", "lxc.tty.max"),
        ("lxc.group = a b\nlxc.group =\nlxc.group = c\n", "lxc.group"),
        ("lxc.environment = 'A=b c'\n", "lxc.environment"),
        ("lxc.environment = ''A=b''\n", "lxc.environment"),
        ('lxc.environment = "A="b"\n', "lxc.environment"),
        ("foo = 3\nLXC.uts.name = 3\n= 3\nlxc.uts.name = x\n", "lxc.uts.name"),
        ("lxc.uts.name = a\nlxc.uts.name = ''\n", "lxc.uts.name"),
        ("lxc.hook.start = a\nlxc.hook =\nlxc.hook.start = b c\n", "lxc.hook.start"),
        ("lxc.cgroup.a.b = 1\nlxc.cgroup.a =\n", "lxc.cgroup.a.b"),
        ("lxc.cgroup.a = 1\nlxc.cgroup =\n", "lxc.cgroup.a"),
        ("lxc.cgroup.a = 1\nlxc.cgroup.a = 2\n", "lxc.cgroup.a"),
        ("lxc.prlimit.core = 1\nlxc.prlimit =\n", "lxc.prlimit.core"),
        ("lxc.include = /usr/share/lxc/config/common.conf\n", "lxc.tty.max"),
        ("lxc.include = /usr/share/lxc/config/common.conf\nlxc.tty.dir =\n", "lxc.tty.dir"),
        ("lxc.include = /nowhere/\nlxc.tty.max = 3\n", "lxc.tty.max"),
        ("lxc.include =\nlxc.tty.max = 3\n", "lxc.tty.max"),
    ],
)
def test_the_real_lxc_reads_the_same(tmp_path: Path, text: str, key: str) -> None:
    needs_lxc()
    found = real(tmp_path, text, key)
    assert found is not None
    ours = Config(text).all(key)
    if key in ("lxc.tty.max", "lxc.tty.dir", "lxc.uts.name", "lxc.prlimit.core"):
        assert found[key] == ours[-1:]
    else:
        assert found[key] == [word for value in ours for word in (value.split() if key == "lxc.group" else [value])]


@pytest.mark.parametrize("text", ["lxc.tty.max\n", "lxc.include = /nowhere\n"])
def test_what_the_real_lxc_refuses_is_refused_with_its_line(tmp_path: Path, text: str) -> None:
    needs_lxc()
    assert real(tmp_path, text, "lxc.tty.max") is None
    with pytest.raises(InvalidOption, match=r"^/srv/c1/config:1: "):
        Config(text, "/srv/c1/config")


def test_a_key_that_the_real_lxc_refuses_as_unknown_is_kept_and_named(tmp_path: Path) -> None:
    needs_lxc()
    text = "lxc.rootfs.path = /r\nlxc.tty.max 4 = 3\n"
    assert real(tmp_path, text, "lxc.tty.max") is None
    assert notes(Config(text, "config")) == ["config:2: lxc.tty.max 4: LXC 5 has no such key; the line is kept"]


NET = "lxc.net.0.type = veth\n"


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("lxc.cap.keep = chown kill\nlxc.cap.keep = sys_admin none setuid\n", ["lxc.cap.keep"]),
        ("lxc.cap.drop = chown kill\nlxc.cap.drop =\nlxc.cap.drop = setpcap\n", ["lxc.cap.drop"]),
        ("lxc.namespace.keep = net ipc\nlxc.namespace.keep = uts\n", ["lxc.namespace.keep"]),
        ("lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536\n", ["lxc.idmap"]),
        ("lxc.signal.halt = SIGRTMIN+3\nlxc.signal.reboot = sigterm\n", ["lxc.signal.halt", "lxc.signal.reboot"]),
        ("lxc.net.3.link = a\nlxc.net.1.type = veth\n", ["lxc.net"]),
        (f"{NET}lxc.net.0.flags = down\nlxc.net.0.mtu = 1400\n", ["lxc.net.0.flags", "lxc.net.0.mtu"]),
        (f"{NET}lxc.net.0.ipv4.address = 10.0.0.1/24 10.0.0.255\nlxc.net.0.ipv4.address = 1.0.0.2/8",
         ["lxc.net.0.ipv4.address"]),
        (f"{NET}lxc.net.0.ipv6.address = fd00::1\n", ["lxc.net.0.ipv6.address"]),
        (f"{NET}lxc.net.0.ipv4.gateway = 1.1.1.1\nlxc.net.0.ipv4.gateway = 1.1.1.2", ["lxc.net.0.ipv4.gateway"]),
        ("lxc.net.0.type = macvlan\n", ["lxc.net.0.macvlan.mode"]),
        ("lxc.rootfs.path = dir:/a\n", ["lxc.rootfs.path"]),
        ("lxc.mount.auto = cgroup:mixed proc:mixed\nlxc.mount.auto = proc:rw\n", ["lxc.mount.auto"]),
        ("lxc.group = a b\nlxc.group = c\nlxc.start.auto = 1\nlxc.start.order = -4\nlxc.start.delay = 2\n",
         ["lxc.group", "lxc.start.auto", "lxc.start.order", "lxc.start.delay"]),
        ("lxc.prlimit.nofile = 10 : 20\nlxc.prlimit.core = unlimited\n", ["lxc.prlimit.nofile", "lxc.prlimit.core"]),
        ("lxc.sysctl.net.ipv4.ip_forward = 0\nlxc.sysctl.net.ipv4.ip_forward = 1\n", ["lxc.sysctl.net.ipv4.ip_forward"]),
        ("lxc.environment = A=1\nlxc.environment = B=2 3\n", ["lxc.environment"]),
        ("lxc.init.cmd = /init a\nlxc.init.uid = 5\nlxc.init.cwd = /x\n", ["lxc.init.cmd", "lxc.init.uid", "lxc.init.cwd"]),
        ("lxc.ephemeral = 1\nlxc.no_new_privs = 1\n", ["lxc.ephemeral", "lxc.no_new_privs"]),
    ],
)  # fmt: skip
def test_the_real_lxc_understands_the_values_as_we_do(tmp_path: Path, text: str, keys: list[str]) -> None:
    needs_lxc()
    found = real(tmp_path, text, *keys)
    assert found is not None
    assert found == {key: shown(fill(Config(text, f"{tmp_path}/c1/config")), key) for key in keys}


def shown(draft: Draft, key: str) -> list[str]:
    """What our reader understood, as lxc-info prints it."""
    low = {name: name.removeprefix("CAP_").lower() for name in CAPABILITIES}
    card = draft.cards.get(0, Card())
    values: dict[str, Any] = {
        "lxc.cap.keep": [low[name] for name in draft.kept or ()],
        "lxc.cap.drop": [low[name] for name in draft.dropped],
        "lxc.namespace.keep": [name for name in ("uts", "ipc", "net") if name.replace("net", "network") in draft.shared],
        "lxc.idmap": [f"{kind} {m.container_id} {m.host_id} {m.size}" for kind, rows in draft.ids.items() for m in rows],
        "lxc.signal.halt": [draft.stop_signal],
        "lxc.signal.reboot": [draft.reboot_signal],
        "lxc.net": [draft.cards[number].type for number in sorted(draft.cards)],
        "lxc.net.0.flags": ["up"] if card.up else [],
        "lxc.net.0.mtu": [card.mtu],
        "lxc.net.0.ipv4.address": [address for address in card.addresses if ":" not in address],
        "lxc.net.0.ipv6.address": [address for address in card.addresses if ":" in address],
        "lxc.net.0.ipv4.gateway": list(card.gateways.values()),
        "lxc.net.0.macvlan.mode": [card.mode or "private"],
        "lxc.rootfs.path": [draft.root.removeprefix("dir:")],
        "lxc.mount.auto": [" ".join(f"{kind}:{draft.auto[kind]}" for kind in ("proc", "sys", "cgroup") if kind in draft.auto)],
        "lxc.group": list(draft.autostart.groups),
        "lxc.start.auto": [int(draft.autostart.auto)],
        "lxc.start.order": [draft.autostart.order],
        "lxc.start.delay": [draft.autostart.delay],
        "lxc.environment": [f"{name}={value}" for name, value in draft.env.items() if name not in ("PATH", "container")],
        "lxc.init.cmd": [" ".join(draft.args)],
        "lxc.init.uid": [draft.uid],
        "lxc.init.cwd": [draft.cwd],
        "lxc.ephemeral": [int(draft.ephemeral)],
        "lxc.no_new_privs": [int(draft.no_new_privileges)],
    }
    if key.startswith("lxc.prlimit."):
        soft, hard = draft.rlimits[f"RLIMIT_{key.removeprefix('lxc.prlimit.').upper()}"]
        return ["unlimited" if soft == hard == -1 else f"{soft}:{hard}"]
    if key.startswith("lxc.sysctl."):
        return [draft.sysctls[key.removeprefix("lxc.sysctl.")]]
    return [str(value) for value in values[key]]


@pytest.mark.parametrize(
    "line",
    ["lxc.cap.drop = CAP_CHOWN", "lxc.cap.keep = nonsense", "lxc.cap.drop = chown\nlxc.cap.keep = kill",
     "lxc.namespace.clone = mnt\nlxc.namespace.keep = net", "lxc.idmap = b 0 1 1", "lxc.idmap = u 0 1",
     "lxc.signal.halt = PWR", "lxc.tty.max = 4 # four",
     "lxc.mount.auto = sys:blah", "lxc.hook.version = 2", "lxc.start.auto = 2", "lxc.start.delay = -1", "lxc.ephemeral = 2",
     "lxc.net.0.type = x", "lxc.net.0.type = veth\nlxc.net.0.ipv4.address = 10.0.0.1/33", "lxc.rootfs.options = idmap=foo",
     "lxc.net.0.type = veth\nlxc.net.0.ipv4.gateway = 300.1.1.1", "lxc.utsname = a", "lxc.network.type = veth",
     "lxc.rootfs = /a", "lxc.autodev = 2", "lxc.no_new_privs = 2"],
)  # fmt: skip
def test_a_value_that_the_real_lxc_refuses_is_refused(tmp_path: Path, line: str) -> None:
    needs_lxc()
    assert real(tmp_path, f"{line}\n", "lxc.uts.name") is None
    with pytest.raises(InvalidOption, match=r"^c/config:[12]: lxc\."):
        fill(Config(f"{line}\n", "c/config"))


def test_the_configuration_of_a_new_container_is_one_for_the_real_lxc_too(tmp_path: Path) -> None:
    needs_lxc()
    made = default("c1", f"{tmp_path}/c1/rootfs", network="br0", lines=("lxc.tty.max = 4", "lxc.signal.halt = SIGUSR1"))
    found = real(tmp_path, made.text(), "lxc.uts.name", "lxc.rootfs.path", "lxc.net", "lxc.net.0.hwaddr", "lxc.tty.max")
    assert found == {
        "lxc.uts.name": ["c1"], "lxc.rootfs.path": [f"{tmp_path}/c1/rootfs"], "lxc.net": ["veth"],
        "lxc.net.0.hwaddr": [made.get("lxc.net.0.hwaddr")], "lxc.tty.max": ["4"],
    }  # fmt: skip

"""Every key of lxc.container.conf(5) has its row; what has no effect is named; what LXC 1 and 2 said is refused."""

import gzip
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.errors import InvalidOption, NotFound
from sandbox.linux.constants import CAPABILITIES
from sandbox.lxc_config import Autostart, Config, autostart, default, ephemeral, execute, notes, read, spec
from sandbox.lxc_config.keys import LEGACY, TABLE
from sandbox.spec import NAMESPACES, Mount, Spec
from tests.conftest import REPOSITORY
from tests.lxc_config.asking import ROOT, config, noted, said

MAN = Path("/usr/share/man/man5/lxc.container.conf.5.gz")

#: The keys of the man page of LXC 5.0.2, written down here for machines without it.
KEYS = """
    apparmor.allow_incomplete apparmor.allow_nesting apparmor.profile apparmor.raw arch autodev autodev.tmpfs.size
    cap.drop cap.keep cgroup.dir cgroup.dir.container cgroup.dir.container.inner cgroup.dir.monitor
    cgroup.dir.monitor.pivot cgroup.relative cgroup.memory.limit_in_bytes cgroup2.memory.high console.buffer.size
    console.logfile console.path console.rotate console.size environment ephemeral execute.cmd group hook.autodev
    hook.clone hook.destroy hook.mount hook.post-stop hook.pre-mount hook.pre-start hook.start hook.start-host hook.stop
    hook.version idmap include init.cmd init.cwd init.gid init.groups init.uid keyring.session log.file log.level
    log.syslog monitor.signal.pdeath monitor.unshare mount.auto mount.entry mount.fstab namespace.clone namespace.keep
    namespace.share.net namespace.share.pid net.0.flags net.0.hwaddr net.0.ipv4.address net.0.ipv4.gateway
    net.0.ipv6.address net.0.ipv6.gateway net.0.l2proxy net.0.link net.0.macvlan.mode net.0.mtu net.0.name
    net.0.script.down net.0.script.up net.0.type net.0.veth.ipv4.route net.0.veth.ipv6.route net.0.veth.mode
    net.0.veth.pair net.0.veth.vlan.id net.0.veth.vlan.tagged.id net.0.vlan.id net.0.ipvlan.mode net.0.ipvlan.isolation
    no_new_privs prlimit.nofile proc.oom_score_adj pty.max rootfs.managed rootfs.mount rootfs.options rootfs.path
    sched.core seccomp.allow_nesting seccomp.notify.cookie seccomp.notify.proxy seccomp.profile selinux.context
    selinux.context.keyring signal.halt signal.reboot signal.stop start.auto start.delay start.order
    sysctl.net.ipv4.ip_forward time.offset.boot time.offset.monotonic tty.dir tty.max uts.name
"""


def unknown(key: str) -> bool:
    """Whether `notes` calls a key unknown. Values are not of interest: one that makes no sense is one of a known key."""
    try:
        return any("no such key" in note for note in noted(f"{key} = 1"))
    except InvalidOption:
        return False


def test_every_key_of_the_man_page_is_known() -> None:
    assert [key for key in KEYS.split() if unknown(f"lxc.{key}")] == []


def test_the_installed_man_page_has_no_key_that_is_not_known() -> None:
    if not MAN.exists():
        pytest.skip("LXC's man pages are not installed")
    text = gzip.decompress(MAN.read_bytes()).decode().replace("\\-", "-")
    # Where a key is explained, it stands alone on its line.
    named = {re.sub(r"\[i\]", "0", key) for key in re.findall(r"(?m)^\\\*\(T<\\fB(lxc\..*)\\fR\\\*\(T> ?$", text)}
    exact = {key for key in named if "[" not in key}
    assert len(exact) > 90
    assert sorted(key for key in exact - {"lxc.net"} if unknown(key)) == []
    assert {key.partition(".[")[0] for key in named - exact} == {
        "lxc.cgroup", "lxc.cgroup2", "lxc.prlimit", "lxc.sysctl", "lxc.proc", "lxc.namespace.share",
    }  # fmt: skip


def test_the_table_holds_nothing_else() -> None:
    named = {re.sub(r"^net\.0", "net.N", key) for key in KEYS.split()}
    groups = ("cgroup", "cgroup2", "prlimit", "sysctl", "proc", "namespace.share")
    for pattern in TABLE:
        key = pattern.removeprefix("lxc.")
        assert key in named or key.removesuffix(".*") in groups, pattern


def test_an_unknown_key_is_kept_and_named_with_its_line() -> None:
    made = config("", "lxc.frobnicate = 3", "lxc.net.0.frob = 1", "lxc.net.x.type = veth", "lxc.cgroup.=1", "hello")
    assert [note.removeprefix("/srv/c1/config:") for note in notes(made)] == [
        "3: lxc.frobnicate: LXC 5 has no such key; the line is kept",
        "4: lxc.net.0.frob: LXC 5 has no such key; the line is kept",
        "5: lxc.net.x.type: LXC 5 has no such key; the line is kept",
        "6: lxc.cgroup.: LXC 5 has no such key; the line is kept",
        "7: hello: this does not begin with lxc.; it is kept, and LXC passes over it as well",
    ]
    assert "lxc.frobnicate = 3\n" in made.text()
    assert said("lxc.frobnicate = 3") == said()


def test_lines_with_one_reason_are_one_note() -> None:
    lines = ["lxc.cgroup.devices.deny = a", *(f"lxc.cgroup.devices.allow = c 1:{n} rwm" for n in range(9))]
    assert len(noted(*lines)) == 1
    assert noted(*lines)[0].startswith("2: lxc.cgroup.devices.deny (and 9 more lines): no list of devices is kept")
    assert noted("lxc.apparmor.profile = generated", "lxc.apparmor.allow_nesting = 1")[0].startswith(
        "2: lxc.apparmor.profile (and 1 more line): there are no AppArmor"
    )


def test_a_value_that_asks_for_what_is_so_needs_no_note() -> None:
    lines = """
        lxc.tty.dir = lxc, lxc.pty.max = 1024, lxc.autodev = 1, lxc.signal.stop = SIGKILL, lxc.arch = linux64,
        lxc.seccomp.allow_nesting = 1, lxc.apparmor.profile = unconfined, lxc.monitor.unshare = 1, lxc.rootfs.managed = 1,
        lxc.cgroup.relative = 1, lxc.net.0.type = veth, lxc.net.0.veth.mode = bridge, lxc.include ="""
    assert noted(*(line.strip() for line in lines.split(","))) == []


def test_common_conf_has_no_more_than_two_notes() -> None:
    if not Path("/usr/share/lxc/config/common.conf").exists():
        pytest.skip("LXC is not installed")
    found = noted("lxc.include = /usr/share/lxc/config/common.conf")
    assert [re.sub(r".*conf:[0-9]+: ", "", note).split(": ")[0] for note in found] == [
        "lxc.cgroup.devices.deny (and 25 more lines)",
        "lxc.mount.entry",
    ]


# --- LXC 1 and 2 ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("old", LEGACY)
def test_a_key_of_lxc_1_and_2_is_refused_with_the_new_one(old: str) -> None:
    with pytest.raises(InvalidOption, match=rf"config:2: {re.escape(old)}: LXC 1 and 2 had") as caught:
        said(f"{old} = 1")
    assert LEGACY[old] in caught.value.cure
    new = LEGACY[old]
    assert new in TABLE or f"{new}.*" in TABLE or new in ("lxc.net", "nothing") or " " in new


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("lxc.network.type", "lxc.net.0.type"), ("lxc.network.1.link", "lxc.net.1.link"),
        ("lxc.network.ipv4", "lxc.net.0.ipv4.address"), ("lxc.network.2.ipv6.gateway", "lxc.net.2.ipv6.gateway"),
        ("lxc.network.ipv4_gateway", "lxc.net.0.ipv4.gateway"), ("lxc.limit.nofile", "lxc.prlimit.nofile"),
    ],
)  # fmt: skip
def test_the_new_name_of_an_old_key_in_a_group_is_told_whole(old: str, new: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        said(f"{old} = 1")
    assert caught.value.cure.startswith(f"write {new};")


# --- reading a container --------------------------------------------------------------------------------------------


def test_without_a_word_a_system_boots_with_what_lxcs_common_conf_says() -> None:
    spec = said()
    assert (spec.name, spec.hostname, spec.system, spec.process.args) == ("c1", "c1", True, ("/sbin/init",))
    assert set(CAPABILITIES) - set(spec.process.capabilities) == {
        "CAP_MAC_ADMIN", "CAP_MAC_OVERRIDE", "CAP_SYS_TIME", "CAP_SYS_MODULE", "CAP_SYS_RAWIO",
    }  # fmt: skip
    assert spec.process.terminal
    assert not spec.process.no_new_privileges
    assert "container=lxc" in spec.process.env
    assert spec.mounts == (Mount("/sys/fs/cgroup", "cgroup"),)
    assert spec.namespaces == NAMESPACES
    assert (spec.networks, spec.terminals, spec.uid_mappings, spec.seccomp) == ((), 0, (), "default")
    assert spec.root.path == "/srv/c1/rootfs"
    assert not spec.root.shifted
    assert spec.resources.memory
    assert spec.resources.pids


def test_a_spec_of_every_kind_of_line_survives_the_wire() -> None:
    found = said(
        "lxc.idmap = u 0 100000 65536", "lxc.idmap = g 0 100000 65536", "lxc.net.0.type = veth", "lxc.hook.start = /bin/true",
        "lxc.prlimit.nofile = 10", "lxc.cgroup2.io.weight = 50", "lxc.mount.entry = /usr mnt none bind", "lxc.sysctl.a.b = 1",
    )  # fmt: skip
    assert Spec.from_json(found.to_json()) == found


def test_the_configuration_of_a_folder_or_another_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(f"{ROOT}\nlxc.uts.name = one\n")
    (tmp_path / "other").write_text(f"{ROOT}\nlxc.uts.name = two\n")
    assert read(str(tmp_path), "c1").hostname == "one"
    assert read(str(tmp_path), "c1", f"{tmp_path}/other").hostname == "two"
    with pytest.raises(NotFound, match="missing can't be read"):
        read(str(tmp_path), "c1", f"{tmp_path}/missing")


def test_a_wrong_value_is_told_with_its_file_line_and_key(tmp_path: Path) -> None:
    (tmp_path / "inc").write_text("\n\nlxc.tty.max = many\n")
    (tmp_path / "config").write_text(f"{ROOT}\nlxc.include = inc\n")
    with pytest.raises(InvalidOption, match=rf"^{tmp_path}/inc:3: lxc.tty.max: 'many' is no whole number"):
        read(str(tmp_path), "c1")


def test_what_autostart_asks() -> None:
    made = config("lxc.start.auto = 1", "lxc.start.delay = 5", "lxc.start.order = -3", "lxc.group = a b", "lxc.group = onboot")
    assert autostart(made) == Autostart(True, 5, -3, ("a", "b", "onboot"))
    assert autostart(Config("")) == Autostart(False, 0, 0, ())


def test_what_execute_and_stop_ask() -> None:
    assert execute(config("lxc.execute.cmd = /bin/sh -c 'echo a'")) == ("/bin/sh", "-c", "echo a")
    assert execute(config()) == ()
    assert ephemeral(config("lxc.ephemeral = 1"))
    assert not ephemeral(config("lxc.ephemeral = 0"))


@pytest.mark.parametrize("line", ["lxc.start.auto = 2", "lxc.start.auto = yes", "lxc.start.delay = -1", "lxc.ephemeral = y"])
def test_flags_are_0_or_1(line: str) -> None:
    with pytest.raises(InvalidOption, match=r"config:2: lxc\."):
        said(line)


# --- a new container ------------------------------------------------------------------------------------------------


def test_a_new_container_has_its_name_its_root_and_a_cable_with_an_address_of_its_own() -> None:
    made = default("web", "/srv/web/rootfs", network="home", lines=("lxc.tty.max = 4", "lxc.environment = 'A= b '"))
    found = spec(made, "web", "/srv/web")
    assert (found.hostname, found.root.path, found.terminals) == ("web", "/srv/web/rootfs", 4)
    assert "A= b " in found.process.env
    (card,) = found.networks
    assert (card.type, card.link, card.name, card.up) == ("veth", "home", "eth0", True)
    assert re.fullmatch("00:16:3e(:[0-9a-f]{2}){3}", card.hwaddr)
    assert spec(Config(made.text(), made.path), "web", "/srv/web").networks == (card,)
    assert notes(made) == []
    assert made.text().startswith("# ")


def test_what_the_first_configuration_says_stays_but_for_the_name() -> None:
    base = Config("# base\nlxc.uts.name = x\nlxc.net.0.type = empty\nlxc.rootfs.path = dir:/elsewhere\nodd line\n")
    made = default("web", "/srv/web/rootfs", network="home", base=base)
    assert made.text() == base.text().replace("lxc.uts.name = x", "lxc.uts.name = web")


def test_a_template_of_addresses_is_filled_in_once_and_for_all() -> None:
    made = default("web", "/r", base=Config("lxc.net.3.type = veth\nlxc.net.3.hwaddr = 00:16:3e:xx:xx:xx\n"))
    assert re.fullmatch("00:16:3e(:[0-9a-f]{2}){3}", made.get("lxc.net.3.hwaddr"))
    assert "x" not in made.get("lxc.net.3.hwaddr")


def test_loading_the_room_loads_none_of_its_files() -> None:
    code = f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); import sandbox.lxc_config as room; "
    code += "print([name for name in sys.modules if name.startswith('sandbox.')]); room.Config"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['sandbox.lxc_config']\n"

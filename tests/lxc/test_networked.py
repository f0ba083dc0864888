"""The walk-through's network: what lxc-create connects to by itself, what lxc-info then tells, who is reached."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from sandbox import Container, InvalidOption, KernelRefused, networks
from sandbox.images import busybox
from sandbox.lxc import commands, destroying
from sandbox.lxc.info import info_text
from tests.networks.scenes import eventually, everything_gone
from tests.own_network import in_own_network
from tests.shell import until

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.needs_userns,
    pytest.mark.usefixtures("home"),
    pytest.mark.skipif(not any(map(busybox.is_static, busybox.PLACES)), reason="needs busybox: apt install busybox-static"),
    pytest.mark.skipif(not shutil.which("nft"), reason="needs nft: apt install nftables"),
]  # fmt: skip

#: The twelve fields of lxc-info; the addresses of two families are two lines.
FIELDS = ["Name", "State", "PID", "IP", "CPU use", "BlkIO use", "Memory use", "KMem use", "Link", " TX bytes", " RX bytes",
          " Total bytes"]  # fmt: skip


def made(name: str) -> Container:
    assert commands.main("lxc-create", ["-q", "-t", "busybox", "-n", name]) == 0
    return Container(name)


@in_own_network
def test_a_new_container_is_on_our_network_and_its_info_has_all_twelve_fields() -> None:
    os.environ.pop("SANDBOX_NETWORK", None)
    box, other = made("myhost1"), made("myhost2")
    try:
        for each in (box, other):
            each.start()
        info = box.info()
        labels = [line.partition(":")[0] for line in info_text(info).splitlines()]
        assert list(dict.fromkeys(labels)) == [label for label in FIELDS if label != "KMem use" or info.kmem_use is not None]
        address = next(ip for ip in info.ips if "." in ip)
        said = subprocess.run(["busybox", "ping", "-c", "1", "-W", "5", address], capture_output=True, text=True)
        assert "1 packets received" in said.stdout, said
        until(lambda: other.exec(["ping", "-c", "1", "-W", "2", "myhost1"]).exit_code == 0, "the neighbour is known by name")
        assert (box.info().rx_bytes or 0) > (info.rx_bytes or 0)
    finally:
        for name in ("myhost1", "myhost2"):
            destroying.destroy(box.home, name, force=True)


@in_own_network
def test_where_the_network_is_unwanted_there_is_only_loopback() -> None:
    os.environ["SANDBOX_NETWORK"] = "none"
    box = made("alone")
    box.start()
    assert box.exec("ls /sys/class/net").text == "lo\n"
    assert "lxc.net" not in Path(box.home.folder("alone"), "config").read_text()
    destroying.destroy(box.home, "alone", force=True)


@in_own_network
def test_without_nft_a_container_is_made_all_the_same_and_it_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    os.environ.pop("SANDBOX_NETWORK", None)
    os.environ["PATH"] = "/nonexistent"
    assert commands.main("lxc-create", ["-t", "busybox", "-n", "alone"]) == 0
    assert "only loopback: apt-get install nftables" in capfd.readouterr().out
    destroying.destroy(Container("alone").home, "alone")


@in_own_network
def test_a_second_card_on_the_same_network_is_refused_and_on_another_one_works() -> None:
    os.environ.pop("SANDBOX_NETWORK", None)
    box = made("double")
    config = Path(box.home.folder("double"), "config")
    once = config.read_text()
    config.write_text(f"{once}lxc.net.1.type = veth\nlxc.net.1.link = sandbox\n")
    with pytest.raises(InvalidOption, match="two devices on the network 'sandbox'"):
        box.start()
    networks.create(box.home, "other")
    config.write_text(f"{once}lxc.net.1.type = veth\nlxc.net.1.link = other\nlxc.net.1.flags = up\n")
    box.start()
    addresses = [ip for ip in box.info().ips if "." in ip]
    assert len(set(addresses)) == 2
    for address in addresses:
        ping = ["busybox", "ping", "-c", "1", "-W", "2", address]
        until(lambda ping=ping: subprocess.run(ping, capture_output=True).returncode == 0, f"{address} answers")
    destroying.destroy(box.home, "double", force=True)
    eventually(everything_gone)


@in_own_network
def test_a_start_that_fails_after_its_network_was_begun_leaves_nothing_of_it() -> None:
    os.environ.pop("SANDBOX_NETWORK", None)
    box = made("double")
    networks.create(box.home, "other")
    with open(f"{box.home.folder('double')}/config", "a") as config:
        config.write("lxc.net.0.name = eth0\nlxc.net.1.type = veth\nlxc.net.1.link = other\nlxc.net.1.name = eth0\n")
    with pytest.raises(KernelRefused):
        box.start()
    destroying.destroy(box.home, "double", force=True)
    eventually(everything_gone)

"""From Spec.networks to steps, as plain data: in which order, and nothing where there is no network."""

from dataclasses import replace

from sandbox.plans import Where, compile
from sandbox.primitives.namespaces import Clone
from sandbox.spec import Network, Spec

OURS = Network(
    network="lab", link="br0", hwaddr="02:16:0a:07:00:02", addresses=("10.7.0.2/24", "fd00:7::2/64"), gateways=("10.7.0.1",),
    bridge=("10.7.0.1/24", "fd00:7::1/64"),
    publish=(("", 8080, 80, "tcp"), ("127.0.0.1", 53, 53, "udp"), ("::1", 9, 9, "tcp")),
)  # fmt: skip
BOX = Spec(name="box", hostname="me", networks=(OURS,), nameservers=("10.7.0.1",))
NETWORK = ("MakeBridge", "RaiseNat", "ServeNames", "Publish", "PlugVeth", "AwaitHelpers", "Go", "ConfigureLink", "WriteEtc")


def steps(spec: Spec, where: Where = Where()) -> list[str]:
    return [str(step) for step in compile(spec, where)]


def names(spec: Spec, where: Where = Where()) -> list[str]:
    return [step.name for step in compile(spec, where) if step.name in (*NETWORK, "CarryPackets", "PlugMacvlan", "MoveLink")]


def test_a_container_without_a_network_pays_nothing() -> None:
    assert names(Spec(name="box")) == names(Spec(name="box", networks=(Network(type="empty"),)))[:-1] == ["Go"]


def test_the_host_makes_ready_before_it_plugs_in_and_the_container_sets_up_after() -> None:
    found = names(BOX)
    assert found == list(NETWORK)
    lanes = [step.name for step in compile(BOX).outside]
    assert lanes.index("MakeBridge") < lanes.index("Clone") < lanes.index("MapIds") < lanes.index("PlugVeth")
    inside = [step.name for step in compile(BOX).inside]
    assert inside.index("WriteEtc") < inside.index("MakeDev") < inside.index("PivotRoot")
    assert inside.index("ConfigureLink") > inside.index("BecomeRoot")


def test_a_port_leads_to_the_address_of_the_same_family() -> None:
    publish = next(step for step in compile(BOX) if step.name == "Publish")
    assert publish.ports == (  # type: ignore[attr-defined]
        ("", 8080, "10.7.0.2", 80, "tcp"), ("", 8080, "fd00:7::2", 80, "tcp"), ("127.0.0.1", 53, "10.7.0.2", 53, "udp"),
        ("::1", 9, "fd00:7::2", 9, "tcp"),
    )  # fmt: skip


def test_an_internal_network_has_no_way_out() -> None:
    spec = replace(BOX, networks=(replace(OURS, internal=True, gateways=(), publish=()),))
    assert "RaiseNat" not in names(spec)
    assert any(step.startswith("MakeBridge") and "routed=False" in step for step in steps(spec))


def test_devices_are_named_in_their_order_and_a_card_of_the_host_is_set_up_inside() -> None:
    card = Network(type="phys", link="c", hwaddr="02:00:00:00:00:01", mtu=1300, name="net7", up=False)
    devices = (Network(link="a"), Network(type="empty"), Network(type="macvlan", link="b", mtu=1400), card)
    spec = replace(BOX, networks=devices)
    assert names(spec) == ["PlugVeth", "PlugMacvlan", "MoveLink", "Go", *["ConfigureLink"] * 3, "WriteEtc"]
    assert [step for step in steps(spec) if step.startswith("ConfigureLink")] == [
        "ConfigureLink(device='eth0')", "ConfigureLink(device='eth1')",
        "ConfigureLink(device='net7', mtu=1300, hwaddr='02:00:00:00:00:01', up=False)",
    ]  # fmt: skip


def test_an_ordinary_users_packets_are_carried_and_the_program_sets_up_the_device() -> None:
    spec = replace(BOX, networks=(Network(network="lab", mode="user", addresses=("10.0.2.100/24",)),))
    where = Where(privileged=False, runtime="/run/ours", group="g")
    assert names(spec, where) == ["CarryPackets", "AwaitHelpers", "Go", "WriteEtc"]
    assert "CarryPackets(folder='/run/ours', container='g')" in steps(spec, where)


def test_who_shares_a_network_is_not_born_in_a_new_one_and_sees_that_ones_devices() -> None:
    spec = Spec(name="box", join_network="web")
    plan = compile(spec, Where(network_of=(7, 8)))
    (clone,) = (step for step in plan.outside if isinstance(step, Clone))
    assert "network" not in clone.namespaces
    assert clone.network_of == (7, 8)
    found = [str(step) for step in plan]
    assert "OpenSysfs(network_of=[7, 8])" in found
    assert "AttachTree(tree='sys', destination='/sys')" in found
    assert not [step for step in found if step.startswith(("BringUpLoopback", "MountFilesystem(type='sysfs'"))]


def test_it_knows_itself_by_its_host_name_first() -> None:
    write = next(step for step in steps(BOX) if step.startswith("WriteEtc"))
    assert write == "WriteEtc(hostname='me', hosts=[2 pairs], nameservers=['10.7.0.1'], search=['lab'])"
    step = next(step for step in compile(BOX) if step.name == "WriteEtc")
    assert step.hosts == (("10.7.0.2", ("me", "box")), ("fd00:7::2", ("me", "box")))  # type: ignore[attr-defined]

"""Where the boxes and cables of the network map are drawn: the same in the page and in the still picture."""

from typing import TYPE_CHECKING, Any

import sandbox

from ..untrusted import visible

if TYPE_CHECKING:
    Box = dict[str, Any]

#: Left edges and widths of the three columns, in pixels: the world, what cables are plugged into, containers.
WORLD, PLUGS, INSIDE = (10, 150), (230, 260), (690, 240)
GAP, LINE, HEAD = 14, 14, 24


def identity(cable: "sandbox.Cable") -> str:
    """The name of a cable in the page."""
    return f"{cable.container} {cable.device}"


def wiring(seen: "sandbox.NetworkMap") -> dict[str, Any]:
    """Boxes and cables with their places, as JSON types; what moves, the counters, is not in it."""
    plugs = _plugs(seen)
    by_plug: dict[str, list[sandbox.Cable]] = {name: [] for name in plugs}
    for cable in seen.cables:
        by_plug[_plug(cable)].append(cable)
    boxes: dict[str, Box] = {}
    top = 52
    for name, (kind, title, lines, about) in plugs.items():
        begun = top
        for container in dict.fromkeys(cable.container for cable in by_plug[name]):
            if f"container {container}" not in boxes:
                own = [cable for cable in seen.cables if cable.container == container]
                shown = [f"{cable.device}  {' '.join(cable.addresses[:1])}" for cable in own]
                joined = [other for other, why in seen.lonely.items() if why == f"in the network of {container}"]
                shown += [f"shared with {other}" for other in joined]
                ports = [(port, inside) for _, port, name, _, inside, _ in seen.published if name == container]
                shown += [f"port {port} of the host leads to {inside}" for port, inside in dict.fromkeys(ports)]
                box = _box("container", container, shown, _told(seen, own), INSIDE, top)
                boxes[f"container {container}"] = box
                top = box["place"][1] + box["place"][3] + GAP
        box = _box(kind, title, lines, about, PLUGS, begun)
        box["place"][3] = max(box["place"][3], top - begun - GAP)
        boxes[f"plug {name}"] = box
        top = max(top, box["place"][1] + box["place"][3] + GAP)
    low = top
    for name, why in seen.lonely.items():
        if not why.startswith("in the network of"):
            boxes[f"container {name}"] = box = _box("lonely", name, [why], [why], INSIDE, top)
            top = box["place"][1] + box["place"][3] + GAP
    height = max(low, 150)
    world = _box(
        "world", "the world", list(seen.ways) and _wrap(seen.ways[0]), list(seen.ways) or ["no default route"], WORLD, 52
    )
    host = {"id": "host", "kind": "host", "title": "the host", "lines": [], "about": _rules(seen),
            "place": [PLUGS[0] - 20, 10, PLUGS[1] + 40, height - 10]}  # fmt: skip
    placed = [{**box, "id": name} for name, box in {"host": host, "world": world, **boxes}.items()]
    return {
        "boxes": placed, "cables": [*_ways(seen, boxes, world), *_lines(seen, boxes)],
        "size": [INSIDE[0] + INSIDE[1] + 10, max(height, top) + 10], "apart": [visible(line) for line in seen.apart()],
    }  # fmt: skip


def _plug(cable: "sandbox.Cable") -> str:
    return cable.plugged or cable.kind


def _plugs(seen: "sandbox.NetworkMap") -> dict[str, tuple[str, str, list[str], list[str]]]:
    """What there is to plug into: name → (kind, title, lines, details)."""
    found = {}
    for bridge in seen.bridges:
        ports = [f"other port: {port}" for port in bridge.strangers]
        if bridge.network:
            lines = [f"bridge {bridge.name}", *bridge.addresses[:1]]
            lines += ["no way out (internal)"] if bridge.internal else ["NAT: seen as the host"]
            lines += [f"dnsmasq: names and addresses (pid {bridge.server})"] if bridge.server else []
            rules = seen.explained(bridge.name)
            about = [*bridge.addresses, *ports, *rules]
            found[bridge.name] = ("bridge", f"network {bridge.network}", lines, about)
        else:
            found[bridge.name] = (
                "other",
                f"bridge {bridge.name}",
                [*bridge.addresses[:1], "not ours"],
                [*bridge.addresses, *ports],
            )
    for cable in seen.cables:
        if _plug(cable) not in found:
            what = "a device of the host" if cable.plugged else "carries the packets by ordinary sockets"
            found[_plug(cable)] = ("other", _plug(cable), [what], [what])
    return found


def _box(kind: str, title: str, lines: list[str], about: list[str], column: tuple[int, int], top: int) -> "Box":
    shown = [visible(line)[:44] for line in lines]
    place = [column[0], top, column[1], HEAD + LINE * len(shown) + 6]
    return {
        "kind": kind,
        "title": visible(title)[:30],
        "lines": shown,
        "about": [visible(line) for line in about],
        "place": place,
    }


def _wrap(route: str) -> list[str]:
    """A route in as many lines as it has words for."""
    return [part.strip() for part in route.replace(" via", "\nvia").replace(" dev", "\ndev").splitlines()]


def _told(seen: "sandbox.NetworkMap", own: list["sandbox.Cable"]) -> list[str]:
    """All about a container's cables and published ports."""
    told = []
    for cable in own:
        end = f", the host's end is {cable.host_end}" if cable.host_end else ""
        told.append(f"{cable.device}: {cable.kind}, plugged into {cable.plugged or cable.kind}{end}")
        told += [f"    {address}" for address in cable.addresses]
    names = {cable.container for cable in own}
    return told + [
        f"port {host + ':' if host else ''}{port}/{protocol} of the host leads to {address}:{inside}"
        for host, port, container, address, inside, protocol in seen.published
        if container in names
    ]


def _rules(seen: "sandbox.NetworkMap") -> list[str]:
    return [*seen.apart(), *(line for table, text in seen.rules.items() for line in ("", *text.splitlines()))]


def _ways(seen: "sandbox.NetworkMap", boxes: dict[str, "Box"], world: "Box") -> list[dict[str, Any]]:
    """The ways from networks to the world, or that there is none."""
    found = []
    x, y = world["place"][0] + world["place"][2], world["place"][1] + 30
    for bridge in seen.bridges:
        if bridge.network:
            left, top, _, high = boxes[f"plug {bridge.name}"]["place"]
            kind = "closed" if bridge.internal else "way"
            line = [left - 40, top + high / 2, left, top + high / 2] if bridge.internal else [x, y, left, top + high / 2]
            found.append({"id": f"way {bridge.name}", "kind": kind, "line": line, "label": "✕" if bridge.internal else "",
                          "title": f"the way out of {bridge.network}", "about": seen.explained(bridge.name)})  # fmt: skip
    return found


def _lines(seen: "sandbox.NetworkMap", boxes: dict[str, "Box"]) -> list[dict[str, Any]]:
    found, used = [], dict[str, int]()
    for cable in seen.cables:
        left, top, wide, _ = boxes[f"plug {_plug(cable)}"]["place"]
        x, y, _, high = boxes[f"container {cable.container}"]["place"]
        number = used[cable.container] = used.get(cable.container, -1) + 1
        at = min(y + HEAD + 4 + LINE * number, y + high - 6)
        start = at if top < at < top + boxes[f"plug {_plug(cable)}"]["place"][3] else top + 20
        label = f"{cable.host_end} — {cable.device}" if cable.host_end else cable.kind
        found.append({
            "id": identity(cable), "kind": cable.kind, "line": [left + wide, start, x, at], "label": visible(label),
            "title": visible(f"cable of {cable.container}: {label}"),
            "about": [visible(line) for line in _told(seen, [cable])],
        })  # fmt: skip
    return found

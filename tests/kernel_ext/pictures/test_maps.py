"""The pictures of the maps without a browser: what the page is told, the stills and the texts."""

import json
import os
from dataclasses import replace
from itertools import pairwise

import pytest

import sandbox
from sandbox.maps.networks import Bridge, Cable, NetworkMap

pytest.importorskip("anywidget", reason="needs anywidget: pip install '.[lab]'")

from kernel_ext.pictures.namespaces import NamespacesPicture, number_of
from kernel_ext.pictures.networks import NetworksPicture, counters
from kernel_ext.pictures.wiring import wiring
from tests.shell import until

CABLES = (
    Cable("web", "eth0", "veth", "br0", "veth1", ("10.0.0.2/24",), 1000, 2000),
    Cable("web", "eth1", "veth", "br1", "veth2", ("10.0.1.2/24",)),
    Cable("<b>\x1b[1m", "eth0", "macvlan", "wlan0", "", ("10.1.0.2/24",)),
)
SCENE = NetworkMap(
    10.0, ("default via 192.0.2.1 dev wlan0",),
    (Bridge("br0", "front", ("10.0.0.1/24",), server=7), Bridge("br1", "back", ("10.0.1.1/24",), internal=True)),
    CABLES, {"side": "in the network of web", "alone": "no network but its own loopback"},
    (("", 8080, "web", "10.0.0.2", 80, "tcp"),), {},
)  # fmt: skip


@pytest.mark.usefixtures("home")
@pytest.mark.needs_userns
def test_the_grid_is_the_map_as_json_and_details_are_told_when_asked() -> None:
    box, _ = sandbox.launch("busybox", "exec sleep 1000", name="box", hostname="inner")
    try:
        seen = sandbox.namespaces("box", pid=os.getpid())
        view = NamespacesPicture(seen)
        assert json.loads(json.dumps(view.data)) == view.data
        assert [row["name"] for row in view.data["rows"]] == [row.name for row in seen.rows]
        kinds = [name for name, _ in view.data["kinds"]]
        own = next(row for row in view.data["rows"] if row["name"] == "box")["cells"][kinds.index("uts")]
        assert own[1] == "own"
        assert ["hostname", ["inner"]] in view.heard({"do": "details", "id": own[0]})
        still = view._still()
        assert "data:image/png;base64," in still["text/html"]
        assert "box" in still["text/plain"]
    finally:
        box.kill()


@pytest.mark.usefixtures("home")
@pytest.mark.needs_userns
def test_live_it_shows_a_container_that_comes_and_paused_it_does_not() -> None:
    view = NamespacesPicture(sandbox.namespaces())
    view._heard(view, {"do": "live", "on": True}, [])
    box, _ = sandbox.launch("busybox", "exec sleep 1000", name="comes")
    try:
        until(lambda: "comes" in [row["name"] for row in view.data["rows"]], "it should be shown")
    finally:
        view.go_live(False)
        box.kill()


def test_the_letters_have_colours_in_their_order() -> None:
    assert [number_of(mark) for mark in ("host", "A", "B", "Z", "AA")] == [0, 1, 2, 26, 27]


def test_each_cable_leads_from_its_bridge_to_its_container() -> None:
    data = wiring(SCENE)
    assert json.loads(json.dumps(data)) == data
    boxes = {box["id"]: box["place"] for box in data["boxes"]}
    for cable in data["cables"]:
        if cable["kind"] == "veth":
            x1, y1, x2, y2 = cable["line"]
            bridge = boxes["plug br0" if cable["id"] == "web eth0" else "plug br1"]
            assert x1 == bridge[0] + bridge[2]
            assert bridge[1] <= y1 <= bridge[1] + bridge[3]
            assert x2 == boxes["container web"][0]
            assert boxes["container web"][1] <= y2 <= boxes["container web"][1] + boxes["container web"][3]
    assert {cable["id"]: cable["kind"] for cable in data["cables"]} == {
        "way br0": "way", "way br1": "closed", "web eth0": "veth", "web eth1": "veth", "<b>\x1b[1m eth0": "macvlan",
    }  # fmt: skip
    assert "\x1b" not in "".join(box["title"] for box in data["boxes"])


def test_no_two_boxes_of_a_column_overlap() -> None:
    places = [box["place"] for box in wiring(SCENE)["boxes"] if box["kind"] != "host"]
    for left in {place[0] for place in places}:
        column = sorted(place for place in places if place[0] == left)
        assert all(above[1] + above[3] <= below[1] for above, below in pairwise(column))


def test_counters_say_what_came_per_second_and_in_all() -> None:
    later = replace(SCENE, at=12.0, cables=(replace(CABLES[0], received=41_000),))
    assert counters(SCENE, later) == {"web eth0": ["↓ 20.0 kB/s  ↑ 0 B/s", 2, "41.0 kB in, 2.0 kB out in all"]}


def test_the_still_and_the_text_say_the_same() -> None:
    view = NetworksPicture(SCENE)
    assert len(view._still()["text/html"]) > 10_000
    assert "back has no way out" in view.summary()
    assert "port 8080/tcp of the host leads to web, 10.0.0.2:80" in str(view)
    assert "\x1b" not in str(view)

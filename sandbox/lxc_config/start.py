"""What only commands ask: whether and when a container is started by itself, and what becomes of it."""

from . import values
from .draft import Draft, Row


def auto(draft: Draft, value: str, which: str) -> None:
    draft.autostart = draft.autostart._replace(auto=values.flag(value))


def delay(draft: Draft, value: str, which: str) -> None:
    draft.autostart = draft.autostart._replace(delay=values.whole(value, 0, (1 << 31) - 1))


def order(draft: Draft, value: str, which: str) -> None:
    draft.autostart = draft.autostart._replace(order=values.whole(value, -(1 << 31), (1 << 31) - 1))


def group(draft: Draft, value: str, which: str) -> None:
    draft.autostart = draft.autostart._replace(groups=(*draft.autostart.groups, *value.split()))


def ephemeral(draft: Draft, value: str, which: str) -> None:
    draft.ephemeral = values.flag(value)


ROWS: dict[str, Row] = {
    "lxc.start.auto": auto,
    "lxc.start.delay": delay,
    "lxc.start.order": order,
    "lxc.group": group,
    "lxc.ephemeral": ephemeral,
}

"""The walls around the container: namespaces, id maps, capabilities, and the filter of system calls.

Root inside is nobody outside, whether the file says so or not: without lxc.idmap a range of ids is claimed at the start.
Only `lxc.namespace.keep = user` does without.
"""

from ..errors import InvalidOption
from ..linux.constants import CAPABILITIES
from ..spec import NAMESPACES, IdMapping, NamespaceName
from . import values
from .draft import Draft, Row, granted, kept

#: What LXC's common.conf takes from a container's root: what would change the whole machine.
DROPPED = ("CAP_MAC_ADMIN", "CAP_MAC_OVERRIDE", "CAP_SYS_TIME", "CAP_SYS_MODULE", "CAP_SYS_RAWIO")

_IDS = 1 << 32


def drop(draft: Draft, value: str, which: str) -> None:
    draft.dropped += map(_capability, value.split())
    _not_both(draft)


def keep(draft: Draft, value: str, which: str) -> None:
    """Exactly these; "none" takes back those before it, and alone keeps none at all."""
    for word in value.split():
        draft.kept = [] if word == "none" else [*(draft.kept or ()), _capability(word)]
    _not_both(draft)


def _capability(word: str) -> str:
    """A name as LXC writes it: "sys_admin"; or the number of its bit."""
    if word.isdecimal() and int(word) < len(CAPABILITIES):
        return CAPABILITIES[int(word)]
    name = f"CAP_{word.upper()}"
    if name not in CAPABILITIES or not word.islower():
        raise InvalidOption(f"{word!r} is no capability", cure="write it as capabilities(7) does, but small: sys_admin")
    return name


def _not_both(draft: Draft) -> None:
    if draft.dropped and draft.kept is not None:
        raise InvalidOption("lxc.cap.drop and lxc.cap.keep exclude each other", cure="empty the one that an included file has")


def capabilities_of(draft: Draft) -> tuple[str, ...]:
    """What its root may do."""
    return tuple(name for name in CAPABILITIES if (name not in draft.dropped if draft.kept is None else name in draft.kept))


def keep_namespaces(draft: Draft, value: str, which: str) -> None:
    draft.shared |= {_namespace(word) for word in value.split()}
    if "mount" in draft.shared:
        raise InvalidOption("the mount namespace can't be kept", condition="its root would be mounted over the host's")
    _not_two(draft)


def clone_namespaces(draft: Draft, value: str, which: str) -> None:
    draft.cloned |= {_namespace(word) for word in value.split()}
    _not_two(draft)


def _not_two(draft: Draft) -> None:
    if draft.shared and draft.cloned:
        raise InvalidOption("lxc.namespace.keep and lxc.namespace.clone exclude each other")


def _namespace(word: str) -> NamespaceName:
    """A kind of namespace, as /proc/PID/ns calls it."""
    name = {"net": "network", "mnt": "mount"}.get(word, word)
    for known in NAMESPACES:
        if name == known:
            return known
    raise InvalidOption(f"{word!r} is no namespace", cure="choose of: mnt net ipc pid uts user cgroup time")


def namespaces_of(draft: Draft) -> tuple[NamespaceName, ...]:
    """Those of its own. lxc.namespace.clone never gives up the mount and the user namespace: no root may be the host's."""
    wanted = {*draft.cloned, "mount", "user"} if draft.cloned else set(NAMESPACES)
    return tuple(name for name in NAMESPACES if name in wanted and name not in draft.shared)


def share_network(draft: Draft, value: str, which: str) -> None:
    if value.isdecimal() or "/" in value:
        raise InvalidOption(f"{value!r} is no container's name", condition="only another container's network can be shared")
    draft.join_network = value


def idmap(draft: Draft, value: str, which: str) -> None:
    """u or g, the first id inside, the first on the host, and how many."""
    words = value.split()
    if len(words) != 4 or words[0] not in ("u", "g"):
        raise InvalidOption(f"{value!r} is no id map", cure="write: u 0 100000 65536, and the same with g")
    inside, outside, count = (values.whole(word, 0, _IDS - 1) for word in words[1:])
    if not count or max(inside, outside) + count >= _IDS:
        raise InvalidOption(f"{value!r} goes beyond the last id", condition="user_namespaces(7)")
    draft.ids[words[0]].append(IdMapping(inside, outside, count))


def check_ids(draft: Draft) -> None:
    """Raises InvalidOption for maps that can't be meant."""
    users, groups = draft.ids["u"], draft.ids["g"]
    if bool(users) != bool(groups):
        raise InvalidOption(f"lxc.idmap: there is no line with {'g' if users else 'u'}", cure="map users and groups")
    if users and "user" in draft.shared:
        raise InvalidOption("lxc.idmap needs the user namespace that lxc.namespace.keep gives up", cure="take one of them out")


def no_new_privileges(draft: Draft, value: str, which: str) -> None:
    draft.no_new_privileges = values.flag(value)


def seccomp(draft: Draft, value: str, which: str) -> None:
    """The file of a policy, or a profile of ours by its name."""
    draft.seccomp = value if value in ("default", "unconfined") else values.path(value)


_NO_RULES = "there are no AppArmor or SELinux rules of ours: the other walls stand without them"
_NO_LISTENER = "nobody listens for calls that a policy hands on: see `notify` in the policy"

ROWS: dict[str, Row] = {
    "lxc.cap.drop": drop,
    "lxc.cap.keep": keep,
    "lxc.namespace.keep": keep_namespaces,
    "lxc.namespace.clone": clone_namespaces,
    "lxc.namespace.share.net": share_network,
    "lxc.namespace.share.*": kept("of another container only the network can be shared"),
    "lxc.time.offset.boot": kept("its clocks are those of the machine"),
    "lxc.time.offset.monotonic": kept("its clocks are those of the machine"),
    "lxc.idmap": idmap,
    "lxc.no_new_privs": no_new_privileges,
    "lxc.seccomp.profile": seccomp,
    "lxc.seccomp.allow_nesting": granted,  # the filter is always loaded, on top of any that is there. seccomp(2)
    "lxc.seccomp.notify.proxy": kept(_NO_LISTENER),
    "lxc.seccomp.notify.cookie": kept(_NO_LISTENER),
    "lxc.keyring.session": kept("no new session keyring is made"),
    "lxc.apparmor.profile": kept(_NO_RULES, ("unconfined", "unchanged")),
    "lxc.apparmor.allow_incomplete": kept(_NO_RULES),
    "lxc.apparmor.allow_nesting": kept(_NO_RULES),
    "lxc.apparmor.raw": kept(_NO_RULES),
    "lxc.selinux.context": kept(_NO_RULES, ("unconfined_t",)),
    "lxc.selinux.context.keyring": kept(_NO_RULES),
}

"""Network: a namespace of its own with one link, which answers once it is up."""

import os

import pytest

from sandbox.primitives import network
from tests.primitives.staging import Refused, play

pytestmark = pytest.mark.needs_userns

CONNECT = """
def talk():
    try:
        with socket.socket() as server, socket.socket() as one:
            server.bind(("127.0.0.1", 0))
            server.listen()
            one.connect(server.getsockname())
            other, _ = server.accept()
            with other:
                one.send(b"hello")
                return other.recv(5).decode()
    except OSError as error:
        return errno.errorcode[error.errno]
"""


def test_loopback_is_down_in_a_new_namespace_and_answers_once_it_is_up() -> None:
    said = play(CONNECT + "before = talk(); do(BringUpLoopback(), world); said = [before, talk()]")
    assert said == ["ENETUNREACH", "hello"]


@pytest.mark.skipif(not os.path.exists("/proc/net/if_inet6"), reason="this kernel has no IPv6")
def test_loopback_answers_by_its_new_address_too() -> None:
    said = play("""
        do(BringUpLoopback(), world)
        with socket.socket(socket.AF_INET6) as server, socket.socket(socket.AF_INET6) as one:
            server.bind(("::1", 0))
            server.listen()
            one.connect(server.getsockname())
            said = one.getpeername()[0]
    """)
    assert said == "::1"


def test_there_is_one_link_and_nothing_beyond_it() -> None:
    said = play("""
        do(BringUpLoopback(), world)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            try:
                sock.connect(("192.0.2.1", 9))
            except OSError as error:
                number = error.errno
        said = [list(network.read("self")), errno.errorcode[number]]
    """)
    assert said[1] == "ENETUNREACH"
    assert said[0][0] == "lo"


def test_the_hosts_links_can_not_be_changed_and_the_refusal_says_why() -> None:
    with pytest.raises(Refused, match=r"BringUpLoopback: .*EPERM") as refusal:
        play("do(BringUpLoopback(), world)", namespaces=("user", "mount"))
    assert "CAP_NET_ADMIN is missing over this network namespace" in refusal.value.condition
    assert network.BringUpLoopback.touches == "network"


def test_bytes_are_counted_by_link() -> None:
    before, after = play(
        CONNECT
        + """
do(BringUpLoopback(), world)
before = network.read("self")["lo"]
talk()
said = [before, network.read("self")["lo"]]
"""
    )
    assert before == [0, 0]
    assert after[0] == after[1] > 5


def test_no_socket_is_left_open() -> None:
    said = play("""
        before = os.listdir("/proc/self/fd")
        do(BringUpLoopback(), world)
        said = [len(before), len(os.listdir("/proc/self/fd"))]
    """)
    assert said[0] == said[1]

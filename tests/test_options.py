"""The vocabulary is one: Python, argparse and the table say the same, and it becomes the Spec."""

import argparse
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import options
from sandbox.errors import InvalidOption, NotPossibleHere
from sandbox.images.image import Image, ImageConfig
from sandbox.options import BY_NAME, OPTIONS, spec_from
from sandbox.spec import DEFAULT_CAPABILITIES, DEFAULT_NETWORK, NAMESPACES, Mount, Resources, Spec
from sandbox.values import LEAST_MEMORY

ONLINE = os.sysconf("SC_NPROCESSORS_ONLN")
IMAGE = Image("test", ("/layers/one", "/layers/two"), mounts=(Mount("/usr", "bind", "/usr", ("ro",)),))
NAME = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", fullmatch=True)

#: For each option, values as `parse` returns them.
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "name": NAME,
    "memory": st.none() | st.integers(LEAST_MEMORY, (1 << 63) - 1),
    "swap": st.integers(0, (1 << 63) - 1),
    "cpus": st.integers(10, ONLINE * 1000).map(lambda n: n / 1000),
    "cpu_weight": st.integers(1, 10000),
    "cpuset": st.just("0"),
    "pids": st.none() | st.integers(1, 1 << 22),
    "hostname": st.from_regex(r"[a-z0-9][a-z0-9-]{0,30}(\.[a-z0-9][a-z0-9-]{0,30})?", fullmatch=True),
    "env": st.from_regex(r"[A-Z_]{1,8}=[ -~]{0,8}", fullmatch=True),
    "workdir": st.from_regex(r"/[a-z]{1,3}(/[a-z]{1,3})?", fullmatch=True),
    "user": st.from_regex(r"([a-z_][a-z0-9_-]{0,10}|[1-9][0-9]{0,8})(:[a-z]{1,4}|:0)?", fullmatch=True),
    "volume": st.just(Mount("/data", "bind", "/usr", ("rbind", "ro", "nosuid", "nodev"))),
    "read_only": st.booleans(),
    "cap_add": st.sampled_from(["ALL", *DEFAULT_CAPABILITIES]),
    "cap_drop": st.sampled_from(["ALL", *DEFAULT_CAPABILITIES]),
    "seccomp": st.sampled_from(["default", "unconfined"]),
    "network": st.sampled_from(["none", "bridge", "host", "container:web-1"])
    | st.from_regex("[a-z][a-z0-9-]{0,30}", fullmatch=True),
    "publish": st.tuples(
        st.sampled_from(["", "127.0.0.1", "::1"]),
        st.integers(1, 65535),
        st.integers(1, 65535),
        st.sampled_from(["tcp", "udp"]),
    ),
    "share": st.sampled_from([name for name in NAMESPACES if name != "mount"]),
    "userns": st.sampled_from(["host", "private"]),
    "timeout": st.integers(1, 10**9).map(lambda n: n / 1000),
    "init": st.booleans(),
    "tty": st.booleans(),
    "interpreter": st.sampled_from([("python3", "-c"), ("/usr/bin/env", "perl", "-e"), ("bash", "-e", "-c")]),
    "detach": st.booleans(),
    "keep": st.booleans(),
}
TEXTS = [option for option in OPTIONS if option.metavar]


def shell(*words: str, only: tuple[str, ...] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(exit_on_error=False)
    options.add_arguments(parser, only)
    return options.given(parser.parse_args(words))


# --- one vocabulary -------------------------------------------------------------------------------------------------


def test_every_option_has_a_test_of_its_values() -> None:
    assert list(BY_NAME) == [option.name for option in OPTIONS]
    assert set(VALUES) == set(BY_NAME)


@pytest.mark.parametrize("option", TEXTS, ids=lambda option: option.name)
@given(data=st.data())
def test_what_is_written_is_read_as_the_same(option: options.Option, data: st.DataObject) -> None:
    value = data.draw(VALUES[option.name])
    assert option.parse(option.text(value)) == value


@pytest.mark.parametrize("option", TEXTS, ids=lambda option: option.name)
@given(data=st.data())
def test_a_shell_and_python_mean_the_same(option: options.Option, data: st.DataObject) -> None:
    text = option.text(data.draw(VALUES[option.name]))
    for spelling in option.spellings:
        words = [f"{spelling}={text}"] if spelling.startswith("--") else [f"{spelling}{text}"]
        assert options.parsed(shell(*words)) == options.parsed({option.name: text})


def test_flags_are_said_or_not() -> None:
    assert shell("--read-only", "--init", "-d", "--keep", "-t") == dict.fromkeys(
        ("read_only", "init", "detach", "keep", "tty"), True
    )
    assert shell("--bg") == {"detach": True}
    assert shell() == {}


def test_a_parser_may_have_some_of_them_only() -> None:
    assert shell("-m", "64m", only=("memory",)) == {"memory": "64m"}
    assert shell("--detach", only=("memory", "detach")) == {"detach": True}
    parser = argparse.ArgumentParser()
    options.add_arguments(parser, only=("memory",))
    assert "--cpus" not in parser.format_help()


def test_no_spelling_means_two_things() -> None:
    spellings = [spelling for option in OPTIONS for spelling in option.spellings]
    assert len(spellings) == len(set(spellings))


def test_an_unknown_option_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(InvalidOption, match=r"unknown option 'memroy'\n.*did you mean memory\?"):
        spec_from(IMAGE, memroy="64m")
    with pytest.raises(InvalidOption, match=r"there are: name, memory"):
        spec_from(IMAGE, zzz=1)


def test_an_error_names_its_option() -> None:
    with pytest.raises(InvalidOption, match=r"^memory: '12q' is no size"):
        spec_from(IMAGE, memory="12q")
    with pytest.raises(InvalidOption, match=r"^user: '0x0' is no user"):
        spec_from(IMAGE, user="0x0")


def test_none_is_not_given() -> None:
    assert spec_from(IMAGE, memory=None, env=None) == spec_from(IMAGE)


def test_the_table_has_a_row_for_each() -> None:
    rows = options.describe().splitlines()[2:]
    assert [row.split("`")[3] for row in rows] == list(BY_NAME)
    assert "`--volume, -v SOURCE:DIR[:rw]`" in options.describe()


# --- the Spec -------------------------------------------------------------------------------------------------------


@given(st.data())
def test_any_choice_of_options_is_a_spec_that_survives_json_or_a_refusal(data: st.DataObject) -> None:
    names = data.draw(st.sets(st.sampled_from(list(BY_NAME))))
    chosen = {name: BY_NAME[name].text(v) if BY_NAME[name].metavar else v for name in names for v in [data.draw(VALUES[name])]}
    try:
        spec = spec_from(IMAGE, "true", **chosen)
    except (InvalidOption, NotPossibleHere):
        assert names & {"share", "userns", "publish"}
        return
    assert Spec.from_json(spec.to_json()) == spec


def test_nothing_said_is_everything_as_usual() -> None:
    spec = spec_from(IMAGE, ["ls", "-l"])
    assert spec.process.args == ("ls", "-l")
    assert spec.process.capabilities == DEFAULT_CAPABILITIES
    assert "LANG=C.UTF-8" in spec.process.env
    assert not [word for word in spec.process.env if word.startswith("TERM=")]
    assert (spec.image, spec.root.layers, spec.mounts) == ("test", IMAGE.layers, IMAGE.mounts)
    assert (spec.namespaces, spec.resources, spec.annotations) == (NAMESPACES, Spec().resources, ())
    assert (spec.hostname, spec.name, spec.timeout, spec.seccomp) == ("", "", None, "default")


def test_limits_that_were_given_are_known_from_those_that_are_usual() -> None:
    spec = spec_from(IMAGE, memory="64m", cpus=0.5, pids="max")
    assert spec.resources == Resources(memory=64 << 20, cpus=0.5, pids=None)
    assert dict(spec.annotations) == {"explicit": "memory,cpus,pids"}


def test_the_image_says_what_runs_and_the_command_takes_its_place() -> None:
    image = Image("x", (), ImageConfig(env=("A=1", "PATH=/x"), cmd=("serve",), entrypoint=("/run",), cwd="/srv", user="7"))
    usual = spec_from(image, env={"A": 2})
    assert usual.process.args == ("/run", "serve")
    assert usual.process.env == ("PATH=/x", "LANG=C.UTF-8", "A=2")
    assert (usual.process.cwd, usual.process.user) == ("/srv", "7")
    other = spec_from(image, ["check"], workdir="/w", user="8")
    assert (other.process.args, other.process.cwd, other.process.user) == (("/run", "check"), "/w", "8")


def test_a_text_is_a_script_and_a_list_is_a_program() -> None:
    assert spec_from(IMAGE, "echo $HOME").process.args == ("/bin/sh", "-c", "echo $HOME")
    assert spec_from(IMAGE, "1", interpreter="python3").process.args == ("python3", "-c", "1")
    with pytest.raises(InvalidOption, match="no script"):
        spec_from(IMAGE, ["ls"], interpreter="python3")
    for bad in ([], ["ls", 5], ["ls\0"]):
        with pytest.raises(InvalidOption):
            spec_from(IMAGE, bad)


def test_environment_in_every_form_and_the_last_word_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "vt100")
    usual = spec_from(IMAGE).process.env
    for form in ({"A": "1", "B": ""}, ["A=0", "A=1", "B="], ("A=1", "B=")):
        assert spec_from(IMAGE, env=form).process.env == (*usual, "A=1", "B=")
    assert "TERM=vt100" in spec_from(IMAGE, tty=True).process.env
    assert "TERM=mine" in spec_from(IMAGE, tty=True, env="TERM=mine").process.env


def test_capabilities_as_docker_counts_them() -> None:
    def caps(**words: Any) -> set[str]:
        return set(spec_from(IMAGE, **words).process.capabilities)

    usual = set(DEFAULT_CAPABILITIES)
    assert caps(cap_add="net_admin") == usual | {"CAP_NET_ADMIN"}
    assert caps(cap_drop=["CHOWN", "CAP_KILL"]) == usual - {"CAP_CHOWN", "CAP_KILL"}
    assert caps(cap_drop="ALL") == set()
    assert caps(cap_drop="all", cap_add="NET_RAW") == {"CAP_NET_RAW"}
    assert len(caps(cap_add="ALL")) == 41
    assert caps(cap_add="ALL", cap_drop="SYS_ADMIN") == caps(cap_add="ALL") - {"CAP_SYS_ADMIN"}
    with pytest.raises(InvalidOption, match="cap_add: there is no capability"):
        caps(cap_add="NET_ADMINN")


def test_what_is_shared_is_not_isolated() -> None:
    assert set(NAMESPACES) - set(spec_from(IMAGE, share=["net", "pid"]).namespaces) == {"network", "pid"}
    with pytest.raises(InvalidOption, match="share: the mount namespace"):
        spec_from(IMAGE, share="mount")
    with pytest.raises(InvalidOption, match="would change the host's"):
        spec_from(IMAGE, share="uts", hostname="box")
    with pytest.raises(InvalidOption, match="would change the host's"):
        spec_from(IMAGE, share="net", network="none")


def test_only_root_does_without_a_user_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    for word in ({"userns": "host"}, {"share": "user"}):
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        assert "user" not in spec_from(IMAGE, **word).namespaces
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        with pytest.raises(NotPossibleHere, match="only root"):
            spec_from(IMAGE, **word)
    assert "user" in spec_from(IMAGE, userns="private").namespaces


def test_networks_become_devices_in_their_order_and_bridge_is_our_own() -> None:
    assert spec_from(IMAGE).networks == spec_from(IMAGE, network="none").networks == ()
    spec = spec_from(IMAGE, network=["web", "bridge", "web"])
    assert [(net.type, net.network) for net in spec.networks] == [("veth", "web"), ("veth", DEFAULT_NETWORK)]
    assert "network" in spec.namespaces


def test_the_hosts_network_is_a_namespace_not_made_and_anothers_is_named() -> None:
    assert spec_from(IMAGE, network="host").namespaces == spec_from(IMAGE, share="network").namespaces
    assert "network" not in spec_from(IMAGE, network="host").namespaces
    assert spec_from(IMAGE, network="container:web").join_network == "web"


def test_who_publishes_a_port_gets_a_network_for_it() -> None:
    spec = spec_from(IMAGE, publish=["8080:80", "127.0.0.1:53:53/udp"])
    assert [net.network for net in spec.networks] == [DEFAULT_NETWORK]
    assert spec.networks[0].publish == (("", 8080, 80, "tcp"), ("127.0.0.1", 53, 53, "udp"))
    assert spec_from(IMAGE, publish="1:1", network=["web", "db"]).networks[0].publish


@pytest.mark.parametrize("options", [{"network": ["none", "web"]}, {"network": "host", "publish": "80:80"},
                                     {"network": ["container:a", "container:b"]}])  # fmt: skip
def test_what_excludes_every_other_network_is_not_combined(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption, match="goes with nothing else"):
        spec_from(IMAGE, **options)


@pytest.mark.parametrize("value", ["80", "0:80", "80:70000", "80:80/sctp", "1.2.3:80:80", "::1:80:80", "a:b", "-1:80"])
def test_what_is_no_pair_of_ports_is_refused(value: str) -> None:
    with pytest.raises(InvalidOption, match="publish: "):
        spec_from(IMAGE, publish=value)


@pytest.mark.parametrize("value", ["Web", "a/b", "container:", "container:a/b", "..", "x" * 33, ""])
def test_what_can_be_no_network_is_refused(value: str) -> None:
    with pytest.raises(InvalidOption, match="network: "):
        spec_from(IMAGE, network=value)


def test_volumes_come_after_the_mounts_of_the_image(tmp_path: Path) -> None:
    spec = spec_from(IMAGE, volume=[f"{tmp_path}:/a", f"{tmp_path}:/b:rw"])
    assert [mount.destination for mount in spec.mounts] == ["/usr", "/a", "/b"]

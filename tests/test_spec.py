"""Every Spec survives JSON, and nothing that is no Spec is taken for one."""

import dataclasses
import json
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.spec import Process, Spec

SIMPLE = {
    str: st.text(max_size=8),
    int: st.integers(),
    bool: st.booleans(),
    float: st.floats(allow_nan=False),
    NoneType: st.none(),
}


def of(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of a type as they occur in a Spec."""
    arguments = get_args(kind)
    if dataclasses.is_dataclass(kind):
        return st.builds(kind, **{name: of(hint) for name, hint in get_type_hints(kind).items()})
    if get_origin(kind) is Literal:
        return st.sampled_from(arguments)
    if get_origin(kind) is UnionType:
        return st.one_of(*map(of, arguments))
    if get_origin(kind) is tuple:
        if arguments[-1] is not Ellipsis:
            return st.tuples(*map(of, arguments))
        return st.lists(of(arguments[0]), max_size=3).map(tuple)
    return SIMPLE[kind]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, min_size=1, max_size=3),
    max_leaves=5,
)


def places(data: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in JSON data at which a value stands."""
    keys = list(data) if isinstance(data, dict) else list(range(len(data))) if isinstance(data, list) else []
    return [(data, key) for key in keys] + [place for key in keys for place in places(data[key])]


@given(of(Spec))
def test_a_spec_comes_back_from_json_as_it_was(spec: Spec) -> None:
    assert Spec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


@given(of(Spec), st.data(), JSON)
def test_a_changed_spec_is_refused_or_is_exactly_what_was_written(spec: Spec, data: st.DataObject, value: Any) -> None:
    changed = json.loads(json.dumps(spec.to_json()))
    container, key = data.draw(st.sampled_from(places(changed)))
    container[key] = value
    try:
        read = Spec.from_json(changed)
    except ValueError:
        return
    assert json.loads(json.dumps(read.to_json())) == changed


@given(JSON)
def test_what_is_no_spec_is_refused_with_a_value_error(value: Any) -> None:
    with pytest.raises(ValueError, match="spec"):
        Spec.from_json(value)


def test_an_error_names_the_field() -> None:
    with pytest.raises(ValueError, match=r"spec\.process\.args\[1\]: 5 should be str"):
        Spec.from_json({"process": {"args": ["ls", 5]}})
    with pytest.raises(ValueError, match="unknown field 'memroy'"):
        Spec.from_json({"resources": {"memroy": 1}})
    with pytest.raises(ValueError, match=r"spec\.namespaces\[0\]: 'net' is not one of mount, pid, network"):
        Spec.from_json({"namespaces": ["net"]})


def test_a_field_without_a_default_may_not_be_left_out() -> None:
    with pytest.raises(ValueError, match=r"spec\.mounts\[0\]"):
        Spec.from_json({"mounts": [{}]})


def test_fields_left_out_have_their_defaults() -> None:
    assert Spec.from_json({"process": {"cwd": "/tmp"}}) == Spec(process=Process(cwd="/tmp"))

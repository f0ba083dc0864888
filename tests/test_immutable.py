"""`@immutable` makes what `@dataclass(frozen=True)` makes."""

import copy
import dataclasses
import pickle
from typing import Any, ClassVar

import pytest

from sandbox.immutable import immutable


@immutable
class Ours:
    """With a field that must be given, and others."""

    kind: ClassVar[str] = "pair"

    first: int
    second: str = "two"
    third: tuple[int, ...] = ()

    @property
    def both(self) -> str:
        return f"{self.first}{self.second}"


@dataclasses.dataclass(frozen=True)
class Theirs:
    """The same."""

    kind: ClassVar[str] = "pair"

    first: int
    second: str = "two"
    third: tuple[int, ...] = ()


@pytest.mark.parametrize(
    ("args", "given"),
    [((1,), {}), ((1, "b"), {"third": (3,)}), ((), {"second": "x", "first": 5}), ((1, "b", (3,)), {}),
     ((), {}), ((1, 2, 3, 4), {}), ((1,), {"fourth": 4}), ((), {"fourth": 4})],
)  # fmt: skip
def test_it_takes_the_arguments_that_a_data_class_takes(args: tuple[Any, ...], given: dict[str, Any]) -> None:
    try:
        theirs = Theirs(*args, **given)
    except TypeError:
        with pytest.raises(TypeError, match=r"Ours\(\)"):
            Ours(*args, **given)
        return
    ours = Ours(*args, **given)
    assert vars(ours) == vars(theirs)
    assert list(vars(ours)) == list(vars(theirs))
    assert repr(ours) == repr(theirs).replace("Theirs", "Ours")
    assert hash(ours) == hash(theirs)
    assert ours == Ours(*args, **given) == copy.deepcopy(ours) == pickle.loads(pickle.dumps(ours))
    assert ours != object()
    assert ours != dataclasses.replace(ours, second="other")


def test_what_dataclasses_can_do_with_its_own_it_can_do_with_ours() -> None:
    ours = Ours(1)
    assert dataclasses.is_dataclass(Ours)
    assert [field.name for field in dataclasses.fields(ours)] == ["first", "second", "third"]
    assert dataclasses.asdict(ours) == {"first": 1, "second": "two", "third": ()}
    assert dataclasses.replace(ours, first=2).both == "2two"
    match ours:
        case Ours(first=first, second=second):
            assert (first, second) == (1, "two")


def test_it_can_not_be_changed() -> None:
    ours = Ours(1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        ours.first = 2  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        del ours.first
    with pytest.raises(dataclasses.FrozenInstanceError):
        ours.other = 2  # type: ignore[attr-defined]


def test_a_class_may_look_at_its_values() -> None:
    @immutable
    class Positive:
        number: int

        def __post_init__(self) -> None:
            if self.number <= 0:
                raise ValueError("it is not")

    assert Positive(1).number == 1
    with pytest.raises(ValueError, match="it is not"):
        Positive(0)

"""Frozen data classes that cost little to define: `@immutable` is `@dataclass(frozen=True)`, but compiles nothing.

`dataclasses` writes six methods for every frozen class as text, and compiles them: 0.6 ms a class, 50 ms for all of ours, at
every start of a shell command. Here all classes share these methods. `fields`, `replace`, `asdict` and the like work as usual.
"""

import dataclasses
from dataclasses import MISSING
from typing import Any, NoReturn, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def immutable(cls: type[T]) -> type[T]:
    """Make a class a frozen data class. Not for fields whose default is made anew for each object (default_factory)."""
    made: Any = dataclasses.dataclass(init=False, repr=False, eq=False)(cls)
    fields = dataclasses.fields(made)
    made._new = {field.name: field.default for field in fields}
    made._checks_itself = hasattr(cls, "__post_init__")
    made._needed = tuple(field.name for field in fields if field.default is MISSING)
    for name, method in vars(_Methods).items():
        if name in _SHARED and name not in vars(cls):
            setattr(made, name, method)
    return cls


class _Methods:
    """What all frozen classes share. The fields are the object's dictionary, in their order."""

    _new: dict[str, Any]  # every field with its default, or MISSING
    _needed: tuple[str, ...]
    _checks_itself: bool

    def __init__(self, *args: Any, **given: Any) -> None:
        values, new = self.__dict__, self._new
        values.update(new)
        if args:
            values.update(zip(new, args, strict=False))
        if given:
            values.update(given)
        if len(values) != len(new) or len(args) > len(new):
            self._check(args, given)
        for name in self._needed:
            if values[name] is MISSING:
                self._check(args, given)
        if self._checks_itself:
            self.__post_init__()

    def __post_init__(self) -> None:
        """A class may look at its values here."""

    def _check(self, args: tuple[Any, ...], given: dict[str, Any]) -> None:
        wrong = [*(["too many"] if len(args) > len(self._new) else []),
                 *(f"an unknown one {name!r}" for name in given if name not in self._new),
                 *(f"no {name!r}" for name in self._needed if self.__dict__[name] is MISSING)]  # fmt: skip
        if wrong:
            raise TypeError(f"{type(self).__name__}() got {wrong[0]}")

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"

    def __eq__(self, other: object) -> bool:
        return self.__dict__ == other.__dict__ if type(self) is type(other) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self.__dict__.values()))

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


_SHARED = ("__init__", "_check", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__")

"""Reads plain mappings (JSON, TOML, Python) into frozen dataclasses, and refuses what it does not know.

A field is made by `knob(default, read, text)`.  `read` checks one value and returns it in its final form; `text` is
the sentence that `bulkwriter help stub` shows for it.  `check(self)` in a `__post_init__` runs every field's `read`
once, so that a value made in Python and one read from a file meet the same rules.  `build` makes an object from a
mapping: an unknown key is a `UsageError` that names the nearest known one.

Nothing here knows what a scenario is.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ..errors import UsageError
from ..model import ID_MAX

T = TypeVar("T")
Read = Callable[[Any], Any]
Ranges = tuple[tuple[int, int], ...]
"""Ids as inclusive spans, ascending and apart: ((1, 500), (7000, 7000))."""


def knob(default: Any, read: Read, text: str) -> Any:
    """A documented field whose value `read` checks; a `default` of `...` makes it a required one."""
    metadata = {"read": read, "text": text}
    return (
        dataclasses.field(metadata=metadata)
        if default is ...
        else dataclasses.field(default=default, metadata=metadata)
    )


def check(made: Any) -> None:
    """Replace every field of a frozen dataclass by its checked value, or raise `UsageError` naming the field."""
    for f in dataclasses.fields(made):
        try:
            object.__setattr__(made, f.name, f.metadata["read"](getattr(made, f.name)))
        except ValueError as e:
            raise UsageError(f"{f.name}: {e}", hint=f.metadata["text"]) from None


def build(cls: type[T], raw: Any) -> T:
    """An object of `cls` from a mapping; unknown and missing keys are `UsageError`s."""
    if not isinstance(raw, Mapping):
        raise UsageError(f"{raw!r} is not a mapping of keys to values")
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]  # every caller hands in a dataclass
    names = [f.name for f in fields]
    for key in raw:
        if key not in names:
            near = difflib.get_close_matches(str(key), names, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(names)}"
            raise UsageError(f"unknown key {key!r}", hint=hint)
    for f in fields:
        if f.name not in raw and f.default is dataclasses.MISSING:
            raise UsageError(f"{f.name} is missing", hint=f.metadata["text"])
    return cls(**raw)


def number(low: float, high: float) -> Read:
    """A finite number from `low` to `high`."""

    def read(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ValueError(f"{value!r} is not a number from {low:g} to {high:g}")
        return float(value)

    return read


def whole(low: int, high: int) -> Read:
    """An integer from `low` to `high`."""

    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"{value!r} is not an integer from {low} to {high}")
        return value

    return read


def maybe(read: Read) -> Read:
    """None, or what `read` accepts."""
    return lambda value: None if value is None else read(value)


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is not true or false")
    return value


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not text")
    return value


def header_text(value: Any) -> str:
    """Text that may stand in a header line: a line break would make two headers of it."""
    if not isinstance(value, str) or not value.isprintable() or not value.isascii():
        raise ValueError(f"{value!r} cannot stand in a header")
    return value


def one_of(*words: str) -> Read:
    """One of some words."""

    def read(value: Any) -> str:
        if value not in words:
            near = difflib.get_close_matches(str(value), words, 1)
            raise ValueError(
                f"{value!r} is not one of {', '.join(words)}" + (f" (did you mean {near[0]!r}?)" if near else "")
            )
        return str(value)

    return read


def many(read: Read) -> Read:
    """A list (or tuple) of what `read` accepts, as a tuple."""

    def read_all(values: Any) -> tuple[Any, ...]:
        if not isinstance(values, list | tuple):
            raise ValueError(f"{values!r} is not a list")
        return tuple(read(value) for value in values)

    return read_all


def made_of(cls: type[T]) -> Read:
    """An object of `cls`, or a mapping that makes one."""

    def read(value: Any) -> T:
        if isinstance(value, cls):
            return value
        try:
            return build(cls, value)
        except UsageError as e:
            raise ValueError(f"{e.message} ({e.hint})" if e.hint else e.message) from None

    return read


def ranges(values: Any) -> Ranges:
    """Ids and "first-last" spans, such as [7, "100-250"]; a bare integer n stands for 1 to n."""
    if isinstance(values, int):
        values = [f"1-{values}"]
    if not isinstance(values, list | tuple):
        raise ValueError(f"{values!r} is not a list of ids and 'first-last' spans")
    merged: list[tuple[int, int]] = []
    for low, high in sorted(_span(value) for value in values):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(high, merged[-1][1])
        else:
            merged.append((low, high))
    return tuple(merged)


def _span(value: Any) -> tuple[int, int]:
    if isinstance(value, str):
        first, _, last = value.partition("-")
        low, high = (int(first), int(last)) if first.isdecimal() and last.isdecimal() else (0, 0)
    elif isinstance(value, tuple):
        low, high = value
    else:
        low = high = value if isinstance(value, int) and not isinstance(value, bool) else 0
    if not 0 < low <= high <= ID_MAX:
        raise ValueError(f"{value!r} is neither an id nor a 'first-last' span of ids")
    return low, high

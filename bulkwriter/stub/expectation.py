"""Says in few lines how the stub's records differ from the pairs that should be there, each once.

A test that compares lists of thousands of records fails with thousands of lines.  Here a failure fits a screen: how
many pairs are missing, doubled or strangers, the first few of each, and what the stub counted.

Pure but for the question to the stub.  Not here: the fixtures (`pytest_plugin`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final

SHOWN: Final = 5
"""Pairs of a kind that are shown."""
FACTS: Final = ("records", "doubles", "creates", "creates_applied", "throttled", "requests")
"""Counts of the stub's truth that tell the most, as far as it has them."""


def difference(records: Iterable[tuple[int, int, int]], pairs: Iterable[tuple[int, int]]) -> list[str]:
    """One line for each way in which the records are not the pairs, each once; empty if they are."""
    there = Counter((lesson, member) for _, lesson, member in records)
    wanted = dict.fromkeys((int(first), int(second)) for first, second in pairs)
    missing = [pair for pair in wanted if pair not in there]
    doubled = [pair for pair, count in there.items() if count > 1]
    strangers = [pair for pair in there if pair not in wanted]
    kinds = {"missing": missing, "there more than once": doubled, "there though nobody asked for it": strangers}
    return [line_of(what, found) for what, found in kinds.items() if found]


def line_of(what: str, found: list[tuple[int, int]]) -> str:
    """First value: "2 missing: (1, 5), (1, 6)"."""
    first = ", ".join(map(str, found[:SHOWN]))
    return f"{len(found):,} {what}: {first}{', …' if len(found) > SHOWN else ''}"


def expecting(stub: Any) -> Callable[[Iterable[tuple[int, int]]], None]:
    """The check of one stub, for the fixture `bulkwriter_expect`."""

    def expect(pairs: Iterable[tuple[int, int]]) -> None:
        """Raise `AssertionError` unless the stub has each of these pairs exactly once, and nothing else."""
        __tracebackhide__ = True
        if lines := difference(stub.records(), pairs):
            truth = stub.truth()
            facts = ", ".join(f"{name} {truth[name]}" for name in FACTS if isinstance(truth.get(name), int))
            raise AssertionError("\n".join(["the stub has not each pair once", *lines, f"the stub counted: {facts}"]))

    return expect

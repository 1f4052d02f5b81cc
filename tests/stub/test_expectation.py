"""How the stub's records differ from what should be there, in words that fit a screen."""

from __future__ import annotations

from typing import Any

import pytest

from bulkwriter.stub.expectation import SHOWN, difference, expecting

PAIRS = [(1, member) for member in range(1, 1_001)]


def records(*pairs: tuple[int, int]) -> list[tuple[int, int, int]]:
    return [(number, *pair) for number, pair in enumerate(pairs, 1)]


def test_each_pair_once_is_no_difference_in_any_order() -> None:
    assert difference(records(*reversed(PAIRS)), PAIRS) == []
    assert difference(records((1, 2)), [(1, 2), (1, 2)]) == [], "a pair that is asked for twice is there once"
    assert difference([], []) == []


@pytest.mark.parametrize(
    ("there", "wanted", "lines"),
    [
        ([], [(1, 2)], ["1 missing: (1, 2)"]),
        ([(1, 2), (1, 2)], [(1, 2)], ["1 there more than once: (1, 2)"]),
        ([(1, 2), (1, 3)], [(1, 2)], ["1 there though nobody asked for it: (1, 3)"]),
        ([(9, 9)], PAIRS, ["1,000 missing: (1, 1), (1, 2), (1, 3), (1, 4), (1, 5), …",
                           "1 there though nobody asked for it: (9, 9)"]),
    ],
)  # fmt: skip
def test_each_kind_of_difference_is_a_line(
    there: list[tuple[int, int]], wanted: list[tuple[int, int]], lines: list[str]
) -> None:
    assert difference(records(*there), wanted) == lines


class Stub:
    """A stub that has lost everything but one pair, which it has often."""

    def records(self) -> list[tuple[int, int, int]]:
        return records(*[(7, 7)] * 3_000)

    def truth(self) -> dict[str, Any]:
        return {"records": 3_000, "doubles": 2_999, "throttled": 4, "requests": {"POST": 9}, "other": 5}


def test_a_failure_fits_a_screen() -> None:
    with pytest.raises(AssertionError) as raised:
        expecting(Stub())(PAIRS)
    lines = str(raised.value).splitlines()
    assert len(lines) == 5
    assert max(map(len, lines)) < 80 + SHOWN
    assert lines[-1] == "the stub counted: records 3000, doubles 2999, throttled 4"

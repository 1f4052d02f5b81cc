"""The cheapest way to people, and how long calls take."""

from __future__ import annotations

from typing import Any

import pytest

from bulkwriter.model import QuotaWindow
from bulkwriter.quota.windows import windows_of
from bulkwriter.resolve.ways import Situation, Way, cheapest, costs, seconds_for

OPEN: dict[str, Any] = {
    "pages_read": 1,
    "page_size": 1_000,
    "batch": 150,
    "shows_emails": True,
    "may_read": True,
    "may_filter": True,
}


@pytest.mark.parametrize(
    ("what", "way", "calls"),
    [
        ({"emails": 20_000, "everybody": 20_000, "enrolled": 20_000}, Way.EVERYBODY, 19),
        ({"emails": 500, "everybody": 50_000, "enrolled": 600}, Way.ENROLLED, 4 + 25),
        ({"emails": 3, "everybody": 50_000, "enrolled": 5_000}, Way.ONE_BY_ONE, 4),
        ({"emails": 20_000, "everybody": 20_000, "enrolled": 20_000, "shows_emails": False}, Way.ENROLLED, 134 + 1_000),
        ({"emails": 500, "everybody": 50_000, "enrolled": 600, "may_read": False}, Way.EVERYBODY, 49),
        ({"emails": 20_000, "everybody": 20_000, "enrolled": 20_000, "page_size": 100}, Way.EVERYBODY, 199),
        ({"emails": 500, "everybody": 50_000, "enrolled": 0, "may_filter": False}, Way.EVERYBODY, 49),
        ({"emails": 5, "everybody": 900, "enrolled": 100}, Way.EVERYBODY, 0),
    ],
)  # fmt: skip
def test_the_way_with_the_fewest_calls(what: dict[str, Any], way: Way, calls: int) -> None:
    it = Situation(**{**OPEN, **what})
    assert cheapest(it) is way
    assert costs(it)[way] == calls


def test_no_way_is_open_where_neither_lists_nor_filters_tell() -> None:
    it = Situation(**{**OPEN, "shows_emails": False, "may_filter": False}, emails=5, everybody=900, enrolled=100)
    assert cheapest(it) is None


def test_of_equals_the_whole_list_wins() -> None:
    it = Situation(**OPEN, emails=18, everybody=20_000, enrolled=0)
    assert costs(it) == {Way.EVERYBODY: 19, Way.ONE_BY_ONE: 19}
    assert cheapest(it) is Way.EVERYBODY


NEXUDUS = windows_of((), is_loopback=False, share=1.0)


@pytest.mark.parametrize(
    ("calls", "windows", "seconds"),
    [
        (160, NEXUDUS, 80.0),  # 120 a minute
        (0, NEXUDUS, 0.0),
        (5_001, NEXUDUS, 3_600.0),  # the hour's 5,000 are spent once
        (160, (), 0.0),
        (100, (QuotaWindow("read:1/s", "read", 1, 1.0),), 100.0),
        (100, (QuotaWindow("write:1/s", "write", 1, 1.0),), 0.0),
    ],
)
def test_how_long_calls_take_at_least(calls: int, windows: tuple[QuotaWindow, ...], seconds: float) -> None:
    assert seconds_for(calls, windows, ("read", "any")) == pytest.approx(seconds)

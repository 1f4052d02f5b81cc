"""Retry-After: seconds and the three forms of a date, by hand and by property; garbage is no header at all."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkwriter.amounts import RETRY_AFTER_MAX_S
from bulkwriter.core.classify import parse_retry_after

NOW_S = 784_111_777.0  # the next line, which is the example of RFC 9110
NOW_DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize(
    ("value", "date", "expected"),
    [
        ("0", None, 0.0),
        ("1", None, 1.0),
        (" 120\t", None, 120.0),
        ("9" * 400, None, RETRY_AFTER_MAX_S),
        ("9" * 5000, None, RETRY_AFTER_MAX_S),
        ("-1", None, None),
        ("+1", None, None),
        ("1.5", None, 1.5),
        ("1, 1", None, 1.0),
        ("2,30 , 4.5", None, 30.0),
        ("1, soon", None, None),
        ("1,", None, None),
        (".5", None, None),
        ("1.", None, None),
        ("1e3", None, None),
        ("١", None, None),
        ("", None, None),
        ("soon", None, None),
        ("1_0", None, None),
        ("Sun, 06 Nov 1994 08:49:47 GMT", None, 10.0),
        ("Sunday, 06-Nov-94 08:49:47 GMT", None, 10.0),
        ("Sun Nov  6 08:49:47 1994", None, 10.0),
        ("Sun, 06 Nov 1994 08:49:27 GMT", None, 0.0),
        ("Sun, 06 Nov 1994 08:49:60 GMT", None, 22.0),  # a leap second, taken for :59
        ("Sun, 06 Nov 9999 08:49:37 GMT", None, RETRY_AFTER_MAX_S),
        # The server's clock is 100 s behind ours and it asks for 10 s.
        ("Sun, 06 Nov 1994 08:48:07 GMT", "Sun, 06 Nov 1994 08:47:57 GMT", 10.0),
        ("Sun, 06 Nov 1994 08:49:47 GMT", "garbage", 10.0),
        ("5", NOW_DATE, 5.0),
        ("Sun, 31 Feb 1994 08:49:37 GMT", None, None),
        ("Sun, 06 Now 1994 08:49:37 GMT", None, None),
        ("Sun, 06 Nov 0000 08:49:37 GMT", None, None),
        ("Sun, 06 Nov 1994 25:49:37 GMT", None, None),
        ("Sun, 06 Nov 1994 08:49:37 CET", None, None),
        ("Sun, 06 Nov 1994 08:49:37 GMT x", None, None),
    ],
)
def test_retry_after_by_hand(value: str, date: str | None, expected: float | None) -> None:
    assert parse_retry_after(value, date, NOW_S) == expected


def test_two_digit_years_mean_at_most_fifty_years_ahead() -> None:
    in_2026 = 1_793_000_000.0
    assert parse_retry_after("Sunday, 06-Nov-94 08:49:47 GMT", None, in_2026) == 0.0
    assert (parse_retry_after("Friday, 06-Nov-70 08:49:47 GMT", None, in_2026) or 0) > 40 * 365 * 86_400


@given(st.text(), st.none() | st.text(), st.floats(0, 4e9))
@settings(max_examples=200)
def test_any_header_is_understood_or_ignored(value: str, date: str | None, wall_s: float) -> None:
    found = parse_retry_after(value, date, wall_s)
    assert found is None or 0 <= found <= RETRY_AFTER_MAX_S


@given(st.integers(0, 4_000_000_000), st.integers(0, 10_000_000))
@settings(max_examples=200)
def test_a_date_counts_from_the_replys_own_date(at: int, ahead: int) -> None:
    value, date = formatdate(at + ahead, usegmt=True), formatdate(at, usegmt=True)
    assert parse_retry_after(value, date, 0.0) == float(ahead)

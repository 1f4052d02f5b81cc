"""Numbers, times, tables and progress as people read them: at the edges of each unit, and at any width."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkwriter.cli import describe, progress
from bulkwriter.model import Counts, Snapshot

QUIET = Snapshot(
    counts=Counts(created=1_234, pending=3_766),
    done=1_234,
    total=5_000,
    is_total_exact=True,
    in_flight=64,
    in_flight_limit=64,
    attempts=1_298,
    throttled=0,
    rate_per_s=612.3,
    elapsed_s=2.0,
    eta_s=6.15,
)
BUSY = dataclasses.replace(
    QUIET,
    counts=Counts(created=1_200, existing=20, rejected=9, failed=1, in_doubt=4, pending=3_766),
    throttled=12,
    is_total_exact=False,
    held_by="the server said too fast",
    holds_until_s=12.0,
    believes="it asked for less 40 s ago; the pace is 98/s now",
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (0.44, "0.4 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (200.0, "3 min 20 s"),
        (3_599.7, "1 h 00 min"),
        (7_500.0, "2 h 05 min"),
        (86_400.0, "1 d 0 h"),
        (40 * 86_400 + 4 * 3_600, "40 d 4 h"),
    ],
)
def test_a_duration_shows_its_two_largest_units(seconds: float, text: str) -> None:
    assert describe.duration(seconds) == text


@pytest.mark.parametrize(
    ("rate", "text"), [(0.0, "0.00/s"), (0.853, "0.85/s"), (12.34, "12.3/s"), (99.96, "100/s"), (1_234.4, "1,234/s")]
)
def test_a_rate_has_three_digits(rate: float, text: str) -> None:
    assert describe.per_second(rate) == text


def test_percent_is_never_100_before_the_end() -> None:
    assert describe.percent(99_999, 100_000) == "99%"
    assert describe.percent(5, 5) == "100%"
    assert describe.percent(0, 0) == "100%"


def test_the_table_is_aligned_and_leaves_out_what_is_zero() -> None:
    assert describe.counts_table(Counts(created=11_000, rejected=7)) == [
        "  pairs      11,007  rows read",
        "  created    11,000  records made by this run",
        "  rejected        7  refused by the server",
    ]
    wide = describe.counts_table(Counts(created=1, duplicates=20))
    assert len({line.index("  ", 14) for line in wide}) == 1, wide


def test_states_cover_every_count() -> None:
    assert sum(describe.by_state(Counts(1, 2, 4, 8, 16, 32, 64, 128)).values()) == 255


@given(st.lists(st.text("abc ", min_size=1, max_size=60), max_size=12), st.integers(8, 120))
def test_no_wrapped_line_is_wider_than_the_terminal(facts: list[str], width: int) -> None:
    assert all(len(line) <= width for line in describe.wrap(facts, width))


@pytest.mark.parametrize("width", [40, 50, 80, 120])
@pytest.mark.parametrize("snapshot", [QUIET, BUSY])
def test_live_lines_fit_and_lose_nothing(snapshot: Snapshot, width: int) -> None:
    lines = progress.live_lines(snapshot, width)
    assert all(len(line) <= width for line in lines)
    text = " · ".join(line.strip() for line in lines)
    assert snapshot.believes in text.replace(" · ", " ")
    for fact in [*progress.outcome_facts(snapshot), *progress.pace_facts(snapshot)]:
        assert fact in text


def test_a_plain_line_says_all_that_matters() -> None:
    line = progress.plain_line(BUSY)
    assert line == (
        "1,234 of about 5,000 · 24% · created 1,200 · existing 20 · rejected 9 · failed 1 · in doubt 4 · "
        "612 creates/s · ETA 6.2 s · in flight 64/64 · throttled 12 · "
        "it asked for less 40 s ago; the pace is 98/s now · held back: the server said too fast, 12 s more"
    )


def test_a_reason_says_for_how_long_where_that_is_known() -> None:
    assert progress.held_by(BUSY) == "the server said too fast, 12 s more"
    for more_s in (None, 0.04):
        assert progress.held_by(dataclasses.replace(BUSY, holds_until_s=more_s)) == "the server said too fast"
    assert progress.held_by(QUIET) == ""


def test_an_unknown_total_has_no_percentage() -> None:
    assert progress.headline(dataclasses.replace(QUIET, total=None)) == "1,234 done"
    assert progress.fraction(dataclasses.replace(QUIET, total=None)) is None


@pytest.mark.parametrize(("elapsed", "pause"), [(0, 5), (30, 5), (60, 10), (360, 60), (1e6, 60)])
def test_plain_lines_come_less_and_less_often(elapsed: float, pause: float) -> None:
    assert progress.pause_s(elapsed) == pause


def test_help_columns_wrap_beside_each_other() -> None:
    assert describe.columns([("a", "one two three"), ("a-long-name-here", "x")], 21) == [
        "  a             one",
        "                two",
        "                three",
        "  a-long-name-here",
        "                x",
    ]

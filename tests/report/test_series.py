"""The history as functions of time, worked out by hand for a run of two starts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bulkwriter.model import Counts
from bulkwriter.report.series import MOST_DAYS, TAIL_S, Series, attempts_of, created_of, daily_limit
from bulkwriter.store.history import HistoryRow, Moment

MIDNIGHT = datetime(2026, 11, 30, tzinfo=UTC).timestamp()
DAY_S = 86_400.0


def row(
    at: float, created: int, *, start: int = 1, throttled: int = 0, ended: str | None = None, **held: float
) -> HistoryRow:
    moment = Moment(start, at, None, created + throttled, throttled, 0, 1, None, "", held, {}, {}, {}, ended)
    return HistoryRow(moment, Counts(created=created), created, 0)


TWO_STARTS = Series(
    [
        row(MIDNIGHT, 0),
        row(MIDNIGHT + 100, 50, limit=100.0),
        row(MIDNIGHT + 200, 50, throttled=4, limit=100.0, pause=100.0, ended="quota"),
        row(MIDNIGHT + 300, 50, start=2, throttled=4, limit=100.0, pause=100.0),
        row(MIDNIGHT + 400, 150, start=2, throttled=4, limit=200.0, pause=100.0),
    ]
)


@pytest.mark.parametrize(
    ("at", "created"), [(-10, 0), (0, 0), (50, 25), (100, 50), (250, 50), (350, 100), (400, 150), (999, 150)]
)
def test_totals_grow_evenly_while_a_process_runs(at: float, created: float) -> None:
    assert TWO_STARTS.total(created_of, MIDNIGHT + at) == created


def test_parts_tell_what_was_made_throttled_and_held_back() -> None:
    parts = TWO_STARTS.parts(4)
    assert [part.created for part in parts] == [50, 0, 0, 100]
    assert [part.throttled for part in parts] == [0, 4, 0, 0]
    assert [part.running for part in parts] == [1, 1, 0, 1]
    assert [part.held for part in parts] == ["limit", "pause", "", "limit"]


@pytest.mark.parametrize("count", [1, 3, 7, 240])
def test_the_sum_of_all_parts_is_the_total(count: int) -> None:
    parts = TWO_STARTS.parts(count)
    assert sum(part.created for part in parts) == pytest.approx(150)
    assert sum(part.throttled for part in parts) == pytest.approx(4)
    ran = sum(part.running * (part.until - part.since) for part in parts)
    assert ran == pytest.approx(300)


def test_starts_have_their_own_share() -> None:
    first, second = TWO_STARTS.starts()
    assert (first.number, first.last_at - first.began_at, first.attempts, first.created, first.ended) == (
        1,
        200,
        54,
        50,
        "quota",
    )
    assert (second.number, second.last_at - second.began_at, second.attempts, second.created, second.ended) == (
        2,
        100,
        100,
        100,
        "",
    )


def test_what_a_killed_start_did_after_its_last_row_is_its_own() -> None:
    """119 requests by its last row, 127 records by the first row of the next start."""
    rows = [row(MIDNIGHT, 0), row(MIDNIGHT + 6, 119), row(MIDNIGHT + 30, 127, start=2)]
    rows.append(row(MIDNIGHT + 40, 150, start=2, ended="done"))
    for i, noted in ((2, 119), (3, 119 + 25)):  # a start counts on from what was noted
        rows[i] = rows[i]._replace(moment=rows[i].moment._replace(attempts=noted))
    series = Series(rows)
    assert not series.is_whole
    assert [(span.created, span.attempts) for span in series.starts()] == [(127, 127), (23, 25)]
    assert [day.attempts for day in series.days()] == [152]
    assert TWO_STARTS.is_whole


def facts(**others: Any) -> dict[str, Any]:
    at = datetime.fromtimestamp(MIDNIGHT + 7, UTC).isoformat()
    return {**Counts().to_json(), "undone_at": None, "written_at": at, **others}


def test_a_start_without_an_end_goes_on_to_the_facts() -> None:
    series = Series.of(facts(created=75, in_doubt=13), [row(MIDNIGHT, 0)])
    last = series.last
    assert (last.counts.created, last.moment.attempts, last.counts.in_doubt) == (75, 75, 0)
    assert (series.told_at, series.until, series.is_whole) == (MIDNIGHT, MIDNIGHT + 7, False)
    copied = facts(written_at="2027-12-01T00:00:00+00:00", created=75)
    assert Series.of(copied, [row(MIDNIGHT, 0)]).until == MIDNIGHT + TAIL_S


def test_an_undo_takes_nothing_from_what_was_made() -> None:
    rows = [row(MIDNIGHT, 0), row(MIDNIGHT + 9, 415, ended="limit")]
    undone = Series.of(facts(undone_at="x", created=0), rows)
    assert (undone.last.counts.created, undone.is_whole) == (415, True)
    again = [row(MIDNIGHT + DAY_S, 0, start=2), row(MIDNIGHT + DAY_S + 9, 400, start=2, ended="done")]
    again = [each._replace(moment=each.moment._replace(attempts=415 + each.counts.created)) for each in again]
    series = Series([*rows, *again])
    assert [span.created for span in series.starts()] == [415, 400]
    assert [(day.attempts, day.created) for day in series.days()] == [(415, 415), (400, 400)]


def test_days_are_those_of_utc_and_sum_up_to_all() -> None:
    series = Series(
        [row(MIDNIGHT - 3_600, 0), row(MIDNIGHT, 60), row(MIDNIGHT + DAY_S, 100), row(MIDNIGHT + DAY_S + 60, 101)]
    )
    assert [(day.since.date().isoformat(), day.created) for day in series.days()] == [
        ("2026-11-29", 60), ("2026-11-30", 40), ("2026-12-01", 1),
    ]  # fmt: skip


@pytest.mark.parametrize(("days", "each"), [(MOST_DAYS, 1), (MOST_DAYS + 1, 7), (5_000, 90)])
def test_a_long_run_is_shown_by_groups_of_days(days: int, each: int) -> None:
    series = Series([row(MIDNIGHT, 0), row(MIDNIGHT + days * DAY_S - 1, 10_000)])
    found = series.days()
    assert len(found) <= MOST_DAYS
    assert (found[0].until - found[0].since).days == each
    assert sum(day.attempts for day in found) == 10_000


def test_a_clock_that_was_set_back_and_a_single_row_are_no_trouble() -> None:
    back = Series([row(MIDNIGHT, 0), row(MIDNIGHT - 50, 10), row(MIDNIGHT + 50, 20)])
    assert (back.since, back.until) == (MIDNIGHT, MIDNIGHT + 50)
    assert sum(part.created for part in back.parts(10)) == pytest.approx(20, abs=10)
    alone = Series([row(MIDNIGHT, 5)])
    assert (len(alone.parts(240)), len(alone.days()), alone.total(attempts_of, MIDNIGHT)) == (1, 1, 5)


@pytest.mark.parametrize(
    ("texts", "limit"),
    [
        (["write:2500/day"], 2_500), (["write:2500/day", "any:200000/day"], 2_500), (["any:100/day@06:00"], 100),
        (["read:5/day"], None), (["write:60/min"], None), (["x"], None), ([], None),
    ],
)  # fmt: skip
def test_the_quota_of_a_day_is_found_in_its_text(texts: list[str], limit: int | None) -> None:
    assert daily_limit(dict.fromkeys(texts, 1)) == limit

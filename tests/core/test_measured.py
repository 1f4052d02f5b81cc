"""The counters of a measured run: buckets by hand, bounded labels, outcomes of committed rows, samples."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkwriter.core.measured import SAMPLE_S, SAMPLES, MeasuredStats, WaitCounts, property_of
from bulkwriter.core.stats import place_of
from bulkwriter.metrics import LATENCY_S, MOST_LABELS, WAITING_S, Metrics, add_bounded
from bulkwriter.model import FieldError, Reply, State, VerdictKind
from bulkwriter.rows import SettleRow, outcome_detail


def row(seq: int, state: State, status: int | None = None, detail: str | None = None) -> SettleRow:
    return seq, int(state), 1, None, status, detail


def rejection(name: str) -> str:
    return outcome_detail((FieldError(name, "the server's text"),), "")


def test_a_wait_on_a_bound_belongs_to_the_bucket_below() -> None:
    waits = WaitCounts()
    for wait_s, count in ((0.0, 1), (WAITING_S[0], 2), (0.5, 4), (1e6, 1)):
        waits.add(wait_s, count)
    found = waits.read()
    assert [(bound, n) for bound, n in zip((*WAITING_S, "more"), found.counts, strict=True) if n] == [
        (WAITING_S[0], 3), (1.0, 4), ("more", 1),
    ]  # fmt: skip
    assert found.total_s == pytest.approx(2 * WAITING_S[0] + 2 + 1e6)


def test_every_bound_is_an_edge_of_the_histogram() -> None:
    for bound in LATENCY_S:
        assert place_of(bound) == place_of(bound * (1 - 1e-12)) + 1
    assert [round(bound, 3) for bound in LATENCY_S[:7]] == [0.001, 0.002, 0.005, 0.01, 0.024, 0.05, 0.1]


@given(st.lists(st.floats(1e-6, 86_400).map(lambda s: round(s, 7))))
def test_every_latency_is_in_its_bucket(latencies_s: list[float]) -> None:
    stats = MeasuredStats(0.0)
    for latency_s in latencies_s:
        stats.latency.record(latency_s)
    stats.note(1.0)
    found = stats.latency.read()
    edges = [0.0, *LATENCY_S, math.inf]
    assert list(found.counts) == [sum(a <= s < b for s in latencies_s) for a, b in pairwise(edges)]
    assert found.total_s == pytest.approx(sum(latencies_s))


def test_rows_count_under_their_outcome_once_and_under_the_status_of_a_creation() -> None:
    stats = MeasuredStats(0.0)
    stats.settled(
        [
            row(0, State.CREATED, 200),
            row(1, State.CREATED, 201),
            row(2, State.CREATED),  # a look found it
            row(3, State.EXISTING),
            row(4, State.REJECTED, 200, rejection("CourseMemberId")),
            row(5, State.REJECTED, 400, rejection("CourseMemberId")),
            row(6, State.IN_DOUBT),
            row(7, State.PENDING),
        ]
    )
    stats.settled_at_once(int(State.INVALID))
    assert {word: count for word, count in stats.outcomes.items() if count} == {
        "created": 3, "existing": 1, "rejected": 2, "invalid": 1,
    }  # fmt: skip
    assert stats.responses == {"200": 1, "201": 1}
    assert stats.rejections == {"CourseMemberId": 2}


def test_other_replies_count_as_they_come() -> None:
    stats = MeasuredStats(0.0)
    for status in (429, 429, 503):
        stats.heard(Reply(status))
    assert stats.responses == {"429": 2, "503": 1}


@pytest.mark.parametrize(
    ("detail", "label"),
    [
        (rejection("CourseMemberId"), "CourseMemberId"),
        (rejection("Value.Name_2"), "Value.Name_2"),
        (rejection(""), "none"),
        (outcome_detail((), "no errors at all"), "none"),
        (None, "none"),
        (rejection("The member 4711 is not there"), "other"),
        (rejection("x" * 65), "other"),
        (rejection("a\nb"), "other"),
    ],
)
def test_a_reason_is_the_name_of_a_property_and_never_a_text(detail: str | None, label: str) -> None:
    assert property_of(detail) == label


def test_a_label_that_others_choose_has_twenty_values_and_then_one_more() -> None:
    stats = MeasuredStats(0.0)
    rows = [row(seq, State.REJECTED, 400, rejection(f"P{seq % 50}")) for seq in range(100)]
    stats.settled(rows)
    assert len(stats.rejections) == MOST_LABELS + 1
    assert sum(stats.rejections.values()) == 100
    assert stats.rejections["other"] == 60


def test_other_may_come_first() -> None:
    counts: dict[str, int] = {}
    for key in ("other", *map(str, range(30))):
        add_bounded(counts, key)
    assert len(counts) == MOST_LABELS + 1
    assert sum(counts.values()) == 31


def test_a_sample_is_small_and_rare() -> None:
    stats = MeasuredStats(0.0)
    times = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
    for now in times:
        stats.latency.record(now, 100)
        stats.waits.add(2 * now, 9)
        stats.note(now)
    assert stats.sample(0.2) is None, "too soon"
    last = times[-SAMPLES:]
    assert stats.sample(SAMPLE_S) == (last, tuple(2 * now for now in last)), "one of each group"
    stats.count(VerdictKind.REJECTED, 0.5)
    assert stats.sample(1.9 * SAMPLE_S) is None
    assert stats.sample(2 * SAMPLE_S) == ((0.5,), ())
    assert stats.sample(9.0) is None, "nothing happened"


def test_two_writers_together() -> None:
    a = Metrics(
        attempts=2, responses={"200": 1}, writers=1, allowed_per_s=5.0, quota_left={"write:9/day": 4},
        short_quota_left={"write:9/min": 1},
        oldest_doubt_s=3.0, rows={"created": 2},
    )  # fmt: skip
    b = Metrics(
        attempts=3, responses={"200": 2, "429": 1}, writers=1, quota_left={"write:9/day": 2, "read:9/day": 9}, doubts=1,
    )  # fmt: skip
    both = a.plus(b)
    assert (both.attempts, both.writers, both.allowed_per_s, both.oldest_doubt_s, both.doubts) == (5, 2, 5.0, 3.0, 1)
    assert both.responses == {"200": 3, "429": 1}
    assert both.quota_left == {"write:9/day": 2, "read:9/day": 9}
    assert both.short_quota_left == {"write:9/min": 1}
    assert both == b.plus(a)
    assert (both.counts().attempts, both.counts().rows, both.closed().rows) == (5, {}, {"created": 2})

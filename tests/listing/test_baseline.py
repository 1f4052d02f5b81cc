"""What was there before a run began is told from its records, by ids first, then by CreatedOn."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bulkwriter.errors import JournalError
from bulkwriter.listing.baseline import MARGIN_S, ZONES_S, Baseline, is_own, latest

NOON = 1_767_268_800.0  # 2026-01-01T12:00:00Z
BEGAN = Baseline(NOON, 100, NOON - 60)


@pytest.mark.parametrize(
    ("stamp", "instant"),
    [
        ("2026-01-01T12:00:00Z", NOON + 1),
        ("2026-01-01T12:00:00.25Z", NOON + 1.25),
        ("2026-01-01T12:00:00.1234567Z", NOON + 1.123456),
        ("2026-01-01T13:00:00+01:00", NOON + 1),
        ("2026-01-01 12:00:00+0000", NOON + 1),
        ("2026-01-01T12:00Z", NOON + 60),
        ("2026-01-01T12:00:00", NOON + 1 + ZONES_S),
        ("2026-01-01T12:00", NOON + 60 + ZONES_S),
        *((bad, None) for bad in ("", "2026-01-01", "2026-02-31T12:00:00Z", "yesterday", None, 7, NOON, True, [NOON])),
        ("0001-01-01T00:00:00Z", -62_135_596_799.0),
        ("2026-01-01T12:00:00+99:99", None),
    ],
)
def test_the_last_instant_that_a_stamp_can_mean(stamp: object, instant: float | None) -> None:
    assert latest(stamp) == pytest.approx(instant)


@pytest.mark.parametrize(
    ("record_id", "created_on", "is_before"),
    [
        (101, "2020-01-01T00:00:00Z", False),  # a higher id than any that was there, whatever a clock says
        (101, None, False),
        (100, "2020-01-01T00:00:00Z", True),
        (100, "2026-01-01T11:58:59Z", True),  # the second of the newest one seen
        (100, "2026-01-01T11:59:30Z", True),
        (100, "2026-01-01T12:00:00Z", False),  # ids do not rise
        (100, "2026-01-01T00:30:00", False),  # in some zone this was after the beginning
        (100, "2025-12-31T23:30:00", True),  # in none
        (100, "soon", True),  # nothing shows that it is the run's
        (100, None, True),
    ],
)
def test_older_than_the_run(record_id: int, created_on: object, *, is_before: bool) -> None:
    assert BEGAN.is_before(record_id, created_on) is is_before


def test_where_less_is_known_less_is_left_alone() -> None:
    assert not Baseline().is_before(5, "2020-01-01T00:00:00Z")
    assert not Baseline(NOON).is_before(5, None)
    assert not Baseline(NOON).is_before(5, "2026-01-01T11:59:50Z")
    assert Baseline(NOON).is_before(5, "2026-01-01T11:59:49Z")
    assert MARGIN_S == 10
    assert Baseline(None, 9, NOON).is_before(5, "2026-01-01T11:59:59Z")


def test_it_is_kept_in_the_meta_and_an_older_journal_has_the_time_of_its_making() -> None:
    for began in (BEGAN, Baseline(NOON, None, None), Baseline(NOON, 0, None)):
        assert Baseline.of({"began": began.text(), "created_at": "2020-01-01T00:00:00+00:00"}) == began
    assert Baseline.of({"created_at": "2026-01-01T12:00:00+00:00"}) == Baseline(NOON + 1)
    assert Baseline.of({}) == Baseline()


@pytest.mark.parametrize(
    "text", ["", "{}", "[1, 2, 3]", "7", '{"at":"x","floor":1,"newest_on":null}', '{"at":1,"floor":[]}']
)
def test_a_damaged_one_is_refused(text: str) -> None:
    with pytest.raises(JournalError, match="damaged"):
        Baseline.of({"began": text})


@given(st.text(st.sampled_from("0123456789-:TZ.+ ")) | st.text() | st.none() | st.integers())
@example("0001-01-01T00:00:00+23:59")
@example("9999-12-31T23:59:59-23:59")
@example("٢٠٢٦-01-01T12:00:00Z")
def test_no_stamp_breaks_it(stamp: object) -> None:
    assert latest(stamp) is None or isinstance(latest(stamp), float)


@pytest.mark.parametrize(
    ("record_id", "floor", "created_on", "is_known", "are_rising", "is_ours"),
    [
        (101, 100, "2026-01-01T11:00:00Z", True, True, True),  # above the floor, whatever its time
        (101, 100, None, False, False, True),
        (100, 100, "2026-01-01T12:00:00Z", True, True, True),  # newer than its request
        (100, 100, "2026-01-01T11:00:00Z", True, False, False),  # older
        (100, None, "2026-01-01T11:00:00Z", True, False, False),
        (100, 100, None, True, True, False),  # no time: the ids tell, where they rise
        (100, 100, "2026-01-01T12:00:00Z", False, True, False),  # nobody knows when it was sent
        (100, 100, None, True, False, None),
        (100, None, None, True, True, None),
    ],
)
def test_whose_a_record_is_by_its_id_and_its_time(
    record_id: int, floor: int | None, created_on: str | None, *, is_known: bool, are_rising: bool, is_ours: bool | None
) -> None:
    sent_at = NOON if is_known else None
    assert is_own(record_id, created_on, floor=floor, sent_at=sent_at, are_rising=are_rising) is is_ours

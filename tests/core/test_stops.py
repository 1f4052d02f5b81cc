"""Stops: what a stated wait calls for, when throttles without end do where no quota learns, and when rejections do, in
a row or as a share of the last replies."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from bulkwriter.core import stops
from bulkwriter.core.classify import parse_retry_after
from bulkwriter.core.stops import FEWEST_THROTTLES, NOTHING_TAKEN_S, RECENT, Rejections, ThrottleStreak, at_long_wait
from bulkwriter.errors import BulkwriterError, ConfigurationStop, TryLater
from bulkwriter.model import FieldError, Verdict, VerdictKind
from bulkwriter.settings import STOP_WAIT_S, Settings

WALL = 1_764_000_000.0
HOUR_S = 3_600.0


def settings(on_quota: str) -> Settings:
    return Settings(base_url="http://127.0.0.1:1", token="t", on_quota=on_quota)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("on_quota", "stated_s", "is_stop"),
    [
        ("wait", None, False),
        ("wait", 47 * HOUR_S, False),
        ("wait", 49 * HOUR_S, True),
        ("stop", None, False),
        ("stop", STOP_WAIT_S, False),
        ("stop", STOP_WAIT_S + 1, True),
    ],
)
def test_a_stated_wait_stops_above_two_days_or_a_minute(on_quota: str, stated_s: float | None, is_stop: bool) -> None:
    error = at_long_wait(stated_s, settings(on_quota), WALL)
    assert (error is not None) is is_stop
    if isinstance(error, TryLater):
        assert error.retry_at == WALL + (stated_s or 0)
        assert ", until 20" in error.message


def test_a_wait_that_was_cut_to_what_we_can_tell_is_told_as_such() -> None:
    """A header of a billion years was quoted as one of 3,000."""
    for stated, words in (
        ("9" * 30, "wait 100,000,000,000 s or more, until 5"),
        ("200000", "wait 200,000 s, until 20"),
    ):
        error = at_long_wait(parse_retry_after(stated, None, WALL), settings("wait"), WALL)
        assert error
        assert words in error.message


def test_nothing_but_throttles_for_more_than_a_minute_is_a_spent_limit() -> None:
    streak = ThrottleStreak()
    assert [streak.add(at, 60) for at in (0.0, 2.0, 7.0, 30.0, NOTHING_TAKEN_S - 1)] == [None] * 5
    error = streak.add(NOTHING_TAKEN_S, 60)
    assert isinstance(error, TryLater)
    assert "throttled every request for 90 s" in error.message


def test_a_pair_taken_in_between_begins_it_anew() -> None:
    streak = ThrottleStreak()
    for n in range(20):
        assert streak.add(n * 20.0, n) is None


def test_a_few_throttles_far_apart_are_no_streak() -> None:
    streak = ThrottleStreak()
    assert [streak.add(at, 1) for at in (0.0, 1_000.0, 2_000.0)] == [None] * (FEWEST_THROTTLES - 2)


# rejections


def fed(letters: str, *, in_a_row: int = 50, share: float = 0.5) -> tuple[int | None, BulkwriterError | None]:
    """Replies by letter, "." for a good one; which of them stopped the run, counted from 1, and its error."""
    rejections, created = Rejections(most_in_a_row=in_a_row, most_share=share), 0
    for n, letter in enumerate(letters, 1):
        if letter == ".":
            created += 1
            continue
        said = (FieldError("CourseMemberId", f"{letter}: there is no member {n}"),)
        error = rejections.add(400, Verdict(VerdictKind.REJECTED, errors=said), created=created)
        if error:
            return n, error
    return None, None


@pytest.mark.parametrize(
    ("letters", "at"),
    [
        ("a." * 500, 101),  # every second one: at the first refusal with 100 replies behind it
        ("a.." * 500, None),
        ("a" * 3 + "." * 7 + ("a" * 3 + "." * 7) * 100, None),  # 30%
        ("." * 1_000 + "a." * 500, 1_199),  # of the last 200, whatever was before
        ("ab" * 500, 100),  # no good one at all, and never the same in a row
        ("abc" * 500, 100),  # nothing but refusals, for three reasons
        ("abcdefghijklmnopqrs." * 500, 101),  # 95%, and none of them twice in 19
        ("abcdefghijklmnopqr.." * 500, None),  # 90%
        ("." * 1_000 + "abcdefghij" * 500, 1_190),  # of the last 200, whatever was before
        ("ab.." * 500, None),  # half of them refused, for two reasons
        ("." * 99 + "a" * 40, None),
    ],
)
def test_the_same_rejection_in_half_of_the_last_replies_is_a_stop(letters: str, at: int | None) -> None:
    assert fed(letters)[0] == at


def test_the_stop_names_the_flag_and_what_was_said() -> None:
    _, error = fed("a." * 500)
    assert isinstance(error, ConfigurationStop)
    assert (
        error.message == "51 of the last 101 replies were the same rejection: CourseMemberId: a: there is no member 101"
    )
    assert "--stop-rejected 1" in error.hint.typed
    assert "--retry rejected" in error.hint.typed


@pytest.mark.parametrize(("share", "at"), [(0.3, 103), (0.31, None)])
def test_the_share_is_a_setting(share: float, at: int | None) -> None:
    assert fed(("..a..a..a" + ".") * 100, share=share)[0] == at


def test_words_that_are_new_each_time_do_not_hide_that_all_is_refused() -> None:
    names = ["".join(letters) for letters in itertools.permutations("ABCDE")]
    at = {}
    for share in (0.5, 0.97, 1.0):
        rejections = Rejections(most_in_a_row=50, most_share=share)
        for n, name in enumerate(names, 1):
            said = Verdict(VerdictKind.REJECTED, errors=(FieldError("CourseMember", f"{name} is blocked"),))
            if error := rejections.add(400, said, created=0):
                at[share] = n
                assert "100 of the last 100 replies were rejections, the last one: CourseMember: " in error.message
                assert "--stop-rejected 1" in error.hint.typed
                break
    assert at == {0.5: 100, 0.97: 100}


def test_a_share_of_one_is_never_and_in_a_row_counts_all_the_same() -> None:
    assert fed("a." * 5_000, share=1.0)[0] is None
    assert fed("a" * 5_000, share=1.0, in_a_row=10**9)[0] is None
    at, error = fed(".." + "a" * 60, share=1.0)
    assert at == 52
    assert error is not None
    assert "--max-same-rejections" in error.hint.typed


def test_a_good_reply_ends_what_is_in_a_row() -> None:
    assert fed("a" * 49 + "." + "a" * 49, share=1.0)[0] is None
    assert fed("a" * 49 + "b" + "a" * 49, share=1.0)[0] is None


def test_memory_is_bounded_however_many_are_refused() -> None:
    rejections = Rejections(most_in_a_row=10**9, most_share=1.0)
    for n in range(5_000):
        said = Verdict(VerdictKind.REJECTED, message="x" * (1 + n % 300))
        rejections.add(400, said, created=n // 2)
    assert len(rejections._recent) <= RECENT
    assert sum(rejections._counts.values()) == len(rejections._recent)


@pytest.mark.parametrize(
    ("error", "then"),
    [
        (TryLater("gone", hint="the same command later goes on"), stops.NOT_KEPT),
        (ConfigurationStop("403", hint=f"give the role; {stops.GO_ON}"), f"give the role; {stops.NOT_KEPT}"),
        (ConfigurationStop("TLS", hint="name another --ca-file"), "name another ca_file"),
    ],
)
def test_no_hint_promises_that_anything_goes_on_where_no_journal_is_kept(error: BulkwriterError, then: str) -> None:
    was = error.hint
    assert stops.true_without_journal(error, Settings(journal=Path("j"))).hint == was
    assert stops.true_without_journal(error, Settings()).hint == then

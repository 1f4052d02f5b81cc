"""How many rows a source has and what is left: known, estimated, grown; what a journal believes of its last start."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkwriter.core.left import RowTotal, to_do
from bulkwriter.model import CLOCK_NOISE_S, Counts, Ended, Rows, Summary, iso, moment
from bulkwriter.run.token_life import token_warning
from bulkwriter.settings import Settings
from bulkwriter.store.starts import (
    LAST_START,
    RUN,
    SOURCE,
    UNDONE,
    Start,
    Undone,
    began_text,
    ended_text,
    last_start,
    source_rows,
    source_text,
    undone,
    undone_text,
    waits_until,
)

WALL = 1_764_000_000.0
DAY_S = 86_400.0


def total_after(*reads: tuple[int, float | None], noted: Rows | None = None) -> RowTotal:
    total = RowTotal(noted or Rows())
    for seq, share in reads:
        total.read_to(seq, share)
    return total


@pytest.mark.parametrize(
    ("reads", "rows"),
    [
        ([], Rows(None, False, 0)),
        ([(100, 0.1)], Rows(1_000, False, 100)),
        ([(100, 0.1), (250, 0.2)], Rows(1_250, False, 250)),
        ([(100, None)], Rows(None, False, 100)),
        ([(100, 1.0)], Rows(100, False, 100)),
        ([(0, 0.0)], Rows(None, False, 0)),
    ],
)
def test_a_total_is_estimated_from_the_share_of_the_bytes(reads: list[tuple[int, float | None]], rows: Rows) -> None:
    assert total_after(*reads).rows(rows.read) == rows


def test_a_source_read_to_its_end_is_known_exactly() -> None:
    total = total_after((100, 0.1))
    total.ended_at(140)
    assert total.rows(140) == Rows(140, True, 140)
    assert total.rows(140).not_read == 0


def test_what_an_earlier_start_knew_holds_until_this_one_has_read_as_far() -> None:
    noted = Rows(20_000, False, 11_455)
    assert total_after((500, 0.02), noted=noted).rows(11_455) == noted
    assert total_after((500, 0.02), (11_500, 0.5), noted=noted).rows(11_500) == Rows(23_000, False, 11_500)


def test_a_source_that_grew_is_no_longer_known_exactly_and_that_is_told() -> None:
    noted = Rows(100, True, 100)
    again = total_after((60, 0.3), (100, 0.5), noted=noted)
    assert (again.rows(100), again.grown_from) == (noted, None)
    grown = total_after((60, 0.3), (100, 0.5), (120, 0.6), noted=noted)
    assert (grown.rows(120), grown.grown_from) == (Rows(200, False, 120), 100)
    grown.ended_at(200)
    assert (grown.rows(200), grown.grown_from) == (Rows(200, True, 200), 100)


def test_a_second_source_without_a_journal_is_counted_behind_the_first() -> None:
    total = RowTotal(Rows(), first_seq=1_000)
    total.read_to(1_100, 0.5)
    assert total.rows(1_100) == Rows(1_200, False, 1_100)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.none() | st.floats(0, 1)), max_size=8), st.integers(0, 10**6))
def test_a_total_is_never_less_than_what_was_read(reads: list[tuple[int, float | None]], read: int) -> None:
    rows = total_after(*sorted(reads, key=lambda r: r[0])).rows(read)
    assert rows.total is None or rows.total >= rows.read == read
    assert rows.not_read is None or rows.not_read >= 0


def test_rows_not_read_are_to_be_done() -> None:
    counts = Counts(created=9, failed=2, in_doubt=4, pending=95, rejected=7)
    assert to_do(counts, 19_896, is_alive=False) == 19_997
    assert to_do(counts, 19_896, is_alive=True) == 19_995  # a failed pair is the next start's
    assert to_do(counts, None, is_alive=False) == 101


def test_a_summary_says_what_is_left_in_the_words_of_the_contract() -> None:
    ended = Ended("gone", "no good reply", 75, WALL + 0.2)
    said = Summary(Counts(created=9, pending=1), rows=Rows(50, False, 10), ended=ended).to_json()
    assert {k: said[k] for k in ("pairs", "rows_total", "rows_total_exact", "not_read")} == {
        "pairs": 10, "rows_total": 50, "rows_total_exact": False, "not_read": 40,
    }  # fmt: skip
    assert (said["ended_reason"], said["resume_at"]) == ("no good reply", "2025-11-24T16:00:01+00:00")
    unknown = Summary(Counts()).to_json()
    keys = ("rows_total", "rows_total_exact", "not_read", "ended_reason", "ended_code", "resume_at")
    assert [unknown[k] for k in keys] == [None] * 6


def test_who_leaves_at_once_counts_what_is_under_way_as_doubts() -> None:
    left = Summary(Counts(created=5, pending=9, in_doubt=1), under_way=4).abandoned()
    assert (left.counts, left.under_way) == (Counts(created=5, pending=5, in_doubt=5), 0)


# ---- what the journal keeps


def meta(**noted: Any) -> dict[str, str]:
    return {key: json.dumps(value) for key, value in noted.items()}


def test_an_undo_is_told_until_a_start_comes_after_it() -> None:
    for deleted in (None, 298):
        before = {LAST_START: began_text(WALL - 9)}
        for meta_then in ({}, before):
            noted = {**meta_then, UNDONE: undone_text(WALL, deleted, meta_then)}
            assert undone(noted) == Undone(WALL, deleted)
            assert undone({**noted, LAST_START: began_text(WALL + 9)}) is None
            for began_at in (WALL, WALL - 3_600):  # in the same moment, and after the clock was set back
                assert undone({**noted, LAST_START: began_text(began_at)}) is None
    assert undone({}) is undone({UNDONE: '{"at": "x"}'}) is None


def test_an_end_is_noted_and_read_back() -> None:
    ended = Ended("stated_wait", "the server asks to wait", 75, WALL + DAY_S, True)
    assert last_start({LAST_START: began_text(WALL)}) == Start(WALL)
    assert last_start({LAST_START: ended_text(WALL, WALL + 9, ended)}) == Start(WALL, WALL + 9, ended)
    assert last_start({}) is None


@given(st.floats(WALL, WALL + DAY_S))
def test_a_moment_is_one_second_wherever_it_is_told(at: float) -> None:
    """It had a tenth of a second in the journal and all its digits in the summary, each rounded up by itself."""
    ended = Ended("stated_wait", "the server asks to wait", 75, at, True)
    noted = {LAST_START: ended_text(WALL, WALL + 9, ended)}
    kept = last_start(noted)
    assert kept
    assert kept.ended == ended
    until, _ = waits_until(noted, WALL - 1, is_alive=False)
    assert until is not None
    assert at - CLOCK_NOISE_S <= until < at + 1
    assert iso(until) == Summary(Counts(), ended=ended).to_json()["resume_at"] == iso(at)
    assert moment(until) == moment(at), "in words as well"


def test_what_is_waited_for_is_of_the_last_end_and_of_a_living_run_its_own() -> None:
    ended = {LAST_START: ended_text(WALL, WALL + 9, Ended("quota", "spent", 75, WALL + 500))}
    run = meta(run={"resume_at": WALL + 700, "is_theirs": True})
    assert waits_until({**ended, **run}, WALL, is_alive=False) == (WALL + 500, False)
    assert waits_until({**ended, **run}, WALL, is_alive=True) == (WALL + 700, True)
    assert waits_until({LAST_START: began_text(WALL), **run}, WALL, is_alive=False) == (WALL + 700, True), "killed"
    assert waits_until({**ended, **run}, WALL + 600, is_alive=False) == (None, False), "it is over"


def test_rows_are_those_noted_and_never_fewer_than_the_journal_holds() -> None:
    assert source_rows(meta(run={"rows": 20, "is_exact": True}), 20) == Rows(20, True, 20)
    assert source_rows(meta(run={"rows": 20, "is_exact": True}), 30) == Rows(30, False, 30)
    assert source_rows({}, 30) == Rows(None, False, 30)
    both = meta(run={"rows": 20}) | {SOURCE: source_text(40, is_exact=False)}
    assert source_rows(both, 30) == Rows(40, False, 30)


def test_a_total_is_noted_when_it_is_another_one() -> None:
    total = RowTotal(Rows())
    assert total.news() is None
    total.read_to(100, 0.1)
    assert (total.news(), total.news()) == ((1_000, False), None)
    total.read_to(200, 0.19999)
    assert total.news() is None, "1,001 is no other estimate"
    assert total.rows(200) == Rows(1_000, False, 200), "what a run says is what its journal has"
    total.read_to(300, 0.2)
    assert total.news() == (1_500, False)
    total.ended_at(1_500)
    assert total.news() == (1_500, True)
    assert RowTotal(Rows(5, True, 5)).news() is None
    grown = total_after((6, 0.5), noted=Rows(5, True, 5))
    assert grown.news() == (12, False)
    piped = total_after((6, None), noted=Rows(5, True, 5))
    assert piped.news() == (None, False)


SOME = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.integers())
FIELDS = ("rows", "is_exact", "resume_at", "is_theirs", "began", "ended", "code", "reason", "exit_code")


@given(st.dictionaries(st.sampled_from(FIELDS), SOME) | SOME)
def test_nothing_that_was_noted_is_believed_unseen(noted: Any) -> None:
    """Damage that SQLite cannot show, or a version to come: no exception, and nothing out of bounds."""
    text = json.dumps(noted)
    damaged = {RUN: text, SOURCE: text, LAST_START: text}
    rows, start = source_rows(damaged, 3), last_start(damaged)
    assert rows.total is None or 3 <= rows.total <= 1 << 40
    at, _ = waits_until(damaged, WALL, is_alive=True)
    for wall in (at, start.began_at if start else None, start.ended_at if start else None):
        assert wall is None or (wall >= 0 and math.isfinite(wall))
    assert last_start({LAST_START: "{"}) is None


# ---- does the token outlive the run


def test_a_token_of_unknown_age_is_doubted_in_a_run_of_days() -> None:
    fixed, kept = Settings(token="x"), Settings(token_file="token")
    assert token_warning(fixed, 3_600.0) == ""
    assert "may end before that" in token_warning(fixed, 3 * DAY_S)
    assert "about 12 days, and a token lives 7 days: this one ends before that" in token_warning(fixed, 12 * DAY_S)
    assert "Put a new one into token in time" in token_warning(kept, 12 * DAY_S)
    assert "very long" in token_warning(kept, math.inf)
    assert "the same command with a new token goes on" in token_warning(fixed, 12 * DAY_S)
    assert token_warning(fixed, 12 * DAY_S, is_kept=False).endswith("else the run ends with exit 4")


def test_a_sign_in_and_a_function_renew_their_tokens() -> None:
    async def token() -> str:
        return "x"

    for settings in (Settings(username="u", password="p"), Settings(token=token), Settings()):
        assert token_warning(settings, 40 * DAY_S) == ""

"""The page: its numbers, what it may not hold, its size.  `cli/test_report.py` makes it from journals."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from bulkwriter.model import Counts
from bulkwriter.report.causes import KINDS, cause_of, loss_words
from bulkwriter.report.page import TERMS, Making, page
from bulkwriter.report.parts import nice, percent, rate_area
from bulkwriter.rows import ABSENT_REFUSED
from bulkwriter.store.history import MOST_ROWS, HistoryRow, Moment

AT = 1_796_000_000.0
HOSTILE = "</style><script>alert(1)</script><img src=//evil.test onerror=x> \x1b[31m\u202e ann@example.com"
FACTS: dict[str, Any] = {
    "pairs": 1_000_000, "created": 900_000, "existing": 50_000, "rejected": 1_234, "failed": 5, "in_doubt": 7,
    "pending": 48_000, "invalid": 654, "duplicates": 100, "rows_total": 1_200_000, "rows_total_exact": False,
    "not_read": 200_000, "ended_reason": "the daily quota is spent", "ended_code": "quota", "ended_exit_code": 75,
    "ended_at": "2026-11-30T00:00:00+00:00", "resume_at": "2026-12-01T00:00:00+00:00", "undone_at": None,
    "undone_deleted": None, "journal": "/home/ann/pairs.csv.journal", "base_url": "https://spaces.example.com",
    "account": "acme", "columns": ["CourseLessonId", "CourseMemberId"], "entity": "CourseCompletedLesson",
    "created_at": "2026-11-01T00:00:00+00:00", "written_at": "2026-11-30T00:00:00+00:00", "writer": None,
    "rate_per_s": None, "end": {"words": "20 d 1 h, until 2026-12-20 10:00 CET", "left": 248_012, "is_exact": False,
    "quota": "write:2500/day"}, "quotas": [{"quota": "write:2500/day", "words": "2,500 writes a day", "spent": 2_500,
    "until": "2026-12-01 01:00 CET"}], "trouble": "", "reasons": {"rejected": [
    {"reason": "CourseMemberId: is unknown", "count": 1_234, "example": "line 5 (11,42): CourseMemberId: is unknown"}],
    "failed": [], "invalid": []},
}  # fmt: skip


def rows(count: int = 5) -> list[HistoryRow]:
    """Rows a minute apart in which everything differs."""
    found = []
    for i in range(count):
        held = {kind: i * (1.37 + k) for k, kind in enumerate(KINDS)}
        steps = {"lost": i, "found": i // 2, "absent": i // 3, "recalled": i // 5, "adopted": i // 7}
        causes = {"silent": i // 2, "http_502": i - i // 2}
        spent = {"write:2500/day": i % 2_500}
        moment = Moment(1 + i // 300, AT + 60 * i, None, 61 * i, i // 9, 3, 8, 1.0, "quota", held, spent, steps, causes)
        found.append(HistoryRow(moment, Counts(created=60 * i), 60 * i, 0))
    return found


def text_of(html: str) -> str:
    """What a reader sees: the text, with single spaces."""

    class Reader(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.told: list[str] = []
            self.depth = 0

        def handle_starttag(self, tag: str, attrs: Any) -> None:
            self.depth += tag in ("style", "title")

        def handle_endtag(self, tag: str) -> None:
            self.depth -= tag in ("style", "title")

        def handle_data(self, data: str) -> None:
            if not self.depth:
                self.told.append(data)

    reader = Reader()
    reader.feed(html)
    return " ".join(" ".join(reader.told).split())


def made(facts: dict[str, Any] | None = None, history: list[HistoryRow] | None = None, **how: Any) -> str:
    return page(FACTS | (facts or {}), rows() if history is None else history, Making(at=AT, version="1.2", **how))


def test_the_equation_has_every_number() -> None:
    text = text_of(made())
    terms = " + ".join(f"{FACTS[name]:,} {words}" for name, words in TERMS.items())
    assert f"1,000,000 rows read = {terms}" in text
    assert "Not read yet: about 200,000 of about 1,200,000 rows" in text


@pytest.mark.parametrize(
    "words",
    [
        "79% settled", "in 20 d 1 h, until 2026-12-20 10:00 CET once it is started again, for about 248,012 pairs left",
        "2,500 writes a day: 2,500 spent by the account; no room until", "the daily quota is spent",
        "Can go on 2026-12-",
        "1,234 CourseMemberId: is unknown such as line 5 (11,42)", "HTTP 502 2", "no reply in time 2",
        "found on the server by a look 2", "open now 7",
    ],
)  # fmt: skip
def test_the_page_tells(words: str) -> None:
    assert words in text_of(made())


def test_everything_from_outside_is_text() -> None:
    reason = {"reason": HOSTILE, "count": 1, "example": f"line 5 (11,42): {HOSTILE}"}
    hostile = {
        "journal": f"/x/{HOSTILE}.journal", "base_url": HOSTILE, "account": HOSTILE, "entity": HOSTILE,
        "ended_reason": HOSTILE, "ended_code": HOSTILE, "held_by": HOSTILE, "held_kind": HOSTILE, "trouble": HOSTILE,
        "reasons": {"rejected": [reason], "failed": [reason], "invalid": [reason]},
        "end": {"words": HOSTILE, "left": 1, "is_exact": True, "quota": HOSTILE},
        "quotas": [{"quota": HOSTILE, "words": HOSTILE, "spent": 1, "until": HOSTILE}],
    }  # fmt: skip
    moment = rows()[-1].moment._replace(
        held_s={HOSTILE: 9.0}, causes={HOSTILE: 1}, spent={HOSTILE: 1}, ended=HOSTILE, held=HOSTILE
    )
    html = made(hostile, [rows()[0], rows()[-1]._replace(moment=moment)])
    assert "<script" not in html
    assert "<img" not in html
    assert html.count("</style>") == 1
    assert "\x1b" not in html
    assert "\u202e" not in html
    assert "alert(1)" in text_of(html)


def test_no_address_of_a_person_is_told_in_a_reason() -> None:
    reason = {"reason": "ann.o'hara@example.com is unknown", "count": 1, "example": "line 2: bob@example.com"}
    html = made({"reasons": {"rejected": [reason], "failed": [], "invalid": []}})
    assert "@example" not in html
    assert "is unknown" in html


@pytest.mark.parametrize("writer", [None, {"pid": 7, "host": "annsmachine", "since": "x"}])
def test_the_page_names_nothing_outside_itself(writer: Any) -> None:
    html = made({"writer": writer}, refresh_s=60 if writer else None)
    assert not re.search(r"""(src|href|action|data)\s*=|url\((?!#)|@import|https?://(?!spaces\.example\.com)""", html)
    assert "<script" not in html
    assert html.count('http-equiv="refresh" content="60"') == (1 if writer else 0)


def test_a_private_page_leaves_ids_alone() -> None:
    secret = {"base_url": "https://acme.example.com", "account": "acme", "journal": "/home/ann/school.csv.journal"}
    secret |= {"ended_reason": "acme.example.com refused", "trouble": "/home/ann/ledger is damaged"}
    html = made(secret | {"held_by": "no reply of acme.example.com", "held_kind": "gone"}, is_private=True)
    assert not re.search("acme|ann|school|is unknown|line 5", html)
    text = text_of(html)
    assert "the server named CourseMemberId such as 11,42" in text
    assert "1,000,000 rows read = 900,000 created" in text


def test_what_a_living_process_is_about_to_send_is_no_doubt() -> None:
    text = text_of(made({"writer": {"pid": 1, "host": "h", "since": "s"}}))
    assert "7 under way, or in doubt" in text
    assert "At work" in text
    assert "open now 0" in text


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"ended_code": None, "ended_reason": "the last start did not note its end: it was killed"}, "Cut off"),
        ({"ended_code": None, "ended_reason": None}, "Not at work"),
        ({"ended_code": "done", "pending": 0, "in_doubt": 0, "failed": 0}, "Finished"),
        ({"ended_code": "signal"}, "Ended, and can go on"),
    ],
)
def test_the_state_is_told_first(facts: dict[str, Any], words: str) -> None:
    assert text_of(made(facts)).startswith(words)


LAST = rows()[-1]
LATER = {"written_at": "2026-12-31T00:00:00+00:00"}
ENDED = [rows()[0], LAST._replace(moment=LAST.moment._replace(ended="done"))]


@pytest.mark.parametrize(
    ("facts", "history", "words"),
    [
        ({"created": 240}, ENDED, "240 records made in 4 min 00 s, with 244 requests to create"),
        (LATER | {"created": 250, "rejected": 0}, None, "250 records made in 5 min 01 s, with at least 250 requests"),
        (LATER | {"created": 75, "rejected": 0}, rows(1), "75 records made in 1 min 01 s, with at least 75 requests"),
        ({}, rows(1), "the server throttled none that is known by 2026-"),
        ({"in_doubt": 0}, rows(1), "No attempt of this run is known to have been, by 2026-"),
        ({"in_doubt": 0}, [ENDED[0]._replace(moment=ENDED[0].moment._replace(ended="done"))], "was ever in doubt"),
        ({"undone_at": "2026-11-30T00:00:00+00:00", "created": 0}, ENDED, "An undo has deleted records since."),
        ({"undone_at": "2026-11-30T00:00:00+00:00", "created": 0}, ENDED, "240 records made in 4 min 00 s, with 244"),
        ({"undone_at": "2026-11-30T00:00:00+00:00"}, ENDED, "48,000 not sent yet, or undone"),
        ({}, None, "released to be sent 1"),
    ],
)
def test_no_sentence_tells_more_than_is_known(facts: dict[str, Any], history: list[HistoryRow], words: str) -> None:
    assert words in text_of(made(facts, history))


def test_looks_at_refused_pairs_are_counted_apart() -> None:
    last = LAST.moment._replace(steps={"absent": 54, ABSENT_REFUSED: 50, "lost": 4})
    text = text_of(made(history=[rows()[0], LAST._replace(moment=last)]))
    assert "released to be sent 4 not there, as a refusal had said; it stands 50" in text


def test_a_time_without_a_process_is_a_gap() -> None:
    svg = rate_area([1.0, None, None, 2.0], 2.0)
    assert 'class="edge" d="M0 500H1M3 0H4"' in svg
    assert 'class="area" d="M0 500H1V1000H0ZM3 0H4V1000H3Z"' in svg


def test_a_full_history_of_a_large_run_is_small_enough_to_mail() -> None:
    reasons = [{"reason": f"{i} " + "x" * 300, "count": 1, "example": f"line {i} ({i},{i})"} for i in range(200)]
    html = made({"reasons": dict.fromkeys(("rejected", "failed", "invalid"), reasons)}, rows(MOST_ROWS))
    assert len(html.encode()) < 300_000


@pytest.mark.parametrize("history", [[], rows(1), rows(2)])
def test_a_short_history_is_a_page_as_well(history: list[HistoryRow]) -> None:
    assert "rows read" in text_of(made(history=history))


@pytest.mark.parametrize(("value", "top"), [(0, 1), (0.3, 0.5), (1, 1), (1.01, 2), (23, 25), (26, 50), (99, 100)])
def test_the_top_of_an_axis_is_a_round_number(value: float, top: float) -> None:
    assert nice(value) == pytest.approx(top)


@pytest.mark.parametrize(("part", "told"), [(0, "0%"), (0.5, "below 0.1%"), (3, "0.3%"), (999, "99%"), (1_000, "100%")])
def test_shares_are_rounded_down(part: float, told: str) -> None:
    assert percent(part, 1_000) == told


def test_unknown_causes_are_shown_as_they_are() -> None:
    assert (cause_of("moon").words, loss_words("moon"), loss_words("http_502")) == ("moon", "moon", "HTTP 502")

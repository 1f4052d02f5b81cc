"""Servers whose lists lie, one way each: what a true list would show goes in, what such a server answers comes out.

A lie is a function of one `Ask`: the query, the records that match it (newest first, as the API sorts them), all
records, and how many list calls came before.  `Ask.page` makes the documented envelope of whatever it is given, true
where nothing is given; `LIARS` names them all.  Reads by ids are not lied about.

`tests/listing/test_liars.py` says how run, verify and undo end with each.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from bulkwriter.model import Fault, Reply

Row = dict[str, Any]
CAP: Final = 25
"""Records a page at most: of this server, whatever is asked for."""
HTML: Final = b"<!doctype html><title>Welcome</title>"


@dataclass
class Ask:
    """One list call.  `memory` is the server's, over all calls."""

    query: dict[str, str]
    call: int
    shown: list[Row]
    every: list[Row]
    memory: dict[str, Any] = field(default_factory=dict)

    @property
    def number(self) -> int:
        return int(self.query["page"])

    @property
    def rng(self) -> random.Random:
        return random.Random(self.call)

    def page(self, rows: list[Row] | None = None, *, at: int = 0, size: int = CAP, **fields: Any) -> Reply:
        """Page `at` (0: the one asked for) of `rows`, in the envelope; `fields` replace what that says."""
        return Reply(200, json.dumps(self.envelope(rows, at=at, size=size, **fields)).encode())

    def envelope(self, rows: list[Row] | None = None, *, at: int = 0, size: int = CAP, **fields: Any) -> Row:
        rows, number = self.shown if rows is None else rows, at or self.number
        return {
            "Records": rows[(number - 1) * size : number * size], "CurrentPage": self.number, "CurrentPageSize": size,
            "HasNextPage": number * size < len(rows), "TotalItems": len(rows), **fields,
        }  # fmt: skip


Lie = Callable[[Ask], Reply]


def former(ask: Ask) -> list[Row]:
    """The records of the moment when it began to lie, as far as they match."""
    ids = ask.memory.setdefault("former", {row["Id"] for row in ask.every})
    return [row for row in ask.shown if row["Id"] in ids]


def cached(ask: Ask, *, is_told: bool) -> Reply:
    """A cache that does not heed `no-cache`, and passes over the parameter that should keep it out."""
    key = json.dumps({name: value for name, value in ask.query.items() if name != "_"}, sort_keys=True)
    kept = ask.memory.setdefault(key, (ask.call, ask.page()))
    reply: Reply = kept[1]
    return reply._replace(age_s=300.0 if is_told and kept[0] != ask.call else 0.0)


def growing(ask: Ask) -> Reply:
    """Without end: each page has new and lower ids, and the total grows with it."""
    rows = [{"Id": 10**9 - CAP * ask.number - i, "CourseLessonId": 77, "CourseMemberId": 1 + i} for i in range(CAP)]
    return ask.page(rows, at=1, HasNextPage=True, TotalItems=CAP * (ask.number + 1))


def newer(ask: Ask) -> Reply:
    """Without end: each page has higher ids than all before."""
    rows = [{"Id": 10**9 + CAP * ask.call - i, "CourseLessonId": 77, "CourseMemberId": 1 + i} for i in range(CAP)]
    return ask.page(rows, at=1, HasNextPage=True, TotalItems=10**6)


def rising(ask: Ask) -> Reply:
    """Without end, sorted the other way round, and the total agrees."""
    first = CAP * ask.number
    rows = [{"Id": first + i, "CourseLessonId": 77, "CourseMemberId": 1 + i} for i in range(CAP)]
    return ask.page(rows, at=1, HasNextPage=True, TotalItems=10**9)


def memberless(row: Row) -> Row:
    """Every third record has lost its member, whoever asks."""
    return row if row["Id"] % 3 else {**row, "CourseMemberId": None}


def as_text(row: Row, *names: str) -> Row:
    return {**row, **{name: str(row[name]) for name in names}}


def orphaned(row: Row) -> Row:
    """Every fifth record has lost its member, unless it is of a pair that is asked for."""
    return {**row, "CourseMemberId": None} if row["CourseLessonId"] >= 50 and row["Id"] % 2 else row


def shuffled(ask: Ask) -> list[Row]:
    rows = list(ask.shown)
    ask.rng.shuffle(rows)
    return rows


def one_missing(ask: Ask, **fields: Any) -> Reply:
    rows = ask.envelope()["Records"]
    return ask.page(Records=rows[:3] + rows[4:], **fields)


def shrinking(ask: Ask) -> list[Row]:
    """Somebody deletes one of the others' records between any two calls."""
    gone = set(sorted(row["Id"] for row in ask.every if row["CourseLessonId"] >= 50)[: ask.call])
    return [row for row in ask.shown if row["Id"] not in gone]


# fmt: off
LIARS: Final[dict[str, Lie]] = {
    "the truth":                    lambda a: a.page(),
    "page ignored":                 lambda a: a.page(at=1, CurrentPage=1, HasNextPage=True),
    "page ignored and echoed":      lambda a: a.page(at=1, HasNextPage=True),
    "page 2 again and again":       lambda a: a.page(at=min(2, a.number), HasNextPage=True),
    "one total too high":           lambda a: a.page(TotalItems=len(a.shown) + 1),
    "one total too low":            lambda a: a.page(TotalItems=max(0, len(a.shown) - 1)),
    "total always 0":               lambda a: a.page(TotalItems=0),
    "total higher each time":       lambda a: a.page(TotalItems=len(a.shown) + a.call),
    "a total of 10^12":             lambda a: a.page(TotalItems=10**12),
    "size smaller than said":       lambda a: a.page(size=10, CurrentPageSize=1000),
    "size larger than asked":       lambda a: a.page(size=5_000),
    "size of a page 0":             lambda a: a.page(CurrentPageSize=0),
    "shuffled each time":           lambda a: a.page(shuffled(a)),
    "dir ignored":                  lambda a: a.page(a.shown[::-1]),
    "endless, lower and lower":     growing,
    "endless, newer and newer":     newer,
    "endless, rising":              rising,
    "empty":                        lambda a: a.page([]),
    "empty with a total":           lambda a: a.page([], TotalItems=len(a.shown) + 1),
    "empty and more to come":       lambda a: a.page([], HasNextPage=True),
    "orphans":                      lambda a: a.page([orphaned(row) for row in a.shown]),
    "members left out":             lambda a: a.page([memberless(row) for row in a.shown]),
    "a record on two pages":        lambda a: a.page([*a.shown[:CAP], *a.shown[CAP - 3 :]]),
    "a record twice on a page":     lambda a: a.page([*a.shown[:3], *a.shown[2:]]),
    "a record left out":            one_missing,
    "a record left out, total too": lambda a: one_missing(a, TotalItems=max(0, len(a.shown) - 1)),
    "ids as text":                  lambda a: a.page([as_text(row, "Id") for row in a.shown]),
    "members as text":              lambda a: a.page([as_text(row, "CourseMemberId") for row in a.shown]),
    "no fields but Id":             lambda a: a.page([{"Id": row["Id"]} for row in a.shown]),
    "total null":                   lambda a: a.page(TotalItems=None),
    "HasNextPage null":             lambda a: a.page(HasNextPage=None),
    "HasNextPage always":           lambda a: a.page(HasNextPage=True),
    "HasNextPage never":            lambda a: a.page(HasNextPage=False),
    "CurrentPage always 1":         lambda a: a.page(CurrentPage=1),
    "CurrentPage one too high":     lambda a: a.page(CurrentPage=a.number + 1),
    "filters ignored":              lambda a: a.page(a.every),
    "cached, with Age":             lambda a: cached(a, is_told=True),
    "cached, without a word":       lambda a: cached(a, is_told=False),
    "an old picture":               lambda a: a.page(former(a)),
    "two backends, one old":        lambda a: a.page(former(a) if a.call % 2 else a.shown),
    "two backends, one empty":      lambda a: a.page([] if a.call % 2 else a.shown),
    "two backends, one down":       lambda a: Reply(502, HTML) if a.call % 2 else a.page(),
    "shrinks while read":           lambda a: a.page(shrinking(a)),
    "cut bodies":                   lambda a: Reply(200, a.page().body[:-20]),
    "lost":                         lambda a: Reply(0, fault=Fault.CUT),
    "HTML":                         lambda a: Reply(200, HTML),
    "400 HTML":                     lambda a: Reply(400, HTML),
    "400 by the API":               lambda a: Reply(400, b'{"Message":"orderBy: is not valid","WasSuccessful":false}'),
    "JSON of somebody else":        lambda a: Reply(200, b'{"status":"ok"}'),
    "an array":                     lambda a: Reply(200, json.dumps(a.shown[:CAP]).encode()),
    "204":                          lambda a: Reply(204),
    "206":                          lambda a: a.page()._replace(status=206),
    "redirect":                     lambda a: Reply(302),
    "401":                          lambda a: Reply(401),
    "403":                          lambda a: Reply(403),
    "404":                          lambda a: Reply(404, b'"Not found"'),
    "429 for ever":                 lambda a: Reply(429, retry_after="1"),
    "500":                          lambda a: Reply(500, b'{"Message":"An error has occurred."}'),
    "503 for ever":                 lambda a: Reply(503, HTML, retry_after="5"),
}
# fmt: on

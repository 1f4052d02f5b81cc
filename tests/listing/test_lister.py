"""Which replies to a list call are believed, which are asked for again, and which end the run."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from bulkwriter.entities.completed_lessons import COMPLETED_LESSONS
from bulkwriter.errors import ConfigurationStop
from bulkwriter.listing.lister import Lister, StaleList
from bulkwriter.listing.lists import ListFailed
from bulkwriter.model import Fault, Reply
from bulkwriter.net.api import Api, ListedRecord
from bulkwriter.net.auth import TokenSource, refused


class Tokens(TokenSource):
    """Gives one token, and the next when one is refused, while there are any."""

    def __init__(self, *values: str) -> None:
        super().__init__(self._supply_one)
        self.error: ConfigurationStop = refused("the server refused the token", "X-Create")
        self._values = list(values)

    async def _supply_one(self, *, is_first: bool, is_refused: bool = False) -> tuple[str, float]:
        if not self._values:
            raise self.error
        return self._values.pop(0), math.inf


def page(number: int = 1, rows: tuple[tuple[int, int, int], ...] = ()) -> bytes:
    records = [{"Id": i, "CourseLessonId": a, "CourseMemberId": b} for i, a, b in rows]
    envelope = {"Records": records, "CurrentPage": number, "CurrentPageSize": 1_000, "TotalItems": len(rows)}
    return json.dumps({**envelope, "HasNextPage": False}).encode()


def lister_of(*replies: Reply, tokens: Tokens | None = None) -> Lister:
    rest = iter(replies)

    async def request(data: bytes) -> Reply:
        return next(rest)

    return Lister(
        request, Api("https://example.test", COMPLETED_LESSONS), tokens or Tokens("a"), wall=lambda: 0.0, most_age_s=5.0
    )


async def test_a_page_and_records_by_ids() -> None:
    rows = ((9, 1, 2), (8, 1, 3))
    body = json.dumps(json.loads(page(rows=rows))["Records"]).encode()
    lister = lister_of(Reply(200, page(rows=rows)), Reply(200, body))
    assert (await lister.page({}, 1)).records == [(9, (1, 2)), (8, (1, 3))]
    assert await lister.records([8, 9, 10]) == [ListedRecord(9, (1, 2), None), ListedRecord(8, (1, 3), None)]
    assert lister.calls == 2


@pytest.mark.parametrize(
    ("reply", "ask", "said"),
    [
        (Reply(0, fault=Fault.LOST), "page", "ended before the reply"),
        (Reply(0, fault=Fault.REFUSED, detail="proxy h:1"), "page", "connection refused: proxy h:1"),
        (Reply(500), "page", "HTTP 500$"),
        (Reply(500, b'{"Message":"An error has\nocc."}'), "page", 'HTTP 500; it said: {"Message":"An error has occ."}'),
        (Reply(200, b"oops"), "page", "not JSON"),
        (Reply(200, page(2)), "page", "page 2 came for page 1"),
        (Reply(200, b'[{"Id": 7, "CourseLessonId": 1, "CourseMemberId": 2}]'), "records", "not asked for"),
        (Reply(200, page()), "records", "no JSON array"),
    ],
)
async def test_what_answers_something_else_settles_nothing(reply: Reply, ask: str, said: str) -> None:
    lister = lister_of(reply)
    with pytest.raises(ListFailed, match=said) as failed:
        await (lister.page({}, 1) if ask == "page" else lister.records([8]))
    assert not failed.value.is_forbidden


async def test_an_expired_token_is_refreshed_once() -> None:
    assert (await lister_of(Reply(401), Reply(200, page()), tokens=Tokens("a", "b")).page({}, 1)).total == 0
    for tokens, count in ((Tokens("a", "b"), 2), (Tokens("a"), 1)):
        with pytest.raises(ListFailed) as failed:
            await lister_of(*[Reply(401)] * count, tokens=tokens).page({}, 1)
        assert failed.value.is_forbidden


async def test_a_sign_in_that_failed_keeps_its_hint_and_a_refused_token_names_no_role_of_writes() -> None:
    tokens = Tokens("a")
    for error, hint in ((ConfigurationStop("gone", hint="sign in again"), "sign in again"), (tokens.error, "")):
        tokens = Tokens("a")
        tokens.error = error
        with pytest.raises(ListFailed) as failed:
            await lister_of(Reply(401), tokens=tokens).page({}, 1)
        assert failed.value.stop is not None
        assert (failed.value.stop.message, failed.value.stop.hint) == (error.message, hint)


@pytest.mark.parametrize(
    ("status", "is_forbidden", "is_misplaced"),
    [
        (403, True, False),
        (404, True, True),
        (405, True, True),
        (302, True, True),
        (400, True, True),
        (501, False, False),
    ],
)
async def test_a_wrong_address_is_not_taken_for_a_missing_role(
    status: int, is_forbidden: bool, is_misplaced: bool
) -> None:
    with pytest.raises(ListFailed) as failed:
        await lister_of(Reply(status)).page({}, 1)
    assert (failed.value.is_forbidden, failed.value.is_misplaced) == (is_forbidden, is_misplaced)


NO_LISTS = [
    Reply(200, b"\n<!doctype html><p>Welcome"),
    Reply(200, b"oops"),
    Reply(200, b'{"message":"maintenance"}'),
    Reply(200),
    Reply(204),
    Reply(206, page()),
]
OTHER_SHAPES = [
    page().replace(b'"HasNextPage": false', b'"HasNextPage": null'),
    page().replace(b'"TotalItems": 0', b'"TotalItems": null'),
    page(rows=((9, 1, 2),)).replace(b'"Id": 9', b'"Id": "9"'),
    page(rows=((9, 1, 2),)).replace(b'"CourseMemberId": 2', b'"CourseMemberId": "2"'),
    page(2),
]


@pytest.mark.parametrize("reply", NO_LISTS)
async def test_what_is_no_list_at_all_may_be_so_for_good_where_none_ever_came(reply: Reply) -> None:
    for replies, is_odd in (([reply], True), ([Reply(200, page()), reply], False)):
        lister = lister_of(*replies)
        for _ in replies[1:]:
            assert (await lister.page({}, 1)).total == 0
        with pytest.raises(ListFailed) as failed:
            await lister.page({}, 1)
        assert (failed.value.is_odd, failed.value.is_forbidden) == (is_odd, False)


@pytest.mark.parametrize("body", OTHER_SHAPES)
async def test_lists_of_another_shape_may_be_so_for_good_at_any_time(body: bytes) -> None:
    lister = lister_of(Reply(200, page()), Reply(200, body))
    assert (await lister.page({}, 1)).total == 0
    with pytest.raises(ListFailed) as failed:
        await lister.page({}, 1)
    assert failed.value.is_odd
    assert "it said" not in failed.value.reason, "a list's records are people's"


async def test_a_gateways_400_is_a_wrong_address_and_the_apis_own_a_refusal() -> None:
    gateway = b"<html>400 No required SSL certificate was sent</html>"
    with pytest.raises(ListFailed, match=r"it said: .*certificate") as failed:
        await lister_of(Reply(400, gateway)).page({}, 1)
    assert failed.value.is_misplaced
    with pytest.raises(ListFailed) as failed:
        await lister_of(Reply(400, b'{"Message":"dir: is not valid","WasSuccessful":false}')).page({}, 1)
    assert (failed.value.is_misplaced, failed.value.is_odd) == (False, True)


async def test_a_page_that_a_cache_had_kept_too_long_shows_what_was_there_and_no_more() -> None:
    rows = ((9, 1, 2),)
    lister = lister_of(
        Reply(200, page(rows=rows), age_s=5.0), Reply(200, page(rows=rows), age_s=6.0), Reply(200, b"[]", age_s=6.0)
    )
    assert (await lister.page({}, 1)).records == [(9, (1, 2))]
    with pytest.raises(StaleList, match="kept for 6 s") as stale:
        await lister.page({}, 1)
    assert stale.value.page.records == [(9, (1, 2))]
    with pytest.raises(ListFailed, match="kept for 6 s"):
        await lister.records([9])


@pytest.mark.parametrize("fault", [Fault.TLS, Fault.NAME, Fault.PROXY])
async def test_a_wrong_setting_stops_before_the_first_answer_only(fault: Fault) -> None:
    bad = Reply(0, fault=fault, detail="of test")
    with pytest.raises(ConfigurationStop, match="of test"):
        await lister_of(bad).page({}, 1)
    lister = lister_of(Reply(503), bad)
    for _ in range(2):
        with pytest.raises(ListFailed):
            await lister.page({}, 1)


@pytest.mark.parametrize("build", [lambda: Reply(0, fault=Fault.REFUSED), lambda: Reply(429, retry_after="3")])
async def test_a_server_that_is_away_or_busy_is_asked_again(build: Callable[[], Any]) -> None:
    with pytest.raises(ListFailed) as failed:
        await lister_of(build()).page({}, 1)
    assert failed.value.retry_after_s == (3.0 if build().status else None)

"""Requests to the byte, and lists believed only in the shape that is documented."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkwriter import __version__
from bulkwriter.entities.completed_lessons import COMPLETED_LESSONS as ENTITY
from bulkwriter.errors import UsageError
from bulkwriter.net.api import IDS_PER_CALL, NOBODY, Api, BadList, ListedRecord

BASE = "https://spaces.nexudus.com"
TOKEN = "canary-token-8c1f"
PATH = "/api/content/coursecompletedlessons"
ids = st.integers(1, 2**63 - 1)


class Parsed:
    """A request as a server reads it."""

    def __init__(self, request: bytes) -> None:
        self.target, self.body, self.headers = "", b"", {}
        self.is_whole = False
        self.names: list[str] = []
        parser = httptools.HttpRequestParser(self)
        parser.feed_data(request)
        self.method = parser.get_method().decode()
        assert parser.should_keep_alive()
        assert self.is_whole
        assert len(set(self.names)) == len(self.names)

    def on_url(self, url: bytes) -> None:
        self.target += url.decode()

    def on_header(self, name: bytes, value: bytes) -> None:
        self.names.append(name.decode().lower())
        self.headers[name.decode().lower()] = value.decode()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        assert not self.is_whole
        self.is_whole = True

    headers: dict[str, str]

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, strict_parsing=True))


def test_a_create_to_the_byte() -> None:
    assert Api(BASE, ENTITY).create(TOKEN, (11, 42)) == (
        b"POST /api/content/coursecompletedlessons HTTP/1.1\r\n"
        b"Host: spaces.nexudus.com\r\n"
        b"Accept: application/json\r\n"
        b"Accept-Encoding: identity\r\n"
        b"User-Agent: bulkwriter/" + __version__.encode() + b"\r\n"
        b"Authorization: Bearer canary-token-8c1f\r\n"
        b"Content-Type: application/json\r\n"
        b"Content-Length: 41\r\n\r\n"
        b'{"CourseLessonId":11,"CourseMemberId":42}'
    )


@given(first=ids, second=ids)
def test_a_create_holds_its_pair(first: int, second: int) -> None:
    parsed = Parsed(Api(BASE, ENTITY).create(TOKEN, (first, second)))
    assert json.loads(parsed.body) == {"CourseLessonId": first, "CourseMemberId": second}
    assert parsed.headers["content-length"] == str(len(parsed.body))


def test_the_head_follows_the_token_and_the_length() -> None:
    api = Api(BASE, ENTITY)
    requests = [api.create(token, pair) for token in ("one", "two", "one") for pair in ((1, 2), (10, 2), (1, 2))]
    heads = [(Parsed(r).headers["authorization"][7:], Parsed(r).headers["content-length"]) for r in requests]
    assert heads == [(t, n) for t in ("one", "two", "one") for n in ("39", "40", "39")]


@pytest.mark.parametrize(
    ("base_url", "host", "path"),
    [
        ("https://spaces.nexudus.com", "spaces.nexudus.com", ""),
        ("https://spaces.nexudus.com:443/", "spaces.nexudus.com", ""),
        ("https://Spaces.Nexudus.com:8443", "spaces.nexudus.com:8443", ""),
        ("http://localhost:80", "localhost", ""),
        ("http://localhost:443", "localhost:443", ""),
        ("http://127.0.0.1:8080/a/b/", "127.0.0.1:8080", "/a/b"),
        ("http://[::1]:8080", "[::1]:8080", ""),
        ("https://bücher.example", "xn--bcher-kva.example", ""),
        ("https://a.example/ö%20 x", "a.example", "/%C3%B6%20%20x"),
    ],
)
def test_host_and_path_prefix(base_url: str, host: str, path: str) -> None:
    api = Api(base_url, ENTITY)
    requests = {
        path + PATH: api.create(TOKEN, (1, 2)),
        f"{path}{PATH}?page=1&size=1000&orderBy=Id&dir=-1&_=": api.list_page(TOKEN),
        path + PATH + "/7": api.delete(TOKEN, 7),
        path + "/api/token": api.token_request({"grant_type": "password"}),
    }
    for target, request in requests.items():
        parsed = Parsed(request)
        assert (re.sub("&_=.*", "&_=", parsed.target), parsed.headers["host"]) == (target, host)


def test_a_list_request() -> None:
    request = Api(BASE, ENTITY).list_page(TOKEN, filters=ENTITY.filters(2**40, 7), page=3, size=500)
    parsed = Parsed(request)
    assert parsed.method == "GET"
    assert parsed.query == {
        "CourseCompletedLesson_CourseLesson": str(2**40),
        "CourseCompletedLesson_CourseMember": "7",
        "page": "3",
        "size": "500",
        "orderBy": "Id",
        "dir": "-1",
        "_": parsed.query["_"],
    }
    assert parsed.headers["authorization"] == f"Bearer {TOKEN}"
    assert parsed.headers["cache-control"] == "no-cache"
    assert "content-length" not in parsed.headers
    assert parsed.body == b""


def test_filters_of_what_is_known() -> None:
    filters = ENTITY.filters
    assert filters(None, None) == {}
    assert filters(5, None) == {"CourseCompletedLesson_CourseLesson": "5"}
    assert filters(None, 6) == {"CourseCompletedLesson_CourseMember": "6"}
    text = Parsed(Api(BASE, ENTITY).list_page(TOKEN, filters={"A_Title": "a&b=c \u00e9\r\n"}))
    assert text.query["A_Title"] == "a&b=c \u00e9\r\n"


def test_the_records_of_some_ids() -> None:
    parsed = Parsed(Api(BASE, ENTITY).by_ids(TOKEN, [1, 2, 2**63 - 1]))
    assert (parsed.method, urlsplit(parsed.target).path) == ("GET", PATH + "/")
    assert parsed.query == {"id": f"[1,2,{2**63 - 1}]", "_": parsed.query["_"]}
    assert parsed.headers["cache-control"] == "no-cache"
    assert len(Api(BASE, ENTITY).by_ids(TOKEN, [2**63 - 1] * IDS_PER_CALL)) < 2_000


def test_no_two_list_calls_have_the_same_address() -> None:
    apis = [Api(BASE, ENTITY), Api(BASE, ENTITY)]
    calls = [call for api in apis for _ in range(50) for call in (api.list_page(TOKEN), api.by_ids(TOKEN, [1]))]
    assert len({Parsed(call).target for call in calls}) == len(calls), "a cache would answer for one of them"


def test_a_delete() -> None:
    parsed = Parsed(Api(BASE, ENTITY).delete(TOKEN, 9))
    assert (parsed.method, parsed.target, parsed.body) == ("DELETE", PATH + "/9", b"")


@pytest.mark.parametrize("client_id", [None, "bulkwriter-1"])
def test_a_token_request(client_id: str | None) -> None:
    form = {"grant_type": "password", "username": "a@b.c", "password": "p&=\r\n\u00e4 %"}
    parsed = Parsed(Api(BASE, ENTITY).token_request(form, client_id))
    assert parsed.method == "POST"
    assert dict(parse_qsl(parsed.body.decode())) == form
    assert parsed.headers["content-type"] == "application/x-www-form-urlencoded"
    assert parsed.headers.get("client_id") == client_id
    assert "authorization" not in parsed.headers


BAD = ["", "a b", "a\r\nX: y", "a\n", "\ta", "gehei\u00f1", "t\u0416", "a\0", "x" * 20_000]


@pytest.mark.parametrize("token", BAD)
def test_a_token_that_fits_no_header_is_not_shown(token: str) -> None:
    api = Api(BASE, ENTITY)
    requests: list[Any] = [
        lambda: api.create(token, (1, 2)),
        lambda: api.list_page(token),
        lambda: api.delete(token, 1),
        lambda: api.by_ids(token, [1]),
        lambda: api.token_request({}, token),
    ]
    for request in requests * 2:  # twice: nothing of a refused token is kept
        with pytest.raises(UsageError) as info:
            request()
        assert not token or token not in str(info.value)
        assert not token or token not in repr(info.value)


RECORD = {"Id": 7, "CourseLessonId": 1, "CourseMemberId": 2, "CourseLessonTitle": "x"}
PAGE = {"Records": [RECORD], "CurrentPage": 2, "CurrentPageSize": 25, "TotalItems": 26, "HasNextPage": False}


def test_a_page() -> None:
    page = Api(BASE, ENTITY).parse_page(json.dumps(PAGE).encode())
    assert page.records == [(7, (1, 2))]
    assert (page.page, page.page_size, page.total, page.has_next) == (2, 25, 26, False)


def test_a_page_in_older_words() -> None:
    older = {k: v for k, v in PAGE.items() if not k.startswith("Current")} | {"PageNumber": 3, "PageSize": 10}
    page = Api(BASE, ENTITY).parse_page(json.dumps(older).encode())
    assert (page.page, page.page_size) == (3, 10)


def test_an_empty_list_says_so_in_full() -> None:
    page = Api(BASE, ENTITY).parse_page(json.dumps(PAGE | {"Records": [], "TotalItems": 0}).encode())
    assert (page.records, page.total, page.has_next) == ([], 0, False)


MISSING = object()
WRONG: dict[str, list[Any]] = {
    "Records": [MISSING, None, {}, "[]", [None], [7], [[]], ["x"]],
    "HasNextPage": [MISSING, None, 0, "false"],
    "TotalItems": [MISSING, None, "26", -1, 26.0, True],
    "CurrentPage": [MISSING, "2", -1],
    "CurrentPageSize": [MISSING, None, "25"],
}
WRONG_IDS = [MISSING, None, "7", 7.0, True, 0, -7, 2**63]
NO_ID_AT_ALL = [MISSING, None, True, 0, -7, 2**63, 7.5, "seven", [], {}]


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in WRONG.items() for v in values])
def test_an_envelope_that_is_not_as_documented(name: str, value: object) -> None:
    page = {k: v for k, v in PAGE.items() if k != name} if value is MISSING else PAGE | {name: value}
    with pytest.raises(BadList):
        Api(BASE, ENTITY).parse_page(json.dumps(page).encode())


@pytest.mark.parametrize(
    ("name", "value"),
    [("Id", v) for v in WRONG_IDS] + [(n, v) for n in ("CourseLessonId", "CourseMemberId") for v in ("7", 7.0)],
)
def test_a_record_that_is_not_as_documented(name: str, value: object) -> None:
    record = {k: v for k, v in RECORD.items() if k != name} if value is MISSING else RECORD | {name: value}
    with pytest.raises(BadList, match=name):
        Api(BASE, ENTITY).parse_page(json.dumps(PAGE | {"Records": [RECORD, record]}).encode())
    with pytest.raises(BadList):
        Api(BASE, ENTITY).parse_records(json.dumps([record]).encode())


@pytest.mark.parametrize("name", ["CourseLessonId", "CourseMemberId"])
@pytest.mark.parametrize("value", NO_ID_AT_ALL)
def test_a_record_that_lost_its_lesson_or_member_counts_and_is_no_pair(name: str, value: object) -> None:
    record = {k: v for k, v in RECORD.items() if k != name} if value is MISSING else RECORD | {name: value}
    pair = (NOBODY, 2) if name == "CourseLessonId" else (1, NOBODY)
    page = Api(BASE, ENTITY).parse_page(json.dumps(PAGE | {"Records": [RECORD, record | {"Id": 6}]}).encode())
    assert page.records == [(7, (1, 2)), (6, pair)]
    assert page.orphans == 1
    assert Api(BASE, ENTITY).parse_records(json.dumps([record]).encode()) == [ListedRecord(7, pair, None)]


def test_fields_that_never_come_are_another_shape() -> None:
    api = Api(BASE, ENTITY)
    bare = [{"Id": i} for i in range(1, 4)]
    half = [{"Id": i, "CourseLessonId": 1, "CourseMemberId": None} for i in range(1, 21)]
    for records, count, words in ((bare, 3, "CourseLessonId or a CourseMemberId"), (half, 20, "a CourseMemberId")):
        with pytest.raises(BadList, match=f"none of {count} records has .*{words}"):
            api.parse_page(json.dumps(PAGE | {"Records": records}).encode())
        assert api.parse_page(json.dumps(PAGE | {"Records": records[1:]}).encode()).orphans == count - 1
        assert len(api.parse_records(json.dumps(records).encode())) == count, "these were asked for by their ids"


def test_a_record_that_is_not_as_documented_is_named() -> None:
    record = RECORD | {"Id": 77, "CourseMemberId": "42"}
    with pytest.raises(BadList, match="record 77 has a CourseMemberId that is no integer: '42'"):
        Api(BASE, ENTITY).parse_records(json.dumps([record]).encode())


def test_a_byte_order_mark_is_no_part_of_a_list() -> None:
    assert Api(BASE, ENTITY).parse_page(b"\xef\xbb\xbf" + json.dumps(PAGE).encode()).total == PAGE["TotalItems"]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60) | st.recursive(st.none() | st.integers() | st.text(max_size=3), st.lists).map(
    lambda v: json.dumps(v).encode()))  # fmt: skip
def test_nothing_a_server_sends_is_an_empty_list_by_accident(body: bytes) -> None:
    with pytest.raises(BadList):
        Api(BASE, ENTITY).parse_page(body)


def test_the_ids_of_two_to_the_sixty_three_survive() -> None:
    big = 2**63 - 1
    record = {"Id": big, "CourseLessonId": big, "CourseMemberId": big - 1}
    assert Api(BASE, ENTITY).parse_records(json.dumps([record]).encode()) == [ListedRecord(big, (big, big - 1), None)]

"""The reply table: row by row from DESIGN's words, then total over every status, fault and body."""

from __future__ import annotations

from itertools import product
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkwriter.amounts import RETRY_AFTER_MAX_S
from bulkwriter.core.classify import (
    ERRORS_KEPT,
    QUOTE_CHARS,
    REPLY_TABLE,
    RULES,
    UNSENT_FAULTS,
    classify,
    created_id,
)
from bulkwriter.model import ID_MAX, Fault, FieldError, Reply, Verdict, VerdictKind

CREATED, REJECTED, IN_DOUBT = VerdictKind.CREATED, VerdictKind.REJECTED, VerdictKind.IN_DOUBT
UNSENT, THROTTLED = VerdictKind.UNSENT, VerdictKind.THROTTLED
UNAUTHORIZED, STOP = VerdictKind.UNAUTHORIZED, VerdictKind.STOP

NOW_S = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110
OK = (
    b'{"Status":200,"Message":"CourseCompletedLesson was successfully created.","Value":{"Id":87654321},'
    b'"OpenInDialog":false,"RedirectURL":null,"UpdatedOn":"2025-01-15T10:30:00Z","Errors":null,"WasSuccessful":true}'
)
REFUSED = (
    b'{"Message":"Name: is a required field","Value":null,"Errors":[{"AttemptedValue":null,'
    b'"Message":"is a required field","PropertyName":"Name"}],"WasSuccessful":false,"Status":500}'
)
HTML = b"<html><body><h1>Forbidden</h1></body></html>"
ERRORS_ONLY = b'{"Errors":[{"Message":"taken","PropertyName":"CourseMemberId"}]}'


def verdict(
    status: int,
    body: bytes = b"",
    *,
    retry_after: str | None = None,
    fault: Fault | None = None,
    has_created: bool = True,
    is_current_token: bool = True,
    detail: str = "",
) -> Verdict:
    reply = Reply(status, body, retry_after, None, fault, detail)
    return classify(reply, has_created=has_created, is_current_token=is_current_token, wall_s=NOW_S)


ROWS: list[tuple[str, int, bytes, dict[str, Any], VerdictKind]] = [
    ("the documented success", 200, OK, {}, CREATED),
    ("201 is as good", 201, OK, {}, CREATED),
    ("a byte order mark is no part of JSON", 200, b"\xef\xbb\xbf" + OK, {}, CREATED),
    ("nor of a refusal", 400, b"\xef\xbb\xbf" + REFUSED, {}, REJECTED),
    ("Value may hold more", 200, b'{"WasSuccessful":true,"Value":{"Id":1,"Name":"x"}}', {}, CREATED),
    ("the largest id", 200, b'{"WasSuccessful":true,"Value":{"Id":%d}}' % ID_MAX, {}, CREATED),
    ("an id above 2^63-1", 200, b'{"WasSuccessful":true,"Value":{"Id":%d}}' % (ID_MAX + 1), {}, IN_DOUBT),
    ("the body's Status never decides", 200, OK.replace(b'"Status":200', b'"Status":500'), {}, CREATED),
    ("202 is not a success", 202, OK, {}, IN_DOUBT),
    ("an id that is a bool", 200, b'{"WasSuccessful":true,"Value":{"Id":true}}', {}, IN_DOUBT),
    ("an id that is text", 200, b'{"WasSuccessful":true,"Value":{"Id":"7"}}', {}, IN_DOUBT),
    ("an id that is 0", 200, b'{"WasSuccessful":true,"Value":{"Id":0}}', {}, IN_DOUBT),
    ("an id that is negative", 200, b'{"WasSuccessful":true,"Value":{"Id":-7}}', {}, IN_DOUBT),
    ("an id that is a float", 200, b'{"WasSuccessful":true,"Value":{"Id":7.0}}', {}, IN_DOUBT),
    ("WasSuccessful is 1", 200, b'{"WasSuccessful":1,"Value":{"Id":7}}', {}, IN_DOUBT),
    ("no WasSuccessful", 200, b'{"Value":{"Id":7}}', {}, IN_DOUBT),
    ("Value is a bare id", 200, b'{"WasSuccessful":true,"Value":7}', {}, IN_DOUBT),
    ("200 with a refusal", 200, REFUSED, {}, REJECTED),
    ("200 with a refusal by message", 200, b'{"WasSuccessful":false,"Message":"no"}', {}, REJECTED),
    ("200 refused without a word", 200, b'{"WasSuccessful":false,"Message":"","Errors":[]}', {}, IN_DOUBT),
    ("201 with a refusal makes no sense", 201, REFUSED, {}, IN_DOUBT),
    ("200, cut JSON", 200, OK[:-1], {}, IN_DOUBT),
    ("200, empty", 200, b"", {}, IN_DOUBT),
    ("200, HTML", 200, HTML, {}, IN_DOUBT),
    ("200, a list", 200, b"[1]", {}, IN_DOUBT),
    ("204", 204, b"", {}, IN_DOUBT),
    ("205", 205, b"", {}, IN_DOUBT),
    ("409 with Errors is the record's own", 409, ERRORS_ONLY, {}, REJECTED),
    ("but with Retry-After it is a throttle", 409, ERRORS_ONLY, {"retry_after": "1"}, THROTTLED),
    ("409 with empty Errors", 409, b'{"Errors":[]}', {}, THROTTLED),
    ("409 with Errors null", 409, b'{"Errors":null,"Message":"slow down"}', {}, THROTTLED),
    ("409 empty", 409, b"", {}, THROTTLED),
    ("409 with HTML", 409, HTML, {}, THROTTLED),
    ("429", 429, b"", {}, THROTTLED),
    ("429 with an envelope", 429, REFUSED, {}, THROTTLED),
    ("400 with the envelope", 400, REFUSED, {}, REJECTED),
    ("400 with a message alone", 400, b'{"Message":"An id is wrong"}', {}, REJECTED),
    ("400 with a gateway's JSON", 400, b'{"error":"bad request"}', {}, STOP),
    ("400 with HTML", 400, HTML, {}, STOP),
    ("400 empty", 400, b"", {}, STOP),
    ("413 with the envelope", 413, REFUSED, {}, REJECTED),
    ("413 of a proxy", 413, HTML, {}, IN_DOUBT),
    ("415 with the envelope", 415, REFUSED, {}, REJECTED),
    ("422 with the envelope", 422, REFUSED, {}, REJECTED),
    ("404 Not found about the pair", 404, b'"Not found"', {}, REJECTED),
    ("404 before anything was created", 404, b'"Not found"', {"has_created": False}, STOP),
    ("404 null is JSON", 404, b"null", {}, REJECTED),
    ("404 of a web server", 404, HTML, {}, STOP),
    ("401 on an old token", 401, b"", {"is_current_token": False}, UNSENT),
    ("401 on the current token", 401, b"", {}, UNAUTHORIZED),
    ("403 of a firewall", 403, HTML, {}, STOP),
    ("403", 403, b"", {}, STOP),
    ("405", 405, b"", {}, STOP),
    ("301", 301, b"", {}, STOP),
    ("304", 304, b"", {}, STOP),
    ("308", 308, OK, {}, STOP),
    ("503 with Retry-After", 503, b"", {"retry_after": "2"}, IN_DOUBT),
    ("503", 503, HTML, {}, IN_DOUBT),
    ("408", 408, b"", {}, IN_DOUBT),
    ("410", 410, b"", {}, IN_DOUBT),
    ("500 with the envelope", 500, REFUSED, {}, IN_DOUBT),
    ("502", 502, HTML, {}, IN_DOUBT),
    ("504", 504, HTML, {"retry_after": "2"}, IN_DOUBT),
    ("522", 522, HTML, {}, IN_DOUBT),
    ("a status nobody defined", 999, OK, {}, IN_DOUBT),
    ("0 without a fault", 0, OK, {}, IN_DOUBT),
]


@pytest.mark.parametrize(("status", "body", "known", "kind"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS])
def test_each_reply_means_what_the_table_says(
    status: int, body: bytes, known: dict[str, Any], kind: VerdictKind
) -> None:
    assert verdict(status, body, **known).kind is kind


@pytest.mark.parametrize("fault", list(Fault))
def test_a_fault_is_unsent_only_if_no_byte_was_written(fault: Fault) -> None:
    before_first_byte = {
        Fault.REFUSED, Fault.UNREACHABLE, Fault.NAME, Fault.CONNECT_TIMEOUT, Fault.TLS, Fault.PROXY, Fault.UNSENT,
    }  # fmt: skip
    found = verdict(0, fault=fault)
    assert found.kind is (UNSENT if fault in before_first_byte else IN_DOUBT)
    assert found.message == fault.value
    assert before_first_byte == UNSENT_FAULTS


def test_created_carries_the_id_and_nothing_else() -> None:
    assert verdict(200, OK) == Verdict(CREATED, 87654321)


def test_a_rejection_brings_the_servers_errors() -> None:
    found = verdict(400, REFUSED)
    assert found.errors == (FieldError("Name", "is a required field"),)
    assert found.message == "Name: is a required field"
    assert verdict(409, ERRORS_ONLY).message == "CourseMemberId: taken"


def test_errors_are_cut_cleaned_and_never_empty() -> None:
    listed = [{"Message": "a\x1b[2Jb\n\u202ec " + "z" * 400, "PropertyName": None}, "plain", 7, {}, None]
    found = verdict(400, orjson.dumps({"Errors": listed + [{"PropertyName": "P"}] * 99}))
    assert len(found.errors[0].message) == 300
    assert found.errors[0].message.startswith("a [2Jb c zzz")
    assert found.errors[1:3] == (FieldError("", "plain"), FieldError("P", ""))
    assert len(found.errors) == ERRORS_KEPT - 3


def test_everyone_pauses_for_throttles_and_a_stated_503_alone() -> None:
    assert verdict(409).is_slow_down
    assert verdict(409).retry_after_s is None
    assert verdict(429, retry_after="3").retry_after_s == 3.0
    busy = verdict(503, retry_after="2")
    assert (busy.kind, busy.is_slow_down, busy.retry_after_s) == (IN_DOUBT, True, 2.0)
    assert verdict(503, retry_after="soon") == verdict(503)
    assert not verdict(500, retry_after="2").is_slow_down


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (403, HTML, "firewall?"),
        (403, b"", "forbidden"),
        (302, b"", "redirect"),
        (404, HTML, "base URL"),
        (405, b"", "no POST"),
        (400, HTML, "proxy or gateway"),
        (401, b"", "lacks a role"),
    ],
)
def test_a_stop_says_what_to_check(status: int, body: bytes, words: str) -> None:
    message = verdict(status, body).message
    assert words in message
    assert f"HTTP {status}" in message


@pytest.mark.parametrize(
    "text",
    [
        "invalid: canary-token-8c1f",
        "Authorization: Bearer canary-token-8c1f",
        '{"access_token":"canary-token-8c1f"}',
        "bearer\ncanary-token-8c1f,",
        "x" * 190 + " canary-token-8c1f",
        " " * 390 + "canary-token-8c1f",
        "\n" * 590 + "canary-token-8c1f" + "x" * 100,
    ],
)
def test_nothing_like_a_token_is_quoted(text: str) -> None:
    for reply in (
        Reply(502, text.encode()),
        Reply(403, text.encode()),
        Reply(400, orjson.dumps({"Message": text, "Errors": [{"Message": text, "PropertyName": text}]})),
        Reply(0, fault=Fault.LOST, detail=text),
    ):
        shown = repr(classify(reply, has_created=True, is_current_token=True, wall_s=NOW_S))
        assert "canary" not in shown
        assert "8c1f" not in shown


def test_plain_words_stay_readable() -> None:
    assert "CourseCompletedLesson was successfully" in verdict(202, OK).message
    assert "/api/content/coursecompletedlessons" in verdict(404, b"no /api/content/coursecompletedlessons").message


def test_a_quote_is_short_even_of_a_long_body() -> None:
    assert len(verdict(502, b"lorem ipsum " * 100_000).message) < QUOTE_CHARS + 40
    assert len(verdict(502, b"a" * 1_000_000).message) < QUOTE_CHARS + 40


def test_people_see_the_whole_table() -> None:
    assert len(REPLY_TABLE) == len(RULES)
    assert REPLY_TABLE[2][0] == "200 or 201, WasSuccessful true, Value.Id a positive integer"


# ---- total


def test_every_status_has_a_verdict() -> None:
    for status, is_current_token in product(range(1000), (True, False)):
        for body in (b"", OK, REFUSED, HTML, b'"Not found"'):
            kind = verdict(status, body, is_current_token=is_current_token).kind
            assert (kind is CREATED) == (status in (200, 201) and body is OK)


scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    scalars, lambda v: st.lists(v, max_size=4) | st.dictionaries(st.text(), v, max_size=4), max_leaves=8
)
envelopes = st.fixed_dictionaries(
    {},
    optional={
        "WasSuccessful": st.booleans() | scalars,
        "Value": st.fixed_dictionaries({"Id": st.integers(-5, 2**64 - 1) | scalars}) | values,
        "Errors": st.lists(st.fixed_dictionaries({}, optional={"Message": scalars, "PropertyName": scalars}) | values),
        "Message": scalars,
        "Status": st.integers(0, 999),
    },
)
bodies = st.binary() | (envelopes | values).map(orjson.dumps) | st.integers(0, 5000).map(lambda n: b"[" * n + b"]" * n)
statuses = st.sampled_from([200, 201, 204, 302, 400, 401, 403, 404, 409, 422, 429, 500, 503]) | st.integers(0, 999)
headers = st.none() | st.text() | st.sampled_from(["1", "0", "-1", "Sun Nov  6 08:49:38 1994"])


@given(statuses, bodies, headers, headers, st.none() | st.sampled_from(Fault), st.booleans(), st.booleans())
@settings(max_examples=300, deadline=None)
def test_any_reply_has_a_verdict_and_claims_only_what_is_known(
    status: int,
    body: bytes,
    retry_after: str | None,
    date: str | None,
    fault: Fault | None,
    has_created: bool,
    is_current_token: bool,
) -> None:
    reply = Reply(status, body, retry_after, date, fault)
    found = classify(reply, has_created=has_created, is_current_token=is_current_token, wall_s=NOW_S)
    if fault is not None:
        assert found.kind is (UNSENT if fault in UNSENT_FAULTS else IN_DOUBT)
        assert not found.is_slow_down
    assert (found.kind is CREATED) == (fault is None and proves_creation(status, body))
    assert (found.record_id > 0) == (found.kind is CREATED)
    assert created_id(reply) == found.record_id  # the short cut answers as the table does
    assert found.retry_after_s is None or 0 <= found.retry_after_s <= RETRY_AFTER_MAX_S
    assert found.message or found.kind is CREATED
    assert all(part.isprintable() for e in found.errors for part in e)


def proves_creation(status: int, body: bytes) -> bool:
    """The same by another way than the module's own."""
    try:
        match orjson.loads(body.removeprefix(b"\xef\xbb\xbf")):
            case {"WasSuccessful": True as won, "Value": {"Id": int(record_id)}} if won is True:
                return status in (200, 201) and not isinstance(record_id, bool) and 1 <= record_id <= ID_MAX
    except ValueError:
        pass
    return False


def test_json_nested_too_deep_is_no_json() -> None:
    deep = b'{"Message":' * 100_000 + b"1" + b"}" * 100_000
    assert verdict(400, deep).kind is STOP

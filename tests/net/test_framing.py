"""Replies whole, sliced, cut, ambiguous and with something behind them; any slicing must give the same Reply."""

from __future__ import annotations

import gzip
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkwriter.model import Fault, Reply
from bulkwriter.net.framing import ReplyReader

BODY = b'{"Value":{"Id":7},"WasSuccessful":true}'
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 39\r\n\r\n" + BODY
THROTTLE = b"HTTP/1.1 409 Conflict\r\nretry-AFTER: 1\r\nDate: Mon\r\nContent-Length: 0\r\n\r\n"
CHUNKED = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n3;x=y\r\n12}\r\n0\r\n\r\n'
TRAILER = CHUNKED[:-2] + b"Retry-After: 9\r\n\r\n"
GZIP_CHUNK = b"4\r\n\x1f\x8b\x08\x00\r\n0\r\n\r\n"
GZIPPED = gzip.compress(BODY)


def reader(head_bytes: int = 4_096, body_bytes: int = 4_096, *, is_for_calls: bool = False) -> ReplyReader:
    return ReplyReader(head_bytes=head_bytes, body_bytes=body_bytes, is_for_calls=is_for_calls)


def read(data: bytes, *, size: int | None = None, into: ReplyReader | None = None, ends: bool = False) -> Reply | None:
    """Feed `data` in slices of `size` until a Reply comes; `ends`: then a clean end of the connection."""
    r = into or reader()
    step = size or len(data)
    for start in range(0, len(data), step):
        reply = r.feed(data[start : start + step])
        if reply is not None:
            rest = data[start + step :]
            return reply if not rest else Reply(0, fault=Fault.SHIFTED, detail="rest")
    return r.end(is_clean=True) if ends else None


def head(*lines: str, status: str = "HTTP/1.1 200 OK") -> bytes:
    return "\r\n".join((status, *lines, "", "")).encode()


WHOLE = {
    "plain": (OK, Reply(200, BODY)),
    "created": (OK.replace(b"200 OK", b"201 Created"), Reply(201, BODY)),
    "no reason phrase": (OK.replace(b"200 OK", b"200"), Reply(200, BODY)),
    "throttle": (THROTTLE, Reply(409, b"", "1", "Mon")),
    "repeated Retry-After": (THROTTLE.replace(b"Date: Mon", b"Retry-After: 5"), Reply(409, b"", "1, 5")),
    "chunked": (CHUNKED, Reply(200, b'{"a":12}')),
    "trailer is no header": (TRAILER.replace(b"200 OK", b"503 No"), Reply(503, b'{"a":12}')),
    "100 before": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, Reply(200, BODY)),
    "103 and 100 before": (head("Retry-After: 3", status="HTTP/1.1 103 Hints") + b"HTTP/1.1 100 C\r\n\r\n" + THROTTLE,
                           Reply(409, b"", "1", "Mon")),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", Reply(204)),
    "304": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", Reply(304)),
    "redirect": (head("Location: http://127.0.0.2/", "Content-Length: 0", status="HTTP/1.1 307 T"), Reply(307)),
    "upgrade offered": (OK.replace(b"\r\nC", b"\r\nUpgrade: h2,h2c\r\nConnection: Upgrade, Keep-Alive\r\nC"),
                        Reply(200, BODY)),
    "identity": (OK.replace(b"\r\nC", b"\r\nContent-Encoding: Identity\r\nC"), Reply(200, BODY)),
    "encoded but empty": (head("Content-Encoding: gzip", "Content-Length: 0", status="HTTP/1.1 409 C"), Reply(409)),
    "body ends in line ends": (head("Content-Length: 4") + b"{}\r\n", Reply(200, b"{}\r\n")),
    "body is line ends": (head("Content-Length: 4", status="HTTP/1.1 500 E") + b"\r\n\r\n", Reply(500, b"\r\n\r\n")),
    "HTML": (head("Content-Length: 6", status="HTTP/1.1 502 Bad") + b"<html>", Reply(502, b"<html>")),
    "status 599": (head("Content-Length: 0", status="HTTP/1.1 599 Odd"), Reply(599)),
}  # fmt: skip


@pytest.mark.parametrize("is_for_calls", [False, True])
@pytest.mark.parametrize("size", [None, 1, 2, 3, 7])
@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_reply_is_read_whatever_its_slices(name: str, size: int | None, is_for_calls: bool) -> None:
    data, expected = WHOLE[name]
    r = reader(is_for_calls=is_for_calls)
    for _ in range(3):  # the first reply of a connection and the later ones take different ways
        assert read(data, size=size, into=r) == expected
        assert r.keeps_open


@pytest.mark.parametrize(
    ("lines", "age_s"),
    [
        ([], 0.0),
        (["Age: 0"], 0.0),
        (["age:  300 "], 300.0),
        (["Age: 7", "Age: 300"], 300.0),
        (["Age: 7, 12"], 12.0),
        (["Age: -1"], 0.0),
        (["Age: soon, 9"], 9.0),
    ],
)
def test_replies_to_calls_tell_how_long_a_cache_had_kept_them(lines: list[str], age_s: float) -> None:
    data = head(*lines, f"Content-Length: {len(BODY)}") + BODY
    r = reader(is_for_calls=True)
    for _ in range(3):
        assert read(data, into=r) == Reply(200, BODY, age_s=age_s)


def date_of(at: str, *lines: str, into: ReplyReader) -> str | None:
    """What a reply with this Date tells of it."""
    reply = read(head(*lines, f"Date: {at}", f"Content-Length: {len(BODY)}") + BODY, into=into)
    assert reply
    return reply.date


NOON, LATER = "Mon, 30 Nov 2026 12:00:00 GMT", "Mon, 30 Nov 2026 12:00:01 GMT"


def test_a_reply_to_a_call_always_tells_its_date_and_one_to_a_create_where_it_is_new() -> None:
    """The first reply of a connection, one like it, another second, one like that, the first second again."""
    calls, creates = reader(is_for_calls=True), reader()
    dates = (NOON, NOON, NOON, LATER, LATER, NOON)
    assert [date_of(at, into=calls) for at in dates] == list(dates)
    assert [date_of(at, into=creates) for at in dates] == [NOON, NOON, None, LATER, None, NOON]


def test_a_date_is_told_once_however_the_heads_around_it_differ() -> None:
    r = reader()
    date_of(NOON, into=r)
    told = [date_of(NOON, f"Ray: {'x' * (ray % 3)}{ray}", into=r) for ray in range(8)]
    assert told == [NOON] + [None] * 7
    assert date_of(LATER, "Ray: 8", into=r) == LATER


@pytest.mark.parametrize("name", ["Date", "date", "DATE"])
@pytest.mark.parametrize("value", [NOON, "", "soon", "  " + NOON + "  "])
def test_a_new_date_is_told_as_it_stands_with_the_age_of_the_reply(name: str, value: str) -> None:
    """A reply that a cache kept says so; what the Date then means is for others to judge."""
    r = reader()
    read(OK, into=r)
    got = read(head(f"{name}: {value}", "aGE: 300", f"Content-Length: {len(BODY)}") + BODY, into=r)
    assert got == Reply(200, BODY, date=value.strip(), age_s=300.0)


@given(st.integers(0, len(OK) - 1), st.integers(0, 255), st.booleans())
@settings(max_examples=300)
def test_a_reply_nearly_like_the_last_is_read_as_if_there_was_none(at: int, byte: int, grows: bool) -> None:
    data = OK[:at] + bytes([byte]) + OK[at + (not grows) :]
    used, other = reader(), reader()
    for _ in range(3):
        assert read(OK, into=used) == read(OK.replace(b"OK", b"Fine"), into=other) == Reply(200, BODY)
    assert used.feed(data) == other.feed(data)
    assert used.keeps_open == other.keeps_open


BROKEN = {
    "garbage": (b"\x16\x03\x01\x02\x00", Fault.GARBLED),
    "HTML without head": (b"<html><body>502</body></html>", Fault.GARBLED),
    "SMTP": (b"220 mail ready\r\n", Fault.GARBLED),
    "two lengths": (head("Content-Length: 5", "Content-Length: 6"), Fault.GARBLED),
    "length and chunks": (head("Content-Length: 5", "Transfer-Encoding: chunked"), Fault.GARBLED),
    "chunks and length": (head("Transfer-Encoding: chunked", "Content-Length: 5"), Fault.GARBLED),
    "negative length": (head("Content-Length: -5"), Fault.GARBLED),
    "length with plus": (head("Content-Length: +5"), Fault.GARBLED),
    "length in hex": (head("Content-Length: 0x5"), Fault.GARBLED),
    "list of lengths": (head("Content-Length: 5, 5"), Fault.GARBLED),
    "length overflow": (head("Content-Length: 99999999999999999999999"), Fault.GARBLED),
    "bad chunk size": (head("Transfer-Encoding: chunked") + b"zz\r\n", Fault.GARBLED),
    "bare line feeds": (b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", Fault.GARBLED),
    "NUL in a header": (head("X: a\0b", "Content-Length: 0"), Fault.GARBLED),
    "101 with upgrade": (head("Upgrade: h2c", "Connection: Upgrade", status="HTTP/1.1 101 Switching"), Fault.GARBLED),
    "101 alone": (head(status="HTTP/1.1 101 Switching"), Fault.GARBLED),
    "status 099": (head("Content-Length: 0", status="HTTP/1.1 099 Odd"), Fault.GARBLED),
    "status of two digits": (head("Content-Length: 0", status="HTTP/1.1 20 OK"), Fault.GARBLED),
    "HTTP/3.7": (head("Content-Length: 0", status="HTTP/3.7 200 OK"), Fault.GARBLED),
    "a request": (b"GET / HTTP/1.1\r\n\r\n", Fault.GARBLED),
    "line end before": (b"\r\n" + OK, Fault.GARBLED),
    "gzip": (head("Content-Encoding: gzip", f"Content-Length: {len(GZIPPED)}") + GZIPPED, Fault.ENCODED),
    "gzip in chunks": (head("content-ENCODING: x-gzip", "Transfer-Encoding: chunked") + GZIP_CHUNK, Fault.ENCODED),
    "gzip as transfer": (head("Transfer-Encoding: gzip, chunked") + GZIP_CHUNK, Fault.ENCODED),
    "an encoding of controls": (head("Content-Encoding: \x9b31m", "Content-Length: 2") + b"hi", Fault.ENCODED),
    "head too long": (head("X: " + "a" * 5_000), Fault.OVERSIZED),
    "many headers": (head(*["A: b"] * 1_000), Fault.OVERSIZED),
    "1xx without end": (b"HTTP/1.1 100 Continue\r\n\r\n" * 300, Fault.OVERSIZED),
    "body too long": (head("Content-Length: 5000") + b"{" * 5_000, Fault.OVERSIZED),
    "chunks too long": (head("Transfer-Encoding: chunked") + b"400\r\n" + b"{" * 1_024 + b"\r\n400\r\n" + b"{" * 1_024
                        + b"\r\n800\r\n" + b"{" * 2_048 + b"\r\n1\r\n{\r\n0\r\n\r\n", Fault.OVERSIZED),
}  # fmt: skip


def believed(reply: Reply | None, data: bytes) -> str:
    return f"{reply} for {data[:80]!r}"


@pytest.mark.parametrize("size", [None, 1, 5])
@pytest.mark.parametrize("name", BROKEN)
def test_what_is_not_plainly_a_reply_is_not_believed(name: str, size: int | None) -> None:
    data, fault = BROKEN[name]
    for is_first in (True, False):
        r = reader()
        if not is_first:
            assert read(OK, into=r) == Reply(200, BODY)
        for start in range(0, len(data), size or len(data)):
            reply = r.feed(data[start : start + (size or len(data))])
            if reply is not None:
                break
        assert reply is not None
        assert (reply.status, reply.body, reply.fault) == (0, b"", fault), believed(reply, data)
        assert reply.detail.isprintable()


BEHIND = [b"\r\n", b"\n", b"H", b"HTTP/1.1 200 OK\r\n", OK, b"\0", b"  "]


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("name", WHOLE)
def test_bytes_behind_a_reply_shift_it(name: str, behind: bytes) -> None:
    data, expected = WHOLE[name]
    closing = data.replace(b"HTTP/1.1 2", b"HTTP/1.0 2")  # no keep-alive: llhttp takes another way behind the end
    for first in (b"", OK):
        for whole in (data, closing):
            r = reader()
            if first:
                assert read(first, into=r)
            reply = r.feed(whole + behind)
            assert reply is not None
            assert reply.fault is Fault.SHIFTED, (expected, whole + behind)
            r = reader()
            cut = len(whole) // 2
            assert r.feed(whole[:cut]) is None
            reply = r.feed(whole[cut:] + behind)
            assert reply is not None
            assert reply.fault is Fault.SHIFTED, (expected, whole + behind)


@pytest.mark.parametrize(
    ("lines", "keeps_open", "keep_alive_s"),
    [
        (["HTTP/1.1 200 OK"], True, None),
        (["HTTP/1.1 200 OK", "Connection: close"], False, None),
        (["HTTP/1.1 200 OK", "connection: foo, CLOSE"], False, None),
        (["HTTP/1.1 200 OK", "Connection: keep-alive", "Keep-Alive: timeout=5, max=100"], True, 5.0),
        (["HTTP/1.1 200 OK", "KEEP-alive: max=100, Timeout = 15"], True, 15.0),
        (["HTTP/1.1 200 OK", "Keep-Alive: timeout=soon"], True, None),
        (["HTTP/1.0 200 OK"], False, None),
        (["HTTP/1.0 200 OK", "Connection: Keep-Alive", "Keep-Alive: timeout=0"], True, 0.0),
    ],
)
def test_whether_and_how_long_the_server_keeps_the_connection(
    lines: list[str], keeps_open: bool, keep_alive_s: float | None
) -> None:
    r = reader()
    assert read(head(*lines[1:], "Content-Length: 2", status=lines[0]) + b"{}", into=r) == Reply(200, b"{}")
    assert (r.keeps_open, r.keep_alive_s) == (keeps_open, keep_alive_s)


@pytest.mark.parametrize("size", [None, 1, 3])
@pytest.mark.parametrize(
    "data",
    [head() + BODY, head("Connection: close") + BODY, head(status="HTTP/1.0 200 OK") + BODY],
    ids=["1.1", "close", "1.0"],
)
def test_a_body_without_length_ends_with_the_connection(data: bytes, size: int | None) -> None:
    r = reader()
    assert read(data, size=size, into=r, ends=True) == Reply(200, BODY)
    assert not r.keeps_open
    r = reader()
    assert read(data, size=size, into=r) is None
    assert r.end(is_clean=False).fault is Fault.CUT


def test_an_empty_body_without_length_is_believed_after_a_clean_end() -> None:
    assert read(head("Retry-After: 1", status="HTTP/1.0 409 C"), ends=True) == Reply(409, b"", "1")


@pytest.mark.parametrize("is_clean", [True, False])
@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", Fault.LOST),
        (b"HTTP/1.1 100 Continue\r\n\r\n", Fault.LOST),
        (b"H", Fault.CUT),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 20", Fault.CUT),
        (b"HTTP/1.1 200 OK\r\nContent-Le", Fault.CUT),
        (OK[:-1], Fault.CUT),
        (OK[:-39], Fault.CUT),
        (CHUNKED[:-1], Fault.CUT),
        (head("Transfer-Encoding: gzip") + b"{}", Fault.CUT),
    ],
)
def test_a_reply_that_ends_early(data: bytes, fault: Fault, is_clean: bool) -> None:
    for size in (None, 1):
        r = reader()
        assert not data or read(data, size=size, into=r) is None
        assert r.end(is_clean=is_clean).fault is fault


def test_bounds_hold_to_the_byte() -> None:
    start = head("Content-Length: 100")
    whole = start + b"{" * 100
    for size in (None, 1, 50):
        assert read(whole, size=size, into=reader(len(start), 100)) == Reply(200, b"{" * 100)
        for r in (reader(len(start) - 1, 100), reader(len(start), 99)):
            reply = read(whole, size=size, into=r)
            assert reply is not None
            assert reply.fault in (Fault.OVERSIZED, Fault.SHIFTED)


def test_a_reply_of_many_slices_is_read_in_time() -> None:
    body = b"[" + b"1," * 100_000 + b"1]"
    data = head(f"Content-Length: {len(body)}") + body
    reply = read(data, size=9, into=reader(4_096, 1 << 20))
    assert reply is not None
    assert reply.body == body


@settings(max_examples=150, deadline=None)
@given(
    names=st.lists(st.sampled_from(sorted(WHOLE)), min_size=1, max_size=4),
    cuts=st.lists(st.integers(0, 300), max_size=12),
)
def test_any_slicing_gives_the_same_replies(names: list[str], cuts: list[int]) -> None:
    r = reader()
    for name in names:
        data, expected = WHOLE[name]
        marks = sorted({c for c in cuts if 0 < c < len(data)} | {0, len(data)})
        replies = [r.feed(data[a:b]) for a, b in pairwise(marks)]
        assert replies == [None] * (len(replies) - 1) + [expected]


@settings(max_examples=300, deadline=None)
@given(
    data=st.binary(max_size=200)
    | st.tuples(st.sampled_from([d for d, _ in WHOLE.values()]), st.integers(0, 200), st.binary(max_size=6)).map(
        lambda t: t[0][: t[1]] + t[2] + t[0][t[1] :]
    ),
    size=st.integers(1, 60),
    is_clean=st.booleans(),
)
def test_nothing_a_server_sends_raises(data: bytes, size: int, is_clean: bool) -> None:
    r = reader(200, 200)
    for start in range(0, len(data), size):
        reply = r.feed(data[start : start + size])
        if reply is not None:
            break
    else:
        reply = r.end(is_clean=is_clean)
    assert (reply.status >= 200) == (reply.fault is None)
    assert len(reply.body) <= 200


def test_a_server_that_answers_with_a_tls_alert_is_told_as_that() -> None:
    reply = ReplyReader(head_bytes=65_536, body_bytes=65_536).feed(b"\x15\x03\x03\x00\x02\x02\x46")
    assert reply is not None
    assert reply.fault is Fault.GARBLED
    assert "this port speaks TLS" in reply.detail

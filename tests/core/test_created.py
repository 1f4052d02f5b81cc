"""A reply told by its ends and digits means what parsing it says, whatever is around and between the digits."""

from __future__ import annotations

from collections.abc import Callable

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkwriter.core.classify import created_id
from bulkwriter.core.created import PATIENCE, UsualReply
from bulkwriter.model import ID_MAX, Reply
from bulkwriter.net.framing import ReplyReader

BODY = b'{"Status":200,"Message":"ok","Value":{"Id":%b},"UpdatedOn":"%b","Errors":null,"WasSuccessful":true}'
HEAD = b"HTTP/1.1 %d OK\r\nServer: s\r\nContent-Length: %d\r\n\r\n"


def text_of(body: bytes, *, status: int = 200) -> bytes:
    return HEAD % (status, len(body)) + body


def text(record_id: object, at: str = "10:30", *, status: int = 200) -> bytes:
    return text_of(BODY % (str(record_id).encode(), at.encode()), status=status)


class Both:
    """The fast reading beside the plain one, on a connection that has answered before."""

    def __init__(self) -> None:
        self.parsed = 0
        self.usual = UsualReply(self._parse)
        self.reader = ReplyReader(head_bytes=4_096, body_bytes=4_096)
        self.reader.feed(text_of(b"{}"))

    def _parse(self, reply: Reply) -> int:
        self.parsed += 1
        return created_id(reply)

    def plain(self, data: bytes) -> tuple[Reply | None, int]:
        reply = self.reader.feed(data)
        return reply, created_id(reply) if reply else 0

    def read(self, data: bytes) -> int:
        """The id, and learn from a reply that had to be parsed; what the fast way says is what the plain way says."""
        found = self.usual.ids_in([data])[0]
        reply, record_id = self.plain(data)
        if found:
            assert reply is not None
            assert (found, self.usual.status) == (record_id, reply.status)
            assert self.reader.keeps_open
        elif reply is not None and record_id:
            self.usual.learn(self.reader.text, reply, record_id)
        return record_id

    def is_known(self, data: bytes) -> bool:
        return bool(self.usual.ids_in([data])[0])


def test_a_text_that_was_learnt_is_not_parsed_again() -> None:
    both = Both()
    assert both.read(text(178)) == 178
    assert both.parsed == 1  # to prove that the number is the id
    assert both.usual.ids_in([text(number) for number in (100, 999, 178)]) == [100, 999, 178]
    assert not both.is_known(text(1_000))  # of another length


@pytest.mark.parametrize("number", [1, 9, 10, 99, 10**17, 10**18 - 1])
def test_any_number_of_up_to_18_digits_is_learnt(number: int) -> None:
    both = Both()
    both.read(text(number))
    assert both.usual.ids_in([text(number)])[0] == number


def test_a_longer_number_is_never_sure_without_a_look() -> None:
    both = Both()
    assert both.read(text(ID_MAX)) == ID_MAX
    assert not both.is_known(text(ID_MAX))


def test_another_text_is_learnt_after_a_while_and_only_then() -> None:
    both = Both()
    both.read(text(100))
    for number in range(101, 101 + PATIENCE):
        assert not both.is_known(text(number, "10:31"))
        both.read(text(number, "10:31"))
    assert both.is_known(text(777, "10:31"))


@pytest.mark.parametrize(
    "wrong",
    ["", "0", "01", "-1", "1.5", "1e3", " 1", "1 ", "null", '"1"', "true", "1}", "+1", "1_0", "²", "012", "1e1"],
)
def test_only_a_plain_number_between_is_believed(wrong: str) -> None:
    for like in (1, 10, 178, 1780):
        both = Both()
        both.read(text(like))
        both.read(text(wrong))


def test_the_status_is_that_of_the_text() -> None:
    both = Both()
    both.read(text(178, status=201))
    assert both.usual.ids_in([text(179, status=201)])[0] == 179
    assert both.usual.status == 201
    for status in (200, 202, 500):
        assert not both.is_known(text(179, status=status))


@pytest.mark.parametrize(
    "odd",
    [
        lambda body: text_of(body).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        lambda body: b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body),
        lambda body: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
    ],
)
def test_a_reply_that_ends_its_connection_or_is_framed_within_is_not_learnt(odd: Callable[[bytes], bytes]) -> None:
    both = Both()
    data = odd(BODY % (b"178", b"10:30"))
    assert both.plain(data)[1] == 178
    assert both.reader.text == b""
    both.usual.learn(both.reader.text, Reply(200, b""), 178)
    assert not both.is_known(data)


def test_what_has_a_byte_too_many_or_too_few_is_not_the_same() -> None:
    both = Both()
    both.read(text(178))
    for data in (text(178) + b"\n", text(178)[:-1], text(178) + text(178), text(178)[1:], b""):
        assert not both.is_known(data)


DECEPTIVE: list[Callable[[int], bytes]] = [
    lambda n: b'{"Value":{"Name":"\\"Id\\":%d","Id":%d},"WasSuccessful":true}' % (n, n),
    lambda n: b'{"Value":{"a\\"Id":%d,"Id": %d},"WasSuccessful":true}' % (n, n),
    lambda n: b'{"Id":%d,"Value":{"Id":%d},"WasSuccessful":true}' % (n, n),
    lambda n: b'{"Value":{"Id":%d,"Id":%d},"WasSuccessful":true}' % (n, n),
    lambda n: b'{"Value":{"Id":%d0},"Was":"\\"Id\\":%d","WasSuccessful":true}' % (n, n),
    lambda n: b'{"WasSuccessful":true,"Value":{"Id":%d}}' % n,
]


@given(st.sampled_from(DECEPTIVE), st.lists(st.integers(1, 10**18), min_size=2, max_size=5), st.integers(1, 10**18))
@settings(max_examples=200)
def test_what_only_looks_like_the_id_is_not_taken_for_it(
    body: Callable[[int], bytes], first: list[int], number: int
) -> None:
    both = Both()
    for seen in first:
        both.read(text_of(body(seen)))
    both.read(text_of(body(first[0]).replace(b"%d" % first[0], b"%d" % number, 1)))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, ID_MAX) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["Id", "Value", "A"]), inner),
    max_leaves=6,
)


@given(st.lists(VALUES, max_size=4), st.lists(st.integers(1, ID_MAX), min_size=1, max_size=6))
@settings(max_examples=200)
def test_any_replies_give_what_parsing_gives(others: list[object], numbers: list[int]) -> None:
    both = Both()
    for other in (None, *others):
        for number in numbers:
            value = {"Id": number, "B": other}
            body = orjson.dumps({"Other": other, "Value": value, "WasSuccessful": other is None})
            both.read(text_of(body, status=201 if number % 2 else 200))

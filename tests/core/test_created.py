"""Ids read by what is around them are those that parsing gives, whatever is around and between."""

from __future__ import annotations

from collections.abc import Callable

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkwriter.core.classify import created_id
from bulkwriter.core.created import PATIENCE, CreatedIds
from bulkwriter.model import ID_MAX, Fault, Reply

BODY = b'{"Status":200,"Message":"ok","Value":{"Id":%b},"UpdatedOn":"%b","Errors":null,"WasSuccessful":true}'


def reply(record_id: object, at: str = "10:30", *, status: int = 200) -> Reply:
    return Reply(status, BODY % (str(record_id).encode(), at.encode()))


class Counting:
    """`created_id`, and how often it was asked."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, reply: Reply) -> int:
        self.count += 1
        return created_id(reply)


def test_a_text_that_was_learnt_is_not_parsed_again() -> None:
    parse = Counting()
    ids = CreatedIds(parse).read
    assert ids(reply(178)) == 178
    assert parse.count == 2  # and once to prove that the number is the id
    assert [ids(reply(number)) for number in (1, 999, 178, 10**18 - 1)] == [1, 999, 178, 10**18 - 1]
    assert parse.count == 2
    assert ids(reply(ID_MAX)) == ID_MAX  # too long to be sure without a look
    assert parse.count == 3


def test_another_text_is_learnt_after_a_while_and_only_then() -> None:
    parse = Counting()
    ids = CreatedIds(parse).read
    ids(reply(1))
    for number in range(PATIENCE):
        assert ids(reply(number + 1, "10:31")) == number + 1
    parsed = parse.count
    assert ids(reply(7, "10:31")) == 7
    assert parse.count == parsed == 2 + PATIENCE + 1


@pytest.mark.parametrize(
    "wrong", ["", "0", "01", "-1", "1.5", "1e3", " 1", "1 ", "null", '"1"', "true", "1}", "+1", "1_0", "²", "99" * 10]
)
def test_only_a_plain_number_between_is_believed(wrong: str) -> None:
    ids = CreatedIds(created_id).read
    ids(reply(178))
    assert ids(reply(wrong)) == created_id(reply(wrong))


def test_another_status_or_a_fault_is_not_the_same() -> None:
    ids = CreatedIds(created_id).read
    ids(reply(178))
    assert ids(reply(179, status=201)) == 179
    assert ids(reply(179, status=500)) == 0
    assert ids(reply(179)._replace(fault=Fault.CUT)) == 0


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
    text: Callable[[int], bytes], first: list[int], number: int
) -> None:
    ids = CreatedIds(created_id).read
    for seen in first:
        assert ids(Reply(200, text(seen))) == created_id(Reply(200, text(seen)))
    mixed = text(first[0]).replace(b"%d" % first[0], b"%d" % number, 1)
    assert ids(Reply(200, mixed)) == created_id(Reply(200, mixed))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, ID_MAX) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["Id", "Value", "A"]), inner),
    max_leaves=6,
)


@given(st.lists(VALUES, max_size=4), st.lists(st.integers(1, ID_MAX), min_size=1, max_size=6))
@settings(max_examples=200)
def test_any_replies_give_what_parsing_gives(others: list[object], numbers: list[int]) -> None:
    ids = CreatedIds(created_id).read
    for other in (None, *others):
        for number in numbers:
            body = orjson.dumps({"Other": other, "Value": {"Id": number, "B": other}, "WasSuccessful": other is None})
            assert ids(Reply(200, body)) == created_id(Reply(200, body))

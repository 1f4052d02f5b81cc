"""What holds for every source: cutting batches, strict ids, blocks and lines, and the first bytes.

The helpers below read bytes as a source would, without thread or file; the tests of each format use them too.
"""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkwriter.errors import SourceError, UsageError
from bulkwriter.model import ID_MAX, BadRow, Batch
from bulkwriter.sources.batches import RowBuffer, cut, printable, raw_text
from bulkwriter.sources.columns import Columns
from bulkwriter.sources.files import make_reader
from bulkwriter.sources.ids import parse_column, parse_id

brief = settings(max_examples=60, deadline=None)
HEAD = b"CourseLessonId,CourseMemberId\n"


class Row(NamedTuple):
    pair: tuple[int, int] | None
    line: int
    reason: str = ""
    raw: str = ""
    kind: str = ""


class FakeStream:
    """Bytes in pieces of the given sizes (the last size again and again), then an end or an error."""

    def __init__(self, data: bytes, sizes: list[int] | None = None, error: SourceError | None = None) -> None:
        self._data = data
        self._sizes = sizes or [65_536]
        self._error = error
        self._read = 0
        self.is_closed = False

    def read(self, size: int) -> bytes:
        step = self._sizes.pop(0) if len(self._sizes) > 1 else self._sizes[0]
        block = self._data[self._read : self._read + min(step, size)]
        self._read += len(block)
        if not block and self._error is not None:
            raise self._error
        return block

    def share(self) -> float | None:
        return self._read / len(self._data) if self._data else 1.0

    def check(self, *, is_torn: bool) -> None:
        pass

    def close(self) -> None:
        self.is_closed = True


def rows_in(batch: Batch) -> list[Row]:
    assert len(batch.pairs) == len(batch.lines) > 0
    assert set(batch.bad) == {i for i, pair in enumerate(batch.pairs) if pair is None}
    none = BadRow("", "")
    return [Row(p, n, *batch.bad.get(i, none)) for i, (p, n) in enumerate(zip(batch.pairs, batch.lines, strict=True))]


def batches(
    data: bytes,
    path: str = "x.csv",
    *,
    sizes: list[int] | None = None,
    error: SourceError | None = None,
    columns: Columns | None = None,
    line_bytes: int = 65_536,
) -> Iterator[Batch]:
    stream = FakeStream(data, sizes, error)
    reader = make_reader(stream, path, columns=columns or Columns(), line_bytes=line_bytes)
    reached = 0.0
    while (batch := reader.read()) is not None:
        fraction = reader.fraction()
        assert fraction is not None
        assert reached <= fraction <= 1.0
        reached = fraction
        yield batch
    assert reader.read() is None
    assert reader.fraction() == 1.0


def read_all(
    data: bytes, path: str = "x.csv", *, sizes: list[int] | None = None, line_bytes: int = 65_536
) -> list[Row]:
    return [row for batch in batches(data, path, sizes=sizes, line_bytes=line_bytes) for row in rows_in(batch)]


def reasons(data: bytes, path: str = "x.csv", line_bytes: int = 65_536) -> list[str]:
    return [row.reason for row in read_all(data, path, line_bytes=line_bytes)]


def outcome(data: bytes, path: str, sizes: list[int], line_bytes: int) -> list[Row] | str:
    """The rows, or the error in their place."""
    try:
        return read_all(data, path, sizes=sizes, line_bytes=line_bytes)
    except SourceError as error:
        return str(error)


# Ids


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1),
        ("9223372036854775807", ID_MAX),
        ("9223372036854775808", None),
        ("18446744073709551617", None),  # 1 modulo 2^64
        ("99999999999999999999999999", None),
        ("0", None),
        ("000", None),
        ("007", 7),
        ("0" * 5_000 + "7", 7),
        (" \t42\r\n", 42),
        ("", None),
        (" ", None),
        ("+1", None),
        ("-1", None),
        ("1.0", None),
        ("1e3", None),
        ("1_000", None),
        ("1 000", None),
        ("0x10", None),
        ("²", None),
        ("４２", None),  # full-width digits: int() takes them
        ("٤٢", None),  # Arabic digits too
        ("\u00a042", None),  # a no-break space is no white space here
        ("true", None),
        ("NaN", None),
    ],
)
def test_ids_are_strict(text: str, number: int | None) -> None:
    assert parse_id(text) == number
    assert parse_column([text]) in (None, [number])


@brief
@given(st.lists(st.text("0123456789 \t\r\n+-._eE,٤²", max_size=22), min_size=1, max_size=4))
def test_a_column_is_exactly_its_ids_or_nothing(texts: list[str]) -> None:
    exact = [parse_id(text) for text in texts]
    for text, number in zip(texts, exact, strict=True):
        assert (number is not None) == bool(
            re.fullmatch(r"[ \t\r\n]*0*[1-9][0-9]{0,18}[ \t\r\n]*", text) and int(text) <= ID_MAX
        )
    assert parse_column(texts) in (None, exact)


@brief
@given(st.lists(st.integers(1, ID_MAX), min_size=1))
def test_a_column_of_plain_ids_is_read_at_once(numbers: list[int]) -> None:
    assert parse_column([str(number) for number in numbers]) == numbers


# Batches


@brief
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 2)), max_size=20),
    st.lists(st.integers(1, 7), min_size=1, max_size=30),
)
def test_cut_batches_are_the_whole_again(kinds: list[tuple[bool, int]], cuts: list[int]) -> None:
    rows, line = RowBuffer(), 1
    for i, (is_bad, gap) in enumerate(kinds):
        line += gap
        if is_bad:
            rows.add_bad(BadRow(f"reason {i}", ""), line)
        else:
            rows.add_all([(i + 1, i + 1), (i + 1, i + 2)], line)
            line += 1
        line += 1
    rest: Batch | None = rows.batch() if rows else None
    whole = rows_in(rest) if rest else []
    found: list[Row] = []
    while rest is not None:
        size = cuts[len(found) % len(cuts)]
        head, rest = cut(rest, size)
        assert len(head.pairs) == size or rest is None
        found += rows_in(head)
    assert found == whole


def test_raw_text_is_short_and_cannot_steer_a_terminal() -> None:
    assert raw_text(b"a\x1b[2J\0\r\xff\xc3\xa9\xe2\x80\xae") == "a\\x1b[2J\\x00\\r\\xffé\\u202e"
    assert raw_text(b"11,x\r") == "11,x"
    assert raw_text(b"x" * 10_000) == "x" * 500
    assert raw_text("é".encode() * 1_000) == "é" * 500
    assert printable("plain, é") == "plain, é"


# Blocks and lines


@pytest.mark.slow
def test_memory_stays_bounded_whatever_the_lines_are() -> None:
    """One line of 20 MB, and a quote that never ends over 20 MB of lines."""
    long_lines = (b"7," + b" " * 400 + b"8\n") * 50_000
    for data in (HEAD + b"x" * 20_000_000 + b"\n1,2\n", HEAD + b'1,"' + long_lines):
        tracemalloc.start()
        try:
            count = sum(len(batch.pairs) for batch in batches(data))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert count in (2, 50_000)
        assert peak < 4_000_000


def test_long_lines_are_bad_and_the_next_line_is_read() -> None:
    data = HEAD + b"1,2\n" + b"9" * 100 + b",1\n3,4\n" + b"5," + b" " * 62 + b"6\n7," + b" " * 61 + b"8\n"
    for sizes in ([1], [7], [65_536]):
        rows = read_all(data, sizes=sizes, line_bytes=64)
        assert [(row.pair, row.line, row.reason) for row in rows] == [
            ((1, 2), 2, ""),
            (None, 3, "longer than 64 bytes"),
            ((3, 4), 4, ""),
            (None, 5, "longer than 64 bytes"),
            ((7, 8), 6, ""),
        ]


def test_rows_before_a_read_error_are_delivered_and_the_error_stays() -> None:
    trouble = SourceError("x.csv: cut short")
    reader = make_reader(FakeStream(HEAD + b"1,2\n3,4\n5,", error=trouble), "x.csv", columns=Columns(), line_bytes=64)
    batch = reader.read()
    assert batch is not None
    assert batch.pairs == [(1, 2), (3, 4)]
    for _ in range(2):
        with pytest.raises(SourceError, match="cut short"):
            reader.read()


def test_a_read_error_at_once_is_told() -> None:
    with pytest.raises(SourceError, match="cut short"):
        list(batches(b"", error=SourceError("x.csv: cut short")))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("CourseLessonId,CourseMemberId\n1,2\n".encode("utf-16"), "UTF-16"),
        (b"\xfe\xff\0C\0o", "UTF-16"),
        ("CourseLessonId,CourseMemberId\n".encode("utf-32-be"), "UTF-32"),
        (b"\x1f\x8b\x08\0....", "gzip"),
        (b"PK\x03\x04....", "ZIP"),
    ],
)
def test_bytes_that_are_no_text_are_told(data: bytes, words: str) -> None:
    for sizes in ([1], [65_536]):
        with pytest.raises(SourceError, match=words) as caught:
            read_all(data, sizes=sizes)
        assert caught.value.hint
        assert caught.value.exit_code == 6


@pytest.mark.parametrize(
    ("data", "pairs"),
    [
        (HEAD + b"1,2\n", [(1, 2)]),
        (b"\xef\xbb\xbf" + HEAD + b"1,2", [(1, 2)]),
        (b"\n \r\n" + HEAD + b"1,2", [(1, 2)]),
        (b'{"CourseLessonId": 1, "CourseMemberId": 2}', [(1, 2)]),
        (b'\xef\xbb\xbf\n  {"CourseLessonId": 1, "CourseMemberId": 2}\n', [(1, 2)]),
        (HEAD, []),
    ],
)
def test_standard_input_is_told_by_its_first_byte(data: bytes, pairs: list[tuple[int, int]]) -> None:
    for sizes in ([1], [65_536]):
        assert [row.pair for row in read_all(data, "-", sizes=sizes)] == pairs


@pytest.mark.parametrize("data", [b"", b"\n", b"\xef\xbb\xbf", b" \r\n\t\n"])
def test_standard_input_without_anything_is_an_error(data: bytes) -> None:
    with pytest.raises(SourceError, match="standard input is empty"):
        read_all(data, "-")


def test_a_pipes_first_rows_come_without_waiting_for_more() -> None:
    stream = FakeStream(HEAD + b"1,2\n3,4\n", [len(HEAD) + 4, 4])
    reader = make_reader(stream, "-", columns=Columns(), line_bytes=64)
    batch = reader.read()
    assert batch is not None
    assert batch.pairs == [(1, 2)]
    assert stream.share() == (len(HEAD) + 4) / (len(HEAD) + 8)


def test_columns_that_cannot_be_are_usage_errors() -> None:
    with pytest.raises(UsageError):
        Columns("Id", " ID ")
    with pytest.raises(UsageError):
        Columns(" ", "b")

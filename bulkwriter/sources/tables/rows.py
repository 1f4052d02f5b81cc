"""The rows that all tables give, and the protocol `Table` to ask for them.

A value is a plain `str`, so that readers need no cases.  A value of which no id may be made is a `Flawed`, which is a
`str` too and has the reason.  So one look at the types of a column says whether its digits may be believed.

Invariant: the rows of a table come in the order of the file, each once, with rising line numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Final, NamedTuple, Protocol, Self

from ...model import BadRow
from ..row_faults import Flawed

PIECE_ROWS: Final = 256
"""Rows that are handed on together.  More are slower: their lists outlive the processor's cache."""

IsHeader = Callable[[Sequence[str]], bool]
"""Whether these names are the columns that are looked for."""


class TableRow(NamedTuple):
    """One row: its 1-based line, or its number in a sheet, and a text for each column."""

    line: int
    values: list[str]


class TableHeader(NamedTuple):
    """The names of the columns, the line on which they stand (0: in no line), and where else the wanted ones are."""

    names: list[str]
    line: int
    hint: str = ""


class Table(Protocol):
    """The rows of one file; blocking, for one thread.  A context manager that closes it."""

    def header(self) -> TableHeader:
        """The names; the first call opens the file.  Raises `SourceError`, or `UsageError` for an unfit option."""

    def pieces(self) -> Iterator[list[TableRow]]:
        """The rows below the header, some at a time; call it once.  Raises `SourceError` behind the rows before it."""

    def why_empty(self, line: int, column: int) -> str:
        """Why the value in this line and 0-based column is empty, if the file tells a reason, or ""."""

    def share(self) -> float | None:
        """The share of the file that was read; None where its size is unknown."""

    def check(self) -> None:
        """Raise `SourceError` if the rows given last are no longer in the file."""

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close it."""


class Closing:
    """What most tables have in common: they are context managers, and an empty value has no reason."""

    def why_empty(self, line: int, column: int) -> str:
        return ""

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class RowList:
    """Gathers the rows of a block of text."""

    def __init__(self) -> None:
        self._rows: list[TableRow] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, line: int, values: list[str]) -> None:
        self._rows.append(TableRow(line, values))

    def add_bad(self, row: BadRow, line: int) -> None:
        self._rows.append(TableRow(line, [Flawed(row.raw, row.reason)]))

    def batch(self) -> list[TableRow]:
        return self._rows

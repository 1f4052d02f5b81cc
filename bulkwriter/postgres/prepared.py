"""A statement that runs for each group of pairs, through libpq itself.

psycopg makes a cursor, looks the statement up, converts each value and waits in Python: 0.1 ms of CPU a call, which is
six times what libpq takes.  So a statement is prepared once a connection, and then runs there by its name.  Whatever
does not go well is left to psycopg: the same statement runs again its way, which succeeds, or raises an error that
says what is wrong.  So a statement must be one that may run twice, as those of a log are.

Invariants: a name stands for one text, so that a pool which hands its connections round has no other one by that name.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .connect import Connection

PLACEHOLDER: Final = re.compile(r"%\((\w+)\)[sb]")


class Prepared:
    """A statement with placeholders `%(name)s`, and `%(name)b` for bytes.  For one thread."""

    def __init__(self, statement: str) -> None:
        self._statement = statement
        self._keys = tuple(dict.fromkeys(PLACEHOLDER.findall(statement)))
        self._text = PLACEHOLDER.sub(lambda found: f"${self._keys.index(found[1]) + 1}", statement).encode()
        self._name = b"bulkwriter_%08x" % zlib.crc32(self._text)
        self._has_it: Connection | None = None

    def rowcount(self, connection: Connection, values: Mapping[str, str | int | bytes]) -> int:
        """Run it in a connection that commits by itself.  Return how many rows changed.  Raises psycopg's errors."""
        from psycopg.pq import ExecStatus

        here = connection.pgconn
        if self._has_it is not connection:
            here.prepare(self._name, self._text)
            self._has_it = connection  # if that failed, so does the call, each time
        given = [values[key] for key in self._keys]
        result = here.exec_prepared(
            self._name,
            [value if isinstance(value, bytes) else str(value).encode() for value in given],
            [isinstance(value, bytes) for value in given],
        )
        if result.status == ExecStatus.COMMAND_OK and result.command_tuples is not None:
            return result.command_tuples
        return connection.execute(self._statement, values).rowcount

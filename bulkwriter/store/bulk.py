"""Writes many rows in few statements: `INSERT … VALUES (?,…),(?,…),… ON CONFLICT …`, prepared for a ladder of sizes.

This shape was the fastest on 60,000 rows, 1,000 a commit, `synchronous=FULL`, CPU µs a row for append / update:

    INSERT … SELECT json_extract(value, …) … FROM json_each(?)     2.9 / 4.4     six look-ups a row in parsed JSON
    the same with GROUP BY key / 6 over one flat array             5.3 / –       sorts; with lead() 13.9
    executemany, one row a step                                    3.2 / 3.5     takes the GIL once a row
    UPDATE … FROM (VALUES …)                                       –   / 3.2     copies the rows into a table first
    multi-row VALUES, upsert for the update                        1.4 / 2.1     this

If another thread never gives up the GIL, a commit of 1,000 rows takes 18 ms (at worst 32), about the same as json_each
(21, 37).  There is one GIL hand-over a statement; executemany has one a row, and took up to 233 ms.

A count between two rungs is filled up with repetitions of the last row if that wastes at most a quarter.  The conflict
clause makes the repetitions harmless.  So 1,000 rows are one statement of 1,024.
Not here: transactions, and what the statements mean.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

RUNG_MAX: Final = 1_024  # rows a statement: larger ones save nothing, and their programs fall out of the cache
VARIABLES: Final = 6 * RUNG_MAX  # SQLite allows 32,766 by default since 3.32


class Bulk:
    """One statement for any number of rows of `width` values: `head`, the values, `tail`.

    `fixed` are values, as SQL, that follow those of each row.
    """

    __slots__ = ("_head", "_row", "_sql", "_tail")

    def __init__(self, head: str, *, width: int, tail: str, fixed: Sequence[str] = ()) -> None:
        self._head, self._tail = head, tail
        self._row = f"({','.join([*'?' * width, *fixed])})"
        self._sql: dict[int, str] = {}  # one string object a rung: sqlite3 finds its prepared statement by it

    def execute(self, db: sqlite3.Connection, rows: Sequence[Sequence[Any]]) -> int:
        """Execute it for all rows in order.  Return how many rows were changed, by SQLite's count."""
        changed, at = 0, 0
        while at < len(rows):
            rung, taken = rung_for(len(rows) - at)
            part = rows[at : at + taken]
            values = list(chain.from_iterable(part))
            if taken < rung:
                values.extend(tuple(part[-1]) * (rung - taken))
            changed += db.execute(self._sql.get(rung) or self._prepare(rung), values).rowcount
            at += taken
        return changed

    def _prepare(self, rung: int) -> str:
        sql = self._sql[rung] = f"{self._head} VALUES {','.join([self._row] * rung)} {self._tail}"
        return sql


def rung_for(count: int) -> tuple[int, int]:
    """The size of the next statement for `count` rows, and how many of them it takes: (1024, 1000) for 1,000."""
    if count >= RUNG_MAX:
        return RUNG_MAX, RUNG_MAX
    above = 1 << (count - 1).bit_length()
    if above - count <= count // 4:
        return above, count
    return above // 2, above // 2

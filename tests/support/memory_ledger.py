"""A ledger in memory, for tests: rows and exchanges as of the real one.  `quota/test_ledgers.py` asks both the same."""

from __future__ import annotations

import copy

from bulkwriter.quota.account import Account
from bulkwriter.quota.exchange import Answer, Ask, BootPlace, LedgerRows, SpentRow


class MemoryBook:
    """What all ledgers of one account write to."""

    def __init__(self) -> None:
        self.rows = LedgerRows()


class MemoryLedger:
    """One process's ledger over a book.  Every exchange reads all rows anew, as if others had always changed them."""

    def __init__(self, book: MemoryBook, account: Account, place: BootPlace) -> None:
        self._book, self._account, self._place = book, account, place

    def exchange(self, ask: Ask) -> Answer:
        answer, changes = self._account.exchange(ask, copy.deepcopy(self._book.rows))
        self._keep(changes)
        return answer

    def close(self) -> None:
        """Nothing is open."""

    def _keep(self, changes: LedgerRows) -> None:
        rows, place = self._book.rows, self._place
        spent = rows.spent | changes.spent
        if changes.forget:
            minute, ended = changes.forget
            spent = {key: row for key, row in spent.items() if not is_over(row, place, minute, ended)}
        rows.spent = {key: row for key, row in spent.items() if row.requests}
        rows.short = changes.short
        rows.learnt.update(changes.learnt)
        rows.spread_s = changes.spread_s


def is_over(row: SpentRow, place: BootPlace, minute: int, ended: float | None) -> bool:
    if row.place == place:
        return row.minute < minute
    return ended is not None and row.ended is not None and row.ended < ended

"""A ledger in memory, for tests: rows and exchanges as of the real one.  `quota/test_ledgers.py` asks both the same."""

from __future__ import annotations

import copy

from bulkwriter.quota.account import Account
from bulkwriter.quota.exchange import Answer, Ask, BootPlace, Changes, LedgerRows, ShortRow, SpentRow


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
        self._keep(changes, ask)
        return answer

    def close(self) -> None:
        """Nothing is open."""

    def _keep(self, changes: Changes, ask: Ask) -> None:
        rows, place = self._book.rows, self._place
        spent = {(row.place, row.client, row.kind, row.minute): row for row in rows.spent}
        for (client, kind, minute), count in changes.spent.items():
            key = place, client, kind, minute
            old = spent.get(key, SpentRow(*key, 0))
            ended = old.ended if changes.zero is None else changes.zero + 60.0 * (minute + 1)
            spent[key] = old._replace(requests=max(0, old.requests + count), ended=ended)
        for row in changes.seen:
            spent[row[:4]] = spent[row[:4]]._replace(seen_boot=row.seen_boot, seen_at=row.seen_at)
        if changes.stamps and changes.zero is not None:
            for key, row in spent.items():
                if row.place == place and row.ended is None:
                    spent[key] = row._replace(ended=changes.zero + 60.0 * (row.minute + 1))
        if changes.forget:
            minute, ended = changes.forget
            spent = {key: row for key, row in spent.items() if not is_over(row, place, minute, ended)}
        rows.spent = [row for row in spent.values() if row.requests or not row.client]
        rows.short = ShortRow(place, ask.now, changes.short)
        rows.learnt.update(changes.learnt)
        rows.spread_s = changes.spread_s


def is_over(row: SpentRow, place: BootPlace, minute: int, ended: float | None) -> bool:
    if row.place == place:
        return row.minute < minute
    return ended is not None and row.ended is not None and row.ended < ended

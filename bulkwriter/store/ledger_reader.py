"""Reading the ledger from outside: `plan` and `status`, beside processes at work, and where there is no ledger yet.

`mode=ro`: nothing is created, repaired or changed.  A ledger that was being written when the power went needs a writer
to repair it first; until then it cannot be read, which is a `LedgerError` that says so.

Invariant: what is answered is as of one committed moment.  Not here: what it means (`engine.account`).
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

from .ledger import BUSY_S, check_ours, ledger_error
from .ledger_book import Book, LearntRow, SpentRow


def read_ledger(path: Path, account: str, boot: str) -> tuple[list[SpentRow], dict[str, LearntRow]]:
    """What an account has spent and what is learnt of its server; nothing where there is no ledger."""
    try:
        if not path.exists() or not path.stat().st_size:
            return [], {}
        db = sqlite3.connect(f"file:{quote(os.fsencode(path))}?mode=ro", uri=True, timeout=BUSY_S, isolation_level=None)
        try:
            db.execute("BEGIN")
            check_ours(db, path)
            book = Book(db, account, boot)
            return book.rows(), book.learnt()
        finally:
            db.close()
    except (sqlite3.Error, OSError) as e:
        raise ledger_error(e, path) from e

"""Judges a damaged ledger by SQLite's integrity check, and by bounds of format 3 written down here a second time.

Each row is judged cell by cell in plain Python, so that a slip in the product's SQL (`quota.ledger_schema`) is found.
The judge reads a copy, since even a reader may change what lies beside a ledger.

Invariant: it knows no code of the product.  Not here: the damage itself, and what commands may say of it (`damage`).
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path
from typing import Any


def is_int(value: Any, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high


def is_ledger_damaged(path: Path) -> bool:
    """Whether SQLite or the bounds of a row show it; or that it is empty, beside what only a used one has."""
    if not path.stat().st_size:
        return True
    copy = path.parent.with_name("judged-ledger")
    shutil.copy(path, copy)
    try:
        with contextlib.closing(sqlite3.connect(copy)) as db:
            if db.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
                return True
            marks = [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
            spent = db.execute(
                "SELECT account, machine, boot, client, seen_boot, kind, minute, count, ended, seen_at FROM spent"
            ).fetchall()
            slots = db.execute(
                "SELECT account, window, client, machine, boot, count, lease, first, last, at, spacing FROM slots"
            ).fetchall()
            waits = db.execute("SELECT account, client, window, machine, boot, since, again_at FROM waits").fetchall()
            accounts = db.execute("SELECT account, spread_s FROM accounts").fetchall()
            learnt = db.execute("SELECT account, kind, most, until, try_at, tries, stretch FROM learnt").fetchall()
    except (sqlite3.Error, ValueError, OverflowError):
        return True
    is_good = (
        marks == [0x62776C67, 3]
        and all(map(is_spent, spent))
        and all(map(is_slots, slots))
        and all(are_texts(row[:5]) and all(map(is_time, row[5:])) for row in waits)
        and all(are_texts(row[:1]) and is_time(row[1]) and row[1] >= 0 for row in accounts)
        and all(map(is_learnt, learnt))
    )
    return not is_good


def are_texts(values: tuple[Any, ...]) -> bool:
    return all(type(value) is str for value in values)


def is_spent(row: tuple[Any, ...]) -> bool:
    *texts, kind, minute, count, ended, seen_at = row
    is_named = are_texts(tuple(texts)) and kind in ("write", "read", "write-refused", "read-refused")
    is_timed = is_int(minute, -(10**12), 10**12) and (ended is None or is_time(ended)) and is_time(seen_at)
    return is_named and is_int(count, 0, 10**12) and is_timed


def is_slots(row: tuple[Any, ...]) -> bool:
    count, lease, *times, spacing = row[5:]
    is_counted = is_int(count, 0, 10**12) and is_int(lease, 0, 10**12)
    return are_texts(row[:5]) and is_counted and all(map(is_time, times)) and is_time(spacing) and spacing >= 0


def is_learnt(row: tuple[Any, ...]) -> bool:
    account, kind, most, until, try_at, tries, stretch = row
    is_named = type(account) is str and kind in ("write", "read")
    return is_named and all(is_int(n, 0, 10**12) for n in (most, tries, stretch)) and is_time(until) and is_time(try_at)


def is_time(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= 1e12

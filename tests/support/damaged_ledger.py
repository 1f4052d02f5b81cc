"""Judges a damaged ledger by SQLite's integrity check, and by bounds of format 3 written down here a second time.

Each row is judged cell by cell in plain Python, so that a slip in the product's SQL (`quota.ledger`) is found.
The judge reads a copy, since even a reader may change what lies beside a ledger.

Invariant: it knows no code of the product.  Not here: the damage itself, and what commands may say of it (`damage`).
"""

from __future__ import annotations

import contextlib
import json
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
            accounts = db.execute("SELECT account, machine, boot, short, spread_s, at FROM accounts").fetchall()
            learnt = db.execute("SELECT account, kind, most, until, try_at, tries, stretch FROM learnt").fetchall()
    except (sqlite3.Error, ValueError, OverflowError):
        return True
    is_good = (
        marks == [0x62776C67, 3]
        and all(map(is_spent, spent))
        and all(are_texts(row[:4]) and all(map(is_time, row[4:])) and row[4] >= 0 for row in accounts)
        and all(is_short(row[3]) for row in accounts)
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


def is_short(text: str) -> bool:
    """Slots by window and step, and what clients hold: JSON."""
    try:
        value = json.loads(text)
        holders = [list(one) for one in value["holders"].values()]
        rows = [*value["used"].items(), *(row for *_, slots, _ in holders for row in slots.items())]
        steps = [(key, *step) for key, steps in rows for step in steps]
        waits = [(key, *times) for *_, waits in holders for key, times in waits.items()]
        keys = [*(key for key, _ in rows), *(key for key, *_ in waits)]
        counts = [*(n for _, _, n in steps), *(one[0] for one in holders)]
        times = [*(t for _, *pair in waits for t in pair), *(t for one in holders for t in one[1:3])]
        kinds, lengths = zip(*(key.split("/") for key in keys), strict=True) if keys else ((), ())
        times += [step * float(key.split("/")[1]) * 1.0002 / 512 for key, step, _ in steps]
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return False
    is_known = set(kinds) <= {"write", "read", "any"} and all(1e-3 <= float(length) <= 60 for length in lengths)
    return is_known and all(is_int(n, 0, 10**12) for n in counts) and all(map(is_time, times))


def is_learnt(row: tuple[Any, ...]) -> bool:
    account, kind, most, until, try_at, tries, stretch = row
    is_named = type(account) is str and kind in ("write", "read")
    return is_named and all(is_int(n, 0, 10**12) for n in (most, tries, stretch)) and is_time(until) and is_time(try_at)


def is_time(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= 1e12

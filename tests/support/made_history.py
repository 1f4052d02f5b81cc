"""A journal with the history of a long run, made at once: days of 2,500 writes, starts by cron, throttles, doubts.

    .venv/bin/python -m tests.support.made_history FOLDER      pairs.csv.journal, of a run of twelve days

The rows of history are as a run would have written them, but the journal has only as many pairs as are asked for.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from typing import Final

from bulkwriter.model import BadRow, FieldError, State
from bulkwriter.rows import SettleRow, bad_row_detail, outcome_detail
from bulkwriter.store.history import Moment, add_row
from bulkwriter.store.journal import Journal
from bulkwriter.store.starts import LAST_START, RUN, SOURCE, began_text, source_text

URL: Final = "http://127.0.0.1:1"
DAY_S: Final = 86_400.0
PER_DAY: Final = 2_500
UNKNOWN: Final = "is <b>unknown</b> to ann@example.com & others"


def made_history(path: Path, *, days: int = 12, pairs: int = 40_000, until: float | None = None, seed: int = 7) -> Path:
    """Make the journal of a run that still has much to do; its last start was cut off."""
    rng = random.Random(seed)
    until = time.time() if until is None else until
    journal = Journal.open(path, base_url=URL, account=None, columns=("CourseLessonId", "CourseMemberId"))
    with journal.transaction():
        add_pairs(journal, days * PER_DAY, pairs, rng)
        add_history(journal, days, until, rng)
        note = '{"quota":["write:60/min","write:2500/day"],"quota_share":1.0,"writes_per_s":1.0,"rate_per_s":0.98}'
        journal.meta_set(RUN, note)
        journal.meta_set(LAST_START, began_text(until - 3_600))
        journal.meta_set(SOURCE, source_text(pairs * 2, is_exact=False))
    journal.close()
    return path


def add_pairs(journal: Journal, created: int, pairs: int, rng: random.Random) -> None:
    """The rows of the journal as they are at the end."""
    details = [
        outcome_detail((FieldError("CourseMemberId", UNKNOWN),), ""),
        outcome_detail((FieldError("CourseLessonId", "is archived"),), ""),
    ]
    bad = bad_row_detail(BadRow("CourseMemberId is no number", "11,ann@example.com"))
    for first in range(0, pairs, 10_000):
        seqs = range(first, min(pairs, first + 10_000))
        journal.append([(seq, 1 + seq % 40, 1 + seq // 40, seq + 2, int(State.PENDING), None) for seq in seqs])
    settled: list[SettleRow] = []
    for seq in range(min(pairs, created)):
        draw = rng.random()
        if draw < 0.96:
            settled.append((seq, int(State.CREATED), 1, 10_000 + seq, 200, None))
        elif draw < 0.985:
            settled.append((seq, int(State.EXISTING), 0, 500 + seq, None, None))
        else:
            settled.append((seq, int(State.REJECTED), 1, None, 400, details[draw > 0.995]))
    settled[5:8] = [(seq, int(State.IN_DOUBT), 1, None, None, None) for seq in (5, 6, 7)]
    journal.settle(settled)
    journal.append([(pairs + i, None, None, pairs + i + 2, int(State.INVALID), bad) for i in range(12)])


def add_history(journal: Journal, days: int, until: float, rng: random.Random) -> None:
    """A row a minute: an hour of writes a day, then a wait, or, every third day, no process until cron starts one."""
    since = until - days * DAY_S
    attempts = throttled = lost = found = absent = 0
    held = {"start": 1.0, "quota": 0.0, "limit": 0.0, "pause": 0.0, "doubts": 0.0, "gone": 0.0}
    causes = {"silent": 0, "http_502": 0, "lost": 0}
    start = 1
    for day in range(days):
        for minute in range(1_440):
            at, is_writing = since + day * DAY_S + minute * 60.0, minute < 60
            if day % 3 == 2 and 90 < minute < 1_380:
                continue
            start += day % 3 == 2 and minute == 1_380
            if is_writing:
                attempts = min((day + 1) * PER_DAY, attempts + 42 + minute % 2)
                hurt = rng.random()
                throttled += (1 if hurt < 0.2 else 0) + (9 if hurt < 0.03 else 0)
                held["limit"] += 52.0
                held["pause"] += 8.0
                if hurt > 0.95:
                    lost += 1
                    causes[("silent", "http_502", "lost")[int(hurt * 1_000) % 3]] += 1
                    found, absent = (found + 1, absent) if hurt > 0.97 else (found, absent + 1)
                    held["doubts"] += 30.0
            else:
                attempts = (day + 1) * PER_DAY
                held["gone" if day == 7 and minute < 200 else "quota"] += 60.0
            steps = {"lost": lost, "found": found, "absent": absent, "throttled": throttled}
            spent = {"write:2500/day": attempts - day * PER_DAY}
            ended = "quota" if day % 3 == 2 and minute == 90 else None
            moment = Moment(
                start, at, at + 1.5, attempts, throttled, 3 if is_writing else 0, 8, 1.0, "quota", held, spent, steps,
                causes, ended,
            )  # fmt: skip
            if minute < 62 or minute % 30 == 0 or ended or minute >= 1_380:
                add_row(journal._db, moment, counts_at(attempts), attempts + 200, 1 << 40)


def counts_at(attempts: int) -> dict[State, int]:
    """Rows by state after so many requests."""
    rejected = attempts // 70
    return {State.CREATED: attempts - rejected, State.REJECTED: rejected, State.PENDING: 200}


if __name__ == "__main__":
    sys.stdout.write(f"{made_history(Path(sys.argv[1]) / 'pairs.csv.journal')}\n")

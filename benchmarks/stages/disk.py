"""Stages on the disk: intents appended and outcomes settled, in groups as large as a fast run makes them.

Durable, as in a run: a group is a transaction, and a transaction is an fsync.  In one thread here; in a run it is the
journal's own, which costs the same CPU and lets the event loop go on meanwhile.
"""

from __future__ import annotations

import os
import secrets
from contextlib import closing
from pathlib import Path

from bulkwriter.entities import ORIGINAL
from bulkwriter.model import State
from bulkwriter.rows import AppendRow, SettleRow
from bulkwriter.store.journal import Journal

from . import Steps, Work
from .pure import CHUNK_ROWS, FIRST_ID

SETTLE_ROWS = 250
"""50,000 pairs a second, and 5 ms between two commits."""
INTENT, CREATED = int(State.INTENT), int(State.CREATED)


def open_journal(path: Path) -> Journal:
    columns = ("CourseLessonId", "CourseMemberId")
    return Journal.open(path, base_url="http://127.0.0.1:8765", account=None, columns=columns)


def append_all(journal: Journal, work: Work, *, group: int = CHUNK_ROWS) -> None:
    """Every pair as an intent."""
    seq, detail = 0, f'{{"floor":{FIRST_ID}}}'
    for chunk in work.chunks(group):
        rows: list[AppendRow] = [
            (seq + i, first, second, seq + i + 2, INTENT, detail) for i, (first, second) in enumerate(chunk)
        ]
        journal.append(rows)
        seq += len(rows)


def settle_all(journal: Journal, count: int, *, group: int = SETTLE_ROWS) -> None:
    """Every row as created."""
    for first in range(0, count, group):
        rows: list[SettleRow] = [
            (seq, CREATED, 1, FIRST_ID + 3 * seq, 200, None) for seq in range(first, min(first + group, count))
        ]
        journal.settle(rows)


def append(work: Work) -> Steps:
    journal = open_journal(work.folder / "stage.journal")

    def write() -> None:
        with closing(journal):
            append_all(journal, work)

    return write


def settle(work: Work) -> Steps:
    journal = open_journal(work.folder / "stage.journal")
    append_all(journal, work)

    def write() -> None:
        with closing(journal):
            settle_all(journal, len(work.pairs))

    return write


def in_groups(journal: Journal, work: Work, group: int) -> Steps:
    """Every pair as an intent, then as created."""

    def write() -> None:
        with closing(journal):
            append_all(journal, work, group=group)
            settle_all(journal, len(work.pairs), group=group)

    return write


def shipped(work: Work, group: int) -> Steps:
    """The same with the journal of a part of a job; the server's address is that of a database."""
    from bulkwriter.postgres.address import Address
    from bulkwriter.postgres.part import PartSettings, PartStore
    from bulkwriter.settings import Settings

    os.environ["XDG_STATE_HOME"] = str(work.folder.absolute())  # its local journal lies where that of the others does
    address = Address.parse(work.url).with_job("bench", secrets.token_hex(8))
    settings = Settings(base_url="http://127.0.0.1:8765", token="none")  # noqa: S106 nothing is sent
    part = PartStore(address, PartSettings.of(settings), note=print)
    columns = ("CourseLessonId", "CourseMemberId")
    return in_groups(
        part.open(None, base_url=settings.base_url, account=None, columns=columns, entity=ORIGINAL), work, group
    )  # fmt: skip


def settled_100(work: Work) -> Steps:
    return in_groups(open_journal(work.folder / "stage.journal"), work, 100)


def settled_1000(work: Work) -> Steps:
    return in_groups(open_journal(work.folder / "stage.journal"), work, 1_000)


def shipped_100(work: Work) -> Steps:
    return shipped(work, 100)


def shipped_1000(work: Work) -> Steps:
    return shipped(work, 1_000)

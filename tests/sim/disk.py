"""The journal's thread in virtual time: commits take a while, come in groups, can fail, and are lost by a kill.

Same order and same promises as `store.journal_writer.JournalWriter`: what comes in during a commit goes into
the next one, an operation is acknowledged after its commit, a cancelled waiter takes nothing back.  The rows are in a
real `Journal`, in memory; `reopened()` gives it to the next process as a disk would.

A failing commit leaves its rows there or not, as a disk may; the journal then refuses everything.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from bulkwriter.entities import ORIGINAL
from bulkwriter.errors import JournalError
from bulkwriter.store.journal import Journal
from bulkwriter.store.journal_writer import JournalWriter, Operation, carry_out_group, totals_of

from .process import Process


@dataclass(slots=True)
class Disk:
    """How the disk behaves.  `fails_at`: the number of the commit that fails."""

    commit_s: float = 0.001
    fails_at: int | None = None
    keeps_failed: bool = False


class VirtualWriter(JournalWriter):
    """A `JournalWriter` over a journal that outlives it."""

    def __init__(self, process: Process, journal: Journal, disk: Disk, rng: random.Random) -> None:
        super().__init__(inline=True)
        self.journal = journal
        self._process = process
        self._disk = disk
        self._rng = rng
        self._waiting: list[Operation] = []
        self._is_at_work = False
        self._commits = 0

    async def open(
        self,
        path: str | Path | None,
        *,
        base_url: str,
        account: str | None,
        columns: tuple[str, str],
        entity: str = ORIGINAL,
        notes: Mapping[str, str] | None = None,
    ) -> None:
        for key, value in (notes or {}).items():
            self.journal.meta_set(key, value)
        self.adopt(self.journal)

    async def close(self, *, checkpoint: bool = True) -> None:
        self._is_closed = True

    async def _hand_in(self, kind: str, call: Callable[[Journal], Any]) -> Any:
        if self._is_closed:
            raise JournalError("the journal is not open")
        operation = Operation(kind, call, asyncio.get_running_loop().create_future())
        self._waiting.append(operation)
        if not self._is_at_work:
            self._start()
        return await operation.future

    def _start(self) -> None:
        self._is_at_work = True
        taken, self._waiting = self._waiting, []
        delay_s = self._rng.expovariate(1 / self._disk.commit_s) if self._disk.commit_s else 0.0
        asyncio.get_running_loop().call_later(delay_s, self._carry_out, taken)

    def _carry_out(self, taken: list[Operation]) -> None:
        for kind, group in groupby(taken, key=lambda operation: operation.kind):
            operations = list(group)
            if kind == "write":
                self._commits += 1
            if not self._process.event(f"disk {kind} {len(operations)}"):
                return
            self._do(operations, is_write=kind == "write")
            if not self._process.event("disk done"):
                return
        asyncio.get_running_loop().call_later(self._rng.uniform(0, self._disk.commit_s / 4), self._acknowledge, taken)

    def _do(self, operations: list[Operation], *, is_write: bool) -> None:
        fails = is_write and self._commits == self._disk.fails_at
        if fails and not self._disk.keeps_failed:
            operations = [*operations, Operation("write", fail, operations[0].future)]
        carry_out_group(self.journal, operations, is_write=is_write)
        if fails and self._disk.keeps_failed:
            error = JournalError("the disk failed, and had the rows all the same")
            self.journal._broken = error
            for operation in operations:
                operation.fail(error)

    def _acknowledge(self, taken: list[Operation]) -> None:
        self._is_at_work = False
        self._resolve_all(taken)
        if self._waiting:
            self._start()

    def _resolve_all(self, taken: list[Operation]) -> None:
        self._resolve(taken, None if self.journal.broken else totals_of(self.journal))


def fail(journal: Journal) -> None:
    """An operation that SQLite cannot carry out."""
    raise sqlite3.OperationalError("database or disk is full")

"""The ledger's thread: in order, one at a time, errors to whoever asked, and a hanging disk keeps no process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from bulkwriter.errors import JournalError
from bulkwriter.quota import ledger_thread
from bulkwriter.quota.ledger import Ledger
from bulkwriter.quota.ledger_thread import LedgerThread


def opening(path: Path) -> Ledger:
    return Ledger.open(path / "ledger", account="a", boot="b", synchronous="OFF")


def adding(count: int) -> Callable[[Ledger], None]:
    return lambda ledger: ledger.exchange(lambda book: book.add("write", 5, count, 0.0))


@pytest.mark.parametrize("inline", [True, False])
async def test_what_is_handed_in_happens_in_order(tmp_path: Path, inline: bool) -> None:
    thread = LedgerThread(lambda: opening(tmp_path), inline=inline)
    for count in (1, 2, 3):
        thread.post(adding(count))
    rows = await thread.post(lambda ledger: ledger.exchange(lambda book: book.rows()))
    assert [row.requests for row in rows] == [6]
    await thread.close()
    await thread.close()


async def test_a_ledger_that_cannot_be_opened_is_told_to_whoever_asked(tmp_path: Path) -> None:
    (tmp_path / "ledger").mkdir()
    thread = LedgerThread(lambda: opening(tmp_path))
    with pytest.raises(JournalError, match="CANTOPEN"):
        await thread.post(lambda ledger: None)
    await thread.close()


async def test_it_happens_though_nobody_waits_any_more(tmp_path: Path) -> None:
    thread = LedgerThread(lambda: opening(tmp_path))
    asked = thread.post(adding(9))
    asked.cancel()
    rows = await thread.post(lambda ledger: ledger.exchange(lambda book: book.rows()))
    assert [row.requests for row in rows] == [9]
    await thread.close()


async def test_a_disk_that_hangs_does_not_keep_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_thread, "CLOSE_S", 0.01)
    hangs = threading.Event()
    thread = LedgerThread(lambda: opening(tmp_path))
    asked = thread.post(lambda ledger: hangs.wait(60))
    await asyncio.wait_for(thread.close(), 30)
    assert not asked.done()
    hangs.set()
    await asked


async def test_nothing_runs_on_the_loop_s_thread(tmp_path: Path) -> None:
    thread = LedgerThread(lambda: opening(tmp_path))
    name = await thread.post(lambda ledger: threading.current_thread().name)
    assert name == "ledger"
    await thread.close()

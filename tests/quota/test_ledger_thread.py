"""The ledger's thread: in order, one at a time, errors to whoever asked, and a hanging disk keeps no process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from bulkwriter.errors import JournalError
from bulkwriter.quota.account import Account
from bulkwriter.quota.exchange import Answer, Ask
from bulkwriter.quota.exchanges import LedgerThread
from bulkwriter.quota.ledger import Ledger, SqliteLedger, read_ledger
from bulkwriter.quota.windows import windows_of
from tests.support.quota_desk import HERE, clocks


def opening(path: Path) -> Ledger:
    account = Account(windows_of(["write:100/day"], is_loopback=False), HERE)
    return SqliteLedger.open(path / "ledger", "a", account, HERE, synchronous="OFF")


def adding(count: int) -> Callable[[Ledger], Answer]:
    ask = Ask(client="c", number=count, now=330.0, clocks=clocks(330.0), hold_s=9.0, ended={("write", 330.0): count})
    return lambda ledger: ledger.exchange(ask)


def spent(path: Path) -> list[int]:
    return [row.requests for row in read_ledger(path / "ledger", "a").spent.values()]


@pytest.mark.parametrize("inline", [True, False])
async def test_what_is_handed_in_happens_in_order(tmp_path: Path, inline: bool) -> None:
    thread = LedgerThread(lambda: opening(tmp_path), inline=inline)
    for count in (1, 2, 3):
        thread.post(adding(count))
    await thread.post(lambda ledger: None)
    assert spent(tmp_path) == [6]
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
    await thread.post(lambda ledger: None)
    assert spent(tmp_path) == [9]
    await thread.close()


async def test_a_disk_that_hangs_does_not_keep_the_process(tmp_path: Path) -> None:
    hangs = threading.Event()
    thread = LedgerThread(lambda: opening(tmp_path))
    asked = thread.post(lambda ledger: hangs.wait(60))
    await asyncio.wait_for(thread.close(within_s=0.01), 30)
    assert not asked.done()
    hangs.set()
    await asked


async def test_nothing_runs_on_the_loop_s_thread(tmp_path: Path) -> None:
    thread = LedgerThread(lambda: opening(tmp_path))
    name = await thread.post(lambda ledger: threading.current_thread().name)
    assert name == "ledger"
    await thread.close()

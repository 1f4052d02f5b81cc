"""A bug in each thing that the loop calls by itself, and in each task of a run: it ends, with 70, and nothing untrue.

The bug comes once, so that nothing else ends the run, and then each time, so that even the end meets it.  After it the
same pairs are written by a run without it: the stub counts 0 missing and 0 doubled.
"""

from __future__ import annotations

import asyncio
import math
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bulkwriter import BulkWriter, BulkwriterError, Limits, Settings, threads
from bulkwriter.listing.looks import Looker
from bulkwriter.net.framing import ReplyReader
from bulkwriter.net.idle import IdleLimit
from bulkwriter.net.pool import Pool
from bulkwriter.quota.ceiling import Ceiling
from bulkwriter.quota.exchanges import Exchanges
from bulkwriter.run import notes
from bulkwriter.run.delivery import Deliveries
from bulkwriter.run.engine import Engine
from bulkwriter.run.entrance import Entrance
from bulkwriter.run.sender import Sender
from bulkwriter.run.singles import Singles
from bulkwriter.sources import open_source
from bulkwriter.sources.threaded import ThreadSource
from bulkwriter.store import journal_writer
from bulkwriter.store.journal_writer import JournalWriter
from bulkwriter.stub.thread import StubThread
from tests.support.cancels import HANGS_S, claims_untrue, idle_s
from tests.support.cli_process import stub, write_pairs
from tests.support.library import on_loop, settings_for, some_pairs, truth, wholly

PAIRS = some_pairs(300)
MOST_S = 10.0
"""Of waiting, beside what its thread computes: a run waits for 0.3 s, and ends within `drain_s`, 0.3 s, of a bug."""


class Bug(Exception):
    pass


class Plant:
    """Makes the method raise from its `after`th call on, `times` times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, *, after: int, times: float) -> None:
        self.raised = 0
        self._calls, self._after, self._times = 0, after, times
        real = getattr(owner, name)
        is_async = asyncio.iscoroutinefunction(real)

        def planted(*args: Any, **named: Any) -> Any:
            self._count()
            return real(*args, **named)

        async def planted_async(*args: Any, **named: Any) -> Any:
            self._count()
            return await real(*args, **named)

        monkeypatch.setattr(owner, name, planted_async if is_async else planted)

    def _count(self) -> None:
        self._calls += 1
        if self._calls > self._after and self.raised < self._times:
            self.raised += 1
            raise Bug("planted")


async def all_at_once(its_writer: BulkWriter, folder: Path) -> None:
    source = open_source(str(write_pairs(folder / "pairs.csv", len(PAIRS))))
    async with asyncio.TaskGroup() as group:
        group.create_task(its_writer.write_all(source))
        group.create_task(its_writer.write((99, 99)))


PLANTS: dict[str, tuple[Any, str, int, dict[str, Any]]] = {
    # callbacks
    "freed lanes": (Sender, "advance", 5, {}),
    "a timer": (Engine, "advance", 2, {"rate": 500.0}),
    "bytes come": (ReplyReader, "feed", 20, {}),
    "a reply": (Sender, "replied", 20, {}),
    "a connection ends": (IdleLimit, "learn", 0, {}),
    "a lane has ended": (Sender, "ended", 0, {}),
    "the ledger answers": (Exchanges, "_done", 1, {"quota": ("write:100000/day",)}),
    "the end of a lease": (Exchanges, "_lapsed", 0, {"quota": ("write:100000/day",), "rate": 0.2}),
    "the ledger's future": (threads, "give", 2, {"quota": ("write:100000/day",)}),
    "a single write has ended": (Singles, "_answered", 0, {}),
    "a single pair is entered": (Entrance, "entered", 0, {}),
    "the journal answers": (JournalWriter, "_resolve", 8, {}),
    "the journal's thread": (journal_writer, "totals_of", 8, {}),
    "rows come": (ThreadSource, "_arrive", 0, {}),
    # tasks
    "after a commit": (Engine, "_after_commit", 2, {}),
    "delivery": (Deliveries, "deliver", 2, {}),
    "the tick": (Engine, "_check_gone", 0, {"timeout_s": 1.0}),
    "looks": (Looker, "_until_due", 0, {}),
    "the token's renewal": (Engine, "_renew_token", 0, {}),
    "the ceiling": (Ceiling, "feed", 0, {"rate": 500.0}),
    "the sweep": (Pool, "sweep", 0, {"timeout_s": 1.0}),
    "a lane is opened": (Pool, "connect", 1, {}),
    "the end of single writes": (Singles, "aclose", 0, {}),
    "the last note": (notes, "facts", 0, {}),
}


def outcome(settings: Settings, folder: Path, server: StubThread, loop: str) -> tuple[BaseException | None, float]:
    """What the run ended with, and for how long it had waited."""

    async def main() -> None:
        async with BulkWriter(settings) as its_writer:
            await all_at_once(its_writer, folder)

    found: list[tuple[BaseException | None, float]] = []

    def live() -> None:
        began_at = idle_s()
        try:
            on_loop(main, loop=loop, server=server)
        except BaseException as error:
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            found.append((error, idle_s() - began_at))
        else:
            found.append((None, idle_s() - began_at))

    thread = threading.Thread(target=live, name="planted", daemon=True)
    thread.start()
    thread.join(HANGS_S)
    assert found, "it does not end"
    return found[0]


@pytest.mark.slow
@pytest.mark.parametrize(("times", "loop"), [(1, "asyncio"), (math.inf, "uvloop")], ids=["once", "always"])
@pytest.mark.parametrize("name", PLANTS)
def test_a_bug_ends_the_run(tmp_path: Path, name: str, loop: str, times: float) -> None:
    owner, method, after, chosen = PLANTS[name]
    limits = Limits(drain_s=0.3, chunk_rows=20)
    with stub(latency_s=0.002, keep_alive_s=0.05) as server:
        settings = settings_for(server, tmp_path / "j", in_flight=8, limits=limits, ledger=tmp_path / "l", **chosen)
        with pytest.MonkeyPatch.context() as patch:
            plant = Plant(patch, owner, method, after=after, times=times)
            error, waited_s = outcome(settings, tmp_path, server, loop)
        assert plant.raised, "it was never called"
        assert isinstance(error, Bug) or (isinstance(error, BulkwriterError) and error.exit_code == 70), repr(error)
        assert waited_s < MOST_S
        assert not claims_untrue(tmp_path / "j", server)
        settings = replace(settings, rate=None)
        summary = on_loop(lambda: wholly(open_source(str(tmp_path / "pairs.csv")), settings), server=server)
        on_loop(lambda: wholly_single(settings), server=server)
        assert (summary.exit_code, truth(server)) == (0, (len(PAIRS) + 1, 0))


async def wholly_single(settings: Settings) -> None:
    async with BulkWriter(settings) as its_writer:
        await its_writer.write((99, 99))

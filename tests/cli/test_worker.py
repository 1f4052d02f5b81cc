"""What a worker of a job says and counts of its parts: a take-over is one note, and what sent nothing counts not."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bulkwriter.cli.worker import Worker, is_take_over, quotas_of
from bulkwriter.errors import COMMITS_LOST, FenceLost, JournalError, StoreGone
from bulkwriter.events import Stopping
from bulkwriter.model import Counts, Summary
from bulkwriter.postgres.jobs import find, loaded_counts_of, opened
from bulkwriter.postgres.loading import load
from bulkwriter.postgres.worker_quotas import WorkerQuotas
from bulkwriter.settings import Settings
from tests.postgres.test_loading import PLAN, source_of, text
from tests.postgres_server import Database


class Said(list[str]):
    """A stderr."""

    def print(self, text: str, **facts: object) -> None:
        self.append(text)

    def note(self, text: str) -> None:
        self.append(text)


class FakeDrive:
    """The run of a part that ends as `end` says, once the part is open; `attempts` are what it sent."""

    def __init__(
        self, end: Callable[[], object], *, attempts: int = 0, error: Exception | None = None, created: int = 0
    ) -> None:
        self._end, self._attempts, self._error, self._created = end, attempts, error, created

    async def run(self, begins: Callable[[], Awaitable[object]]) -> None:
        if isinstance(self._error, JournalError) and self._error.code == "held":
            raise self._error
        await begins()
        self._end()
        if self._error:
            raise self._error

    def stop(self, number: signal.Signals) -> None:
        pass

    def summary(self) -> Summary:
        counts = Counts(created=self._created, pending=3)
        return Summary(counts=counts, journal=None, attempts=self._attempts, under_way=2)

    def abandoned(self) -> Summary:
        return self.summary().abandoned()


def test_a_take_over_is_one_note_and_parts_are_told_once_they_are_ours(postgres: Database, tmp_path: Path) -> None:
    said = Said()
    worker: Worker

    async def main() -> None:
        nonlocal worker
        with opened(postgres.address) as connection:
            await load(connection, source_of(tmp_path, text(20)), PLAN)
            job = find(connection, PLAN.name)
        assert job
        drives: list[Any] = [
            FakeDrive(lambda: None, error=JournalError("held", code="held")),
            FakeDrive(lambda: None, attempts=3, error=FenceLost("backfill/1 was taken over by h")),
            FakeDrive(lambda: worker.stop(signal.SIGTERM)),
        ]
        worker = Worker(
            said,  # type: ignore[arg-type]
            postgres.address,
            job,
            Settings(base_url="http://127.0.0.1:9"),
            drive_of=lambda part, watch, limit: drives.pop(0),
        )
        await worker.run()

    asyncio.run(main())
    assert [line.partition(" ")[0] for line in said] == ["part", "backfill/1", "part"]
    assert (worker.figures.parts, worker.figures.attempts) == (1, 3)


def test_what_was_written_here_is_known_though_the_database_is_gone(postgres: Database, tmp_path: Path) -> None:
    seen: list[Any] = []

    async def main() -> Worker:
        with opened(postgres.address) as connection:
            await load(connection, source_of(tmp_path, text(20)), PLAN)
            job = find(connection, PLAN.name)
        assert job

        def end() -> None:
            assert worker.abandoned().attempts == 4
            seen.append(loaded_counts_of(worker.parts)[0])

        drive: Any = FakeDrive(end, attempts=4, error=StoreGone("away"), created=2)
        settings = Settings(base_url="http://127.0.0.1:9")
        worker = Worker(Said(), postgres.address, job, settings, drive_of=lambda part, watch, limit: drive)  # type: ignore[arg-type]
        with pytest.raises(StoreGone):
            await worker.run()
        return worker

    worker = asyncio.run(main())
    counts, rows = loaded_counts_of(worker.parts)
    assert (counts.created, counts.in_doubt, counts.pending, rows.total) == (2, 2, 16, 20)
    assert seen == [counts]
    assert [part.is_ours for part in worker.parts].count(True) == 1
    assert all(part.seen_at > 0 for part in worker.parts)


@pytest.mark.parametrize("parts_before", [0, 1])
def test_lost_commits_stop_a_worker_with_75_and_refuse_a_start_with_5(
    postgres: Database, tmp_path: Path, parts_before: int
) -> None:
    refused = JournalError("may have lost", hint="--after-loss", code=COMMITS_LOST)
    drives: list[Any] = [FakeDrive(lambda: None, attempts=1)] * parts_before + [FakeDrive(lambda: None, error=refused)]

    async def main() -> None:
        with opened(postgres.address) as connection:
            await load(connection, source_of(tmp_path, text(20)), PLAN)
            job = find(connection, PLAN.name)
        assert job
        settings = Settings(base_url="http://127.0.0.1:9")
        worker = Worker(Said(), postgres.address, job, settings, drive_of=lambda part, watch, limit: drives.pop(0))  # type: ignore[arg-type]
        await worker.run()

    with pytest.raises(JournalError, match="may have lost") as caught:
        asyncio.run(main())
    assert (caught.value.exit_code, caught.value.code) == ([5, 75][parts_before], COMMITS_LOST)
    assert caught.value.hint.typed == "--after-loss"


def test_only_a_take_over_is_left_to_the_worker_to_tell() -> None:
    assert is_take_over(Stopping("x", is_error=True, code=FenceLost.code))
    assert not is_take_over(Stopping("x", is_error=True, code=JournalError.code))
    assert not is_take_over(Stopping("SIGTERM"))


def test_where_a_worker_counts() -> None:
    assert quotas_of(Settings(base_url="http://127.0.0.1:9")) == WorkerQuotas("", ())
    kept = quotas_of(Settings(base_url="https://x", quota=("write:60/min",), quota_share=0.5, ledger=Path("/l.db")))
    assert (kept.ledger.startswith("/l.db on "), kept.share) == (True, 0.5)
    shared = quotas_of(Settings(base_url="https://x", ledger="postgresql://bw@db/ops"))
    assert shared.ledger == "postgresql://db/ops"

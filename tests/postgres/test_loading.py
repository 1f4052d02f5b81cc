"""A source becomes a job: whole or not at all, each row in one part, and once loaded it is compared."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bulkwriter.errors import BulkwriterError, JournalError, SourceError
from bulkwriter.model import Batch
from bulkwriter.postgres import jobs, loading
from bulkwriter.postgres.jobs import Job, opened
from bulkwriter.postgres.loading import Plan, compare, load
from bulkwriter.postgres.part_source import PartReader
from bulkwriter.postgres.session import Session
from bulkwriter.sources import open_source
from bulkwriter.sources.parts import together
from bulkwriter.store.schema import JournalIdentity

from ..postgres_server import Database

HEADER = "CourseLessonId,CourseMemberId\n"
IDENTITY = JournalIdentity("http://127.0.0.1:1", "", ("CourseLessonId", "CourseMemberId"), "completed lessons")
PLAN = Plan("backfill", IDENTITY, parts=3, origin="{}")


def text(rows: int, *, first: int = 0) -> str:
    """Rows with a bad one and a repeated one in each hundred."""

    def row(i: int) -> str:
        return "x,y" if i % 100 == 50 else f"{i % 7 + 1},{(i if i % 100 != 51 else i - 2) + 1}"

    return "".join(f"{row(i)}\n" for i in range(first, first + rows))


def source_of(tmp_path: Path, rows: str) -> Any:
    path = tmp_path / "pairs.csv"
    path.write_text(HEADER + rows)
    return open_source(path)


def carry_out(database: Database, work: Callable[[Any], Awaitable[int]]) -> int:
    async def main() -> int:
        with opened(database.address) as connection:
            return await work(connection)

    return asyncio.run(main())


def loaded(database: Database, source: Any, plan: Plan = PLAN) -> int:
    async def work(connection: Any) -> int:
        try:
            job = jobs.find(connection, plan.name)
            return await (compare(connection, source, job, plan) if job else load(connection, source, plan))
        finally:
            await source.aclose()

    return carry_out(database, work)


def job_of(database: Database, name: str = "backfill") -> Job | None:
    with opened(database.address) as connection:
        return jobs.find(connection, name)


def rows_of(database: Database) -> Batch:
    with opened(database.address) as connection:
        job = jobs.find(connection, "backfill")
        assert job
        blocks = [together(shares) for shares in jobs.blocks_of(connection, job)]
    bad, at = {}, 0
    for block in blocks:
        bad.update({at + i: row for i, row in block.bad.items()})
        at += len(block.pairs)
    return Batch([p for b in blocks for p in b.pairs], [n for b in blocks for n in b.lines], bad)


async def all_rows(source: Any) -> Batch:
    rows = await loading.SourceBlocks(source, is_strict=False).next(10**6)
    await source.aclose()
    return rows


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "SHARE_ROWS", 64)


def test_every_row_is_in_one_part_and_the_parts_give_them_in_order(postgres: Database, tmp_path: Path) -> None:
    assert loaded(postgres, source_of(tmp_path, text(1_000))) == 1_000
    job = job_of(postgres)
    assert job
    assert (job.rows, job.parts, job.blocks, job.identity) == (1_000, 3, 6, IDENTITY)
    assert rows_of(postgres) == asyncio.run(all_rows(source_of(tmp_path, text(1_000))))
    with opened(postgres.address) as connection:
        parts = jobs.parts_of(connection, job)
    assert sum(part.rows for part in parts) == 1_000
    assert [part.left for part in parts] == [part.rows for part in parts]
    for part in parts:
        session = Session(postgres.address, give_up_after_s=0.0)
        reader = PartReader(session, job="backfill", part=part.name, rows=part.rows)
        lines: list[int] = []
        while batch := reader.read():
            lines += batch.lines
        assert lines == sorted(lines)
        assert (len(lines), reader.fraction()) == (part.rows, 1.0)
        reader.close()


def test_the_same_source_is_not_loaded_again_and_rows_added_at_its_end_are(postgres: Database, tmp_path: Path) -> None:
    loaded(postgres, source_of(tmp_path, text(500)))
    assert loaded(postgres, source_of(tmp_path, text(500))) == 0
    assert loaded(postgres, source_of(tmp_path, text(900))) == 400
    assert loaded(postgres, source_of(tmp_path, text(901))) == 1
    job = job_of(postgres)
    assert job
    assert job.rows == 901
    assert rows_of(postgres) == asyncio.run(all_rows(source_of(tmp_path, text(901))))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (text(300) + "9,9\n" + text(199, first=301), "line 302: job backfill has 7,301 here, the source 9,9"),
        (text(300), "ends after 300 rows, but job backfill has 500"),
        ("", "ends after 0 rows, but job backfill has 500"),
        (text(50) + text(450, first=51), "line 52: job backfill has no pair here, the source 3,50"),
    ],
)
def test_another_source_is_refused_with_its_line(postgres: Database, tmp_path: Path, rows: str, words: str) -> None:
    loaded(postgres, source_of(tmp_path, text(500)))
    with pytest.raises(SourceError, match=words):
        loaded(postgres, source_of(tmp_path, rows))
    assert rows_of(postgres) == asyncio.run(all_rows(source_of(tmp_path, text(500))))


class Killed(Exception):
    """The process is gone at this step."""


def test_a_load_that_was_killed_has_left_nothing(
    postgres: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its begin, before and after each block, and before and after its last statements."""
    for step in range(8):
        plan = Plan(f"killed-{step}", IDENTITY, parts=3, origin="")
        calls = itertools.count()

        def dying(make: Callable[..., Any], step: int = step, calls: Iterator[int] = calls) -> Callable[..., Any]:
            def call(*args: Any) -> Any:
                is_last = next(calls) == step
                if is_last and step % 2:
                    raise Killed
                result = make(*args)
                if is_last:
                    raise Killed
                return result

            return call

        with monkeypatch.context() as patched:
            for name in ("_begin", "_put", "_finish"):
                patched.setattr(loading, name, dying(getattr(loading, name)))
            with pytest.raises(Killed):
                loaded(postgres, source_of(tmp_path, text(1_000)), plan)
        assert job_of(postgres, plan.name) is None
        assert postgres.sql("SELECT count(*) FROM bulkwriter.chunks WHERE job = %s", plan.name) == [(0,)]
    loaded(postgres, source_of(tmp_path, text(1_000)), plan)
    found = postgres.sql("SELECT sum(rows) FROM bulkwriter.chunks WHERE job = %s", plan.name)
    assert found == [(1_000,)]


def test_a_load_whose_commit_was_not_answered_is_not_done_again(
    postgres: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = loading._finish

    def unanswered(*args: Any) -> None:
        finish(*args)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(loading, "_finish", unanswered)
        with pytest.raises(Killed):
            loaded(postgres, source_of(tmp_path, text(200)))
    assert loaded(postgres, source_of(tmp_path, text(200))) == 0
    assert rows_of(postgres) == asyncio.run(all_rows(source_of(tmp_path, text(200))))


def test_only_one_process_loads_a_job(postgres: Database, tmp_path: Path) -> None:
    async def work(connection: Any) -> int:
        first = source_of(tmp_path, text(200))
        await loading.apart(loading._begin, connection, PLAN)
        with (
            opened(postgres.address) as other,
            pytest.raises(JournalError, match="another process loads job backfill right now"),
        ):
            await load(other, first, PLAN)
        await first.aclose()
        return 0

    carry_out(postgres, work)
    assert loaded(postgres, source_of(tmp_path, text(200))) == 200


def test_a_bad_row_with_strict_loads_nothing(postgres: Database, tmp_path: Path) -> None:
    plan = Plan("backfill", IDENTITY, parts=3, origin="", is_strict=True)
    with pytest.raises(SourceError, match="line 52: "):
        loaded(postgres, source_of(tmp_path, text(100)), plan)
    assert job_of(postgres) is None


def test_an_empty_source_is_a_job_without_rows(postgres: Database, tmp_path: Path) -> None:
    assert loaded(postgres, source_of(tmp_path, "")) == 0
    job = job_of(postgres)
    assert job
    assert (job.rows, job.blocks) == (0, 0)
    assert loaded(postgres, source_of(tmp_path, text(10))) == 10


def test_a_job_of_a_service_is_not_loaded_into(postgres: Database, tmp_path: Path) -> None:
    postgres.sql("INSERT INTO bulkwriter.jobs(job, base_url, entity, parts) VALUES ('backfill', 'http://x', 'e', 0)")
    with pytest.raises(JournalError, match="there is a job backfill already"):
        loaded(postgres, source_of(tmp_path, text(10)))


@pytest.mark.parametrize(
    ("identity", "words"),
    [
        (JournalIdentity("https://other", "", IDENTITY.columns, IDENTITY.entity), "belongs to http://127.0.0.1:1, not"),
        (JournalIdentity(IDENTITY.base_url, "a", IDENTITY.columns, IDENTITY.entity), r"not to .* \(account a\)"),
        (JournalIdentity(IDENTITY.base_url, "", IDENTITY.columns, "enrolments"), "is of completed lessons records"),
        (JournalIdentity(IDENTITY.base_url, "", ("A", "B"), IDENTITY.entity), "was loaded from the columns"),
    ],
)
def test_other_settings_are_refused(identity: JournalIdentity, words: str) -> None:
    with pytest.raises(BulkwriterError, match=words) as refused:
        jobs.check_identity(IDENTITY, "postgresql://h/db/backfill", identity)
    assert refused.value.exit_code == (6 if identity.columns != IDENTITY.columns else 5)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE bulkwriter.chunks SET payload = '[]' WHERE part = '2' AND number = 0",
        "DELETE FROM bulkwriter.parts WHERE part = '2'",
    ],
)
def test_a_damaged_job_is_told(postgres: Database, tmp_path: Path, statement: str) -> None:
    loaded(postgres, source_of(tmp_path, text(100)))
    postgres.sql(statement)
    with opened(postgres.address) as connection:
        job = jobs.find(connection, "backfill")
        assert job
        with pytest.raises(JournalError, match="restore it from its backup"):
            jobs.parts_of(connection, job), list(jobs.blocks_of(connection, job))

"""What a machine remembers of a database: one that has less has lost it, also where its files look as they were."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bulkwriter.errors import COMMITS_LOST, Exit, JournalError
from bulkwriter.model import State
from bulkwriter.postgres.high_water import ABOVE_ALL, HighWater, of_account, of_job
from bulkwriter.postgres.jobs import find, opened
from bulkwriter.postgres.lease import LOST_TIMELINE
from bulkwriter.postgres.loading import Plan, load
from bulkwriter.postgres.part import PartStore
from bulkwriter.store.private import state_folder
from tests.postgres.test_loading import PLAN, source_of, text
from tests.postgres.test_part import QUICK
from tests.postgres_server import Database
from tests.support.journal_child import COLUMNS, URL

HOW: dict[str, Any] = {"base_url": URL, "account": None, "columns": COLUMNS, "entity": "completed lessons"}
AFTER_LOSS = QUICK._replace(after_loss=True)


@pytest.fixture
def go_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres: Database) -> Callable[[str], None]:
    """Go to another machine, as far as files tell."""
    return lambda name: monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / name))


def part_of(postgres: Database, part: str = "p1", settings: Any = QUICK) -> PartStore:
    return PartStore(postgres.address.with_job("job", part), settings, note=print)


def written(store: PartStore, rows: int) -> None:
    """Claim a part, write so many rows in a group each, and give it up."""
    journal = store.open(None, **HOW)
    for seq in range(journal.rows, journal.rows + rows):
        journal.append([(seq, 1, 1, seq + 1, State.INTENT, None)])
    journal.close()
    store.close()


def refused(store: PartStore) -> None:
    with pytest.raises(JournalError, match="may have lost") as caught:
        store.open(None, **HOW)
    store.close()
    assert (caught.value.code, caught.value.exit_code) == (COMMITS_LOST, Exit.JOURNAL)
    assert "--after-loss" in caught.value.hint.typed


GONE = {
    "the job": "DELETE FROM bulkwriter.jobs",
    "the part": "DELETE FROM bulkwriter.parts WHERE part = 'p1'",
    "the claim": "DELETE FROM bulkwriter.groups; UPDATE bulkwriter.parts SET token = 0, shipped = 0",
    "the last group": "DELETE FROM bulkwriter.groups WHERE number = 4; UPDATE bulkwriter.parts SET shipped = 3",
}


@pytest.mark.parametrize("lost", GONE)
def test_a_part_that_has_less_than_this_machine_knows_is_claimed_only_after_a_loss(
    postgres: Database, go_to: Callable[[str], None], lost: str
) -> None:
    written(part_of(postgres), 3)
    go_to("another")
    other = part_of(postgres, "p2")
    other.open(None, **HOW)
    go_to("machine")
    postgres.sql(GONE[lost])
    if lost == "the job":
        other.close()
    refused(part_of(postgres))
    assert set(postgres.sql("SELECT timeline FROM bulkwriter.parts")) == {(LOST_TIMELINE,)}, "all are warned"
    again = part_of(postgres, settings=AFTER_LOSS)
    again.open(None, **HOW)
    lease = again.log.lease
    assert (lease.token >= ABOVE_ALL, lease.unseen_for_s > 1.0) == (True, True)
    again.close()
    written(part_of(postgres), 1)
    other.close()


def test_a_loss_is_met_once_by_each_machine_that_remembers_more(
    postgres: Database, go_to: Callable[[str], None]
) -> None:
    """The second one would stop who goes on after the loss, again and again."""
    for name in ("machine", "another"):
        go_to(name)
        written(part_of(postgres), 2)
    postgres.sql(GONE["the claim"])
    refused(part_of(postgres))
    written(part_of(postgres, settings=AFTER_LOSS), 1)
    go_to("machine")
    written(part_of(postgres), 1)
    assert postgres.sql("SELECT timeline = -1 FROM bulkwriter.parts") == [(False,)]


def test_what_was_shipped_is_known_though_the_worker_was_killed(postgres: Database) -> None:
    killed = part_of(postgres)
    journal = killed.open(None, **HOW)
    for seq in range(5):
        journal.append([(seq, 1, 1, seq + 1, State.INTENT, None)])
    shipped = killed.log.lease.shipped + 5
    journal.close()  # and nothing is given up
    assert of_job(URL, "", "job", "p1").numbers == (1, shipped + 1)  # the first group is of its beginning
    postgres.sql("DELETE FROM bulkwriter.groups WHERE number > 3")
    postgres.sql("UPDATE bulkwriter.parts SET shipped = 3")
    refused(part_of(postgres))
    killed.close()


def test_a_job_that_is_gone_is_loaded_again_only_after_a_loss(postgres: Database, tmp_path: Path) -> None:
    def loads(plan: Plan = PLAN, name: str = "machine") -> list[Any]:
        async def main() -> None:
            with opened(postgres.address) as connection:
                await load(connection, source_of(tmp_path, text(20)), plan)
                assert find(connection, plan.name)

        asyncio.run(main())
        return postgres.sql("SELECT DISTINCT timeline FROM bulkwriter.parts")

    assert loads() != [(LOST_TIMELINE,)]
    postgres.sql("DELETE FROM bulkwriter.jobs")
    with pytest.raises(JournalError, match="job backfill is not in the database, and this machine has") as caught:
        loads()
    assert (caught.value.code, "--after-loss" in caught.value.hint.typed) == (COMMITS_LOST, True)
    assert loads(replace(PLAN, name="other")) != [(LOST_TIMELINE,)]
    postgres.sql("DELETE FROM bulkwriter.jobs")
    assert loads(replace(PLAN, after_loss=True)) == [(LOST_TIMELINE,)], "each worker waits as after any loss"


def test_a_machine_that_cannot_remember_works_all_the_same(
    postgres: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    for home in (str(tmp_path / "file"), "relative"):
        monkeypatch.setenv("XDG_STATE_HOME", home)
        monkeypatch.setenv("HOME", home)
        written(part_of(postgres), 1)
    assert of_account("a").numbers == (0, 0)


def test_the_numbers_of_a_row_are_two_words_of_a_file(postgres: Database) -> None:
    with closing(HighWater("ledger", "an account")) as seen:
        assert seen.numbers == (0, 0)
        seen.note(7)
        seen.note(12, 3, is_durable=True)
        assert seen.numbers == HighWater("ledger", "an account").numbers == (12, 3)
    (path,) = (state_folder() / "seen").iterdir()
    assert path.read_text().split("\n") == [f"{12:020} {3:020}", "ledger an account", ""]
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("torn")
    assert HighWater("ledger", "an account").numbers == (0, 0)

"""Workers of a job with different ledgers or quotas are told of each other, and only while they are at work."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bulkwriter.postgres.address import Address
from bulkwriter.postgres.jobs import opened
from bulkwriter.postgres.loading import load
from bulkwriter.postgres.worker_quotas import WorkerQuotas, choices, difference, join_job, named, which_of

from ..postgres_server import Database
from .test_loading import PLAN, source_of, text

SHARED = WorkerQuotas("postgresql://db/ops", ("write:60/min",))
NONE = WorkerQuotas("", ())
OTHER = WorkerQuotas("postgresql://db/ops", ("write:90/min",))


def test_who_differs_from_those_at_work_is_told(postgres: Database, tmp_path: Path) -> None:
    with opened(postgres.address) as connection:
        asyncio.run(load(connection, source_of(tmp_path, text(20)), PLAN))

        def hold(part: str, seconds: int) -> None:
            connection.execute(
                "UPDATE bulkwriter.parts SET holder = 'h pid 1 a', lease_end = clock_timestamp() + %s * interval '1 s'"
                " WHERE job = 'backfill' AND part = %s",
                (seconds, part),
            )

        hold("1", 60)
        assert join_job(connection, "backfill", "1", SHARED) == []
        hold("2", 60)
        assert join_job(connection, "backfill", "2", SHARED) == []
        assert join_job(connection, "backfill", "3", NONE) == [SHARED]
        assert join_job(connection, "backfill", "3", NONE) == [SHARED], "a repetition says the same"
        assert join_job(connection, "backfill", "2", SHARED) == [NONE]
        for part in "12":
            hold(part, -1)
        assert join_job(connection, "backfill", "3", NONE) == [], "nobody else is at work any more"
        hold("1", 60)
        assert join_job(connection, "backfill", "2", OTHER) == [NONE]
        assert join_job(connection, "gone", "1", OTHER) == []


@pytest.mark.parametrize(
    ("own", "other", "words"),
    [
        (NONE, SHARED, "others on this job count in the ledger postgresql://db/ops, this one counts no quotas"),
        (SHARED, NONE, "others on this job count no quotas, this one counts in the ledger postgresql://db/ops"),
        (SHARED, OTHER, "keep the quotas write:90/min, this one the quotas write:60/min"),
        (SHARED, SHARED._replace(share=0.5), "keep the quotas write:60/min, 50% of each, this one the quotas"),
        (SHARED, SHARED._replace(ledger="l.db on b"), "in the ledger l.db on b, this one counts in the ledger post"),
    ],
)
def test_the_note_says_both(own: WorkerQuotas, other: WorkerQuotas, words: str) -> None:
    assert words in difference(own, [other])
    assert difference(own, []) == ""


def test_what_others_wrote_into_the_row_is_passed_over() -> None:
    noted = [["l", ["q"], 1, "7/5"], ["l", ["q"], 1], ["l", "q", 1, ""], 3, [], ["l", [], True, 4], None]
    assert choices(noted) == [WorkerQuotas("l", ("q",), which="7/5")]
    assert choices({"a": 1}) == choices(None) == []


def test_the_same_ledger_reached_in_another_way_is_the_same() -> None:
    one = Address.parse("postgresql://a:secret@h/ops?host=/run&sslmode=require")
    other = Address.parse("postgresql://b@h/ops?host=/run&connect_timeout=3")
    assert named(one) == named(other) != named(Address.parse("postgresql://b@h/ops?host=/var"))


def test_two_names_of_one_database_are_one_ledger(postgres: Database) -> None:
    with opened(postgres.address):
        here = which_of(postgres.address)
    assert here
    assert which_of(Address.parse("postgresql://127.0.0.1:1/nobody")) == ""
    other = SHARED._replace(ledger="postgresql://elsewhere/ops")
    assert SHARED._replace(which=here).is_as(other._replace(which=here))
    assert not SHARED._replace(which=here).is_as(SHARED._replace(which=f"{here}0"))
    assert not SHARED._replace(which=here).is_as(other), "not known of one: their names tell"

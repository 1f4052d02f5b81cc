"""Who may write a part: claims, take-overs by our own clock alone, and databases that may have lost commits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bulkwriter.errors import COMMITS_LOST, Exit, JournalError
from bulkwriter.postgres.high_water import ABOVE_ALL
from bulkwriter.postgres.lease import TURN_S, PartRow, PartWatch, claim_part, has_lost, take
from bulkwriter.postgres.session import Session
from tests.postgres_server import Database
from tests.support.part_hand import CLAIM, JOB, PART, Hand, Lossy, made, row_of, session_at


@pytest.fixture
def session(postgres: Database) -> Iterator[Session]:
    with made(postgres) as session:
        yield session


def test_a_free_part_is_claimed_at_once_and_each_claim_has_a_higher_token(session: Session) -> None:
    hand = Hand()
    lease = hand.claim(session)
    row = row_of(session)
    assert (lease.token, row.token, row.holder, row.lease_s, row.deadline_s) == (1, 1, lease.holder, 30.0, 90.0)
    assert (row.system_id, row.timeline) == session.cluster == lease.cluster
    assert all(word.isdigit() for word in session.cluster.system_id.split("/"))
    assert (lease.in_doubt_for_s, lease.unseen_for_s, hand.told) == (0.0, 0.0, [])
    assert lease.over_s() == 0.0
    hand.now += 30.0 - TURN_S
    assert lease.over_s() == 0.0
    hand.now += 0.5
    assert lease.over_s() == 0.5
    lease.renewed(hand.now - 1.0)
    assert lease.over_s() == 0.0
    lease.end()
    assert lease.over_s() > 0


@pytest.mark.parametrize("database_says", ["- interval '1 year'", "+ interval '1 year'"])
def test_a_part_is_taken_over_when_its_row_stood_still_for_a_lease_whatever_the_databases_clock_says(
    session: Session, postgres: Database, database_says: str
) -> None:
    first, hand = Hand().claim(session), Hand()
    postgres.sql(f"UPDATE bulkwriter.parts SET lease_end = lease_end {database_says}")
    began = hand.now
    lease = hand.claim(session)
    assert 30.0 <= hand.now - began < 31.5
    assert (lease.token, lease.in_doubt_for_s) == (2, 90.0)
    assert first.holder.rpartition(" ")[0] in hand.told[0]
    assert "taken over in 30 s" in hand.told[0]


def test_doubts_of_a_part_that_is_taken_later_count_from_the_end_of_its_lease(session: Session) -> None:
    """As the taker's own clock knows it: a lease after it saw the row."""
    Hand().claim(session)
    hand = Hand()
    watch = PartWatch(hand)
    assert watch.left_s(PART, row_of(session)) == 30.0
    hand.now += 30.0 + 400.0
    lease = claim_part(session, JOB, PART, CLAIM, note=hand.told.append, pause=hand.pause, watch=watch, clock=hand)
    assert lease.in_doubt_for_s == 90.0 - 400.0


def test_a_holder_that_renews_is_left_alone(session: Session, postgres: Database) -> None:
    Hand().claim(session)
    hand = Hand()
    hand.meanwhile = lambda: postgres.sql("UPDATE bulkwriter.parts SET lease_end = clock_timestamp()")
    began = hand.now
    with pytest.raises(JournalError, match=rf"{JOB}/{PART} is held by .+ pid \d+\n") as caught:
        hand.claim(session)
    assert (caught.value.exit_code, caught.value.code) == (Exit.JOURNAL, "held")
    assert hand.now - began < 5
    assert row_of(session).token == 1


def test_only_one_of_those_who_saw_the_same_row_takes_it(session: Session) -> None:
    row = row_of(session)
    won = [take(session, JOB, PART, row, CLAIM), take(session, JOB, PART, row, CLAIM)]
    assert [lease.token if lease else None for lease in won] == [1, None]


def test_a_watch_counts_from_when_it_saw_the_row_change() -> None:
    hand = Hand()
    watch, row = PartWatch(hand), PartRow(1, "host pid 1 ab", None, 10.0, 90.0, "", 0, 5)
    assert watch.left_s("a", row) == 10.0
    hand.now += 6.0
    assert (watch.left_s("a", row), watch.left_s("b", row), watch.is_alive("a")) == (4.0, 10.0, False)
    assert watch.left_s("a", row._replace(shipped=6)) == 10.0
    assert watch.is_alive("a")
    hand.now += 10.0
    assert watch.left_s("a", row._replace(shipped=6)) == 0.0
    assert watch.left_s("c", row._replace(holder="")) == 0.0


def test_a_database_of_another_history_is_claimed_only_after_a_loss_and_then_late(
    session: Session, postgres: Database
) -> None:
    Hand().claim(session)
    for change in ("timeline = timeline - 1", "timeline = timeline + 1, system_id = '12'"):
        postgres.sql(f"UPDATE bulkwriter.parts SET {change}, holder = ''")
        with pytest.raises(JournalError, match="may have lost") as caught:
            Hand().claim(session)
        assert (caught.value.exit_code, caught.value.code) == (Exit.JOURNAL, COMMITS_LOST)
        assert "--after-loss" in caught.value.hint.typed
    assert row_of(session).token == 1
    lease = Hand().claim(session, CLAIM._replace(after_loss=True))
    assert (lease.token, lease.unseen_for_s) == (1 + ABOVE_ALL, 30.0 + 90.0 + 65.0)
    row = row_of(session)
    assert (row.system_id, row.timeline) == session.cluster
    assert Hand().claim(session).unseen_for_s == 0.0


def test_a_part_that_was_never_claimed_belongs_to_the_database_that_it_was_loaded_into(
    session: Session, postgres: Database
) -> None:
    """A lost claim is not in the row: what its holder can have sent is waited for as if it was one like ours."""
    assert (row_of(session).system_id, row_of(session).timeline) == session.cluster
    postgres.sql("UPDATE bulkwriter.parts SET timeline = timeline + 1")
    with pytest.raises(JournalError, match="may have lost"):
        Hand().claim(session)
    assert Hand().claim(session, CLAIM._replace(after_loss=True)).unseen_for_s == 30.0 + 90.0 + 65.0


@pytest.mark.parametrize("table", ["parts", "accounts"])
def test_a_dump_that_is_restored_into_the_same_cluster_shows(session: Session, postgres: Database, table: str) -> None:
    """It makes the tables anew."""
    before = session.cluster
    postgres.sql(f"ALTER TABLE bulkwriter.{table} RENAME TO old")
    postgres.sql(f"CREATE TABLE bulkwriter.{table} (LIKE bulkwriter.old INCLUDING ALL)")
    postgres.sql(f"INSERT INTO bulkwriter.{table} SELECT * FROM bulkwriter.old")
    session.rest()
    row = row_of(session)
    assert (session.cluster.timeline, has_lost(row, session.cluster)) == (before.timeline, True)


def test_a_claim_whose_reply_was_lost_is_ours_and_counts_from_its_first_question(
    session: Session, postgres: Database
) -> None:
    lossy, asked = Lossy("claimed_at"), iter(range(100, 200))
    other = session_at(postgres, lossy)
    lease = take(other, JOB, PART, row_of(session), CLAIM, clock=lambda: float(next(asked)))
    other.close()
    assert lease
    assert (lossy.lost, lease.token, lease.renewed_at) == (1, 1, 100.0)
    assert row_of(session).holder == lease.holder

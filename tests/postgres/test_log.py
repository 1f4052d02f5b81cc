"""The log of a part: each group once, in order, by its holder alone; a database that goes, comes back, or forgets."""

from __future__ import annotations

import itertools
import math
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from bulkwriter.errors import Exit, FenceLost, JournalError, StoreGone
from bulkwriter.model import State
from bulkwriter.postgres.connect import connect
from bulkwriter.postgres.lease import TURN_S
from bulkwriter.postgres.log import SHIP, PartLog, counts_text
from bulkwriter.postgres.part import make_rows
from bulkwriter.postgres.prepared import Prepared
from bulkwriter.postgres.schema import grant
from bulkwriter.postgres.session import HURRY_S, Session
from tests.postgres.test_prepared import RUNS
from tests.postgres_server import Database
from tests.support.part_hand import CLAIM, IDENTITY, JOB, PART, Hand, made, row_of, session_at

COUNTS = {State.CREATED: 3, State.INTENT: 2}


@pytest.fixture
def session(postgres: Database) -> Iterator[Session]:
    with made(postgres) as session:
        yield session


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def log(session: Session, hand: Hand) -> PartLog:
    return PartLog(session, hand.claim(session), clock=hand)


@pytest.fixture
def other(postgres: Database) -> Iterator[Session]:
    session = session_at(postgres)
    yield session
    session.close()


def kept(postgres: Database) -> list[tuple[int, bytes]]:
    return [tuple(row) for row in postgres.sql("SELECT number, payload FROM bulkwriter.groups ORDER BY 1")]


def test_a_group_is_a_row_and_renews_the_lease_from_before_it_was_asked_for(
    log: PartLog, hand: Hand, postgres: Database
) -> None:
    before = row_of(log._session).lease_end
    hand.now += 29.0
    log.ship(b"\x00one", COUNTS)
    log.ship(b"two", COUNTS)
    assert kept(postgres) == [(1, b"\x00one"), (2, b"two")]
    row = row_of(log._session)
    assert row.shipped == 2
    assert row.lease_end != before
    assert log.lease.renewed_at == hand.now
    assert postgres.sql("SELECT counts FROM bulkwriter.parts") == [
        ({"created": 3, "existing": 0, "rejected": 0, "failed": 0, "in_doubt": 0, "pending": 2, "invalid": 0,
          "duplicates": 0},)
    ]  # fmt: skip
    assert counts_text({}).count("0") == 8
    ran = log._session.insist(lambda connection: connection.execute(RUNS).fetchone())
    assert ran == (2,), "psycopg ran it, which is slow"


def test_a_lease_is_renewed_when_a_third_of_it_is_over(log: PartLog, hand: Hand) -> None:
    before = row_of(log._session)
    hand.now += 9.0
    log.renew()
    assert row_of(log._session) == before
    hand.now += 2.0
    log.renew()
    assert row_of(log._session).lease_end != before.lease_end
    assert log.lease.renewed_at == hand.now


def test_a_lease_that_is_over_is_renewed_unless_somebody_took_the_part(
    log: PartLog, hand: Hand, other: Session, postgres: Database
) -> None:
    log.ship(b"one", COUNTS)
    hand.now += 100.0
    assert log.over_s() == 100.0 - 30.0 + TURN_S
    log.ship(b"two", COUNTS)
    assert log.over_s() == 0.0
    Hand().claim(other)
    row = row_of(other)
    calls: list[Callable[[], None]] = [lambda: log.ship(b"three", COUNTS), log._renew, lambda: log.ship(b"3", COUNTS)]
    for call in calls:
        with pytest.raises(
            FenceLost, match=rf"{JOB}/{PART} was taken over by .+ pid \d+: our lease was over"
        ) as caught:
            call()
        assert caught.value.exit_code is Exit.JOURNAL
    assert log.over_s() > 0
    log.release()
    assert (row_of(other), len(kept(postgres))) == (row, 2)


def test_a_group_whose_reply_was_lost_is_there_once_and_its_lease_is_asked_for_again(
    session: Session, log: PartLog, postgres: Database
) -> None:
    class Losing(Prepared):
        lost = 0

        def rowcount(self, connection: Any, values: Any) -> int:
            done = super().rowcount(connection, values)
            if not self.lost:
                self.lost += 1
                connection.close()
                raise psycopg.OperationalError("server closed the connection unexpectedly")
            return done

    log._ship = losing = Losing(SHIP)
    log.ship(b"one", COUNTS)
    log.ship(b"two", COUNTS)
    assert losing.lost == 1
    assert kept(postgres) == [(1, b"one"), (2, b"two")]
    log.release()
    assert row_of(session).is_free


def test_groups_come_back_in_order_page_by_page(log: PartLog, other: Session, postgres: Database) -> None:
    postgres.sql(
        "INSERT INTO bulkwriter.groups(job, part, number, token, payload) "
        "SELECT 'backfill', 'p1', n, 1, convert_to(n::text, 'UTF8') FROM generate_series(1, 1300) n"
    )
    postgres.sql("UPDATE bulkwriter.parts SET shipped = 1250")
    taken = PartLog(other, Hand().claim(other))
    assert list(taken.groups()) == [(n, str(n).encode()) for n in range(1, 1251)]


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ("shipped = 1", StoreGone, "may have lost"),
        ("timeline = timeline - 1", StoreGone, "may have lost"),
        ("token = 0", StoreGone, "may have lost"),
        ("token = 2, shipped = 1", StoreGone, "may have lost"),
        ("holder = ''", StoreGone, "may have lost"),
        ("holder = '', token = 2", FenceLost, "and given up"),
    ],
)
def test_a_log_that_is_not_as_it_was_left_ends_the_work(
    log: PartLog, session: Session, postgres: Database, change: str, kind: type[JournalError], words: str
) -> None:
    """A copy of the database that was put back has the same history: each later start is refused nevertheless."""
    for group in (b"one", b"two"):
        log.ship(group, COUNTS)
    postgres.sql(f"UPDATE bulkwriter.parts SET {change}")
    with pytest.raises(kind, match=words) as caught:
        log.ship(b"three", COUNTS)
    assert type(caught.value) is kind
    assert len(kept(postgres)) == 2
    if kind is StoreGone:
        with pytest.raises(JournalError, match="may have lost"):
            Hand().claim(session)
    assert Hand().claim(session, CLAIM._replace(after_loss=True)).unseen_for_s == (185.0 if kind is StoreGone else 0.0)


def test_a_job_that_was_deleted_ends_the_work(log: PartLog, postgres: Database) -> None:
    log.ship(b"one", COUNTS)
    postgres.sql("DELETE FROM bulkwriter.jobs")
    assert kept(postgres) == []
    with pytest.raises(JournalError, match="was deleted") as caught:
        log.ship(b"two", COUNTS)
    assert type(caught.value) is JournalError


def test_a_database_that_stops_and_comes_back_is_waited_for(log: PartLog, postgres: Database, hand: Hand) -> None:
    log.ship(b"one", COUNTS)
    postgres.server.stop(signal.SIGQUIT)
    began = threading.Event()

    def work() -> None:
        began.set()
        log.ship(b"two", COUNTS)

    shipping = threading.Thread(target=work)
    shipping.start()
    began.wait()
    postgres.server.start()
    shipping.join(20)
    assert kept(postgres) == [(1, b"one"), (2, b"two")]


def test_a_database_that_does_not_come_back_is_given_up_with_75(session: Session, postgres: Database) -> None:
    postgres.server.stop()
    seconds = itertools.count()
    how: dict[str, Any] = {"answer_s": 1e9, "clock": lambda: float(next(seconds))}
    hasty = Session(postgres.address.with_job(JOB, PART), give_up_after_s=3.0, **how)
    with pytest.raises(StoreGone, match="has not answered for") as caught:
        hasty.insist(lambda connection: connection.execute("SELECT 1"))
    assert caught.value.exit_code is Exit.TRY_LATER
    hasty.close()
    leaving = Session(postgres.address.with_job(JOB, PART), give_up_after_s=3_600.0, **how)
    leaving.hurry()
    with pytest.raises(StoreGone):
        leaving.insist(lambda connection: connection.execute("SELECT 1"))
    leaving.close()


def test_who_waits_for_long_is_told_why_and_when_it_goes_on(postgres: Database) -> None:
    """And who leaves waits no longer."""
    seconds, told = itertools.count(), list[str]()
    how: dict[str, Any] = {"answer_s": 1e9, "give_up_after_s": 3_600.0, "clock": lambda: float(next(seconds))}
    waiting = Session(postgres.address, note=told.append, **how)
    fails = iter((True,) * 4)

    def ask(connection: Any) -> str:
        if next(fails, False):
            raise psycopg.OperationalError("the server is shutting down")
        return "answered"

    assert waiting.insist(ask) == "answered"
    assert len(told) == 2
    assert "shutting down" in told[0]
    assert "answers again" in told[1]
    waiting.leave()
    fails = iter((True,) * 4)
    with pytest.raises(StoreGone):
        waiting.insist(ask)
    assert len(list(fails)) == 3
    waiting.close()


def test_a_call_that_is_not_answered_is_cut_off_and_made_again(session: Session, postgres: Database) -> None:
    """The peer acknowledges every byte, so that TCP itself sees no fault."""
    quick = Session(postgres.address.with_job(JOB, PART), answer_s=0.3, give_up_after_s=60.0)
    calls: list[int] = []

    def ask(connection: Any) -> int:
        calls.append(1)
        connection.execute("SELECT pg_sleep(20)" if len(calls) == 1 else "SELECT 1")
        return len(calls)

    assert quick.insist(ask) == 2
    quick.close()


def test_who_hurries_waits_neither_for_an_answer_nor_for_another_try(session: Session, postgres: Database) -> None:
    """Or a run that ends while a renewal hangs would blame the disk of its journal, with exit 5."""
    now, asked = [0.0], threading.Event()
    ending = Session(postgres.address.with_job(JOB, PART), answer_s=1e9, give_up_after_s=1e9, clock=lambda: now[0])

    def ask(connection: Any) -> None:
        asked.set()
        connection.execute("SELECT pg_sleep(20)")

    def end() -> None:
        asked.wait(20)
        ending.hurry()
        now[0] = 2 * HURRY_S
        asked.clear()
        asked.wait(20)
        now[0] = 4 * HURRY_S

    threading.Thread(target=end).start()
    with pytest.raises(StoreGone):
        ending.insist(ask)
    ending.close()


def test_who_hurries_makes_a_new_connection_for_one_that_was_lost_before(postgres: Database) -> None:
    """Or a lease that could be given back would stay booked, since its link was cut for a moment long ago."""
    ending = Session(postgres.address, give_up_after_s=math.inf, hurry_s=0.0)
    ending.insist(lambda connection: connection.execute("SELECT 1"))
    postgres.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    ending.hurry()
    assert ending.insist(lambda connection: connection.execute("SELECT 1").fetchone()) == (1,)
    ending.close()


def test_a_trouble_that_does_not_pass_is_an_error_at_once(postgres: Database) -> None:
    strange = Session(postgres.server.database(has_tables=False).address, answer_s=5.0, give_up_after_s=60.0)
    with pytest.raises(JournalError, match="tables are not there"):
        strange.insist(lambda connection: None)
    strange.close()


def test_a_role_with_the_least_rights_may_do_all_of_it(postgres: Database) -> None:
    address = postgres.address.with_job(JOB, PART)
    with connect(postgres.address) as connection:
        connection.execute("CREATE ROLE clerk LOGIN")
        grant(connection, "clerk")
    clerk = Session(replace(address, user="clerk"), answer_s=5.0, give_up_after_s=5.0)
    clerk.insist(lambda connection: make_rows(connection, address, IDENTITY))
    log = PartLog(clerk, Hand().claim(clerk))
    log.ship(b"one", COUNTS)
    log.release()
    clerk.close()
    with connect(postgres.address) as connection:
        connection.execute("DROP OWNED BY clerk")
        connection.execute("DROP ROLE clerk")


def test_a_promoted_standby_stops_the_holder_with_75_and_is_claimed_after_a_loss(
    session: Session, postgres: Database, hand: Hand
) -> None:
    log = PartLog(session, hand.claim(session), clock=hand)
    log.ship(b"one", COUNTS)
    postgres.server.stop(signal.SIGINT)
    (postgres.server.folder / "cluster" / "standby.signal").touch()
    postgres.server.start()
    postgres.server.admin("SELECT pg_promote()")
    with pytest.raises(StoreGone, match="may have lost") as caught:
        log.ship(b"two", COUNTS)
    assert (caught.value.exit_code, caught.value.code) == (Exit.TRY_LATER, "lost")
    assert log.over_s() > 0
    assert session.cluster.timeline == log.lease.cluster.timeline + 1
    lease = Hand().claim(session, CLAIM._replace(after_loss=True))
    assert (lease.cluster, lease.unseen_for_s) == (session.cluster, 30.0 + 90.0 + 65.0)

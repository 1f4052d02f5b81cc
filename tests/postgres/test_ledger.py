"""The ledger in PostgreSQL, beyond what every ledger owes (`quota/test_ledgers.py`): clock, repeats, troubles."""

from __future__ import annotations

import itertools
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from bulkwriter.errors import Exit, LedgerError, LedgerGone
from bulkwriter.postgres.address import START_S, Address
from bulkwriter.postgres.clock import DatabaseClock
from bulkwriter.postgres.connect import connect
from bulkwriter.postgres.high_water import of_account
from bulkwriter.postgres.ledger import JOIN_S, PostgresLedger, ledger_session, read_postgres
from bulkwriter.quota.account import Account
from bulkwriter.quota.exchange import Answer, Ask, ClockReadings
from bulkwriter.quota.forecast import DAY_S
from bulkwriter.quota.windows import windows_of
from tests.postgres_server import PASSWORD, Database, PostgresServer
from tests.support.postgres_desk import SetClock

NOW = 1.7e9
(DAY,) = windows_of(["write:1000/day"], is_loopback=False)


MADE: list[Host] = []


@dataclass
class Host:
    """A machine with one client.  `boot` is its clock, and the database's is `clock`."""

    address: Address
    clock: SetClock
    boot_id: str = "boot-1"
    boot: float = 5_000.0
    quota: str = "write:100/day"
    said: list[str] = field(default_factory=list)
    ticks: Callable[[], float] = time.monotonic  # what it waits by
    remembers: bool = False
    ledger: PostgresLedger = field(init=False)
    number: int = 0

    def __post_init__(self) -> None:
        MADE.append(self)
        windows = windows_of(self.quota.split(), is_loopback=False)
        self.time = DatabaseClock(lambda: self.boot, 0.0)
        self.session = ledger_session(self.address, self.said.append, start_s=START_S, clock=self.ticks)
        self.ledger = PostgresLedger(
            self.session, "a", lambda place: Account(windows, place), boot=lambda: self.boot,
            boot_id=self.boot_id, clock=self.time, say=self.said.append,
            seen=of_account("a") if self.remembers else None,
        )  # fmt: skip

    def ask(self, wants: int = 0, *, repeats: bool = False, epoch: float | None = None, **said: Any) -> Answer:
        self.number += not repeats
        clocks = ClockReadings(epoch, epoch, epoch or NOW)
        return self.ledger.exchange(
            Ask(
                client=self.boot_id, number=self.number, now=self.time.now(), hold_s=20.0, clocks=clocks,
                wants=frozenset({"write"} if wants else ()), **said,
            )
        )  # fmt: skip

    def spend(self, count: int, **how: Any) -> Answer:
        return self.ask(ended={("write", self.time.now()): count}, **how)


@pytest.fixture
def clock(postgres: Database) -> Iterator[SetClock]:
    with closing(SetClock(postgres)) as made:
        made.set(NOW)
        yield made
        while MADE:
            MADE.pop().ledger.close()


def later(clock: SetClock, seconds: float, *hosts: Host, at: float = NOW) -> float:
    """Time passes, for the database and for machines."""
    for host in hosts:
        host.boot += seconds
    clock.set(at + seconds)
    return at + seconds


def spent(postgres: Database) -> list[Any]:
    return postgres.sql("SELECT clock, count FROM bulkwriter.spent WHERE client = '' ORDER BY clock")


def test_machines_with_clocks_of_their_own_share_one_account(postgres: Database, clock: SetClock) -> None:
    one, other = Host(clock.address, clock), Host(clock.address, clock, "boot-2", boot=9e6)
    one.ask()
    other.ask()
    one.spend(60)
    other.spend(39)
    assert one.ask(9).leases["write"].units == 1
    assert not other.ask(1).leases
    assert spent(postgres) == [(1, 99)]


@pytest.mark.parametrize("step_s", [90_000.0, -90_000.0])
def test_a_step_of_the_database_s_clock_frees_nothing_and_blocks_nothing(
    postgres: Database, clock: SetClock, step_s: float
) -> None:
    one = Host(clock.address, clock)
    one.ask()
    one.spend(100)
    at = later(clock, 10.0, one)
    clock.set(at + step_s)
    assert not one.ask(1).leases
    assert (postgres.sql("SELECT clock, shift_s FROM bulkwriter.accounts")) == [(1, pytest.approx(-step_s, abs=0.1))]
    later(clock, 86_500.0, one, at=at + step_s)
    assert one.ask(1).leases


def test_a_step_while_nobody_is_at_work_is_noticed_by_the_next_process_of_the_same_boot(clock: SetClock) -> None:
    one = Host(clock.address, clock)
    one.ask()
    one.spend(100)
    at = later(clock, 3_600.0)
    clock.set(at + 90_000.0)
    assert not Host(clock.address, clock, boot=one.boot + 3_600.0).ask(1).leases


def test_a_new_machine_joins_those_at_work(postgres: Database, clock: SetClock) -> None:
    one = Host(clock.address, clock)
    one.ask()
    one.spend(60)
    later(clock, JOIN_S - 1, one)
    other = Host(clock.address, clock, "boot-2", boot=1.0)
    assert other.ask(50).leases["write"].units == 1  # a hundredth
    assert spent(postgres) == [(1, 60)]


def test_a_new_machine_begins_a_new_clock_where_nobody_was_at_work(postgres: Database, clock: SetClock) -> None:
    """What was spent is placed by the server's clock, and as long as that is unknown counts from now."""
    one = Host(clock.address, clock)
    one.ask(epoch=NOW)
    one.spend(100, epoch=NOW)
    later(clock, 90_000.0)  # as it says: the clock may have been set
    other = Host(clock.address, clock, "boot-2", boot=1.0)
    assert not other.ask(1).leases
    assert other.ask().is_guess
    assert other.ask(1, epoch=NOW + 90_000.0).leases
    postgres.sql("UPDATE bulkwriter.spent SET ended = ended - 80000 WHERE clock = 1")
    third = Host(clock.address, clock, "boot-3", boot=1.0)
    assert third.ask(1, epoch=NOW + 3_600.0).leases  # the server's clock alone decides
    assert postgres.sql("SELECT clock FROM bulkwriter.accounts") == [(2,)]


def test_a_machine_that_stood_still_shifts_nothing(postgres: Database, clock: SetClock) -> None:
    one, other = Host(clock.address, clock), Host(clock.address, clock, "boot-2", boot=1.0)
    one.ask()
    other.ask()
    later(clock, 600.0, one)
    one.ask()  # it has seen them pass
    other.ask()
    assert postgres.sql("SELECT shift_s FROM bulkwriter.accounts") == [(0.0,)]
    assert other.time.now() == pytest.approx(NOW + 600.0, abs=0.5)


def test_a_repeat_after_an_unknown_commit_counts_nothing_twice(postgres: Database, clock: SetClock) -> None:
    """However long it takes, and whether the first one was carried out or not."""
    one = Host(clock.address, clock)
    one.ask()
    one.spend(7)
    one.session.rest()  # the answer was lost with the connection
    later(clock, 3_600.0, one)
    one.spend(7, repeats=True)
    assert spent(postgres) == [(1, 7)]
    one.number += 1
    one.spend(5, repeats=True)  # this number was never carried out
    assert sorted(count for _, count in spent(postgres)) == [5, 7]


def test_what_was_granted_and_never_heard_of_is_taken_back(postgres: Database, clock: SetClock) -> None:
    one = Host(clock.address, clock, quota="write:300/day")
    one.ask()
    assert one.ask(3).leases["write"].units == 3
    one.session.rest()
    assert one.ask(3, repeats=True).leases["write"].units == 3
    assert postgres.sql("SELECT sum(count)::int FROM bulkwriter.spent") == [(3,)]


def test_it_goes_on_by_itself_when_the_database_was_away(clock: SetClock, postgres_server: PostgresServer) -> None:
    seconds, told = itertools.count(), threading.Event()
    one = Host(clock.address, clock, ticks=lambda: float(next(seconds)))
    assert one.ask(1).leases
    postgres_server.stop(signal.SIGQUIT)

    def start_again() -> None:
        told.wait(20)
        postgres_server.start()

    def say(words: str) -> None:
        one.said.append(words)
        told.set()

    starting = threading.Thread(target=start_again)
    starting.start()
    one.session._note = say
    assert one.ask(1).leases
    starting.join()
    assert "nothing is sent until the quota ledger answers: PostgreSQL at" in one.said[0]
    assert one.said[1:] == ["the quota ledger answers again, and the run goes on"]


def test_an_answer_that_never_comes_is_not_waited_for_for_ever(clock: SetClock, postgres: Database) -> None:
    """The peer acknowledges every byte, as a proxy does that stalls: another holds the account's row."""
    one = Host(clock.address, clock)
    assert one.ask(1).leases
    one.session._answer_s = 0.1
    with connect(postgres.address) as holder:
        holder.execute("BEGIN")
        holder.execute("SELECT 1 FROM bulkwriter.accounts FOR UPDATE")
        cut = threading.Event()

        def opened(address: Address) -> Any:
            cut.set()
            return connect(address)

        one.session._opened = opened
        asking = threading.Thread(target=one.ask)
        asking.start()
        assert cut.wait(20)
        one.session._answer_s = 10.0
        holder.execute("ROLLBACK")
        asking.join(20)
    assert not asking.is_alive()


def test_a_wait_for_the_database_ends_with_the_run(postgres: Database, clock: SetClock) -> None:
    one = Host(clock.address, clock)
    one.ask()
    one.session.address = Address.parse("postgresql://127.0.0.1:1/nobody")
    one.session.rest()
    one.ledger.interrupt()
    with pytest.raises(LedgerGone, match="has not answered"):
        one.ask()


@pytest.mark.parametrize(
    ("change", "said", "hint"),
    [
        ({"user": "nobody-here"}, "does not exist", "psql"),
        ({"database": "template1"}, "tables are not there", "bulkwriter ledger init"),
        ({"options": (), "hosts": (("127.0.0.1", "PORT"),)}, "password", "PGPASSWORD"),
    ],
)
def test_what_does_not_pass_is_an_error_that_says_what_to_do(
    postgres: Database, clock: SetClock, change: dict[str, Any], said: str, hint: str
) -> None:
    if "hosts" in change:
        change = {
            **change,
            "hosts": (("127.0.0.1", str(postgres.server.port)),),
            "secrets": (("password", "wrong-" + PASSWORD),),
        }
    one = Host(replace(postgres.address, **change), clock)
    for _ in range(2):  # then for ever
        with pytest.raises(LedgerError, match=said) as raised:
            one.ask(1)
        assert hint in raised.value.hint.typed
        assert PASSWORD not in str(raised.value) + repr(raised.value.__cause__) + repr(raised.value.__context__)


def test_a_database_that_is_away_at_the_start_ends_with_75_in_the_end(clock: SetClock) -> None:
    seconds = itertools.count(step=6)
    one = Host(Address.parse("postgresql://127.0.0.1:1/nobody"), clock, ticks=lambda: float(next(seconds)))
    for _ in range(2):  # then for ever
        with pytest.raises(LedgerGone, match="refused") as raised:
            one.ask(1)
        assert raised.value.exit_code is Exit.TRY_LATER


BOTH = "write:1000/day write:6/min"


def lose(postgres: Database, *, timeline: int = 1) -> None:
    """The last exchange, in which ten had ended.  `timeline`: so far is that of the database from what it was."""
    postgres.sql("DELETE FROM bulkwriter.spent")
    postgres.sql("UPDATE bulkwriter.accounts SET exchanges = 1, timeline = timeline + %s, short = ''", timeline)


@pytest.mark.parametrize("timeline", [1, 0])
def test_lost_exchanges_count_as_all_that_the_quotas_allowed_since_then(
    postgres: Database, clock: SetClock, timeline: int
) -> None:
    """Whether the timeline shows it, or that there are fewer exchanges than we have heard of (a restored backup)."""
    one = Host(clock.address, clock, quota=BOTH)
    one.ask()
    assert one.spend(10).spending.spent(DAY, one.time.now()) == 10
    lose(postgres, timeline=timeline)
    one.session.rest()
    at = later(clock, 60.0, one)
    answer = one.ask(1)
    assert not answer.leases  # the minute is full until all that may be on its way has ended
    assert answer.spending.spent(DAY, one.time.now()) == 18  # in three minutes, since a minute may begin anywhere
    (said,) = one.said
    assert "may lack what was spent last: 18 writes count as spent, as many as the quotas allowed in 60 s" in said
    at = later(clock, 85.0, one, at=at)
    assert not one.ask(1).leases
    later(clock, 120.0, one, at=at)
    assert one.ask(1).leases
    assert len(one.said) == 1
    assert postgres.sql("SELECT kind, count FROM bulkwriter.spent WHERE client = 'lost'") == [("write", 18)]


def test_where_nobody_knows_how_long_ago_the_last_exchange_was_every_quota_is_spent(
    postgres: Database, clock: SetClock
) -> None:
    Host(clock.address, clock, quota=BOTH).ask()
    lose(postgres)
    later(clock, 2.0)
    other = Host(clock.address, clock, "boot-2", boot=1.0, quota=BOTH)
    answer = other.ask(1)
    assert answer.spending.spent(DAY, other.time.now()) == 1_000
    assert "all quotas count as spent" in other.said[0]


@pytest.mark.parametrize("lost", ["DELETE FROM bulkwriter.accounts", "UPDATE bulkwriter.accounts SET exchanges = 1"])
def test_what_an_earlier_process_of_this_machine_heard_of_was_lost(
    postgres: Database, clock: SetClock, lost: str
) -> None:
    """A copy of the files was put back while nobody was at work, from before the account was made, or later."""
    first = Host(clock.address, clock, quota=BOTH, remembers=True)
    first.ask()
    first.spend(10)
    first.ledger.close()
    postgres.sql("DELETE FROM bulkwriter.spent")
    postgres.sql("DELETE FROM bulkwriter.clients")
    postgres.sql(lost)
    second = Host(clock.address, clock, "boot-2", quota=BOTH, remembers=True)
    assert second.ask(1).spending.spent(DAY, second.time.now()) == 1_000
    assert "all quotas count as spent" in second.said[0]
    for boot in ("boot-2", "boot-3"):  # by whoever remembers that which was lost, it is met once
        after = Host(clock.address, clock, boot, quota=BOTH, remembers=True)
        after.ask()
        assert (after.said, len(postgres.sql("SELECT 1 FROM bulkwriter.spent WHERE client = 'lost'"))) == ([], 1)


def test_a_promotion_that_lost_nothing_may_be_told(postgres: Database, clock: SetClock) -> None:
    one = Host(clock.address, clock, quota=BOTH)
    one.ask()
    postgres.sql("UPDATE bulkwriter.accounts SET timeline = 0")
    one.session.rest()
    assert one.ask(1).leases
    assert not one.said
    assert postgres.sql("SELECT timeline FROM bulkwriter.accounts") == [(one.session.cluster.timeline,)]


def test_readers_change_nothing(postgres: Database, clock: SetClock) -> None:
    one = Host(clock.address, clock)
    one.ask()
    one.spend(7)
    before = postgres.sql("SELECT * FROM bulkwriter.accounts") + postgres.sql("SELECT * FROM bulkwriter.spent")
    rows, place, now = read_postgres(clock.address, "a")
    assert [row.requests for row in rows.spent.values() if not row.client] == [7]
    assert (place.boot, now) == ("1", NOW)
    assert read_postgres(clock.address, "other")[0].spent == {}
    assert postgres.sql("SELECT * FROM bulkwriter.accounts") + postgres.sql("SELECT * FROM bulkwriter.spent") == before


def test_what_no_window_reaches_goes(postgres: Database, clock: SetClock) -> None:
    one = Host(clock.address, clock)
    one.ask()
    one.spend(7)
    at = later(clock, 40 * DAY_S, one)
    one.spend(1)
    assert [count for _, count in spent(postgres)] == [1]
    later(clock, DAY_S / 2, one, at=at)
    assert one.ask(1).leases

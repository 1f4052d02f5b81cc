"""One account's rows in PostgreSQL: read under the lock of the account's row, and written in the same transaction.

An exchange takes two round trips: it locks and reads, and it writes and commits.  Of `spent`, which may have tens of
thousands of rows, only those are read that others have changed since: each row has the number of the exchange that
changed it last, and each exchange of an account has the next number.  So what is kept here is as the table is, as soon
as an exchange has read.

    begin    locks the account's row, and reads what changed
    commit   writes what this exchange changed

Rows with the count 0 stay for `PURGE` exchanges, so that others see that they became 0.

Invariant: after `commit` raised, nobody knows whether it was carried out: the rows are of no use, and are made anew.
Not here: what is decided (`quota.account`), and what is done about a lost connection (`postgres.ledger`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..quota.exchange import BootPlace, LedgerRows, RowKey, ShortRow, SpentRow
from ..quota.forecast import MINUTE_S
from ..quota.throttles import Learnt
from .clock import Bounds

if TYPE_CHECKING:
    from .connect import Connection

PURGE: Final = 10_000
"""A client that was away for so many exchanges of the others reads everything again."""

LOCK: Final = """SELECT exchanges, purged, clock, shift_s, sure_at, spread_s, short, short_clock, short_at,
        system_id, timeline
    FROM bulkwriter.accounts WHERE account = %s FOR UPDATE"""
MAKE: Final = "INSERT INTO bulkwriter.accounts (account) VALUES (%s) ON CONFLICT DO NOTHING"
READ_ONLY: Final = LOCK.removesuffix(" FOR UPDATE")
NOW: Final = """SELECT extract(epoch FROM clock_timestamp())::double precision,
    (SELECT number FROM bulkwriter.clients WHERE account = %s AND client = %s)"""
SPENT: Final = """SELECT clock, host, client, kind, minute, count, ended, seen_clock, seen_at
    FROM bulkwriter.spent WHERE account = %s AND changed > %s"""
LEARNT: Final = "SELECT kind, most, until, try_at, tries, stretch FROM bulkwriter.learnt WHERE account = %s"
KNOWN: Final = """SELECT low_s, high_s, seen_at FROM bulkwriter.clients WHERE account = %s AND boot = %s
    ORDER BY seen_at DESC LIMIT 1"""

WRITE: Final = """INSERT INTO bulkwriter.spent (account, clock, host, client, kind, minute, count, ended, seen_clock,
        seen_at, changed)
    SELECT %s, t.*, %s FROM unnest(%s::integer[], %s::text[], %s::text[], %s::text[], %s::double precision[],
        %s::bigint[], %s::double precision[], %s::integer[], %s::double precision[]) AS t
    ON CONFLICT (account, clock, host, client, kind, minute) DO UPDATE SET count = excluded.count,
        ended = excluded.ended, seen_clock = excluded.seen_clock, seen_at = excluded.seen_at,
        changed = excluded.changed"""
LEARN: Final = """INSERT INTO bulkwriter.learnt VALUES (%s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (account, kind) DO UPDATE SET most = excluded.most, until = excluded.until,
        try_at = excluded.try_at, tries = excluded.tries, stretch = excluded.stretch"""
ACCOUNT: Final = """UPDATE bulkwriter.accounts SET exchanges = %s, purged = %s, clock = %s, shift_s = %s, sure_at = %s,
    spread_s = %s, short = %s, short_clock = %s, short_at = %s, system_id = %s, timeline = %s WHERE account = %s"""
CLIENT: Final = """INSERT INTO bulkwriter.clients VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (account, client) DO UPDATE SET number = excluded.number, low_s = excluded.low_s,
        high_s = excluded.high_s, seen_at = excluded.seen_at"""
FORGET: Final = "DELETE FROM bulkwriter.spent WHERE account = %s AND clock = %s AND minute < %s"
FORGET_ENDED: Final = "DELETE FROM bulkwriter.spent WHERE account = %s AND clock <> %s AND ended < %s"
FORGET_ZERO: Final = "DELETE FROM bulkwriter.spent WHERE account = %s AND count = 0 AND changed <= %s"
FORGET_CLIENTS: Final = """DELETE FROM bulkwriter.clients AS old WHERE account = %s AND seen_at < %s
    AND EXISTS (SELECT FROM bulkwriter.clients AS newer WHERE newer.account = old.account AND newer.boot = old.boot
        AND newer.seen_at > old.seen_at)"""
FORGET_BOOTS: Final = "DELETE FROM bulkwriter.clients WHERE account = %s AND seen_at < %s"


class AccountRow(NamedTuple):
    """A row of `accounts` without its name."""

    exchanges: int
    purged: int
    clock: int
    shift_s: float
    sure_at: float
    spread_s: float
    short: str
    short_clock: int
    short_at: float
    system_id: str
    timeline: int


class ClientRowNow(NamedTuple):
    """A row of `clients` as it is to be, without its account."""

    client: str
    number: int
    host: str
    pid: int
    boot: str
    bounds: Bounds
    seen_at: float


class ReadAccount(NamedTuple):
    """What `begin` found.  `clock_s`: epoch seconds of the database's clock, under the lock; `sent`, `got`: the clock
    here before and after it was asked for.
    """

    row: AccountRow
    is_changed: bool  # by others, since the last exchange of these rows
    number: int | None  # of this client's last exchange, as far as the database knows
    clock_s: float
    sent: float
    got: float


@dataclass(slots=True)
class AccountRows:
    """See the module.  `boot` reads the clock here."""

    name: str
    boot: Callable[[], float]
    spent: dict[RowKey, SpentRow] = field(default_factory=dict)
    learnt: dict[str, Learnt] = field(default_factory=dict)
    exchanges: int = -1

    def begin(self, connection: Connection, client: str) -> ReadAccount:
        """Lock and read.  Raises psycopg's errors; then the transaction is over as soon as the connection is closed."""
        sent = self.boot()
        with connection.pipeline():
            connection.execute("BEGIN")
            account = connection.execute(LOCK, [self.name])
            now = connection.execute(NOW, [self.name, client])
            spent = connection.execute(SPENT, [self.name, self.exchanges])
            learnt = connection.execute(LEARNT, [self.name])
            found: Any = account.fetchone()
            clock: Any = now.fetchone()
            got = self.boot()
        row = AccountRow(*found)
        changed: Iterable[Any] = spent.fetchall()
        if self.exchanges < row.purged:
            self.spent.clear()
            changed = connection.execute(SPENT, [self.name, -1]).fetchall()
        is_changed, self.exchanges = row.exchanges != self.exchanges, row.exchanges
        self.spent |= spent_rows(changed)
        self.learnt = learnt_of(learnt.fetchall())
        return ReadAccount(row, is_changed, clock[1], float(clock[0]), sent, got)

    def commit(self, connection: Connection, changes: LedgerRows, row: AccountRow, me: ClientRowNow) -> None:
        """Write the changes, as exchange `row.exchanges`, and commit.  Raises psycopg's errors."""
        name, changed = self.name, changes.spent.values()
        self.spent |= changes.spent
        self.learnt |= changes.learnt
        self.exchanges = row.exchanges
        with connection.pipeline():
            if changed:
                columns = zip(*(as_columns(one) for one in changed), strict=True)
                connection.execute(WRITE, [name, row.exchanges, *(list(column) for column in columns)])
            for kind, learnt in changes.learnt.items():
                connection.execute(LEARN, [name, kind, *learnt])
            if changes.forget:
                self._forget(connection, *changes.forget, row, me.seen_at)
            connection.execute(ACCOUNT, [*row, name])
            connection.execute(CLIENT, [name, *me[:5], *me.bounds, me.seen_at])
            connection.execute("COMMIT")

    def _forget(self, connection: Connection, minute: int, ended: float | None, row: AccountRow, now: float) -> None:
        """Drop what no window can reach any more, here and there."""
        connection.execute(FORGET, [self.name, row.clock, minute])
        if ended is not None:
            connection.execute(FORGET_ENDED, [self.name, row.clock, ended])
        connection.execute(FORGET_ZERO, [self.name, row.purged])
        connection.execute(FORGET_CLIENTS, [self.name, now - MOST_REPEAT_S])
        connection.execute(FORGET_BOOTS, [self.name, minute * MINUTE_S])
        clock = str(row.clock)
        self.spent = {
            key: one for key, one in self.spent.items() if one.minute >= minute or one.place.boot != clock
        }  # fmt: skip


MOST_REPEAT_S: Final = 86_400.0
"""A process that ended earlier repeats no exchange; of each boot the last one stays, since it knows the time."""


def spent_row(
    clock: int, host: str, client: str, kind: str, minute: float, count: int, ended: float | None, seen_clock: int,
    seen_at: float,
) -> SpentRow:  # fmt: skip
    """A row of `spent`: the number of a clock is the boot of its place."""
    place, seen_boot = BootPlace(host, str(clock)), str(seen_clock) if seen_clock else ""
    return SpentRow(place, client, kind, minute, count, ended, seen_boot, seen_at)


def spent_rows(found: Iterable[Any]) -> dict[RowKey, SpentRow]:
    rows = [spent_row(*one) for one in found]
    return {row[:4]: row for row in rows}


def as_columns(row: SpentRow) -> tuple[Any, ...]:
    """The other way, without account and number."""
    place, client, kind, minute, requests, ended, seen_boot, seen_at = row
    return int(place.boot), place.machine, client, kind, float(minute), requests, ended, int(seen_boot or 0), seen_at


def learnt_of(found: Iterable[Any]) -> dict[str, Learnt]:
    return {kind: Learnt(*one) for kind, *one in found}


def ledger_rows(row: AccountRow, spent: dict[RowKey, SpentRow], learnt: dict[str, Learnt]) -> LedgerRows:
    short = ShortRow(BootPlace("", str(row.short_clock)), row.short_at, row.short) if row.short else None
    return LedgerRows(spent, short, dict(learnt), row.spread_s)

"""The quota ledger in PostgreSQL: machines that share an account share its quotas, and never exceed them together.

It is a `quota.ledger.Ledger`.  What is granted is decided here as everywhere, by `quota.account`; the account's row is
locked meanwhile.  An exchange is one transaction of two round trips, and nothing is granted that is not committed.

Time is ledger time (`postgres.clock`).  Its rows stand under the number of a clock, as rows of a file stand under a
boot.  A new number begins where nobody can say how the database's clock has run since the last exchange: no client was
at work, and this machine never was.  Then what was spent before is placed by the server's clock, or counts from now.

    the database is away     nothing is granted; it is tried again and again (`session`), and people are told.  An
                             exchange that may have been committed keeps its number, so that the repeat counts nothing
                             twice
    at the start             the same for the session's `start_s`, then `LedgerGone`: the address may be wrong
    it refuses us for good   a `LedgerError` that says what to do; then for ever

A process that dies forfeits its lease, as with a file.

A database may have lost commits: a standby without the last seconds took its place, or a backup was restored.  It shows
by another timeline than at the last exchange, or by fewer exchanges than we or an earlier process of this machine have
heard of (`high_water`); an account that is not there at all has none.  What is there is then as of
some exchange, and all later ones may be missing: leases that are used now, and requests that ended.  Nobody can say who
had them.  So as much counts as spent as the windows allowed since that exchange, in a time that the clock here knows,
or else as much as they hold; and short windows are full until all of that has ended (`Account.exchange`).

Invariant: one thread uses it, but for `interrupt`.  Not here: rows and statements (`postgres.rows`).
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from ..errors import LedgerError, LedgerGone
from ..quota.account import LOST, Account
from ..quota.exchange import Answer, Ask, BootPlace, LedgerRows, SpentRow
from .address import Address
from .clock import Bounds, DatabaseClock
from .connect import connect, host_name, troubles
from .high_water import ABOVE_ALL, HighWater
from .rows import (
    KNOWN,
    LEARNT,
    MAKE,
    NOW,
    PURGE,
    READ_ONLY,
    SPENT,
    AccountRow,
    AccountRows,
    ClientRowNow,
    ReadAccount,
    learnt_of,
    ledger_rows,
    spent_rows,
)
from .schema import check
from .session import Session, Telling
from .times import as_repeat, to_client, to_ledger

if TYPE_CHECKING:
    from .connect import Connection

JOIN_S: Final = 5.0
"""A client that is new here believes the database's clock if another one knew the time so short a while ago: those at
work ask every two seconds or so.  A step within that is set right by them at their next exchange."""
PINGS: Final = 3
"""Readings of the database's clock with each new connection: the shortest round trip tells it best."""


TELLING: Final = Telling(
    "nothing is sent until the quota ledger answers: {}",
    "the quota ledger answers again, and the run goes on",
    LedgerGone,
    LedgerError,
    "the same command later goes on; nothing was sent without it",
)


def ledger_session(address: Address, say: Callable[[str], object], **how: Any) -> Session:
    """A session for a ledger.  `say` is called with words for people, in the thread of the ledger; `how`: `Session`."""
    # it hurries for nothing: a lease that is not given back ends by itself
    return Session(address, give_up_after_s=math.inf, hurry_s=0.0, telling=TELLING, note=say, **how)


class PostgresLedger:
    """See the module.  `boot`: the clock since boot, which `boot_id` names."""

    def __init__(
        self,
        session: Session,
        name: str,
        account_for: Callable[[BootPlace], Account],
        *,
        boot: Callable[[], float],
        boot_id: str,
        clock: DatabaseClock,
        say: Callable[[str], object],
        seen: HighWater | None = None,
    ) -> None:
        self._say = say
        # the highest number of an exchange of the account that was committed for sure, and where it is noted
        self._heard, self._seen = seen.numbers[0] if seen else 0, seen
        self._session, self._account_for = session, account_for
        self._boot, self._boot_id, self._clock = boot, boot_id, clock
        self._connection: Connection | None = None  # the one that the rest is read from
        self._ping: Bounds | None = None  # of the database's clock, from when it was connected
        self._rows = AccountRows(name, boot)
        self._account: tuple[BootPlace, Account] | None = None
        self._broken: LedgerError | None = None

    def exchange(self, ask: Ask) -> Answer:
        """See `Ledger`.  It may wait for the database for any time."""
        if self._broken:
            raise type(self._broken)(self._broken.message, hint=self._broken.hint)
        try:
            return self._session.insist(lambda connection: self._carry_out(ask, self._known(connection)))
        except LedgerError as error:
            self._broken = error
            self._session.close()
            raise
        except BaseException as error:
            self._broken = LedgerError(f"the quota ledger was broken off ({type(error).__name__})")
            self._session.close()
            raise

    def interrupt(self) -> None:
        """End the waiting for a database that is away: from now on each exchange is tried once.  From any thread."""
        self._session.hurry()

    def close(self) -> None:
        self._broken = self._broken or LedgerError("the ledger is closed")
        self._session.close()
        if self._seen:
            self._seen.close()

    def _known(self, connection: Connection) -> Connection:
        """The connection.  Of a new one nothing is known, nor whether the last transaction was committed."""
        if connection is not self._connection:
            self._connection, self._account = None, None
            self._rows = AccountRows(self._rows.name, self._boot)
            connection.execute(MAKE, [self._rows.name])
            known = connection.execute(KNOWN, [self._rows.name, self._boot_id]).fetchone()
            if known and not self._clock.is_known:
                low, high, seen_at = (float(str(one)) for one in known)
                self._clock.take_over(Bounds(low, high), seen_at)
            pings = [ping(connection, self._boot) for _ in range(PINGS)]
            self._ping = min(pings, key=lambda one: one.high - one.low)
            self._connection = connection
        return connection

    def _carry_out(self, ask: Ask, connection: Connection) -> Answer:
        found, is_sure = self._rows.begin(connection, ask.client), self._clock.is_known
        seen, row, now = self._time(found)
        has_lost, cluster = self._has_lost(found.row), self._session.cluster
        step_s = row.shift_s - found.row.shift_s
        place = BootPlace(host_name(), str(row.clock))
        is_new = self._account is None or self._account[0] != place
        if self._account is None or is_new:
            self._account = place, self._account_for(place)
        account = self._account[1]
        ahead_s, behind_s = self._clock.errors(found.sent)
        told = as_repeat(ask) if found.number == ask.number else ask
        told = to_ledger(told, now, ahead_s=ahead_s, behind_s=behind_s)
        rows = None
        if is_new or found.is_changed or has_lost or account.is_stale(told):
            rows = ledger_rows(row, dict(self._rows.spent), self._rows.learnt)
        lost_s = None
        if has_lost:
            lost_s = max(0.0, now - found.row.sure_at) if is_sure and found.row.exchanges else math.inf
        answer, changes = account.exchange(told, rows, lost_s=lost_s)
        if changes.forget:
            row = row._replace(purged=max(row.purged, row.exchanges - PURGE))
        row = row._replace(
            exchanges=row.exchanges + (ABOVE_ALL if has_lost else 1), spread_s=changes.spread_s,
            short=changes.short.packed if changes.short else "", short_clock=row.clock, short_at=now,
            system_id=cluster.system_id, timeline=cluster.timeline,
        )  # fmt: skip
        me = ClientRowNow(ask.client, ask.number, place.machine, os.getpid(), self._boot_id, seen, now)
        self._rows.commit(connection, changes, row, me)
        self._hear(row.exchanges)
        if lost_s is not None:
            self._say(lost_words([one for one in changes.spent.values() if one.client == LOST], lost_s))
        self._clock.keep(seen, found.got, step_s=step_s)
        ahead_s, behind_s = self._clock.errors(self._boot())
        return to_client(answer, ahead_s=ahead_s, behind_s=behind_s)

    def _hear(self, exchanges: int) -> None:
        """So many are committed."""
        self._heard = exchanges
        if self._seen:
            self._seen.note(exchanges)

    def _has_lost(self, row: AccountRow) -> bool:
        """Whether the database may have lost exchanges."""
        is_other = row.timeline and (row.system_id, row.timeline) != self._session.cluster
        return bool(is_other) or row.exchanges < self._heard

    def _time(self, found: ReadAccount) -> tuple[Bounds, AccountRow, float]:
        """Ledger time minus the clock here; the row with its shift and its clock as they are to be; ledger time."""
        row, raw = found.row, Bounds.of(found.clock_s, found.sent, found.got)
        if self._ping is not None:
            raw, self._ping = self._ping.with_(raw) or raw, None
        seen = raw.moved(row.shift_s)
        now = found.clock_s + row.shift_s
        step_s = self._clock.step_s(seen, found.got, floor_s=row.sure_at - now)
        now += step_s
        is_sure = self._clock.is_known
        if not is_sure and row.exchanges and not 0.0 <= now - row.sure_at <= JOIN_S:
            row, is_sure = row._replace(clock=row.clock + 1), True
        if is_sure or not row.exchanges:
            row = row._replace(sure_at=now)
        return seen.moved(step_s), row._replace(shift_s=row.shift_s + step_s), now


def lost_words(lost: Sequence[SpentRow], since_s: float) -> str:
    """For people."""
    why = "the database of the quota ledger was promoted, restored, or is another one, and may lack what was spent last"
    if since_s == math.inf:
        return f"{why}: all quotas count as spent"
    counted = " and ".join(f"{one.requests:,} {one.kind}s" for one in lost)
    return f"{why}: {counted} count as spent, as many as the quotas allowed in {since_s:,.0f} s"


def ping(connection: Connection, boot: Callable[[], float]) -> Bounds:
    """The database's clock minus the one here, by one round trip."""
    sent = boot()
    found = connection.execute("SELECT extract(epoch FROM clock_timestamp())::double precision").fetchone()
    got = boot()
    assert found is not None
    return Bounds.of(float(str(found[0])), sent, got)


def read_postgres(address: Address, name: str) -> tuple[LedgerRows, BootPlace, float]:
    """What an account has spent, as of one moment, the place of that, and ledger time.  Changes nothing.

    Raises `LedgerError`; `LedgerGone` while the database is away.
    """
    with (
        troubles(address, gone=LedgerGone, refused=LedgerError),
        contextlib.closing(connect(address)) as connection,
    ):
        check(connection, address)
        connection.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return read_rows(connection, name)


def read_rows(connection: Connection, name: str) -> tuple[LedgerRows, BootPlace, float]:
    account = connection.execute(READ_ONLY, [name]).fetchone()
    clock = connection.execute(NOW, [name, ""]).fetchone()
    assert clock is not None
    now = float(str(clock[0]))
    if account is None:
        return LedgerRows(), BootPlace("", "1"), now
    row = AccountRow(*account)  # type: ignore[arg-type]  # columns of these types
    spent = spent_rows(connection.execute(SPENT, [name, -1]))
    learnt = learnt_of(connection.execute(LEARNT, [name]))
    return ledger_rows(row, spent, learnt), BootPlace("", str(row.clock)), now + row.shift_s

"""A ledger in a real PostgreSQL whose clock a test sets: `Desk` asks it as it asks the other ledgers.

`SetClock` puts a function of its own before PostgreSQL's, by the search path of the connections, so that the ledger's
statements are what they are.
"""

from __future__ import annotations

from dataclasses import replace

from bulkwriter.postgres.address import Address
from bulkwriter.postgres.clock import DatabaseClock
from bulkwriter.postgres.connect import connect
from bulkwriter.postgres.ledger import PostgresLedger, ledger_session
from bulkwriter.quota.account import Account
from bulkwriter.quota.exchange import Answer, Ask, BootPlace
from bulkwriter.quota.gate import unheard
from tests.postgres_server import Database
from tests.support.quota_desk import HERE

OTHER_PLACE_S = 1_000.0
"""So long after what another place did something is done here."""


class SetClock:
    """The clock of one database, at 0 until it is set."""

    def __init__(self, database: Database) -> None:
        self.address: Address = replace(
            database.address, options=(*database.address.options, ("options", "-c search_path=fake,pg_catalog"))
        )
        self._connection = connect(database.address)
        function = "CREATE FUNCTION fake.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS"
        for statement in (
            "CREATE SCHEMA fake",
            "CREATE TABLE fake.clock AS SELECT 0.0::double precision AS at",
            f"{function} 'SELECT to_timestamp(at) FROM fake.clock'",
        ):
            self._connection.execute(statement.encode())

    def set(self, at: float) -> None:
        self._connection.execute("UPDATE fake.clock SET at = %s", [at])

    def close(self) -> None:
        self._connection.close()


class DeskLedger:
    """A ledger for one desk: the database's clock, and the one of the desk's machine, show what the ask says.

    Another place than `HERE` is a machine of another time: nobody was at work in between.
    """

    def __init__(self, clock: SetClock, account: Account, place: BootPlace) -> None:
        self._clock, self._is_here, self._boot = clock, place == HERE, 0.0

        def account_for(place: BootPlace) -> Account:
            account._place = place
            return account

        self.ledger = PostgresLedger(
            ledger_session(clock.address, unheard), "a", account_for, boot=lambda: self._boot,
            boot_id=place.boot, clock=DatabaseClock(lambda: self._boot, 0.0), say=unheard,
        )  # fmt: skip

    def exchange(self, ask: Ask) -> Answer:
        self._boot = ask.now
        self._clock.set(ask.now if self._is_here else ask.now - OTHER_PLACE_S)
        return self.ledger.exchange(ask)

    def close(self) -> None:
        self.ledger.close()

"""By hand: a clock that stands unless somebody pauses, connections that lose a reply, and the row of a part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from bulkwriter.postgres.connect import connect
from bulkwriter.postgres.lease import Claim, PartLease, PartRow, claim_part, read_part
from bulkwriter.postgres.part import make_rows
from bulkwriter.postgres.session import Session
from bulkwriter.store.schema import JournalIdentity
from tests.postgres_server import Database
from tests.support.journal_child import COLUMNS, URL

IDENTITY = JournalIdentity.of(URL, None, COLUMNS, "completed lessons")
CLAIM = Claim(lease_s=30.0, deadline_s=90.0, unsure_s=65.0, after_loss=False)
JOB, PART = "backfill", "p1"


class Hand:
    """A clock that stands, unless somebody pauses."""

    def __init__(self) -> None:
        self.now = 5_000.0
        self.told: list[str] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds
        self.meanwhile()

    def claim(self, session: Session, claim: Claim = CLAIM) -> PartLease:
        return claim_part(session, JOB, PART, claim, note=self.told.append, pause=self.pause, clock=self)


@contextmanager
def made(postgres: Database) -> Iterator[Session]:
    """A session in a database where the part has its row."""
    session = session_at(postgres)
    session.insist(lambda connection: make_rows(connection, postgres.address.with_job(JOB, PART), IDENTITY))
    yield session
    session.close()


def session_at(postgres: Database, opened: Any = connect) -> Session:
    return Session(postgres.address.with_job(JOB, PART), answer_s=10.0, give_up_after_s=60.0, opened=opened)


def row_of(session: Session) -> PartRow:
    row = session.insist(lambda connection: read_part(connection, JOB, PART))
    assert row
    return row


class Lossy:
    """Opens connections; the reply to the first statement that has `word` in it is lost after its commit."""

    def __init__(self, word: str) -> None:
        self.word, self.lost = word, 0

    def __call__(self, address: Any) -> Any:
        real = connect(address)
        outer = self

        class Losing(type(real)):  # type: ignore[misc]
            def execute(self, query: Any, *args: Any, **how: Any) -> Any:
                done = super().execute(query, *args, **how)
                if outer.word in str(query) and not outer.lost:
                    outer.lost += 1
                    self.close()
                    raise psycopg.OperationalError("server closed the connection unexpectedly")
                return done

        real.__class__ = Losing
        return real

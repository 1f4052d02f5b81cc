"""`bulkwriter ledger init [URL]`: makes the tables that machines share in a PostgreSQL database, or migrates them.

The ledger of quotas and jobs with their journals are in the same tables (`postgres.schema`).  To make them takes a role
that may create a schema; to use them takes less, which `--grant ROLE` gives.  Harmless when repeated.

Not here: what the tables are for, which `bulkwriter help machines` says.
"""

from __future__ import annotations

import contextlib

import click

from ..errors import LedgerError, LedgerGone, UsageError
from ..postgres.address import LIKE, Address
from . import options
from .stdout import put


@click.group("ledger")
def command() -> None:
    """Make the tables in PostgreSQL that several machines share (see: help machines)."""


@command.command("init")
@options.profile_option
@click.argument("ledger", metavar="[URL]", required=False, type=options.PLACE, envvar=options.variable("--ledger"))
@click.option("--grant", "roles", metavar="ROLE", multiple=True, help="let this role use the tables; it gets no more")
def init(ledger: object, roles: tuple[str, ...]) -> int:
    """Make the tables in the database URL, or bring those of an older version up to date.

    Without URL it is the ledger of BULKWRITER_LEDGER or of your own bulkwriter.toml, which may hold a password.
    """
    if not isinstance(ledger, Address):
        raise UsageError("no database is named" if ledger is None else f"{ledger} is no database", hint=LIKE)
    before, now = made(ledger.of_database, roles)
    done = "made the tables" if not before else "the tables are up to date" if before == now else "migrated the tables"
    put(f"{done} in schema bulkwriter at {ledger.of_database.shown}, version {now}")
    for role in roles:
        put(f"role {role} may use them")
    if not roles:
        put("who runs bulkwriter needs USAGE of that schema, and SELECT, INSERT, UPDATE and DELETE of its tables")
        put("`bulkwriter ledger init URL --grant ROLE` gives a role these rights")
    return 0


def made(address: Address, roles: tuple[str, ...]) -> tuple[int, int]:
    """The versions before and after.  Raises `LedgerError`."""
    from ..postgres.connect import connect, troubles
    from ..postgres.schema import VERSION, grant, make

    with (
        troubles(address, gone=LedgerGone, refused=LedgerError),
        contextlib.closing(connect(address)) as connection,
    ):
        before = make(connection)
        for role in roles:
            grant(connection, role)
    return before, VERSION

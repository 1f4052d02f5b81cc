"""A statement through libpq: the same rows and the same errors as through psycopg, whatever became of it there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from bulkwriter.postgres.connect import connect
from bulkwriter.postgres.prepared import Prepared
from tests.postgres_server import Database

ADD = (
    "INSERT INTO kept(number, name, payload) "
    "SELECT %(number)s::bigint, %(name)s, %(payload)b::bytea WHERE %(number)s < 9"
)

RUNS = "SELECT sum(generic_plans + custom_plans)::int FROM pg_prepared_statements WHERE name LIKE 'bulkwriter%'"
"""How often statements of ours ran by their names in this connection."""


@pytest.fixture
def connection(postgres: Database) -> Iterator[Any]:
    with contextlib.closing(connect(postgres.address)) as connection:
        connection.execute("CREATE TEMP TABLE kept(number bigint PRIMARY KEY, name text NOT NULL, payload bytea)")
        yield connection


def values(number: int) -> dict[str, str | int | bytes]:
    return {"payload": b"\x00'\xff\\", "number": number, "name": "it's ü, 100%"}


def kept(connection: Any) -> list[Any]:
    return list(connection.execute("SELECT number, name, payload FROM kept ORDER BY 1").fetchall())


def test_it_counts_the_rows_and_keeps_every_byte(connection: Any) -> None:
    add = Prepared(ADD)
    assert [add.rowcount(connection, values(number)) for number in (1, 9, 2)] == [1, 0, 1]
    assert kept(connection) == [(n, "it's ü, 100%", b"\x00'\xff\\") for n in (1, 2)]
    told = connection.execute(RUNS)
    assert told.fetchone() == (3,), "psycopg ran it, which is slow"


def test_a_statement_that_is_gone_or_a_new_connection_makes_no_difference(connection: Any, postgres: Database) -> None:
    add = Prepared(ADD)
    add.rowcount(connection, values(1))
    connection.execute("DEALLOCATE ALL")
    assert add.rowcount(connection, values(2)) == 1
    assert [number for number, *_ in kept(connection)] == [1, 2]
    with contextlib.closing(connect(postgres.address)) as other:
        other.execute("CREATE TEMP TABLE kept(number bigint, name text, payload bytea)")
        assert add.rowcount(other, values(3)) == 1


@pytest.mark.parametrize(
    ("change", "kind"),
    [("SELECT 1", psycopg.errors.UniqueViolation), ("DROP TABLE kept", psycopg.errors.UndefinedTable)],
)
def test_what_goes_wrong_is_an_error_of_psycopg(connection: Any, change: str, kind: type[psycopg.Error]) -> None:
    add = Prepared(ADD)
    add.rowcount(connection, values(1))
    connection.execute(change)
    with pytest.raises(kind):
        add.rowcount(connection, values(1))


def test_a_connection_that_the_server_ended_is_an_operational_error(connection: Any, postgres: Database) -> None:
    add = Prepared(ADD)
    add.rowcount(connection, values(1))
    postgres.sql("SELECT pg_terminate_backend(%s)", connection.info.backend_pid)
    with pytest.raises(psycopg.OperationalError):
        add.rowcount(connection, values(2))
    with pytest.raises(psycopg.OperationalError):
        add.rowcount(connection, values(2))


def test_another_text_has_another_name() -> None:
    first, second = Prepared(ADD), Prepared(ADD + " AND true")
    assert first._name == Prepared(ADD)._name != second._name

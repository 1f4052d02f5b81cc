"""The tables: made once, explained, refused where they are of another version, and granted to a role without more."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from bulkwriter.cli.manual_machines import MACHINES
from bulkwriter.postgres import schema
from bulkwriter.postgres.connect import PostgresProblem, connect
from bulkwriter.postgres.lease import has_lost, read_part
from bulkwriter.postgres.session import cluster_of
from tests.postgres_server import Database, PostgresServer

TABLES = ("version", "accounts", "spent", "learnt", "clients", "jobs", "parts", "groups", "chunks")


def test_they_are_made_once(postgres_server: PostgresServer) -> None:
    database = postgres_server.database(has_tables=False)
    with closing(connect(database.address)) as connection:
        with pytest.raises(psycopg.errors.UndefinedTable):
            schema.check(connection, database.address)
        assert schema.make(connection) == 0
        connection.execute("INSERT INTO bulkwriter.accounts VALUES ('a')")
        assert schema.make(connection) == schema.VERSION
        schema.check(connection, database.address)
        assert connection.execute("SELECT account FROM bulkwriter.accounts").fetchall() == [("a",)]


def test_parts_of_version_1_belong_to_the_tables_that_are_brought_up_to_date(postgres_server: PostgresServer) -> None:
    """Or each worker would be refused: they look like those of another database."""
    database = postgres_server.database(has_tables=False)
    with closing(connect(database.address)) as connection:
        connection.execute("CREATE SCHEMA bulkwriter")
        connection.execute(schema.STEPS[0].encode())
        connection.execute("CREATE TABLE bulkwriter.version AS SELECT 1 AS version")
        connection.execute("INSERT INTO bulkwriter.jobs(job, base_url, entity, parts) VALUES ('j', 'u', 'e', 3)")
        add = "INSERT INTO bulkwriter.parts(job, part, system_id, timeline) VALUES "
        ours = "(SELECT system_identifier::text FROM pg_control_system())"
        now = schema.TIMELINE  # not always 1: another test may have promoted this server
        rows = f"('j', '1', '', 0), ('j', '2', {ours}, {now}), ('j', '3', {ours}, {now} + 8)"
        connection.execute((add + rows).encode())
        assert schema.make(connection) == 1
        cluster = cluster_of(connection)
        found = [read_part(connection, "j", part) for part in "123"]
    assert [row is not None and has_lost(row, cluster) for row in found] == [False, False, True]


def test_the_module_names_every_table_and_each_is_explained(postgres: Database) -> None:
    found = postgres.sql(
        "SELECT relname, obj_description(oid) FROM pg_class WHERE relnamespace = 'bulkwriter'::regnamespace "
        "AND relkind = 'r'"
    )
    assert {name for name, _ in found} == set(TABLES)
    assert all(said for _, said in found)
    assert set(TABLES) == set(re.findall(r"^    (\w+)  ", schema.__doc__ or "", re.MULTILINE))


@pytest.mark.parametrize("version", [schema.VERSION + 1, 0])
def test_another_version_is_refused(postgres: Database, version: int) -> None:
    postgres.sql("UPDATE bulkwriter.version SET version = %s", version)
    with closing(connect(postgres.address)) as connection:
        with pytest.raises(PostgresProblem, match=f"version {version}"):
            schema.check(connection, postgres.address)
        if version:
            with pytest.raises(PostgresProblem, match="knows versions"):
                schema.make(connection)


def test_a_role_gets_what_it_needs_and_no_more(postgres: Database) -> None:
    role = f'of "{postgres.name}"'
    quoted = psycopg.sql.Identifier(role).as_string()
    postgres.sql(f"CREATE ROLE {quoted} LOGIN")
    theirs = replace(postgres.address, user=role)
    with closing(connect(theirs)) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        schema.check(connection, theirs)
    with closing(connect(postgres.address)) as connection:
        schema.grant(connection, role)
        schema.make(connection)
    with closing(connect(theirs)) as connection:
        schema.check(connection, theirs)
        connection.execute("INSERT INTO bulkwriter.accounts VALUES ('a')")
        connection.execute("DELETE FROM bulkwriter.accounts")
        for statement in (
            "CREATE TABLE bulkwriter.more ()",
            "UPDATE bulkwriter.version SET version = 9",
            "DROP TABLE bulkwriter.spent",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())


def test_a_job_that_is_deleted_takes_all_of_it_along(postgres: Database) -> None:
    for job in ("backfill", "other"):
        postgres.sql("INSERT INTO bulkwriter.jobs(job, base_url, entity, parts) VALUES (%s, 'u', 'e', 1)", job)
        postgres.sql("INSERT INTO bulkwriter.parts(job, part) VALUES (%s, '1')", job)
        postgres.sql("INSERT INTO bulkwriter.groups(job, part, number, token, payload) VALUES (%s, '1', 1, 1, '')", job)
        postgres.sql("INSERT INTO bulkwriter.chunks VALUES (%s, '1', 0, 1, 0, 0, '')", job)
    (command,) = re.findall(r'"(DELETE FROM .*)"', MACHINES)
    postgres.sql(command)
    for table in ("jobs", "parts", "groups", "chunks"):
        assert postgres.sql(f"SELECT job FROM bulkwriter.{table}") == [("other",)]


def test_what_cannot_be_is_refused_by_the_tables(postgres: Database) -> None:
    row: dict[str, Any] = {"kind": "write", "count": 1}
    insert = "INSERT INTO bulkwriter.spent VALUES ('a', 1, 'h', '', %s, 5, %s, NULL, 0, 0, 1)"
    postgres.sql(insert, *row.values())
    for wrong in ({"kind": "other"}, {"count": -1}):
        with pytest.raises(psycopg.errors.CheckViolation):
            postgres.sql(insert, *{**row, **wrong}.values())

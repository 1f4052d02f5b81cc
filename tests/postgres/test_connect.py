"""Connections, and what is said of one that is not made: whether it passes, what to do next, and no password."""

from __future__ import annotations

import signal
from contextlib import closing

import psycopg
import pytest

from bulkwriter.postgres.address import Address
from bulkwriter.postgres.connect import IDLE_S, PostgresProblem, Problem, connect, problem_of
from tests.postgres_server import PASSWORD, Database, PostgresServer

HERE = Address.parse("postgresql://u@h/d")


def problem(address: Address) -> Problem:
    with pytest.raises(PostgresProblem) as raised:
        connect(address)
    assert raised.value.__context__ is None, "an error of psycopg has the password in it"
    return raised.value.problem


def test_a_connection_has_bounds_and_a_name(postgres: Database) -> None:
    with closing(connect(postgres.address)) as connection:
        names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "application_name")
        found = [str(connection.execute(f"SHOW {name}".encode()).fetchone()) for name in names]
    assert found[:3] == ["('30s',)", "('10s',)", f"('{IDLE_S}s',)"]
    assert found[3].startswith("('bulkwriter ")


def test_the_port_asks_for_the_password_and_the_address_has_it(postgres: Database) -> None:
    connect(Address.parse(postgres.tcp.replace("@", f":{PASSWORD}@"))).close()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (":wrong-canary-password@", "password authentication failed"),
        ("@", "no password supplied"),
    ],
)
def test_a_wrong_password_does_not_pass_and_is_not_shown(postgres: Database, given: str, said: str) -> None:
    found = problem(Address.parse(postgres.tcp.replace("@", given)))
    assert said in found.message
    assert "PGPASSWORD, ~/.pgpass or PGPASSFILE" in found.hint
    assert not found.passes
    assert "canary-password" not in found.message + found.hint


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("/test_", "/nope_"), "does not exist"),
        (("://bulkwriter@", "://nobody-here@"), "does not exist"),
        (("?host", "?sslmode=often&host"), "invalid sslmode value"),
        (("?host", "?colour=red&host"), "colour"),
    ],
)
def test_a_wrong_address_does_not_pass(postgres: Database, change: tuple[str, str], said: str) -> None:
    found = problem(Address.parse(postgres.url.replace(*change)))
    assert said in found.message
    assert not found.passes


def test_a_server_that_is_away_passes(postgres: Database, postgres_server: PostgresServer) -> None:
    with closing(connect(postgres.address)) as connection:
        postgres_server.stop(signal.SIGQUIT)
        with pytest.raises(psycopg.Error) as lost:
            connection.execute("SELECT 1")
        assert problem_of(lost.value, postgres.address).passes
    assert problem(postgres.address).passes
    assert problem(Address.parse(postgres.tcp)).passes


def test_a_name_that_is_not_found_passes() -> None:
    assert problem(Address.parse("postgresql://nobody.invalid/d")).passes


@pytest.mark.parametrize(
    ("kind", "passes", "hint"),
    [
        (psycopg.errors.UndefinedTable, False, "bulkwriter ledger init"),
        (psycopg.errors.InsufficientPrivilege, False, "--grant"),
        (psycopg.errors.AdminShutdown, True, ""),
        (psycopg.errors.TooManyConnections, True, ""),
        (psycopg.errors.LockNotAvailable, True, ""),
        (psycopg.errors.SerializationFailure, True, ""),
        (psycopg.errors.DeadlockDetected, True, ""),
        (psycopg.errors.QueryCanceled, True, ""),
        (psycopg.errors.ReadOnlySqlTransaction, True, ""),
        (psycopg.errors.IdleInTransactionSessionTimeout, True, ""),
        (psycopg.errors.DiskFull, True, ""),
        (psycopg.errors.ObjectNotInPrerequisiteState, True, ""),  # "recovery is in progress"
        (psycopg.errors.CheckViolation, False, ""),
        (psycopg.errors.SyntaxError, False, ""),
    ],
)
def test_what_passes_and_what_does_not(kind: type[psycopg.Error], passes: bool, hint: str) -> None:
    found = problem_of(kind("said so"), HERE)
    assert found.passes == passes
    assert hint in found.hint


@pytest.mark.parametrize(
    ("said", "passes"),
    [
        ("server closed the connection unexpectedly", True),
        ("FATAL:  the database system is starting up", True),
        ("FATAL:  sorry, too many clients already", True),
        ("connection timeout expired", True),
        ('FATAL:  role "u" is not permitted to log in', False),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1"', False),
        ("SSL error: certificate verify failed", False),
        ("consuming input failed: SSL error: unexpected eof while reading", True),  # it was lost
        ("SSL error: decryption failed or bad record mac", True),
        ("server does not support SSL, but SSL was required", False),
        ('host "a": Connection refused host "b": password authentication failed', True),
        ("FATAL:  la base de datos no existe", True),  # in words that are not known: it may pass
    ],
)
def test_words_of_a_failed_connection(said: str, passes: bool) -> None:
    assert problem_of(psycopg.OperationalError(said), HERE).passes == passes


def test_what_a_server_says_is_one_line_without_control_characters() -> None:
    said = "one\n\ttwo \x1b[31m" + "x" * 1_000
    message = problem_of(psycopg.OperationalError(said), HERE).message
    assert message.startswith("PostgreSQL at postgresql://u@h/d: one two [31mxxx")
    assert len(message) < 400

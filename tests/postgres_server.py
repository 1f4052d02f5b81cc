"""A private PostgreSQL for tests: one cluster a test session or xdist worker, a fresh database a test.

    def test_something(postgres: Database) -> None:
        with closing(connect(postgres.address)) as connection: ...      # the tables are there

The cluster is made when the first test asks for it: in a temporary folder, on a socket in that folder and on a port of
loopback, as an unprivileged user (initdb refuses root), in memory where there is room (`MEMORY`), else on disk without
waiting for it.  A database is a copy of a template, which costs some 60 ms.  `postgres_server` is the cluster itself,
for tests that stop it or kill it, and start it again: what was committed is there, since only a machine that stops
would lose it.

The binaries are looked for on PATH, then where distributions put them.  Without them these tests are skipped, with one
line that says so.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from bulkwriter.postgres.address import Address
from bulkwriter.postgres.connect import connect
from bulkwriter.postgres.schema import make

FOLDERS: Final = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql*/bin",
)
OWNER: Final = "bulkwriter"
PASSWORD: Final = "canary-token-8c1f"
"""Of the owner, for connections to the port; the socket asks for none.  It is `conftest.CANARY`, which the suite looks
for in all that a test prints, logs and leaves behind."""
MEMORY: Final = Path("/dev/shm")
"""A file system in memory.  A database has a thousand files; on a disk they cost three times the processor's time."""
ROOM_BYTES: Final = 2 << 30
"""So much must be free there: a session's hundred databases have 8 MB each.  Containers often have 64 MB."""
UP_S: Final = 30.0
"""A busy machine; it takes half a second."""
MISSING: Final = "no PostgreSQL server (initdb, postgres) on PATH or where distributions put it"


def binaries() -> Path | None:
    """The folder of `initdb` and `postgres`, the newest version first; None where there is none."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    for pattern in FOLDERS:
        folders += sorted(Path("/").glob(pattern[1:]), reverse=True)
    return next((folder for folder in folders if (folder / "postgres").exists() and (folder / "initdb").exists()), None)


def memory() -> Path | None:
    """A folder in memory that has room, if there is one."""
    with contextlib.suppress(OSError):
        if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ROOM_BYTES:
            return MEMORY
    return None


def unprivileged() -> dict[str, Any]:
    """How `subprocess` starts a server: as itself, or for root as somebody who may not do harm."""
    if os.getuid() != 0:
        return {}
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = names.get("postgres") or names["nobody"]
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


class Database:
    """One database with our tables.  `url` leads to its socket, `tcp` to its port, where `PASSWORD` is asked for."""

    def __init__(self, server: PostgresServer, name: str) -> None:
        self.server, self.name = server, name
        self.url = f"postgresql://{OWNER}@:{server.port}/{name}?host={server.folder}"
        self.tcp = f"postgresql://{OWNER}@127.0.0.1:{server.port}/{name}"
        self.address = Address.parse(self.url)

    def sql(self, statement: str, *values: Any) -> list[Any]:
        """Carry out one statement; its rows."""
        with contextlib.closing(connect(self.address)) as connection:
            done = connection.execute(statement.encode(), values or None)
            return done.fetchall() if done.description else []


class PostgresServer:
    """A cluster.  `start` and the ends may be called again and again."""

    def __init__(self, folder: Path, bin_folder: Path) -> None:
        self.folder, self._bin, self._how = folder, bin_folder, unprivileged()
        self._process: subprocess.Popen[bytes] | None = None
        self._names = (f"test_{number}" for number in itertools.count(1))
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        if self._how:
            os.chown(folder, self._how["user"], self._how["group"])
        self._init()
        self.start()
        self._make_template()

    def _make_template(self) -> None:
        self.admin("CREATE DATABASE with_tables")
        with contextlib.closing(connect(Database(self, "with_tables").address)) as connection:
            make(connection)
            connection.execute(f"ALTER ROLE {OWNER} PASSWORD '{PASSWORD}'".encode())

    def start(self) -> None:
        """Returns when it lets clients in."""
        if self._process is not None:
            return
        settings = {
            "fsync": "off", "full_page_writes": "off", "autovacuum": "off", "shared_buffers": "16MB",
            "max_connections": "60", "listen_addresses": "127.0.0.1", "port": str(self.port),
            "unix_socket_directories": str(self.folder),
        }  # fmt: skip
        given = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        command = [str(self._bin / "postgres"), "-D", str(self.folder / "cluster"), *given]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, **self._how)
        until = time.monotonic() + UP_S
        while not self.is_up():
            assert self._process.poll() is None, (self.folder / "log").read_text()[-2_000:]
            assert time.monotonic() < until, "it does not start"
            time.sleep(0.02)

    def is_up(self) -> bool:
        with contextlib.suppress(Exception):
            self.admin("SELECT 1")
            return True
        return False

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """End it: SIGQUIT is `pg_ctl -m immediate`, SIGINT `-m fast`."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(UP_S)
            self._process = None

    def admin(self, statement: str) -> None:
        """Carry out a statement that concerns the cluster."""
        with contextlib.closing(connect(Database(self, "postgres").address)) as connection:
            connection.execute(statement.encode())

    def database(self, *, has_tables: bool = True) -> Database:
        """A fresh one."""
        name = next(self._names)
        self.admin(f"CREATE DATABASE {name} TEMPLATE {'with_tables' if has_tables else 'template0'}")
        return Database(self, name)

    def _init(self) -> None:
        cluster = self.folder / "cluster"
        named = [str(self._bin / "initdb"), "-D", str(cluster), "-U", OWNER]
        quick = ["-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"]
        done = subprocess.run(
            [*named, *quick], capture_output=True, text=True, check=False, cwd=self.folder, **self._how
        )
        assert done.returncode == 0, done.stderr
        (cluster / "pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")


@contextlib.contextmanager
def private_server() -> Iterator[PostgresServer]:
    """A cluster of one's own, gone afterwards; skips the test where there is no server."""
    folder = binaries()
    if folder is None:
        pytest.skip(MISSING)
    with tempfile.TemporaryDirectory(prefix="bulkwriter-pg-", dir=memory(), ignore_cleanup_errors=True) as name:
        server = PostgresServer(Path(name), folder)
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def postgres_session() -> Iterator[PostgresServer]:
    """The cluster of this session; tests ask for `postgres` or `postgres_server`."""
    with private_server() as server:
        yield server


@pytest.fixture
def postgres_server(postgres_session: PostgresServer) -> Iterator[PostgresServer]:
    """The cluster, running; a test may stop it, and it runs again afterwards."""
    postgres_session.start()
    yield postgres_session
    postgres_session.start()


@pytest.fixture
def postgres(postgres_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A fresh database with our tables, and a machine that has seen no other one (`postgres.high_water`)."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "machine"))
    return postgres_server.database()

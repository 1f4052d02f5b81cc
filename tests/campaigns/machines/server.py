"""The database of a campaign: the private cluster of the tests, reached through proxies; and a standby of it.

A host's URL is a port of loopback that leads to the cluster's socket, where nobody is asked for a password.
"""

from __future__ import annotations

import importlib.util
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from bulkwriter.postgres.connect import PostgresProblem
from tests.postgres_server import MISSING, OWNER, UP_S, Database, PostgresServer, binaries


def why_not() -> str:
    """What is missing for campaigns on this machine, or ""."""
    if importlib.util.find_spec("psycopg") is None:
        return "psycopg is not installed: pip install 'psycopg[binary]'"
    return "" if binaries() else MISSING


class Server(PostgresServer):
    """A context manager: a cluster that is gone afterwards."""

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="bulkwriter-pg-", ignore_cleanup_errors=True)
        folder = binaries()
        assert folder is not None
        super().__init__(Path(self._temporary.name), folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._temporary.cleanup()

    @property
    def socket(self) -> str:
        return str(self.folder / f".s.PGSQL.{self.port}")

    def new_database(self) -> str:
        return self.database().name

    def named(self, database: str) -> Database:
        return Database(self, database)

    def url(self, database: str, *, port: int = 0) -> str:
        """The URL of a database by the cluster's socket, or by a proxy's port."""
        if port:
            return f"postgresql://{OWNER}@127.0.0.1:{port}/{database}"
        return f"postgresql://{OWNER}@:{self.port}/{database}?host={self.folder}"

    def job_url(self, database: str, job: str, *, port: int = 0) -> str:
        base, question, options = self.url(database, port=port).partition("?")
        return f"{base}/{job}{question}{options}"

    def holders(self, database: str) -> set[int]:
        """The processes that hold parts; none while the database does not answer."""
        with suppress(PostgresProblem, psycopg.Error):
            rows = self.named(database).sql("SELECT holder FROM bulkwriter.parts WHERE holder <> ''")
            return {int(pid[1]) for (holder,) in rows if (pid := re.search(r" pid (\d+) ", holder))}
        return set()

    @contextmanager
    def standby(self, link_port: int) -> Iterator[Standby]:
        """A standby that follows by way of this port of loopback, which must lead to this cluster's socket."""
        with (self.folder / "cluster" / "pg_hba.conf").open("a") as rules:
            rules.write("local replication all trust\n")
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)
        with tempfile.TemporaryDirectory(prefix="bulkwriter-standby-", ignore_cleanup_errors=True) as name:
            standby = Standby(Path(name), self._bin, link_port)
            try:
                yield standby
            finally:
                standby.stop()


class Standby(PostgresServer):
    """An asynchronous standby."""

    def __init__(self, folder: Path, bin_folder: Path, link_port: int) -> None:
        self._link_port = link_port
        super().__init__(folder, bin_folder)

    @property
    def socket(self) -> str:
        return str(self.folder / f".s.PGSQL.{self.port}")

    def promote(self) -> None:
        """Returns when it takes writes; what it has not received is lost."""
        command = [str(self._bin / "pg_ctl"), "promote", "-D", str(self.folder / "cluster"), "-t", str(int(UP_S))]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder, **self._how)

    def _init(self) -> None:
        command = [
            str(self._bin / "pg_basebackup"), "-h", "127.0.0.1", "-p", str(self._link_port), "-U", OWNER, "-R",
            "-X", "stream", "-c", "fast", "-D", str(self.folder / "cluster"),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self.folder, **self._how)
        assert done.returncode == 0, done.stderr

    def _make_template(self) -> None:
        """It has the primary's."""

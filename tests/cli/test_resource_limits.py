"""No room for files or threads: the limit is named, with exit code 2, before anything fails in a way of its own."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bulkwriter import UsageError
from bulkwriter.cli.resource_limits import FILES, THREADS, require_resources
from bulkwriter.model import Fault
from bulkwriter.net.connect_failures import ConnectFailure
from bulkwriter.net.dial import dialer_for
from bulkwriter.quota.exchanges import LedgerThread
from bulkwriter.sources import open_source
from tests.support.cli_process import stub, write_pairs
from tests.support.library import settings_for, wholly

COMMANDS = [
    ["run", "p.csv", "--json"],
    ["plan", "p.csv", "--json"],
    ["verify", "j", "--json"],
    ["undo", "j", "--json"],
    ["stub", "--port=0"],
    ["demo"],
]


def limited(limit: str, *command: str) -> subprocess.CompletedProcess[str]:
    shell = ["sh", "-c", f'ulimit {limit}; exec "$0" "$@"', sys.executable, "-m", "bulkwriter", *command]
    return subprocess.run(shell, capture_output=True, text=True, timeout=180, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_command_names_the_limit_on_files(command: list[str]) -> None:
    done = limited("-n 12", *command)
    assert done.returncode == 2
    assert done.stderr.startswith("error: Too many open files: this process may open ")
    assert f"a run needs {FILES}" in done.stderr
    assert "ulimit -n 1024" in done.stderr
    if "--json" in command:
        assert json.loads(done.stdout)["exit_code"] == 2


@pytest.mark.slow
def test_what_reads_one_file_needs_no_resources() -> None:
    assert limited("-n 12", "run", "--help").returncode == 0
    assert limited("-n 12", "status", "missing.journal").returncode == 5


@pytest.mark.slow
@pytest.mark.parametrize("files", [FILES - 10, FILES, FILES + 2, FILES + 4, FILES + 8, FILES + 20, 2 * FILES + 40])
def test_a_run_either_has_room_or_says_so(tmp_path: Path, canary_env: str, files: int) -> None:
    """Whatever the limit: never a bug of ours, and never a file of its own that it cannot open."""
    pairs = write_pairs(tmp_path / "p.csv", 50)
    with stub() as server:
        quota = ("--quota", "write:100000/day", "--ledger", str(tmp_path / "l"))
        done = limited(f"-n {files}", "run", str(pairs), "--base-url", server.base_url, *quota, "--progress=none")
        assert done.returncode in (0, 2), done.stderr
        assert ("a run needs" in done.stderr) == (done.returncode == 2)
        if files > FILES + 10:  # three are open, and Python may have some more
            assert done.returncode == 0, done.stderr


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Python says it where the system refuses one."""

    def refuse(*args: object, **how: object) -> int:
        raise RuntimeError("can't start new thread")

    is_joinable = hasattr(threading, "_start_joinable_thread")  # since 3.13
    monkeypatch.setattr(threading, "_start_joinable_thread" if is_joinable else "_start_new_thread", refuse)


@pytest.mark.usefixtures("no_threads")
def test_the_limit_on_threads_is_named() -> None:
    with pytest.raises(UsageError, match="can't start new thread: this process may start 0 more") as raised:
        require_resources()
    assert "ulimit -u" in raised.value.hint
    assert f"a run needs {THREADS}" in raised.value.message


def test_with_room_nothing_stays() -> None:
    before = threading.active_count()
    require_resources()
    assert threading.active_count() == before


@pytest.mark.usefixtures("no_threads")
@pytest.mark.parametrize("journal", ["j", None])
async def test_the_library_names_it_too(tmp_path: Path, journal: str | None) -> None:
    settings = settings_for("http://127.0.0.1:1", tmp_path / journal if journal else None)
    with pytest.raises(UsageError, match="can't start new thread"):
        await wholly(open_source(str(write_pairs(tmp_path / "p.csv", 5))), settings)


@pytest.mark.usefixtures("no_threads")
async def test_so_do_the_ledger_and_the_look_up_of_names(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="can't start new thread"):
        LedgerThread(lambda: pytest.fail("opened")).post(lambda ledger: None)

    async def refuse(*args: object, **options: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", refuse)
    for scheme in ("http", "https"):
        dialer = dialer_for(f"{scheme}://localhost:1", ca_file=None, proxy=None, timeout_s=10)
        with pytest.raises(ConnectFailure, match="can't start new thread") as raised:
            await dialer.dial()
        assert raised.value.fault is Fault.UNREACHABLE
        await dialer.aclose()

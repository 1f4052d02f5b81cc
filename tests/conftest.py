"""What every test runs under: an isolated environment, and a look for the canary token wherever a test could leave it.

Tests that need a token use `CANARY`, or the fixture `canary_env` which also puts it into `BULKWRITER_TOKEN`.  After
each test everything it printed or logged, and every file under its `tmp_path` (journals, exports, reports), is
searched for it; finding it fails the test.  Only files that a test itself makes to hold a secret may hold it: those
with "token", "secret" or "password" in their name.  At the end the home and state folders are searched too.

Properties are tried on the same examples each time and against no clock: a run of the suite says something about the
change, not about chance or how busy the machine is.  Other examples are what the campaigns in `scripts` are for.

Not searched: what a test keeps in memory, and output under `pytest -s`.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from tests.postgres_server import postgres, postgres_server, postgres_session  # noqa: F401  fixtures

if TYPE_CHECKING:
    from tests.support.cli_process import Here

settings.register_profile(
    "house", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("house")

CANARY = "canary-token-8c1f"
MAY_HOLD_SECRETS = ("token", "secret", "password")

home = tempfile.TemporaryDirectory(prefix="bulkwriter-home-")


def pytest_configure(config: pytest.Config) -> None:
    """No setting, proxy or state of the person who runs the tests may reach them, nor theirs reach that person."""
    for name in list(os.environ):
        if name.startswith("BULKWRITER_") or name.lower() in (
            "http_proxy",
            "https_proxy",
            "all_proxy",
            "no_proxy",
            "ci",
        ):
            del os.environ[name]
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # each process that a test starts would compile the package anew
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as for a script's job, and then for all that tests start
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(HOME=home.name, XDG_STATE_HOME=str(Path(home.name, "state")), XDG_CONFIG_HOME=home.name)
    logging.getLogger().setLevel(logging.DEBUG)  # so that debug lines of any library are captured, and searched


def pytest_collection_finish() -> None:
    """Thousands of tests are no garbage.  Else each look through all objects, and each search for cycles, goes through
    them as well: a second or two for a test that has both."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def heeds_hangups() -> Iterator[None]:
    """SIGHUP does what it usually does here and in processes that a test starts, also where the run is under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def canary_env(monkeypatch: pytest.MonkeyPatch) -> str:
    """The canary as `BULKWRITER_TOKEN`, for this process and those it starts."""
    monkeypatch.setenv("BULKWRITER_TOKEN", CANARY)
    return CANARY


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, canary_env: str) -> Here:
    """The command line, called in this process."""
    from tests.support.cli_process import Here

    return Here(capsys, monkeypatch)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A CSV of 300 pairs."""
    from tests.support.cli_process import write_pairs

    return write_pairs(tmp_path / "pairs.csv", 300)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    yield
    if isinstance(folder, Path):
        found = [str(path.relative_to(folder)) for path in holders(folder)]
        assert not found, f"the canary token is in {', '.join(found)}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report = yield
    found = [title for title, text in report.sections if CANARY in text]
    if found and report.passed:
        report.outcome = "failed"
        report.longrepr = f"the canary token is in: {', '.join(found)}"
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    found = [str(path) for path in holders(Path(home.name))]
    home.cleanup()
    if found:
        raise pytest.UsageError(f"the canary token was left in {', '.join(found)}")


def holders(folder: Path) -> Iterator[Path]:
    """Files below `folder` that hold the canary and should not."""
    for path in folder.rglob("*"):
        may_hold = any(word in path.name.lower() for word in MAY_HOLD_SECRETS)
        if not may_hold and path.is_file() and not path.is_symlink() and CANARY.encode() in path.read_bytes():
            yield path

"""The server's time as a run learns it: by the list call that comes before its first write, with any `--existing`."""

from __future__ import annotations

import datetime
import sqlite3
from pathlib import Path

import pytest

from tests.support.cli_process import Here, stub, write_pairs

pytestmark = pytest.mark.slow


def change(ledger: Path, statement: str, *values: float) -> None:
    db = sqlite3.connect(ledger)
    with db:
        db.execute(statement, values)
    db.close()


@pytest.mark.parametrize(("hours", "code", "created"), [(25.0, 0, 30), (20.0, 75, 0)])
def test_a_ledger_from_another_machine_is_placed_by_one_list_call(
    here: Here, tmp_path: Path, hours: float, code: int, created: int
) -> None:
    """A day of 40 is spent there.  25 hours later it is free again, and only the server can tell."""
    ledger = tmp_path / "ledger"
    args = ("--quota", "write:40/day", "--ledger", str(ledger), "--existing", "skip", "--on-quota", "stop")
    with stub() as server:
        assert here.run(write_pairs(tmp_path / "first.csv", 60), server, *args).counts("created") == (40,)
        # The first run may go from one minute to the next.
        elsewhere = "UPDATE spent SET machine = 'b', boot = 'b', minute = 7 + minute % 2, ended = ended - ?"
        change(ledger, elsewhere, hours * 3_600)
        before = server.truth()["list_calls"]
        done = here.run(write_pairs(tmp_path / "second.csv", 30, first=9_000), server, *args)
        assert (done.code, done.counts("created")) == (code, (created,)), done.err
        assert server.truth()["list_calls"] == before + 1


@pytest.mark.parametrize(("skew_s", "code"), [(0.0, 75), (1_800.0, 0), (-1_800.0, 75)])
def test_a_calendar_day_begins_by_the_server_s_clock(here: Here, tmp_path: Path, skew_s: float, code: int) -> None:
    """A day of 40 was spent an hour ago.  The next one begins a quarter of an hour from now by this machine's clock."""
    day = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=15)
    args = ("--quota", f"write:40/day@{day:%H:%M}+00:00", "--ledger", str(tmp_path / "ledger"), "--on-quota", "stop")
    with stub(clock_skew_s=skew_s) as server:
        first = here.run(write_pairs(tmp_path / "first.csv", 60), server, *args, "--existing", "skip")
        assert first.counts("created") == (40,)
        change(tmp_path / "ledger", "UPDATE spent SET minute = minute - 60, ended = ended - 3600")
        done = here.run(write_pairs(tmp_path / "second.csv", 30, first=9_000), server, *args, "--existing", "skip")
        assert (done.code, done.counts("created")) == (code, (0 if code else 30,)), done.err

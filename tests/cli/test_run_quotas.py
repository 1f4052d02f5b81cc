"""Quotas as a user meets them: real processes, the real stub, a real ledger; waits, stops, kills and full disks."""

from __future__ import annotations

import datetime
import json
import re
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli_process import Here, finish, interrupt, start, stub, wait_for, write_pairs

pytestmark = pytest.mark.slow

CAP: dict[str, Any] = {"kind": "window", "count": 60, "window_s": 86_400.0}
"""A server that takes 60 writes a day."""


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger"


def spent(ledger: Path, kind: str = "write") -> int:
    """Requests of a kind that the ledger holds, those that are only reserved included."""
    db = sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)
    try:
        found: int | None = db.execute("SELECT sum(count) FROM spent WHERE kind = ?", (kind,)).fetchone()[0]
        return found or 0
    finally:
        db.close()


def left_s(done_json: dict[str, Any]) -> float:
    """Seconds until the time at which an end with 75 says that going on makes sense."""
    at = datetime.datetime.fromisoformat(done_json["resume_at"])
    return (at - datetime.datetime.now(datetime.UTC)).total_seconds()


def test_stop_ends_with_75_and_the_time_and_the_next_start_sends_nothing(
    here: Here, tmp_path: Path, ledger: Path
) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 100)
    args = ("--quota", "write:40/hour", "--on-quota", "stop", "--ledger", str(ledger))
    with stub() as server:
        first = here.run(source, server, *args)
        assert (first.code, first.counts("created", "throttled")) == (75, (40, 0))
        assert "the quota write:40/hour is spent until 20" in first.err
        assert 3_500 < left_s(first.json) < 3_800
        again = here.run(source, server, *args)
        assert (again.code, again.counts("created", "attempts")) == (75, (40, 0))
        other = here.run(source, server, *args, "--account", "another", "--journal", str(tmp_path / "j2"))
        assert other.code == 75
        assert other.json["attempts"] == 40
        assert server.truth()["operations"]["create"] == 80
    assert spent(ledger) == 80


def test_the_first_run_of_all_makes_its_ledger_private(here: Here, tmp_path: Path, ledger: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 10)
    with stub() as server:
        assert here.run(source, server, "--quota", "write:1000/day", "--ledger", str(ledger)).code == 0
    assert ledger.parent.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in ledger.parent.rglob("*") if path.is_file()} == {0o600}
    assert b"canary" not in ledger.read_bytes()


def test_wait_shows_until_when_and_how_long_it_all_takes(here: Here, tmp_path: Path, ledger: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 100)
    args = ("--quota", "write:40/hour", "--ledger", str(ledger), "--progress=plain", "--log-format=text")
    with stub() as server:
        process = start("run", str(source), "--base-url", server.base_url, "--json", *args)
        assert process.stderr is not None
        seen = []
        for line in process.stderr:
            seen.append(line)
            if "held back" in line:
                break
        said = json.loads(here("status", f"{source}.journal", "--json").out)  # what waits are intents, all of them
        interrupt(process)
        process.stderr.read()
        process.stderr.close()
        process.stderr = None
        done = finish(process)
    assert done.code == 130
    assert (said["end"]["left"], said["quotas"][0]["spent"]) == (60, 40)
    held = seen[-1]
    assert re.search(r"held back: the quota write:40/hour is spent until 20\d\d-\d\d-\d\d \d\d:\d\d \w+", held), held
    assert re.search(r"ETA 2 h 0\d min", held), held
    assert any("note: the quota write:40/hour is spent until" in line for line in seen)


def test_status_tells_what_is_spent_and_when_it_will_end(here: Here, tmp_path: Path, ledger: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 100)
    args = ("--quota", "write:40/hour", "--on-quota", "stop", "--ledger", str(ledger))
    with stub() as server:
        assert here.run(source, server, *args).code == 75
    said = json.loads(here("status", f"{source}.journal", "--json").out)
    (quota,) = said["quotas"]
    assert (quota["quota"], quota["spent"], said["end"]["quota"]) == ("write:40/hour", 40, "write:40/hour")
    assert said["end"]["left"] == pytest.approx(60, abs=10)
    assert said["end"]["seconds"] == pytest.approx(7_200, abs=200)
    text = here("status", f"{source}.journal").out
    assert "40 writes an hour: 40 spent; no room until 20" in text
    assert "the quota write:40/hour allows no more" in text


@pytest.mark.parametrize("quota", ["none", "write:1000/day"])
def test_a_server_s_own_daily_cap_with_a_stated_wait(here: Here, tmp_path: Path, ledger: Path, quota: str) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 100)
    args = ("--quota", quota, "--on-quota", "stop", "--ledger", str(ledger))
    with stub(limits=[CAP]) as server:
        done = here.run(source, server, *args)
        posts = server.truth()["requests"]["POST"]
        assert (done.code, done.counts("created", "pending", "failed")) == (75, (60, 40, 0))
        assert re.search(r"until 20\d\d-\d\d-\d\d", done.err)
        assert 80_000 < left_s(done.json) <= 86_402
        again = here.run(source, server, *args)
        assert again.code == 75
        more = server.truth()["requests"]["POST"] - posts
    assert more == 0 if quota != "none" else more <= 64  # the ledger has noted it


# ---- kills and several processes


def test_kills_waste_no_block_and_overspend_nothing(tmp_path: Path, ledger: Path) -> None:
    """Killed six times: the quota is used to its end, but for requests that were on their way, and never beyond."""
    source = write_pairs(tmp_path / "pairs.csv", 400)
    args = ("--quota", "write:200/day", "--ledger", str(ledger), "--on-quota", "stop", "--in-flight", "2", "--json")
    how = ("--doubt-wait=0.4", "--progress=none")
    with stub(latency_s=0.02) as server:
        for n in range(1, 7):
            process = start("run", str(source), "--base-url", server.base_url, *args, *how)
            wait_for(lambda n=n: server.truth()["operations"].get("create", 0) >= 25 * n)
            process.kill()
            finish(process)
        done = finish(start("run", str(source), "--base-url", server.base_url, *args, *how))
        creates = server.truth()["operations"]["create"]
        assert done.code == 75, done.err
        assert server.truth()["doubles"] == 0
    assert creates <= 200
    assert creates >= 200 - 6 * 2  # at each kill at most the two that were on their way; no block
    assert spent(ledger) == 200


def test_three_processes_share_one_account(tmp_path: Path, ledger: Path) -> None:
    """Each alone has more pairs than the day allows, so whoever is late finds nothing left."""
    sources = [write_pairs(tmp_path / f"{n}.csv", 400, first=1_000 * n + 1) for n in range(3)]
    args = ("--quota", "write:300/day", "--ledger", str(ledger), "--on-quota", "stop", "--json")
    with stub(latency_s=0.005) as server:
        url = ("--base-url", server.base_url, "--doubt-wait=0.4", "--progress=none")
        runs = [start("run", str(source), *url, *args) for source in sources]
        done = [finish(run) for run in runs]
        creates = server.truth()["operations"]["create"]
    assert [each.code for each in done] == [75, 75, 75]
    assert creates <= 300
    assert creates >= 0.97 * 300
    assert sum(each.json["created"] for each in done) == creates


# ---- real windows


@pytest.mark.parametrize(
    ("quota", "window_s", "most", "pairs"), [("write:50/s", 1, 50, 300), ("write:600/min", 60, 600, 150)]
)
def test_a_real_sliding_window_is_never_exceeded(
    here: Here, tmp_path: Path, ledger: Path, quota: str, window_s: int, most: int, pairs: int
) -> None:
    source = write_pairs(tmp_path / "pairs.csv", pairs)
    limit = {"kind": "log", "count": most, "window_s": float(window_s)}
    with stub(limits=[limit], watch_windows_s=[window_s]) as server:
        began = time.monotonic()
        done = here.run(source, server, "--quota", quota, "--ledger", str(ledger), "--existing", "skip")
        took_s = time.monotonic() - began
        truth = server.truth()
    assert (done.code, done.json["throttled"]) == (0, 0)
    assert truth["worst_in_window"][str(window_s)] <= most
    assert took_s < 10 * pairs * window_s / most + 10  # not a crawl; how near it comes: scripts/days --real


# ---- where the ledger cannot be used


def test_a_ledger_that_cannot_be_used_ends_with_5_before_anything_is_sent(here: Here, tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 10)
    bad = tmp_path / "no-ledger"
    bad.write_text("this is no ledger\n" * 50, encoding="ascii")
    with stub() as server:
        done = here.run(source, server, "--quota", "write:1000/day", "--ledger", str(bad))
        assert done.code == 5
        assert "--ledger" in done.err
        assert server.truth()["requests"] == {}
        done = here.run(source, server, "--quota", "write:1000/day", "--ledger", str(source / "below"))
        assert (done.code, server.truth()["requests"]) == (5, {})


def test_a_disk_that_fills_up_under_the_ledger_ends_with_5_and_no_pair_is_lost(tmp_path: Path, ledger: Path) -> None:
    """Files cannot grow beyond 8 KB, which the ledger needs first."""
    source = write_pairs(tmp_path / "pairs.csv", 50)
    args = ("--quota", "write:1000/day", "--ledger", str(ledger), "--existing", "skip")
    with stub() as server:
        url = ("--base-url", server.base_url, "--json", "--doubt-wait=0.4", "--progress=none")

        def small_files() -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (8_192, 8_192))

        process = start("run", str(source), *url, *args, preexec_fn=small_files)
        done = finish(process)
        assert done.code == 5, done.err
        whole = finish(start("run", str(source), *url, *args))
        assert (whole.code, server.truth()["doubles"]) == (0, 0), whole.err


def test_a_ledger_that_fails_in_mid_run_leaves_no_pair_in_doubt(tmp_path: Path, ledger: Path) -> None:
    """The journal is well: requests on their way end, and what was not sent is pending again at once."""
    source = write_pairs(tmp_path / "pairs.csv", 1_000)
    args = ("--quota", "write:1000000/day", "--ledger", str(ledger), "--existing", "skip", "--progress=none", "--json")
    with stub(latency_s=0.02) as server:
        process = start("run", str(source), "--base-url", server.base_url, "--in-flight", "4", *args)
        wait_for(lambda: server.truth()["operations"].get("create", 0) >= 25)
        db = sqlite3.connect(ledger, timeout=180)
        db.execute("DROP TABLE spent")
        db.close()
        done = finish(process)
        creates = server.truth()["operations"]["create"]
    assert done.code == 5
    assert "no such table" in done.err
    assert done.counts("created", "in_doubt") == (creates, 0)
    assert done.json["pending"] > 0


def test_another_program_that_holds_the_ledger_is_waited_for(here: Here, tmp_path: Path, ledger: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 30)
    args = ("--quota", "write:1000/day", "--ledger", str(ledger))
    with stub() as server:
        assert here.run(source, server, *args, "--limit", "5").code == 0
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(ledger)], stdout=subprocess.PIPE, text=True
        )  # a sqlite3 shell left open for a second
        assert holder.stdout is not None
        holder.stdout.readline()
        done = here.run(source, server, *args)
        holder.wait()
        holder.stdout.close()
    assert (done.code, done.json["created"]) == (0, 30)


HOLD = """
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
time.sleep(1)
db.execute("ROLLBACK")
"""

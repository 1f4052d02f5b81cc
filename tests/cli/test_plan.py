"""`bulkwriter plan`, called in this process: what it counts, what it foretells, and that it writes nothing."""

from __future__ import annotations

import datetime
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from bulkwriter.cli.outlook import Outlook, Term, window_words
from bulkwriter.quota.account import Account
from bulkwriter.quota.build import here
from bulkwriter.quota.exchange import Ask, ClockReadings
from bulkwriter.quota.forecast import Spending, day_of
from bulkwriter.quota.ledger import SqliteLedger
from bulkwriter.quota.windows import SLACK, parse, windows_of
from bulkwriter.store.boot import boot_clock
from tests.support.cli_process import Done, Here, stub, write_pairs

DAY_S = 86_400.0
OFFLINE = ("--existing", "skip", "--base-url", "https://spaces.nexudus.com")


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


def spend(ledger: Path, count: int, *, account: str = "https://spaces.nexudus.com", ago_s: float = 60.0) -> None:
    """Note that so many writes were made a while ago."""
    opened = SqliteLedger.open(ledger, account, Account((), here()), here())
    now, wall = boot_clock(), time.time()
    ended = {("write", now - ago_s): count}
    clocks = ClockReadings(wall, wall, wall)
    opened.exchange(Ask(client="c", number=1, now=now, clocks=clocks, hold_s=90.0, ended=ended))
    opened.close()


def facts(done: Done) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(done.out)
    return said


def test_the_documented_limits_and_the_one_that_binds(here: Here, tmp_path: Path, ledger: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 10_000)
    done = here("plan", str(source), *OFFLINE, "--ledger", str(ledger))
    assert done.code == 0
    assert f"{source} -> https://spaces.nexudus.com" in done.out
    assert "10,000 pairs would be created" in done.out
    assert re.search(r"2,500 writes a day +3 d 0 h, until 20", done.out)
    assert re.search(r"60 writes a minute +2 h 46 min, until 20", done.out)
    assert ": the quota of 2,500 writes a day allows no more" in done.out
    assert "spent" not in done.out
    assert not ledger.exists()
    assert not source.with_name("pairs.csv.journal").exists()


def test_what_the_ledger_says_was_spent_is_waited_for(here: Here, tmp_path: Path, ledger: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 100)
    spend(ledger, 2_450)
    done = here("plan", str(source), *OFFLINE, "--ledger", str(ledger))
    assert "(2,450 spent now)" in done.out
    assert "all quotas together: 1 d 0 h, until" in done.out or "all quotas together: 23 h 59 min, until" in done.out
    assert "with nothing spent before: 1 min 4" in done.out
    said = facts(here("plan", str(source), *OFFLINE, "--ledger", str(ledger), "--json"))
    (day,) = (quota for quota in said["quotas"] if quota["quota"] == "write:2500/day")
    assert (day["spent"], said["quota"]) == (2_450, "write:2500/day")
    assert said["seconds"] == pytest.approx(DAY_S, abs=200)
    assert said["with_nothing_spent"]["seconds"] == pytest.approx(100, abs=5)


def test_another_account_s_spending_does_not_count(here: Here, tmp_path: Path, ledger: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 100)
    spend(ledger, 2_450)
    said = facts(here("plan", str(source), *OFFLINE, "--ledger", str(ledger), "--account", "north", "--json"))
    assert said["seconds"] == pytest.approx(100, abs=5)


def test_the_finish_is_a_time_with_its_zone(here: Here, tmp_path: Path, ledger: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 5_000)
    said = facts(here("plan", str(source), *OFFLINE, "--ledger", str(ledger), "--json"))
    finish = datetime.datetime.fromisoformat(said["finish"])
    left = finish - datetime.datetime.now(datetime.UTC)
    assert left.total_seconds() == pytest.approx(said["seconds"], abs=60)
    # 2,500 now, and the last of the other 2,500 a day and 2,500 s later
    assert said["seconds"] == pytest.approx(DAY_S + 2_500, abs=200)


def test_a_share_and_own_quotas_are_planned_with(here: Here, tmp_path: Path, ledger: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 1_000)
    quota = ("--quota", "write:100/hour", "--quota-share", "0.5", "--ledger", str(ledger))
    said = facts(here("plan", str(source), *OFFLINE, *quota, "--json"))
    assert said["quota"] == "write:100/hour"
    assert said["seconds"] == pytest.approx(19 * 3_600, rel=0.03)
    assert "50 writes an hour" in here("plan", str(source), *OFFLINE, *quota).out


def test_without_quotas_it_says_so(here: Here, tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 100)
    done = here("plan", str(source), *OFFLINE, "--quota", "none")
    assert "no quota holds them" in done.out
    done = here("plan", str(source), *OFFLINE, "--quota", "none", "--rate", "10/s")
    assert "all quotas together: 10 s, until" in done.out
    assert "--rate allows no more" in done.out


def test_nothing_to_write_is_no_time(here: Here, tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("CourseLessonId,CourseMemberId\n", encoding="ascii")
    done = here("plan", str(tmp_path / "pairs.csv"), *OFFLINE)
    assert (done.code, "0 pairs would be created" in done.out) == (0, True)


def test_bad_rows_and_duplicates_need_no_write(here: Here, tmp_path: Path, ledger: Path) -> None:
    source = tmp_path / "pairs.csv"
    source.write_text("CourseLessonId,CourseMemberId\n1,1\n1,1\nx,1\n1,2\n", encoding="ascii")
    done = here("plan", str(source), *OFFLINE, "--ledger", str(ledger), "--json")
    said = facts(done)
    assert {name: said[name] for name in ("pairs", "pending", "duplicates", "invalid", "writes")} == {
        "pairs": 4, "pending": 2, "duplicates": 1, "invalid": 1, "writes": 2,
    }  # fmt: skip
    assert "line 4" in done.err
    assert done.code == 1
    assert [reason["count"] for reason in said["reasons"]["invalid"]] == [1]
    assert here("plan", str(source), *OFFLINE, "--strict").code == 6
    assert facts(here("plan", str(source), *OFFLINE, "--limit", "1", "--json"))["writes"] == 1


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("missing.csv", *OFFLINE), 6, "missing.csv"),
        (("pairs.csv", *OFFLINE, "--quota", "write:60/fortnight"), 2, "is not ms, s, min, hour or day"),
        (("pairs.csv", *OFFLINE, "--quota-share", "0"), 2, "quota"),
        (("pairs.csv", *OFFLINE, "--ledger", "pairs.csv"), 5, "quota ledger"),
    ],
)
def test_what_cannot_be_planned(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], code: int, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_pairs(tmp_path / "pairs.csv", 10)
    done = here("plan", *args)
    assert (done.code, words in done.err) == (code, True), done.err


def test_a_source_that_changed_is_refused_as_a_run_would(here: Here, tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 30)
    with stub() as server:
        assert here.run(source, server).code == 0
        write_pairs(source, 20)
        done = here("plan", str(source), "--base-url", server.base_url)
        assert (done.code, "ends before line" in done.err) == (6, True), done.err
        write_pairs(source, 30, first=7)
        assert here("plan", str(source), "--base-url", server.base_url).code == 6


# ---- with a server


@pytest.mark.slow
def test_what_exists_needs_no_write_and_only_lists_are_called(here: Here, tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 100)
    with stub(existing=[[1, 1], [2, 1], [9, 99]]) as server:
        said = facts(here("plan", str(source), "--base-url", server.base_url, "--json"))
        assert (said["existing"], said["writes"], said["checked"]) == (2, 98, True)
        assert set(server.truth()["requests"]) == {"GET"}
        skipped = facts(here("plan", str(source), "--base-url", server.base_url, "--existing", "skip", "--json"))
        assert (skipped["existing"], skipped["writes"], skipped["checked"]) == (0, 100, False)


@pytest.mark.slow
def test_a_started_run_is_planned_from_where_it_is(here: Here, tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 100)
    with stub() as server:
        assert here.run(source, server, "--limit", "40").code == 0
        said = facts(here("plan", str(source), "--base-url", server.base_url, "--json"))
        assert (said["created"], said["writes"]) == (40, 60)
        assert said["journal"] == f"{source}.journal"


@pytest.mark.slow
def test_without_a_token_it_plans_offline_and_says_so(here: Here, tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 10)
    here.env("BULKWRITER_TOKEN", "")
    done = here("plan", str(source), "--json")
    assert (done.code, facts(done)["checked"]) == (0, False)
    assert "no token, so nothing was looked up" in done.err


@pytest.mark.slow
def test_a_wrong_token_is_a_configuration_stop(here: Here, tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 10)
    with stub(tokens=["another"]) as server:
        done = here("plan", str(source), "--base-url", server.base_url, "--json")
    assert (done.code, facts(done)["exit_code"]) == (4, 4)


# ---- forecast


def outlook(*quota: str, shown: int = 0, **how: Any) -> Outlook:
    windows = windows_of(quota, is_loopback=False)
    learnt = (day_of("write", shown),) if shown else ()
    return Outlook(windows, Spending(epoch=0.0, slack=SLACK), learnt, boot=0.0, wall=1_764_000_000.0, **how)


def test_what_the_server_showed_binds_as_well() -> None:
    end = outlook("write:5000/day", shown=2_500).together(5_000)
    assert end.window is not None
    assert window_words(end.window) == "2,500 writes a day (as the server showed)"
    assert end.seconds == pytest.approx(DAY_S, rel=0.01)
    assert outlook("write:5000/day", shown=2_500).fresh().together(5_000).seconds < 60


def test_nothing_is_done_before_the_time_that_the_server_asked_for() -> None:
    asked = outlook("write:5000/day", shown=2_500, not_before=30 * DAY_S)
    end = asked.together(100)
    assert end.seconds == pytest.approx(30 * DAY_S, rel=0.01)
    assert end.window == asked.shown[0]
    assert asked.under(100, asked.shown[0]).seconds == pytest.approx(30 * DAY_S, rel=0.01)
    assert asked.under(100, asked.windows[0]).seconds < 60
    assert (asked.opens_at(asked.shown[0]), asked.opens_at(asked.windows[0])) == (30 * DAY_S, 0.0)
    assert asked.fresh().together(100).seconds < 60


def test_a_term_that_never_ends() -> None:
    never = Term(float("inf"), float("inf"), parse("write:1/day"))
    assert never.words() == "never"
    assert never.facts() == {"quota": "write:1/day", "seconds": None, "finish": None}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("write:2500/day", "2,500 writes a day"),
        ("any:1/100ms", "1 request in 0.1 s"),
        ("write:60/min", "60 writes a minute"),
        ("read:5000/hour", "5,000 list calls an hour"),
        ("write:9/2h", "9 writes in 2 h 00 min"),
        ("write:2500/day@06:00+01:00", "2,500 writes a day from 06:00+01:00"),
    ],
)
def test_a_window_in_words(spec: str, words: str) -> None:
    assert window_words(parse(spec)) == words

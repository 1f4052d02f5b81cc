"""What is left after every kind of end: `run`, `status` and `plan` agree, as JSON and in words."""

from __future__ import annotations

import datetime
import json
import random
import time
from pathlib import Path
from typing import Any

import pytest

from bulkwriter.cli import describe, last_start
from bulkwriter.cli.ending import Ending, summary_lines
from bulkwriter.cli.last_start import RunState
from bulkwriter.cli.status_ahead import is_of_start
from bulkwriter.model import Counts, Ended, Rows, Summary
from bulkwriter.store.journal import Journal
from bulkwriter.store.starts import (
    LAST_START,
    RUN,
    UNDONE,
    Start,
    Undone,
    began_text,
    undone,
    undone_text,
    undone_unseen_s,
)
from tests.support.cli_process import Here, finish, interrupt, start, stub, url_of, wait_for, write_pairs

WALL = 1_764_000_000.0
KEYS = ("rows_total", "rows_total_exact", "not_read", "ended_reason", "resume_at")
LEFT = ("pending", "in_doubt", "failed")
HALF = Rows(20_000, False, 11_455)


def told(*, counts: Counts | None = None, rows: Rows = HALF, **how: Any) -> RunState:
    return RunState(counts or Counts(created=10_839, in_doubt=17, pending=599), rows, **{"start": None, **how})


@pytest.mark.parametrize(("deleted", "told"), [(None, Undone(WALL, None)), (3, Undone(WALL, 3)), (0, None)])
def test_an_undo_that_deleted_nothing_is_none(deleted: int | None, told: Undone | None) -> None:
    assert undone({UNDONE: undone_text(WALL, deleted, {})}) == told


@pytest.mark.parametrize(
    ("deleted", "wall", "unseen_s"),
    [(7, 1_000.0, 5.0), (7, 1_003.0, 2.0), (7, 1_006.0, 0.0), (7, 900.0, 5.0), (0, 1_000.0, 0.0), (None, 9e9, 5.0)],
)
def test_lists_may_show_for_a_while_what_an_undo_has_deleted(deleted: int | None, wall: float, unseen_s: float) -> None:
    """Else the next start would call pairs `existing` whose records were deleted a moment ago."""
    meta = {UNDONE: undone_text(1_000.0, deleted, {}), LAST_START: began_text(wall)}
    assert undone_unseen_s(meta, wall, 5.0) == unseen_s
    assert undone_unseen_s({}, wall, 5.0) == 0.0


@pytest.mark.parametrize(
    ("noted", "is_so"), [({"at": WALL - 3_600}, False), ({"at": round(WALL, 1)}, True), ({}, False)]
)
def test_while_a_start_opens_its_journal_what_held_the_one_before_is_not_told(
    noted: dict[str, float], *, is_so: bool
) -> None:
    assert is_of_start(noted, Start(WALL + 0.04)) is is_so
    assert is_of_start(noted, None)


# ---- in words


def test_the_table_tells_the_rows_that_were_not_read() -> None:
    assert describe.counts_table(Counts(created=10_856, pending=599), HALF) == [
        "  pairs           11,455  rows read",
        "  created         10,856  records made by this run",
        "  pending            599  not sent yet",
        "  not read   about 8,545  rows of the source, which has about 20,000, by its size",
    ]
    assert not any("not read" in line for line in describe.counts_table(Counts(created=5), Rows(5, True, 5)))
    assert "unknown" in describe.counts_table(Counts(created=5), Rows(None, False, 5))[-1]


@pytest.mark.parametrize(
    ("counts", "rows", "ended", "line"),
    [
        (Counts(created=5), Rows(5, True, 5), Ended("done", "x"), "Every pair was written or found, by the journal"),
        (Counts(), Rows(0, True, 0), Ended("done", "x"), "The source has no rows, so there was nothing to send"),
        (
            Counts(created=10), Rows(20_000, False, 10), Ended("limit", "x"),
            "As many pairs were sent as --limit allows; about 19,990 rows of the source are left",
        ),
        (
            Counts(created=10, pending=1), Rows(None, False, 11), Ended("limit", "x"),
            "As many pairs were sent as --limit allows; the source has more rows, nobody knows how many",
        ),
    ],
)  # fmt: skip
def test_a_good_end_claims_no_more_than_is_known(counts: Counts, rows: Rows, ended: Ended, line: str) -> None:
    """The journal alone says what is there; a limit and an empty source are no claim about pairs."""
    summary = Summary(counts, journal="p.journal", rows=rows, ended=ended)
    lines = summary_lines(Ending(summary), source="p.csv", resume="RESUME")
    assert lines[0].startswith(line)
    text = "\n".join(lines)
    assert "present" not in text
    assert ("RESUME" in text) == (ended.code == "limit")
    assert ("bulkwriter verify p.journal" in text) == (ended.code == "done" and counts.pairs > 0)


def test_a_killed_start_is_told_as_such() -> None:
    killed = told(start=Start(WALL), is_alive=False)
    assert killed.ended_reason == "the last start did not note its end: it was killed, or its disk failed"
    ((word, text),) = last_start.lines(killed)
    assert (word, text.startswith("not by itself: the start of 2025-11-24")) == ("ended", True)
    living = told(start=Start(WALL), is_alive=True)
    assert (living.ended_reason, last_start.lines(living)) == (None, [])


def test_a_refused_token_and_a_stated_wait_are_told() -> None:
    """The moments come as the zone of this machine has them."""
    ended = Ended("token", "the token was refused (401)", 4)
    ((_, text),) = last_start.lines(told(start=Start(WALL, WALL + 9, ended), is_alive=False))
    assert text.endswith(", exit 4: the token was refused (401)")
    wait = Ended("stated_wait", "the server asks to wait", 75, WALL + 86_400, is_theirs=True)
    how: dict[str, Any] = {
        "start": Start(WALL, WALL, wait),
        "is_alive": False,
        "resume_at": wait.resume_at,
        "is_theirs": True,
    }
    assert last_start.lines(told(**how))[1][1].endswith(", as the server asked")
    assert told(**how).to_json()["resume_at"] == "2025-11-25T16:00:00+00:00"


def test_a_journal_without_these_notes_is_unknown_and_not_zero(here: Here, tmp_path: Path) -> None:
    path = tmp_path / "old.journal"
    made = Journal.open(path, base_url="http://127.0.0.1:1", account=None, columns=("CourseLessonId", "CourseMemberId"))
    made.append([(0, 1, 1, 2, 1, None), (1, 1, 2, 3, 0, None)])
    made.settle([(0, 3, 1, 77, 200, None)])
    made.close()
    said = json.loads(here("status", str(path), "--json").out)
    assert [said[key] for key in KEYS] == [None] * 5
    text = here("status", str(path)).out
    assert "not read   unknown" in text
    assert "1 pair to do, and whatever of the source was not read" in text


def test_status_does_not_believe_nonsense(here: Here, tmp_path: Path) -> None:
    path = tmp_path / "odd.journal"
    made = Journal.open(path, base_url="http://127.0.0.1:1", account=None, columns=("CourseLessonId", "CourseMemberId"))
    made.append([(0, 1, 1, 2, 0, None)])
    for nonsense in ("[]", "{", '{"rows": -4, "ended": 1e300, "code": 3, "held_by": 7, "quota": 3, "at": "x"}'):
        made.meta_set(RUN, nonsense)
        made.meta_set(LAST_START, nonsense)
        assert here("status", str(path), "--json").code == 0  # of one that lives
    made.close()
    assert here("status", str(path)).code == 0


# ---- after every kind of end


def agreed(here: Here, source: Path, server: Any, run: dict[str, Any] | None, *args: str) -> dict[str, Any]:
    """What all three say of what is left; `run` None where the start was killed."""
    status: dict[str, Any] = json.loads(here("status", f"{source}.journal", "--json").out)
    plan = json.loads(here("plan", str(source), "--base-url", url_of(server), "--existing=skip", "--json", *args).out)
    if run:
        assert {key: status[key] for key in (*KEYS, *LEFT, "pairs")} == {
            key: run[key] for key in (*KEYS, *LEFT, "pairs")
        }
        assert status["ended_exit_code"] == run["exit_code"]
    assert (plan["ended_reason"], plan["resume_at"]) == (status["ended_reason"], status["resume_at"])
    rows = source.read_text(encoding="ascii").count("\n") - 1
    assert (plan["rows_total"], plan["rows_total_exact"], plan["not_read"]) == (rows, True, 0)
    left = sum(status[key] for key in LEFT)
    planned = sum(plan[key] for key in LEFT)
    if status["rows_total_exact"]:
        assert (status["rows_total"], left + status["not_read"]) == (rows, planned)
    elif status["rows_total"] is not None:
        assert left + status["not_read"] == pytest.approx(planned, rel=0.005)
        assert status["rows_total"] == status["pairs"] + status["not_read"]
    if run is None and status["end"]:
        assert status["end"]["left"] == left + status["not_read"]
    return status


@pytest.mark.slow
def test_done_and_limit_and_quota_agree(here: Here, tmp_path: Path) -> None:
    source, quota = write_pairs(tmp_path / "pairs.csv", 400), ("--quota", "write:100/hour")
    args = (*quota, "--ledger", str(tmp_path / "ledger"))
    with stub() as server:
        limited = here.run(source, server, "--limit=40", *args)
        said = agreed(here, source, server, limited.json, *args)
        assert (limited.code, said["ended_code"], said["not_read"]) == (0, "limit", pytest.approx(360, rel=0.1))
        spent = here.run(source, server, "--on-quota=stop", *args)
        said = agreed(here, source, server, spent.json, *args)
        assert (spent.code, said["ended_code"], said["created"]) == (75, "quota", 100)
        left_s = datetime.datetime.fromisoformat(said["resume_at"]).timestamp() - time.time()
        assert 3_500 < left_s < 3_800
        done = here.run(source, server, "--quota=none")
        said = agreed(here, source, server, done.json)
        assert (done.code, said["ended_code"], said["rows_total"], said["not_read"]) == (0, "done", 400, 0)
        assert done.json["rows_total_exact"] is True


@pytest.mark.slow
def test_a_limit_of_all_there_is_has_nothing_left(here: Here, tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 40)
    with stub() as server:
        done = here.run(source, server, "--limit=40")
        assert agreed(here, source, server, done.json)["ended_code"] == "done"
        assert "Every pair was written or found, by the journal" in done.err


@pytest.mark.slow
def test_refused_gone_and_told_to_wait_agree(here: Here, tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 500)
    with stub(tokens=["another"]) as server:
        refused = here.run(source, server, "--existing=skip")
        said = agreed(here, source, server, refused.json)
        assert (refused.code, said["ended_code"]) == (4, "token")
        assert "exit 4: the token was refused (401)" in here("status", f"{source}.journal").out
        url = server.base_url
        plan = here("plan", str(source), "--base-url", url, "--existing=skip")
        assert "exit 4: the token was refused (401)" in plan.out
    gone = here.run(source, url, "--give-up-after=0.5", "--existing=skip")
    assert (gone.code, agreed(here, source, url, gone.json)["ended_code"]) == (75, "gone")
    day: dict[str, Any] = {"kind": "window", "count": 60, "window_s": 86_400.0}
    other = write_pairs(tmp_path / "other.csv", 300)
    with stub(limits=[day]) as server:
        waits = here.run(other, server, "--on-quota=stop", "--quota=none", "--existing=skip")
        said = agreed(here, other, server, waits.json, "--quota=none")
        assert (waits.code, said["ended_code"], said["created"]) == (75, "stated_wait", 60)
        left_s = datetime.datetime.fromisoformat(said["resume_at"]).timestamp() - time.time()
        assert 80_000 < left_s <= 86_402
        plan = here("plan", str(other), "--base-url", server.base_url, "--existing=skip", "--quota=none")
        assert "not before 20" in plan.out
        assert "as the server asked" in plan.out


@pytest.mark.slow
@pytest.mark.parametrize("number", [2, 15])
def test_a_signal_in_a_wait_agrees_and_says_until_when(here: Here, tmp_path: Path, number: int) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 3_000)
    args = ("--quota", "write:40/hour", "--ledger", str(tmp_path / "ledger"))
    with stub() as server:
        how = ("--existing=skip", "--json", "--progress=none", *args)
        process = start("run", str(source), "--base-url", server.base_url, *how)
        wait_for(lambda: server.truth()["requests"].get("POST", 0) >= 40)
        time.sleep(0.3)
        interrupt(process, number)
        done = finish(process)
        said = agreed(here, source, server, done.json, *args)
    assert (done.code, said["ended_code"], said["ended_exit_code"]) == (128 + number, "signal", 128 + number)
    assert said["ended_reason"] in ("SIGINT", "SIGTERM")
    assert said["resume_at"] is not None
    assert said["end"]["left"] == said["pending"] + said["in_doubt"] + said["not_read"] > 2_500
    assert "when the spent quota has room again" in here("status", f"{source}.journal").out


@pytest.mark.slow
def test_killed_at_random_moments_they_agree(here: Here, tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 3_000)
    rng, journal = random.Random(13), tmp_path / "pairs.csv.journal"
    with stub(latency_s=0.02) as server:
        how = ("--rate=600/s", "--json", "--progress=none", "--doubt-wait=0.2")
        for _ in range(6):
            process = start("run", str(source), "--base-url", server.base_url, *how)
            time.sleep(0.6 + rng.uniform(0, 1.5))
            is_over = process.poll() is not None
            process.kill()
            done = finish(process)
            if "no journal" in here("status", str(journal)).err:
                continue  # it had not come so far
            said = agreed(here, source, server, done.json if is_over else None)
            if not is_over and said["ended_code"] is None:
                assert said["ended_reason"].startswith("the last start did not note its end")
        last = here.run(source, server, "--doubt-wait=0.2")
        assert (last.code, agreed(here, source, server, last.json)["rows_total"]) == (0, 3_000)


@pytest.mark.slow
def test_a_source_that_grew_is_told(here: Here, tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 100)
    with stub() as server:
        assert here.run(source, server).json["rows_total"] == 100
        write_pairs(source, 150)
        done = here.run(source, server)
        assert (done.json["rows_total"], done.json["not_read"], done.json["created"]) == (150, 0, 150)
        assert "the source has grown: it had 100 rows when it was last read to its end" in done.err


@pytest.mark.slow
def test_a_pipe_s_rows_are_known_at_its_end_alone(here: Here, tmp_path: Path) -> None:
    text = write_pairs(tmp_path / "pairs.csv", 300).read_text(encoding="ascii")
    journal = str(tmp_path / "j")
    with stub() as server:
        how = ("--base-url", server.base_url, "--journal", journal, "--json", "--progress=none", "--doubt-wait=0.2")
        limited = finish(start("run", "-", *how, "--limit=20", stdin=-1), text)
        assert [limited.json[key] for key in KEYS[:3]] == [None, None, None]
        assert "nobody knows how many" in limited.err
        whole = finish(start("run", "-", *how, stdin=-1), text)
    assert [whole.json[key] for key in KEYS[:3]] == [300, True, 0]


def test_a_plan_shows_no_window_with_a_zero(here: Here, tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 20_000)
    offline = ("--existing=skip", "--base-url=https://spaces.nexudus.com", "--ledger", str(tmp_path / "ledger"))
    done = here("plan", str(source), *offline)
    assert "2,500 writes a day" in done.out
    assert "200,000 requests a day" not in done.out
    assert " 0.0 s" not in done.out
    assert "a token lives 7 days: this one ends before that" in done.out


def test_the_start_of_a_start_is_noted_before_anything_else(tmp_path: Path) -> None:
    path = tmp_path / "j"
    made = Journal.open(path, base_url="http://127.0.0.1:1", account=None, columns=("CourseLessonId", "CourseMemberId"))
    made.meta_set(LAST_START, began_text(WALL))
    assert made.meta_get(LAST_START) == '{"began": 1764000000.0, "ended": null}'
    made.close()

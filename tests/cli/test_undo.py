"""`bulkwriter undo` against a real stub: called here, answered by a person, stopped, killed, and given again."""

from __future__ import annotations

import json
import os
import pty
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CANARY
from tests.support.cli_asking import WAITS, ask, journal_of, pairs_on, said
from tests.support.cli_process import Here, finish, interrupt, start, stub, wait_for

pytestmark = pytest.mark.slow


def held(kind: str, skip: int, on: str = "create") -> dict[str, Any]:
    """The scenario of a stub that is quick for `skip` requests, so that a command is in the middle however busy the
    machine is.  Who is killed leaves nothing behind that "silence_before" applies later; "slow" would, after 1 s."""
    return {"tokens": [CANARY], "faults": [{"kind": kind, "on": on, "skip": skip, "delay_s": 1.0}]}


def test_undo_after_a_run_with_faults_takes_back_exactly_that_run(here: Here, source: Path) -> None:
    there = [[1, 1], [2, 5], [2, 5], [99, 1]]
    faults = {"rst_after": 0.04, "500_after": 0.04, "fin_before": 0.04, "garbage_after": 0.02, "stray": 0.01}
    with stub(existing=there, faults=faults, seed=5) as server:
        assert here.run(source, server).code == 0
        deletes = [{"kind": k, "on": "delete", "share": 0.05} for k in ("rst_after", "500_after", "rst_before")]
        server.set_scenario(tokens=[CANARY], faults=[*deletes, {"kind": "list_short", "share": 0.1}])
        code, facts, _ = ask(here, "undo", journal_of(source), server, "--yes")
        assert (code, facts["deleted"], facts["left"], facts["mismatched"]) == (0, 298, 0, 0)
        assert pairs_on(server) == [(1, 1), (2, 5), (2, 5), (99, 1)]
        assert ", 298 records deleted; another start" in here("status", str(journal_of(source))).out
        assert json.loads(here("status", str(journal_of(source)), "--json").out)["undone_deleted"] == 298
        server.set_scenario(tokens=[CANARY])
        assert here.run(source, server).counts("created", "existing") == (298, 2)
        assert "undone " not in here("status", str(journal_of(source))).out
        assert server.truth()["doubles"] == 1


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_undo_stopped_half_way_and_given_again(here: Here, source: Path, how: signal.Signals) -> None:
    with stub(existing=[[1, 1], [5, 999]]) as server:
        assert here.run(source, server).code == 0
        server.set_scenario(held("slow" if how is signal.SIGINT else "silence_before", 61, "delete"))
        command = ("undo", str(journal_of(source)), "--base-url", server.base_url, "--yes", "--json", WAITS)
        process = start(*command)
        wait_for(lambda: server.truth()["deletes_applied"] > 60)
        interrupt(process, how)
        done = finish(process)
        half = server.truth()["deletes_applied"]
        assert 60 < half < 299
        server.set_scenario(tokens=[CANARY])
        if how is signal.SIGINT:
            assert (done.code, said(done)["deleted"], said(done)["in_doubt"]) == (130, half, 0)
            assert f"goes on where this ended:\n              bulkwriter undo {journal_of(source)}" in done.err
        code, facts, _ = ask(here, "undo", journal_of(source), server, "--yes")
        assert (code, facts["left"], facts["in_doubt"]) == (0, 0, 0)
        if how is signal.SIGINT:  # what a killed one had deleted without a note was found gone
            assert ", 299 records deleted; another start" in here("status", str(journal_of(source))).out
        assert pairs_on(server) == [(1, 1), (5, 999)]
        assert here.run(source, server).counts("created", "existing") == (299, 1)


def test_a_run_after_a_killed_undo_has_every_pair_again(here: Here, source: Path) -> None:
    with stub() as server:
        assert here.run(source, server).code == 0
        server.set_scenario(held("silence_before", 31, "delete"))
        process = start("undo", str(journal_of(source)), "--base-url", server.base_url, "--yes")
        wait_for(lambda: server.truth()["deletes_applied"] > 30)
        process.kill()
        finish(process)
        server.set_scenario(tokens=[CANARY])
        assert here.run(source, server).counts("created", "in_doubt") == (300, 0)
        truth = server.truth()
        assert (truth["records"], truth["doubles"]) == (300, 0)
        assert ask(here, "undo", journal_of(source), server, "--yes")[1]["deleted"] == 300


def test_undo_settles_the_doubts_of_a_killed_run_first(here: Here, source: Path) -> None:
    with stub(existing=[[1, 1]], **held("silence_before", 31)) as server:
        process = start("run", str(source), "--base-url", server.base_url, "--progress=none")
        wait_for(lambda: server.truth()["records"] > 30)
        process.kill()
        finish(process)
        server.set_scenario(tokens=[CANARY])
        code, facts, _ = ask(here, "undo", journal_of(source), server, "--dry-run")
        assert (code, facts["in_doubt"] > 0, facts["left"] > 0) == (3, True, True)
        assert ask(here, "undo", journal_of(source), server, "--yes")[0] == 0
        assert pairs_on(server) == [(1, 1)]


def test_undo_needs_its_role_and_changes_nothing_without(here: Here, source: Path) -> None:
    with stub() as server:
        assert here.run(source, server).code == 0
        server.set_scenario(tokens={CANARY: ["Create", "List", "Read"]})
        code, facts, done = ask(here, "undo", journal_of(source), server, "--yes")
        assert (code, facts["deleted"], facts["left"], facts["in_doubt"]) == (4, 0, 300, 0)
        assert "CourseCompletedLesson-Delete" in done.err
        assert server.truth()["requests"]["DELETE"] <= 4


def test_undo_is_asked_for_planned_and_obeys_throttles(here: Here, source: Path) -> None:
    journal = journal_of(source)
    with stub() as server:
        assert here.run(source, server).code == 0
        assert ask(here, "undo", journal, server)[0] == 2
        code, facts, done = ask(here, "undo", journal, server, "--dry-run")
        assert (code, facts["deleted"], facts["left"]) == (0, 0, 300)
        assert "300 records" in done.err
        assert ask(here, "undo", journal, server, "--dry-run", "--quota=write:100/day")[2].err.count("2 d 0 h") == 1
        assert server.truth()["requests"].get("DELETE") is None
        server.set_scenario(tokens=[CANARY], limits=[{"kind": "window", "count": 160, "window_s": 4}])
        assert ask(here, "undo", journal, server, "--yes")[1]["deleted"] == 300
        assert 0 < server.truth()["throttles"] < 30


@pytest.mark.parametrize(("answer", "code", "left"), [("no", 1, 300), ("yes", 0, 0)])
def test_undo_asks_a_person(here: Here, source: Path, answer: str, code: int, left: int) -> None:
    with stub() as server:
        assert here.run(source, server).code == 0
        ours, theirs = pty.openpty()
        process = start("undo", str(journal_of(source)), "--base-url", server.base_url, stdin=theirs, stderr=theirs)
        heard = b""
        while b"Type yes" not in heard:
            heard += os.read(ours, 1_000)
        os.write(ours, answer.encode() + b"\n")
        assert process.wait(180) == code
        assert len(server.records()) == left
        assert CANARY.encode() not in heard
        assert b"Delete 300 records?" in heard
        os.close(ours)
        os.close(theirs)
        finish(process)


def test_undo_leaves_a_record_that_holds_another_pair(here: Here, source: Path) -> None:
    with stub() as server:
        assert here.run(source, server).code == 0
        with sqlite3.connect(journal_of(source)) as db:
            db.execute("UPDATE pair SET id_b = 4321 WHERE seq = 7")
        code, facts, done = ask(here, "undo", journal_of(source), server, "--yes")
        assert (code, facts["deleted"], facts["mismatched"]) == (1, 299, 1)
        assert "4321" in done.err
        assert len(server.records()) == 1


def test_undo_does_not_touch_a_run_at_work(here: Here, source: Path) -> None:
    with stub(**held("slow", 1)) as server:
        process = start("run", str(source), "--base-url", server.base_url, "--in-flight=8", "--json", WAITS)
        wait_for(lambda: server.truth()["records"] > 0)
        code, _, done = ask(here, "undo", journal_of(source), server, "--yes")
        assert (code, f"pid {process.pid} " in done.err) == (5, True)
        interrupt(process)
        assert finish(process).code == 130
        assert server.truth()["deletes_applied"] == 0


def test_undo_signs_in_and_again_when_the_token_expires(here: Here, source: Path, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("stub-password\n", encoding="ascii")
    who = ("--username=admin@example.com", f"--password-file={tmp_path / 'password'}")
    with stub() as server:
        assert here.run(source, server).code == 0
        here.env("BULKWRITER_TOKEN", "")
        server.set_scenario(tokens=[CANARY], faults=[{"kind": "expired_401", "on": "any", "share": 0.02}])
        code, facts, _ = ask(here, "undo", journal_of(source), server, "--yes", *who)
        assert (code, facts["deleted"]) == (0, 300)
        assert server.truth()["faults"]["expired_401"] > 1


def test_undo_stops_where_the_quota_ends_and_goes_on_later(here: Here, source: Path, tmp_path: Path) -> None:
    with stub() as server:
        assert here.run(source, server).code == 0
        quota = ("--quota=write:120/day", f"--ledger={tmp_path / 'ledger'}", "--on-quota=stop")
        code, facts, done = ask(here, "undo", journal_of(source), server, "--yes", *quota)
        assert (code, facts["in_doubt"], facts["deleted"] + facts["left"]) == (75, 0, 300)
        assert 100 < facts["deleted"] == server.truth()["requests"]["DELETE"] <= 120
        assert "write:120/day" in done.err
        assert ask(here, "undo", journal_of(source), server, "--yes")[1]["left"] == 0

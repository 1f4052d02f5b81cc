"""`bulkwriter runs`: every run of this user, how it stands by its own journal, and none hidden by another's damage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bulkwriter.cli.main import main
from tests.support.cli_process import Here, start, stub, wait_for, write_pairs

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def here(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, canary_env: str) -> Here:
    here = Here(capsys, monkeypatch)
    here.env("XDG_STATE_HOME", str(tmp_path / "state"))
    return here


def runs(capsys: Captured) -> dict[str, dict[str, Any]]:
    """What `runs --json` says, by the name of the source."""
    capsys.readouterr()
    assert main(["runs", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["runs"]
    return {Path(run["source"]).stem: run for run in found}


def test_none_yet(here: Here) -> None:
    done = here("runs")
    assert done.code == 0
    assert "no runs yet" in done.out


def test_each_run_stands_as_its_journal_says(here: Here, tmp_path: Path, capsys: Captured) -> None:
    with stub() as server:
        for name, count in (("done", 20), ("begun", 30), ("moved", 10), ("spoiled", 10)):
            write_pairs(tmp_path / f"{name}.csv", count, first=1 + 100 * len(name))
        here.run(tmp_path / "done.csv", server)
        here.run(tmp_path / "begun.csv", server, "--limit=12")
        for name in ("moved", "spoiled"):
            here.run(tmp_path / f"{name}.csv", server)
    (tmp_path / "moved.csv.journal").unlink()
    (tmp_path / "spoiled.csv.journal").write_bytes(b"SQLite format 3\0" + b"x" * 5_000)
    found = runs(capsys)
    assert {name: run["state"] for name, run in found.items()} == {
        "spoiled": "unreadable",
        "moved": "gone",
        "begun": "stopped",
        "done": "finished",
    }
    assert list(found) == ["spoiled", "moved", "begun", "done"], "the newest first"
    assert (found["done"]["pairs"], found["done"]["settled"], found["done"]["left"]) == (20, 20, 0)
    assert found["done"]["left_exact"] is True
    assert (found["begun"]["settled"], found["begun"]["exit_code"]) == (12, 0)
    assert found["begun"]["left"] > 0
    assert (found["moved"]["pairs"], found["moved"]["left"]) == (None, None), "nothing is claimed of a lost journal"
    said = here("runs").out
    assert "moved or deleted" in said
    assert f"bulkwriter status {tmp_path}/begun.csv.journal" in said
    assert f"bulkwriter status {tmp_path}/done.csv.journal" not in said


def test_a_run_at_work_and_one_that_was_cut_off(here: Here, tmp_path: Path, capsys: Captured) -> None:
    source = write_pairs(tmp_path / "slow.csv", 5_000)
    with stub(latency_s=0.05) as server:
        process = start("run", str(source), "--base-url", server.base_url, "--progress=none", "--in-flight=2")
        wait_for(lambda: server.truth()["records"] >= 10)
        run = runs(capsys)["slow"]
        assert (run["state"], run["pid"], run["reason"]) == ("at work", process.pid, "")
        process.kill()
        process.communicate()
        run = runs(capsys)["slow"]
    assert (run["state"], run["pid"]) == ("cut off", None)
    assert "killed" in run["reason"]
    assert run["left"] >= 1


def test_a_journal_that_was_moved_is_found_by_what_it_holds(here: Here, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "jobs").mkdir()
    with stub() as server:
        for name, first in (("into", 1), ("named", 1_001), ("lost", 2_001)):
            here.run(write_pairs(tmp_path / "jobs" / f"{name}.csv", 20, first=first), server)
        (tmp_path / "jobs").rename(tmp_path / "jobs-2026")
        work = tmp_path / "jobs-2026"
        (work / "done").mkdir()
        (work / "into.csv.journal").rename(work / "done" / "into.csv.journal")
        (work / "lost.csv.journal").unlink()
        found = runs(capsys)
        assert {name: run["state"] for name, run in found.items()} == {
            "into": "gone",
            "named": "finished",
            "lost": "gone",
        }
        assert found["named"]["journal"] == str(work / "named.csv.journal")
        assert found["named"]["moved_from"] == str(tmp_path / "jobs" / "named.csv.journal")
        assert f"moved here from {tmp_path}/jobs/named.csv.journal" in here("runs").out
        here.run(work / "named.csv", server)
    found = runs(capsys)
    assert sorted(found) == ["into", "lost", "named"], "once, where it goes on"
    assert found["named"]["moved_from"] is None


def test_an_undone_run_is_told_as_such(here: Here, tmp_path: Path, capsys: Captured) -> None:
    first, second = write_pairs(tmp_path / "first.csv", 20), write_pairs(tmp_path / "second.csv", 20)
    with stub() as server:
        here.run(first, server, "--limit=12")
        undo = ["undo", f"{first}.journal", "--base-url", server.base_url, "--yes"]
        assert here(*undo).code == 0
        run = runs(capsys)["first"]
        assert (run["state"], run["settled"]) == ("undone", 0)
        assert "12 records deleted; another start writes these pairs again" in here("runs").out
        assert "or undone: their records were deleted" in here("status", f"{first}.journal").out
        assert "then deleted by an undo" in here("explain", f"{first}.journal", "--line", "2").out
        done = here.run(second, server)
        assert "was undone at" in done.err
        assert "pairs left" not in done.err
        assert here.run(first, server).code == 0
        assert "undo" not in here("explain", f"{first}.journal", "--line", "2").out
    assert runs(capsys)["first"]["state"] == "finished"


def test_a_run_that_only_met_a_changed_source_is_not_one_with_pairs_left(here: Here, tmp_path: Path) -> None:
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    write_pairs(first, 20)
    write_pairs(second, 20)
    with stub() as server:
        here.run(first, server)
        first.write_text("CourseLessonId,CourseMemberId\n9,9\n", encoding="ascii")
        assert here.run(first, server).code == 6
        done = here.run(second, server)
    assert done.code == 0
    assert "pairs left" not in done.err

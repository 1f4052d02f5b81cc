"""`bulkwriter check`: each thing that a run stands on, broken in turn; a check that fails hides no other."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from bulkwriter.cli.check import clock_words, probe_words
from bulkwriter.entities.completed_lessons import COMPLETED_LESSONS
from bulkwriter.errors import Exit
from bulkwriter.model import Fault, Reply, State
from bulkwriter.store.journal import Journal
from tests.conftest import CANARY
from tests.support.cli_process import Here, stub


def results(here: Here, *args: str, code: int) -> dict[str, str]:
    """What each check found, by its name."""
    done = here("check", *args, "--json")
    assert done.code == code, done.out + done.err
    said = json.loads(done.out)
    assert said["exit_code"] == code
    return {check["check"]: check["result"] for check in said["checks"]}


def test_everything_is_there(here: Here, source: Path) -> None:
    with stub() as server:
        found = results(here, str(source), "--base-url", server.base_url, "--probe", code=0)
        truth = server.truth()
    assert set(found.values()) == {"ok"}
    assert list(found) == [
        "settings", "source", "disk", "quota", "plan", "server", "token", "list", "clock", "create", "date",
    ]  # fmt: skip
    assert (truth["records"], truth["requests"]) == (0, {"GET": 1, "POST": 1})
    assert not source.with_name(source.name + ".journal").exists()


def test_without_a_probe_nothing_is_posted_and_nothing_claimed(here: Here, source: Path) -> None:
    with stub() as server:
        assert results(here, str(source), "--base-url", server.base_url, code=0)["create"] == "unknown"
        assert server.truth()["requests"] == {"GET": 1}


def test_a_wrong_token_hides_no_bad_row(here: Here, tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("CourseLessonId,CourseMemberId\n1,x\n1,2\n")
    with stub(tokens=["another-token"]) as server:
        done = here("check", str(path), "--base-url", server.base_url)
    assert done.code == 4
    assert "FAIL  token     refused (401)" in done.out
    assert "FAIL  source    2 rows: 1 pending, 1 invalid" in done.out
    assert "CourseMemberId 'x' is not a whole number" in done.out


def test_no_way_to_sign_in_hides_nothing_else(here: Here, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BULKWRITER_TOKEN")
    found = results(here, str(source), "--base-url=http://127.0.0.1:9", "--quota=write:2500/day", code=4)
    assert found == {
        "settings": "ok", "source": "ok", "disk": "ok", "quota": "ok", "plan": "ok", "token": "failed", "date": "ok",
    }  # fmt: skip


def test_bad_rows_alone(here: Here, tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("CourseLessonId,CourseMemberId\n1,x\n")
    with stub() as server:
        assert results(here, str(path), "--base-url", server.base_url, code=1)["source"] == "failed"


def test_a_server_that_is_not_there(here: Here, source: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        found = results(here, str(source), f"--base-url=http://127.0.0.1:{closed.getsockname()[1]}", code=75)
    assert (found["server"], found["source"]) == ("failed", "ok")
    assert "token" not in found, "nothing is claimed of what was not seen"


def test_a_source_that_cannot_be_read(here: Here, tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("Name,Title\nx,y\n")
    with stub() as server:
        found = results(here, str(path), "--base-url", server.base_url, code=6)
    assert (found["source"], found["token"]) == ("failed", "ok")


def test_a_journal_of_another_host(here: Here, source: Path) -> None:
    path = source.with_name(source.name + ".journal")
    columns = COMPLETED_LESSONS.fields
    journal = Journal.open(path, base_url="https://other.example", account=None, columns=columns)
    journal.append([(0, 1, 1, 2, int(State.PENDING), None)])
    journal.close()
    with stub() as server:
        found = results(here, str(source), "--base-url", server.base_url, code=5)
    assert (found["journal"], found["token"]) == ("failed", "ok")


@pytest.mark.parametrize(
    ("scenario", "check", "result"),
    [
        ({"tokens": {CANARY: ["List"]}}, "create", "failed"),
        ({"tokens": {CANARY: ["Create"]}}, "token", "failed"),
    ],
)
def test_a_role_that_is_missing(here: Here, scenario: dict[str, Any], check: str, result: str) -> None:
    with stub(**scenario) as server:
        assert results(here, "--base-url", server.base_url, "--probe", code=4)[check] == result


def test_a_spent_quota_is_told_and_not_waited_for(here: Here, tmp_path: Path) -> None:
    with stub() as server:
        args = ("--base-url", server.base_url, "--quota=any:1/day", f"--ledger={tmp_path / 'ledger'}")
        assert results(here, *args, code=0)["token"] == "ok"
        done = here("check", *args)
    assert done.code == 75
    assert "1 request a day: 1 spent" in done.out
    assert "the quota any:1/day is spent" in done.out


def test_wrong_settings_end_it_at_once(here: Here, tmp_path: Path) -> None:
    assert here("check", "--base-url=ftp://h").code == 2
    assert here("check", str(tmp_path / "none.csv")).code == 6


@pytest.mark.parametrize(
    ("reply", "words", "code", "is_open"),
    [
        (Reply(400, b'{"Message":"m","Value":null,"Errors":[],"WasSuccessful":false}'), "is there", 0, False),
        (Reply(200, b'{"Message":"m","Value":null,"Errors":null,"WasSuccessful":false}'), "is there", 0, False),
        (Reply(401), "is missing", 4, False),
        (Reply(403, b"<html>"), "is missing", 4, False),
        (Reply(200, b'{"WasSuccessful":true,"Value":{"Id":77}}'), "made record 77", 4, False),
        (Reply(200, b"<html>"), "look for a new record", 4, False),
        (Reply(409), "is not known", 0, True),
        (Reply(404, b"Not found"), "is not known", 0, True),
        (Reply(500), "is not known", 0, True),
        (Reply(0, fault=Fault.LOST), "is not known", 0, True),
    ],
)
def test_what_a_probe_tells(reply: Reply, words: str, code: int, is_open: bool) -> None:
    text, found, unknown = probe_words(COMPLETED_LESSONS, reply)
    assert words in text
    assert (found, unknown) == (code, is_open)


@pytest.mark.parametrize(
    ("date", "wall", "words", "is_open"),
    [
        ("Mon, 30 Nov 2026 12:00:00 GMT", 1_796_040_002.0, "as the server's", False),
        ("Mon, 30 Nov 2026 12:00:00 GMT", 1_796_047_200.0, "2 h 00 min ahead of the server's", True),
        ("Mon, 30 Nov 2026 12:00:00 GMT", 1_796_036_400.0, "1 h 00 min behind the server's", True),
        (None, 0.0, "sends no Date", True),
        ("yesterday", 0.0, "sends no Date", True),
    ],
)
def test_the_clock_beside_the_servers(date: str | None, wall: float, words: str, is_open: bool) -> None:
    text, code, unknown = clock_words(date, wall)
    assert words in text
    assert (code, unknown) == (Exit.OK, is_open)


def test_it_tells_no_secret(here: Here, source: Path) -> None:
    with stub() as server:
        done = here("check", str(source), "--base-url", server.base_url)
    assert CANARY not in done.out + done.err

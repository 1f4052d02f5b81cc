"""`bulkwriter resolve --enrol` against a stub with made-up people: shown, agreed to, created once, and undone."""

from __future__ import annotations

import os
import pty
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from bulkwriter.stub.community import Community
from bulkwriter.stub.scenario import Scenario
from bulkwriter.stub.sheet import SheetPlan, SheetRow, as_csv, draw_sheet
from bulkwriter.stub.thread import StubThread
from tests.conftest import CANARY
from tests.support.cli_asking import said
from tests.support.cli_process import Done, Here, finish, start, stub
from tests.support.compare import compare_enrolments

PEOPLE = {"coworkers": 600, "courses": 6, "enrolments": 900, "blocked": 0.0, "unapproved": 0.0}
PLAN = SheetPlan(total=200, unknown=3, ambiguous=2, not_enrolled=120, other_course=1, inactive=1)
QUICK = ("--late-apply=0.4", "--list-lag=0.2", "--timeout=1", "--yes", "--json")


@pytest.fixture
def cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder for kept lists that is this test's own, also for the processes that it starts."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("cache_home")]


def made(folder: Path, plan: SheetPlan = PLAN) -> tuple[Path, list[tuple[int, int]]]:
    """A sheet of these people, and the enrolments that its rows lack."""
    scenario = Scenario.from_mapping({"people": PEOPLE})
    assert scenario.people is not None
    community = Community(scenario.people, scenario.rng("people"), seeded_at=0.0)
    rows = draw_sheet(plan, community, random.Random(5))
    table = folder / "people.csv"
    table.write_text(as_csv(rows), encoding="utf-8")
    return table, sorted({lacking(community, row) for row in rows if row.why == "not enrolled"})


def lacking(community: Community, row: SheetRow) -> tuple[int, int]:
    """The enrolment that a row lacks; of several profiles there is none to choose."""
    lesson, profiles = community.lesson(row.lesson_id), community.ids_of(row.cells[0])
    assert lesson is not None
    return lesson.course_id, profiles[0] if len(profiles) == 1 else 0


def wanted_of(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return [pair for pair in pairs if pair[1]]


def resolve(here: Here, table: Path, server: StubThread, *args: str) -> tuple[int, dict[str, Any], Done]:
    done = here("resolve", str(table), "--base-url", server.base_url, "--enrol", *QUICK, *args)
    return done.code, said(done), done


def created(server: StubThread) -> int:
    count: int = server.truth()["people"]["enrolments_created"]
    return count


def journal_of(table: Path) -> Path:
    return table.with_name("people.enrolments.csv.journal")


def test_what_rows_lack_is_created_once_and_the_rows_are_resolved(tmp_path: Path, here: Here) -> None:
    table, pairs = made(tmp_path)
    wanted = wanted_of(pairs)
    with stub(people=PEOPLE) as server:
        code, facts, done = resolve(here, table, server)
        assert (code, facts["enrolments"]["created"]) == (1, len(wanted))
        assert facts["unresolved"] == 7 + sum(not pair[1] for pair in pairs)
        assert compare_enrolments(wanted, server, journal_of(table)) == (0, 0, 0)
        assert server.truth()["people"]["unapproved"] == 0
        assert '{"CourseId": …, "CoworkerId": …, "Approved": true}' in done.err
        assert "is not known" in done.err

        code, again, _ = resolve(here, table, server, "--refresh")
        assert (code, again["unresolved"], created(server)) == (1, facts["unresolved"], len(wanted))


def test_the_server_may_be_left_to_approve(tmp_path: Path, here: Here) -> None:
    table, pairs = made(tmp_path)
    with stub(people=PEOPLE) as server:
        _, facts, done = resolve(here, table, server, "--leave-approval")
        assert facts["reasons"]["enrolment not approved"] >= len(wanted_of(pairs))
        assert "the server decides whether it is approved" in done.err
        assert server.truth()["people"]["unapproved"] == len(wanted_of(pairs))
        undone = here("undo", str(journal_of(table)), "--base-url", server.base_url, "--yes", "--json")
        assert said(undone)["deleted"] == len(wanted_of(pairs))
        assert "give it --refresh now" in undone.err
        code, _, other = resolve(here, table, server, "--refresh")  # approved now, and the journal says otherwise
        assert code == 5
        assert "is of CourseMember records, not of CourseMember Approved=true" in other.err
        assert created(server) == len(wanted_of(pairs))


def test_nobody_is_enrolled_unless_somebody_agrees(tmp_path: Path, here: Here) -> None:
    table, _ = made(tmp_path)
    with stub(people=PEOPLE) as server:
        base = ("--base-url", server.base_url)
        done = here("resolve", str(table), *base, "--enrol")
        assert (done.code, created(server)) == (2, 0)
        assert "nobody is here to be asked" in done.err
        assert here("resolve", str(table), *base, "--leave-approval").code == 2
        told = here("resolve", str(table), *base)
        assert "add --enrol to create" in told.err
        code, text = answered(["resolve", str(table), *base, "--force", "--enrol"], b"no\n")
        assert (code, created(server)) == (1, 0)
        assert "Create" in text
        assert not journal_of(table).exists()
        code, _ = answered(["resolve", str(table), *base, "--force", "--enrol", "--list-lag=0.1"], b"yes\n")
        assert code == 1
        assert created(server) > 0


def answered(command: list[str], answer: bytes) -> tuple[int, str]:
    """A command at a terminal where somebody types one answer, once asked; its exit code and what it said."""
    ours, theirs = pty.openpty()
    process = start(*command, stdin=theirs, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    said_so_far = b""
    is_answered = False
    while True:
        try:
            data = os.read(ours, 65_536)
        except OSError:  # the other end is closed
            break
        if not data:
            break
        said_so_far += data
        if b"Type yes to go on" in said_so_far and not is_answered:
            is_answered = True
            os.write(ours, answer)
    os.close(ours)
    return process.wait(), said_so_far.decode(errors="replace")


def test_killed_under_faults_and_given_again_nothing_is_missing_or_doubled(tmp_path: Path, here: Here) -> None:
    table, pairs = made(tmp_path)
    wanted = wanted_of(pairs)
    kinds = ("rst_before", "rst_after", "500_before", "500_after", "garbage_after", "fin_after", "late_apply")
    faults = [{"kind": kind, "share": 0.03, "resource": "enrolments", "delay_s": 0.3} for kind in kinds]
    lists = [{"kind": kind, "share": 0.05} for kind in ("list_short", "list_overlap", "list_empty")]
    rng = random.Random(7)
    with stub(people=PEOPLE, faults=[*faults, *lists], latency_s=0.01, list_lag_s=0.1) as server:
        before = server.enrolments()
        command = ("resolve", str(table), "--base-url", server.base_url, "--enrol", *QUICK)
        kills = 0
        for _ in range(6):
            process = start(*command)
            limit, aim = time.monotonic() + 60, created(server) + rng.randrange(1, 25)
            while process.poll() is None and created(server) < aim and time.monotonic() < limit:
                time.sleep(0.005)
            if process.poll() is not None:
                finish(process)
                break
            process.send_signal(signal.SIGKILL)
            finish(process)
            kills += 1
        assert kills >= 2, "it ended before it could be killed"
        for _ in range(5):
            done = finish(start(*command))
            if done.code == 1 and not {"failed", "in_doubt", "pending"} & {
                name for name, count in said(done).get("enrolments", {}).items() if count
            }:
                break
        assert compare_enrolments(wanted, server, journal_of(table)) == (0, 0, 0)
        assert created(server) == len(wanted)

        server.set_scenario(tokens=[CANARY], people=PEOPLE)
        undone = here("undo", str(journal_of(table)), "--base-url", server.base_url, "--yes", "--json")
        assert (undone.code, said(undone)["deleted"]) == (0, len(wanted))
        assert server.enrolments() == before

"""`bulkwriter resolve --enrol` against a stub with made-up people: shown, agreed to, created once, and undone."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bulkwriter.entities.enrolments import APPROVED
from bulkwriter.quota.ledger import ledger_path
from bulkwriter.run.existing_records import OUTWAITING
from bulkwriter.run.registry import Entry, Registry
from bulkwriter.stub.thread import StubThread
from tests.support.cli_asking import said
from tests.support.cli_process import Done, Here, start, stub
from tests.support.compare import compare_enrolments
from tests.support.enrolments import PEOPLE, QUICK, campaign, created, write_table
from tests.support.kills import all_faults


@pytest.fixture
def cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder for kept lists that is this test's own, also for the processes that it starts."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("cache_home")]


def resolve(here: Here, path: Path, server: StubThread, *args: str) -> tuple[int, dict[str, Any], Done]:
    done = here("resolve", str(path), "--base-url", server.base_url, "--enrol", *QUICK, *args)
    return done.code, said(done), done


def test_what_rows_lack_is_created_once_and_the_rows_are_resolved(tmp_path: Path, here: Here) -> None:
    table = write_table(tmp_path)
    wanted = table.wanted
    with stub(people=PEOPLE) as server:
        code, facts, done = resolve(here, table.path, server)
        assert (code, facts["enrolments"]["created"]) == (1, len(wanted))
        assert facts["unresolved"] == 7 + table.hopeless
        assert compare_enrolments(wanted, server, table.journal) == (0, 0, 0)
        assert server.truth()["people"]["unapproved"] == 0
        assert '{"CourseId": …, "CoworkerId": …, "Approved": true}' in done.err
        assert "is not known" in done.err

        code, again, _ = resolve(here, table.path, server, "--refresh")
        assert (code, again["unresolved"], created(server)) == (1, facts["unresolved"], len(wanted))
    listed = {run["journal"]: run for run in json.loads(here("runs", "--json").out)["runs"]}
    run = listed[str(table.journal)]
    assert (run["state"], run["records"], run["settled"]) == ("finished", "enrolments", len(wanted))


def test_what_was_rejected_before_is_told_and_not_sent_again(tmp_path: Path, here: Here) -> None:
    table = write_table(tmp_path)
    faults = [{"kind": "unsuccessful", "on": "create", "resource": "enrolments", "limit": 2}]
    with stub(people=PEOPLE, faults=faults) as server:
        _, facts, _ = resolve(here, table.path, server)
        assert facts["enrolments"]["rejected"] == 2
        _, again, done = resolve(here, table.path, server, "--refresh")
        assert (again["enrolments"]["created"], created(server)) == (0, len(table.wanted) - 2)
        assert "2 of the missing enrolments: each was rejected by an earlier start" in done.err
        assert "--retry rejected sends them again" in done.err
        _, again, done = resolve(here, table.path, server, "--refresh", "--retry", "rejected")
        assert (again["enrolments"]["rejected"], created(server)) == (0, len(table.wanted))
        assert compare_enrolments(table.wanted, server, table.journal) == (0, 0, 0)
        runs = json.loads(here("runs", "--json").out)["runs"]
        assert [run["state"] for run in runs if run["journal"] == str(table.journal)] == ["finished"]


def test_a_stop_half_way_names_the_command_that_goes_on(tmp_path: Path, here: Here) -> None:
    table = write_table(tmp_path)
    faults = [{"kind": "forbidden_403", "on": "create", "resource": "enrolments", "skip": 3}]
    with stub(people=PEOPLE, faults=faults) as server:
        code, facts, done = resolve(here, table.path, server)
        assert (code, facts["enrolments"]["pending"] > 0) == (4, True)
        assert "next: the same command goes on with the enrolments" in done.err


def test_a_journal_that_is_gone_after_a_cut_off_start_needs_after_loss(tmp_path: Path, here: Here) -> None:
    table = write_table(tmp_path)
    with stub(people=PEOPLE) as server:
        begun = Entry.begun(
            base_url=server.base_url, account=None, source=str(tmp_path), journal=table.journal, entity=APPROVED.label
        )
        assert not Registry(ledger_path(None)).put(begun)  # as a start leaves it that was killed
        code, _, done = resolve(here, table.path, server)
        assert (code, created(server), "add --after-loss" in done.err) == (5, 0, True)
        quick = ("--after-loss", "--late-apply=0.5", "--list-lag=0.02", "--refresh")
        code, facts, done = resolve(here, table.path, server, *quick)
        assert (code, facts["enrolments"]["created"]) == (1, len(table.wanted)), done.err
        assert OUTWAITING in done.err
    assert here("resolve", str(table.path), "--after-loss").code == 2


def test_the_server_may_be_left_to_approve(tmp_path: Path, here: Here) -> None:
    table = write_table(tmp_path)
    with stub(people=PEOPLE) as server:
        _, facts, done = resolve(here, table.path, server, "--leave-approval")
        assert facts["reasons"]["enrolment not approved"] >= len(table.wanted)
        assert "the server decides whether it is approved" in done.err
        assert server.truth()["people"]["unapproved"] == len(table.wanted)
        undone = here("undo", str(table.journal), "--base-url", server.base_url, "--yes", "--json")
        assert said(undone)["deleted"] == len(table.wanted)
        assert "give it --refresh now" in undone.err
        code, _, other = resolve(here, table.path, server, "--refresh")  # approved now, and the journal says otherwise
        assert code == 5
        assert "is of CourseMember records, not of CourseMember Approved=true" in other.err
        assert created(server) == len(table.wanted)


def test_nobody_is_enrolled_unless_somebody_agrees(tmp_path: Path, here: Here) -> None:
    table = write_table(tmp_path)
    with stub(people=PEOPLE) as server:
        base = ("--base-url", server.base_url)
        done = here("resolve", str(table.path), *base, "--enrol")
        assert (done.code, created(server)) == (2, 0)
        assert "nobody is here to be asked" in done.err
        assert here("resolve", str(table.path), *base, "--leave-approval").code == 2
        told = here("resolve", str(table.path), *base)
        assert "add --enrol to create" in told.err
        code, text = answered(["resolve", str(table.path), *base, "--force", "--enrol"], b"no\n")
        assert (code, created(server)) == (1, 0)
        assert "Create" in text
        assert not table.journal.exists()
        code, _ = answered(["resolve", str(table.path), *base, "--force", "--enrol", "--list-lag=0.1"], b"yes\n")
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


def test_killed_under_faults_and_given_again_nothing_is_missing_or_doubled(tmp_path: Path) -> None:
    faults = [{**fault, "resource": "enrolments"} for fault in all_faults() if not fault["kind"].startswith("connect_")]
    ending = campaign(write_table(tmp_path), faults, kills=3)
    assert ending.is_clean, ending
    assert ending.kills >= 2, "it ended before it could be killed"


def test_a_changed_source_of_a_run_is_told(tmp_path: Path, here: Here) -> None:
    table = write_table(tmp_path)
    output = tmp_path / "people.resolved.csv"
    with stub(people=PEOPLE) as server:
        base = ("--base-url", server.base_url)
        assert here("resolve", str(table.path), *base).code == 1
        assert here("run", str(output), *base, "--limit=3", "--doubt-wait=0.2").code == 0
        assert "a run has begun" not in here("resolve", str(table.path), *base, "--yes").err  # the same rows again
        done = resolve(here, table.path, server)[2]
        assert "a run has begun from the file that stood there" in done.err
        assert f"--journal {output}.2.journal" in done.err
        assert here("run", str(output), *base).code == 6
        other = here("run", str(output), *base, f"--journal={output}.2.journal", "--doubt-wait=0.2", "--json")
        assert other.counts("existing") == (3,)
        assert server.truth()["doubles"] == 0

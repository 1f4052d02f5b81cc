"""Enrolments go the way of completed lessons: sent, journalled, resumed, verified and undone, by the same engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bulkwriter import BulkWriter, JournalError, Settings, State, Summary
from bulkwriter.entities import ORIGINAL, Entity, entity_of
from bulkwriter.entities.completed_lessons import COMPLETED_LESSONS
from bulkwriter.entities.enrolments import APPROVED, ENROLMENTS
from bulkwriter.net.api import Api
from bulkwriter.store.journal import Journal
from bulkwriter.store.journal_reader import JournalReader
from bulkwriter.stub.community import FIRST_COURSE, FIRST_COWORKER
from bulkwriter.stub.thread import StubThread
from tests.conftest import CANARY
from tests.support.cli_asking import ask, call
from tests.support.cli_process import Here, stub
from tests.support.compare import compare_enrolments
from tests.support.library import on_loop

PEOPLE = {"coworkers": 200, "courses": 4, "enrolments": 100, "drifters": 0, "profiles": 0.0}
WANTED = [(FIRST_COURSE + i % 4, FIRST_COWORKER + i // 4) for i in range(400)]
FAULTS = ("rst_before", "rst_after", "500_before", "500_after", "garbage_after", "fin_after", "odd_after")
BASE = {"base_url": "http://127.0.0.1:1", "account": None, "columns": ("CourseId", "CoworkerId")}


def settings_of(server: StubThread, journal: Path) -> Settings:
    return Settings(base_url=server.base_url, token=CANARY, journal=journal, late_apply_s=0.3, list_lag_s=0.1)


def enrolled(server: StubThread, journal: Path, entity: Entity = APPROVED, count: int = 400) -> Summary:
    """Enrol everybody of `WANTED`."""

    async def main() -> Summary:
        async with BulkWriter(settings_of(server, journal), columns=ENROLMENTS.fields, entity=entity) as writer:
            return await writer.write_all(WANTED[:count])

    return on_loop(main, server=server)


def test_a_create_says_approved_where_it_is_asked_to() -> None:
    def body(entity: Entity) -> bytes:
        return Api("https://api.example", entity).create("t", (7, 8)).partition(b"\r\n\r\n")[2]

    assert body(ENROLMENTS) == b'{"CourseId":7,"CoworkerId":8}'
    assert body(APPROVED) == b'{"CourseId":7,"CoworkerId":8,"Approved":true}'
    assert body(ENROLMENTS.sending(Approved=False)) == b'{"CourseId":7,"CoworkerId":8,"Approved":false}'


@pytest.mark.parametrize(
    ("entity", "label"),
    [
        (COMPLETED_LESSONS, ORIGINAL), (ENROLMENTS, "CourseMember"), (APPROVED, "CourseMember Approved=true"),
        (ENROLMENTS.sending(Approved=False, Blocked=True), "CourseMember Approved=false Blocked=true"),
    ],
)  # fmt: skip
def test_an_entity_is_found_by_its_label(entity: Entity, label: str) -> None:
    assert entity.label == label
    assert entity_of(label) == entity


@pytest.mark.parametrize("label", ["", "Loan", "CourseMember Approved", "CourseMember Approved=1", "CourseMember  "])
def test_a_label_that_means_nothing_is_no_entity(label: str) -> None:
    assert entity_of(label) is None


def test_a_journal_is_of_one_entity(tmp_path: Path) -> None:
    def open_as(entity: Entity) -> Journal:
        return Journal.open(tmp_path / "j", **BASE, entity=entity.label)  # type: ignore[arg-type]

    journal = open_as(APPROVED)
    journal.append([(0, 7, 8, 2, State.PENDING, None)])
    journal.close()
    for entity in (COMPLETED_LESSONS, ENROLMENTS):
        with pytest.raises(JournalError, match="is of CourseMember Approved=true records, not of") as error:
            open_as(entity)
        assert error.value.exit_code == 5
    open_as(APPROVED).close()
    with JournalReader(tmp_path / "j") as reader:
        assert reader.identity().entity == APPROVED.label
        with pytest.raises(JournalError, match="records, not of CourseCompletedLesson"):
            reader.require(**BASE)  # type: ignore[arg-type]


def test_a_journal_that_names_no_entity_is_of_the_original_one(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "j", **BASE)  # type: ignore[arg-type]
    journal.append([(0, 7, 8, 2, State.PENDING, None)])
    journal._db.execute("DELETE FROM meta WHERE key = 'entity'")
    journal.close()
    with JournalReader(tmp_path / "j") as reader:
        assert reader.identity().entity == ORIGINAL


def test_a_run_does_not_take_a_journal_of_enrolments(tmp_path: Path, here: Here) -> None:
    source = tmp_path / "pairs.csv"
    source.write_text("CourseLessonId,CourseMemberId\n7,8\n")
    journal = Journal.open(
        f"{source}.journal", base_url="http://127.0.0.1:1", account=None,
        columns=("CourseLessonId", "CourseMemberId"), entity=ENROLMENTS.label,
    )  # fmt: skip
    journal.append([(0, 7, 8, 2, State.PENDING, None)])
    journal.close()
    done = here.run(source, "http://127.0.0.1:1")
    assert done.code == 5
    assert "CourseMember records, not of CourseCompletedLesson" in done.err


@pytest.mark.slow
def test_enrolments_are_made_once_under_faults_and_only_they_are_taken_back(tmp_path: Path, here: Here) -> None:
    journal = tmp_path / "enrolments.journal"
    faults = [{"kind": kind, "share": 0.03} for kind in FAULTS]
    lists = [{"kind": kind, "share": 0.05} for kind in ("list_short", "list_empty", "list_overlap")]
    with stub(people=PEOPLE, seed=3, faults=[*faults, *lists], list_lag_s=0.05) as server:
        before = server.enrolments()
        summary = enrolled(server, journal)
        assert (summary.counts.created + summary.counts.existing, summary.exit_code) == (400, 0)
        assert compare_enrolments(WANTED, server, journal) == (0, 0, 0)
        assert all(row["Approved"] for row in server.enrolments()[100:])
        assert enrolled(server, journal).counts.created == summary.counts.created  # the same again: nothing is sent
        assert server.truth()["people"]["enrolments_created"] == summary.counts.created

        shown = here("status", str(journal)).out
        assert "records    enrolments (Approved=true)" in shown
        assert json.loads(here("status", str(journal), "--json").out)["entity"] == APPROVED.label
        code, facts, done = ask(here, "verify", journal, server)
        assert (code, facts["missing"], facts["doubled"], facts["checked"]) == (0, 0, 0, 400)
        assert "records of these courses for other pairs" in done.err
        assert here("export", str(journal), "--state", "created", "--output", "-").out.startswith(
            "CourseId,CoworkerId,"
        )

        deletes = [{"kind": kind, "on": "delete", "share": 0.1} for kind in ("rst_after", "500_after", "rst_before")]
        server.set_scenario(tokens=[CANARY], people=PEOPLE, faults=deletes)
        code, facts, _ = ask(here, "undo", journal, server, "--yes")
        assert (code, facts["deleted"] + facts["gone"], facts["left"]) == (0, summary.counts.created, 0)
        assert server.enrolments() == before
        server.set_scenario(tokens=[CANARY], people=PEOPLE)
        assert enrolled(server, journal).counts.created == summary.counts.created
        assert compare_enrolments(WANTED, server, journal) == (0, 0, 0)


@pytest.mark.slow
def test_what_verify_finds_of_enrolments_is_said_in_their_words(tmp_path: Path, here: Here) -> None:
    journal = tmp_path / "enrolments.journal"
    with stub(people={**PEOPLE, "enrolments": 0}) as server:
        enrolled(server, journal, count=8)
        first = server.enrolments()[0]
        call(server, "DELETE", f"{ENROLMENTS.path}/{first['Id']}")
        second = server.enrolments()[0]
        pair = {"CourseId": second["CourseId"], "CoworkerId": second["CoworkerId"]}
        call(server, "POST", ENROLMENTS.path, pair)
        code, facts, done = ask(here, "verify", journal, server)
        assert (code, facts["missing"], facts["doubled"]) == (1, 1, 1)
        assert f"missing    course {first['CourseId']}, coworker {first['CoworkerId']}" in done.err
        assert f"doubled    course {second['CourseId']}, coworker {second['CoworkerId']}: ids" in done.err
        assert "bulkwriter run FILE.csv" not in done.err


@pytest.mark.slow
def test_the_roles_named_are_those_of_enrolments(tmp_path: Path, here: Here) -> None:
    journal = tmp_path / "enrolments.journal"
    with stub(people={**PEOPLE, "enrolments": 0}) as server:
        enrolled(server, journal, count=8)
        server.set_scenario(tokens={CANARY: ["List", "Read"]}, people=PEOPLE)
        code, facts, done = ask(here, "undo", journal, server, "--yes")
        assert (code, facts["deleted"]) == (4, 0)
        assert "CourseMember-Delete" in done.err

"""`bulkwriter resolve` as a person meets it: files, words, exit codes."""

from __future__ import annotations

import csv
import json
import random
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from bulkwriter.cli.resolve import outputs_of
from bulkwriter.stub import Scenario, StubThread
from bulkwriter.stub.community import Community
from bulkwriter.stub.sheet import HEADER, SheetPlan, SheetRow, as_csv, as_xlsx, draw_sheet

from ..conftest import CANARY
from ..support.cli_process import Here
from ..support.workbooks import SheetOf, workbook

PEOPLE = {"coworkers": 400, "courses": 5, "lessons": 12, "enrolments": 900, "profiles": 0.1}
SCENARIO = Scenario.from_mapping({"seed": 2, "tokens": [CANARY], "people": {**PEOPLE, "blocked": 0, "unapproved": 0}})
WHY = {
    "person not found": "unknown",
    "person ambiguous": "ambiguous",
    "not enrolled": "not enrolled",
    "lesson of another course": "other course",
    "lesson inactive": "inactive",
}
FAULTS = [{"kind": "500_before", "share": 1.0, "on": "list"}]
PLAN = SheetPlan(total=120, unknown=6, ambiguous=3, not_enrolled=5, other_course=3, inactive=2)


@pytest.fixture(scope="module")
def stub() -> Iterator[StubThread]:
    scenario = Scenario.from_mapping(
        {"seed": 2, "tokens": [CANARY], "people": {**PEOPLE, "blocked": 0, "unapproved": 0}}
    )
    with StubThread(scenario) as server:
        yield server


@pytest.fixture(scope="module")
def sheet() -> list[SheetRow]:
    assert SCENARIO.people is not None
    community = Community(SCENARIO.people, SCENARIO.rng("people"), seeded_at=0.0)
    return draw_sheet(PLAN, community, random.Random(4))


@pytest.fixture
def table(sheet: list[SheetRow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "people.csv"
    path.write_text(as_csv(sheet), encoding="utf-8")
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_rows_become_a_source_and_the_rest_says_why(
    here: Here, stub: StubThread, sheet: list[SheetRow], table: Path, tmp_path: Path
) -> None:
    done = here("resolve", str(table), "--base-url", stub.base_url, "--json")
    assert done.code == 1, done
    resolved, unresolved = rows_of(tmp_path / "people.resolved.csv"), rows_of(tmp_path / "people.unresolved.csv")
    good = [row for row in sheet if not row.why]
    assert [(int(row["CourseLessonId"]), int(row["CourseMemberId"])) for row in resolved] == [
        (row.lesson_id, row.enrolment_id) for row in good
    ]
    assert [tuple(row[name] for name in HEADER) for row in resolved] == [row.cells for row in good]
    assert {row["ResolvedBy"] for row in resolved} == {"e-mail"}
    assert [(int(row["Line"]), WHY[row["Reason"]]) for row in unresolved] == [
        (line, row.why) for line, row in enumerate(sheet, 2) if row.why
    ]
    assert all(row["Candidates"] for row in unresolved if row["Reason"] in ("person ambiguous", "not enrolled"))
    facts = json.loads(done.out)
    assert (facts["rows"], facts["resolved"], facts["unresolved"]) == (len(sheet), len(good), len(unresolved))
    assert facts["exit_code"] == 1
    for path in (tmp_path / "people.resolved.csv", tmp_path / "people.unresolved.csv"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert "@" not in done.err, "no e-mail is printed"
    assert "list calls" in done.err
    checked = here("run", str(tmp_path / "people.resolved.csv"), "--base-url", stub.base_url, "--dry-run", "--json")
    assert checked.code == 0
    assert json.loads(checked.out)["pending"] == len({(row.lesson_id, row.enrolment_id) for row in good})


@pytest.mark.slow
def test_a_workbook_comes_out_as_its_csv_does(
    here: Here, stub: StubThread, sheet: list[SheetRow], table: Path, tmp_path: Path
) -> None:
    book = tmp_path / "book.xlsx"
    book.write_bytes(as_xlsx(sheet))
    for path in (table, book):
        assert here("resolve", str(path), "--base-url", stub.base_url).code == 1
    resolved = [rows_of(tmp_path / f"{name}.resolved.csv") for name in ("people", "book")]
    ids = [[(row["CourseLessonId"], row["CourseMemberId"], row["Email"]) for row in rows] for rows in resolved]
    assert ids[0] == ids[1] != []
    reasons = [rows_of(tmp_path / f"{name}.unresolved.csv") for name in ("people", "book")]
    assert [(row["Line"], row["Reason"]) for row in reasons[0]] == [(row["Line"], row["Reason"]) for row in reasons[1]]
    done = here("run", str(book), "--base-url", stub.base_url, "--dry-run")
    assert (done.code, f"bulkwriter resolve {book}" in done.err) == (6, True), done


@pytest.mark.slow
def test_rows_and_sheets_that_are_left_out_are_told(here: Here, stub: StubThread, table: Path, tmp_path: Path) -> None:
    book = tmp_path / "book.xlsx"
    row = ["nobody@example.com", "Safety", "Exits"]
    may = SheetOf([["Email", "Course", "Lesson"], row, row], name="May", row_attributes={3: ' hidden="1"'})
    book.write_bytes(workbook(may, SheetOf([], name="June")))
    done = here("resolve", str(book), "--base-url", stub.base_url, "--hidden-rows", "skip")
    assert done.code == 1
    assert "1 row is hidden or filtered out, the first is row 3: left out" in done.err
    assert "reads sheet 'May', the first of May, June" in done.err


@pytest.mark.slow
def test_a_corrected_file_of_unresolved_rows_is_resolved_again(
    here: Here, stub: StubThread, sheet: list[SheetRow], table: Path, tmp_path: Path
) -> None:
    here("resolve", str(table), "--base-url", stub.base_url)
    path = tmp_path / "people.unresolved.csv"
    rows = [row for row in rows_of(path) if row["Reason"] == "person not found"]
    right = next(row for row in sheet if not row.why)
    for row in rows:
        row.update(zip(HEADER, right.cells, strict=True))
        row["CourseId"] = ""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    done = here("resolve", str(path), "--base-url", stub.base_url, "--json")
    assert done.code == 0, done
    assert json.loads(done.out)["unresolved_output"] is None
    assert len(rows_of(tmp_path / "people.unresolved.resolved.csv")) == PLAN.unknown
    assert not (tmp_path / "people.unresolved.unresolved.csv").exists()


@pytest.mark.slow
def test_accept_takes_what_is_not_active(here: Here, stub: StubThread, table: Path, tmp_path: Path) -> None:
    here(
        "resolve", str(table), "--base-url", stub.base_url, "--accept", "inactive", "--output", str(tmp_path / "x.csv")
    )
    taken = [row for row in rows_of(tmp_path / "x.csv") if row["ResolvedBy"] == "e-mail, lesson inactive"]
    assert len(taken) == PLAN.inactive
    assert len(rows_of(tmp_path / "x.unresolved.csv")) == sum(
        (PLAN.unknown, PLAN.ambiguous, PLAN.not_enrolled, PLAN.other_course)
    )


@pytest.mark.slow
def test_a_file_that_is_there_is_kept_until_it_may_be_replaced(
    here: Here, stub: StubThread, table: Path, tmp_path: Path
) -> None:
    there = tmp_path / "people.unresolved.csv"
    there.write_text("mine")
    done = here("resolve", str(table), "--base-url", stub.base_url)
    assert done.code == 2
    assert "--force" in done.err
    assert there.read_text() == "mine"
    assert here("resolve", str(table), "--base-url", stub.base_url, "--force").code == 1
    assert there.read_text() != "mine"


@pytest.mark.slow
def test_a_failure_writes_nothing_and_says_how_to_go_on(here: Here, table: Path, tmp_path: Path) -> None:
    scenario = Scenario.from_mapping({"tokens": [CANARY], "people": PEOPLE, "faults": FAULTS})
    with StubThread(scenario) as server:
        done = here("resolve", str(table), "--base-url", server.base_url, "--give-up-after", "0.3", "--json")
    assert done.code in (4, 75)
    assert "the same command goes on" in done.err
    assert json.loads(done.out)["output"] is None
    assert {path.name for path in tmp_path.iterdir()} == {"people.csv", "cache"}


@pytest.mark.slow
def test_a_table_of_other_columns_names_what_it_found(here: Here, stub: StubThread, tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n")
    done = here("resolve", str(path), "--base-url", stub.base_url)
    assert done.code == 6
    assert "found: a, b" in done.err
    assert "--email-column" in done.err


def test_a_run_of_a_table_with_emails_names_the_command_that_looks_ids_up(here: Here, tmp_path: Path) -> None:
    path = tmp_path / "my people.csv"
    path.write_text("E-mail,Course,Lesson\nann@example.com,Safety,Exits\n")
    done = here("run", str(path), "--base-url", "http://127.0.0.1:9", "--dry-run")
    assert done.code == 6
    assert f"bulkwriter resolve '{path}'" in done.err
    assert "ann@" not in done.err


@pytest.mark.parametrize(
    ("people", "output", "names"),
    [
        ("people.csv", None, ("people.resolved.csv", "people.unresolved.csv")),
        ("a/people.csv.gz", None, ("a/people.resolved.csv", "a/people.unresolved.csv")),
        ("people.jsonl", "pairs.csv", ("pairs.csv", "pairs.unresolved.csv")),
    ],
)
def test_where_the_files_go(people: str, output: str | None, names: tuple[str, str]) -> None:
    assert tuple(map(str, outputs_of(people, Path(output) if output else None))) == names


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--accept", "everything"], "no such word"),
        (["--output", "people.csv"], "the table itself"),
        (["--output", "people.ids"], "does not end with .csv"),
        (["--output", "-"], "does not end with .csv"),
    ],
)
def test_slips_are_refused_before_anything_is_sent(
    here: Here, table: Path, monkeypatch: pytest.MonkeyPatch, args: list[str], words: str
) -> None:
    monkeypatch.chdir(table.parent)
    done = here("resolve", "people.csv", "--base-url", "http://127.0.0.1:9", *args)
    assert (done.code, words in done.err) == (2, True), done
    assert "goes on" not in done.err, "the same command is refused again"


@pytest.mark.slow
def test_lists_that_cannot_be_kept_are_told(
    here: Here, stub: StubThread, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(table))  # no folder, and nothing can be one below it
    done = here("resolve", str(table), "--base-url", stub.base_url)
    assert (done.code, "what lists show is not kept" in done.err) == (1, True), done
    scenario = Scenario.from_mapping({"tokens": [CANARY], "people": PEOPLE, "faults": FAULTS})
    with StubThread(scenario) as server:
        done = here("resolve", str(table), "--base-url", server.base_url, "--give-up-after", "0.3", "--force")
    assert "the same command goes on" in done.err
    assert "is kept, and" not in done.err


@pytest.mark.slow
def test_a_row_that_names_no_course_says_that_its_cell_is_merged(
    here: Here, stub: StubThread, sheet: list[SheetRow], table: Path, tmp_path: Path
) -> None:
    good = next(row for row in sheet if not row.why)
    email, _, course, _, lesson, _ = good.cells
    rows = [("Email", "Course", "Lesson"), (email, course, lesson), (email, None, lesson)]
    people = tmp_path / "merged.xlsx"
    people.write_bytes(workbook(SheetOf(rows, tail='<mergeCells count="1"><mergeCell ref="B2:B3"/></mergeCells>')))
    assert here("resolve", str(people), "--base-url", stub.base_url).code == 1
    (row,) = rows_of(tmp_path / "merged.unresolved.csv")
    assert row["Reason"] == "the row names no course"
    assert row["Details"].startswith("Course is inside the merged cells B2:B3")

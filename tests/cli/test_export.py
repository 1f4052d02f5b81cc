"""`export` with the source's own rows: joined for every state, mended in place, harmless, and a SOURCE again."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from bulkwriter.cli.export import write_file
from bulkwriter.cli.main import main
from bulkwriter.errors import Exit, OutputError
from bulkwriter.model import BadRow
from bulkwriter.rows import bad_row_detail, outcome_detail
from bulkwriter.sources import open_source
from bulkwriter.store.journal import Journal
from bulkwriter.store.starts import ORIGIN
from tests.support.workbooks import HEAD, SheetOf, Value, workbook

URL = "http://127.0.0.1:9"
NAMES = ("CourseLessonId", "CourseMemberId")
Captured = pytest.CaptureFixture[str]
CSV = "E-Mail;CourseMemberId;status;CourseLessonId\nzoë@x;2;=1+1;1\nb@x;4;-;3\nc@x;+5;;1,234\n"


def journal_of(source: Path, **options: str) -> Path:
    """A journal as a run of this source leaves it: one rejected, one existing, one invalid."""
    path = source.with_name(source.name + ".journal")
    made = Journal.open(path, base_url=URL, account=None, columns=NAMES)
    bad = bad_row_detail(BadRow("CourseLessonId is no id", "raw"))
    said = outcome_detail([], "@no")
    made.append([(0, 1, 2, 2, 5, said), (1, 3, 4, 3, 4, None), (2, None, None, 4, 7, bad)], {})
    made.meta_set(ORIGIN, open_source(source, **options).origin)  # type: ignore[arg-type, attr-defined]
    made.close()
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text(CSV, encoding="utf-8")
    return path


def exported(
    journal: Path, output: Path, *more: str, states: str = "rejected,existing,invalid"
) -> list[dict[str, str]]:
    assert main(["export", str(journal), "--state", states, "--output", str(output), "--force", *more]) == 0
    with output.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_the_rows_of_the_source_are_joined_for_every_state(source: Path) -> None:
    output = source.with_name("out.csv")
    first, second, third = exported(journal_of(source), output)
    assert output.read_bytes().startswith(b"\xef\xbb\xbfCourseLessonId,CourseMemberId,status,")
    assert (first["E-Mail"], first["status (source)"], first["message"]) == ("zoë@x", "'=1+1", "'@no")
    assert (second["CourseLessonId"], second["E-Mail"], second["status (source)"]) == ("3", "b@x", "'-")
    assert (third["CourseLessonId"], third["CourseMemberId"], third["E-Mail"]) == ("1,234", "'+5", "c@x")


def test_a_disk_that_takes_nothing_is_no_slip_of_whoever_asks(source: Path) -> None:
    output = source.parent / f"{'x' * 300}.csv"
    with pytest.raises(OutputError, match=r"cannot write .*: File name too long"):
        write_file(output, iter(["head\n"]))
    assert OutputError.exit_code is Exit.STDOUT


def test_the_source_itself_is_never_replaced(source: Path) -> None:
    journal = journal_of(source)
    moved = source.with_name("moved.csv")
    for output, more in ((source, []), (moved, ["--source", str(moved)])):
        moved.write_text(CSV, encoding="utf-8")
        assert main(["export", str(journal), "--state", "rejected", "--output", str(output), "--force", *more]) == 2
        assert output.read_text(encoding="utf-8") == CSV


def test_what_was_exported_is_a_source_and_can_be_exported_again(source: Path, capsys: Captured) -> None:
    output = source.with_name("out.csv")
    exported(journal_of(source), output)
    assert main(["run", str(output), "--dry-run", "--json", "--base-url", URL]) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["pairs"], said["pending"], said["invalid"]) == (3, 2, 1)
    again = exported(journal_of(output), source.with_name("again.csv"))
    assert [row["E-Mail"] for row in again] == ["zoë@x", "b@x", "c@x"]
    assert "property (source)" not in again[0]


def test_json_lines_are_as_the_source_wrote_them(source: Path) -> None:
    output = source.with_name("out.jsonl")
    assert main(["export", str(journal_of(source)), "--state", "rejected", "--output", str(output)]) == 0
    (row,) = map(json.loads, output.read_text(encoding="utf-8").splitlines())
    assert (row["CourseLessonId"], row["status (source)"], row["message"]) == (1, "=1+1", "@no")


def test_the_rows_of_a_workbook_are_joined(tmp_path: Path) -> None:
    path = tmp_path / "people.xlsx"
    rows: list[tuple[Value, ...]] = [("Name", *HEAD), ("Zoë", 1, 2), ("B", 3, "4"), ("C", 1.5, None)]
    sheet = SheetOf(rows, name="People", row_attributes={3: ' hidden="1"'})
    path.write_bytes(workbook(SheetOf([HEAD]), sheet))
    found = exported(journal_of(path, sheet="People", hidden_rows="include"), tmp_path / "out.csv")
    assert [(row["Name"], row["CourseLessonId"]) for row in found] == [("Zoë", "1"), ("B", "3"), ("C", "1.5")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "there is no such file"),
        (CSV.replace("b@x;4", "b@x;9"), "has changed: line 3 differs from the run in the journal"),
        (CSV.rpartition("c@x")[0], "has changed: it ends before the rows of the journal do"),
        ("a;b\n", "no column CourseLessonId"),
    ],
)
def test_a_source_that_is_gone_or_another_leaves_the_ids_alone(
    source: Path, capsys: Captured, text: str | None, words: str
) -> None:
    journal = journal_of(source)
    if text is None:
        source.unlink()
    else:
        source.write_text(text, encoding="utf-8")
    found = exported(journal, source.with_name("out.csv"))
    assert "E-Mail" not in found[0]
    assert found[0]["CourseLessonId"] == "1"
    err = capsys.readouterr().err
    assert "note: the ids alone, without the other columns of the source: " in err
    assert words in err


def test_a_source_that_grew_or_moved_is_still_the_same(source: Path) -> None:
    journal = journal_of(source)
    moved = source.rename(source.with_name("moved.csv"))
    moved.write_text(CSV + "d@x;1;;1\n", encoding="utf-8")
    assert exported(journal, source.with_name("out.csv"), "--source", str(moved))[2]["E-Mail"] == "c@x"

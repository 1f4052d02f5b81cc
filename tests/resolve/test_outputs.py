"""The two tables that come out, and the rows that go in: spool, faults, columns."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from bulkwriter.resolve.matching import Resolved, RowReason, Unresolved
from bulkwriter.resolve.outputs import Outputs
from bulkwriter.resolve.reading import TOO_MANY, columns_in, fault_of, fill, is_header
from bulkwriter.resolve.spool import Spool
from bulkwriter.sources.tables import Flawed, TableOptions, TableRow, open_table

from ..support.workbooks import Cell, SheetOf, workbook

FOUND = Resolved(11, 1001, "e-mail")
LOST = Unresolved(RowReason.NOT_ENROLLED, "so", ["coworker 5", "coworker 6"], course_id=3, coworker_id=5)


def test_own_columns_stand_between_the_ids_and_what_showed_them() -> None:
    out = Outputs(["Email", "Course", "Note"])
    assert out.resolved_names() == ["CourseLessonId", "CourseMemberId", "Email", "Course", "Note", "ResolvedBy"]
    assert out.resolved(["a@b", "S"], FOUND) == ["11", "1001", "a@b", "S", "", "e-mail"]
    assert out.unresolved_names() == [
        "Email", "Course", "Note", "CourseId", "CoworkerId", "Line", "Reason", "Details", "Candidates",
    ]  # fmt: skip
    assert out.unresolved(7, ["a@b", "S", "n", "stray"], LOST) == [
        "a@b", "S", "n", "3", "5", "7", "not enrolled", "so", "coworker 5; coworker 6",
    ]  # fmt: skip


def test_columns_of_ours_are_not_there_twice_and_own_ids_stay() -> None:
    out = Outputs(["course_lesson_id", "Email", "CourseId", "Coworker Id", "Reason", "line", "resolved by"])
    assert out.resolved_names() == [
        "CourseLessonId", "CourseMemberId", "Email", "CourseId", "Coworker Id", "Reason", "line", "ResolvedBy",
    ]  # fmt: skip
    cells = ["11", "a@b", "99", "", "old", "2", "x"]
    assert out.unresolved_names() == [
        "course_lesson_id", "Email", "CourseId", "Coworker Id", "resolved by",
        "Line", "Reason", "Details", "Candidates",
    ]  # fmt: skip
    assert out.unresolved(7, cells, LOST)[:5] == ["11", "a@b", "99", "5", "x"]


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        (["a@b", "S", "1"], ""),
        (["a@b"], ""),
        (["a@b", "S", "1", "", " "], ""),
        (["a@b", "S", "1", "x"], TOO_MANY),
        ([Flawed('"a@b', "a quoted field does not end")], "a quoted field does not end"),
        (["a@b", "S", Flawed("1.2E+15", "was rounded")], "CourseId '1.2E+15' was rounded"),
        (["a@b", Flawed("1.2E+15", "was rounded"), "1"], ""),
    ],
)
def test_what_is_wrong_with_a_row(values: list[str], fault: str) -> None:
    assert fault_of(TableRow(2, values), ["Email", "Note", "CourseId"], {2}) == fault


def test_rows_come_back_as_they_were_given(tmp_path: Path) -> None:
    rows = [(2, ["a@b", "é\n\u2028", ""], "", "why"), (9, ["\ud800", Flawed("x", "y")], "fault", ""), (10, [], "", "")]
    with closing(Spool(tmp_path)) as spool:
        for row in rows:
            spool.add(*row)
        assert [(*row,) for row in spool] == rows
        assert [row.line for row in spool] == [2, 9, 10]
        assert len(spool) == 3
        assert not [*tmp_path.iterdir()], "the file has no name"


def test_why_a_cell_is_empty_is_kept_where_the_file_tells(tmp_path: Path) -> None:
    """Merged cells, and a formula that was never calculated: a row that names no course for that says so."""
    unsaved = Cell("<f>A1</f>")
    rows = [("Email", "Course", "Lesson"), ("a@b.c", "One", "L"), ("d@e.f", None, "L"), ("g@h.i", unsaved, None)]
    tail = '<mergeCells count="1"><mergeCell ref="B2:B3"/></mergeCells>'
    path = tmp_path / "people.xlsx"
    path.write_bytes(workbook(SheetOf(rows, tail=tail)))
    judge = is_header(chosen={}, by_name=False)
    with (
        closing(Spool(tmp_path)) as spool,
        open_table(str(path), TableOptions(), is_header=judge, line_bytes=65_536) as table,
    ):
        columns = columns_in(table, "people.xlsx", chosen={}, by_name=False)
        fill(spool, table, columns, is_over=lambda: False)
        assert [row.blank for row in spool] == [
            "",
            "Course is inside the merged cells B2:B3, of which the first alone holds the value",
            "Course is a formula without a saved value: open the file in a spreadsheet and save it again",
        ]

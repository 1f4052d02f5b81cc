"""What it costs to read a workbook: 100,000 rows of six columns, four of them texts, 200,000 of these different.

`run --dry-run` reads the whole sheet, checks each row and removes duplicates, so its figures are those of a person's
process with everything in it; then the reader alone.  Beside them python-calamine loads the same sheet as a list, and
does nothing with it.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from .children import Ended
from .figures import Row, median_rows
from .turns import PYTHON, Contender, Findings, Plan, in_turns

KEYS = ("took_s", "cpu_s", "rss_bytes")
ROWS: Final = 100_000
COURSES: Final = 40
NAMES: Final = ("CourseLessonId", "CourseMemberId", "E-Mail", "Name", "Course", "Lesson")
READER: Final = """
import sys
from bulkwriter.sources.columns import Columns
from bulkwriter.sources.files import pair_reader
reader, rows = pair_reader(sys.argv[1], Columns()), 0
while batch := reader.read():
    rows += len(batch.pairs)
assert rows == int(sys.argv[2]), rows
"""
CALAMINE: Final = "import sys, python_calamine as c; c.load_workbook(sys.argv[1]).get_sheet_by_index(0).to_python()"
RELATIONS: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
RELATED: Final = f'<Relationships><Relationship Id="{{}}" Type="{RELATIONS}/{{}}" Target="{{}}"/>{{}}</Relationships>'
WORKBOOK: Final = f'<workbook xmlns:r="{RELATIONS}"><sheets><sheet name="A" sheetId="1" r:id="r1"/></sheets></workbook>'


def measure(plan: Plan) -> Findings:
    path = write_workbook(plan.folder / "people.xlsx")
    run = ("-m", "bulkwriter", "run", str(path), "--dry-run", "--base-url", "http://127.0.0.1:1")
    contenders = [
        reading("bulkwriter run --dry-run", *run),
        reading("bulkwriter's reader alone", "-c", READER, str(path), str(ROWS)),
        reading("python-calamine", "-c", CALAMINE, str(path)),
    ]
    runs, _ = in_turns(contenders, plan)
    return Findings(runs=runs, rows=median_rows(runs), keys=KEYS, settings={"rows": ROWS})


def reading(name: str, *args: str) -> Contender:
    return Contender(
        name=name, pairs=ROWS, argv=lambda _: [PYTHON, *args], cores=frozenset(), read=read_wall, has_start=False
    )


def read_wall(ended: Ended) -> Row:
    return {"took_s": ended.wall_s}


def write_workbook(path: Path) -> Path:
    """The sheet as Excel writes it: texts are shared, numbers are not."""
    texts: dict[str, int] = {}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("_rels/.rels", RELATED.format("r1", "officeDocument", "xl/workbook.xml", ""))
        archive.writestr("xl/workbook.xml", WORKBOOK)
        shared = f'<Relationship Id="r2" Type="{RELATIONS}/sharedStrings" Target="sharedStrings.xml"/>'
        related = RELATED.format("r1", "worksheet", "sheet1.xml", shared)
        archive.writestr("xl/_rels/workbook.xml.rels", related)
        archive.writestr("xl/sheet1.xml", "".join(sheet(texts)))
        items = "".join(f"<si><t>{escape(text)}</t></si>" for text in texts)
        archive.writestr("xl/sharedStrings.xml", f"<sst>{items}</sst>")
    return path


def sheet(texts: dict[str, int]) -> Iterator[str]:
    yield "<worksheet><sheetData>"
    yield row(1, NAMES, texts)
    for n in range(ROWS):
        place = n % COURSES
        person = (f"person{n}@example.com", f"Person Number {n}", f"Course {place}", f"Lesson {n % (10 * COURSES)}")
        yield row(n + 2, (100_000 + place, 2_000_000 + n, *person), texts)
    yield "</sheetData></worksheet>"


def row(number: int, values: tuple[int | str, ...], texts: dict[str, int]) -> str:
    cells = (
        f'<c r="{letter}{number}" t="s"><v>{texts.setdefault(value, len(texts))}</v></c>'
        if isinstance(value, str)
        else f'<c r="{letter}{number}"><v>{value}</v></c>'
        for letter, value in zip("ABCDEF", values, strict=True)
    )
    return f'<row r="{number}">{"".join(cells)}</row>'

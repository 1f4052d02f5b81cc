"""Makes .xlsx files by hand, part by part, so that tests can leave out, spoil and vary anything.

`workbook` is a file as Excel writes it: shared texts, styles, one or several sheets.  Cells are plain values: a text is
shared, a number is a number, `Cell` says its XML.  `repacked` changes parts of a file that is there.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape, quoteattr

TRANSITIONAL = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
STRICT = "http://purl.oclc.org/ooxml/spreadsheetml/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
DATE_STYLE = 1
HEAD = ("CourseLessonId", "CourseMemberId")


@dataclass(frozen=True)
class Cell:
    """A cell's XML: `attributes` such as t="s", and all between its tags."""

    inside: str = ""
    attributes: str = ""


Value = str | int | float | Cell | None


@dataclass
class SheetOf:
    """A sheet: rows from row 1 on, None for a row that is not there; `row_attributes` and `tail` are XML."""

    rows: Sequence[Sequence[Value] | None] = ()
    name: str = "Sheet1"
    state: str = "visible"
    kind: str = "worksheet"
    row_attributes: Mapping[int, str] = field(default_factory=dict)
    tail: str = ""
    has_references: bool = True
    xml: str | None = None


def letters(column: int) -> str:
    text = ""
    column += 1
    while column:
        column, at = divmod(column - 1, 26)
        text = chr(65 + at) + text
    return text


def sheet_xml(sheet: SheetOf, texts: dict[str, int], namespace: str = TRANSITIONAL, prefix: str = "") -> str:
    """The part of one sheet; new texts are added to `texts`."""
    p = f"{prefix}:" if prefix else ""
    space = f"xmlns:{prefix}" if prefix else "xmlns"
    out = [f'<?xml version="1.0" encoding="UTF-8"?><{p}worksheet {space}="{namespace}"><{p}sheetData>']
    for number, row in enumerate(sheet.rows, 1):
        if row is None:
            continue
        reference = f' r="{number}"' if sheet.has_references else ""
        out.append(f"<{p}row{reference}{sheet.row_attributes.get(number, '')}>")
        for column, value in enumerate(row):
            if value is None:
                continue
            at = f' r="{letters(column)}{number}"' if sheet.has_references else ""
            match value:
                case Cell():
                    inside, attributes = value.inside, f" {value.attributes}"
                case str():
                    inside, attributes = f"<{p}v>{texts.setdefault(value, len(texts))}</{p}v>", ' t="s"'
                case _:
                    inside, attributes = f"<{p}v>{value}</{p}v>", ""
            out.append(f"<{p}c{at}{attributes}>{inside}</{p}c>")
        out.append(f"</{p}row>")
    out.append(f"</{p}sheetData>{sheet.tail}</{p}worksheet>")
    return "".join(out)


def parts(
    sheets: Iterable[SheetOf], *, is_1904: bool = False, namespace: str = TRANSITIONAL, prefix: str = ""
) -> dict[str, str]:
    """The parts of a workbook by name."""
    texts: dict[str, int] = {}
    found: dict[str, str] = {}
    tabs, relations = [], []
    for number, sheet in enumerate(sheets, 1):
        part = f"worksheets/sheet{number}.xml" if sheet.kind == "worksheet" else f"{sheet.kind}s/sheet{number}.xml"
        found[f"xl/{part}"] = sheet.xml or sheet_xml(sheet, texts, namespace, prefix)
        tabs.append(
            f'<sheet name={quoteattr(sheet.name)} sheetId="{number}" state="{sheet.state}" r:id="rId{number}"/>'
        )
        relations.append(f'<Relationship Id="rId{number}" Type="{RELATIONS}/{sheet.kind}" Target="{part}"/>')
    for key, kind, target in (("s", "styles", "styles.xml"), ("t", "sharedStrings", "sharedStrings.xml")):
        relations.append(f'<Relationship Id="{key}" Type="{RELATIONS}/{kind}" Target="{target}"/>')
    head = f'xmlns="{namespace}" xmlns:r="{RELATIONS}"'
    workbook = f'<workbook {head}><workbookPr date1904="{int(is_1904)}"/><sheets>{"".join(tabs)}</sheets></workbook>'
    shared = "".join(f'<si><t xml:space="preserve">{escape(text)}</t></si>' for text in texts)
    main = f'<Relationship Id="rId1" Type="{RELATIONS}/officeDocument" Target="xl/workbook.xml"/>'
    formats = '<numFmts count="1"><numFmt numFmtId="164" formatCode="dd/mm/yyyy"/></numFmts>'
    cells = '<cellXfs count="3"><xf numFmtId="0"/><xf numFmtId="164"/><xf numFmtId="14"/></cellXfs>'
    return {
        "[Content_Types].xml": "<Types/>",
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}">{main}</Relationships>',
        "xl/workbook.xml": workbook,
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}">{"".join(relations)}</Relationships>',
        "xl/styles.xml": f'<styleSheet xmlns="{namespace}">{formats}{cells}</styleSheet>',
        "xl/sharedStrings.xml": f'<sst xmlns="{namespace}">{shared}</sst>',
        **found,
    }


def packed(found: Mapping[str, str | bytes]) -> bytes:
    """The parts in an archive, the same bytes for the same parts."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in found.items():
            archive.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def workbook(*sheets: SheetOf, is_1904: bool = False, namespace: str = TRANSITIONAL, prefix: str = "") -> bytes:
    """A whole file."""
    return packed(parts(sheets, is_1904=is_1904, namespace=namespace, prefix=prefix))


def rows_as_workbook(*rows: Sequence[Value] | None) -> bytes:
    """A file with one sheet: the two names, and these rows below them."""
    return workbook(SheetOf([HEAD, *rows]))

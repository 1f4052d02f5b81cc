"""Recognises a file that is no CSV and no JSON Lines by its first bytes, and says what to do with it.

`kind_of` returns the kind in words, and a hint.  A hint never advises anything that cannot work: a workbook does not
become readable through a pipe.  `is_undecided` says whether more bytes could still change the answer, so that a pipe is
not waited for longer than needed.

Source of the signatures: the formats' own specifications, as in file(1).
"""

from __future__ import annotations

from typing import Final, NamedTuple

GZIP: Final = b"\x1f\x8b"
ZIP: Final = b"PK\x03\x04"
ZIP_BYTES: Final = 100
"""The first name in a ZIP archive stands within these, and an OpenDocument's type."""
SAVE_AS_UTF8: Final = "save it as UTF-8 text, in a spreadsheet: 'CSV UTF-8'"
NAMED: Final = "let it be a file whose name ends with {}"
UNPACK: Final = "pipe it: {} FILE | bulkwriter run - --journal FILE.journal"
UNZIP: Final = "unpack it, and name the file in it"


class FileKind(NamedTuple):
    """What a file is, and what to do."""

    what: str
    hint: str


UTF_16: Final = FileKind("UTF-16 text, not UTF-8", SAVE_AS_UTF8)
UTF_32: Final = FileKind("UTF-32 text, not UTF-8", SAVE_AS_UTF8)
WEB_PAGE: Final = FileKind(
    "a web page (HTML)", "export the table as CSV; where you asked for a file, sign in and download it again"
)
# The first that fits is it.
BINARY: Final = (
    (b"\xff\xfe\0\0", UTF_32),
    (b"\0\0\xfe\xff", UTF_32),
    (b"\xff\xfe", UTF_16),
    (b"\xfe\xff", UTF_16),
    (GZIP, FileKind("compressed (gzip)", "end its name with .gz, or " + UNPACK.format("gzip -dc"))),
    (ZIP, FileKind("a ZIP archive", UNZIP)),
    (b"PK\x05\x06", FileKind("an empty ZIP archive", UNZIP)),
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        FileKind("an old Excel workbook (.xls) or another Office document", NAMED.format(".xls")),
    ),
    (
        b"PAR1",
        FileKind("a Parquet file", "turn it into CSV, for example with: duckdb -csv -c \"FROM 'FILE'\" > pairs.csv"),
    ),
    (
        b"SQLite format 3\0",
        FileKind("an SQLite database", "turn a query into CSV: sqlite3 -csv -header FILE 'SELECT …' > pairs.csv"),
    ),
    (b"%PDF-", FileKind("a PDF document", "export the table that it was made from as CSV")),
    (b"{\\rtf", FileKind("formatted text (RTF)", "save it as plain text, UTF-8")),
    (b"BZh", FileKind("compressed (bzip2)", UNPACK.format("bzip2 -dc"))),
    (b"\xfd7zXZ\0", FileKind("compressed (xz)", UNPACK.format("xz -dc"))),
    (b"\x28\xb5\x2f\xfd", FileKind("compressed (zstd)", UNPACK.format("zstd -dc"))),
    (b"7z\xbc\xaf\x27\x1c", FileKind("a 7-Zip archive", UNZIP)),
)
# As text begins, behind white space and in any case.
TEXT: Final = (
    *((start, WEB_PAGE) for start in (b"<!doctype html", b"<html", b"<head", b"<body", b"<table")),
    (b"<?xml", FileKind("XML", "export the table as CSV")),
)
XLSX: Final = FileKind("an Excel workbook (.xlsx)", NAMED.format(".xlsx"))
ODS: Final = FileKind("an OpenDocument spreadsheet (.ods)", NAMED.format(".ods"))
IN_ZIP: Final = (
    (b"[Content_Types].xml", XLSX),
    (b"_rels/", XLSX),
    (b"xl/", XLSX),
    (b"docProps/", XLSX),
    (b"application/vnd.oasis.opendocument.spreadsheet", ODS),
)
TWICE: Final = FileKind("compressed twice (gzip in gzip)", "unpack it once: gzip -dc FILE > NEW, and name NEW")


def is_undecided(head: bytes) -> bool:
    """Whether a file that begins with `head` may turn out to be a known kind, or to be told more exactly."""
    if head.startswith(ZIP):
        return len(head) < ZIP_BYTES
    text = head.lstrip().lower()
    return (
        len(head) < 2
        or any(len(head) < len(start) and start.startswith(head) for start, _ in BINARY)
        or any(len(text) < len(start) and start.startswith(text) for start, _ in TEXT if text)
    )


def kind_of(head: bytes, *, is_unpacked: bool = False) -> FileKind | None:
    """The kind of a file that begins with `head`; None if it may be CSV or JSON Lines."""
    if is_unpacked and head.startswith(GZIP):
        return TWICE
    if head.startswith(ZIP):
        found = next((kind for part, kind in IN_ZIP if part in head[:ZIP_BYTES]), None)
        if found is not None:
            return found
    text = head.lstrip().lower()
    for start, kind in BINARY:
        if head.startswith(start):
            return kind
    for start, kind in TEXT:
        if text.startswith(start):
            return kind
    # One NUL of the first two bytes: an ASCII character of UTF-16 that has no mark at its beginning.
    return UTF_16 if len(head) > 1 and (head[0] == 0) != (head[1] == 0) else UTF_32 if head[:2] == b"\0\0" else None

"""An .xlsx or .xlsm file: a ZIP archive of XML parts; which sheets it has, where they lie, and what its styles show.

Parts are found by their relations (ECMA-376, part 2), not by customary names.  Namespaces are not compared, so strict
and transitional files are the same here.  Sizes that the archive states are bounds that `zipfile` keeps to; each kind
of part has its own most, and parts are read as streams.

Invariant: no part is in memory as a whole, and what is kept of a part is bounded.  Not here: rows (`xlsx_rows`).
"""

from __future__ import annotations

import io
import posixpath
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Final, NamedTuple

from .cell_values import BUILT_IN_DATES, is_date_format, unescaped
from .shared_texts import SharedTexts
from .xml_events import SpoiledXml, feed, local, make_parser

END_RECORD: Final = b"PK\x05\x06"
END_BYTES: Final = 22 + 65_535
"""The record at the archive's end, and its comment."""
DIRECTORY_BYTES: Final = 8 << 20
"""An archive's list of parts.  `zipfile` keeps it in memory, in six times its size; a workbook's has some kB."""
SMALL_PART_BYTES: Final = 64 << 20
"""Workbook, relations, styles: the largest seen in the wild are styles of 30 MB."""
LARGE_PART_BYTES: Final = (1 << 32) - 1
"""A sheet, or the shared texts: some minutes of reading.  A sheet that is full has about 1 GB in ten columns."""
MOST_SHEETS: Final = 10_000
MOST_STYLES: Final = 1_000_000
TEXT_CHARS: Final = 1 << 20
"""One text of a cell; a spreadsheet's own limit is 32,767."""

SEEN: Final = "visible"


class Sheet(NamedTuple):
    """One tab: `kind` is "worksheet", "chartsheet" or another; `state` "visible", "hidden" or "veryHidden"."""

    name: str
    state: str
    kind: str
    part: str


class Relation(NamedTuple):
    kind: str
    part: str


class XlsxWorkbook:
    """One opened archive.  `damages` must stand around every call."""

    def __init__(self, file: IO[bytes]) -> None:
        check_directory(file)
        with spoiled_archive():
            self._zip = zipfile.ZipFile(file)
        self._parts = {info.filename.lower().lstrip("/"): info for info in self._zip.infolist()}
        self.is_1904 = False
        self.main = ""
        self._relations: dict[str, Relation] = {}

    def open_main(self) -> str:
        """Find the part that lists the sheets; its name."""
        found = [r.part for r in self._relations_of("").values() if r.kind == "officeDocument"]
        self.main = found[0] if found else "xl/workbook.xml"
        return self.main

    def sheets(self) -> list[Sheet]:
        """All tabs, from the left."""
        relations = self._relations = self._relations_of(self.main)
        found: list[Sheet] = []

        def start(name: str, attributes: dict[str, str]) -> None:
            match local(name):
                case "workbookPr":
                    self.is_1904 = attributes.get("date1904") in ("1", "true")
                case "sheet" if len(found) < MOST_SHEETS:
                    key = next((value for at, value in attributes.items() if local(at) == "id"), "")
                    relation = relations.get(key, Relation("", ""))
                    title = unescaped(attributes.get("name", ""))
                    found.append(Sheet(title, attributes.get("state", SEEN), relation.kind, relation.part))

        self._walk(self.main, start)
        return found

    def date_styles(self) -> frozenset[str]:
        """The styles, as cells name them, that show dates or times."""
        formats: dict[str, str] = {}
        used: list[str] = []
        place = ""

        def start(name: str, attributes: dict[str, str]) -> None:
            nonlocal place
            match local(name):
                case "numFmt" if len(formats) < MOST_STYLES:
                    formats[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")
                case "cellXfs" | "cellStyleXfs" | "dxfs" as found:
                    place = found
                case "xf" if place == "cellXfs" and len(used) < MOST_STYLES:
                    used.append(attributes.get("numFmtId", "0"))

        part = self._related("styles")
        if part:
            self._walk(part, start)
        return frozenset(str(at) for at, number in enumerate(used) if is_date(number, formats))

    def shared_texts(self) -> SharedTexts:
        """The texts that cells name by number; the caller closes them."""
        texts = SharedTexts()
        part = self._related("sharedStrings")
        if part:
            with self.open(part) as stream:
                read_texts(stream, texts)
        texts.end()
        return texts

    def open(self, part: str, most_bytes: int = LARGE_PART_BYTES) -> IO[bytes]:
        """A part as a stream."""
        info = self._parts.get(part.lower())
        if info is None:
            raise SpoiledXml(f"it has no part {part or 'for this sheet'}")
        if info.file_size > most_bytes:
            raise SpoiledXml(f"its part {part} is larger than {most_bytes >> 20:,} MB")
        with spoiled_archive():
            return self._zip.open(info)

    def size(self, part: str) -> int:
        return self._parts[part.lower()].file_size

    def has(self, part: str) -> bool:
        return part.lower() in self._parts

    def close(self) -> None:
        self._zip.close()

    def _related(self, kind: str) -> str:
        """The part of this kind that the workbook names, or ""."""
        found = [r.part for r in self._relations.values() if r.kind == kind]
        return found[0] if found and self.has(found[0]) else ""

    def _relations_of(self, part: str) -> dict[str, Relation]:
        folder, name = posixpath.split(part)
        listed = posixpath.join(folder, "_rels", f"{name}.rels")
        found: dict[str, Relation] = {}

        def start(name: str, attributes: dict[str, str]) -> None:
            if local(name) == "Relationship" and len(found) < MOST_SHEETS:
                target = attributes.get("Target", "")
                inside = target if target.startswith("/") else posixpath.join("/", folder, target)
                kind = attributes.get("Type", "").rpartition("/")[2]
                found[attributes.get("Id", "")] = Relation(kind, posixpath.normpath(inside).lstrip("/"))

        if self.has(listed):
            self._walk(listed, start)
        return found

    def _walk(self, part: str, start: Callable[[str, dict[str, str]], None]) -> None:
        """Go through the elements of a small part."""
        parser = make_parser(start)
        with self.open(part, SMALL_PART_BYTES) as stream:
            for _ in feed(stream, parser):
                pass


@contextmanager
def spoiled_archive() -> Iterator[None]:
    """Turn what `zipfile` raises for names and numbers that cannot be, besides its own error."""
    try:
        yield
    except (ValueError, LookupError, OverflowError, struct.error) as error:
        raise SpoiledXml(f"its list of parts cannot be read: {error}") from error


def check_directory(file: IO[bytes]) -> None:
    """Raise if the archive's list of parts is larger than one of a workbook, before `zipfile` reads it."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - END_BYTES))
    end = file.read(END_BYTES)
    at = end.rfind(END_RECORD)
    if at >= 0 and int.from_bytes(end[at + 12 : at + 16], "little") > DIRECTORY_BYTES:
        raise SpoiledXml("its list of parts is too long for a workbook")
    file.seek(0)


def is_date(number: str, formats: dict[str, str]) -> bool:
    """Whether the number format `number` shows a date or a time."""
    if number in formats:
        return is_date_format(formats[number])
    return number.isascii() and number.isdigit() and int(number[:6]) in BUILT_IN_DATES


def read_texts(stream: IO[bytes], texts: SharedTexts) -> None:
    """Add every text of a part of shared texts; rich text without its formats, and without pronunciations."""
    parts: list[str] = []
    chars = 0
    is_text = False
    sounds = 0  # depth of rPh, which holds how a Japanese text is pronounced

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal is_text, sounds, chars
        match local(name) if ":" in name else name:
            case "t":
                is_text = not sounds
            case "rPh":
                sounds += 1
            case "si":
                parts.clear()
                chars = 0

    def end(name: str) -> None:
        nonlocal is_text, sounds
        match local(name) if ":" in name else name:
            case "t":
                is_text = False
            case "rPh":
                sounds -= 1
            case "si":
                texts.add(unescaped("".join(parts)))

    def text(data: str) -> None:
        nonlocal chars
        if is_text:
            parts.append(data)
            chars += len(data)
            if chars > TEXT_CHARS:
                raise SpoiledXml(f"a text is longer than {TEXT_CHARS:,} characters")

    for _ in feed(stream, make_parser(start, end, text)):
        pass

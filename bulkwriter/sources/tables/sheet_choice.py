"""Which sheet of a workbook is read: the one that is named, or the first worksheet that people see.

A chart sheet is a tab without cells; it counts where tabs are counted, and it cannot be read.  A hidden sheet is read
only if its name is given, exactly or in another case.  A name goes before a number, since a sheet may be called 2026.

Pure.  Not here: the file.  Invariant: the sheet chosen has cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ...errors import SourceError, UsageError
from ..batches import printable
from .xlsx_workbook import SEEN, Sheet

WORKSHEET: Final = "worksheet"
SHOWN: Final = 12
SHOWN_CHARS: Final = 40


def choose(sheets: Sequence[Sheet], wanted: str | None, name: str) -> Sheet:
    """The sheet to be read.  Raises `UsageError` if the one that is wanted is none, `SourceError` if there is none."""
    seen = [sheet for sheet in sheets if sheet.state == SEEN]
    if wanted is None:
        first = next((sheet for sheet in seen if sheet.kind == WORKSHEET), None)
        if first is None:
            raise SourceError(
                f"{name} has no visible worksheet", hint=f"name a hidden one: --sheet NAME, of {titles(sheets)}"
            )
        return first
    found = named(sheets, wanted)
    if found is None and wanted.isascii() and wanted.isdigit() and 0 < int(wanted[:6]) <= len(seen):
        found = seen[int(wanted[:6]) - 1]
    if found is None:
        raise UsageError(f"{name} has no sheet {printable(wanted)!r}", hint=f"it has {titles(sheets)}")
    if found.kind != WORKSHEET:
        kind = "chart" if found.kind == "chartsheet" else "sheet of another kind"
        raise UsageError(
            f"{name}: {printable(found.name)!r} is a {kind}, and has no rows", hint=f"it has {titles(sheets)}"
        )
    return found


def named(sheets: Sequence[Sheet], wanted: str) -> Sheet | None:
    exact = [sheet for sheet in sheets if sheet.name == wanted]
    alike = [sheet for sheet in sheets if sheet.name.strip().casefold() == wanted.strip().casefold()]
    return next(iter(exact or alike), None)


def other_sheets(sheets: Sequence[Sheet], chosen: Sheet) -> list[Sheet]:
    """The other worksheets that people see."""
    return [sheet for sheet in sheets if sheet.state == SEEN and sheet.kind == WORKSHEET and sheet != chosen]


def titles(sheets: Sequence[Sheet]) -> str:
    """Names for people: cut, and not too many."""
    shown = [printable(sheet.name[:SHOWN_CHARS]) for sheet in sheets[:SHOWN]]
    return ", ".join(shown) + (f" and {len(sheets) - SHOWN} more" if len(sheets) > SHOWN else "")

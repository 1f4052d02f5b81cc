"""Where the journal of a run lies now, if it was moved: for `runs`.

It is known by what it holds: the same server and account, and the first pairs that the registry has digests of.  It is
looked for where people move things to: the folder where it was and the folders in it, the folders beside one that is
gone (a folder that was renamed), and the folder one works in.  A journal that another entry of the registry names is
not looked at.

Invariants: reads only.  At most `TRIED_MAX` files are opened, so that a home folder of thousands costs no minutes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import BulkwriterError
from .journals import SQLITE, begins_with

if TYPE_CHECKING:
    from ..run.registry import Entry

TRIED_MAX: Final = 40
NAMES_MAX: Final = 2_000
"""Names of one folder that are looked through."""
HEAD_ROWS: Final = 1_000
"""Rows of a journal among which its first different pairs are looked for."""


def find(entry: Entry, taken: Collection[str]) -> Path | None:
    """The journal of a run that is not where it was; None where it is not found.  `taken`: journals of other runs."""
    if not entry.rows:
        return None
    there = (path.resolve() for path in candidates(Path(entry.journal), Path.cwd()) if is_journal(path))
    fresh = (path for path in dict.fromkeys(there) if str(path) not in taken)
    return next((path for path in islice(fresh, TRIED_MAX) if is_of(entry, path)), None)


def candidates(old: Path, here: Path) -> Iterator[Path]:
    """Places to look at, the likely ones first."""
    there, gone = old.parent, Path(old.name)
    while not there.is_dir() and there != there.parent:
        there, gone = there.parent, there.name / gone
    for folder in (name for name in names_in(there) if name.is_dir()):
        yield folder / old.name
        yield folder.joinpath(*gone.parts[1:])
    for folder in (there, here):
        yield folder / old.name
        yield from (name for name in names_in(folder) if name.suffix == ".journal")


def names_in(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return list(islice(folder.iterdir(), NAMES_MAX))
    return []


def is_journal(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return path.is_file() and path.stat().st_size > 0 and begins_with(path, SQLITE)
    return False


def is_of(entry: Entry, path: Path) -> bool:
    """Whether this journal is the one of that run."""
    from ..run.registry import rows_of
    from ..store.journal_reader import JournalReader

    with contextlib.suppress(BulkwriterError, OSError), JournalReader(path) as reader:
        identity = reader.identity()
        if (identity.base_url, identity.account or "") != (entry.base_url, entry.account):
            return False
        pairs = dict.fromkeys(pair for pair in reader.read_pairs(0, HEAD_ROWS) if pair is not None)
        return rows_of(pairs)[: len(entry.rows)] == entry.rows
    return False

"""Where pairs come from: CSV, TSV and JSON Lines files, standard input, and iterables, as batches of rows.

**CSV** (`.csv`, `.tsv`).  UTF-8, with or without a byte order mark; in other columns any encoding that is ASCII for
ASCII will do, such as Excel's plain "CSV", since ids are ASCII.  Lines end with LF, CRLF or CR.  The first line that
is not blank names the columns, or the line that `--header-line N` gives (counted from 1; what stands above it is
passed over). It tells which of `,` `;` tab and `|` parts them, whatever the file's suffix; a line `sep=;` above it
tells so too. Names may be in any case and order; white space, `_` and `-` in them do not count, all other columns are
ignored, and each wanted one must be there once.  Fields may be quoted, and other columns may then hold line ends (RFC
4180, strictly: text behind a closing quote makes a bad row).  Blank lines and lines of delimiters alone are no rows.
A row with more fields than the header is bad, since a stray delimiter may have moved the ids into each other's place,
unless those are empty; fewer fields will do as long as both ids are there.

**JSON Lines** (`.jsonl`, `.ndjson`).  One object a line, keys as CSV's columns; a key that is there twice is a bad
row.  Bytes that are no UTF-8 do not matter outside the ids here either.

**Ids** are whole numbers from 1 to 2^63-1 in ASCII digits, white space around them allowed, leading zeros too ("007" is
7).  No sign, point, exponent, underscore or thousands separator; `42.0` is none, since whatever made it may have
rounded others.  In JSON a number or a string of digits; from iterables an integer.  Which id is whose, and by which
names the columns go unless others are given, is said in `bulkwriter.entities`.

Each name may end with `.gz`.  `-` and pipes without a suffix are CSV, or JSON Lines where the first byte is `{` or
`[`. Workbooks, databases, web pages and other files that hold no such text are told by their first bytes (exit 6).

A row that is no pair never stops anything: it is a `BadRow` with its reason, and what follows is read on.  A record
longer than `line_bytes` is bad too; after it, and after broken quotes, reading goes on with the next line.  Only a
source as a whole raises `SourceError`: unreadable, cut, or without its columns.  Rows before a read error still come.

**A file that changes while it is read** ends the reading with exit 6: no row is handed on that was read, or read ahead,
after its inode, size or time of change differed from what they were when it was opened.  What was sent before is kept.
A file may grow between two starts: rows that were added at its end are taken then.  A last line without its line end
may be the first half of a row (`11,4` of `11,42`) in a file that is still being copied: it is believed when the file
has not changed for two seconds.  A pipe shows nothing of this: what comes out of it is believed.

Invariant: which rows come, their order and lines depend on the bytes alone, never on how they were cut into reads; the
journal of a resumed run rests on that.
"""

from __future__ import annotations

# The code, from the file to the rows:
#     files        opens a path                        identity     whether it is still the file that was opened
#     threaded     a thread that reads ahead           row_reader   blocks of bytes to lines to rows
#     kinds        what the first bytes tell           inputs       what a call of the library may be given
#     csvrows, header, columns, csv_records            CSV and TSV to rows
#     jsonrows     JSON Lines to rows                  iterables    a caller's own pairs to rows
#     ids          what an id is                       row_faults   why a row is no pair
#     batches      what all of them give
from .batches import Source
from .files import open_source
from .iterables import iterable_source

__all__ = ["Source", "iterable_source", "open_source"]

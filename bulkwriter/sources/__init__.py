"""Where pairs come from: files of text, workbooks, databases, standard input, and iterables, as batches of rows.

**CSV** (`.csv`, `.tsv`).  The encoding is UTF-8, with or without a byte order mark.  Ids are ASCII, so other columns
may have any encoding that keeps ASCII, such as Excel's plain "CSV".  Lines end with LF, CRLF or CR.  The first line
that is not blank names the columns.  With `--header-line N` it is line N, counted from 1, and lines above it are
skipped.

The header shows which of `,` `;` tab and `|` is the delimiter, whatever the file's suffix.  A line `sep=;` above it
decides instead.  Names may be in any case and order.  White space, `_` and `-` in them do not count.  Other columns are
ignored, and each wanted column must be there once.  Fields may be quoted, and other columns may then hold line ends
(RFC 4180, strictly: text after a closing quote makes a bad row).  Blank lines and lines of delimiters alone are no
rows.  A row with more fields than the header is bad, unless the extra fields are empty: a stray delimiter may have
moved the ids into each other's place.  A row may have fewer fields if both ids are there.

**JSON Lines** (`.jsonl`, `.ndjson`).  Each line holds one object, with the same keys as CSV's columns.  A key that is
there twice makes a bad row.  Bytes that are no UTF-8 do not matter outside the ids.

**Ids** are whole numbers from 1 to 2^63-1 in ASCII digits.  White space around them and leading zeros are allowed
("007" is 7).  A sign, point, exponent, underscore or thousands separator is not.  `42.0` is no id, since the program
that wrote it may have rounded others.  In JSON an id is a number or a string of digits; from iterables it is an
integer.  `bulkwriter.entities` says which id is which, and the default names of the columns.

**Tables** (`.xlsx`, `.xlsm`, SQLite, and with extras `.ods`, `.xls`, `.xlsb`, `.parquet`, DuckDB) are in `tables`.
Their ids follow the same rules.  A number cell, or a number with a point in a database, is an id if it is whole and
below 10^15, up to which doubles and spreadsheets are exact.

The name of a text may end with `.gz`.  `-` and pipes without a suffix are CSV, or JSON Lines if the first byte is `{`
or `[`.  Files that are something else than their names say are recognised by their first bytes (exit 6).

A row that is no pair never stops anything.  It is a `BadRow` with its reason, and reading goes on.  A record longer
than `line_bytes` is bad too.  After it, and after broken quotes, reading goes on with the next line.  Only a source as
a whole raises `SourceError`: it is unreadable, cut, or without its columns.  Rows before a read error still come.

**A file that changes while it is read** ends the reading with exit 6.  Its inode, size and time of change are compared
with those at its opening.  After a change no more rows are handed on, not even rows that were read ahead.  Requests
that were sent before stay valid.  A file may grow between two starts; the rows added at its end are then read.  A last
line without its line end may be the first half of a row (`11,4` of `11,42`) in a file that is still being copied.  It
is believed when the file has not changed for two seconds.  A pipe shows nothing of this, so its contents are believed.

Invariant: the bytes alone decide which rows come, in which order and with which line numbers.  How reads cut the bytes
does not matter.  The journal of a resumed run depends on that.
"""

from __future__ import annotations

# The code, from the file to the rows:
#     files        opens a path                        identity     whether it is still the file that was opened
#     threaded     a thread that reads ahead           row_reader   blocks of bytes to lines to rows
#     kinds        what the first bytes tell           inputs       what a call of the library may be given
#     csvrows, header, columns, csv_records            CSV and TSV to rows
#     jsonrows     JSON Lines to rows                  iterables    a caller's own pairs to rows
#     ids          what an id is                       row_faults   why a row is no pair
#     batches      what all of them give              tables       whole rows, with all columns
#     parts        which part of a job a row belongs to, and its rows as bytes
from .batches import Source
from .files import open_source
from .iterables import iterable_source

__all__ = ["Source", "iterable_source", "open_source"]

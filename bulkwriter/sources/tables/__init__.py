"""Whole rows of a source with all their own columns, for `resolve` and `export`; `open_source` gives pairs alone.

    with open_table("people.csv", TableOptions(), is_header=has_email) as table:    # blocking: use it in a thread
        header = table.header()              # names as they are written, the line they stand on, a hint where to look
        for piece in table.pieces():         # lists of rows, some hundred at a time, so that memory stays bounded
            for line, values in piece:       # the line (of a sheet: the row's number), and a text for each column
                ...

`values` are as long as `header.names`, or longer if a row has more fields than the header, or shorter if it has fewer.
Rows of nothing are no rows, as in a run.  A value that is `Flawed` is text too; its `why` says why no id may be made of
it.  A row that cannot be read (a broken quote, no JSON) has one value alone: its raw text, `Flawed`.

`is_header` judges whether some names are the ones that are looked for.  It chooses the delimiter of a CSV, and finds a
header below a title (`TableHeader.hint` then names the option).  Without it the delimiter is the one that gives most
names.  Names that are wanted and missing are the caller's business: `columns.places` compares names.

Invariant: line numbers and rows are the same that `open_source` gives for the same file and options.  The file is
watched as in a run: `SourceChanged` if it changes while it is read.

Pipes are refused, since the keys of JSON Lines are collected in a reading of its own before the rows.
"""

from __future__ import annotations

# rows         what all tables give                  options       how a file is to be read
# opening      which table a path is                 pairs         rows to pairs
# text_table   CSV and JSON Lines                    csv_records, json_records   their text to rows
# xlsx_table   a sheet of a workbook                 sheet_choice  which sheet
# xlsx_workbook, shared_texts   an archive's parts   xlsx_look, xlsx_rows   the XML of a sheet to rows
# spool_table, spool_child   databases and older workbooks, read by a child process
# named_rows   the header of a sheet                 cell_values   numbers and dates as texts
# xml_events   expat with bounds                     disguises     files that are not what they are called
from ..row_faults import Flawed
from .opening import open_table
from .options import TableOptions
from .rows import Table, TableHeader, TableRow

__all__ = ["Flawed", "Table", "TableHeader", "TableOptions", "TableRow", "open_table"]

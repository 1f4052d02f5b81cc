"""The journal's format, version 2.  Anyone can read it:  sqlite3 -readonly FILE 'SELECT * FROM outcome LIMIT 9'

`PRAGMA application_id` is 0x62776A6C.  `PRAGMA user_version` is the format's version; a reader refuses any other one.

Table `pair` has one row for each record of the source.  No row is deleted, but those of single pairs may be pruned.
    seq          0-based place in the source, without gaps.  Pairs given one by one count from 2^40
    state        0 pending, 1 intent, 2 in doubt, 3 created, 4 existing, 5 rejected, 6 failed, 7 invalid, 8 duplicate
    id_a, id_b   the two ids, in the order of meta `columns`; NULL if the row is no pair
    line         1-based line of the source on which the record starts, or NULL
    attempts     number of requests of which at least one byte was written
    record_id    the server's id of the record, if known; in a doubt: an undo began to delete that record
    http_status  status of the reply that told the state, or NULL: a look told it
    detail       JSON or NULL, by the kind of row:
                 a reply        {"errors": [[property, message], …], "message": …}, as the server said it
                 an invalid row {"reason": …, "raw": …, "kind": …}; the kind is the reason without this row's values,
                                left out if it is the same text
                 an intent      {"floor": …}, also in a doubt: the highest record id on the server that was known
                                before the request; a newer record of the pair was made by this run
                 a doubt        {"message": …, "floor": …, "named": [record id, when]}; the id of a record that the
                                reply named, though it is not above the floor, or 0, and when the request was sent
                 an undone row  {"undone": …, "message": …}: pending again, since an undo deleted this record of it

View `outcome` shows the same with states in words.  It shows an intent as `in_doubt`, since only its sender knows more.

Table `meta` has a key and a value (text) a row.  Values marked JSON are JSON.
    base_url, account    the server; account is "" for none
    columns              JSON: the names of the two columns of the source
    entity               what is written: the label of an entity, see entities/; if missing, that of ORIGINAL
    created_at           when the journal was made
    version              the bulkwriter that made it
    run                  JSON: the size of the source, the rate of the run, its quotas; see run/notes.py
    origin               JSON: the path of the source and how it was read; see store/starts.py
    source, last_start   JSON: the number of rows; when and why the last start ended; see store/starts.py
    pruned               JSON: how many settled rows of single pairs were dropped; see store/pruned.py
    undone               JSON: when the last undo was, after which start, and how many records were deleted
    has_rising_ids       "no" once a newer record had a lower id
    began                JSON: the state of the server when the run began; see listing/baseline.py
    steps_left_out       how many steps of records are not in table `step`

Table `history` has about a row a minute of each start, and its first and last moment.  Times are epoch seconds.  All
counts are those of the whole run, except `start`.  See store/history.py for how it is kept small.
    id                   ascending in the order of writing
    start                1-based number of the start, which is one process
    at, server_at        when, by the clock on the wall and by the server's; NULL while that is not known
    created … duplicates rows by state at that moment; an intent counts as pending
    next_seq, next_single_seq   the lowest seqs that no row of the source, and no single pair, had yet
    attempts, throttled  requests of which at least one byte was written; those that the server throttled
    in_flight, in_flight_limit, allowed_per_s   requests under way, how many may be, and how many a second; or NULL
    held, held_s         what holds the run back; JSON: for how many seconds each cause has done so
    spent                JSON: requests of the account in each long quota, by its text, at that moment; or NULL
    steps, causes        JSON: how often each step was taken; how often attempts were lost, by cause; or NULL
    ended                why the start ended, in its last row: a code of `last_start`

Table `step` has the steps of records whose way was no plain success, at most 200,000 of them.
    id                   ascending in the order of writing
    seq, at              the record; when, epoch seconds
    step                 see `RecordStep` in rows.py
    status, word         HTTP status; a fault of the network, or the property that a refusal names; or NULL
    record_id, state     the record that a look found; the state in which the row is settled; or NULL
    took_s, wait_s       how long the attempt took, and the wait that the server asked for; or NULL

Index `pair_by_ids` exists only where pairs were often given again one by one.

Nothing here is secret, and no token is ever stored.  WAL mode: a copy needs FILE and FILE-wal together.
Not here: how rows are written (`journal`) and read (`journal_rows`).  Source: sqlite.org/fileformat2.html.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import orjson

from ..model import FieldError, Pair, State, column_key
from ..rows import Named, text_of

APPLICATION_ID: Final = 0x62776A6C  # "bwjl"
FORMAT: Final = 2

_WORDS: Final = " ".join(f"WHEN {s.value} THEN '{s.word}'" for s in State)
CREATE: Final = (
    """CREATE TABLE pair(
        seq INTEGER PRIMARY KEY, state INTEGER NOT NULL, id_a INTEGER, id_b INTEGER, line INTEGER,
        attempts INTEGER NOT NULL DEFAULT 0, record_id INTEGER, http_status INTEGER, detail TEXT)""",
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    f"""CREATE VIEW outcome AS
        SELECT seq, line, id_a, id_b, CASE state {_WORDS} END AS state, attempts, record_id, http_status, detail
        FROM pair""",  # noqa: S608 our own words
    """CREATE TABLE history(
        id INTEGER PRIMARY KEY, start INTEGER NOT NULL, at REAL NOT NULL, server_at REAL,
        created INTEGER NOT NULL, existing INTEGER NOT NULL, rejected INTEGER NOT NULL, failed INTEGER NOT NULL,
        in_doubt INTEGER NOT NULL, pending INTEGER NOT NULL, invalid INTEGER NOT NULL, duplicates INTEGER NOT NULL,
        next_seq INTEGER NOT NULL, next_single_seq INTEGER NOT NULL, attempts INTEGER NOT NULL,
        throttled INTEGER NOT NULL, in_flight INTEGER NOT NULL, in_flight_limit INTEGER NOT NULL, allowed_per_s REAL,
        held TEXT NOT NULL, held_s TEXT NOT NULL, spent TEXT, steps TEXT, causes TEXT, ended TEXT)""",
    """CREATE TABLE step(
        id INTEGER PRIMARY KEY, seq INTEGER NOT NULL, at REAL NOT NULL, step INTEGER NOT NULL, status INTEGER,
        word TEXT, record_id INTEGER, state INTEGER, took_s REAL, wait_s REAL)""",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {FORMAT}",
)
RISING_IDS: Final = "has_rising_ids"
"""Key of `meta`: "no" once a run saw that the server's ids do not rise."""
HAS_PAIR_INDEX: Final = "SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = 'pair_by_ids'"
CREATE_PAIR_INDEX: Final = "CREATE INDEX IF NOT EXISTS pair_by_ids ON pair(id_a, id_b)"


class JournalIdentity(NamedTuple):
    """What a journal belongs to.  `base_url` is normalised; `columns` are the source's names of the two ids.

    `entity` is the label of what is written.
    """

    base_url: str
    account: str
    columns: tuple[str, str]
    entity: str

    @classmethod
    def of(cls, base_url: str, account: str | None, columns: tuple[str, str], entity: str) -> JournalIdentity:
        return cls(normal_url(base_url), account or "", columns, entity)

    @property
    def place(self) -> str:
        """The server and the account, for people."""
        return self.base_url + (f" (account {self.account})" if self.account else "")

    def has_columns(self, columns: tuple[str, str]) -> bool:
        """Whether these are the same columns, as sources compare them."""
        return [*map(column_key, self.columns)] == [*map(column_key, columns)]


def normal_url(base_url: str) -> str:
    """The URL with scheme and host in lower case, without default port and trailing slash."""
    parts = urlsplit(base_url)
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, {"http": 80, "https": 443}.get(parts.scheme)) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}"


class ExportRow(NamedTuple):
    """A whole row for people.  `message` is the server's, or the reason why the row is no pair; `raw` is its text."""

    seq: int
    line: int | None
    pair: Pair | None
    state: State
    attempts: int
    record_id: int | None
    http_status: int | None
    errors: tuple[FieldError, ...]
    message: str
    raw: str
    floor: int | None
    undone: int | None = None
    named: Named | None = None


EXPORT_COLUMNS: Final = "seq, line, id_a, id_b, state, attempts, record_id, http_status, detail"


def export_row(row: Sequence[int | str | None]) -> ExportRow:
    """An `ExportRow` from the columns `EXPORT_COLUMNS`.  Raises `ValueError` if they cannot be one."""
    seq, line, id_a, id_b, state, attempts, record_id, http_status, detail = row
    pair = None if id_a is None or id_b is None else Pair(id_a, id_b)  # type: ignore[arg-type]
    detail_parts = read_detail(detail)  # type: ignore[arg-type]
    return ExportRow(seq, line, pair, State(state), attempts, record_id, http_status, *detail_parts)  # type: ignore[arg-type]


class Detail(NamedTuple):
    """The contents of a row's `detail`: the last fields of `ExportRow`, with the same meaning."""

    errors: tuple[FieldError, ...] = ()
    message: str = ""
    raw: str = ""
    floor: int | None = None
    undone: int | None = None
    named: Named | None = None


NOTHING_TOLD: Final = Detail()


def read_detail(text: str | None) -> Detail:
    """Read a `detail` that a function of `rows` has written, or None.  Raises `ValueError` for anything else."""
    if text is None:
        return NOTHING_TOLD
    parts = parsed_detail(text)
    errors = tuple(FieldError(*error) for error in parts.get("errors", ()))
    said = parts.get("reason") or parts.get("message", "")
    named = Named(*parts["named"]) if "named" in parts else None
    return Detail(errors, said, parts.get("raw", ""), parts.get("floor"), parts.get("undone"), named)


def reason_of(text: str | None) -> tuple[str, str]:
    """The reason of a rejected, failed or invalid row from its `detail`, and its kind if that is another text."""
    if text is None:
        return "", ""
    parts = parsed_detail(text)
    return parts.get("reason") or text_of(parts.get("errors", ()), parts.get("message", "")), parts.get("kind", "")


def parsed_detail(text: str) -> dict[str, Any]:
    """The object of a `detail`.  Raises `ValueError` unless each part has its type."""
    parts = orjson.loads(text)
    if type(parts) is not dict:
        raise ValueError(f"a detail is no object: {text[:40]!r}")
    errors = parts.get("errors", [])
    is_told = all(type(parts.get(name, "")) is str for name in ("reason", "message", "raw", "kind"))
    ids = (parts.get("floor"), parts.get("undone"))
    has_ids = all(record_id is None or (type(record_id) is int and record_id >= 0) for record_id in ids)
    has_named = "named" not in parts or is_named(parts["named"])
    if not (is_told and has_ids and has_named and type(errors) is list and all(map(is_field_error, errors))):
        raise ValueError(f"a detail is not as it was written: {text[:40]!r}")
    return parts


def is_named(named: object) -> bool:
    """Whether this is a record id and a time."""
    return type(named) is list and [*map(type, named)] == [int, float] and named[0] >= 0


def is_field_error(error: object) -> bool:
    """Whether this is a property and a message."""
    return type(error) is list and len(error) == 2 and all(type(text) is str for text in error)

"""Damages journals and ledgers at random, and says of each what SQLite or a row's own bounds can show.

`Place` makes a source, a journal that knows every state, a ledger, and a stub that holds the records of both, and asks
commands about them in this process.  `harm_journal` and `harm_ledger` damage one file of it, by one of `FILE_HARMS`
(bytes, pages, length) or by SQL (`edit_cell`, with values of any type).  `cells` judges it by SQLite's integrity check
and by bounds written down here a second time, cell by cell in plain Python, so that a slip in the product's SQL is
found.

The rule (`wrong`): never a bug of ours (70); where the damage can be shown, exit 5 with the recovery words, from every
command; else counts and pairs are those of the cells.  Not here: how many, and with which seeds (`campaigns.damage`).
"""

from __future__ import annotations

import contextlib
import csv
import faulthandler
import io
import json
import os
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bulkwriter.cli.main import main
from bulkwriter.model import SINGLE_SEQ, State
from bulkwriter.quota.ledger import account_key
from bulkwriter.rows import doubt_detail, intent_detail, outcome_detail
from bulkwriter.store.journal import Journal
from bulkwriter.store.schema import CREATE_PAIR_INDEX, FORMAT
from bulkwriter.stub.thread import StubThread
from tests.conftest import CANARY
from tests.support.quota_desk import fill_ledger

ROWS = 600
COLUMNS = ("CourseLessonId", "CourseMemberId")
PAGE = 4_096
FIRST_ID = 1_000
STUCK_S = 60.0
"""No command takes so long here: the process is left with a traceback."""
WAITS = ("--quota=write:100000/day", "--on-quota=stop", "--doubt-wait=0.1", "--give-up-after=5")
WORDS = "--after-loss"
OTHER_VERSION = ("use the bulkwriter that wrote it", "with the bulkwriter that began it")
ANOTHER = ("belongs to", "made from", " records, ", "a detail", "'began'", "table meta")
"""Words of an answer about a journal of other records, or about text in it that only who reads it can judge."""
STATES = [s.word for s in State if s is not State.INTENT]
Said = tuple[int, str, str]


class Place:
    """A folder with `pairs.csv`, its journal and a ledger, as a killed run left them; `again` makes them anew."""

    def __init__(self, folder: Path, server: StubThread) -> None:
        self.folder, self.server = folder, server
        self.source, self.journal = folder / "pairs.csv", folder / "pairs.csv.journal"
        self.ledger = folder / "state" / "ledger"
        self._kept = folder.with_name(folder.name + "-kept")
        folder.mkdir()
        self._make()
        shutil.copytree(folder, self._kept)

    def again(self, *, with_wal: bool) -> None:
        """Everything as it was made.  Without the -wal the journal is one that was closed in order."""
        shutil.rmtree(self.folder)
        shutil.copytree(self._kept, self.folder)
        if not with_wal:
            opened(self.journal, self.server.base_url).close()
        self.server.reset()

    def ask(self, *args: str) -> Said:
        """Exit code, stdout and stderr of a command."""
        out, err = io.StringIO(), io.StringIO()
        faulthandler.dump_traceback_later(STUCK_S, exit=True, file=2)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(args, {**os.environ})
        faulthandler.cancel_dump_traceback_later()
        return code, out.getvalue(), err.getvalue()

    def commands(self) -> dict[str, tuple[str, ...]]:
        """Command lines by name, in an order in which those that write come last."""
        journal, url = str(self.journal), f"--base-url={self.server.base_url}"
        asking = (url, *WAITS, f"--ledger={self.ledger}", "--json")
        return {
            "status": ("status", journal, "--json"),
            "export": ("export", journal, "--state", ",".join(STATES), "--output", "-"),
            "verify": ("verify", journal, *asking),
            "plan": ("plan", str(self.source), *asking),
            "dry run": ("run", str(self.source), *asking, "--dry-run"),
            "would undo": ("undo", journal, *asking, "--dry-run"),
            "run": ("run", str(self.source), *asking, "--progress=none"),
            "undo": ("undo", journal, *asking, "--yes"),
        }

    def _make(self) -> None:
        rows = ["x,y" if seq % 97 == 5 else "{},{}".format(*pair_of(seq)) for seq in range(ROWS)]
        self.source.write_text("\n".join([",".join(COLUMNS), *rows, ""]), encoding="ascii")
        journal = opened(self.journal, self.server.base_url)
        journal.append([(seq, *(pair_of(seq)), seq + 2, State.INTENT, intent_detail(3)) for seq in range(5)])
        journal.append([appended(seq) for seq in range(5, ROWS // 2)])
        journal.settle([settled(seq) for seq in range(ROWS // 2) if seq % 97 != 5])
        with contextlib.closing(sqlite3.connect(self.journal)) as other:  # half of it is no longer in the -wal
            other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        journal.append([appended(seq) for seq in range(ROWS // 2, ROWS)])
        journal.settle([settled(seq) for seq in range(ROWS // 2, ROWS) if seq % 97 != 5])
        journal.meta_set("run", json.dumps({"rows": ROWS, "is_exact": True, "rate_per_s": 3.5, "at": 1.0e9}))
        journal.meta_set("began", json.dumps({"at": 1.0e9, "floor": 3, "newest_on": None}))
        saved = self.folder / "saved"
        saved.mkdir()
        for end in ("", "-wal"):
            shutil.copy(f"{self.journal}{end}", saved)
        journal.close()
        for file in saved.iterdir():
            file.replace(self.folder / file.name)
        saved.rmdir()
        fill_ledger(self.ledger, account_key(self.server.base_url, None))


def opened(path: Path, url: str) -> Journal:
    return Journal.open(path, base_url=url, account=None, columns=COLUMNS)


def pair_of(seq: int) -> tuple[int, int]:
    seq -= seq % 89 == 7  # now and then the same pair as the row before
    return 1 + seq % 10, 1 + seq // 10


def appended(seq: int) -> tuple[int, int | None, int | None, int, int, str | None]:
    if seq % 97 == 5:
        return seq, None, None, seq + 2, State.INVALID, '{"reason":"no number","raw":"x,y"}'
    return (seq, *pair_of(seq), seq + 2, State.DUPLICATE if seq % 89 == 7 else State.INTENT, intent_detail(3))


def settled(seq: int) -> tuple[int, int, int, int | None, int | None, str | None]:
    """Mostly created; the server's records are `records`."""
    refused = outcome_detail([], "no such member")
    match seq % 23:
        case _ if seq % 89 == 7:
            return seq, State.DUPLICATE, 0, None, None, None
        case 1:
            return seq, State.EXISTING, 0, FIRST_ID + seq, None, None
        case 2:
            return seq, State.REJECTED, 1, None, 400, refused
        case 3:
            return seq, State.FAILED, 5, None, 503, outcome_detail((), "5 attempts")
        case 4:
            return seq, State.IN_DOUBT, 1, None, None, doubt_detail("lost", 3)
        case 5:
            return seq, State.INTENT, 0, None, None, intent_detail(3)
        case 6:
            return seq, State.PENDING, 0, None, None, None
    return seq, State.CREATED, 1, FIRST_ID + seq, 200, None


def server() -> StubThread:
    """A stub whose record ids are `FIRST_ID` + seq of the rows above that have one."""
    there = [(99, 1 + seq) if seq % 97 == 5 or seq % 89 == 7 else pair_of(seq) for seq in range(ROWS)]
    return StubThread({"tokens": [CANARY], "existing": there, "first_id": FIRST_ID})


# ---- damage


def flip(place: Path, rng: random.Random) -> str:
    raw = bytearray(place.read_bytes())
    places = [rng.randrange(len(raw)) for _ in range(rng.choice((1, 1, 1, 3, 20)))]
    for at in places:
        raw[at] ^= 1 << rng.randrange(8)
    place.write_bytes(raw)
    return f"{len(places)} bits flipped, the first in byte {places[0]}"


def flip_head(place: Path, rng: random.Random) -> str:
    raw = bytearray(place.read_bytes())
    at = min(rng.randrange(len(raw) // PAGE + 1) * PAGE + rng.randrange(120), len(raw) - 1)
    raw[at] ^= 1 << rng.randrange(8)
    place.write_bytes(raw)
    return f"a bit flipped near a page's head, byte {at}"


def zero_page(place: Path, rng: random.Random) -> str:
    return overwrite(place, rng, bytes(PAGE), "zeroed")


def fill_page(place: Path, rng: random.Random) -> str:
    return overwrite(place, rng, rng.randbytes(PAGE), "filled with noise")


def overwrite(place: Path, rng: random.Random, what: bytes, word: str) -> str:
    raw = bytearray(place.read_bytes())
    page = rng.randrange(max(1, len(raw) // PAGE))
    raw[page * PAGE : (page + 1) * PAGE] = what[: len(raw) - page * PAGE]
    place.write_bytes(raw)
    return f"page {page} {word}"


def cut(place: Path, rng: random.Random) -> str:
    size = place.stat().st_size
    left = rng.choice((0, rng.randrange(size), rng.randrange(size // PAGE + 1) * PAGE, size - 1))
    os.truncate(place, left)
    return f"cut to {left} of {size} bytes"


def swap_pages(place: Path, rng: random.Random) -> str:
    raw = bytearray(place.read_bytes())
    a, b = (rng.randrange(max(1, len(raw) // PAGE)) * PAGE for _ in range(2))
    one, other = bytes(raw[a : a + PAGE]), bytes(raw[b : b + PAGE])
    if len(one) == len(other):
        raw[a : a + PAGE], raw[b : b + PAGE] = other, one
    place.write_bytes(raw)
    return f"pages {a // PAGE} and {b // PAGE} swapped"


def repeat_page(place: Path, rng: random.Random) -> str:
    raw = bytearray(place.read_bytes())
    a, b = (rng.randrange(max(1, len(raw) // PAGE)) * PAGE for _ in range(2))
    raw[b : b + PAGE] = raw[a : a + PAGE]
    place.write_bytes(raw)
    return f"page {a // PAGE} written over page {b // PAGE}"


FILE_HARMS: tuple[Callable[[Path, random.Random], str], ...] = (
    flip, flip, flip_head, flip_head, zero_page, fill_page, cut, swap_pages, repeat_page,
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, -1, 0, 1, 3, 7, 9, 10, 42, 600, 2**63 - 1, -(2**63), 1.5, 1e300, float("inf"), "", "x", "3", "[]", "[1]",
    "{}", "null", '{"errors":3}', '{"errors":[[1,2]]}', '{"floor":"x"}', '{"floor":-4}', '{"message":5}',
    '{"rows":"many"}', "Ω", b"", b"\xff\xfe", b"3",
)  # fmt: skip


def edit_cell(path: Path, rng: random.Random, tables: Mapping[str, tuple[str, tuple[str, ...]]]) -> str:
    """One cell, or a whole column, gets a value of any type; text that is no UTF-8 too."""
    table = rng.choice(list(tables))
    key, columns = tables[table]
    column, value = rng.choice(columns), rng.choice(VALUES)
    what = "CAST(x'ff41' AS TEXT)" if rng.random() < 0.1 else "?"
    with contextlib.closing(sqlite3.connect(path)) as db:
        count = db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        one = f"WHERE ({key}) = (SELECT {key} FROM {table} LIMIT 1 OFFSET {rng.randrange(count)})"
        where = "" if rng.random() < 0.1 else one
        with contextlib.suppress(sqlite3.IntegrityError):
            db.execute(f"UPDATE {table} SET {column} = {what} {where}", (value,) if what == "?" else ())
            db.commit()
    return f"{table}.{column} = {repr(value) if what == '?' else what} {where}"


JOURNAL_CELLS = {
    "pair": ("seq", ("seq", "state", "id_a", "id_b", "line", "attempts", "record_id", "http_status", "detail")),
    "meta": ("key", ("key", "value", "value")),
}
LEDGER_CELLS = {
    "spent": ("boot, minute, kind", ("account", "boot", "minute", "kind", "count", "ended")),
    "learnt": ("kind", ("kind", "most", "until", "try_at", "tries", "stretch")),
}


def edit_journal(path: Path, rng: random.Random) -> str:
    return edit_cell(path, rng, JOURNAL_CELLS)


def edit_ledger(path: Path, rng: random.Random) -> str:
    return edit_cell(path, rng, LEDGER_CELLS)


STATEMENTS = (
    "DELETE FROM pair WHERE seq = 17",
    "DELETE FROM pair WHERE seq < 5",
    "UPDATE pair SET seq = 5000 WHERE seq = 40",
    "UPDATE pair SET seq = -4 WHERE seq = 40",
    f"UPDATE pair SET seq = {SINGLE_SEQ} WHERE seq = 40",
    "UPDATE pair SET record_id = NULL WHERE state = 3",
    "UPDATE pair SET id_a = NULL WHERE seq = 31",
    "ALTER TABLE pair RENAME COLUMN id_a TO id_z",
    "DROP TABLE meta",
    "DROP VIEW outcome",
    "PRAGMA user_version = 9",
    "PRAGMA application_id = 5",
    "DELETE FROM meta WHERE key = 'columns'",
    "DELETE FROM meta WHERE key = 'created_at'",
    "UPDATE meta SET value = x'00ff' WHERE key = 'began'",
    """UPDATE meta SET value = '{"rows":[],"rate_per_s":"x","quota":7}' WHERE key = 'run'""",
    CREATE_PAIR_INDEX
    + "; PRAGMA writable_schema = ON; UPDATE sqlite_master SET rootpage = 3 WHERE name = 'pair_by_ids'",
)


def run_sql(path: Path, rng: random.Random) -> str:
    statement = rng.choice(STATEMENTS)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(statement)
    return statement


def cut_wal(path: Path, rng: random.Random) -> str:
    return "-wal: " + cut(path.with_name(path.name + "-wal"), rng)


def harm_wal(path: Path, rng: random.Random) -> str:
    return "-wal: " + rng.choice(FILE_HARMS)(path.with_name(path.name + "-wal"), rng)


def harm_journal(place: Place, rng: random.Random) -> str:
    """Damage the journal in one way; says which."""
    kind = rng.choice(("file", "file", "file wal", "cell", "cell", "cell", "sql", "cut wal", "harm wal"))
    place.again(with_wal="wal" in kind)
    steps = {"cell": edit_journal, "sql": run_sql, "cut wal": cut_wal, "harm wal": harm_wal}
    return steps.get(kind, rng.choice(FILE_HARMS))(place.journal, rng)


def harm_ledger(place: Place, rng: random.Random) -> str:
    """Damage the ledger, or one of the files beside it; says which."""
    place.again(with_wal=False)
    if rng.random() < 0.4:
        return edit_ledger(place.ledger, rng)
    if rng.random() < 0.2:
        os.truncate(place.ledger, 0)
        return "emptied"
    return rng.choice(FILE_HARMS)(place.ledger, rng)


# ---- what can be shown of it


def cells(path: Path) -> list[tuple[Any, ...]] | None:
    """All rows of the journal, or None where SQLite, or a row's own bounds, show that it is damaged.

    Reads a copy, since even a reader may change what lies beside a journal.
    """
    folder = path.parent / "judged"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for end in ("", "-wal"):
        if Path(f"{path}{end}").exists():
            shutil.copy(f"{path}{end}", folder)
    copy = folder / path.name
    try:
        if is_emptied(copy):
            return None
        with contextlib.closing(sqlite3.connect(copy)) as db:
            if db.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
                return None
            names = "seq, state, id_a, id_b, line, attempts, record_id, http_status, detail"
            rows = db.execute(f"SELECT {names} FROM pair ORDER BY seq").fetchall()
            meta = dict(db.execute("SELECT key, value FROM meta"))
            marks = [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
    except (sqlite3.Error, ValueError, OverflowError):
        return None
    seqs = [row[0] for row in rows]
    source = [seq for seq in seqs if seq < SINGLE_SEQ]
    is_whole = source == list(range(len(source))) and seqs[len(source) :] == [
        SINGLE_SEQ + i for i in range(len(seqs) - len(source))
    ]
    is_good = is_whole and marks == [0x62776A6C, FORMAT] and is_meta(meta) and all(map(is_row, rows))
    return rows if is_good else None


def is_emptied(path: Path) -> bool:
    wal = path.with_name(path.name + "-wal")
    return not path.stat().st_size and wal.exists() and wal.stat().st_size > 0


def is_int(value: Any, low: int, high: int = 2**63 - 1) -> bool:
    return type(value) is int and low <= value <= high


def is_row(row: tuple[Any, ...]) -> bool:
    _, state, id_a, id_b, line, attempts, record_id, http_status, detail = row
    return (
        is_int(state, 0, 8)
        and ((id_a is None and id_b is None) if state == 7 else is_int(id_a, 1) and is_int(id_b, 1))
        and (line is None or is_int(line, 1))
        and is_int(attempts, 0, 10**9)
        and (is_int(record_id, 1) if state == 3 else record_id is None or (state < 5 and is_int(record_id, 1)))
        and (http_status is None or is_int(http_status, 0, 999))
        and (detail is None or is_detail(detail))
    )


def is_detail(text: Any) -> bool:
    try:
        return isinstance(text, str) and isinstance(json.loads(text), dict)
    except ValueError:
        return False


def is_meta(meta: dict[Any, Any]) -> bool:
    needed = {"base_url", "account", "columns", "created_at"} <= meta.keys()
    if not needed or not all(type(text) is str for pair in meta.items() for text in pair):
        return False
    try:
        columns = json.loads(meta["columns"])
    except ValueError:
        return False
    return isinstance(columns, list) and len(columns) == 2 and all(type(name) is str for name in columns)


# ---- what a command may say of it


def wrong(name: str, said: Said, rows: list[tuple[Any, ...]] | None, *, is_lost: bool = False) -> str:
    """What is wrong with a command's answer about a journal, or "".

    `is_lost`: it has no bytes, and no -wal beside it.  A start that was killed while it made its journal leaves the
    same, so a run begins anew, and says what to do where it was lost.
    """
    code, out, err = said
    if code == 70 or "bug:" in err or "Traceback" in err:
        return f"exit {code}"
    if rows is None:
        is_told = any(words in err for words in (WORDS, *OTHER_VERSION, "made from the columns"))
        return "" if is_told and (code in (5, 6) or (is_lost and name == "run")) else f"damage passed with {code}"
    if code == 5 and name != "undo":
        return "" if any(words in err for words in ANOTHER) else "5, and nothing shows damage"
    if name == "status":
        return "" if counted(json.loads(out)) == counts_of(rows) else "untrue counts"
    if name == "export" and code == 0:
        printed = Counter((row[0], row[1], row[7]) for row in list(csv.reader(io.StringIO(out)))[1:])
        return "" if printed == Counter(map(exported, rows)) else "untrue pairs"
    return ""


def counted(said: dict[str, Any]) -> list[int]:
    names = ("pending", "in_doubt", "created", "existing", "rejected", "failed", "invalid", "duplicates")
    return [said[name] for name in names]


def counts_of(rows: list[tuple[Any, ...]]) -> list[int]:
    found = Counter(row[1] for row in rows)
    return [found[0], found[1] + found[2], *(found[state] for state in range(3, 9))]


def exported(row: tuple[Any, ...]) -> tuple[str, str, str]:
    _, state, id_a, id_b, *_ = row
    return str(id_a or ""), str(id_b or ""), State(state).word


def wrong_of_ledger(name: str, said: Said, *, is_shown: bool) -> str:
    """What is wrong with a command's answer beside a damaged ledger, or "".  `status` and `export` do not need it."""
    code, _, err = said
    if code == 70 or "bug:" in err or "Traceback" in err:
        return f"exit {code}"
    if name in ("status", "export"):
        return "" if code == 0 else f"{code} for a ledger"
    if is_shown and name not in ("dry run", "would undo"):
        is_told = "ledger" in err and ("--ledger" in err or "use the bulkwriter that wrote it" in err)
        return "" if code == 5 and is_told else f"damage passed with {code}"
    return "5, and nothing shows damage" if code == 5 else ""

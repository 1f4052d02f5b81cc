"""The ledger on a disk: durable when it says so, private, shared, purged; else an error with a next step."""

from __future__ import annotations

import contextlib
import itertools
import os
import resource
import signal
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bulkwriter.errors import Exit, JournalError, LedgerError
from bulkwriter.quota.account import Account
from bulkwriter.quota.exchange import Answer, Ask, BootPlace, LedgerRows, ShortRow, SpentRow
from bulkwriter.quota.ledger import (
    APPLICATION_ID,
    CREATE_LEARNT,
    SqliteLedger,
    account_key,
    ledger_path,
    make_private,
    read_ledger,
    refuse_emptied,
)
from bulkwriter.quota.throttles import Learnt
from bulkwriter.quota.windows import windows_of
from tests.support.quota_desk import HERE, HOLD_S, clocks

NOW = 330.0
"""In minute 5 of the boot."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger"


NUMBERS = itertools.count(1)
WRITES = frozenset({"write"})


def opened(path: Path, *, account: str = "a", place: BootPlace = HERE) -> SqliteLedger:
    windows = windows_of(["write:100/hour", "write:2/s"], is_loopback=False)
    return SqliteLedger.open(path, account, Account(windows, place), place)


def asked(ledger: SqliteLedger, client: str = "c", **said: Any) -> Answer:
    said = {"number": next(NUMBERS), "now": NOW, "clocks": clocks(NOW), "hold_s": HOLD_S, **said}
    return ledger.exchange(Ask(client=client, **said))


def add(ledger: SqliteLedger, kind: str = "write", minute: int = 5, count: int = 1) -> None:
    asked(ledger, ended={(kind, 60.0 * minute + 30.0): count})


def rows(path: Path, account: str = "a") -> list[SpentRow]:
    return list(read_ledger(path, account).spent.values())


def test_what_an_exchange_returned_is_on_the_disk(path: Path) -> None:
    ledger = opened(path)
    add(ledger, count=20)
    # another reader sees it, and so it would be after a kill: nothing has been closed
    zero = clocks(0.0).wall
    assert rows(path) == [SpentRow(HERE, "", "write", 5, 20, zero + 360.0)]
    ledger.close()
    ledger.close()


def test_the_disk_is_waited_for_and_several_processes_may_write(path: Path) -> None:
    ledger = opened(path)
    asked = ("journal_mode", "synchronous", "fullfsync")
    assert [ledger._db.execute(f"PRAGMA {name}").fetchone()[0] for name in asked] == ["persist", 2, 1]
    ledger.close()


def test_only_its_owner_may_read_it(path: Path) -> None:
    old = os.umask(0)
    try:
        add(opened(path))
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name


def test_accounts_and_kinds_are_apart(path: Path) -> None:
    one, other = opened(path), opened(path, account="b")
    add(one, count=1)
    add(other, count=2)
    add(one, kind="read", count=3)
    assert sorted((row.kind, row.requests) for row in rows(path)) == [("read", 3), ("write", 1)]
    assert [row.requests for row in rows(path, "b")] == [2]
    one.close()
    other.close()


def test_a_write_of_another_process_is_noticed(path: Path) -> None:
    one, other = opened(path), opened(path)
    add(one, count=60)
    add(other, count=40)
    blocked = asked(one, wants=WRITES).blocked["write"]
    assert blocked.window is not None
    assert blocked.window.text == "write:100/hour"
    one.close()
    other.close()


def test_old_rows_of_all_accounts_go(path: Path) -> None:
    ledger, other = opened(path), opened(path, account="b")
    for minute in (1, 9):
        add(ledger, minute=minute)
        add(other, minute=minute)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE spent SET boot = 'boot-0' WHERE account = 'b'")
        db.commit()
    ledger._db.execute("BEGIN")
    ledger._forget(5, None)
    ledger._db.execute("COMMIT")
    assert [row.minute for row in rows(path)] == [9]
    assert [row.minute for row in rows(path, "b")] == [1, 9]  # of other boots nothing, while the clock is unknown
    ledger._db.execute("BEGIN")
    ledger._forget(5, clocks(0.0).wall + 300.0)
    ledger._db.execute("COMMIT")
    assert [row.minute for row in rows(path, "b")] == [9]
    for one in (ledger, other):
        one.close()


def test_what_is_learnt_is_kept(path: Path) -> None:
    ledger = opened(path)
    learnt = Learnt(2_500, 10.0, 20.0, 1, 0)
    keep(ledger, LedgerRows(learnt={"write": learnt}))
    assert read_ledger(path, "a").learnt == {"write": learnt}
    assert read_ledger(path, "b").learnt == {}
    ledger.close()


def keep(ledger: SqliteLedger, changes: LedgerRows) -> None:
    ledger._db.execute("BEGIN")
    ledger._keep(changes)
    ledger._db.execute("COMMIT")


def test_a_row_is_as_it_was_written_last_and_one_without_requests_is_gone(path: Path) -> None:
    ledger = opened(path)
    for count, found in ((3, [3]), (7, [7]), (0, [])):
        row = SpentRow(HERE, "", "write", 5, count)
        keep(ledger, LedgerRows(spent={row[:4]: row}))
        assert [row.requests for row in rows(path)] == found
    ledger.close()


def test_an_exchange_that_fails_leaves_nothing_and_ends_the_ledger(path: Path) -> None:
    class Broken(Account):
        def exchange(self, ask: Ask, rows: LedgerRows | None, **how: Any) -> tuple[Answer, LedgerRows]:
            answer, changes = super().exchange(ask, rows, **how)
            changes.short = ShortRow(HERE, NOW, None)  # type: ignore[arg-type]
            return answer, changes

    ledger = SqliteLedger.open(path, "a", Broken(windows_of(["write:9/day"], is_loopback=False), HERE), HERE)
    with pytest.raises(JournalError, match="CONSTRAINT"):
        add(ledger)
    assert rows(path) == []
    with pytest.raises(JournalError) as after:
        add(ledger)
    assert after.value.exit_code == Exit.JOURNAL
    ledger.close()


# ---- an older format


def older(path: Path) -> None:
    """A ledger of format 2, as it was left by a process that died."""
    path.parent.mkdir(parents=True)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(
            """CREATE TABLE spent(account TEXT, boot TEXT, minute INTEGER, kind TEXT, count INTEGER NOT NULL,
            ended REAL NOT NULL, PRIMARY KEY(account, boot, minute, kind)) WITHOUT ROWID"""
        )
        db.execute(CREATE_LEARNT)
        db.execute("CREATE TABLE held(till TEXT, kind TEXT, account TEXT, boot TEXT, minute INTEGER, booked, mark)")
        db.execute(
            "INSERT INTO spent VALUES ('a', 'boot-0', 900, 'write', 60, 1.0), ('a', 'boot-1', 5, 'write', 40, 1.0)"
        )
        db.execute("INSERT INTO learnt VALUES ('a', 'write', 70, 0, 0, 0, 0)")
        db.execute("INSERT INTO held VALUES ('t', 'write', 'a', 'boot-0', 900, 20, 20)")
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute("PRAGMA user_version = 2")
        db.commit()


def test_the_counts_of_format_2_are_taken_over_in_full(path: Path) -> None:
    older(path)
    before = rows(path)  # by a reader, which changes nothing
    assert sum(row.requests for row in before) == 100
    ledger = opened(path)
    assert {(row.place, row.minute): (row.requests, row.ended) for row in rows(path)} == {
        (BootPlace("", "boot-0"), 900): (60, None),
        (BootPlace("", HERE.boot), 5): (40, None),
    }
    assert read_ledger(path, "a").learnt["write"].most == 70
    assert asked(ledger, wants=WRITES).leases == {}  # all of the hour is spent, whatever their age was
    ledger.close()
    opened(path).close()


def test_an_older_format_is_refused(path: Path) -> None:
    opened(path).close()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 1")
    assert "format 1; this version knows formats 2 and 3" in refused(path).message


# ---- where it cannot be used


def refused(path: Path) -> JournalError:
    with pytest.raises(JournalError) as error:
        opened(path)
    assert error.value.exit_code == 5
    assert "--ledger" in error.value.hint.typed
    return error.value


def test_another_database_is_not_touched(path: Path) -> None:
    path.parent.mkdir()
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = WAL")  # as in a journal of ours
    db.execute("CREATE TABLE mine(x)")
    db.commit()
    db.close()
    before = path.read_bytes()
    assert "is no ledger of bulkwriter" in refused(path).message
    assert path.read_bytes() == before


def test_a_ledger_of_a_later_format_is_refused(path: Path) -> None:
    opened(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    assert "format 99" in refused(path).message


def test_a_file_that_is_no_database(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"pairs, not a ledger\n" * 100)
    assert "NOTADB" in refused(path).message


def test_a_folder_in_its_place_and_a_file_in_place_of_its_folder(path: Path) -> None:
    path.mkdir(parents=True)
    refused(path)
    (path.parent / "file").write_text("")
    assert "File exists" in refused(path.parent / "file" / "ledger").message


def test_a_damaged_ledger_says_so(path: Path) -> None:
    ledger = opened(path)
    add(ledger)
    ledger.close()
    raw = bytearray(path.read_bytes())
    raw[4_096:] = b"\xff" * (len(raw) - 4_096)
    path.write_bytes(raw)
    with pytest.raises(JournalError, match="damaged"):
        add(opened(path))


def fill(ledger: SqliteLedger) -> None:
    for minute in range(5_000):
        add(ledger, minute=minute)


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes: what a full disk does, without one."""
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def test_a_full_disk_ends_the_ledger_and_what_was_there_stays(path: Path) -> None:
    ledger = opened(path)
    add(ledger, count=3)
    with disk_of(8_192), pytest.raises(JournalError) as full:
        fill(ledger)
    assert full.value.exit_code == 5
    assert "nothing is sent that is not counted first" in full.value.hint
    with pytest.raises(JournalError):  # for good, even with room again: nobody knows what was half done
        add(ledger)
    ledger.close()
    again = opened(path)
    add(again, minute=9_999)
    assert sum(row.requests for row in rows(path) if row.minute == 5) >= 3
    again.close()


# ---- reading from outside


def test_reading_makes_no_file(path: Path) -> None:
    assert read_ledger(path, "a") == LedgerRows()
    assert not path.parent.exists()


def test_a_ledger_of_any_name_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9\xff?#%41")
    ledger = opened(path)
    add(ledger)
    ledger.close()
    assert len(rows(path)) == 1


def test_reading_an_unusable_file_is_an_error_too(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no ledger at all" * 100)
    with pytest.raises(JournalError, match="quota ledger"):
        read_ledger(path, "a")


# ---- names


def test_it_is_in_the_state_folder_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert ledger_path(None) == Path("/state/bulkwriter/ledger")
    home = Path("~/.local/state/bulkwriter/ledger").expanduser().resolve()
    monkeypatch.setenv("XDG_STATE_HOME", "not/absolute")
    assert ledger_path(None) == home
    monkeypatch.delenv("XDG_STATE_HOME")
    assert ledger_path(None) == home


def test_a_user_without_a_home_is_told_to_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.delenv("HOME")  # as in a container that runs under a number that nobody has
    monkeypatch.setattr("os.getuid", lambda: 4_000_000_000)
    with pytest.raises(LedgerError, match=r"no place.*\n.*with ledger"):
        ledger_path(None)
    assert ledger_path(Path("/state/ledger")) == Path("/state/ledger")


@pytest.mark.parametrize(
    ("base_url", "account", "key"),
    [
        ("https://spaces.nexudus.com", None, "https://spaces.nexudus.com"),
        ("https://SPACES.nexudus.com:443/", None, "https://spaces.nexudus.com"),
        ("https://spaces.nexudus.com", "north", "north"),
    ],
)
def test_an_account_is_its_name_or_the_base_url(base_url: str, account: str | None, key: str) -> None:
    assert account_key(base_url, account) == key


BAD_SHORT = tuple(
    f"replace(short, '{old}', '{new}')"
    for old, new in (
        ("write/1.0", "write/61.0"), ("write/1.0", "writes/1.0"), ("write/1.0", "write/x"), (",1]]}", ",-1]]}"),
        (",1]]}", ',"x"]]}'), (",1]]", ",-1]]"), ("[[1", "[[1e300,1"), ("[[1", "[[null,1"),
    )
)  # fmt: skip
BAD_ROWS: dict[str, dict[str, tuple[str, ...]]] = {
    "spent": {
        "boot": ("x'ff'",),
        "machine": ("x'ff'",),
        "minute": ("'x'", "1e300", "x'00'"),
        "kind": ("'writes'", "''"),
        "count": ("-1", "'x'", "1.5", "x'31'"),
        "ended": ("'soon'", "1e300", "9e999", "x'00'"),
        "seen_at": ("'soon'",),
    },
    "accounts": {
        "spread_s": ("-1",),
        "at": ("9e999",),
        "boot": ("x'ff'",),
        "short": ("'{'", "'[]'", "'{}'", *BAD_SHORT),
    },
    "learnt": {
        "most": ("-1", "'x'"),
        "until": ("'x'", "1e300"),
        "try_at": ("x'00'",),
        "tries": ("-1",),
        "stretch": ("2.5",),
    },
}
BAD = [(t, c, v) for t, columns in BAD_ROWS.items() for c, values in columns.items() for v in values]


def used(path: Path) -> None:
    """A ledger with a row in each table."""
    ledger = opened(path)
    keep(ledger, LedgerRows(learnt={"write": Learnt(2_500, 1e9, 1e9, 0, 0)}))
    add(ledger)
    asked(ledger, wants=WRITES)
    asked(ledger, client="d", wants=WRITES)
    asked(ledger, ended={("write", NOW): 1})
    ledger.close()


@pytest.mark.parametrize(("table", "column", "value"), BAD)
def test_a_row_out_of_its_bounds_is_damage(path: Path, table: str, column: str, value: str) -> None:
    used(path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(f"UPDATE {table} SET {column} = {value}")
        db.commit()
    for look in (lambda: opened(path), lambda: rows(path)):
        with pytest.raises(LedgerError, match="damaged") as error:
            look()
        assert "wait a day" in error.value.hint


@pytest.mark.parametrize("column", ["account", "boot"])
def test_text_that_is_no_utf_8_is_damage(path: Path, column: str) -> None:
    used(path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(f"UPDATE spent SET {column} = CAST(x'ff41' AS TEXT)")
        db.commit()
    with pytest.raises(LedgerError, match="damaged"):
        rows(path)
    with pytest.raises(LedgerError, match="damaged"):
        add(opened(path))


def test_an_emptied_ledger_is_damage_and_an_empty_one_is_new(path: Path) -> None:
    used(path)
    os.truncate(path, 0)
    with pytest.raises(LedgerError, match="emptied"):
        refuse_emptied(path)
    with pytest.raises(LedgerError, match="emptied"):
        rows(path)
    other = path.with_name("other")
    other.touch()
    refuse_emptied(other)
    assert rows(other) == []
    used(other)
    assert len(rows(other)) == 2


def test_a_ledger_is_never_a_file_of_no_bytes(path: Path) -> None:
    path.parent.mkdir()
    make_private(path)
    assert path.stat().st_size > 0
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    before = path.read_bytes()
    make_private(path)
    assert path.read_bytes() == before

"""What a journal's rows and meta must be to be believed: each kind of cell that is not, and who notices."""

from __future__ import annotations

import contextlib
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bulkwriter.errors import JournalError
from bulkwriter.model import SINGLE_SEQ, State
from bulkwriter.rows import doubt_detail
from bulkwriter.store.bounds import IS_PLAIN, ROW_IS_BELIEVABLE
from bulkwriter.store.journal_reader import JournalReader
from bulkwriter.store.lock import holder
from bulkwriter.store.schema import CREATE, read_detail
from tests.support.journal_child import open_journal

BAD_CELLS = {
    "state": ("9", "-1", "'x'", "''", "x'33'", "1.5"),
    "id_a": ("0", "-7", "NULL", "'x'", "1.5", "x'0102'"),
    "id_b": ("0", "NULL", "''"),
    "line": ("0", "-1", "'second'", "2.5"),
    "attempts": ("-1", "1000000001", "'x'", "0.5"),
    "record_id": ("NULL", "0", "-5", "'x'", "7.5"),
    "http_status": ("-1", "1000", "'ok'", "x'c8'"),
    "detail": ("'{'", "'[]'", "'3'", "x'7b7d'", "'text'"),
    "seq": ("-1", "99", str(SINGLE_SEQ + 1)),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal whose row 2 is created, 3 in doubt, 4 invalid, 5 pending."""
    path = tmp_path / "pairs.csv.journal"
    journal = open_journal(path)
    journal.append([(seq, 10, 20 + seq, seq + 2, State.INTENT, None) for seq in range(4)])
    journal.append([(4, None, None, 6, State.INVALID, '{"reason":"no number","raw":"x"}')])
    journal.append([(5, 10, 25, 7, State.PENDING, None)])
    journal.settle([(seq, State.CREATED, 1, 100 + seq, 200, None) for seq in range(3)])
    journal.settle([(3, State.IN_DOUBT, 1, 103, None, doubt_detail("undo began", 5))])
    journal.close()
    return path


def harm(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.executescript(statement)


def refused(path: Path) -> JournalError:
    """Both who writes and who only reads refuse it, with the recovery words, and nobody keeps a lock."""
    with pytest.raises(JournalError, match="damaged") as writing:
        open_journal(path)
    assert holder(path) is None
    for look in (JournalReader.counts, lambda reader: list(reader.export({State.CREATED})), JournalReader.meta):
        with JournalReader(path) as reader, pytest.raises(JournalError, match="damaged"):
            look(reader)
    assert "--after-loss" in writing.value.hint.typed
    assert "--existing check" in writing.value.hint.typed
    return writing.value


def test_a_sound_journal_is_believed(path: Path) -> None:
    open_journal(path).close()
    with JournalReader(path) as reader:
        assert sum(reader.counts().values()) == 6


@pytest.mark.parametrize("line", ["7", "NULL"])
def test_a_row_that_passes_the_short_check_is_believable_with_a_line_and_without(line: str) -> None:
    plain = {
        "state": "3", "id_a": "10", "id_b": "20", "line": line, "attempts": "1", "record_id": "100",
        "http_status": "200", "detail": "NULL",
    }  # fmt: skip
    harms = [{}, *({column: value} for column in plain if column != "detail" for value in BAD_CELLS[column])]
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute(CREATE[0])
        for cells in (plain | harm for harm in harms):
            names, values = ", ".join(cells), ", ".join(cells.values())
            with contextlib.suppress(sqlite3.IntegrityError):  # NOT NULL refuses some by itself
                db.execute(f"INSERT INTO pair({names}) VALUES ({values})")
        found = db.execute(f"SELECT ({IS_PLAIN}) IS 1, ({ROW_IS_BELIEVABLE}) IS 1 FROM pair ORDER BY seq").fetchall()
    assert found[0] == (1, 1)
    assert len(found) > 20
    assert set(found[1:]) == {(0, 0)}


@pytest.mark.parametrize(("column", "value"), [(c, v) for c, values in BAD_CELLS.items() for v in values])
def test_a_cell_out_of_its_bounds_is_damage(path: Path, column: str, value: str) -> None:
    harm(path, f"UPDATE pair SET {column} = {value} WHERE seq = 2")
    refused(path)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE pair SET id_a = 1, id_b = 2 WHERE seq = 4",  # an invalid row that is a pair
        "UPDATE pair SET id_b = NULL WHERE seq = 3",
        "UPDATE pair SET record_id = 0 WHERE seq = 3",
        "UPDATE pair SET state = 5 WHERE seq = 3",  # rejected, with a record
        "DELETE FROM pair WHERE seq = 1",
        "UPDATE meta SET value = x'00'",
        "UPDATE meta SET value = '[1, 2]' WHERE key = 'columns'",
        "UPDATE meta SET value = '[\"a\"]' WHERE key = 'columns'",
        "UPDATE meta SET value = 'yesterday' WHERE key = 'created_at'",
        "UPDATE meta SET value = CAST(x'ff41' AS TEXT) WHERE key = 'created_at'",
        "DELETE FROM meta WHERE key = 'account'",
        "DROP TABLE meta",
        "ALTER TABLE pair RENAME COLUMN detail TO details",
    ],
)
def test_rows_and_meta_that_cannot_be_are_damage(path: Path, statement: str) -> None:
    harm(path, statement)
    refused(path)


def test_two_rows_of_one_seq_are_seen(path: Path) -> None:
    """As after a flipped bit in the key of a row: the b-tree then holds seq 2 twice and seq 3 never."""
    raw = bytearray(path.read_bytes())
    # A cell begins with the record's length, its key, and the length of the record's head.
    cells = [at for at in range(len(raw) - 2) if 20 < raw[at] < 90 and raw[at + 1] == 3 and raw[at + 2] == 10]
    assert cells
    for at in cells:
        raw[at + 1] = 2
    path.write_bytes(raw)
    assert "2" in refused(path).message


def test_an_index_that_leads_astray_is_seen(path: Path) -> None:
    """A pair given by itself is found by the index: one that misses a row would have it written twice."""
    journal = open_journal(path)
    journal.index_pairs()
    journal.close()
    harm(
        path,
        "PRAGMA writable_schema = ON;"
        "UPDATE sqlite_master SET sql = 'CREATE INDEX pair_by_ids ON pair(id_b, id_a)' WHERE name = 'pair_by_ids'",
    )
    refused(path)


def test_text_that_is_no_utf_8_is_damage_where_it_is_read(path: Path) -> None:
    harm(path, "UPDATE pair SET detail = CAST(x'7b2261223a22ff227d' AS TEXT) WHERE seq = 3")
    with JournalReader(path) as reader, pytest.raises(JournalError, match="damaged"):
        list(reader.export({State.IN_DOUBT}))
    journal = open_journal(path)
    with pytest.raises(JournalError, match="damaged"):
        journal.doubts()
    journal.close()


@pytest.mark.parametrize(
    "text",
    ["3", "[]", '{"errors":3}', '{"errors":[3]}', '{"errors":[["a"]]}', '{"errors":[["a",2]]}', '{"message":5}',
     '{"floor":"x"}', '{"floor":-1}', '{"floor":1.5}', '{"floor":true}', '{"raw":[],"reason":"x"}'],
)  # fmt: skip
def test_a_detail_of_another_shape_is_none_of_ours(path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="detail"):
        read_detail(text)
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE pair SET detail = ? WHERE seq = 3", (text,))
        db.commit()
    with pytest.raises(JournalError, match="damaged"), JournalReader(path) as reader:
        list(reader.export({State.IN_DOUBT}))


@pytest.mark.parametrize("is_there", [False, True])
def test_a_wal_without_its_journal_is_kept(path: Path, is_there: bool) -> None:
    """SQLite deletes a -wal beside a file of no bytes, and with it what could be saved."""
    wal = path.with_name(path.name + "-wal")
    wal.write_bytes(b"w" * 5_000)
    path.unlink()
    if is_there:
        path.touch()
    for look in (open_journal, JournalReader):
        with pytest.raises(JournalError, match="its -wal is there") as error:
            look(path)
        hint = error.value.hint.typed
        assert hint.index("move the -wal to another place") < hint.index("--after-loss")
    assert wal.stat().st_size == 5_000
    wal.rename(wal.with_name("kept"))  # as the hint says
    open_journal(path).close()

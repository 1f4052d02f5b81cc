"""Reading a journal from outside: beside a live writer, after a crash, and where nothing can be written."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bulkwriter.errors import JournalError, SourceError
from bulkwriter.model import BadRow, FieldError, Pair, State
from bulkwriter.rows import AppendRow, bad_row_detail, outcome_detail
from bulkwriter.store.journal import Journal
from bulkwriter.store.journal_reader import JournalReader
from bulkwriter.store.journal_rows import SCAN_ROWS, RowReasons

from ..support.journal_child import COLUMNS, URL, open_journal, pair_of, write_chunk


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "j"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may enter, and nobody but its owner may write."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def rows(journal: Journal, count: int) -> None:
    first = journal.rows
    new: list[AppendRow] = [
        (seq, *pair_of(seq), seq + 2, State.INTENT, None) for seq in range(first, first + count)
    ]  # fmt: skip
    journal.append(new)


def test_what_was_said_comes_by_state_and_words_with_the_first_row_of_each(path: Path) -> None:
    journal = open_journal(path)
    unknown, other = outcome_detail((FieldError("Id", "is unknown"),), "no"), outcome_detail((), "5 attempts")
    rows(journal, SCAN_ROWS + 10)
    refused = [4, 9, SCAN_ROWS + 1]
    journal.settle([(seq, State.REJECTED, 1, None, 400, unknown) for seq in refused])
    journal.settle([(5, State.FAILED, 5, None, None, other), (6, State.CREATED, 1, 77, 200, None)])
    bad = BadRow("Id 'x' is no number", "x,1", "Id is no number")
    journal.append([(journal.rows, None, None, 99, State.INVALID, bad_row_detail(bad))])
    last = journal.rows - 1
    journal.close()
    with JournalReader(path) as reader:
        assert list(reader.reasons()) == [
            RowReasons(State.REJECTED, "Id: is unknown", "", 2, 4),
            RowReasons(State.FAILED, "5 attempts", "", 1, 5),
            RowReasons(State.REJECTED, "Id: is unknown", "", 1, SCAN_ROWS + 1),
            RowReasons(State.INVALID, "Id 'x' is no number", "Id is no number", 1, last),
        ]


@pytest.mark.parametrize("detail", ["{", "7", '{"errors": 3}', '{"message": 5}', "[]", '{"errors": [[1, 2]]}'])
def test_a_damaged_detail_is_damage_and_no_bug(path: Path, detail: str) -> None:
    journal = open_journal(path)
    rows(journal, 2)
    journal.settle([(1, State.REJECTED, 1, None, 400, detail)])
    journal.close()
    with JournalReader(path) as reader, pytest.raises(JournalError, match="damaged"):
        list(reader.reasons())


def snapshot(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if not file.name.endswith("-shm")}


@pytest.mark.parametrize("name", [b"a b?#%41&.journal", b"caf\xe9\xff.journal"])
def test_a_file_of_any_name_can_be_read(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    rows(open_journal(path), 3)
    with JournalReader(path) as reader:
        assert reader.counts() == {State.INTENT: 3}


def test_reads_beside_a_writer_without_disturbing_it(path: Path) -> None:
    journal = open_journal(path)
    rows(journal, 100)
    with JournalReader(path) as reader:
        assert reader.counts() == {State.INTENT: 100}
        writer = reader.writer()
        assert writer is not None
        assert writer.pid == os.getpid()
        exported = reader.export({State.IN_DOUBT})
        assert next(exported).pair == Pair(*pair_of(0))
        rows(journal, 50)
        journal.settle([(0, State.CREATED, 1, 7, 200, None)])
        assert reader.counts() == {State.INTENT: 149, State.CREATED: 1}
        assert len(list(exported)) == 99, "a chunk is of one moment"
        before = snapshot(path.parent)
        assert len(list(reader.export({State.CREATED}))) == 1
        journal.close()
        assert reader.writer() is None
        assert reader.counts() == {State.INTENT: 149, State.CREATED: 1}
    assert before[path.name + "-wal"]


@pytest.mark.slow
def test_a_reader_in_the_way_does_not_fail_a_close(path: Path) -> None:
    journal = open_journal(path)
    rows(journal, 10)
    with JournalReader(path) as reader:
        reader._db.execute("BEGIN")
        reader._db.execute("SELECT count(*) FROM pair").fetchone()
        rows(journal, 10)
        journal.close()
    journal = open_journal(path)
    assert journal.rows == 20
    journal.close()


def test_a_dead_journal_is_read_and_left_as_it_is(path: Path, tmp_path: Path) -> None:
    journal = open_journal(path)
    rows(journal, 100)
    dead = tmp_path / "dead"
    dead.mkdir()
    for end in ("", "-wal"):
        shutil.copy(f"{path}{end}", dead / f"j{end}")
    journal.close()
    before = snapshot(dead)
    assert len(before["j-wal"]) > 0
    with JournalReader(dead / "j") as reader:
        assert reader.counts() == {State.INTENT: 100}
        assert reader.writer() is None
        assert reader.meta()["base_url"] == URL
    assert snapshot(dead) == before


def test_exports_by_state_over_many_chunks(path: Path) -> None:
    journal = open_journal(path)
    rows(journal, 2 * SCAN_ROWS + 5)
    wanted = [1, SCAN_ROWS - 1, SCAN_ROWS, 2 * SCAN_ROWS + 4]
    journal.settle([(seq, State.REJECTED, 1, None, 409, '{"errors": [["A", "b"]], "message": ""}') for seq in wanted])
    journal.mark([0], State.PENDING)
    journal.close()
    with JournalReader(path) as reader:
        found = list(reader.export({State.REJECTED}))
        assert [row.seq for row in found] == wanted
        assert [tuple(e) for e in found[0].errors] == [("A", "b")]
        assert [row.seq for row in reader.export({State.REJECTED}, SCAN_ROWS - 1)] == wanted[1:]
        assert [row[0] for part in reader.scan() for row in part] == list(range(2 * SCAN_ROWS + 5))
        assert len(list(reader.export({State.IN_DOUBT, State.REJECTED, State.PENDING}))) == 2 * SCAN_ROWS + 5
        assert list(reader.export(())) == []
        assert reader.read_pairs(SCAN_ROWS, 2) == [pair_of(SCAN_ROWS), pair_of(SCAN_ROWS + 1)]


def test_no_journal_and_no_journal_of_ours(path: Path) -> None:
    with pytest.raises(JournalError, match="there is no journal at") as e:
        JournalReader(path)
    assert "bulkwriter run" in e.value.hint.typed
    path.write_text("CourseLessonId,CourseMemberId\n1,2\n")
    with pytest.raises(JournalError, match="no journal"):
        JournalReader(path)


@pytest.mark.parametrize("has_page", [False, True])
def test_what_a_start_left_that_ended_while_it_made_the_file_is_called_empty_not_damaged(
    path: Path, has_page: bool
) -> None:
    path.touch()
    if has_page:
        db = sqlite3.connect(path)
        db.execute("PRAGMA journal_mode = WAL")
        db.close()
        assert path.stat().st_size
    with pytest.raises(JournalError, match="is empty: no start has written to it yet") as e:
        JournalReader(path)
    assert "`bulkwriter run SOURCE` goes on with it" in e.value.hint.typed
    open_journal(path).close()
    with JournalReader(path) as reader:
        assert reader.counts() == {}


def test_a_name_with_odd_characters_is_a_name(tmp_path: Path) -> None:
    path = tmp_path / "a?b#c%20 é.journal"
    journal = open_journal(path)
    rows(journal, 1)
    journal.close()
    with JournalReader(path) as reader:
        assert reader.counts() == {State.INTENT: 1}


def test_requires_what_a_writer_would(path: Path) -> None:
    journal = open_journal(path)
    journal.append([(0, 1, 2, 2, int(State.PENDING), None)])
    journal.close()
    with JournalReader(path) as reader:
        reader.require(base_url=URL + "/", account=None, columns=COLUMNS)
        with pytest.raises(JournalError, match="belongs to"):
            reader.require(base_url=URL, account="x", columns=COLUMNS)
        with pytest.raises(SourceError, match="columns"):
            reader.require(base_url=URL, account=None, columns=("a", "b"))


READ = """
import os, sys
from bulkwriter.errors import JournalError
from bulkwriter.store.journal_reader import JournalReader
if os.geteuid() == 0:  # root may write anywhere, so it becomes nobody
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    with JournalReader(sys.argv[1]) as reader:
        print(sum(reader.counts().values()), sum(map(len, reader.record_ids())))
except JournalError as e:
    print("error:", e)
"""


def read_as_a_stranger(path: Path) -> str:
    """What a user reads who may not write the folder."""
    for file in path.parent.iterdir():
        file.chmod(0o444)
    path.parent.chmod(0o555)
    done = subprocess.run([sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=False)
    assert not done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_a_clean_journal_is_read_where_nothing_can_be_written(open_folder: Path) -> None:
    journal = open_journal(open_folder / "j")
    write_chunk(journal, 10)
    journal.close()
    assert read_as_a_stranger(open_folder / "j") == "10 10"


@pytest.mark.slow
def test_a_dead_journal_that_cannot_be_read_says_what_to_copy(open_folder: Path, tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "j")
    write_chunk(journal, 10)
    for end in ("", "-wal"):
        shutil.copy(tmp_path / f"j{end}", open_folder / f"j{end}")
    journal.close()
    reasons = read_as_a_stranger(open_folder / "j")
    assert reasons.startswith("error:")
    assert "copy the journal and its -wal together" in reasons

"""A large journal that is bit by bit what a writer has left is opened without a check of each row, and no other.

After a kill the rows of its -wal are checked.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from bulkwriter.errors import JournalError
from bulkwriter.model import SINGLE_SEQ, State
from bulkwriter.store.journal import Journal
from bulkwriter.store.seal import LEAST_ROWS, MOST_OPENINGS, Seal, read_seal
from bulkwriter.store.wal import LEAF
from tests.support.journal_child import open_journal

ROWS = LEAST_ROWS - 10


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed journal with rows of a source, in two states, and ten rows of single pairs."""
    path = tmp_path_factory.mktemp("sealed") / "pairs.csv.journal"
    journal = open_journal(path)
    with journal.transaction():
        journal.append([(seq, 1 + seq // 100, 1 + seq % 100, seq + 2, State.INTENT, None) for seq in range(ROWS)])
        journal.mark(range(7, 90), State.PENDING)
        journal.append([(SINGLE_SEQ + i, 9_999, 1 + i, None, State.PENDING, None) for i in range(10)])
    journal.close()
    return path


@pytest.fixture
def path(made: Path, tmp_path: Path) -> Path:
    for end in ("", ".seal"):
        (tmp_path / f"{made.name}{end}").write_bytes(made.with_name(made.name + end).read_bytes())
    return tmp_path / made.name


def make_folder(folder: Path) -> Path:
    folder.mkdir()
    return folder


def seal_of(path: Path) -> Path:
    return path.with_name(path.name + ".seal")


def found(path: Path) -> Seal:
    seal = read_seal(path)
    assert seal
    return seal


def changed(**values: object) -> Callable[[bytes], bytes]:
    return lambda raw: json.dumps(json.loads(raw) | values).encode()


def killed(journal: Journal, path: Path, folder: Path) -> Path:
    """The files as a kill would leave them now, copied by a process of its own, since we hold locks on them."""
    subprocess.run(["cp", path, *(path.with_name(path.name + end) for end in ("-wal", ".seal")), folder], check=True)
    assert journal.broken is None
    return folder / path.name


def test_a_journal_is_believed_by_its_seal_for_some_openings_and_then_checked(path: Path) -> None:
    seal_of(path).write_bytes(changed(openings=MOST_OPENINGS - 1)(seal_of(path).read_bytes()))
    journal = open_journal(path)
    assert journal.counts() == {State.INTENT: ROWS - 83, State.PENDING: 93}
    assert journal.states_of(SINGLE_SEQ, 20) == bytes([State.PENDING] * 10)
    journal.check()  # against the table
    journal.mark([0], State.PENDING)
    journal.close()
    assert read_seal(path) is None, "so this opening checks all rows"
    open_journal(path).close()
    assert found(path).openings == 0


@pytest.mark.parametrize("at", [0.001, 0.3, 0.6, 0.999])
def test_any_flipped_bit_has_all_rows_checked(path: Path, at: float) -> None:
    raw = bytearray(path.read_bytes())
    raw[int(len(raw) * at)] ^= 4
    path.write_bytes(raw)
    assert read_seal(path) is None


def test_a_cell_out_of_its_bounds_is_damage_also_under_a_seal(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE pair SET id_a = -7 WHERE seq = 500")
        db.commit()
    with pytest.raises(JournalError, match="row 500 is not as it was written"):
        open_journal(path)


def test_of_a_writer_that_was_killed_the_rows_in_the_wal_are_checked(path: Path, tmp_path: Path) -> None:
    journal = open_journal(path)
    assert found(path).openings == 1, "noted at once, since a kill may come"
    journal.append([(ROWS + i, 7, 1 + i, None, State.PENDING, None) for i in range(500)])
    journal.settle([(seq, State.CREATED, 1, 5 + seq - 19_000, 200, None) for seq in range(19_000, 20_000)])
    journal.mark([0, 20_000], State.PENDING)
    left = killed(journal, path, make_folder(tmp_path / "left"))
    assert found(left).openings == 1
    ranges = found(left).changed
    assert any(first <= 0 <= last for first, last in ranges)
    assert any(first <= 20_000 <= last for first, last in ranges)
    assert any(first <= ROWS <= ROWS + 499 <= last for first, last in ranges)
    assert sum(1 for seq in range(ROWS) if any(first <= seq <= last for first, last in ranges)) < 3_000
    after = open_journal(left)
    assert after.rows == ROWS + 500
    assert after.states_of(20_000, 1) == bytes([State.PENDING])
    after.check()
    ids = [*after.record_ids()]
    assert ids == [*after.record_ids()], "the second time from the disk"
    assert [record_id for some in ids for record_id in some] == [*range(5, 1_005)]
    after.close()
    journal._db.execute("UPDATE pair SET id_a = -7 WHERE seq = 20003")
    with pytest.raises(JournalError, match="row 20003 is not as it was written"):
        open_journal(killed(journal, path, make_folder(tmp_path / "bad")))
    journal.close()


def test_a_file_that_a_checkpoint_has_changed_is_sealed_anew_while_it_is_open(path: Path, tmp_path: Path) -> None:
    seal_of(path).unlink()
    journal = open_journal(path)
    sealed = set()
    for i in range(3):
        journal.mark([100 + i], State.PENDING)
        journal._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        journal.mark([200 + i], State.PENDING)
        assert journal._live_seal
        journal._live_seal.wait()
        left = killed(journal, path, make_folder(tmp_path / str(i)))
        sealed.add(found(left).sha256)
        after = open_journal(left)
        assert after.states_of(100 + i, 1) == after.states_of(200 + i, 1) == bytes([State.PENDING])
        after.check()
        after.close()
    assert len(sealed) == 3
    program = f"import sqlite3; sqlite3.connect({str(path)!r}, timeout=0).execute('PRAGMA journal_mode = DELETE')"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, text=True)
    assert "locked" in other.stderr, "SQLite still has its locks"
    journal.close()


def test_a_wal_that_does_not_tell_its_rows_has_all_rows_checked(path: Path, tmp_path: Path) -> None:
    journal = open_journal(path)
    journal.mark([0], State.CREATED)
    left = killed(journal, path, make_folder(tmp_path / "left"))
    wal = left.with_name(left.name + "-wal")
    whole = wal.read_bytes()
    leaf = next(at for at in range(32, len(whole), 4_120) if whole[at + 24] == LEAF)
    for at, byte in ((8, 255), (leaf + 24 + 8, 255), (leaf + 24 + 3, 255)):
        wal.write_bytes(whole[:at] + bytes([byte]) + whole[at + 1 :])
        assert read_seal(left) is None
    wal.write_bytes(whole[:40] + bytes(8) + whole[48:])
    assert found(left).changed == [], "frames of an earlier use"
    journal.close()


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: b"",
        lambda raw: b"{}\n",
        lambda raw: b"[]\n" + raw,
        lambda raw: b"\xff" * 2_000,
        lambda raw: raw[:-3],
        changed(version=1),
        changed(openings=-1),
        changed(openings=True),
        changed(openings="1"),
        changed(bytes=1),
        changed(sha256="x"),
        changed(sha256=None),
    ],
)
def test_a_seal_that_is_not_as_it_was_written_is_none(path: Path, change: Callable[[bytes], bytes]) -> None:
    assert read_seal(path)
    seal_of(path).write_bytes(change(seal_of(path).read_bytes()))
    assert read_seal(path) is None


def test_a_small_journal_and_one_that_was_not_closed_well_have_no_seal(tmp_path: Path, path: Path) -> None:
    small = tmp_path / "small.journal"
    journal = open_journal(small)
    journal.append([(0, 1, 1, 2, State.PENDING, None)])
    journal.close()
    assert not seal_of(small).exists()
    journal = open_journal(path)
    journal.mark([0], State.PENDING)
    assert journal._live_seal
    journal._live_seal.wait()
    journal.close(checkpoint=False)
    assert read_seal(path) is None


def test_the_seal_is_for_its_owner_alone(made: Path) -> None:
    assert seal_of(made).stat().st_mode & 0o777 == 0o600

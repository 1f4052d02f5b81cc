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
from bulkwriter.store.seal import LEAST_ROWS, LINE_BYTES, MOST_OPENINGS, LiveSeal, Seal, read_seal
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
    def change(raw: bytes) -> bytes:
        line = json.dumps(json.loads(raw[:LINE_BYTES]) | values).encode()
        return line.ljust(LINE_BYTES - 1) + b"\n" + raw[LINE_BYTES:]

    return change


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
    assert [*after.created_ids()] == [record_id for some in after.record_ids() for record_id in some]
    assert [*after.created_ids()] == [*range(5, 1_005)]
    after.close()
    journal._db.execute("UPDATE pair SET id_a = -7 WHERE seq = 20003")
    with pytest.raises(JournalError, match="row 20003 is not as it was written"):
        open_journal(killed(journal, path, make_folder(tmp_path / "bad")))
    journal.close()


def checkpointed(journal: Journal, path: Path, seq: int) -> LiveSeal:
    """A commit after a checkpoint; the thread has read the file, and the next commit seals it."""
    journal._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    if journal._live_seal:
        journal._live_seal._rests_until = 0.0
    journal.mark([seq], State.PENDING)
    assert not seal_of(path).exists(), "it is of another file"
    assert journal._live_seal
    journal._live_seal.wait()
    return journal._live_seal


def assert_lost_or_cut(path: Path, folder: Path) -> None:
    """Without the -wal that its states are from, or with less of it, a seal is none."""
    for end in ("", ".seal"):
        (folder / f"{path.name}{end}").write_bytes(path.with_name(path.name + end).read_bytes())
    wal = path.with_name(path.name + "-wal").read_bytes()
    other = folder / f"{path.name}-wal"
    assert read_seal(folder / path.name) is None
    for harmed in (b"", wal[:4_000], wal[:100] + bytes([wal[100] ^ 1]) + wal[101:]):
        other.write_bytes(harmed)
        assert read_seal(folder / path.name) is None
    other.write_bytes(wal)
    assert read_seal(folder / path.name)


def test_a_file_that_a_checkpoint_has_changed_is_sealed_anew_while_it_is_open(path: Path, tmp_path: Path) -> None:
    seal_of(path).unlink()
    journal = open_journal(path)
    sealed = set()
    for i, is_later in enumerate((False, True)):
        journal.mark([100 + i], State.PENDING)
        checkpointed(journal, path, 200 + i)
        journal.settle([(300 + i, State.CREATED, 1, 7 + i, 200, None)])
        if is_later:
            journal.mark([400 + i], State.PENDING)
        left = killed(journal, path, make_folder(tmp_path / str(i)))
        sealed.add(json.loads(seal_of(left).read_bytes()[:LINE_BYTES])["sha256"])
        assert_lost_or_cut(left, make_folder(tmp_path / f"lost {i}"))
        after = open_journal(left)
        assert after._openings == 1
        assert [after.states_of(n + i, 1)[0] == State.PENDING for n in (100, 200, 400)] == [True, True, is_later]
        assert after.states_of(300 + i, 1)[0] == State.CREATED
        after.check()
        after.close()
    assert len(sealed) == 2
    program = f"import sqlite3; sqlite3.connect({str(path)!r}, timeout=0).execute('PRAGMA journal_mode = DELETE')"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, text=True)
    assert "locked" in other.stderr, "SQLite still has its locks"
    journal.close()


def test_a_file_that_changes_before_it_is_sealed_is_read_again(path: Path) -> None:
    journal = open_journal(path)
    journal.mark([1], State.PENDING)
    live = checkpointed(journal, path, 2)
    journal._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    live._rests_until = float("inf")
    journal.mark([3], State.PENDING)
    assert not seal_of(path).exists()
    live._rests_until = 0.0
    journal.mark([4], State.PENDING)
    live.wait()
    journal.mark([5], State.PENDING)
    assert seal_of(path).exists()
    assert live._rests_until > 0.0, "a file that is read all the time would take a processor"
    journal.close()


def test_rows_that_are_missing_after_a_kill_are_damage(path: Path, tmp_path: Path) -> None:
    journal = open_journal(path)
    journal._db.execute("DELETE FROM pair WHERE seq BETWEEN 1000 AND 9000")  # whole pages, which no -wal shows
    with pytest.raises(JournalError, match="others are missing"):
        open_journal(killed(journal, path, make_folder(tmp_path / "left")))
    journal.close()


def test_after_rows_were_pruned_all_are_read_until_the_next_seal(path: Path, tmp_path: Path) -> None:
    journal = open_journal(path)
    journal.settle([(SINGLE_SEQ + i, State.CREATED, 1, 70 + i, 200, None) for i in range(5)])
    assert journal.prune(SINGLE_SEQ, bytes([State.CREATED] * 2)) == 2
    left = killed(journal, path, make_folder(tmp_path / "left"))
    assert read_seal(left)
    after = open_journal(left)
    assert (after._openings, after.counts()[State.CREATED]) == (0, 5)
    after.close()
    again = open_journal(left)
    assert (again._openings, again.counts()[State.CREATED]) == (1, 5)
    again.check()
    again.close()
    journal.close()


def test_record_ids_are_kept_until_a_created_row_is_no_longer_one(path: Path, tmp_path: Path) -> None:
    journal = open_journal(path)
    assert not journal.created_ids()
    rows = [(seq, State.CREATED, 1, 5 + seq, 200, None) for seq in range(3)]
    journal.settle([*rows, (3, State.REJECTED, 1, None, 400, None)])
    journal.close()
    journal = open_journal(path)
    journal.mark([4], State.PENDING)
    assert [*(found(path).contents.ids or ())] == [5, 6, 7]
    assert [*journal.created_ids()] == [5, 6, 7]
    journal.settle([(1, State.PENDING, 1, None, None, None)])  # an undo: the server may give its id again
    assert [*journal.created_ids()] == [5, 7]
    after = open_journal(killed(journal, path, make_folder(tmp_path / "left")))
    assert (after._openings, [*after.created_ids()]) == (3, [5, 7])
    after.close()
    journal.mark([0], State.PENDING)
    journal.close()
    assert found(path).contents.ids is None
    journal = open_journal(path)
    assert [*journal.created_ids()] == [7]
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
        lambda raw: raw[:-9] + b"\x07" + raw[-8:],
        lambda raw: raw[: LINE_BYTES + 5] + b"\x03" + raw[LINE_BYTES + 6 :],
        lambda raw: raw + b"x",
        changed(version=1),
        changed(openings=-1),
        changed(openings=True),
        changed(openings="1"),
        changed(bytes=1),
        changed(sha256="x"),
        changed(sha256=None),
        changed(rest="x"),
        changed(source=-1),
        changed(ids="x"),
        changed(ids=1),
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

"""A large journal that is bit by bit what its last writer left is opened without a check of each row, and no other."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from bulkwriter.errors import JournalError
from bulkwriter.model import SINGLE_SEQ, State
from bulkwriter.store.seal import LEAST_ROWS, MOST_OPENINGS, Seal, read_seal
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


def seal_of(path: Path) -> Path:
    return path.with_name(path.name + ".seal")


def found(path: Path) -> Seal:
    seal = read_seal(path)
    assert seal
    return seal


def changed(**values: object) -> Callable[[bytes], bytes]:
    def change(raw: bytes) -> bytes:
        line, _, packed = raw.partition(b"\n")
        return json.dumps(json.loads(line) | values).encode() + b"\n" + packed

    return change


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
    assert found(path).states.counts() == {State.INTENT: ROWS - 84, State.PENDING: 94}


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


def test_rows_of_a_writer_that_was_killed_are_checked(path: Path) -> None:
    journal = open_journal(path)
    journal.mark([0], State.PENDING)
    wal = path.with_name(path.name + "-wal")
    left = path.read_bytes(), wal.read_bytes()
    journal.close()
    path.write_bytes(left[0])
    wal.write_bytes(left[1])
    assert read_seal(path) is None
    journal = open_journal(path)
    assert journal.states_of(0, 1) == bytes([State.PENDING])
    journal.close()


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: b"",
        lambda raw: b"{}\n",
        lambda raw: b"[]\n" + raw,
        lambda raw: raw[:-1],
        lambda raw: raw[:-5] + bytes([raw[-5] ^ 1]) + raw[-4:],
        lambda raw: b"\xff" * 2_000,
        changed(version=2),
        changed(rows=ROWS - 1),
        changed(rows=-1),
        changed(rows=2**60),
        changed(singles=11),
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
    journal.close(checkpoint=False)
    assert read_seal(path) is None


def test_the_seal_is_for_its_owner_alone(made: Path) -> None:
    assert seal_of(made).stat().st_mode & 0o777 == 0o600

"""Tills: what a dead process had left is given back once, and never what is not booked."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from bulkwriter.errors import JournalError
from bulkwriter.store.ledger import Ledger
from bulkwriter.store.ledger_reader import read_ledger
from bulkwriter.store.till import DeadTill, Left, Till, dead_tills

BOOT = "boot-1"


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


def till(ledger: Path, *, left: int = 0, minute: int = 7, account: str = "a", boot: str = BOOT) -> Till:
    made = Till(ledger, account, boot)
    made.cells_of("write")[0], made.cells_of("write")[1] = minute, left
    return made


def found(ledger: Path, boot: str = BOOT) -> list[Left]:
    dead = list(dead_tills(ledger, "a", boot))
    for one in dead:
        one.remove()
    return [left for one in dead for left in one.left]


def test_a_living_process_keeps_its_till(ledger: Path) -> None:
    alive = till(ledger, left=3)
    assert list(dead_tills(ledger, "a", BOOT)) == []
    alive.close()
    alive.close()
    assert not alive.path.exists()


def test_what_a_dead_one_left_is_read(ledger: Path) -> None:
    gone = till(ledger, left=3)
    gone.cells_of("read")[0], gone.cells_of("read")[1] = 8, 2
    gone.die()
    assert found(ledger) == [Left("write", 7, 3), Left("read", 8, 2)]
    assert not gone.path.exists()


def test_a_till_of_another_boot_is_not_believed_but_taken_away(ledger: Path) -> None:
    gone = till(ledger, left=3, boot="boot-0")
    gone.die()
    assert found(ledger) == []
    assert not gone.path.exists()


def test_without_a_boot_id_none_is_believed(ledger: Path) -> None:
    till(ledger, left=3, boot="").die()
    assert found(ledger, boot="") == []


def test_a_till_of_another_account_is_left_alone(ledger: Path) -> None:
    other = till(ledger, left=3, account="b")
    other.die()
    assert found(ledger) == []
    assert other.path.exists()


@pytest.mark.parametrize(
    "raw", [b"", b"\0" * 8, struct.pack("4d", float("nan"), 3, 0, 0), struct.pack("4d", 7, -3, 0, 0)]
)
def test_a_till_that_was_not_finished_leaves_nothing(ledger: Path, raw: bytes) -> None:
    gone = till(ledger)
    gone.die()
    gone.path.write_bytes(raw)
    assert found(ledger) == []


def test_it_is_private(ledger: Path) -> None:
    made = till(ledger)
    assert made.path.stat().st_mode & 0o777 == 0o600
    made.close()


def test_where_there_can_be_no_file_the_hint_names_another(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError) as error:
        Till(tmp_path / "file" / "ledger", "a", BOOT)
    assert "--ledger" in error.value.hint


def test_it_makes_its_folder(tmp_path: Path) -> None:
    till(tmp_path / "state" / "bulkwriter" / "ledger").close()
    assert (tmp_path / "state" / "bulkwriter").stat().st_mode & 0o777 == 0o700


# ---- given back to the ledger


def spent(path: Path) -> dict[int, int]:
    return {row.minute: row.requests for row in read_ledger(path, "a", BOOT)[0]}


def test_the_next_process_gives_back_what_a_kill_left(ledger: Path) -> None:
    book = Ledger.open(ledger, account="a", boot=BOOT)
    book.exchange(lambda b: b.add("write", 7, 20, 480.0))
    till(ledger, left=12).die()
    book.settle_tills()
    assert spent(ledger) == {7: 8}
    book.settle_tills()
    assert spent(ledger) == {7: 8}
    book.close()


def test_a_death_between_giving_back_and_removing_does_not_give_back_twice(
    ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = Ledger.open(ledger, account="a", boot=BOOT)
    book.exchange(lambda b: b.add("write", 7, 20, 480.0))
    gone = till(ledger, left=12)
    gone.die()
    with monkeypatch.context() as dying:
        dying.setattr(DeadTill, "remove", lambda self: None)
        dead = list(dead_tills(ledger, "a", BOOT))
        book.exchange(lambda b: b.settle(dead, is_there=lambda name: True))
    for one in dead:  # the kernel lets go of the lock of a dead process
        Till.die(one)  # type: ignore[arg-type]
    assert gone.path.exists()
    book.settle_tills()
    assert spent(ledger) == {7: 8}
    assert not gone.path.exists()
    till(ledger, left=1).die()
    book.settle_tills()
    names = book.exchange(lambda b: b._db.execute("SELECT count(*) FROM settled").fetchone()[0])
    assert names == 1  # that of the first till went, since its file can never come back
    book.close()

"""Tills: what a dead process had left is given back once, and never what may have been used."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from bulkwriter.errors import JournalError, LedgerError
from bulkwriter.quota.ledger import Ledger, read_ledger
from bulkwriter.quota.till import DeadTill, Till, dead_tills

BOOT = "boot-1"
MINUTE = 7


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


def till(path: Path, *, used: int = 0, mark: int = 0, minute: int = MINUTE, account: str = "a") -> Till:
    made = Till(path, account)
    made.cells_of("write")[:] = memoryview(struct.pack("3d", minute, used, mark)).cast("d")
    return made


def opened(path: Path, *, boot: str = BOOT) -> Ledger:
    return Ledger.open(path, account="a", boot=boot, synchronous="OFF")


def hold(path: Path, one: Till, *, booked: int, mark: int = 20, boot: str = BOOT, kind: str = "write") -> None:
    """As the process of this till has it booked."""
    ledger = opened(path, boot=boot)
    ledger.exchange(lambda book: book.add(kind, MINUTE, booked, 480.0))
    ledger.exchange(lambda book: book.hold(one.name, kind, (MINUTE, booked, mark)))
    ledger.close()


def spent(path: Path) -> dict[str, int]:
    """What counts after the next process has begun, by kind."""
    ledger = opened(path)
    ledger.settle_tills()
    ledger.close()
    return {row.kind: row.requests for row in read_ledger(path, "a", BOOT)[0]}


def test_a_living_process_keeps_its_till(path: Path) -> None:
    alive = till(path, used=3)
    hold(path, alive, booked=10)
    assert list(dead_tills(path, "a")) == []
    assert spent(path) == {"write": 10}
    alive.close()
    alive.close()
    assert not alive.path.exists()


def test_the_next_process_gives_back_what_a_kill_left(path: Path) -> None:
    gone = till(path, used=12, mark=20)
    gone.cells_of("read")[:] = memoryview(struct.pack("3d", MINUTE, 5, 20)).cast("d")
    hold(path, gone, booked=100)
    hold(path, gone, booked=6, kind="read", mark=6)
    gone.die()
    assert spent(path) == {"write": 12, "read": 5}
    assert spent(path) == {"write": 12, "read": 5}
    assert not gone.path.exists()


@pytest.mark.parametrize(("own_mark", "row_mark", "counts"), [(60, 20, 60), (20, 60, 60), (0, 20, 20)])
def test_after_a_power_cut_all_below_the_mark_counts(path: Path, own_mark: int, row_mark: int, counts: int) -> None:
    """What is on the disk may be older than the last request; but no request was beyond the mark."""
    gone = till(path, used=min(3, own_mark), mark=own_mark)
    hold(path, gone, booked=100, mark=row_mark, boot="boot-0")
    gone.die()
    assert spent(path) == {"write": counts}


def test_without_a_boot_id_a_kill_is_taken_for_a_power_cut(path: Path) -> None:
    gone = till(path, used=3, mark=20)
    hold(path, gone, booked=100, boot="")
    gone.die()
    ledger = opened(path, boot="")
    ledger.settle_tills()
    ledger.close()
    assert [row.requests for row in read_ledger(path, "a", "")[0]] == [20]


def test_a_mark_that_only_the_ledger_knows_is_enough(path: Path) -> None:
    """A lease of a block is never drawn."""
    gone = till(path, used=3, mark=0)
    hold(path, gone, booked=20)
    gone.die()
    assert spent(path) == {"write": 3}


def test_one_that_died_before_it_had_begun_with_what_was_booked(path: Path) -> None:
    for boot, counts in ((BOOT, 0), ("boot-0", 20)):
        gone = till(path, used=44, mark=60, minute=MINUTE - 1)
        hold(path, gone, booked=100, boot=boot)
        gone.die()
        before = spent(path)["write"] - counts
        assert before >= 0
        path.unlink()


def test_a_till_of_another_account_is_left_alone(path: Path) -> None:
    other = till(path, account="b")
    other.die()
    assert list(dead_tills(path, "a")) == []
    assert other.path.exists()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0" * 8,
        struct.pack("6d", float("nan"), 3, 20, 0, 0, 0),
        struct.pack("6d", MINUTE, -3, 20, 0, 0, 0),
        struct.pack("6d", MINUTE, 3, float("inf"), 0, 0, 0),
        struct.pack("6d", MINUTE + 1, 3, 20, 0, 0, 0),
    ],
)
def test_from_a_till_of_nonsense_nothing_is_given_back(path: Path, raw: bytes) -> None:
    gone = till(path)
    hold(path, gone, booked=100)
    gone.die()
    gone.path.write_bytes(raw)
    assert spent(path) == {"write": 100}
    assert not gone.path.exists()


def test_a_death_between_giving_back_and_removing_does_not_give_back_twice(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = till(path, used=8, mark=20)
    hold(path, gone, booked=20)
    gone.die()
    with monkeypatch.context() as dying:
        dying.setattr(DeadTill, "remove", lambda gone: None)
        assert spent(path) == {"write": 8}
    assert gone.path.exists()
    assert spent(path) == {"write": 8}
    assert not gone.path.exists()


def test_a_ledger_that_fails_meanwhile_lets_go_of_them_for_the_next_process(path: Path) -> None:
    gone = till(path, used=8, mark=20)
    hold(path, gone, booked=20)
    gone.die()
    ledger = opened(path)
    ledger.close()
    with pytest.raises(LedgerError):
        ledger.settle_tills()
    assert spent(path) == {"write": 8}
    assert not gone.path.exists()


def test_what_is_held_by_a_till_that_is_gone_for_good_stays_booked(path: Path) -> None:
    lost = till(path)
    hold(path, lost, booked=20)
    lost.close()
    till(path).die()
    assert spent(path) == {"write": 20}
    ledger = opened(path)
    assert ledger.exchange(lambda book: book._db.execute("SELECT count(*) FROM held").fetchone()) == (0,)
    ledger.close()


def test_it_is_private_and_durable_by_name(path: Path) -> None:
    made = till(path)
    made.sync_name()
    made.sync()
    assert made.path.stat().st_mode & 0o777 == 0o600
    made.close()


def test_where_there_can_be_no_file_the_hint_names_another(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError) as error:
        Till(tmp_path / "file" / "ledger", "a")
    assert "--ledger" in error.value.hint


def test_a_disk_that_fails_ends_it_with_a_hint(path: Path) -> None:
    made = till(path)
    made.die()
    made._fd = 1 << 20  # as a disk that says EIO
    for step in (made.sync, made.sync_name):
        with pytest.raises(JournalError) as error:
            step()
        assert "--ledger" in error.value.hint


def test_it_makes_its_folder(tmp_path: Path) -> None:
    till(tmp_path / "state" / "bulkwriter" / "ledger").close()
    assert (tmp_path / "state" / "bulkwriter").stat().st_mode & 0o777 == 0o700

"""Pages of short windows: shared by the living, kept through kills, cleared by a boot, handed on to new quotas."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path

import pytest

from bulkwriter.errors import JournalError
from bulkwriter.quota.page import MemoryPage, Page
from bulkwriter.quota.till import Till

CELLS = 4


def clear(cells: memoryview[float], free_at: float) -> None:
    for i in range(len(cells)):
        cells[i] = free_at


def opened(folder: Path, *, account: str = "a", windows: str = "write:1/s", boot: str = "boot-1") -> Page:
    return Page.open(folder / "ledger", account, windows, cells=CELLS, boot=boot, clear=clear)


def test_processes_see_each_other_s_numbers(tmp_path: Path) -> None:
    one, other = opened(tmp_path), opened(tmp_path)
    one.cells[2] = 17.5
    assert other.cells[2] == 17.5
    one.close()
    one.close()
    other.close()


def test_numbers_are_there_after_a_kill(tmp_path: Path) -> None:
    opened(tmp_path).cells[1] = 3.0  # never closed
    assert opened(tmp_path).cells[1] == 3.0


def test_only_one_books_at_a_time(tmp_path: Path) -> None:
    one, other = opened(tmp_path), opened(tmp_path)
    assert one.try_lock()
    assert not other.try_lock()
    one.unlock()
    assert other.try_lock()
    assert not one.try_lock()
    other.unlock()


def test_a_page_of_another_boot_is_cleared(tmp_path: Path) -> None:
    page = opened(tmp_path)
    page.cells[0] = 5.0
    page.note_end(100.0)
    assert list(opened(tmp_path, boot="boot-2").cells) == [0.0] * CELLS


def test_a_page_of_another_size_is_made_anew(tmp_path: Path) -> None:
    opened(tmp_path).cells[0] = 5.0
    (path,) = tmp_path.glob("*.pace")
    path.write_bytes(path.read_bytes()[:-8])
    assert list(opened(tmp_path).cells) == [0.0] * CELLS


def test_new_quotas_begin_as_if_all_were_spent_until_what_was_sent_has_ended(tmp_path: Path) -> None:
    opened(tmp_path, windows="write:1/s").note_end(100.0)
    opened(tmp_path, windows="write:2/s").note_end(90.0)
    opened(tmp_path, windows="write:3/s", account="b").note_end(500.0)
    assert list(opened(tmp_path, windows="write:4/s").cells) == [100.0] * CELLS


def test_who_ends_in_order_says_that_nothing_is_on_its_way(tmp_path: Path) -> None:
    page = opened(tmp_path)
    page.note_end(100.0)
    page.note_end(120.0)
    page.note_none(7.0)
    assert list(opened(tmp_path, windows="write:2/s").cells) == [7.0] * CELLS


def test_requests_of_others_stay_noted_whether_booked_before_between_or_after(tmp_path: Path) -> None:
    for n, order in enumerate(("one other", "other one", "other one other", "one other one")):
        one, other = (opened(tmp_path, account=order) for _ in range(2))
        for at, who in enumerate(order.split(), start=100):
            (one if who == "one" else other).note_end(float(at))
        last = 100.0 + max(at for at, who in enumerate(order.split()) if who == "other")
        one.note_none(7.0)
        assert opened(tmp_path, account=order, windows=f"write:{n + 2}/s").cells[0] >= last
        other.note_none(8.0)


def test_a_request_of_another_process_with_a_longer_timeout_stays_noted(tmp_path: Path) -> None:
    one, other = opened(tmp_path), opened(tmp_path)
    other.note_end(500.0)
    one.note_end(101.0)
    assert list(opened(tmp_path, windows="write:2/s").cells) == [500.0] * CELLS


def test_what_an_earlier_boot_noted_is_not_handed_on(tmp_path: Path) -> None:
    opened(tmp_path, boot="boot-0").note_end(100.0)
    assert list(opened(tmp_path, windows="write:2/s").cells) == [0.0] * CELLS


def test_a_torn_file_beside_is_passed_over(tmp_path: Path) -> None:
    page = opened(tmp_path)
    (path,) = tmp_path.glob("*.pace")
    path.with_name(path.name.replace(path.name.split("-")[2], "torn.pace")).write_bytes(struct.pack("d", 1.0))
    assert list(opened(tmp_path, windows="write:2/s").cells) == [0.0] * CELLS
    page.close()


def test_it_is_private_and_no_link_is_followed(tmp_path: Path) -> None:
    opened(tmp_path)
    (path,) = tmp_path.glob("*.pace")
    assert path.stat().st_mode & 0o777 == 0o600
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(JournalError) as error:
        opened(tmp_path)
    assert "--ledger" in error.value.hint


def test_room_for_page_and_till_is_taken_when_they_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk that is an error; in a hole of the file the first number written would end the process instead."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as m:
        m.setattr(os, "pwrite", full)
        with pytest.raises(JournalError, match="No space left"):
            opened(tmp_path)
        with pytest.raises(JournalError, match="No space left"):
            Till(tmp_path / "ledger", "a")
        m.setattr(os, "pwrite", lambda fd, data, at: len(data) - 1)
        with pytest.raises(JournalError, match="No space left"):
            opened(tmp_path)
    assert not list(tmp_path.glob("*.till"))
    assert list(opened(tmp_path).cells) == [0.0] * CELLS


def test_a_page_in_memory_is_one_s_own() -> None:
    page = MemoryPage(CELLS)
    assert page.try_lock()
    assert list(page.cells) == [0.0] * CELLS
    page.unlock()
    page.note_end(1.0)
    page.note_none(1.0)
    page.close()

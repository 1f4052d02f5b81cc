"""Two runs over the same pairs, each with a journal of its own: who is refused, who is warned, what is kept of it."""

from __future__ import annotations

import dataclasses
import json
import os
import stat
import time
from pathlib import Path

import pytest

from bulkwriter.run.registry import FILES_MAX, KEEP_S, ROWS, Entry, Registry, rows_of
from bulkwriter.store.lock import FileLock
from tests.support.cli_process import Here, finish, interrupt, start, stub, wait_for, write_pairs

URL = "https://api.example"
WAITS = ("--quota", "write:12/day")
"""A run with this quota writes twelve pairs, and is then at work for as long as the test likes."""


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "state" / "ledger")


@pytest.fixture
def here(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, canary_env: str) -> Here:
    here = Here(capsys, monkeypatch)
    here.env("XDG_STATE_HOME", str(tmp_path / "state"))
    return here


def entry(name: str = "a", *, url: str = URL, folder: Path = Path("/data"), first: int = 1) -> Entry:
    begun = Entry.begun(base_url=url, account=None, source=f"{folder}/{name}.csv", journal=folder / f"{name}.journal")
    return dataclasses.replace(begun, rows=rows_of([(1, first), (2, first)]))


# ---- what is kept


def test_an_entry_is_kept_whole_and_for_its_owner_alone(registry: Registry) -> None:
    before = os.umask(0)
    try:
        assert registry.put(entry()) == ""
    finally:
        os.umask(before)
    assert registry.get(entry()) == dataclasses.replace(entry(), started_at=registry.get(entry()).started_at)  # type: ignore[union-attr]
    files = list(registry.folder.iterdir())
    assert [stat.S_IMODE(path.stat().st_mode) for path in (registry.folder, *files)] == [0o700, 0o600]
    assert "1,1" not in files[0].read_text()


def test_others_are_those_of_the_server_and_account_with_another_journal(registry: Registry) -> None:
    for other in (entry("a"), entry("b"), entry("c", url="https://other.example")):
        registry.put(other)
    registry.put(dataclasses.replace(entry("d"), account="B"))
    assert [Path(other.journal).stem for other in registry.others(entry("a"))] == ["b"]


def test_runs_overlap_by_source_or_by_one_of_the_first_pairs() -> None:
    ours = entry("a", first=5)
    assert ours.overlaps(entry("b", first=5))
    assert not ours.overlaps(entry("b", first=6))
    assert ours.overlaps(dataclasses.replace(entry("b", first=6), source=ours.source))
    stdin = dataclasses.replace(ours, source="-")
    assert not stdin.overlaps(dataclasses.replace(entry("b", first=6), source="-"))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", '{"base_url": 1}', "\0" * 100, '{"rows": 5}', "[" * 40_000], ids=range(8)
)
def test_a_file_that_is_none_is_passed_over(registry: Registry, text: str) -> None:
    registry.put(entry("b"))
    next(registry.folder.glob("*.json")).write_text(text)
    assert registry.others(entry("a")) == []


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(Entry)])
@pytest.mark.parametrize("value", [{}, [1], "x", 1.5, None])
def test_no_field_of_another_type_gets_in_the_way(registry: Registry, field: str, value: object) -> None:
    registry.put(entry("b"))
    path = next(registry.folder.glob("*.json"))
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    for other in registry.others(entry("a")):
        other.overlaps(entry("a"))
        assert other.is_at_work in (True, False)


def test_the_registry_stays_small(registry: Registry) -> None:
    registry.put(entry())
    for i in range(FILES_MAX + 20):
        (registry.folder / f"{i:012}-x.json").write_text("{}")
        os.utime(registry.folder / f"{i:012}-x.json", (0, time.time() - 60 - i))
    old = registry.folder / "old-x.json"
    old.write_text("{}")
    os.utime(old, (0, time.time() - KEEP_S - 60))
    registry.put(entry("b"))
    assert len(list(registry.folder.glob("*.json"))) == FILES_MAX + 1
    assert not old.exists()
    assert registry.get(entry("b"))


def test_at_work_is_who_holds_the_lock_of_its_journal(tmp_path: Path) -> None:
    def is_at_work() -> bool:
        return entry(folder=tmp_path).is_at_work

    assert not is_at_work()
    lock = FileLock.acquire(tmp_path / "a.journal")
    assert is_at_work()
    lock.release()
    assert not is_at_work()


# ---- what a run does


@pytest.mark.slow
def test_a_second_run_over_the_same_pairs_is_refused_and_doubles_nothing(here: Here, tmp_path: Path) -> None:
    first, second = write_pairs(tmp_path / "a.csv", 60), write_pairs(tmp_path / "b.csv", 60)
    third = write_pairs(tmp_path / "c.csv", 30, first=5_000)
    with stub() as server:
        process = start("run", str(first), "--base-url", server.base_url, *WAITS)
        wait_for(lambda: server.truth()["records"] == 12)
        done = here.run(second, server)
        assert (done.code, done.counts("created", "attempts")) == (5, (0, 0))
        assert "a run at work has pairs of this source" in done.err
        assert str(first) in done.err
        assert here.run(third, server).code == 0, "other pairs are nobody's business"
        also = here.run(first, server, "--journal", str(tmp_path / "other.journal"), "--limit=1")
        assert also.code == 5
        told = here.run(second, server, "--yes", "--limit=1")
        assert "both may write them" in told.err
        interrupt(process)
        assert finish(process).code == 130
        assert server.truth()["doubles"] == 0
        warned = here.run(second, server)
        assert "with pairs left" in warned.err
        assert warned.code == 0
        assert here.run(first, server).code == 0
        again = here.run(second, server)
        assert "pairs left" not in again.err


@pytest.mark.slow
def test_a_run_that_was_killed_is_told_of_and_a_finished_one_is_not(here: Here, tmp_path: Path) -> None:
    first, second = write_pairs(tmp_path / "a.csv", 60), write_pairs(tmp_path / "b.csv", 60)
    with stub() as server:
        process = start("run", str(first), "--base-url", server.base_url, *WAITS)
        wait_for(lambda: server.truth()["records"] == 12)
        process.kill()
        process.communicate()
        assert "was cut off" in here.run(second, server).err
        assert here.run(first, server).code == 0
        third = write_pairs(tmp_path / "c.csv", 60)
        done = here.run(third, server)
        assert (done.code, done.counts("existing")) == (0, (60,))
        assert "a run of" not in done.err


@pytest.mark.slow
def test_a_registry_that_cannot_be_written_stops_nothing(here: Here, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file, where a folder should be")
    with stub() as server:
        done = here.run(write_pairs(tmp_path / "a.csv", 20), server)
    assert done.code == 0
    assert done.err.count("other runs are not told of this one") == 1


def test_only_the_first_pairs_are_kept() -> None:
    assert len(set(rows_of((1, member) for member in range(ROWS)))) == ROWS

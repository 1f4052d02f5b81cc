"""The warm start: kept from run to run and read back, and never in the way of a run."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bulkwriter import BulkWriter, Settings
from bulkwriter.events import Event, NotRemembered, Remembered
from bulkwriter.run.engine import Engine
from bulkwriter.run.warm_start import Found, WarmStart, WarmStartFile, warm_start_for
from tests.adaptive.test_adaptive import Bucket, Server, controller, count, drive
from tests.conftest import CANARY
from tests.support.cli_process import Here, stub, write_pairs
from tests.support.library import on_loop, settings_for, some_pairs

URL = "https://api.example"
BUCKET = {"kind": "bucket", "count": 100, "burst": 20, "retry_after": "none"}


# ---- the file


def test_what_is_written_is_read_back_with_its_age(tmp_path: Path) -> None:
    file = WarmStartFile(tmp_path / "state" / "ledger", URL)
    assert file.read(0.0) == Found({}, 0.0)
    assert file.write({"rate_per_s": 98.2}, 1_000.0) == ""
    assert file.write({"rate_per_s": 99.5}, 1_060.0) == ""
    found = file.read(1_100.0)
    assert (found.kept["rate_per_s"], found.age_s, found.trouble) == (99.5, 40.0, "")
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "state").iterdir()] == [file.path.name]


def test_accounts_share_no_warm_start(tmp_path: Path) -> None:
    one, two = (WarmStartFile(tmp_path / "ledger", account) for account in (URL, "night"))
    one.write({"rate_per_s": 98.2}, 0.0)
    assert two.read(0.0) == Found({}, 0.0)
    one.path.rename(two.path)
    assert two.read(0.0).trouble


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "null", "[" * 4_000, '{"account": "https://api.example"}', '{"at": 1}', "\x00" * 99]
)
def test_nonsense_is_as_good_as_no_file_and_is_told(text: str, tmp_path: Path) -> None:
    file = WarmStartFile(tmp_path / "ledger", URL)
    file.path.write_text(text, encoding="utf-8")
    found = file.read(0.0)
    assert found.kept == {}
    assert found.trouble.startswith(f"{file.path}: ")


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("", encoding="ascii")
    file = WarmStartFile(tmp_path / "state" / "ledger", URL)
    assert file.write({"rate_per_s": 98.2}, 0.0).endswith(("Not a directory", "File exists"))
    assert file.read(0.0).trouble.endswith("Not a directory")


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    file = WarmStartFile(tmp_path / "ledger", URL)
    file.path.mkdir()
    assert "directory" in file.write({"rate_per_s": 98.2}, 0.0)
    assert list(tmp_path.iterdir()) == [file.path]


@pytest.mark.parametrize(
    ("chosen", "is_kept"),
    [
        ({"base_url": URL}, True),
        ({"base_url": URL, "quota": ("none",)}, True),
        ({"base_url": "http://127.0.0.1:1"}, False),
        ({"base_url": "http://127.0.0.1:1", "account": "night"}, True),
        ({"base_url": "http://127.0.0.1:1", "ledger": Path("ledger")}, True),
        ({"base_url": "http://127.0.0.1:1", "quota": ("write:60/min",)}, True),
    ],
)
def test_nothing_is_kept_of_a_port_of_this_machine_unless_asked_for(chosen: dict[str, Any], is_kept: bool) -> None:
    assert (warm_start_for(Settings(token="x", **chosen), lambda: 0.0) is not None) == is_kept


# ---- the disk is in the way


class Hanging(WarmStartFile):
    """A file on a disk that does not answer until `gate` is set."""

    def __init__(self) -> None:
        super().__init__(Path("ledger"), URL)
        self.gate = threading.Event()
        self.writes = 0

    def read(self, wall: float) -> Found:
        self.gate.wait(10)
        return Found({"rate_per_s": 5.0}, 1.0)

    def write(self, kept: dict[str, float], wall: float) -> str:
        self.writes += 1
        self.gate.wait(10)
        return ""


def engine_with(learnt: dict[str, float], tell: Callable[[Event], None]) -> Engine:
    control = SimpleNamespace(learnt=lambda: learnt, restore=lambda found, age_s: found.get("rate_per_s", 0.0))
    made: Any = SimpleNamespace(run=SimpleNamespace(tell=tell), admission=SimpleNamespace(control=control))
    return cast(Engine, made)


def test_a_disk_that_hangs_holds_nobody_up() -> None:
    events: list[Event] = []
    file = Hanging()

    async def main() -> None:
        warm_start = WarmStart(file, lambda: 0.0, wait_s=0.01)
        engine = engine_with({"rate_per_s": 98.0}, events.append)
        await warm_start.read()
        warm_start.restore(engine)
        await warm_start.keep_now(engine)  # the first thread still waits: no second one
        assert file.writes == 0
        file.gate.set()

    asyncio.run(main())
    assert events == [NotRemembered("the disk takes too long")]


def test_where_nothing_was_found_what_is_kept_stays() -> None:
    file = Hanging()
    file.gate.set()
    asyncio.run(WarmStart(file, lambda: 0.0).keep_now(engine_with({}, lambda event: None)))
    assert file.writes == 0


# ---- from run to run


@pytest.mark.parametrize(
    ("age_s", "rate"), [(0.0, 98.0), (6.9 * 86_400, 98.0), (7 * 86_400, 0.0), (8 * 86_400, 0.0), (-1.0, 0.0)]
)
def test_what_is_old_or_from_the_future_is_not_taken(age_s: float, rate: float) -> None:
    assert controller().restore({"rate_per_s": 98.0}, age_s) == rate


@pytest.mark.parametrize("limit", [100.0, 1_000.0])
@pytest.mark.parametrize("latency_s", [0.02, 0.1])
def test_a_right_warm_start_is_reached_in_a_second(limit: float, latency_s: float) -> None:
    c = controller(256)
    c.restore({"rate_per_s": limit}, 3_600.0)
    trace = drive(c, Server(Bucket(limit), latency_s=latency_s), 2.0)
    assert count(trace.good, 1.0, 2.0) >= 0.85 * limit
    assert len(trace.throttled) <= 0.02 * limit + 5


@pytest.mark.parametrize("wrong", [10.0, 0.1])
@pytest.mark.parametrize(("limit", "takes"), [(200.0, None), (1_000.0, None), (200.0, lambda now, inside: inside < 20)])
def test_a_wrong_warm_start_costs_some_seconds_and_no_storm(limit: float, takes: Any, wrong: float) -> None:
    c = controller(256)
    c.restore({"rate_per_s": wrong * limit}, 3_600.0)
    trace = drive(c, Server(takes or Bucket(limit)), 15.0)
    assert count(trace.good, 5.0, 15.0) >= 0.9 * 10 * limit
    assert len([at for at in trace.throttled if at < 2.0]) <= 40


def test_a_warm_start_that_was_far_too_low_is_not_kept() -> None:
    c = controller(512)
    c.restore({"rate_per_s": 10.0}, 60.0)
    drive(c, Server(lambda now, inside: True), 10.0)
    assert c.learnt() == {"rate_per_s": 0.0}
    assert controller().restore(c.learnt(), 0.0) == 0.0


@pytest.mark.slow
def test_the_next_run_begins_with_what_this_one_found(tmp_path: Path) -> None:
    events: list[Event] = []
    ledger = tmp_path / "ledger"

    async def run(server: Any, name: str, pairs: int) -> None:
        settings = settings_for(server, tmp_path / name, existing="skip", account="night", ledger=ledger)
        async with BulkWriter(settings, observers=[events.append]) as writer:
            assert (await writer.write_all(some_pairs(pairs))).counts.created == pairs

    with stub(latency_s=0.01, limits=[BUCKET]) as server:
        on_loop(lambda: run(server, "one", 400))
        assert not [event for event in events if isinstance(event, Remembered | NotRemembered)]
        on_loop(lambda: run(server, "two", 20))
        remembered = [event for event in events if isinstance(event, Remembered)]
        assert 20 < remembered[0].rate_per_s < 300
        assert 0 <= remembered[0].age_s < 60
        assert server.truth()["doubles"] == 20
    kept = json.loads(WarmStartFile(ledger, "night").path.read_text())
    assert kept["account"] == "night"


@pytest.mark.slow
def test_what_cannot_be_kept_is_told_when_asked_for_and_breaks_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Here(capsys, monkeypatch)
    here.env("BULKWRITER_TOKEN", CANARY)
    (tmp_path / "state").write_text("", encoding="ascii")
    ledger = str(tmp_path / "state" / "ledger")
    with stub(latency_s=0.01, limits=[BUCKET]) as server:
        for name, more, count in (("a", ["-v"], 1), ("b", [], 0)):
            source = write_pairs(tmp_path / f"{name}.csv", 100)
            done = here.run(source, server, "--existing", "skip", "--ledger", ledger, "--quota", "none", *more)
            assert done.code == 0
            said = done.err.count("is not remembered: ")  # not read; and not kept, if anything was learnt
            assert said >= count if count else not said

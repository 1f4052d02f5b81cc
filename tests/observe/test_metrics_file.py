"""`run --metrics-file`: whole or not at all, readable by another user, and never a reason to end a run."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from bulkwriter.cli.metrics_kept import MetricsKept
from bulkwriter.events import Opened
from bulkwriter.observe.metrics_file import MetricsFile

from ..conftest import CANARY
from ..support.cli_process import Here, stub, write_pairs
from .test_prometheus import FULL, samples


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def file_at(path: Path) -> MetricsFile:
    file = MetricsFile(path)
    file.for_writer()(Opened("https://h", None, lambda: FULL))
    return file


def test_the_file_is_whole_and_everybody_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "b.prom"
    before = os.umask(0o077)
    try:
        file_at(path).write()
    finally:
        os.umask(before)
    assert samples(path.read_text())["bulkwriter_attempts_total", ()] == 5
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert names_in(tmp_path) == ["b.prom"]


def test_what_is_left_of_a_killed_process_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / f".b.prom.{os.getpid()}.tmp").write_text("half")
    file_at(tmp_path / "b.prom").write()
    assert names_in(tmp_path) == ["b.prom"]


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "b.prom"
    path.write_text("before")

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        file_at(path).write()
    assert (names_in(tmp_path), path.read_text()) == (["b.prom"], "before")


def test_trouble_is_told_once_and_the_last_write_comes_at_the_end(tmp_path: Path) -> None:
    told: list[str] = []
    path = tmp_path / "gone" / "b.prom"
    with MetricsKept(file_at(path), told.append, every_s=0.001) as kept:
        while not told:
            pass
        path.parent.mkdir()
        kept.file = file_at(path)
    assert len(told) == 1
    assert "cannot be written: No such file or directory; nothing else depends on it" in told[0]
    assert samples(path.read_text())["bulkwriter_attempts_total", ()] == 5


@pytest.mark.slow
def test_a_run_leaves_its_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "b.prom"
    with stub() as server:
        here = Here(capsys, monkeypatch)
        here.env("BULKWRITER_TOKEN", CANARY)
        done = here.run(write_pairs(tmp_path / "p.csv", 30), server, f"--metrics-file={path}")
    found = samples(path.read_text())
    assert (done.code, done.counts("created")) == (0, (30,))
    assert found["bulkwriter_outcomes_total", (("outcome", "created"),)] == 30
    assert found["bulkwriter_writers", ()] == 0
    assert found["bulkwriter_journal_rows", (("outcome", "created"),)] == 30


@pytest.mark.parametrize("name", ["missing/b.prom", "."])
def test_a_place_that_cannot_be_is_refused_before_anything_is_opened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    here = Here(capsys, monkeypatch)
    done = here("run", str(write_pairs(tmp_path / "p.csv", 1)), f"--metrics-file={tmp_path / name}", "--progress=none")
    assert done.code == 2
    assert "--metrics-file" in done.err
    assert not (tmp_path / "p.csv.journal").exists()

"""The page of `run --report`: made again and again and at the end, and no trouble with it reaches the run."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from bulkwriter.cli.main import main
from bulkwriter.cli.report_kept import ReportKept
from bulkwriter.errors import JournalError
from bulkwriter.stub.thread import StubThread

from ..conftest import CANARY
from ..report.test_page import text_of

PAGE = Path("page.html")


def test_a_page_is_made_again_and_once_more_at_the_end() -> None:
    written: list[tuple[Path, str]] = []
    enough = threading.Event()

    def write(path: Path, text: str) -> None:
        written.append((path, text))
        if len(written) == 3:
            enough.set()

    warned: list[str] = []
    with ReportKept(
        PAGE, make=lambda s: f"again after {s} s", write=write, warn=warned.append, first_s=0.0, every_s=0.001
    ):
        assert enough.wait(20)
    count = len(written)
    assert written[-1] == (PAGE, "again after 0 s")
    assert not warned
    assert len(written) == count


def test_a_run_that_ends_at_once_has_its_page() -> None:
    written: list[str] = []
    with ReportKept(PAGE, make=lambda s: "page", write=lambda path, text: written.append(text), warn=print):
        pass
    assert written == ["page"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (PermissionError(13, "Permission denied"), "Permission denied"),
        (JournalError("it was removed or replaced"), "it was removed or replaced"),
        (KeyError("x"), "a bug of ours, KeyError"),
    ],
)
def test_trouble_is_told_once_and_tried_again(error: Exception, words: str) -> None:
    tries, enough = 0, threading.Event()
    warned: list[str] = []

    def write(path: Path, text: str) -> None:
        nonlocal tries
        tries += 1
        if tries == 3:
            enough.set()
        raise error

    with ReportKept(PAGE, make=lambda s: "", write=write, warn=warned.append, first_s=0.0, every_s=0.001):
        assert enough.wait(20)
    assert warned == [f"the report page.html is not up to date: {words}; nothing else depends on it"]


@pytest.mark.slow
def test_a_run_leaves_the_page_of_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, page = tmp_path / "pairs.csv", tmp_path / "page.html"
    source.write_text("CourseLessonId,CourseMemberId\n" + "".join(f"1,{i}\n" for i in range(1, 31)), encoding="ascii")
    monkeypatch.setenv("BULKWRITER_TOKEN", CANARY)
    with StubThread({"tokens": [CANARY]}) as stub:
        run = ["run", str(source), "--base-url", stub.base_url, "--json", "--report", str(page)]
        assert main(run) == 0
        said = json.loads(capsys.readouterr().out.splitlines()[-1])
        html = page.read_text(encoding="utf-8")
        assert f"{said['pairs']} rows read = {said['created']} created" in text_of(html)
        assert "Finished · 100% settled" in text_of(html)
        assert "refresh" not in html
        assert CANARY not in html
        page.write_text("not a report", encoding="ascii")
        assert main(run) == 2

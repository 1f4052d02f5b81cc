"""`report` on journals made at once: its numbers are those of `status --json`, and it replaces only what is its own."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path
from typing import Any

import pytest

from bulkwriter.cli.main import main
from bulkwriter.cli.report import check_target, made, page_of, read, write_page
from bulkwriter.errors import UsageError
from bulkwriter.model import State
from bulkwriter.report.page import TERMS
from bulkwriter.store.journal import Journal
from bulkwriter.store.starts import ORIGIN

from ..report.test_page import text_of
from ..support.made_history import URL, made_history

Captured = pytest.CaptureFixture[str]
COLUMNS = ("CourseLessonId", "CourseMemberId")


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve days of a run that was killed."""
    return made_history(tmp_path_factory.mktemp("long") / "pairs.csv.journal", pairs=3_000, until=1_796_000_000.0)


def as_json(capsys: Captured, command: str, path: Path) -> dict[str, Any]:
    assert main([command, str(path), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_numbers_of_the_page_are_those_of_status(capsys: Captured, long_run: Path, tmp_path: Path) -> None:
    status, report = as_json(capsys, "status", long_run), as_json(capsys, "report", long_run)
    page = tmp_path / "page.html"
    assert main(["report", str(long_run), "--output", str(page)]) == 0
    text = text_of(page.read_text(encoding="utf-8"))
    terms = " + ".join(f"{status[name]:,} {words}" for name, words in TERMS.items())
    assert f"{status['pairs']:,} rows read = {terms}" in text
    assert {key: report[key] for key in [*TERMS, "pairs", "reasons"]} == {
        key: status[key] for key in [*TERMS, "pairs", "reasons"]
    }
    for reason in status["reasons"]["rejected"]:
        assert f"rejected {reason['count']:,} CourseMember" in text or f"{reason['count']:,} CourseLesson" in text
    history = report["history"]
    assert (
        f"at least {history['attempts']:,} requests to create; the server throttled at least {history['throttled']:,}"
        in text
    )
    assert sum(day["attempts"] for day in history["days"]) == history["attempts"]
    assert sum(start["attempts"] for start in history["starts"]) == history["attempts"]
    for word in ("found", "absent"):
        assert history["steps"][word] > 0
    assert f"open now {status['in_doubt']}" in text
    assert "Cut off" in text
    assert page.stat().st_size < 300_000
    assert stat.S_IMODE(page.stat().st_mode) == 0o600


def test_the_page_of_a_run_at_work_asks_to_be_loaded_again(long_run: Path) -> None:
    assert "refresh" not in made(long_run, refresh_s=60)
    journal = Journal.open(long_run, base_url=URL, account=None, columns=COLUMNS)
    try:
        html = made(long_run, refresh_s=60)
    finally:
        journal.close()
    assert '<meta http-equiv="refresh" content="60">' in html
    assert "At work" in text_of(html)


def test_a_private_page_has_no_name_and_no_text(long_run: Path) -> None:
    facts, rows, _ = read(long_run)
    html = page_of(facts, rows, is_private=True)
    assert not re.search(r"pairs\.csv|127\.0\.0\.1|unknown|archived|ann@|line \d", html)
    assert re.search(r"such as \d+,\d+", text_of(html))


def test_private_facts_have_no_name_and_no_text(capsys: Captured, long_run: Path) -> None:
    assert main(["report", str(long_run), "--json", "--private"]) == 0
    told = capsys.readouterr().out
    assert not re.search(r"pairs\.csv|127\.0\.0\.1|unknown|archived|ann@|line \d", told)
    facts = json.loads(told)
    assert re.fullmatch(r"\d+,\d+", facts["reasons"]["rejected"][0]["example"])
    assert facts["pairs"] == as_json(capsys, "report", long_run)["pairs"]


def test_json_has_no_file(capsys: Captured, long_run: Path, tmp_path: Path) -> None:
    assert main(["report", str(long_run), "--json", "--output", str(tmp_path / "x.html")]) == 2
    assert "give one of the two" in capsys.readouterr().err
    assert main(["report", str(long_run), "--json", "--output", "-"]) == 0


def test_a_torn_journal_ends_with_5_and_leaves_the_page_alone(long_run: Path, tmp_path: Path) -> None:
    torn, page = tmp_path / "torn.journal", tmp_path / "page.html"
    torn.write_bytes(long_run.read_bytes()[:-9_000])
    assert main(["report", str(torn), "--output", str(page)]) == 5
    assert not page.exists()


def test_a_journal_without_a_row_makes_a_page(tmp_path: Path) -> None:
    path = tmp_path / "j"
    journal = Journal.open(path, base_url=URL, account=None, columns=COLUMNS)
    journal.append([(0, 1, 1, 2, int(State.PENDING), None)])
    journal.close()
    assert main(["report", str(path)]) == 0
    assert "1 rows read" in text_of((tmp_path / "j.report.html").read_text(encoding="utf-8"))


def test_only_a_report_is_replaced(long_run: Path, tmp_path: Path) -> None:
    page, other = tmp_path / "page.html", tmp_path / "other.html"
    other.write_text("mine", encoding="ascii")
    for _ in range(2):
        assert main(["report", str(long_run), "--output", str(page)]) == 0
    assert main(["report", str(long_run), "--output", str(other)]) == 2
    assert other.read_text(encoding="ascii") == "mine"
    assert main(["report", str(long_run), "--output", str(other), "--force"]) == 0
    for wrong in (Path("-"), long_run, tmp_path, tmp_path / "none" / "page.html"):
        with pytest.raises(UsageError):
            check_target(wrong, long_run, force=True)
    with pytest.raises(UsageError, match="the source itself"):
        check_target(tmp_path / "pairs.csv", long_run, source=str(tmp_path / "pairs.csv"))


def test_a_page_goes_to_stdout(capsys: Captured, long_run: Path) -> None:
    assert main(["report", str(long_run), "--output", "-"]) == 0
    assert capsys.readouterr().out.startswith("<!DOCTYPE html>")


def test_a_page_is_replaced_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    write_page(page, "one")
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    page.chmod(0o644)
    write_page(page, "two")
    assert (page.read_text(encoding="ascii"), stat.S_IMODE(page.stat().st_mode)) == ("two", 0o644)
    with pytest.raises(UnicodeEncodeError):
        write_page(page, "half \ud800")
    assert page.read_text(encoding="ascii") == "two"
    assert list(tmp_path.iterdir()) == [page]


def test_the_runs_own_source_is_never_replaced(tmp_path: Path) -> None:
    source, path = tmp_path / "pairs.csv", tmp_path / "j"
    source.write_text("CourseLessonId,CourseMemberId\n1,1\n", encoding="ascii")
    journal = Journal.open(path, base_url=URL, account=None, columns=COLUMNS)
    journal.append([(0, 1, 1, 2, int(State.PENDING), None)], {ORIGIN: json.dumps({"path": str(source)})})
    journal.close()
    assert main(["report", str(path), "--output", str(source), "--force"]) == 2
    assert source.read_text(encoding="ascii").endswith("1,1\n")

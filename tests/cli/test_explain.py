"""`explain`: what is told of one record, for every state, from journals made by hand."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from bulkwriter.cli.explain import ids_of, sentence
from bulkwriter.cli.main import main
from bulkwriter.errors import UsageError
from bulkwriter.model import SINGLE_SEQ, BadRow, FieldError, State
from bulkwriter.rows import RecordStep, bad_row_detail, outcome_detail, undone_detail
from bulkwriter.store.history import Moment, StoredStep
from bulkwriter.store.journal import Journal
from bulkwriter.store.starts import SOURCE, UNDONE, source_text, undone_text

URL = "http://127.0.0.1:1"
AT = 1_796_000_000.0
Captured = pytest.CaptureFixture[str]


def moment(at: float) -> Moment:
    return Moment(1, at, None, 0, 0, 0, 1, None, "limit", {}, {}, {}, {})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal as a killed run leaves it: rows 2 to 9 of a source of 50, and one pair that was given by itself."""
    path = tmp_path / "pairs.csv.journal"
    journal = Journal.open(path, base_url=URL, account=None, columns=("CourseLessonId", "CourseMemberId"))
    journal.keep_history(moment(AT), [], 0, ())
    bad = bad_row_detail(BadRow("CourseLessonId is no number", "ann@example.com,y"))
    rows = [
        (0, 1, 1, 2, State.INTENT, None), (1, 1, 2, 3, State.INTENT, None), (2, 1, 3, 4, State.INTENT, None),
        (3, 1, 4, 5, State.INTENT, None), (4, 1, 5, 6, State.PENDING, None), (5, 1, 1, 7, State.DUPLICATE, None),
        (6, None, None, 8, State.INVALID, bad), (7, 1, 7, 9, State.INTENT, None),
    ]  # fmt: skip
    journal.append([(seq, a, b, line, int(state), detail) for seq, a, b, line, state, detail in rows])
    journal.append([(SINGLE_SEQ, 5, 5, None, int(State.PENDING), None)], {SOURCE: source_text(50, is_exact=True)})
    said = outcome_detail((FieldError("CourseMemberId", "is \x1b[31munknown"),), "")
    journal.settle([(0, State.CREATED, 1, 77, 200, None), (1, State.REJECTED, 1, None, 400, said)])
    journal.settle([(2, State.CREATED, 2, 78, 200, None), (7, State.CREATED, 3, 79, 200, None)])
    steps = [
        (2, AT + 1.0, RecordStep.THROTTLED, 429, None, None, None, 0.02, 5.0),
        (2, AT + 6.5, RecordStep.LOST, None, "silent", None, None, 90.0, None),
        (2, AT + 71.5, RecordStep.ABSENT, None, None, None, None, None, None),
        (2, AT + 72.0, RecordStep.SETTLED, None, None, None, 3, None, None),
        (1, AT + 1.0, RecordStep.REFUSED, 400, "CourseMemberId", None, None, 0.2, None),
    ]
    journal.keep_history(moment(AT + 60), [(*step[:2], int(step[2]), *step[3:]) for step in steps], 0, ())
    journal.close()
    return path


def told(capsys: Captured, path: Path, *how: str, code: int = 0) -> str:
    assert main(["explain", str(path), *how]) == code
    return capsys.readouterr().out


def facts(capsys: Captured, path: Path, *how: str, code: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(told(capsys, path, *how, "--json", code=code))
    return found


def test_a_record_with_trouble_is_told_attempt_by_attempt(
    capsys: Captured, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    text = told(capsys, path, "--line", "4")
    assert "CourseLessonId 1, CourseMemberId 3 · line 4" in text
    assert "created, record 78: made by this run at attempt 2" in text
    way = [line.partition("UTC")[2].strip() for line in text.splitlines()[3:]]
    assert way == [
        "1. sent; the server throttled it after 20 ms (HTTP 429), so it was not applied; it asked for a wait of 5.0 s",
        "(+5.5 s)  2. sent; no reply in time after 1 min 30 s: it may have been applied, so it was in doubt",
        "(+1 min 05 s)  look: it has no record on the server",
        "(+0.5 s)  3. sent, and created",
    ]
    (row,) = facts(capsys, path, "--pair", "1,3")["rows"]
    assert [step["step"] for step in row["steps"]] == ["throttled", "lost", "absent", "settled"]
    assert (row["steps"][1]["at"], row["steps"][1]["took_s"]) == ("2026-11-30T00:53:26.5+00:00", 90.0)
    assert (row["read_after"], row["read_before"]) == ("2026-11-30T00:53:20.0+00:00", "2026-11-30T00:54:20.0+00:00")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (2, ["created, record 77", "sent once, and created at once"]),
        (3, ["rejected: refused by the server", "CourseMemberId: is \\x1b[31munknown", "(HTTP 400, for CourseMember"]),
        (5, ["in doubt: it was sent or about to be sent"]),
        (6, ["pending: not sent yet"]),
        (7, ["duplicate: the same pair as an earlier row, line 2"]),
        (8, ["invalid", "CourseLessonId is no number", "--state invalid --output -"]),
        (9, ["its steps were not kept"]),
    ],
)
def test_every_state_is_explained(capsys: Captured, path: Path, line: int, words: list[str]) -> None:
    text = told(capsys, path, "--line", str(line))
    assert all(word in text for word in words), text
    assert "ann@example.com" not in text


def test_an_undone_pair_was_created_and_deleted(capsys: Captured, path: Path) -> None:
    journal = Journal.open(path, base_url=URL, account=None, columns=("CourseLessonId", "CourseMemberId"))
    journal.settle([(0, State.PENDING, 0, None, None, undone_detail(77, is_deleted=True))])
    journal.meta_set(UNDONE, undone_text(AT, 1, journal.meta()))
    journal.close()
    text = told(capsys, path, "--line", "2")
    assert "pending, undone: record 77 was created by this run, and then deleted by an undo; the last undo was" in text
    (row,) = facts(capsys, path, "--line", "2")["rows"]
    assert (row["undone_record_id"], row["undone_at"]) == (77, "2026-11-30T00:53:20+00:00")
    assert "pending: not sent yet, or undone; the last undo was at 2026-" in told(capsys, path, "--line", "6")


def test_a_pair_in_several_rows_is_told_for_each(capsys: Captured, path: Path) -> None:
    rows = facts(capsys, path, "--pair", "1,1")["rows"]
    assert [(row["line"], row["state"], row["first_line"]) for row in rows] == [
        (2, "created", None),
        (7, "duplicate", 2),
    ]
    assert "given one by one" in told(capsys, path, "--pair", "5,5")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (["--line", "40"], ["no record that begins on line 40", "among 9 rows read", "not read yet: 42", "line 9"]),
        (["--pair", "3,1"], ["no record of the pair 3, 1", "There is one of 1, 3"]),
    ],
)
def test_what_is_not_there_is_exit_1_and_says_why(
    capsys: Captured, path: Path, how: list[str], words: list[str]
) -> None:
    text = told(capsys, path, *how, code=1)
    assert all(word in text for word in words), text
    found = facts(capsys, path, *how, code=1)
    assert (found["rows"], found["exit_code"]) == ([], 1)


def test_a_pair_under_way_is_no_doubt(capsys: Captured, path: Path) -> None:
    journal = Journal.open(path, base_url=URL, account=None, columns=("CourseLessonId", "CourseMemberId"))
    try:
        assert "pending: about to be sent" in told(capsys, path, "--line", "5")
    finally:
        journal.close()


def test_a_journal_in_a_folder_without_write_permission_can_be_explained(capsys: Captured, path: Path) -> None:
    copy = path.parent / "read-only"
    copy.mkdir()
    shutil.copy(path, copy)
    copy.chmod(0o500)
    try:
        assert "record 77" in told(capsys, copy / path.name, "--line", "2")
    finally:
        copy.chmod(0o700)


@pytest.mark.parametrize("how", [[], ["--pair", "1,2", "--line", "2"], ["--pair", "x"], ["--line", "0"]])
def test_one_record_must_be_named(path: Path, how: list[str]) -> None:
    assert main(["explain", str(path), *how]) == 2


@pytest.mark.parametrize("text", ["1,2", " 1 , 2 ", "1;2", "1 2", "1:2"])
def test_pairs_are_read(text: str) -> None:
    assert ids_of(text) == (1, 2)


@pytest.mark.parametrize("text", ["", "1", "0,1", "1,2,3", f"1,{2**63}", "-1,2"])
def test_what_is_no_pair_is_told(text: str) -> None:
    with pytest.raises(UsageError):
        ids_of(text)


@pytest.mark.parametrize("step", RecordStep)
def test_every_step_has_its_sentence(step: RecordStep) -> None:
    for status, word in ((None, "silent"), (None, "new_fault"), (503, "")):
        assert sentence(StoredStep(AT, step, status, word, 5, State.CREATED, 0.5, None))


def test_a_pair_whose_row_was_pruned_may_have_been_one_of_those(capsys: Captured, path: Path) -> None:
    journal = Journal.open(path, base_url=URL, account=None, columns=("CourseLessonId", "CourseMemberId"))
    journal.settle([(SINGLE_SEQ, int(State.CREATED), 1, 90, 200, None)])
    assert journal.prune(SINGLE_SEQ, bytes([State.CREATED])) == 1
    assert journal.keep_history(None, [], 0, {SINGLE_SEQ}) == []
    journal.close()
    assert "pruned, and known no more: 1 single pair" in told(capsys, path, "--pair", "5,5", code=1)

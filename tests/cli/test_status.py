"""`status`, `export` and `run --dry-run` against journals made by hand: what they say, and that they change nothing."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
from pathlib import Path

import pytest

from bulkwriter.cli.export import harmless, states_of
from bulkwriter.cli.main import main
from bulkwriter.cli.runs import of_journal
from bulkwriter.errors import UsageError
from bulkwriter.model import SINGLE_SEQ, BadRow, FieldError, State
from bulkwriter.rows import bad_row_detail, outcome_detail
from bulkwriter.store.journal import Journal
from bulkwriter.store.lock import FileLock

from ..conftest import CANARY

URL = "http://127.0.0.1:1"
HEADER = "CourseLessonId,CourseMemberId\n"
SOURCE = HEADER + "1,1\n1,2\n1,3\n1,4\n1,5\n1,1\nx,y\n1,6\n"
EMPTY = "CourseLessonId,CourseMemberId,status,property,message,attempts,line,state,record_id,row\n"

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A run that was killed: a row in every state, and one line of the source not read yet."""
    (tmp_path / "pairs.csv").write_text(SOURCE, encoding="ascii")
    path = tmp_path / "pairs.csv.journal"
    rows = [
        (0, 1, 1, 2, State.INTENT, None),
        (1, 1, 2, 3, State.INTENT, None),
        (2, 1, 3, 4, State.INTENT, None),
        (3, 1, 4, 5, State.INTENT, None),
        (4, 1, 5, 6, State.PENDING, None),
        (5, 1, 1, 7, State.DUPLICATE, None),
        (6, None, None, 8, State.INVALID, bad_row_detail(BadRow("CourseLessonId is no number", "=x,y"))),
    ]
    said = outcome_detail((FieldError("CourseMemberId", "is unknown"), FieldError("", "-1")), "")
    made = Journal.open(path, base_url=URL, account=None, columns=("CourseLessonId", "CourseMemberId"))
    made.append([(seq, a, b, line, int(state), detail) for seq, a, b, line, state, detail in rows])
    made.settle([(0, State.CREATED, 1, 77, 200, None), (1, State.REJECTED, 2, None, 400, said)])
    made.settle([(2, State.FAILED, 5, None, 500, None)])
    made.close()
    return path


def exported(capsys: Captured, journal: Path, states: str) -> list[dict[str, str]]:
    assert main(["export", str(journal), "--state", states, "--output", "-"]) == 0
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def test_status_says_what_was_pruned(capsys: Captured, tmp_path: Path) -> None:
    path = tmp_path / "service.journal"
    made = Journal.open(path, base_url=URL, account=None, columns=("CourseLessonId", "CourseMemberId"))
    made.append([(SINGLE_SEQ + i, 1, 1 + i, None, int(State.PENDING), None) for i in range(3)])
    made.settle([(SINGLE_SEQ + i, State.CREATED, 1, 77 + i, 200, None) for i in range(2)])
    assert made.prune(SINGLE_SEQ, made.states_of(SINGLE_SEQ, 3)) == 2
    made.close()
    assert main(["status", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "pruned     2 of these rows were old" in shown
    assert "created    2 " in shown
    assert main(["status", str(path), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["pruned"], facts["pairs"], facts["created"], facts["pending"]) == (2, 3, 2, 1)


@pytest.mark.parametrize("text", ["", '{"pid": 7, "host": "h", "since": "?"}'])
def test_a_holder_that_has_not_said_who_it_is(capsys: Captured, journal: Path, text: str) -> None:
    """A run at its start and at its end, and on a full disk: it has the lock, and its line is not there."""
    held = FileLock.acquire(journal)
    Path(f"{journal}.lock").write_text(text)
    assert main(["status", str(journal)]) == 0
    assert "writer     another process holds it and has not said who it is" in capsys.readouterr().out
    assert main(["status", str(journal), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["writer"] == {"pid": None, "host": None, "since": None}
    run = of_journal(str(journal))
    assert (run["state"], run["pid"]) == ("at work", None)
    held.release()


def test_status_as_json(capsys: Captured, journal: Path) -> None:
    assert main(["status", str(journal), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert {k: said[k] for k in ("pairs", "created", "rejected", "failed", "in_doubt", "pending")} == {
        "pairs": 7, "created": 1, "rejected": 1, "failed": 1, "in_doubt": 1, "pending": 1,
    }  # fmt: skip
    assert (said["invalid"], said["duplicates"], said["base_url"], said["writer"]) == (1, 1, URL, None)
    assert said["written_at"].startswith("20")


@pytest.mark.parametrize("command", ["status {}", "run {} --dry-run --journal {}.journal", "verify {} --yes"])
@pytest.mark.parametrize("damage", ["DELETE FROM meta WHERE key = 'base_url'", "UPDATE meta SET value = '['"])
def test_a_journal_that_does_not_say_whose_it_is_is_damaged(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, journal: Path, damage: str, command: str
) -> None:
    monkeypatch.setenv("BULKWRITER_TOKEN", CANARY)
    with sqlite3.connect(journal) as db:
        db.execute(damage)
    db.close()
    named = journal if command.startswith(("status", "verify")) else journal.with_name("pairs.csv")
    assert main([*command.format(named, named).split()]) == 5
    assert "damaged (table meta: " in capsys.readouterr().err


def test_status_for_people(capsys: Captured, journal: Path) -> None:
    assert main(["status", str(journal)]) == 0
    out = capsys.readouterr().out
    assert f"server     {URL}\nwriter     nobody\n" in out
    assert "the command that began this run goes on: 3 pairs to do" in out
    assert "--state rejected,failed,invalid --output -" in out
    assert max(map(len, out.splitlines())) < 200


def test_status_of_a_live_run_says_who_writes(capsys: Captured, journal: Path) -> None:
    writer = Journal.open(journal, base_url=URL, account=None, columns=("CourseLessonId", "CourseMemberId"))
    assert main(["status", str(journal)]) == 0
    assert main(["status", str(journal), "--json"]) == 0
    writer.close()
    out = capsys.readouterr().out
    assert "\nwriter     pid " in out
    assert "about to be sent, on their way, or in doubt" in out
    assert json.loads(out.splitlines()[-1])["writer"]["pid"] > 0


@pytest.mark.parametrize("command", [["status"], ["export", "--state", "failed", "--output", "-"]])
def test_a_journal_that_is_not_there(capsys: Captured, tmp_path: Path, command: list[str]) -> None:
    assert main([*command, str(tmp_path / "no.journal")]) == 5
    assert "there is no journal at" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["status"], ["export", "--state", "failed", "--output", "-"]])
def test_a_source_named_for_its_journal(capsys: Captured, journal: Path, command: list[str]) -> None:
    source = journal.with_name("pairs.csv")
    assert main([*command, str(source)]) == 5
    assert f"did you mean: bulkwriter {command[0]} {journal}" in capsys.readouterr().err


def test_a_file_that_is_no_journal(capsys: Captured, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("hello", encoding="ascii")
    assert main(["status", str(tmp_path / "x")]) == 5
    assert main(["status", str(tmp_path)]) == 5
    assert "is no" in capsys.readouterr().err


def test_export_has_the_ids_first_and_what_the_server_said(capsys: Captured, journal: Path) -> None:
    assert exported(capsys, journal, "rejected") == [
        {
            "CourseLessonId": "1", "CourseMemberId": "2", "status": "400", "property": "CourseMemberId",
            "message": "is unknown; -1", "attempts": "2", "line": "3", "state": "rejected", "record_id": "", "row": "",
        }
    ]  # fmt: skip


def test_export_of_several_states_keeps_the_order_of_the_source(capsys: Captured, journal: Path) -> None:
    rows = exported(capsys, journal, "pending, created,in-doubt,failed")
    assert [(r["CourseMemberId"], r["state"], r["record_id"]) for r in rows] == [
        ("1", "created", "77"), ("3", "failed", ""), ("4", "in_doubt", ""), ("5", "pending", ""),
    ]  # fmt: skip


def test_export_of_invalid_rows_shows_their_text_and_reason(capsys: Captured, journal: Path) -> None:
    (row,) = exported(capsys, journal, "invalid")
    assert (row["CourseLessonId"], row["CourseMemberId"], row["line"]) == ("", "", "8")
    assert (row["message"], row["row"]) == ("CourseLessonId is no number", "'=x,y")


def test_an_export_to_a_file_is_a_source_again(capsys: Captured, journal: Path, tmp_path: Path) -> None:
    output = tmp_path / "again.csv"
    assert main(["export", str(journal), "--state", "rejected,failed", "--output", str(output)]) == 0
    assert "2 pairs rejected or failed, written to" in capsys.readouterr().err
    assert main(["run", str(output), "--dry-run", "--json", "--base-url", URL]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["pairs"], said["pending"], said["invalid"]) == (2, 2, 0)
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []


def test_an_export_of_nothing_is_a_header(capsys: Captured, journal: Path) -> None:
    assert main(["export", str(journal), "--state", "existing", "--output", "-"]) == 0
    out, err = capsys.readouterr()
    assert out == EMPTY
    assert err.endswith("\n0 pairs existing\n")


def test_export_replaces_nothing_unasked_and_never_the_journal(capsys: Captured, journal: Path, tmp_path: Path) -> None:
    output = tmp_path / "there.csv"
    output.write_text("precious", encoding="ascii")
    command = ["export", str(journal), "--state", "failed", "--output"]
    assert main([*command, str(output)]) == 2
    assert output.read_text(encoding="utf-8-sig") == "precious"
    before = journal.read_bytes()
    for own in (journal, journal.with_name(journal.name + ".lock"), tmp_path, tmp_path / "no" / "x.csv"):
        assert main([*command, str(own), "--force"]) == 2
    assert journal.read_bytes() == before
    assert "is the journal itself" in capsys.readouterr().err
    assert main([*command, str(output), "--force"]) == 0
    assert output.read_text(encoding="utf-8-sig").startswith("CourseLessonId,")


def test_an_export_follows_no_link_that_was_laid_in_its_way(capsys: Captured, journal: Path, tmp_path: Path) -> None:
    """In a folder that others may write, as /tmp: the draft's name can be guessed."""
    mine, output = tmp_path / "mine", tmp_path / "out.csv"
    mine.write_text("precious", encoding="ascii")
    (tmp_path / f".out.csv.{os.getpid()}.draft").symlink_to(mine)
    assert main(["export", str(journal), "--state", "failed", "--output", str(output)]) == 0
    assert mine.read_text(encoding="utf-8-sig") == "precious"
    assert output.read_text(encoding="utf-8-sig").startswith("CourseLessonId,")
    assert not output.is_symlink()


def test_states_are_known_by_their_words() -> None:
    assert states_of("in_doubt") == {State.IN_DOUBT}
    with pytest.raises(UsageError, match="did you mean rejected"):
        states_of("rejectd")
    with pytest.raises(UsageError, match="there is no state ''"):
        states_of("failed,")


@pytest.mark.parametrize(
    ("text", "cell"),
    [("=1", "'=1"), ("+1", "'+1"), ("@x", "'@x"), ("-1+2", "'-1+2"), ("-1.5", "-1.5"), ("a=1", "a=1"), ("", "")],
)
def test_no_cell_is_a_formula(text: str, cell: str) -> None:
    assert harmless(text) == cell


def test_a_dry_run_makes_nothing_and_says_what_would_be_sent(capsys: Captured, tmp_path: Path) -> None:
    source = tmp_path / "pairs.csv"
    source.write_text(SOURCE, encoding="ascii")
    assert main(["run", str(source), "--dry-run", "--json", "--base-url", URL]) == 1
    out, err = capsys.readouterr()
    said = json.loads(out)
    assert [said[k] for k in ("pairs", "pending", "duplicates", "invalid", "created")] == [8, 6, 1, 1, 0]
    assert (said["exit_code"], said["journal"]) == (1, None)
    assert "a start would send at most 6 pairs" in err
    assert ".journal" not in err, "there is none"
    assert "line 8: " in err
    assert [p.name for p in tmp_path.iterdir()] == ["pairs.csv"]


def test_a_dry_run_knows_what_the_journal_has_settled(capsys: Captured, journal: Path) -> None:
    source = str(journal.with_name("pairs.csv"))
    before = journal.read_bytes()
    command = ["run", source, "--dry-run", "--json", "--base-url", URL]
    assert main(command) == 1
    out, err = capsys.readouterr()
    said = json.loads(out)
    assert [said[k] for k in ("pairs", "pending", "created", "rejected", "failed", "in_doubt")] == [8, 3, 1, 1, 0, 1]
    assert [said["reasons"]["rejected"][0]["count"], len(said["reasons"]["invalid"])] == [1, 1]
    assert "go on from the journal and send at most 3 pairs" in err
    assert "look up 1 doubt first" in err
    assert said["journal"] == str(journal)
    assert main([*command, "--retry=rejected", "--limit=2"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["reasons"]["rejected"] == []
    assert [json.loads(out)[k] for k in ("pending", "rejected")] == [4, 0]
    assert "send at most 2 pairs" in err
    assert journal.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (lambda text: text.replace("1,3", "1,9"), 6, "line 4 differs"),
        (lambda text: HEADER + "1,1\n", 6, "ends before line 3"),
        (lambda text: "a,b\n1,1\n", 6, "CourseLessonId"),
    ],
)
def test_a_dry_run_sees_a_changed_source(capsys: Captured, journal: Path, change: object, code: int, said: str) -> None:
    assert callable(change)
    source = journal.with_name("pairs.csv")
    source.write_text(change(SOURCE), encoding="ascii")
    assert main(["run", str(source), "--dry-run", "--json", "--base-url", URL]) == code
    out, err = capsys.readouterr()
    assert said in err
    assert json.loads(out)["exit_code"] == code


def test_a_dry_run_refuses_what_a_start_would_refuse(capsys: Captured, journal: Path) -> None:
    source = str(journal.with_name("pairs.csv"))
    assert main(["run", source, "--dry-run", "--base-url", "http://127.0.0.1:2"]) == 5
    assert "belongs to" in capsys.readouterr().err
    assert main(["run", source, "--dry-run", "--base-url", URL, "--member-column", "Other"]) == 6
    assert "was made from the columns" in capsys.readouterr().err
    assert main(["run", source, "--dry-run", "--base-url", URL, "--strict"]) == 6
    assert "line 8" in capsys.readouterr().err


def test_an_export_whose_reader_has_seen_enough_claims_no_count(
    capsys: Captured, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w", encoding="ascii") as pipe, pytest.raises(BrokenPipeError):  # noqa: PT012
        monkeypatch.setattr("sys.stdout", pipe)
        assert main(["export", str(journal), "--state", "created", "--output", "-"]) == 0
        assert "created" not in capsys.readouterr().err
        pipe.close()

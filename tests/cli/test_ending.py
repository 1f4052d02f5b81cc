"""How runs end: the order of exit codes, the summary's words, and the command that resumes."""

from __future__ import annotations

import itertools
import shlex
from pathlib import Path
from typing import Any

import pytest

from bulkwriter.cli.choose import server_options
from bulkwriter.cli.ending import (
    MEANING,
    ORDER,
    Ending,
    code_of,
    empty_summary,
    end_facts,
    export_name,
    first_of,
    headline,
    next_steps,
    resume_command,
    summary_lines,
)
from bulkwriter.errors import (
    COMMITS_LOST,
    BulkwriterError,
    ConfigurationStop,
    Exit,
    JournalError,
    SourceError,
    StoreGone,
    TryLater,
    UsageError,
    WrongName,
)
from bulkwriter.model import Counts, Ended, Rows, Summary
from bulkwriter.store.sqlite_errors import damaged
from tests.conftest import CANARY

ERRORS = [UsageError, JournalError, SourceError, ConfigurationStop, TryLater, BulkwriterError]


def ended(
    code: int = 0, *, reason: str = "", error: BaseException | None = None, signal: int | None = None, **counts: Any
) -> Ending:
    why = Ended("gone", reason, code) if reason else None
    summary = Summary(counts=Counts(**counts), journal="p.csv.journal", exit_code=code, ended=why)
    return Ending(summary=summary, error=error, signal_code=signal)


def test_every_code_has_its_place_and_its_meaning() -> None:
    assert set(ORDER) == set(MEANING) == {int(e) for e in Exit} | {129, 130, 143}


@pytest.mark.parametrize(("a", "b"), list(itertools.combinations(ERRORS, 2)), ids=lambda e: e.__name__)
def test_of_two_errors_the_earlier_in_the_order_gives_the_code(
    a: type[BulkwriterError], b: type[BulkwriterError]
) -> None:
    both = ExceptionGroup("", [b("b"), a("a")])
    assert code_of(both) == a.exit_code
    assert isinstance(first_of(both), a)


@pytest.mark.parametrize("kind", [JournalError, StoreGone])
@pytest.mark.parametrize("given", ["", " --after-loss"])
def test_what_follows_lost_commits_is_a_start_after_a_loss(kind: type[JournalError], given: str) -> None:
    end = ended(error=ExceptionGroup("", [kind("x", code=COMMITS_LOST)]), pending=3)
    ((why, command),) = next_steps(end, source="j", resume=f"bulkwriter work URL{given}")
    assert (command, "every worker of the job has ended" in why) == ("bulkwriter work URL --after-loss", True)


@pytest.mark.parametrize("given", ["", " --retry rejected"])
def test_what_follows_the_same_rejection_again_and_again_sends_those_pairs_too(given: str) -> None:
    end = ended(error=ConfigurationStop("x", code="rejections"), pending=3)
    assert next_steps(end, source="j", resume=f"bulkwriter run j{given}")[0][1] == "bulkwriter run j --retry rejected"


@pytest.mark.parametrize("lost", [True, False])
def test_what_follows_a_lost_journal_is_a_start_after_a_loss(tmp_path: Path, *, lost: bool) -> None:
    error = damaged(tmp_path, "x") if lost else JournalError("of another host")
    ((why, command),) = next_steps(ended(error=error), source="j", resume="bulkwriter run j")
    assert (command, "lost for good" in why) == (f"bulkwriter run j{' --after-loss' * lost}", lost)


def test_a_signal_comes_before_all_but_usage() -> None:
    assert ended(3, signal=130).exit_code == 130
    assert ended(0, error=JournalError("full"), signal=143).exit_code == 143
    assert ended(0, error=UsageError("x"), signal=143).exit_code == 2
    assert ended(0, error=ValueError("x"), signal=129).exit_code == 129


def test_an_error_comes_before_the_counts_and_the_counts_before_nothing() -> None:
    assert ended(3, error=TryLater("gone")).exit_code == 75
    assert ended(3).exit_code == 3
    assert ended(0).exit_code == 0
    assert ended(0, error=KeyError("x")).exit_code == 70
    assert ended(0, error=KeyboardInterrupt()).exit_code == 130


def test_a_finished_run_says_so_and_has_nothing_more_to_do() -> None:
    text = "\n".join(summary_lines(ended(created=5), source="p.csv", resume="RESUME"))
    assert text.startswith("Every pair was written or found, by the journal; `verify` asks the server\n")
    assert "RESUME" not in text


def test_the_command_that_verifies_asks_the_same_server() -> None:
    options = {"base_url": "http://127.0.0.1:1", "username": "me@x.org", "proxy": "http://me:pass@proxy", "rate": 2.0}
    lines = summary_lines(ended(created=5), source="p.csv", resume="RESUME", server=server_options(options))
    assert lines[-1].strip() == (
        "bulkwriter verify p.csv.journal --base-url http://127.0.0.1:1 --username me@x.org"
        " --proxy http://USER:PASSWORD@proxy"
    )


def test_an_unfinished_run_says_why_and_how_to_go_on() -> None:
    ending = ended(75, reason="the server is gone", created=5, pending=3, rejected=2)
    lines = summary_lines(ending, source="p.csv", resume="bulkwriter run p.csv")
    assert lines[0] == "Resume later: the server is gone, or a limit is spent: the server is gone"
    assert lines[-4:] == [
        "  next       the same command goes on where this ended:",
        "               bulkwriter run p.csv",
        "             see what was not written, and why:",
        "               bulkwriter export p.csv.journal --state rejected --output p.rejected.csv",
    ]


@pytest.mark.parametrize("code", [3, 4, 5, 6, 75, 129, 130, 143])
def test_every_early_end_shows_the_resume_command(code: int) -> None:
    assert ("RESUME") in "\n".join(summary_lines(ended(code), source="p.csv", resume="RESUME"))


def test_a_source_of_another_name_is_not_asked_for_by_its_old_one() -> None:
    ending = ended(error=WrongName("txt: the name does not tell the format", hint="name it txt.csv"))
    assert "RESUME" not in "\n".join(summary_lines(ending, source="txt", resume="RESUME"))


def test_a_slip_on_the_command_line_shows_none() -> None:
    ending = Ending(summary=empty_summary(None), error=UsageError("no token"))
    assert headline(ending) == ""
    assert summary_lines(ending, source="p.csv", resume="RESUME") == []


ERRORS_AT_THE_END = [JournalError, SourceError, ConfigurationStop, TryLater, BulkwriterError]


@pytest.mark.parametrize("error", ERRORS_AT_THE_END)
def test_an_error_is_not_followed_by_a_title_that_says_it_worse(error: type[BulkwriterError]) -> None:
    for created, title in ((0, "Nothing was sent"), (3, "Ended early; so far:")):
        ending = ended(error=error("there is no such file"), created=created)
        lines = summary_lines(ending, source="p.csv", resume="RESUME")
        assert lines[0] == title
        assert not any(meaning in "\n".join(lines).lower() for meaning in MEANING.values() if meaning != MEANING[0])


def test_a_signal_names_itself_whatever_failed_meanwhile() -> None:
    assert headline(ended(error=TryLater("gone"), signal=130)).startswith("Interrupted (SIGINT)")


def test_an_interrupt_before_signals_are_watched_is_no_bug() -> None:
    early = Ending(empty_summary(None), KeyboardInterrupt())
    assert end_facts(early) == {"ended_reason": "SIGINT", "ended_code": "signal", "resume_at": None}


@pytest.mark.parametrize(
    ("counts", "why"),
    [({"in_doubt": 1}, "looks up what is in doubt"), ({"failed": 1}, "tries the failed"), ({"pending": 1}, "goes on")],
)
def test_why_to_start_again(counts: dict[str, Any], why: str) -> None:
    assert why in next_steps(ended(3, **counts), source="p.csv", resume="RESUME")[0][0]


def test_no_hint_suggests_another_journal_or_to_skip() -> None:
    for code, source in itertools.product(ORDER, ["p.csv", "-"]):
        text = "\n".join(
            summary_lines(ended(code, pending=1, failed=1), source=source, resume=resume_command(["run", source]))
        )
        assert "--existing" not in text
        assert "--journal" not in text


def test_the_resume_command_survives_a_shell() -> None:
    args = ["run", "my pairs'.csv", "--client-id", "a$b;c"]
    assert shlex.split(resume_command(args)) == ["bulkwriter", *args]


@pytest.mark.parametrize("args", [["--proxy", f"http://u:{CANARY}@h:1"], [f"--proxy=http://u:{CANARY}@h:1"]])
def test_the_resume_command_holds_no_password(args: list[str]) -> None:
    command = resume_command(["run", "p.csv", *args])
    assert CANARY not in command
    assert "http://USER:PASSWORD@h:1" in command


@pytest.mark.parametrize("args", [["run", "-", "--journal", "j"], ["run", "p.csv", "--token-file", "-"]])
def test_what_came_by_stdin_comes_by_stdin_again(args: list[str]) -> None:
    assert resume_command(args).startswith("(the same input) | bulkwriter run ")


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("a/p.csv", "a/p.rejected.csv"),
        ("p.jsonl.gz", "p.rejected.csv"),
        ("-", "pairs.rejected.csv"),
        ("p", "p.rejected.csv"),
    ],
)
def test_the_name_of_an_export(source: str, name: str) -> None:
    assert export_name(source, ["rejected"]) == name


def test_where_nobody_knows_how_many_rows_are_left_the_same_input_goes_on() -> None:
    limit = Ended("limit", "x")
    for rows, commands in ((Rows(None, False, 5), ["AGAIN"]), (Rows(5, True, 5), ["bulkwriter"])):
        summary = Summary(counts=Counts(created=5), journal="j", exit_code=0, ended=limit, rows=rows)
        steps = next_steps(Ending(summary=summary), source="-", resume="AGAIN")
        assert [command.split()[0] for _, command in steps] == commands

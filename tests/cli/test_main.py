"""The group: fast help, slips, near names, topics, bugs that keep secrets, and processes without streams."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from bulkwriter.cli import ending
from bulkwriter.cli.main import COMMANDS, bug, group, main
from bulkwriter.cli.topics import TOPICS
from tests.conftest import CANARY

HEAVY = ("asyncio", "aiohttp", "rich", "orjson", "sqlite3", "anyio", "uvloop", "httptools", "pyroaring", "ssl")


def loaded_by(*args: str) -> set[str]:
    """Top-level modules that a command line imports, told by `-X importtime`."""
    command = [sys.executable, "-X", "importtime", "-m", "bulkwriter", *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rsplit("|", 1)[1].strip().split(".")[0] for line in lines}


@pytest.mark.slow
@pytest.mark.parametrize("args", [["--help"], ["run", "--help"], ["run", "--rate=x", "p.csv"]], ids=" ".join)
def test_help_and_slips_import_nothing_heavy(args: list[str]) -> None:
    loaded = loaded_by(*args)
    assert "click" in loaded
    assert not loaded & set(HEAVY)


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["rnu"], 2, "did you mean 'run'?"),
        (["run"], 2, "Missing argument 'SOURCE'"),
        (["run", "--nope", "p.csv"], 2, "--nope"),
        (["run", "--progress=loud", "p.csv"], 2, "loud"),
        (["run", "--rate=fast", "p.csv"], 2, "'fast' is not like 50/s"),
        (["help", "reply"], 2, "did you mean 'replies'?"),
    ],
)
def test_slips_are_usage(capsys: pytest.CaptureFixture[str], args: list[str], code: int, said: str) -> None:
    assert main(args) == code
    out, err = capsys.readouterr()
    assert said in err
    assert out == ""


@pytest.mark.parametrize(("command", "said"), [("undo", "Nothing was deleted"), ("verify", "Nothing was verified")])
def test_what_ended_before_it_began_says_that_nothing_was_done(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([command, "no.journal", "--yes"]) == 5
    assert capsys.readouterr().err.splitlines()[-1].endswith(said)


def test_a_bad_variable_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BULKWRITER_RATE", "fast")
    assert main(["run", "p.csv"]) == 2
    assert "'--rate' (from BULKWRITER_RATE): 'fast' is not like" in capsys.readouterr().err


def test_help_shows_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in COMMANDS)


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("bulkwriter")


@pytest.mark.parametrize("topic", TOPICS)
def test_every_topic_says_something(capsys: pytest.CaptureFixture[str], topic: str) -> None:
    assert main(["help", topic]) == 0
    said = capsys.readouterr().out
    assert said.count("\n") > 5
    assert not re.search(r"DESIGN|API\.md|EVIDENCE|FINDINGS", said), "users do not have these"


def test_topics_are_listed_and_commands_are_topics(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help"]) == 0
    listed = capsys.readouterr().out
    assert all(topic in listed for topic in TOPICS)
    assert main(["help", "run"]) == 0
    assert "--in-flight" in capsys.readouterr().out


def test_exit_codes_are_shown_in_their_order(capsys: pytest.CaptureFixture[str]) -> None:
    main(["help", "exit-codes"])
    shown = re.findall(r"^  (\d+) ", capsys.readouterr().out, re.MULTILINE)
    assert shown == [str(code) for code in ending.ORDER]


def test_a_bug_is_one_line_and_its_traceback_holds_no_secret() -> None:
    def fail() -> None:
        raise ValueError(f"Authorization: Bearer {CANARY}")

    with pytest.raises(ValueError, match="Bearer") as caught:
        fail()
    short = bug(caught.value, is_verbose=False, secrets=[])
    assert "\n" not in short
    assert short.startswith("bug: ValueError at test_main.py:")
    long = bug(caught.value, is_verbose=True, secrets=[CANARY])
    assert "Bearer (secret)" in long
    assert CANARY not in short + long


@pytest.mark.parametrize(
    ("args", "env", "code"),
    [
        (["run", "--json", "--rate=x", "p.csv"], {}, 2),
        (["run", "--json"], {}, 2),
        (["run", "p.csv", "--bogus"], {"BULKWRITER_JSON": "1"}, 2),
        (["status", "--json", "no-such.journal"], {}, 5),
        (["verify", "--json", "--bogus"], {}, 2),
    ],
)
def test_json_is_the_last_line_even_if_the_command_line_cannot_be_read(
    capsys: pytest.CaptureFixture[str], args: list[str], env: dict[str, str], code: int
) -> None:
    assert main(args, env) == code
    said = json.loads(capsys.readouterr().out)
    assert said["exit_code"] == code
    assert ("pairs" in said) == (args[0] == "run")


def test_a_bug_in_a_command_exits_with_70(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "broken", ("broken", "a command that does not exist"))
    assert main(["broken"]) == 70
    assert capsys.readouterr().err.startswith("bug: ModuleNotFoundError")


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_change_no_exit_code(closed: str) -> None:
    command = f"{sys.executable} -m bulkwriter run --json --rate=x p.csv {closed}"
    assert subprocess.run(["sh", "-c", command], capture_output=True, timeout=180, check=False).returncode == 2
    command = f"{sys.executable} -m bulkwriter run --json p.csv {closed}"  # no token
    assert subprocess.run(["sh", "-c", command], capture_output=True, timeout=180, check=False).returncode == 2


@pytest.mark.slow
def test_a_reader_that_left_changes_no_exit_code() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-m", "bulkwriter", "run", "--json", "p.csv"]
    done = subprocess.run(command, stdout=write_end, stderr=write_end, timeout=180, check=False)
    os.close(write_end)
    assert done.returncode == 2


@pytest.mark.parametrize("name", ["run", "plan", "verify", "undo"])
def test_help_begins_with_examples_and_shows_options_in_groups(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    titles = [line for line in shown.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert titles[0] == "Examples:"
    assert {"Server and sign-in:", "Quotas:", "Waits:", "Output:"} < set(titles)
    assert titles[-1] == "Other options:"
    examples = shown.partition("Examples:")[2].partition("\n\n")[0]
    assert examples.count(f"  bulkwriter {name} ") == 2
    for param in group.get_command(click.Context(group), name).params:  # type: ignore[union-attr]
        if isinstance(param, click.Option):
            assert f"{param.opts[0]} " in shown, param.opts


@pytest.mark.parametrize(
    ("words", "position", "completed"),
    [
        ("bulkwriter st", 1, {"status", "stub"}),
        ("bulkwriter run --pro", 2, {"--proxy", "--progress", "--profile"}),
        ("bulkwriter run p", 2, {"p"}),
    ],
)
def test_a_shell_completes_commands_options_and_files(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: str, position: int, completed: set[str]
) -> None:
    monkeypatch.setenv("_BULKWRITER_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(position))
    assert main([]) == 0
    lines = capsys.readouterr().out.split()
    assert {line.partition(",")[2] for line in lines} == completed
    assert {line.partition(",")[0] for line in lines} == ({"file"} if completed == {"p"} else {"plain"})


def test_on_windows_one_sentence_says_where_it_runs() -> None:
    """Before anything of ours is imported: much of it does not exist there."""
    code = (
        "import sys\nfrom bulkwriter.__main__ import main\ntry:\n    main('win32')\nfinally:\n"
        "    assert not [m for m in sys.modules if m.startswith('bulkwriter.')] or "
        "{m for m in sys.modules if m.startswith('bulkwriter.')} == {'bulkwriter.__main__'}, sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "WSL" in done.stderr
    assert "container" in done.stderr

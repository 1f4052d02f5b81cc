"""Command lines that name what cannot be: each is somebody's slip with its own exit code and a next step, never a bug.

A name of more than 255 bytes stands for every path that cannot even be looked at, as in a folder that may not be
entered; before Python 3.12 `Path.exists()` raises for both.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bulkwriter.cli.main import main
from tests.support.cli_process import Here

LONG = "x" * 300
PLAN = ("plan", "pairs.csv", "--existing", "skip")


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("status", LONG), 5, "name too long"),
        (("export", LONG, "--state", "created", "--output", "-"), 5, "name too long"),
        (("status", "."), 5, "is no file"),
        (("status", "/"), 5, "is no file"),
        (("export", "", "--state", "created", "--output", "-"), 5, "is no file"),
        (("verify", LONG), 5, "name too long"),
        (("undo", LONG, "--yes"), 5, "name too long"),
        (("run", "pairs.csv", "--journal", LONG), 5, "name another file with --journal"),
        (("run", "pairs.csv", "--dry-run", "--journal", LONG), 5, "name too long"),
        ((*PLAN, "--journal", LONG), 5, "name too long"),
        ((*PLAN, "--ledger", LONG), 5, "name another file with --ledger"),
        ((*PLAN, "--ledger", "~nobody-is-called-so/ledger"), 5, "--ledger"),
        (("verify", "--source", "pairs.csv", "--output", LONG), 2, "name too long"),
        (("verify", "--source", "pairs.csv", "--output", "."), 2, "no file that could be replaced"),
        (("run", "pairs.csv", "--base-url", "https://api..example.com"), 2, "base URL"),
        (("run", "pairs.csv", "--base-url", "https://" + "a" * 64), 2, "base URL"),
        (("run", "pairs.csv", "--base-url", "https://api example.com"), 2, "base URL"),
        (("run", "pairs.csv", "--base-url", "https://50\N{FULLWIDTH PERCENT SIGN}.example"), 2, "base URL"),
        (("run", "pairs.csv", "--base-url", "https://one.example", "--proxy", "http://a,b:1"), 2, "proxy"),
        (("run", "pairs.csv", "--base-url", "https://one[v1.a]/"), 2, "base URL"),
        (("run", "pairs.csv", "--base-url", "https://one.example", "--proxy", "http://two..example:1"), 2, "proxy"),
    ],
)
def test_what_cannot_be_is_not_called_a_bug(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    canary_env: str,
    tmp_path: Path,
    args: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pairs.csv").write_text("CourseLessonId,CourseMemberId\n1,2\n", encoding="ascii")
    assert main(args) == code
    assert said.lower() in capsys.readouterr().err.lower()


def test_json_is_answered_even_where_no_command_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BULKWRITER_JSON", "1")
    assert main([]) == 2
    assert capsys.readouterr().out == '{"exit_code": 2}\n'


def test_a_table_of_e_mails_is_told_before_a_missing_token(
    tmp_path: Path, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BULKWRITER_TOKEN")
    (tmp_path / "people.csv").write_text("Email,Course,Lesson\na@b.de,X,Y\n")
    done = here("run", str(tmp_path / "people.csv"), "--progress=none")
    assert done.code == 6
    assert "bulkwriter resolve" in done.err
    (tmp_path / "pairs.csv").write_text("CourseLessonId,CourseMemberId\n1,2\n")
    done = here("run", str(tmp_path / "pairs.csv"), "--progress=none")
    assert (done.code, "no token" in done.err) == (2, True)
    assert sorted(path.name for path in tmp_path.glob("*.journal*")) == []

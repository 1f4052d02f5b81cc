"""Commands that can be pasted, whatever is in them, and messages that do nothing to a terminal."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkwriter.shell import E_MAIL, join, operand, quote, visible
from tests.support.cli_process import finish, start

SHELLS = [shell for name in ("bash", "zsh", "ksh") if (shell := shutil.which(name))]
NASTY = [
    b"p.csv", b"my pairs.csv", b"it's.csv", b"back\\slash'quote.csv", b"-x.csv", b"caf\xc3\xa9.csv", b"latin\xe9.csv",
    b"esc\x1b]0;title\x07.csv", b"line\nend.csv", b"tab\t.csv", b"bidi\xe2\x80\xae.csv", b"\x1b[31m1f.csv",
    b"$HOME`id`.csv", b"nbsp\xc2\xa0.csv", b"\xf0\x9f\x98\x80.csv", b"\x9b31m.csv",
]  # fmt: skip


def read_back(shell: str, line: str) -> list[bytes]:
    """What a shell makes of a line's arguments."""
    script = os.fsencode(f"printf '%s\\0' {line}")
    told = subprocess.run([shell, "-c", script], capture_output=True, check=True, timeout=60).stdout
    return told.split(b"\0")[:-1]


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("is_ascii", [False, True])
def test_a_shell_reads_back_every_byte(shell: str, is_ascii: bool) -> None:
    quoted = [quote(os.fsdecode(name), is_ascii=is_ascii) for name in NASTY]
    assert all(text.isprintable() for text in quoted)
    assert all(text.isascii() for text in quoted) or not is_ascii
    assert read_back(shell, " ".join(quoted)) == NASTY


@pytest.mark.slow
@given(st.binary(min_size=1, max_size=20).filter(lambda raw: b"\0" not in raw))
@settings(max_examples=25, deadline=None)
def test_a_shell_reads_back_any_name(raw: bytes) -> None:
    assert read_back("bash", quote(os.fsdecode(raw))) == [raw]


@pytest.mark.parametrize(
    ("locale", "shown"),
    [
        ({"LANG": "de_DE.UTF-8"}, "'café.csv'"),
        ({"LANG": "de_DE.UTF-8", "LC_ALL": "C"}, r"$'caf\xc3\xa9.csv'"),
        ({"LC_CTYPE": "POSIX"}, r"$'caf\xc3\xa9.csv'"),
        ({}, r"$'caf\xc3\xa9.csv'"),
        ({"LC_ALL": "C.UTF-8"}, "'café.csv'"),
    ],
)
def test_letters_are_shown_where_the_locale_has_them(
    monkeypatch: pytest.MonkeyPatch, locale: dict[str, str], shown: str
) -> None:
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in locale.items():
        monkeypatch.setenv(name, value)
    assert join(["café.csv"]) == shown


def test_a_path_is_never_an_option() -> None:
    assert operand("-x.csv") == "./-x.csv"
    assert operand(Path("x-.csv")) == "x-.csv"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\nlines · µ", "two\nlines · µ"),
        ("\x1b]0;gone\x07", "\\x1b]0;gone\\x07"),
        ("a\rb\tc\x9b", "a\\rb\\tc\\x9b"),
        ("\u202eevil\u200b", "\\u202eevil\\u200b"),
        (os.fsdecode(b"\xe9.csv"), "\\xe9.csv"),
    ],
)
def test_nothing_that_a_terminal_would_obey_is_shown(text: str, shown: str) -> None:
    assert visible(text) == shown == visible(shown)


@pytest.mark.slow
@pytest.mark.parametrize("name", [b"-x.csv", b"esc\x1b]0;title\x07.csv", b"latin\xe9.csv", b"caf\xc3\xa9 it's.csv"])
def test_the_commands_that_a_run_shows_can_be_pasted(tmp_path: Path, name: bytes) -> None:
    """The run stops without a server; then its command that resumes, and the one that exports, are given to bash."""
    path = os.fsencode(tmp_path) + b"/" + name
    Path(os.fsdecode(path)).write_text("CourseLessonId,CourseMemberId\n1,1\nx,y\n", encoding="ascii")
    run = ["run", "--base-url=http://127.0.0.1:9", "--quota=none", "--limit=1", "--yes", "--", os.fsdecode(name)]

    for option in ("--dry-run", "--give-up-after=0.05"):
        run.insert(1, option)
        done = finish(start(*run, cwd=tmp_path))
        assert "\x1b" not in done.out + done.err
        run.remove(option)
    assert done.code in (1, 75), done.err
    shown = [line.strip() for line in done.err.splitlines() if line.strip().startswith("bulkwriter ")]
    assert len(shown) >= 1, done.err
    for line in shown:
        assert name in b"".join(read_back("bash", line)), line
        if " export " in line:
            assert os.fsencode("./-x") in os.fsencode(line) or not name.startswith(b"-")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("CourseMemberId 'jane%40victim.example' is no number", "CourseMemberId (e-mail)' is no number"),
        ('no "bob smith"@victim.example here', "no (e-mail) here"),
        (r"no \"bob smith\"@victim.example here", "no (e-mail) here"),
        ("/home/x/jane@victim.example.csv.journal: locked", "/home/x/(e-mail): locked"),
        ("?Coworker_Email=jane@victim.example&page=1", "?Coworker_Email=(e-mail)&page=1"),
        ("the quota write:2500/day@06:00 is spent", "the quota write:2500/day@06:00 is spent"),
    ],
)
def test_e_mails_are_found_as_people_and_urls_write_them(text: str, told: str) -> None:
    assert E_MAIL.sub("(e-mail)", text) == told

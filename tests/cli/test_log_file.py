"""The file of `--log-file` has every line with its date, survives rotation and full disks, and tells no secret."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest

from bulkwriter.cli.log_file import LogFile
from bulkwriter.cli.stderr import Stderr
from bulkwriter.errors import UsageError
from tests.cli.test_stderr import STAMPED
from tests.conftest import CANARY


def log(path: Path, warned: list[str] | None = None) -> LogFile:
    found: list[str] = [] if warned is None else warned
    return LogFile(path, warn=found.append, missing=lambda count, why: f"({count} missing: {why})")


def stderr(path: Path, *, form: str = "text", own_name: str = "") -> Stderr:
    is_json = form == "json"
    return Stderr(io.StringIO(), form="json" if is_json else "text", secrets=[CANARY], log=path, own_name=own_name)


def test_it_appends_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    for line in ("one", "two"):
        file = log(path)
        file.add(line)
        file.close(5)
    assert path.read_text() == "one\ntwo\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_each_line_has_date_time_and_zone(tmp_path: Path) -> None:
    said = stderr(tmp_path / "run.log")
    said.print("first\n\n  second")
    said.log("progress", event="progress")
    said.close()
    lines = (tmp_path / "run.log").read_text().splitlines()
    assert all(STAMPED.match(line) for line in lines)
    assert [STAMPED.sub("", line) for line in lines] == ["first", "  second", "progress"]


def test_in_json_each_line_is_an_object_with_its_time(tmp_path: Path) -> None:
    said = stderr(tmp_path / "run.log", form="json")
    said.print("first\nsecond", event="note")
    said.close()
    (line,) = (tmp_path / "run.log").read_text().splitlines()
    assert json.loads(line)["text"] == "first\nsecond"
    assert json.loads(line)["at"].endswith("Z")


def test_neither_secrets_nor_e_mails_but_our_own_are_in_it(tmp_path: Path) -> None:
    said = stderr(tmp_path / "run.log", own_name="me@example.com")
    said.print(f"{CANARY}: refused for ada.l+1@mail.example.org, me@example.com")
    said.close()
    text = (tmp_path / "run.log").read_text()
    assert text.endswith("(secret): refused for (e-mail), me@example.com\n")


def test_an_e_mail_in_the_name_of_a_file_is_in_no_line(tmp_path: Path) -> None:
    said = stderr(tmp_path / "run.log", own_name="me@example.com")
    for name in ("jane@victim.example.csv", "jane@victim.example.csv.journal", "jane%40victim.example"):
        said.print(f"bulkwriter run {name}")
    said.close()
    assert "jane" not in (tmp_path / "run.log").read_text()


def test_a_file_that_was_moved_or_removed_is_made_anew(tmp_path: Path) -> None:
    path, old = tmp_path / "run.log", tmp_path / "run.log.1"
    path.write_text("begun\n")
    file = log(path)
    file._write("one")  # at once, as the thread would
    path.rename(old)
    file._write("two")
    path.unlink()
    file._write("three")
    file.close(5)
    assert (old.read_text(), path.read_text()) == ("begun\none\n", "three\n")


def test_a_disk_that_takes_nothing_is_told_once_and_the_gap_is_told_later(tmp_path: Path) -> None:
    warned: list[str] = []
    path = tmp_path / "run.log"
    path.symlink_to("/dev/full")
    file = log(path, warned)
    file._write("lost")
    file._write("lost too")
    path.unlink()
    file._write("kept")
    file.close(5)
    assert path.read_text() == "(2 missing: No space left on device)\nkept\n"
    assert [re.sub(r".*run.log", "run.log", text) for text in warned] == [
        "run.log cannot be written: No space left on device; everything else goes on"
    ]


@pytest.mark.parametrize("name", [".", "no/folder.log"])
def test_a_path_that_can_be_no_file_is_refused_at_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="--log-file"):
        log(tmp_path / name)

"""Opening a journal: what a file must be, whose it is, and what is said of every other file.

Also what the files look like to others: modes, names, and the documented format.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import sys
from pathlib import Path

import pytest

from bulkwriter import __version__
from bulkwriter.errors import JournalError, SourceError
from bulkwriter.model import State
from bulkwriter.rows import AppendRow
from bulkwriter.store import network_fs, schema
from bulkwriter.store.journal import Journal
from bulkwriter.store.journal_reader import JournalReader
from bulkwriter.store.lock import holder
from bulkwriter.store.schema import normal_url

from ..support.journal_child import COLUMNS, URL


def open_journal(
    path: Path, *, base_url: str = URL, account: str | None = None, columns: tuple[str, str] = COLUMNS
) -> Journal:
    return Journal.open(path, base_url=base_url, account=account, columns=columns)


def intents(count: int) -> list[AppendRow]:
    return [(seq, 10 + seq // 3, 1_000 + seq, seq + 2, State.INTENT, None) for seq in range(count)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pairs.csv.journal"


def one_row(journal: Journal) -> Journal:
    journal.append([(0, 1, 2, 2, int(State.PENDING), None)])
    return journal


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell their mounts here")
@pytest.mark.parametrize("kind", ["nfs4", "cifs", "9p", "fuse.sshfs"])
def test_a_journal_on_a_network_file_system_is_refused_with_words(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, path: Path
) -> None:
    """Nothing is made there; a journal that is there may still be read."""
    one_row(open_journal(tmp_path / "there.journal")).close()
    (proc := tmp_path / "proc").mkdir()
    (proc / "fdinfo").symlink_to("/proc/self/fdinfo")
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    (proc / "mountinfo").write_text("\n".join(f"{line.partition(' - ')[0]} - {kind} host:/ rw" for line in lines))
    monkeypatch.setattr(network_fs, "PROC", proc)
    for name in (path, tmp_path / "there.journal"):
        with pytest.raises(JournalError, match=f"network file system .{kind}") as refused:
            open_journal(name)
        assert refused.value.exit_code == 5
        assert "--journal" in refused.value.hint.typed
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(path.name)]
    with JournalReader(tmp_path / "there.journal") as reader:
        assert reader.counts()[State.PENDING] == 1


def test_a_journal_belongs_to_one_base_url_and_account(path: Path) -> None:
    one_row(open_journal(path, account="a")).close()
    with pytest.raises(JournalError, match=r"belongs to https://example\.test \(account a\), not to http://127") as e:
        open_journal(path, base_url="http://127.0.0.1:80")
    assert e.value.exit_code == 5
    with pytest.raises(JournalError, match="account b"):
        open_journal(path, account="b")
    open_journal(path, base_url="https://EXAMPLE.test:443/", account="a").close()
    assert holder(path) is None


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("HTTPS://Spaces.Nexudus.COM/", "https://spaces.nexudus.com"),
        ("https://h:443/Api/", "https://h/Api"),
        ("http://h:443", "http://h:443"),
        ("http://[::1]:80/", "http://[::1]"),
    ],
)
def test_base_urls_are_compared_without_accidents(url: str, normal: str) -> None:
    assert normal_url(url) == normal


def test_a_journal_without_rows_is_anybodys(path: Path) -> None:
    """A start that failed at a wrong URL or a missing column must not bind the journal that it left."""
    open_journal(path, base_url="http://127.0.0.1:1", account="a", columns=("Lesson", "Member")).close()
    journal = one_row(open_journal(path))
    assert journal.meta_get("base_url") == "https://example.test"
    journal.close()
    with pytest.raises(JournalError, match="belongs to"):
        open_journal(path, base_url="http://127.0.0.1:1")


def test_a_source_read_with_another_column_is_exit_6(path: Path) -> None:
    one_row(open_journal(path)).close()
    with pytest.raises(SourceError, match="CourseLessonId, CourseMemberId, not Lesson, Member") as e:
        open_journal(path, columns=("Lesson", "Member"))
    assert e.value.exit_code == 6
    open_journal(path, columns=("courselessonid", " COURSEMEMBERID")).close()


def test_other_files_are_refused_and_left_as_they_are(tmp_path: Path) -> None:
    text = tmp_path / "pairs.csv"
    text.write_text("CourseLessonId,CourseMemberId\n1,2\n")
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE t(x)")
    db.close()
    for file in (text, other):
        before = file.read_bytes()
        with pytest.raises(JournalError, match="no journal") as e:
            open_journal(file)
        assert e.value.hint
        assert file.read_bytes() == before


def test_a_newer_format_is_refused(path: Path) -> None:
    open_journal(path).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {schema.FORMAT + 1}")
    db.close()
    with pytest.raises(JournalError, match=f"format 3, begun by bulkwriter {__version__}; .* knows format 2"):
        open_journal(path)


def test_an_older_format_is_refused_with_the_version_that_goes_on_with_it(path: Path) -> None:
    open_journal(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 1")
        db.execute("DELETE FROM meta WHERE key = 'version'")
    db.close()
    with pytest.raises(JournalError, match=r"format 1, begun by bulkwriter 0\.1\.0, before .* history") as e:
        open_journal(path)
    assert e.value.exit_code == 5
    assert "finish it with the bulkwriter that began it" in (e.value.hint or "")


def test_an_empty_file_is_a_new_journal(path: Path) -> None:
    path.touch(0o644)
    journal = open_journal(path)
    assert (journal.rows, journal.counts()) == (0, {})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    journal.close()


def test_places_where_no_journal_can_be(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place, words in [
        (tmp_path / "no" / "j", "folder does not exist"),
        (tmp_path, "no file"),
        (tmp_path / "pipe", "no file"),
    ]:
        with pytest.raises(JournalError, match=words) as e:
            open_journal(place)
        assert "journal" in e.value.hint


def test_a_file_by_two_names_is_refused_until_it_is_a_copy(path: Path) -> None:
    """Each name has a lock and a -wal of its own: a second run by the other name doubled what the first one sent."""
    other = path.with_name("hard.journal")
    with contextlib.closing(one_row(open_journal(path))):
        os.link(path, other)
        with pytest.raises(JournalError, match=r"2 names \(hard links\)"):
            open_journal(other)
    with pytest.raises(JournalError, match="2 names") as e:
        open_journal(path)
    assert "cp -p, then mv" in e.value.hint
    other.unlink()
    link = path.with_name("soft.journal")
    link.symlink_to(path)
    open_journal(link).close()


def test_a_gap_and_an_unknown_state_are_damage(path: Path) -> None:
    for damage in ("DELETE FROM pair WHERE seq = 1", "UPDATE pair SET state = 9", "DELETE FROM pair WHERE seq < 2"):
        journal = open_journal(path)
        journal.append(intents(4))
        journal.close()
        with sqlite3.connect(path) as db:
            db.execute(damage)
        db.close()
        with pytest.raises(JournalError, match="damaged") as e:
            open_journal(path)
        assert "--existing check" in e.value.hint.typed
        assert holder(path) is None
        path.unlink()


def test_a_page_overwritten_is_damage(path: Path) -> None:
    journal = open_journal(path)
    journal.append(intents(3_000))
    journal.close()
    with path.open("r+b") as file:
        file.seek(5 * 4_096)
        file.write(b"\xff" * 4_096)
    with pytest.raises(JournalError, match="damaged") as e:
        open_journal(path)
    assert "skip" not in e.value.hint


def test_a_journal_whose_rows_are_misplaced_is_damaged_and_not_unused(path: Path) -> None:
    """It would be given to a new run as one without rows, and what it has on its way would be sent again."""
    journal = open_journal(path)
    journal.append(intents(3))
    journal.close()
    with contextlib.closing(sqlite3.connect(path)) as db:
        query = "SELECT rootpage FROM sqlite_master WHERE name IN ('pair', 'step')"
        one, other = (slice((root - 1) * 4_096, root * 4_096) for (root,) in db.execute(query))
    raw = bytearray(path.read_bytes())
    raw[one], raw[other] = raw[other], raw[one]
    path.write_bytes(raw)
    with pytest.raises(JournalError, match="is damaged"):
        open_journal(path)
    assert path.read_bytes() == raw


def test_files_are_for_their_owner_alone(path: Path) -> None:
    before = os.umask(0)
    try:
        journal = open_journal(path)
        journal.append(intents(1))
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    journal.close()
    assert modes == {path.name + end: 0o600 for end in ("", "-wal", "-shm", ".lock")}


def test_commits_are_synced_and_a_clean_end_leaves_one_file(path: Path) -> None:
    journal = open_journal(path)
    assert journal._db.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert journal._db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    journal.append(intents(1))
    journal.close()
    assert {file.name for file in path.parent.iterdir()} == {path.name, path.name + ".lock"}


def test_the_format_is_described_and_readable_without_us(path: Path) -> None:
    journal = open_journal(path)
    journal.append(intents(3))
    journal.settle([(0, State.CREATED, 1, 7, 200, None)])
    journal.close()
    with sqlite3.connect(path) as db:
        assert list(db.execute("SELECT state, count(*) FROM outcome GROUP BY state")) == [
            ("created", 1),
            ("in_doubt", 2),
        ]
        columns = [row[1] for row in db.execute("PRAGMA table_info(pair)")]
        described = db.execute("SELECT * FROM outcome LIMIT 9").fetchall()
        meta = [row[0] for row in db.execute("SELECT key FROM meta")]
    db.close()
    assert described[0] == (0, 2, 10, 1_000, "created", 1, 7, 200, None)
    for name in [*columns, *meta, *(s.name.lower().replace("_", " ") for s in State)]:
        assert name in (schema.__doc__ or ""), name

"""What is kept of lists: until when, for whom, and what a damaged, foreign or busy file does (nothing but calls)."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from bulkwriter.resolve.cache import BUSY, KEPT_S, Cache, cache_path
from bulkwriter.settings import Settings
from bulkwriter.store.sign_in_file import SignInFile
from bulkwriter.stored_sign_in import StoredSignIn

KEY = ("Course?", 1, 1_000)
PLACE = [1, 25, 1, False]
NOW = 1_800_000_000.0


def kept(path: Path, *, at: float = NOW) -> None:
    with Cache(path, lambda: at) as cache:
        cache.put_page(KEY, PLACE, [7], [[7, "Safety"]])
        cache.put_read("Coworker", [1, 2], [[1, "a@b", "Ann", True]])
        cache.put_size("CourseLesson", 25)


def found(path: Path, *, at: float = NOW + 60) -> tuple[bool, int, dict[str, int]]:
    with Cache(path, lambda: at) as cache:
        page = cache.page(KEY)
        return page is not None and page["rows"] == [[7, "Safety"]], len([*cache.reads("Coworker")]), cache.sizes


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "lists.jsonl"


def test_what_was_kept_is_there_for_a_day(path: Path) -> None:
    kept(path)
    assert found(path) == (True, 1, {"CourseLesson": 25})
    assert found(path, at=NOW + KEPT_S - 1) == (True, 1, {"CourseLesson": 25})
    assert found(path, at=NOW + KEPT_S) == (False, 0, {})
    assert path.stat().st_size == 0, "nothing of it counts any more"


def test_what_is_from_the_future_does_not_count(path: Path) -> None:
    kept(path)
    assert found(path, at=NOW - 60) == (False, 0, {})


def test_age_is_told_of_what_was_there_before_alone(path: Path) -> None:
    kept(path)
    with Cache(path, lambda: NOW + 60) as cache:
        assert cache.oldest is None
        cache.put_page(("Course?", 2, 1_000), PLACE, [8], [[8, "Lifts"]])
        cache.page(("Course?", 2, 1_000))
        assert cache.oldest is None
        cache.page(KEY)
        assert cache.oldest == NOW


def test_refresh_forgets_everything(path: Path) -> None:
    kept(path)
    with Cache(path, lambda: NOW, is_fresh=True) as cache:
        assert cache.page(KEY) is None
    assert found(path) == (False, 0, {})


def test_a_dropped_list_stays_dropped(path: Path) -> None:
    kept(path)
    with Cache(path, lambda: NOW) as cache:
        cache.drop("Course?")
        assert cache.page(KEY) is None
    assert found(path) == (False, 1, {"CourseLesson": 25})


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_torn_line_is_no_line_and_what_follows_is_kept(path: Path, cut: int) -> None:
    kept(path)
    os.truncate(path, path.stat().st_size - cut)
    assert found(path)[:2] == (True, 1)
    with Cache(path, lambda: NOW) as cache:
        cache.put_size("CourseLesson", 5)
    assert found(path) == (True, 1, {"CourseLesson": 5})


@pytest.mark.parametrize(
    "line", [b"\n", b"[]\n", b"{}\n", b'{"at": "x"}\n', b"\xff\n", b'{"at": 1, "list": 3}\n', b"{\n"]
)
def test_a_foreign_line_is_passed_over(path: Path, line: bytes) -> None:
    kept(path)
    path.write_bytes(line + path.read_bytes())
    assert found(path) == (True, 1, {"CourseLesson": 25})


def test_a_second_process_works_without_it(path: Path) -> None:
    kept(path)
    with Cache(path, lambda: NOW) as first, Cache(path, lambda: NOW) as second:
        assert first.page(KEY) is not None
        assert (second.trouble, second.page(KEY)) == (BUSY, None)
        second.put_page(KEY, PLACE, [9], [[9, "not kept"]])
    assert found(path) == (True, 1, {"CourseLesson": 25})


def test_files_of_which_nothing_counts_any_more_are_removed(path: Path) -> None:
    path.parent.mkdir()
    old, young, foreign = (path.with_name(name) for name in ("lists-a.jsonl", "lists-b.jsonl", "other.jsonl"))
    for file, age_s in ((old, KEPT_S), (young, KEPT_S - 1), (foreign, KEPT_S)):
        file.write_text("{}")
        os.utime(file, (NOW - age_s, NOW - age_s))
    kept(path)
    assert {file.name for file in path.parent.iterdir()} == {"lists-b.jsonl", "other.jsonl", path.name}


def test_a_folder_that_cannot_be_made_costs_calls_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with Cache(tmp_path / "file" / "lists.jsonl", lambda: NOW) as cache:
        assert cache.trouble
        cache.put_page(KEY, PLACE, [7], [[7, "Safety"]])
        assert cache.page(KEY) is None


def test_it_is_its_owners_alone(path: Path) -> None:
    kept(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_each_server_account_and_sign_in_has_a_file_of_its_own(tmp_path: Path) -> None:
    env = {"XDG_CACHE_HOME": str(tmp_path)}
    token_file = tmp_path / "token-file"
    token_file.write_text("made-up-token-2\n")
    each = [
        Settings(token="made-up-token"),
        Settings(token="made-up-token", account="a"),
        Settings(token="made-up-token", base_url="https://example.com"),
        Settings(token_file=token_file),
        Settings(username="ann", password="x"),
        Settings(username="bob", password="x"),
    ]
    paths = [cache_path(settings, env) for settings in each]
    assert len({*paths}) == len(each)
    assert not any("made-up" in str(path) or "ann" in str(path).rpartition("/")[2] for path in paths)
    assert cache_path(Settings(token="made-up-token-2"), env) == paths[3], "the same token is the same sign-in"


def test_each_user_of_a_stored_sign_in_has_a_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists may be narrowed to what a user may see: after a new `login` the lists of the one before counted on."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    settings = Settings(stored_sign_in=True)
    env = {"XDG_CACHE_HOME": str(tmp_path)}
    file = SignInFile.of(settings.base_url, None)
    base_url, account = file.server
    paths = []
    for username, token in (("ann", "a"), ("ann", "renewed"), ("bob", "b")):
        held = file.hold()
        assert held
        held.save(
            StoredSignIn(
                base_url=base_url, account=account, username=username, client_id="c", obtained_at=NOW,
                expires_at=None, access_token=token, refresh_token="",
            )
        )  # fmt: skip
        held.release()
        paths.append(cache_path(settings, env))
    assert paths[0] == paths[1] != paths[2]
    assert paths[2] == cache_path(Settings(username="bob", password="x"), env)


def test_where_it_lies() -> None:
    settings = Settings(token="t")
    assert str(cache_path(settings, {"HOME": "/home/ann"})).startswith("/home/ann/.cache/bulkwriter/lists-")
    assert str(cache_path(settings, {"HOME": "/home/ann", "XDG_CACHE_HOME": "/c"})).startswith("/c/bulkwriter/lists-")
    assert cache_path(settings, {}) is None

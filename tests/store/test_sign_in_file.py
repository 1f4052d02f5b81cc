"""The file of a stored sign-in: made for its owner alone, replaced whole, and refused where it is not surely ours."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from bulkwriter.errors import ConfigurationStop
from bulkwriter.store import sign_in_file
from bulkwriter.store.sign_in_file import SignInFile
from bulkwriter.stored_sign_in import REFRESH_LIFE_S, StoredSignIn, login_command

URL = "https://api.example"
SECRET = "r7-secret-value"
SIGN_IN = StoredSignIn(
    base_url=URL, account="", username="ann", client_id="c", obtained_at=1_000.0, expires_at=2_000.0,
    access_token="a1", refresh_token=SECRET,
)  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> SignInFile:
    """A file that holds `SIGN_IN`."""
    made = SignInFile(tmp_path / "state" / "sign-ins", URL, None)
    save(made, SIGN_IN)
    return made


def save(file: SignInFile, sign_in: StoredSignIn) -> None:
    held = file.hold()
    assert held is not None
    held.reserve()
    held.save(sign_in)
    held.release()


def test_it_is_for_its_owner_alone_and_reads_back(file: SignInFile) -> None:
    assert file.load() == SIGN_IN
    for path, mode in ((file.path, 0o600), (file.path.parent, 0o700), (Path(f"{file.path}.lock"), 0o600)):
        assert stat.S_IMODE(path.stat().st_mode) == mode
    assert SECRET not in repr(SIGN_IN)
    assert sorted(p.suffix for p in file.path.parent.iterdir()) == [".json", ".lock"]


def test_a_umask_of_nothing_changes_no_mode(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        save(made := SignInFile(tmp_path / "a" / "b", URL, None), SIGN_IN)
    finally:
        os.umask(before)
    assert [stat.S_IMODE(p.stat().st_mode) for p in (made.path, made.path.parent)] == [0o600, 0o700]


def test_each_server_account_and_machine_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def path(url: str = URL, account: str | None = None) -> Path:
        return SignInFile(tmp_path, url, account).path

    others = [path(), path("https://other.example"), path(account="north"), path("http://127.0.0.1:1")]
    monkeypatch.setattr(sign_in_file, "machine_id", lambda: "another")
    assert len({*others, path()}) == 5
    assert path("HTTPS://API.example:443/") == path()


def test_what_is_for_another_server_is_not_given(file: SignInFile) -> None:
    """A file that was copied or renamed: its server is in it."""
    other = SignInFile(file.path.parent, "https://evil.example", None)
    file.path.rename(other.path)
    with pytest.raises(ConfigurationStop, match="it is for another server or account"):
        other.load()


def link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def folder_link(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))
    path.parent.symlink_to("elsewhere")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (link, "symbolic link"),
        (folder_link, "symbolic link"),
        (fifo, "no ordinary file"),
        (folder, "no ordinary file"),
        (lambda path: path.chmod(0o644), "can be read by everybody"),
        (lambda path: path.chmod(0o640), "can be read by its group"),
        (lambda path: path.chmod(0o622), "has mode 622"),
        (lambda path: path.parent.chmod(0o777), "others may write into it"),
        (lambda path: path.write_text(""), "it is damaged"),
        (lambda path: path.write_text(path.read_text()[:-20]), "it is damaged"),
        (lambda path: path.write_text("[" * 60_000), "it is damaged"),
        (lambda path: path.write_bytes(b"\xff" * 70_000), "it is damaged"),
    ],
)
def test_what_is_not_surely_ours_and_whole_is_told_and_not_used(
    file: SignInFile, spoil: Callable[[Path], None], words: str
) -> None:
    spoil(file.path)
    with pytest.raises(ConfigurationStop, match=words) as stop:
        file.load()
    assert str(file.path.parent) in stop.value.message
    assert stop.value.hint
    assert SECRET not in str(stop.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("what", ["path", "parent"])
def test_a_file_of_another_user_is_refused(file: SignInFile, what: str) -> None:
    os.chown(file.path if what == "path" else file.path.parent, 12_345, 12_345)
    with pytest.raises(ConfigurationStop, match="belongs to another user"):
        file.load()


JUNK: list[dict[str, object]] = [
    {"version": 2},
    {"access_token": ""},
    {"access_token": 7},
    {"refresh_token": None},
    {"expires_at": "soon"},
    {"expires_at": 1.0},
    {"expires_at": True},
    {"obtained_at": -1},
    {"obtained_at": float("inf"), "expires_at": float("inf")},
    {"more": 1},
]


@pytest.mark.parametrize("change", JUNK, ids=str)
def test_no_field_is_believed_that_cannot_be(file: SignInFile, change: dict[str, object]) -> None:
    kept = {"version": 1, **dataclasses.asdict(SIGN_IN), **change}
    file.path.write_text(json.dumps(kept))
    with pytest.raises(ConfigurationStop, match=r"damaged|has format 2"):
        file.load()


def test_without_a_file_there_is_none(tmp_path: Path) -> None:
    assert SignInFile(tmp_path / "nowhere", URL, None).load() is None


def test_it_is_in_the_state_folder_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/h")
    monkeypatch.setenv("XDG_STATE_HOME", "/s")
    assert SignInFile.of(URL, None).path.parent == Path("/s/bulkwriter/sign-ins")
    monkeypatch.delenv("XDG_STATE_HOME")
    assert SignInFile.of(URL, None).path.parent == Path("/h/.local/state/bulkwriter/sign-ins")


def test_one_holds_it_at_a_time_and_a_dead_holders_rest_is_no_trouble(file: SignInFile) -> None:
    held = file.hold()
    assert held is not None
    held.reserve()
    assert file.hold() is None
    assert file.load() == SIGN_IN  # whoever only reads does not wait
    held.release()
    held.release()
    Path(f"{file.path}.new").touch(0o600)  # as a kill would leave it
    save(file, dataclasses.replace(SIGN_IN, access_token="a2"))
    assert file.load() == dataclasses.replace(SIGN_IN, access_token="a2")


@pytest.mark.parametrize("step", ["reserve", "save"])
@pytest.mark.parametrize("call", ["pwrite", "fsync"])
def test_a_full_disk_is_told_and_the_one_before_is_kept(
    file: SignInFile, monkeypatch: pytest.MonkeyPatch, step: str, call: str
) -> None:
    held = file.hold()
    assert held is not None
    if step == "save":
        held.reserve()

    def full(*args: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(ConfigurationStop, match="No space left on device"):
        held.reserve() if step == "reserve" else held.save(dataclasses.replace(SIGN_IN, access_token="a2"))
    monkeypatch.undo()
    held.release()
    assert file.load() == SIGN_IN
    assert not Path(f"{file.path}.new").exists()


def test_a_link_in_the_place_of_the_new_one_is_not_followed(file: SignInFile, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    Path(f"{file.path}.new").symlink_to(tmp_path / "mine")
    held = file.hold()
    assert held is not None
    with pytest.raises(ConfigurationStop, match="symbolic link"):
        held.reserve()
    held.release()
    assert (tmp_path / "mine").read_text() == "mine"


def test_to_remove_a_link_leaves_what_it_points_to(file: SignInFile) -> None:
    link(file.path)
    held = file.hold()
    assert held is not None
    assert (held.remove(), held.remove()) == (True, False)
    held.release()
    assert file.path.with_name("elsewhere").exists()


def test_it_is_due_at_half_of_its_life() -> None:
    assert [SIGN_IN.is_due(at) for at in (999.0, 1_000.0, 1_499.0, 1_500.0)] == [True, False, False, True]
    assert [SIGN_IN.is_good(at) for at in (1_999.0, 2_000.0)] == [True, False]
    endless = dataclasses.replace(SIGN_IN, expires_at=None)
    assert endless.renew_at == 1_000.0 + REFRESH_LIFE_S / 2
    assert endless.is_good(1e12)


def test_the_command_that_signs_in_again_names_what_is_not_the_default() -> None:
    assert login_command("https://spaces.nexudus.com", "") == "bulkwriter login"
    assert login_command(URL, "my own") == "bulkwriter login --base-url https://api.example --account 'my own'"

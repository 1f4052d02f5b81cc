"""Files and folders are for their owner alone; where a file system keeps no modes it is said who else reads them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from bulkwriter.errors import ConfigurationStop, LedgerError
from bulkwriter.quota.ledger import ledger_path
from bulkwriter.store.private import keep_private, make_folder, shown_to
from bulkwriter.store.sign_in_file import SignInFile
from tests.support.cli_process import Here, stub, write_pairs


@pytest.fixture
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_folders_that_we_make_are_our_own_and_others_stay_as_they_are(tmp_path: Path, no_umask: None) -> None:
    (tmp_path / "there").mkdir(mode=0o755)
    make_folder(tmp_path / "there" / "local" / "state" / "bulkwriter")
    made = [tmp_path / "there" / name for name in (".", "local", "local/state", "local/state/bulkwriter")]
    assert [mode(folder) for folder in made] == [0o755, 0o700, 0o700, 0o700]
    make_folder(made[-1])
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="exists"):
        make_folder(tmp_path / "file")


def test_a_file_system_that_refuses_modes_stops_nothing(tmp_path: Path, no_umask: None) -> None:
    path = tmp_path / "pairs.csv.journal"
    path.touch(mode=0o644)

    def refuses(path: Path, mode: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    keep_private(path, chmod=refuses)
    assert len(shown_to([path])) == 1
    assert shown_to([path])[0].startswith(f"{path} can be read by everybody on this machine (mode 644): chmod 600 it")
    path.chmod(0o640)
    assert "by its group" in shown_to([path])[0]
    keep_private(path)
    assert shown_to([path, tmp_path / "none"]) == []


@pytest.mark.parametrize("env", [{"HOME": "home"}, {"HOME": "./x", "XDG_STATE_HOME": "state"}])
def test_a_state_folder_is_absolute_or_refused(monkeypatch: pytest.MonkeyPatch, env: dict[str, str]) -> None:
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(LedgerError, match="no absolute path") as error:
        ledger_path(None)
    assert "--ledger" in error.value.hint.typed
    with pytest.raises(LedgerError, match="no absolute path"):
        ledger_path(Path("~/ledger"))
    with pytest.raises(ConfigurationStop, match="no absolute path"):
        SignInFile.of("https://spaces.nexudus.com", None)
    assert ledger_path(Path("here")) == Path.cwd() / "here"
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert ledger_path(None) == Path("/state/bulkwriter/ledger")


@pytest.mark.slow
def test_what_commands_leave_is_their_users_alone(
    tmp_path: Path, no_umask: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, canary_env: str
) -> None:
    here = Here(capsys, monkeypatch)
    here.env("XDG_STATE_HOME", str(tmp_path / "home" / "state"))
    source = write_pairs(tmp_path / "pairs.csv", 20)
    with stub() as server:
        assert here.run(source, server, "--quota=write:1000/day").code == 0
        wrong, output = tmp_path / "wrong.csv", tmp_path / "created.csv"
        journal = f"{source}.journal"
        assert here("verify", journal, "--base-url", server.base_url, "--output", str(wrong)).code == 0
        assert here("export", journal, "--state=created", "--output", str(output)).code == 0
        Path(journal).chmod(0o644)
        again = here.run(source, server, "--quota=write:1000/day")
    assert "can be read by everybody on this machine (mode 644)" in again.err
    modes = {p.name: mode(p) for p in tmp_path.rglob("*") if p not in (source, Path(journal))}
    assert {modes["wrong.csv"], modes["created.csv"], modes["ledger"], modes["pairs.csv.journal.lock"]} == {0o600}
    assert {modes["home"], modes["state"], modes["bulkwriter"]} == {0o700}
    assert all(not m & 0o077 for m in modes.values()), modes

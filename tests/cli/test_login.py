"""`login`, `logout`, and who uses the stored sign-in: never another server, nor one that only a folder's file names."""

from __future__ import annotations

import io
import json
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bulkwriter.cli import choose
from bulkwriter.store.sign_in_file import SignInFile
from bulkwriter.stub.thread import StubThread
from tests.conftest import CANARY
from tests.support.cli_process import FAST, Here, write_pairs

PASSWORD = "open-sesame"
CODE = "493021"
WAITS = [word for word in FAST if "doubt" in word]
USERS = [{"username": "ann", "password": PASSWORD, "totp": CODE}]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Here:
    """The command line with a home of its own, without a token, in an empty folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "folder").mkdir()
    (tmp_path / "config" / "bulkwriter").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "folder")
    return Here(capsys, monkeypatch)


@pytest.fixture
def server() -> Iterator[StubThread]:
    with StubThread({"users": USERS}) as stub:
        yield stub


def sign_in(here: Here, server: StubThread, tmp_path: Path, *args: str) -> Any:
    (tmp_path / "password").write_text(PASSWORD + "\n")
    (tmp_path / "password-code").write_text(CODE + "\n")
    files = (f"--password-file={tmp_path / 'password'}", f"--totp-file={tmp_path / 'password-code'}")
    done = here("login", "--base-url", server.base_url, "--username=ann", *files, *args)
    assert (PASSWORD not in done.out + done.err, CODE not in done.out + done.err) == (True, True)
    return done


def stored(server: StubThread) -> Path:
    return SignInFile.of(server.base_url, None).path


def test_one_sign_in_serves_every_command(here: Here, server: StubThread, tmp_path: Path) -> None:
    done = sign_in(here, server, tmp_path)
    assert done.code == 0, done.err
    path = stored(server)
    assert f"signed in to {server.base_url} as ann" in done.out
    assert f"stored in   {path}" in done.out
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    kept = json.loads(path.read_text())
    pairs = write_pairs(tmp_path / "pairs.csv", 20)
    journal = f"{pairs}.journal"
    url = ("--base-url", server.base_url)
    for line in (
        ("check", str(pairs), *url), ("plan", str(pairs), *url), ("run", str(pairs), *url, *FAST),
        ("verify", journal, *url, *WAITS), ("undo", journal, *url, "--yes", *WAITS),
    ):  # fmt: skip
        done = here(*line)
        assert done.code == 0, (line, done.out, done.err)
        assert kept["access_token"] not in done.out + done.err
        assert kept["refresh_token"] not in done.out + done.err
    assert json.loads(path.read_text()) == kept
    done = here("check", *url)
    assert f"accepted, stored in {path}; good until 20" in done.out


def test_a_plan_asks_the_server_with_whatever_signs_a_run_in(here: Here, server: StubThread, tmp_path: Path) -> None:
    sign_in(here, server, tmp_path)
    pairs = write_pairs(tmp_path / "pairs.csv", 4)
    assert here.run(pairs, server).code == 0
    pairs.with_name("pairs.csv.journal").unlink()

    def writes(url: str) -> tuple[int, bool]:
        done = here("plan", str(pairs), "--base-url", url, "--json")
        said = json.loads(done.out)
        assert done.code == 0, done.err
        assert ("no token" in done.err) is not said["checked"]
        return said["writes"], said["checked"]

    assert writes(server.base_url) == (0, True)
    own = tmp_path / "config" / "bulkwriter" / "bulkwriter.toml"
    with StubThread({}) as other:
        assert writes(other.base_url) == (4, False)
        own.write_text('token-command = "echo stub-token"\n')
        assert writes(other.base_url) == (4, True)


def test_a_revoked_sign_in_names_login_in_every_command(here: Here, server: StubThread, tmp_path: Path) -> None:
    sign_in(here, server, tmp_path)
    pairs, url = write_pairs(tmp_path / "pairs.csv", 3), ("--base-url", server.base_url)
    journal = f"{pairs}.journal"
    assert here.run(pairs, server).code == 0
    server.reset()
    more = str(write_pairs(tmp_path / "more.csv", 5))
    for line in (
        ("run", more, *FAST), ("plan", more), ("check", more), ("verify", journal, *WAITS),
        ("undo", journal, "--yes", *WAITS),
    ):  # fmt: skip
        done = here(*line, *url)
        said = done.out + done.err
        assert done.code == 4, (line, said)
        assert "the stored sign-in has expired or was refused" in said
        assert f"sign in again: bulkwriter login --base-url {server.base_url}" in said
        assert ("-List" in said, "--existing skip" in said) == (False, False), line
        assert "FAIL  server" not in said


def test_config_show_names_it_and_never_shows_it(here: Here, server: StubThread, tmp_path: Path) -> None:
    sign_in(here, server, tmp_path)
    here.env("BULKWRITER_BASE_URL", server.base_url)
    done = here("config", "show", "--json")
    found = json.loads(done.out)["settings"]["stored-sign-in"]
    assert found == {"value": "(set, not shown)", "origin": str(stored(server))}
    assert json.loads(stored(server).read_text())["access_token"] not in done.out


def test_logout_removes_it_and_says_until_when_the_token_is_good(
    here: Here, server: StubThread, tmp_path: Path
) -> None:
    sign_in(here, server, tmp_path)
    done = here("logout", "--base-url", server.base_url)
    assert (done.code, stored(server).exists()) == (0, False)
    assert "its access token stays good until 20" in done.out
    done = here("logout", "--base-url", server.base_url)
    assert done.out == f"no sign-in is stored for {server.base_url}\n"
    done = here.run(write_pairs(tmp_path / "pairs.csv", 3), server)
    assert done.code == 2
    assert f"bulkwriter login --base-url {server.base_url}" in done.err


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), "no user name, and there is no terminal to ask at"),
        (("--username=ann",), "no password for ann"),
        (("--token-file=t",), "a token is not stored"),
        (("--username=ann", "--password-file=missing"), "the password cannot be read"),
    ],
)
def test_without_a_terminal_it_says_what_to_give(here: Here, server: StubThread, args: Any, words: str) -> None:
    done = here("login", "--base-url", server.base_url, *args)
    assert done.code == 2
    assert words in done.err
    assert not stored(server).exists()


def test_at_a_terminal_it_asks_for_what_is_missing(
    here: Here, server: StubThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return {"P": PASSWORD, "T": CODE}[prompt[0]]

    monkeypatch.setattr(choose, "ask_secret", ask)
    monkeypatch.setattr(choose, "can_ask", lambda: True)
    monkeypatch.setattr(sys, "stdin", Terminal("ann\n"))
    done = here("login", "--base-url", server.base_url)
    assert done.code == 0, done.err
    assert asked == ["Password of ann (not shown): ", "Two-factor code (Enter if there is none): "]
    monkeypatch.setattr(sys, "stdin", Terminal("\n"))
    done = here("login", "--base-url", server.base_url)
    assert "User name [ann]: " in done.err, "the stored one is offered"
    assert done.code == 0


@pytest.mark.parametrize(("password", "code"), [("wrong-word", CODE), (PASSWORD, "000000")])
def test_a_refused_sign_in_keeps_the_one_before(
    here: Here, server: StubThread, tmp_path: Path, password: str, code: str
) -> None:
    sign_in(here, server, tmp_path)
    before = stored(server).read_text()
    (tmp_path / "bad-password").write_text(password)
    (tmp_path / "bad-password-code").write_text(code)
    done = here(
        "login", "--base-url", server.base_url, "--username=ann", f"--password-file={tmp_path / 'bad-password'}",
        f"--totp-file={tmp_path / 'bad-password-code'}", "--json",
    )  # fmt: skip
    assert done.code == 4
    assert "the sign-in was refused (HTTP 400)" in done.err
    assert json.loads(done.out)["stored_in"] is None
    assert stored(server).read_text() == before
    assert password not in done.err


def test_what_cannot_be_stored_is_told_before_anything_is_sent(here: Here, server: StubThread, tmp_path: Path) -> None:
    stored(server).parent.mkdir(parents=True)
    stored(server).parent.chmod(0o777)
    done = sign_in(here, server, tmp_path)
    assert done.code == 4
    assert "others may write into it" in done.err
    assert server.truth()["requests"] == {} or server.truth()["records"] == 0


@pytest.mark.parametrize("spoil", ["mode", "link", "damage"])
def test_a_stored_sign_in_that_cannot_be_trusted_ends_a_run_with_4(
    here: Here, server: StubThread, tmp_path: Path, spoil: str
) -> None:
    sign_in(here, server, tmp_path)
    path = stored(server)
    if spoil == "mode":
        path.chmod(0o644)
    elif spoil == "link":
        path.rename(tmp_path / "elsewhere-token")
        path.symlink_to(tmp_path / "elsewhere-token")
    else:
        path.write_text("{}")
    done = here.run(write_pairs(tmp_path / "pairs.csv", 3), server)
    assert done.code == 4
    assert f"the stored sign-in {path} cannot be used" in done.err
    assert here("config", "show").code == 0


def test_a_stored_sign_in_goes_to_its_own_server_alone(here: Here, server: StubThread, tmp_path: Path) -> None:
    sign_in(here, server, tmp_path)
    with StubThread({"users": USERS}) as other:
        pairs = write_pairs(tmp_path / "pairs.csv", 3)
        assert here.run(pairs, other).code == 2
        assert here.run(pairs, server, "--account", "north").code == 2
        assert other.truth()["records"] == 0


def test_a_user_name_goes_before_the_sign_in_of_somebody_else(here: Here, server: StubThread, tmp_path: Path) -> None:
    sign_in(here, server, tmp_path)
    pairs = write_pairs(tmp_path / "pairs.csv", 3)
    done = here.run(pairs, server, "--username=bea")
    assert (done.code, "no password for bea" in done.err) == (2, True)
    assert here.run(pairs, server, "--username=ann").code == 0
    here.env("BULKWRITER_TOKEN", CANARY)
    assert here.run(write_pairs(tmp_path / "more.csv", 5), server).code == 4, "the canary is no token here"


HOST = 'base-url = "{url}"\n'
COMMANDS = [f'{key} = "touch {{folder}}/was-run"\n' for key in ("token-command", "on-end")]


@pytest.mark.parametrize("args", [("run", "pairs.csv"), ("check",), ("plan", "pairs.csv"), ("login", "--username=ann")])
def test_a_hostile_folder_gets_nothing_and_is_told(
    here: Here, server: StubThread, tmp_path: Path, args: tuple[str, ...]
) -> None:
    """Its server is one that we are even signed in to, and the user's own file has a way to sign in as well."""
    sign_in(here, server, tmp_path)
    write_pairs(Path("pairs.csv"), 3)
    for command in (*COMMANDS, *(f"[profile.night]\n{command}" for command in COMMANDS)):
        Path("bulkwriter.toml").write_text((HOST + command).format(url=server.base_url, folder=tmp_path))
        done = here(*args)
        assert (done.code, "may stand only in your own file" in done.err) == (2, True)
    Path("bulkwriter.toml").write_text(HOST.format(url=server.base_url))
    own = tmp_path / "config" / "bulkwriter" / "bulkwriter.toml"
    own.write_text(f'username = "ann"\npassword-file = "{tmp_path}/password"\ntoken-command = "echo mine"\n')
    before = server.truth()["requests"]
    done = here(*args)
    assert done.code == 2, done.out + done.err
    assert server.truth()["requests"] == before
    assert not (tmp_path / "was-run").exists()
    assert f"bulkwriter.toml sets the server: {server.base_url}" in done.err
    assert "bulkwriter login" not in done.err, "no word of how to sign in there"
    if args[0] != "login":
        assert here(*args, "--base-url", server.base_url, *(FAST if args[0] == "run" else ())).code == 0


def test_a_foreign_server_elsewhere_gets_no_secret_of_the_environment(here: Here, tmp_path: Path) -> None:
    from bulkwriter.cli import config_files
    from bulkwriter.cli.run import command

    here.env("BULKWRITER_USERNAME", "ann")
    here.env("BULKWRITER_PASSWORD", PASSWORD)
    here.env("BULKWRITER_TOKEN", CANARY)
    (tmp_path / "outside-token").write_text(CANARY)
    Path("bulkwriter.toml").write_text('base-url = "https://evil.example"\ntoken-file = "../outside-token"\n')
    ctx = command.make_context("run", ["pairs.csv"])
    given = config_files.given(ctx, {k: v for k, v in ctx.params.items() if k != "source"})
    assert (given["username"], given["token_file"]) == (None, None)
    done = here("run", "pairs.csv")
    assert (done.code, "no token" in done.err) == (2, True)
    Path("bulkwriter.toml").write_text('base-url = "https://evil.example"\ntoken-file = "token"\n')
    ctx = command.make_context("run", ["pairs.csv"])
    given = config_files.given(ctx, {k: v for k, v in ctx.params.items() if k != "source"})
    assert given["token_file"] == Path("token").resolve(), "what came with the folder is the folder's"


def test_a_token_command_of_the_own_file_signs_in(here: Here, server: StubThread, tmp_path: Path) -> None:
    own = tmp_path / "config" / "bulkwriter" / "bulkwriter.toml"
    own.write_text(f'base-url = "{server.base_url}"\ntoken-command = "echo other-token; echo noise-1234567 >&2"\n')
    pairs = write_pairs(tmp_path / "pairs.csv", 3)
    done = here("run", str(pairs), *FAST)
    assert done.code == 4, "this server knows no such token"
    assert "gave the same one again" in done.err
    with StubThread({}) as stub:
        own.write_text(f'base-url = "{stub.base_url}"\ntoken-command = "echo stub-token"\n')
        assert here("run", str(write_pairs(tmp_path / "b.csv", 3)), *FAST).code == 0
        done = here("config", "show", "--json")
        assert json.loads(done.out)["settings"]["token-command"] == {"value": "(set, not shown)", "origin": str(own)}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("echo no vault today >&2; exit 3", "the token_command ended with exit code 3: no vault today"),
        ("echo secret-4711-token >&2; exit 1", "exit code 1: (hidden)"),
        ("true", "printed no token in its first line"),
        ("head -c 100000 /dev/zero", "printed no token in its first line"),
        ("printf '\\\\377\\\\n'", "printed no token in its first line"),
        ("echo two words", "the token has a space"),
        ("cat", "printed no token in its first line"),
    ],
)
def test_a_token_command_that_fails_is_told_without_its_secrets(
    here: Here, server: StubThread, tmp_path: Path, line: str, words: str
) -> None:
    own = tmp_path / "config" / "bulkwriter" / "bulkwriter.toml"
    own.write_text(f'base-url = "{server.base_url}"\ntoken-command = "{line}"\n')
    done = here("check")
    assert done.code in (2, 4)
    assert words in done.out + done.err

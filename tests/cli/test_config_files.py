"""Settings in files: which value counts, what is refused, and what the file of a working folder may not do."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click
import pytest

from bulkwriter.cli import choose, config_files
from bulkwriter.cli.main import main
from bulkwriter.cli.run import command
from bulkwriter.errors import UsageError
from bulkwriter.settings import Settings
from bulkwriter.stub.thread import StubThread
from tests.conftest import CANARY
from tests.support.cli_process import CALM, Here, write_pairs

HOST = "https://folder.example"


class Files:
    """A working folder and a home, each with a configuration file of the test's."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder, self.home = folder, home
        self.here, self.own = folder / config_files.NAME, home / "bulkwriter" / config_files.NAME
        self.own.parent.mkdir(parents=True)

    def options(self, *args: str) -> dict[str, Any]:
        """What `run` makes of this command line here."""
        ctx = command.make_context("run", ["pairs.csv", *args])
        return config_files.given(ctx, {k: v for k, v in ctx.params.items() if k != "source"})

    def settings(self, *args: str, **env: str) -> Settings:
        return choose.settings_from(self.options(*args), env, journal=None, token=None)

    def notes(self, *args: str) -> list[str]:
        return config_files.notes_for(command.make_context("run", ["pairs.csv", *args]))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    folder, home = tmp_path / "folder", tmp_path / "home"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    return Files(folder, home)


def test_every_key_of_a_file_sets_its_setting(files: Files) -> None:
    files.here.write_text(
        'base-url = "https://h"\nin_flight = 7\nrate = "30/min"\nmin-rate = 0.25\nquota = ["write:60/min"]\n'
        'strict = true\non-quota = "stop"\nlate-apply = 1\ntoken-file = "t"\n'
    )
    assert files.settings() == Settings(
        base_url="https://h", in_flight=7, rate=0.5, min_rate=0.25, quota=("write:60/min",), strict=True,
        on_quota="stop", late_apply_s=1.0, token_file=files.folder / "t",
    )  # fmt: skip


def test_a_nearer_word_goes_before_a_farther_one(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the layers in turn is the nearest that has the key."""
    layers = [1, 2, 3, 4]  # profile here, profile at home, top here, top at home
    for left in range(4, -1, -1):
        says = {layer: f"in-flight = {layer}\n" for layer in layers[4 - left :]}
        files.here.write_text(f"{says.get(3, '')}[profile.night]\n{says.get(1, '')}")
        files.own.write_text(f"{says.get(4, '')}[profile.night]\n{says.get(2, '')}")
        default = Settings().in_flight
        assert files.settings("--profile=night").in_flight == (5 - left if left else default)
    files.here.write_text("in-flight = 9")
    monkeypatch.setenv("BULKWRITER_IN_FLIGHT", "11")
    assert files.settings().in_flight == 11
    assert files.settings("--in-flight=12").in_flight == 12


def test_a_profile_named_by_the_environment_counts_as_well(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    files.own.write_text("[profile.night]\nin-flight = 3\n")
    monkeypatch.setenv("BULKWRITER_PROFILE", "night")
    assert files.settings().in_flight == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("in-fligth = 3", "there is no setting 'in-fligth'\n  did you mean in-flight?"),
        (
            'token = "abcdefgh"',
            "there is no setting 'token'\n  a secret stands in a file of its own: token-file = PATH",
        ),
        ('journal = "j"', "there is no setting 'journal'"),
        ("qqq = 3", "bulkwriter config show lists all of them"),
        ('in-flight = "7"', "in-flight = '7' is not a number"),
        ("in-flight = true", "in-flight = True is not a number"),
        ("base-url = 7", "base-url = 7 is not a text in quotes"),
        ("strict = 1", "strict = 1 is not true or false"),
        ("quota = 60", "quota = 60 is not a list"),
        ("rate = [1]", "rate = '[1]' is not a text such as"),
        ('[profile.night]\n"\\u001b[2J" = 1', "there is no setting '\\x1b[2J'"),
        ("profile = 3", "profile is not a table"),
        ("x = ", "is not TOML"),
        ('proxy = "http://p"', "proxy may stand only in your own file"),
        ('ledger = "l"', "ledger may stand only in your own file"),
        ('ca-file = "c"', "ca-file may stand only in your own file"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(files: Files, text: str, words: str) -> None:
    files.here.write_text(text)
    with pytest.raises(UsageError) as caught:
        files.options()
    assert words in str(caught.value)
    assert str(files.here) in str(caught.value)
    assert "abcdefgh" not in str(caught.value)


def test_a_value_that_click_refuses_names_the_file(files: Files) -> None:
    files.here.write_text('on-quota = "maybe"')
    with pytest.raises(click.BadParameter) as caught:
        files.options()
    assert f"(from {files.here})" in caught.value.format_message()


def test_an_unknown_profile_names_those_there_are(files: Files) -> None:
    with pytest.raises(UsageError, match=r"no profile 'nigth'\n  none stands in .*folder.*home"):
        files.options("--profile=nigth")
    files.own.write_text("[profile.night]\n[profile.day]\n")
    with pytest.raises(UsageError, match=r"no profile 'nigth'\n  there are: day, night"):
        files.options("--profile=nigth")


def test_help_is_shown_beside_a_broken_file(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    files.here.write_text("x = ")
    assert main(["run", "--help"]) == 0
    assert main(["run", "pairs.csv"]) == 2
    assert "is not TOML" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "args", "env", "found"),
    [
        ('token-file = "/t"', ["--username=me"], {}, {"token_file": None, "username": "me"}),
        ('token-file = "/t"', [], {"BULKWRITER_USERNAME": "me"}, {"token_file": None, "username": "me"}),
        ('username = "me"', ["--token-file=x"], {}, {"token_file": Path("x"), "username": None}),
        ('token-file = "/t"', [], {"BULKWRITER_TOKEN": CANARY}, {"token_file": None, "username": None}),
        ('username = "me"', [], {"BULKWRITER_TOKEN": CANARY}, {"token_file": None, "username": None}),
        ('token-file = "/t"', [], {}, {"token_file": Path("/t"), "username": None}),
        ("doubt-wait = 3", ["--late-apply=1"], {}, {"doubt_wait": None, "late_apply_s": 1.0}),
        ("late-apply = 3\nlist-lag = 1", ["--doubt-wait=9"], {}, {"doubt_wait": 9.0, "late_apply_s": None}),
    ],
)
def test_a_file_does_not_say_in_another_way_what_is_said_nearer(
    files: Files,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    args: list[str],
    env: dict[str, str],
    found: dict[str, Any],
) -> None:
    files.own.write_text(text)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    options = files.options(*args)
    assert {name: options[name] for name in found} == found


def test_nor_does_a_farther_table(files: Files) -> None:
    files.own.write_text('token-file = "/t"\nclient-id = "c"\n[profile.night]\nusername = "me"\n')
    options = files.options("--profile=night")
    assert (options["token_file"], options["username"], options["client_id"]) == (None, "me", "c")


OWN_SIGN_IN = 'token-file = "/own"\nclient-id = "c"\n'


def test_a_host_of_the_folder_gets_no_sign_in_of_the_users_own_file(files: Files) -> None:
    files.own.write_text(OWN_SIGN_IN)
    files.here.write_text(f'base-url = "{HOST}"')
    settings = files.settings()
    assert (settings.base_url, settings.token_file, settings.client_id) == (HOST, None, None)
    told, kept_back = files.notes()
    assert told == f"{files.here} sets the server: {HOST}"
    assert kept_back.startswith("no sign-in of your own, nor one of the environment, is used there")


def test_unless_that_file_names_the_host_as_well(files: Files) -> None:
    files.own.write_text(f'{OWN_SIGN_IN}[profile.other]\nbase-url = "{HOST}"\n')
    files.here.write_text(f'base-url = "{HOST}"')
    assert files.settings().token_file == Path("/own")
    assert files.notes() == [f"{files.here} sets the server: {HOST}"]


def test_a_profile_of_the_folder_gets_it_no_sooner(files: Files) -> None:
    files.own.write_text(f"{OWN_SIGN_IN}[profile.night]\n{OWN_SIGN_IN}")
    files.here.write_text(f'[profile.night]\nbase-url = "{HOST}"')
    assert files.settings("--profile=night").token_file is None


def test_a_host_that_is_given_nearer_gets_it(files: Files) -> None:
    """The folder's word on the host does not count then."""
    files.own.write_text(OWN_SIGN_IN)
    files.here.write_text("in-flight = 3")
    assert files.settings("--base-url=https://mine.example").token_file == Path("/own")
    assert files.notes() == []


def test_a_home_without_a_place_for_a_file_is_no_trouble(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", "relative")
    assert files.settings() == Settings()


def test_the_users_own_folder_is_the_users_own(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who works in the folder of the own file has one file there, not two."""
    files.own.write_text('proxy = "http://p:1"')
    monkeypatch.chdir(files.own.parent)
    assert files.settings().proxy == "http://p:1"


def test_a_run_obeys_its_file(files: Files, here: Here) -> None:
    source = write_pairs(files.folder / "pairs.csv", 30)
    (files.folder / "token").write_text(CANARY)
    with StubThread(CALM) as stub:
        files.here.write_text(f'base-url = "{stub.base_url}"\nexisting = "skip"\nprogress = "none"\n')
        assert here("run", str(source), "--json").code == 2, "no secret of the environment, on this machine either"
        assert stub.truth()["requests"] == {}
        files.here.write_text(files.here.read_text() + 'token-file = "token"\n')
        done = here("run", str(source), "--json")
    assert done.json["created"] == 30
    assert f"note: {files.here} sets the server: {stub.base_url}" in done.err
    assert f"note: {files.here} sets existing: if you do not trust this folder" in done.err


def test_what_a_folder_makes_less_careful_is_told_and_no_more(files: Files) -> None:
    files.here.write_text('quota = ["none"]\nlate-apply = 0\nexisting = "check"\nin-flight = 3\n')
    (note,) = files.notes()
    assert note.startswith(f"{files.here} sets late-apply, quota: ")
    assert files.notes("--quota=none", "--late-apply=0") == []
    files.here.rename(files.own)
    assert files.notes() == []


def test_a_file_without_an_end_is_not_read(files: Files) -> None:
    files.here.symlink_to("/dev/zero")
    with pytest.raises(UsageError, match="is no regular file"):
        files.options()
    files.here.unlink()
    os.mkfifo(files.here)
    with pytest.raises(UsageError, match="is no regular file"):
        files.options()
    files.here.unlink()
    files.here.write_bytes(b"#" * (config_files.MOST_BYTES + 1))
    with pytest.raises(UsageError, match="has more than 1,048,576 bytes"):
        files.options()


def test_a_command_in_a_file_that_anybody_may_write_is_refused(files: Files) -> None:
    files.own.write_text('token-command = "true"')
    files.own.chmod(0o666)
    with pytest.raises(UsageError, match="any user of this machine may write into it"):
        files.options()
    files.own.chmod(0o644)
    assert files.options()["token_command"] == "true"


def test_config_show_tells_each_value_with_its_origin(
    files: Files, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    files.own.write_text('proxy = "http://me:hidden-word@p:1"\n[profile.night]\nquota = ["write:1/s", "any:2/s"]\n')
    files.here.write_text("strict = true")
    monkeypatch.setenv("BULKWRITER_IN_FLIGHT", "5")
    monkeypatch.setenv("BULKWRITER_TOKEN", CANARY)
    assert main(["config", "show", "--profile", "night", "--json"]) == 0
    said = capsys.readouterr()
    assert "hidden-word" not in said.out + said.err
    found = json.loads(said.out)["settings"]
    assert found["strict"] == {"value": "true", "origin": str(files.here)}
    assert found["quota"] == {"value": "write:1/s, any:2/s", "origin": f"{files.own} [profile.night]"}
    assert found["in-flight"] == {"value": "5", "origin": "BULKWRITER_IN_FLIGHT"}
    assert found["token"] == {"value": "(set, not shown)", "origin": "BULKWRITER_TOKEN"}
    assert found["timeout"] == {"value": "90", "origin": "default"}
    assert main(["config", "show"]) == 0
    assert "http://USER:PASSWORD@p:1" in capsys.readouterr().out


def test_config_path_tells_where_files_are_looked_for(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    files.own.write_text("")
    assert main(["config", "path"]) == 0
    assert capsys.readouterr().out == f"{files.here}  (not there)\n{files.own}  (read)\n"


def test_a_demo_reads_no_file(
    files: Files, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    files.here.write_text("x = ")
    monkeypatch.setenv(config_files.NO_FILES, "")  # the demo sets it, and this takes it back
    assert main(["demo", "--pairs=20", "--progress=none"]) == 0
    assert "20 records, 0 missing, 0 doubled" in capsys.readouterr().err

"""Options and environment become settings: every option of `run` lands in its setting, and slips are refused."""

from __future__ import annotations

import dataclasses
import io
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from bulkwriter.cli import choose, options
from bulkwriter.cli.run import command
from bulkwriter.errors import SourceError, UsageError
from bulkwriter.postgres.address import Address
from bulkwriter.settings import Settings
from tests.conftest import CANARY

JOURNAL = Path("pairs.csv.journal")
OF_THE_LIBRARY_ALONE = {
    "token",
    "stored_sign_in",
    "password",
    "totp",
    "clocks",
    "limits",
    "journal",
    "lease_s",
    "retry_rejected",
    "patience_s",
    "most_outstanding",
}
"""Settings without an option of the same name: secrets, what concerns
single writes, and those that an option of another name sets."""

GIVEN: list[tuple[str, str, object]] = [
    ("--base-url=https://h", "base_url", "https://h"),
    ("--token-file=t", "token_file", Path("t")),
    ("--username=u", "username", "u"),
    ("--password-file=p", "password_file", Path("p")),
    ("--totp-file=o", "totp_file", Path("o")),
    ("--client-id=c", "client_id", "c"),
    ("--ca-file=a", "ca_file", Path("a")),
    ("--proxy=http://p:1", "proxy", "http://p:1"),
    ("--timeout=3", "timeout_s", 3.0),
    ("--lease=9", "lease_s", 9.0),
    ("--in-flight=7", "in_flight", 7),
    ("--rate=30/min", "rate", 0.5),
    ("--min-rate=1/s", "min_rate", 1.0),
    ("--quota=write:60/min", "quota", ("write:60/min",)),
    ("--quota-share=0.5", "quota_share", 0.5),
    ("--on-quota=stop", "on_quota", "stop"),
    ("--account=me", "account", "me"),
    ("--ledger=l", "ledger", Path("l")),
    ("--ledger=postgresql://u@h/d", "ledger", Address.parse("postgresql://u@h/d")),
    ("--existing=skip", "existing", "skip"),
    ("--late-apply=1", "late_apply_s", 1.0),
    ("--list-lag=0", "list_lag_s", 0.0),
    ("--max-attempts=2", "max_attempts", 2),
    ("--max-same-rejections=9", "max_same_rejections", 9),
    ("--stop-rejected=0.7", "stop_rejected", 0.7),
    ("--give-up-after=10", "give_up_after_s", 10.0),
    ("--retry=rejected", "retry_rejected", True),
    ("--after-loss", "after_loss", True),
    ("--strict", "strict", True),
    ("--limit=5", "limit", 5),
]


def parsed(*args: str) -> dict[str, Any]:
    """What click makes of a command line of `run`."""
    params = command.make_context("run", ["pairs.csv", *args]).params
    return {name: value for name, value in params.items() if name != "source"}


def settings(*args: str, env: dict[str, str] | None = None, token: str | None = None) -> Settings:
    return choose.settings_from(parsed(*args), env or {}, journal=JOURNAL, token=token)


@pytest.mark.parametrize(("arg", "field", "value"), GIVEN, ids=[g[0] for g in GIVEN])
def test_an_option_sets_its_setting_and_nothing_else(arg: str, field: str, value: Any) -> None:
    assert settings(arg) == dataclasses.replace(Settings(journal=JOURNAL), **{field: value})


@pytest.mark.parametrize(("arg", "field", "value"), GIVEN, ids=[g[0] for g in GIVEN])
def test_so_does_its_environment_variable(monkeypatch: pytest.MonkeyPatch, arg: str, field: str, value: object) -> None:
    flag, equals, text = arg.partition("=")
    monkeypatch.setenv(options.variable(flag), text if equals else "1")
    assert getattr(settings(), field) == value


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BULKWRITER_RATE", "")
    assert settings().rate is None


def test_every_setting_can_be_reached() -> None:
    reachable = {field for _, field, _ in GIVEN} | OF_THE_LIBRARY_ALONE
    assert {f.name for f in dataclasses.fields(Settings)} == reachable


def test_nothing_given_means_the_defaults_of_the_library() -> None:
    assert settings() == Settings(journal=JOURNAL)


@pytest.mark.parametrize(
    ("text", "per_s"), [("50/s", 50), ("0.2/s", 0.2), ("50", 50), ("30/min", 0.5), ("3600/h", 1), (" 8640 / day ", 0.1)]
)
def test_rates(text: str, per_s: float) -> None:
    assert options.rate(text) == pytest.approx(per_s)


@pytest.mark.parametrize("text", ["", "/s", "50/", "50/fortnight", "fast", "1/2/s", "50 s"])
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not like 50/s"):
        options.rate(text)


def test_a_floor_above_the_ceiling_is_refused_with_both_flags() -> None:
    with pytest.raises(UsageError) as error:
        settings("--min-rate=10", "--rate=5")
    assert error.value.message == "min_rate = 10 is above rate = 5"
    assert "--min-rate" in error.value.hint.typed
    assert "--rate" in error.value.hint.typed
    assert settings("--min-rate=5", "--rate=5").min_rate == 5
    assert settings("--min-rate=10", "--quota=write:60/min").min_rate == 10  # quotas hold all the same


@pytest.mark.parametrize("text", ["0", "-1/s", "nan", "inf"])
def test_rates_out_of_range(text: str) -> None:
    with pytest.raises(UsageError, match="rate"):
        settings(f"--rate={text}")


@pytest.mark.parametrize(("total", "late", "lag"), [(65, 60, 5), (10, 5, 5), (4, 2, 2), (0, 0, 0)])
def test_doubt_wait_is_both_its_parts(total: float, late: float, lag: float) -> None:
    chosen = settings(f"--doubt-wait={total}")
    assert (chosen.late_apply_s, chosen.list_lag_s) == (late, lag)


@pytest.mark.parametrize("other", ["--late-apply=1", "--list-lag=1"])
def test_doubt_wait_goes_with_neither_part(other: str) -> None:
    with pytest.raises(UsageError, match="--doubt-wait sets both"):
        settings("--doubt-wait=3", other)


@pytest.mark.parametrize("total", ["-1", "nan", "inf"])
def test_a_doubt_wait_that_is_no_time(total: str) -> None:
    with pytest.raises(UsageError, match="is not a time"):
        settings(f"--doubt-wait={total}")


def test_a_token_comes_from_the_environment_a_file_or_stdin() -> None:
    assert settings(env={"BULKWRITER_TOKEN": f" {CANARY}\n"}).token == CANARY
    from_file = settings("--token-file=t", env={"BULKWRITER_TOKEN": CANARY})
    assert (from_file.token, from_file.token_file) == (None, Path("t"))
    signing_in = settings("--username=u", env={"BULKWRITER_TOKEN": CANARY, "BULKWRITER_USERNAME": "other"})
    assert (signing_in.token, signing_in.username) == (None, "u")
    both = settings("--username=u", env={"BULKWRITER_TOKEN": CANARY, "BULKWRITER_USERNAME": "u"})
    assert both.token == CANARY, "which of two variables was meant, nobody can tell: the token needs no sign-in"
    from_stdin = settings("--token-file=-", env={"BULKWRITER_TOKEN": "other"}, token=CANARY)
    assert (from_stdin.token, from_stdin.token_file) == (CANARY, None)
    assert CANARY not in repr(from_stdin)


def test_a_secret_in_a_file_is_known_as_it_is_sent(tmp_path: Path) -> None:
    """Without what an editor puts around it: else it would not be struck out of a text that holds it."""
    path = tmp_path / "token"
    path.write_text(f"  {CANARY}\t\nmore\n", encoding="utf-8-sig")
    assert choose.secrets_in_files(Settings(token_file=path)) == [CANARY]


def test_stdin_gives_its_first_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{CANARY} \nmore"))
    assert choose.read_token() == CANARY
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n"))
    with pytest.raises(UsageError, match="no token on stdin"):
        choose.read_token()


@pytest.mark.parametrize(
    ("args", "missing"),
    [((), "no token"), (("--username=u",), "no password for u"), (("--password-file=p",), "no token")],
)
def test_nobody_starts_without_a_way_to_sign_in(args: tuple[str, ...], missing: str) -> None:
    with pytest.raises(UsageError, match=missing):
        choose.check_credentials(settings(*args))


@pytest.mark.parametrize(
    ("args", "env"),
    [
        (["--token-file=t"], {}),
        ([], {"BULKWRITER_TOKEN": "t"}),
        (["--username=u", "--password-file=p"], {}),
        (["--username=u"], {"BULKWRITER_PASSWORD": "p"}),
    ],
)
def test_ways_to_sign_in(args: list[str], env: dict[str, str]) -> None:
    choose.check_credentials(settings(*args, env=env))


def test_where_the_journal_is() -> None:
    assert choose.journal_path("a/pairs.csv", None) == Path("a/pairs.csv.journal")
    assert choose.journal_path("-", Path("x")) == Path("x")
    for source in ("-", "/dev/stdin", "/dev/fd/63", "/proc/self/fd/0"):
        assert choose.journal_path(source, Path("x")) == Path("x")
        with pytest.raises(UsageError, match="needs --journal"):
            choose.journal_path(source, None)


def test_slips_with_the_source(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        choose.check_there(str(tmp_path / "nope.csv"))
    with pytest.raises(SourceError, match="is a directory"):
        choose.check_there(str(tmp_path))
    (tmp_path / "pairs.txt").touch()
    with pytest.raises(SourceError, match="does not tell the format"):
        choose.check_there(str(tmp_path / "pairs.txt"))
    choose.check_there("-")
    choose.check_there("/dev/null")
    with pytest.raises(UsageError, match="both the token and the pairs"):
        choose.check_source("-", parsed("--token-file=-"))
    with pytest.raises(UsageError, match=r"did you mean: bulkwriter run pairs\.csv"):
        choose.check_source("pairs.csv.journal", parsed())
    choose.check_source("-", parsed("--token-file=t"))


def test_http_to_a_real_host_is_refused_with_the_way_out() -> None:
    with pytest.raises(UsageError, match="use https"):
        settings("--base-url=http://spaces.nexudus.com")


def test_a_variable_that_nothing_reads_is_told() -> None:
    env = {"BULKWRITER_RAT": "1", "BULKWRITER_RATE": "1", "BULKWRITER_TOKEN": CANARY, "HOME": "/"}
    known = options.variables_of(command)
    assert choose.strange_variables(env, known) == [
        "BULKWRITER_RAT is set, but nothing reads it; did you mean BULKWRITER_RATE?"
    ]


@pytest.mark.parametrize("flag", ["--token", "--password", "--totp"])
def test_no_secret_is_ever_the_value_of_a_flag(flag: str) -> None:
    with pytest.raises(click.ClickException):
        command.make_context("run", ["pairs.csv", f"{flag}=x"], allow_extra_args=False).params.__len__()


@pytest.mark.parametrize(
    ("proxy", "shown"),
    [
        (f"http://u:{CANARY}@p:1/x", "http://USER:PASSWORD@p:1/x"),
        (f"u:{CANARY}@p:1", "USER:PASSWORD@p:1"),  # without a scheme it is a proxy all the same
        (f"http://u:{CANARY}@{CANARY}@p:1", "http://USER:PASSWORD@p:1"),
        (f"http://u:{CANARY}/@p:1", "http://USER:PASSWORD@p:1"),  # a password that is not quoted as it must be
        (f"http://u:{CANARY}@[p:1", "http://USER:PASSWORD@[p:1"),
        ("http://p:1", "http://p:1"),
        ("p:1", "p:1"),
    ],
)
def test_a_proxy_is_shown_without_its_password(proxy: str, shown: str) -> None:
    assert choose.without_password(proxy) == shown


def test_seconds_are_taken_as_a_number_or_as_a_time() -> None:
    def lease(text: str) -> object:
        return command.make_context("run", ["p.csv", "--lease", text]).params["lease_s"]

    assert [lease(text) for text in ("3", "3s", "1.5min", "1h", "1e2")] == [3.0, 3.0, 90.0, 3_600.0, 100.0]
    for text in ("3 weeks", "s", "soon", ""):
        with pytest.raises(click.BadParameter, match="a number of seconds, such as 3"):
            lease(text)

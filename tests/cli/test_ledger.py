"""A ledger in PostgreSQL as a user meets it: tables made, one run, plan and status, and its password nowhere.

The password is the suite's canary: `Done` and the suite's own search fail a test in which anything shows it.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bulkwriter.errors import UsageError
from bulkwriter.settings import Settings
from tests.conftest import CANARY
from tests.postgres_server import PASSWORD, Database, PostgresServer
from tests.support.cli_process import Here, stub, write_pairs

pytestmark = pytest.mark.slow
AWAY = f"postgresql://u:{PASSWORD}@127.0.0.1:1/d"


@pytest.fixture
def secret(postgres: Database) -> str:
    """The URL of the ledger with its password, for the environment."""
    return postgres.tcp.replace("@", f":{PASSWORD}@")


def test_the_password_is_the_canary() -> None:
    assert PASSWORD == CANARY


def test_init_makes_the_tables_and_says_what_a_role_needs(here: Here, postgres_server: PostgresServer) -> None:
    database = postgres_server.database(has_tables=False)
    made = here("ledger", "init", database.url)
    assert (made.code, made.out.count(f"made the tables in schema bulkwriter at {database.address.shown}")) == (0, 1)
    assert "USAGE" in made.out
    database.sql(f"CREATE ROLE of_{database.name} LOGIN")
    here.env("BULKWRITER_LEDGER", database.tcp.replace("@", f":{PASSWORD}@"))
    again = here("ledger", "init", "--grant", f"of_{database.name}")
    assert "the tables are up to date" in again.out
    assert f"role of_{database.name} may use them" in again.out


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["ledger", "init"], 2, "no database is named"),
        (["ledger", "init", "some/file"], 2, "is no database"),
        (["ledger", "init", "postgresql://u:NOT-A-SECRET@h/d"], 2, "others can read with ps"),
        (["ledger", "init", "postgresql://127.0.0.1:1/d"], 75, "refused"),
        (["run", "p.csv", "--ledger", "postgresql://u:NOT-A-SECRET@h/d"], 2, "others can read with ps"),
        (["run", "p.csv", "--ledger", "postgresql://u@h/d/job"], 2, "names a job"),
        (["run", "p.csv", "--ledger", "postgresql://u@h"], 2, "names no database"),
    ],
)
def test_what_cannot_be_is_refused(here: Here, tmp_path: Path, args: list[str], code: int, said: str) -> None:
    write_pairs(tmp_path / "p.csv", 1)
    done = here(*(str(tmp_path / "p.csv") if arg == "p.csv" else arg for arg in args))
    assert done.code == code
    assert said in done.err
    assert "NOT-A-SECRET" not in done.out + done.err


def test_a_run_its_plan_and_its_status_by_a_ledger_of_the_environment(
    here: Here, tmp_path: Path, postgres: Database, secret: str
) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 30)
    here.env("BULKWRITER_LEDGER", secret)
    quota = ("--quota", "write:20/hour", "--on-quota", "stop")
    with stub() as server:
        done = here.run(source, server, *quota)
        assert (done.code, done.counts("created", "throttled")) == (75, (20, 0))
        other = here.run(source, server, *quota, "--journal", str(tmp_path / "other.journal"))
        assert other.counts("created", "attempts") == (0, 0)
        plan = here("plan", str(source), "--base-url", server.base_url, *quota[:2])
        assert "20 of 20" in plan.out + plan.err or "spent" in plan.out + plan.err
        check = here("check", "--base-url", server.base_url, *quota)
    assert postgres.sql("SELECT sum(count)::int FROM bulkwriter.spent WHERE kind = 'write'") == [(20,)]
    status = json.loads(here("status", f"{source}.journal", "--json").out)
    assert status["quotas"][0]["spent"] == 20
    shown = here("config", "show")
    assert f"{postgres.tcp}" in shown.out
    assert "BULKWRITER_LEDGER" in shown.out
    assert check.code in (0, 75)


def test_a_ledger_without_tables_ends_with_5_and_one_that_is_away_with_75(
    here: Here, source: Path, postgres_server: PostgresServer
) -> None:
    with stub() as server:
        database = postgres_server.database(has_tables=False)
        done = here.run(source, server, "--quota", "write:9/hour", "--ledger", database.url)
        assert (done.code, done.json["attempts"]) == (5, 0)
        assert "bulkwriter ledger init" in done.err
        here.env("BULKWRITER_LEDGER", AWAY)
        plan = here("plan", str(source), "--base-url", server.base_url, "--quota", "write:9/hour", "--existing", "skip")
        assert plan.code == 75
        assert "refused" in plan.err


def test_status_of_a_run_whose_ledger_is_away_says_so(
    here: Here, source: Path, postgres: Database, secret: str
) -> None:
    here.env("BULKWRITER_LEDGER", secret)
    with stub() as server:
        here.run(source, server, "--quota", "write:3/hour", "--on-quota", "stop")
    postgres.sql("DROP SCHEMA bulkwriter CASCADE")
    status = here("status", f"{source}.journal")
    assert status.code == 0
    assert "tables are not there" in status.out + status.err


@pytest.mark.parametrize(("mode", "is_taken"), [(0o600, True), (0o640, False), (0o604, False)])
def test_a_file_with_a_password_must_be_its_owner_s_alone(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, is_taken: bool
) -> None:
    own = tmp_path / "secret-config" / "bulkwriter" / "bulkwriter.toml"
    own.parent.mkdir(parents=True)
    own.write_text(f'ledger = "{AWAY}"\n')
    own.chmod(mode)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(own.parent.parent))
    shown = here("config", "show")
    own.unlink()
    assert shown.code == (0 if is_taken else 2)
    assert ("postgresql://u@127.0.0.1:1/d" in shown.out) == is_taken
    assert is_taken or "chmod go-rwx" in shown.err


def test_a_folder_s_file_may_not_name_a_database(here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bulkwriter.toml").write_text('ledger = "postgresql://u@h/d"\n')
    monkeypatch.chdir(tmp_path)
    assert "may stand only in your own file" in here("config", "show").err


@pytest.mark.parametrize("given", [AWAY, AWAY.replace("u:", "v:")])
def test_settings_take_the_url_and_never_show_its_password(given: str) -> None:
    settings = Settings(base_url="https://h", token="t", ledger=given)
    assert PASSWORD not in repr(settings) + str(settings.ledger)


@pytest.mark.parametrize("wrong", ["postgresql://u@h/d/job", "postgresql://u@h"])
def test_settings_refuse_a_job(wrong: str) -> None:
    with pytest.raises(UsageError):
        Settings(base_url="https://h", token="t", ledger=wrong)

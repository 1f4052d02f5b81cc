"""`run --on ray`: what is handed on to the workers, and what must not go by way of Ray."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bulkwriter.cli.on_ray import address_of, arguments_of
from bulkwriter.errors import UsageError
from bulkwriter.on_ray import given
from bulkwriter.postgres.address import Address
from bulkwriter.settings import Limits, Settings
from tests.support.cli_process import Here

JOB = Address.parse("postgresql://bw@db/bulkwriter/job")
LAST = ["--progress=none", "--json", "--yes"]


def test_a_worker_gets_the_options_that_were_given(tmp_path: Path) -> None:
    options = {
        "base_url": "https://x", "rate": 2.5, "quota": ("write:60/min", "any:1/s"), "after_loss": True, "strict": False,
        "token_file": Path("token"), "progress": "rich", "parts": 8, "limit": None, "ledger": JOB.of_database,
    }  # fmt: skip
    words = arguments_of(JOB, options)
    assert words[0] == str(JOB)
    assert words[-3:] == LAST
    assert sorted(words[1:-3]) == sorted([
        "--base-url=https://x", "--rate=2.5", "--quota=write:60/min", "--quota=any:1/s", "--after-loss",
        f"--token-file={Path('token').absolute()}", f"--ledger={JOB.of_database}",
    ])  # fmt: skip


def test_settings_become_the_same_options() -> None:
    settings = Settings(base_url="https://x", rate=2.5, quota=("none",), retry_rejected=True, late_apply_s=3.0)
    words = arguments_of(JOB, given(settings))
    assert sorted(words[1:-3]) == [
        "--base-url=https://x",
        "--late-apply=3.0",
        "--quota=none",
        "--rate=2.5",
        "--retry=rejected",
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"ledger": Address.parse("postgresql://bw:secret@db/bulkwriter")},
        {"proxy": "http://me:secret@proxy"},
        {"token_file": Path("-")},
    ],
    ids=lambda options: next(iter(options)),
)
def test_a_secret_does_not_go_to_the_nodes(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        arguments_of(JOB, options)
    assert "secret" not in str(caught.value)


def test_the_password_of_the_job_does_not_go_to_the_nodes() -> None:
    with pytest.raises(UsageError, match="--journal"):
        arguments_of(Address.parse("postgresql://bw:secret@db/bulkwriter/job"), {})


@pytest.mark.parametrize("chosen", [{"token": "t"}, {"password": "p", "username": "u"}, {"limits": Limits(idle_s=1.0)}])
def test_settings_that_cannot_travel_are_refused(chosen: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="cannot go to the nodes"):
        given(Settings(base_url="https://x", **chosen))


def test_another_engine_is_not_known() -> None:
    with pytest.raises(UsageError, match="no engine"):
        address_of("dask")


def test_workers_and_an_engine_need_a_job(here: Here, tmp_path: Path) -> None:
    source = tmp_path / "pairs.csv"
    source.write_text("CourseLessonId,CourseMemberId\n1,2\n")
    for options in (("--on", "ray"), ("--workers", "2")):
        done = here("run", str(source), *options)
        assert done.code == 2
        assert "postgresql://" in done.err

"""The command for further workers of a job has all that was given, and no secret."""

from __future__ import annotations

import shlex
from pathlib import Path

from bulkwriter.cli.work import command
from bulkwriter.cli.worker_options import OWN, hidden, work_command
from bulkwriter.postgres.address import Address

JOB = Address.parse("postgresql://bw:canary-one@db/ops/job")


def test_limits_waits_and_sign_in_are_repeated() -> None:
    given = {
        "base_url": "https://x", "token_file": Path("a token"),
        "ledger": Address.parse("postgresql://l:canary-two@db/ops"),
        "quota": ("write:60/min", "any:1/100ms"), "quota_share": 0.5, "rate": 2.5,
        "late_apply_s": 60.0, "list_lag_s": 0.0,
        "timeout_s": 90.0, "lease_s": 3.0, "after_loss": True, "existing": "check", "retry": None, "doubt_wait": None,
        "proxy": "http://me:canary-three@proxy:1", "parts": 4, "load_only": True, "progress": "none", "as_json": True,
    }  # fmt: skip
    line = work_command(JOB, given)
    words = shlex.split(line)
    assert words[:3] == ["bulkwriter", "work", "postgresql://bw@db/ops/job"]
    for pair in (
        "--base-url https://x", "--quota write:60/min", "--quota any:1/100ms",
        "--quota-share 0.5", "--rate 2.5", "--late-apply 60", "--list-lag 0", "--timeout 90", "--lease 3",
        "--existing check", "--proxy http://USER:PASSWORD@proxy:1",
    ):  # fmt: skip
        assert pair in " ".join(words)
    assert words[words.index("--token-file") + 1] == "a token"
    assert "--after-loss" in words
    assert "canary" not in line
    assert "BULKWRITER_LEDGER as it is here and PGPASSWORD" in hidden(JOB, given)
    assert not {"--ledger", "--parts", "--load-only", "--progress", "--json", "--retry"} & set(words)
    parsed = command.make_context("work", [word for word in words[2:] if "PASSWORD" not in word and word != "--proxy"])
    for name in ("quota", "quota_share", "rate", "late_apply_s", "list_lag_s", "timeout_s", "lease_s", "after_loss"):
        assert parsed.params[name] == given[name], name


def test_a_ledger_without_a_password_is_repeated() -> None:
    job, given = Address.parse("postgresql://db/ops/job"), {"ledger": Address.parse("postgresql://l@db/ops")}
    assert work_command(job, given) == "bulkwriter work postgresql://db/ops/job --ledger postgresql://l@db/ops"
    assert hidden(job, given) == ""


def test_what_is_not_repeated_is_an_option_of_a_worker() -> None:
    assert {param.name for param in command.params} > OWN

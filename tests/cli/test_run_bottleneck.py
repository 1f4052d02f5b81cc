"""What a living run says of itself, on its stderr in each form and to `status` from beside: beliefs, and what holds it
back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bulkwriter.cli.main import main
from bulkwriter.cli.progress import FIRST_LINE_S
from tests.support.cli_process import finish, interrupt, start, stub, wait_for, write_pairs

BELIEFS = ("the server has shown no limit", "the server answers slower with more than ")
"""What may be believed of a stub without a limit: on a busy machine many requests at once make its answers slow."""
CEILING = "the ceiling, --rate 20/s"


def status_of(journal: Path, capsys: pytest.CaptureFixture[str], *args: str) -> str:
    capsys.readouterr()
    assert main(["status", str(journal), *args]) == 0
    return capsys.readouterr().out


@pytest.mark.slow
def test_a_living_run_says_what_holds_it_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 5_000)
    journal = tmp_path / "pairs.csv.journal"
    facts: dict[str, Any] = {}

    def is_known() -> bool:
        capsys.readouterr()
        if main(["status", str(journal), "--json"]) == 0:  # it is not there at once
            facts.update(json.loads(capsys.readouterr().out))
        return facts.get("held_kind") == "ceiling"

    with stub(latency_s=0.05) as server:
        url = server.base_url
        process = start("run", str(source), "--base-url", url, "--rate", "20/s", "--log-format", "json", "--json")
        wait_for(is_known)
        text = status_of(journal, capsys)
        wait_for(lambda: server.truth()["requests"].get("POST", 0) > 20 * (FIRST_LINE_S + 2))  # it runs for so long
        interrupt(process)
        done = finish(process)
    assert (facts["held_by"], facts["holds_until_s"]) == (CEILING, None)
    assert facts["believes"].startswith(BELIEFS)
    (belief,) = (line for line in text.splitlines() if line.startswith("believes "))
    assert belief.removeprefix("believes").lstrip().startswith(BELIEFS)
    assert "(said " in belief
    assert f"\nheld back  {CEILING}\n" in text
    lines = [json.loads(line) for line in done.err.splitlines()]
    events = [line for line in lines if line["event"] == "held_back" and line["by"] == "ceiling"]
    assert events[0]["words"] == CEILING
    told = [line for line in lines if line["event"] == "progress" and line["held_kind"] == "ceiling"]
    progress = told[-1]  # on a busy machine others say "start"
    assert progress["held_by"] == CEILING
    assert progress["believes"].startswith(BELIEFS)
    assert "held_by" not in json.loads(status_of(journal, capsys, "--json")), "its process is gone"

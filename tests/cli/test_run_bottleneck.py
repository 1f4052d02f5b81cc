"""What a living run says of itself, on its stderr in each form and to `status` from beside: beliefs, and what holds it
back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bulkwriter.cli.main import main
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
    said = tmp_path / "stderr"
    facts: dict[str, Any] = {}
    texts: list[str] = []

    def is_known() -> bool:
        capsys.readouterr()
        if main(["status", str(journal), "--json"]) == 0:  # it is not there at once
            facts.update(json.loads(capsys.readouterr().out))
        return facts.get("held_kind") == "ceiling"

    def text() -> str:
        texts.append(status_of(journal, capsys))
        return texts[-1]

    def lines(event: str, key: str) -> list[dict[str, Any]]:
        """What it told while the ceiling held it; on a busy machine others say "start" or "cpu"."""
        read = [json.loads(line) for line in said.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [line for line in read if line["event"] == event and line[key] == "ceiling"]

    with stub(latency_s=0.05) as server:
        how = ("--base-url", server.base_url, "--rate", "20/s", "--log-format", "json", "--json")
        with said.open("w") as stderr:
            process = start("run", str(source), *how, stderr=stderr)
        wait_for(is_known)
        wait_for(lambda: f"\nheld back  {CEILING}\n" in text())
        wait_for(lambda: lines("held_back", "by") and lines("progress", "held_kind"))
        interrupt(process)
        assert finish(process).code == 130
    assert (facts["held_by"], facts["holds_until_s"]) == (CEILING, None)
    assert facts["believes"].startswith(BELIEFS)
    (belief,) = (line for line in texts[-1].splitlines() if line.startswith("believes "))
    assert belief.removeprefix("believes").lstrip().startswith(BELIEFS)
    assert "(said " in belief
    assert lines("held_back", "by")[0]["words"] == CEILING
    told = lines("progress", "held_kind")[-1]
    assert told["held_by"] == CEILING
    assert told["believes"].startswith(BELIEFS)
    assert "held_by" not in json.loads(status_of(journal, capsys, "--json")), "its process is gone"

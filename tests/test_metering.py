"""What a process makes for its quotas before the ledger is opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from bulkwriter.metering import quotas_for
from bulkwriter.settings import Settings


@pytest.mark.parametrize("quota", ["write:60/min", "write:10/h"])
def test_a_first_run_makes_the_folder_of_the_ledger(tmp_path: Path, quota: str) -> None:
    ledger = tmp_path / "state" / "bulkwriter" / "ledger"
    quotas = quotas_for(Settings(quota=(quota,), ledger=ledger))
    assert quotas
    assert list(ledger.parent.glob("*.till"))

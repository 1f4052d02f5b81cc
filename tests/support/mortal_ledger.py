"""A ledger for simulated processes: once its process is dead, nothing more is written by it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bulkwriter.quota.ledger import Ledger
from bulkwriter.quota.ledger_book import Book
from tests.sim.process import Process


class MortalLedger(Ledger):
    """A ledger that a dead process cannot write any more."""

    process: Process

    @classmethod
    def opened(cls, path: Path, process: Process) -> MortalLedger:
        ledger = cls.open(path, account="sim", boot="boot", synchronous="OFF")
        assert isinstance(ledger, MortalLedger)
        ledger.process = process
        ledger.settle_tills()
        return ledger

    def exchange(self, step: Callable[[Book], Any]) -> Any:
        assert not self.process.is_dead, "a dead process writes"
        return super().exchange(step)

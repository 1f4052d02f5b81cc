"""A ledger for simulated processes: once its process is dead, nothing more is written by it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bulkwriter.quota.account import Account
from bulkwriter.quota.exchange import Answer, Ask, BootPlace
from bulkwriter.quota.ledger import SqliteLedger
from tests.sim.process import Process

HERE: Final = BootPlace("machine", "boot")


class MortalLedger(SqliteLedger):
    """A ledger that a dead process cannot write any more."""

    process: Process

    @classmethod
    def opened(cls, path: Path, process: Process, account: Account) -> MortalLedger:
        ledger = cls.open(path, "sim", account, HERE, synchronous="OFF")
        ledger.process = process
        return ledger

    def exchange(self, ask: Ask) -> Answer:
        assert not self.process.is_dead, "a dead process writes"
        return super().exchange(ask)

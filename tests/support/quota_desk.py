"""One client at a ledger, without an event loop: `Desk` asks by hand, over a real ledger or one in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bulkwriter.quota.account import Account
from bulkwriter.quota.build import here
from bulkwriter.quota.exchange import Answer, Ask, BootPlace, ClockReadings, Lease, LedgerRows
from bulkwriter.quota.leases import Client
from bulkwriter.quota.ledger import Ledger, SqliteLedger
from bulkwriter.quota.throttles import Spent
from bulkwriter.quota.windows import windows_of

WALL: Final = 1_764_000_000.0
"""The server's clock when the boot clock says `NOW`."""
NOW: Final = 50_000.0
MINUTE: Final = int(NOW // 60)
HERE: Final = BootPlace("machine", "boot-1")
HOLD_S: Final = 20.0
Opening = Callable[[Account, BootPlace], Ledger]


def clocks(now: float, *, is_known: bool = True, wall: float = WALL) -> ClockReadings:
    """By a server whose clock says `wall` at `NOW`, or by one that never says."""
    at = wall + now - NOW
    return ClockReadings(at, at, at) if is_known else ClockReadings(None, None, at)


def holding(units: int, until: float = 0.0, *, on_way: int = 0, next_at: float = 0.0) -> dict[str, Lease]:
    """So many writes that are left until then, and on their way."""
    return {"write": Lease(units, on_way, until, next_at)}


class Desk:
    """One client.  `ask` makes exchanges by hand; `client` is what a process has in memory."""

    made = 0

    def __init__(self, opening: Opening, *quota: str, place: BootPlace = HERE) -> None:
        Desk.made += 1
        self.name = f"client {Desk.made}"
        windows = windows_of(quota, is_loopback=False)
        self.account = Account(windows, place)
        self.client = Client(windows, name=self.name, hold_s=HOLD_S)
        self.ledger = opening(self.account, place)
        self._number = 0

    def ask(
        self, wants: bool = False, *, now: float = NOW, is_known: bool = True, wall: float = WALL,
        repeats: bool = False, **said: Any,
    ) -> Answer:  # fmt: skip
        """Ask, for writes where `wants` is set.  `said` is the rest of the ask."""
        self._number += not repeats
        answer = self.ledger.exchange(
            Ask(
                client=self.name, number=self._number, now=now, hold_s=HOLD_S,
                clocks=clocks(now, is_known=is_known, wall=wall), wants=frozenset({"write"} if wants else ()), **said,
            )
        )  # fmt: skip
        self.account.check()
        return answer

    def lease(self, **how: Any) -> Lease:
        return self.ask(True, **how).leases["write"]

    def spend(self, count: int, *, minute: int = MINUTE, kind: str = "write", **how: Any) -> Answer:
        """Report so many requests that have ended in a minute."""
        return self.ask(ended={(kind, minute * 60.0 + 30.0): count}, **how)

    def rows(self) -> LedgerRows:
        """What the account knows, as of its last exchange."""
        return self.account._rows


def fill_ledger(path: Path, account: str) -> None:
    """Some hours of requests, a lease that is out, and what a throttle taught."""
    windows, place = windows_of(["write:9000/day", "write:60/min"], is_loopback=False), here()
    ledger = SqliteLedger.open(path, account, Account(windows, place), place)
    clocks = ClockReadings(1.0e9, 1.0e9, 1.0e9)
    common: dict[str, Any] = {"client": "c", "now": 18_000.0, "clocks": clocks, "hold_s": 90.0}
    ends = [60.0 * minute + 30.0 for minute in range(300)]
    taken = {("write", at): 8 for at in ends} | {("read", at): 2 for at in ends}
    ledger.exchange(Ask(number=1, ended=taken, wants=frozenset({"write"}), spent={"write": Spent(60.0)}, **common))
    refused = {("write-refused", at): 4 for at in ends}  # so that the server has shown that it has room
    ledger.exchange(Ask(number=2, ended=refused, **common))
    ledger.close()

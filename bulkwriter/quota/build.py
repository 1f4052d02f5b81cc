"""Puts the parts of the quotas together: windows, client, ledger, clocks.

There is one `Quotas` for all requests of a process for one account.  If nothing is counted (`--quota none`, the default
on loopback), there is no such object, and a send costs nothing more.

`Quotas.begin` opens the ledger; nothing is made before.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ..errors import LedgerError
from ..events import Event
from ..model import QuotaWindow
from ..settings import Settings
from ..store.boot import boot_clock, boot_id, machine_id
from ..store.network_fs import network_kind
from .account import Account, spending_in
from .exchange import BootPlace
from .exchanges import Clocks
from .forecast import Spending
from .gate import Quotas
from .ledger import SqliteLedger, account_key, ledger_path, read_ledger, refuse_emptied
from .ledger_thread import LedgerThread
from .throttles import Learnt
from .windows import windows_of

CLOCKS: Final = Clocks(clock=time.monotonic, boot=boot_clock, wall=time.time)


def windows_for(settings: Settings) -> tuple[QuotaWindow, ...]:
    """The quotas that the settings ask for.  Raises `UsageError`."""
    return windows_of(settings.quota, is_loopback=settings.is_loopback, share=settings.quota_share)


def quotas_for(settings: Settings, tell: Callable[[Event], None]) -> Quotas | None:
    """The quotas of this process, or None where there are none.  Raises `UsageError`, `LedgerError`."""
    windows = windows_for(settings)
    if not windows:
        return None
    path, place, name = ledger_path(settings.ledger), here(), secrets.token_hex(8)
    refuse_emptied(path)
    refuse_network(path)
    account = account_key(settings.base_url, settings.account)
    return Quotas(
        windows,
        name=name,
        ledger=LedgerThread(lambda: SqliteLedger.open(path, account, Account(windows, place), place)),
        clocks=CLOCKS,
        hold_s=settings.timeout_s + settings.limits.connect_timeout_s,
        stops=settings.on_quota == "stop",
        tell=tell,
    )


def here() -> BootPlace:
    """This machine and boot.  Where the system has no name for a boot, each process counts as one of its own."""
    return BootPlace(machine_id(), boot_id() or f"process {secrets.token_hex(8)}")


def spent_so_far(path: Path, account: str, windows: tuple[QuotaWindow, ...]) -> tuple[Spending, dict[str, Learnt]]:
    """What the ledger says now, for a forecast: the counts, and what throttles have shown, by kind.

    By the server's clock, as its replies told it since this machine started; by our own only where none did.
    """
    rows = read_ledger(path, account)
    return spending_in(rows, windows, here(), now=boot_clock(), wall=time.time()), rows.learnt


def refuse_network(path: Path) -> None:
    """Raise `LedgerError` for a ledger on a network file system: what one machine writes, others may not see."""
    kind = network_kind(path)
    if kind:
        raise LedgerError(
            f"quota ledger {path}: it lies on a network file system ({kind}), where machines may not see what others "
            "have written",
            hint="name a file on a local disk with --ledger.  Machines that share an account then need a part of the "
            "quotas each, such as --quota-share 0.5; see bulkwriter help quotas",
        )

"""Puts the parts of the quotas together: windows, ledger, page, clocks.

There is one `Quotas` for all requests of a process for one account.  If nothing is counted (`--quota none`, the default
on loopback), there is no such object, and a send costs nothing more.

This module writes only the page and the till, which are made if they are missing.  `Quotas.begin` opens the ledger.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from ..errors import LedgerError
from ..events import Event
from ..model import QuotaWindow
from ..settings import Settings
from ..store.boot import boot_clock, boot_id
from ..store.network_fs import network_kind
from .account import longest_of, placed
from .exchanges import Clocks
from .forecast import Spending
from .gate import Quotas
from .ledger import Ledger, account_key, ledger_path, read_ledger, refuse_emptied
from .ledger_thread import LedgerThread
from .page import MemoryPage, Page
from .sides import cells_for, clear
from .throttles import Learnt
from .till import Till
from .windows import is_short, windows_of

CLOCKS: Final = Clocks(clock=time.monotonic, boot=boot_clock, wall=time.time)


def windows_for(settings: Settings) -> tuple[QuotaWindow, ...]:
    """The quotas that the settings ask for.  Raises `UsageError`."""
    return windows_of(settings.quota, is_loopback=settings.is_loopback, share=settings.quota_share)


def quotas_for(settings: Settings, tell: Callable[[Event], None]) -> Quotas | None:
    """The quotas of this process, or None where there are none.  Raises `UsageError`; `JournalError` for the page."""
    windows = windows_for(settings)
    if not windows:
        return None
    path = ledger_path(settings.ledger)
    refuse_emptied(path)
    refuse_network(path)
    account, boot = account_key(settings.base_url, settings.account), boot_id()
    cells = cells_for(windows)
    page = (
        Page.open(path, account, page_name(windows), cells=cells, boot=boot, clear=partial(clear, windows=windows))
        if cells
        else MemoryPage(0)
    )
    till = Till(path, account)
    return Quotas(
        windows,
        ledger=LedgerThread(partial(opened, path, account, boot, till)),
        page=page,
        till=till,
        clocks=CLOCKS,
        hold_s=settings.timeout_s + settings.limits.connect_timeout_s,
        stops=settings.on_quota == "stop",
        tell=tell,
    )


def spent_so_far(path: Path, account: str, windows: tuple[QuotaWindow, ...]) -> tuple[Spending, dict[str, Learnt]]:
    """What the ledger says now, for a forecast: the counts, and what throttles have shown, by kind."""
    boot, now, wall = boot_id(), boot_clock(), time.time()
    rows, learnt = read_ledger(path, account, boot)
    spending, _ = placed(rows, boot=boot, now=now, wall=wall, longest_s=longest_of(windows), is_sure=True)
    return spending, {kind: Learnt(*row) for kind, row in learnt.items()}


def opened(path: Path, account: str, boot: str, till: Till) -> Ledger:
    """Open the ledger, and give back the units of dead processes.  Our own till will be found after a power cut."""
    ledger = Ledger.open(path, account=account, boot=boot)
    ledger.settle_tills()
    till.sync_name()
    return ledger


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


def page_name(windows: tuple[QuotaWindow, ...]) -> str:
    """The part of a page's name that depends on its short windows."""
    return " ".join(f"{w.kind}:{w.count}/{w.window_s!r}" for w in windows if is_short(w))

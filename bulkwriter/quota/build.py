"""Puts the parts of the quotas together: windows, client, ledger, clocks.

There is one `Quotas` for all requests of a process for one account.  If nothing is counted (`--quota none`, the default
on loopback), there is no such object, and a send costs nothing more.

Nothing is opened here: `Quotas.begin` opens the ledger.  Not here: what the parts do.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from ..clocks import Clocks
from ..errors import LedgerError
from ..events import Event, Note
from ..guarded import guarded
from ..model import QuotaWindow
from ..postgres.address import START_S, Address
from ..settings import Settings
from ..store.boot import boot_clock, boot_id, machine_id
from ..store.network_fs import network_kind
from .account import Account
from .exchange import BootPlace
from .exchanges import LedgerThread
from .forecast import Spending
from .gate import Quotas, unheard
from .ledger import SqliteLedger, account_key, ledger_path, read_ledger, refuse_emptied
from .others import at_work, spending_in
from .throttles import Learnt, known_of
from .windows import windows_of


def windows_for(settings: Settings) -> tuple[QuotaWindow, ...]:
    """The quotas that the settings ask for.  Raises `UsageError`."""
    return windows_of(settings.quota, is_loopback=settings.is_loopback, share=settings.quota_share)


def quotas_for(
    settings: Settings, tell: Callable[[Event], None], clocks: Clocks, *, start_s: float = START_S
) -> Quotas | None:
    """The quotas of this process, or None where there are none.  Raises `UsageError`, `LedgerError`.

    A ledger in a database that is away is waited for `start_s` at the start.
    """
    windows = windows_for(settings)
    if not windows:
        return None
    account = account_key(settings.base_url, settings.account)
    if isinstance(settings.ledger, Address):
        ledger, boot = shared_ledger(settings.ledger, account, windows, tell, start_s)
        clocks = dataclasses.replace(clocks, boot=boot)
    else:
        ledger = own_ledger(ledger_path(settings.ledger), account, windows)
    return Quotas(
        windows,
        name=secrets.token_hex(8),
        ledger=ledger,
        clocks=clocks,
        hold_s=settings.timeout_s + settings.limits.connect_timeout_s,
        stops=settings.on_quota == "stop",
        tell=tell,
    )


def own_ledger(path: Path, account: str, windows: Sequence[QuotaWindow]) -> LedgerThread:
    """The ledger of this machine.  Raises `LedgerError` for a file that cannot be one."""
    refuse_emptied(path)
    if kind := network_kind(path):  # what one machine writes, others may not see
        raise LedgerError(
            f"quota ledger {path}: it lies on a network file system ({kind}), where machines may not see what others "
            "have written",
            hint="name a file on a local disk with --ledger.  Machines that share an account then need a part of the "
            "quotas each, such as --quota-share 0.5; see bulkwriter help quotas",
        )
    place = here()
    return LedgerThread(lambda: SqliteLedger.open(path, account, Account(windows, place), place))


def shared_ledger(
    address: Address, account: str, windows: Sequence[QuotaWindow], tell: Callable[[Event], None], start_s: float
) -> tuple[LedgerThread, Callable[[], float]]:
    """A ledger that machines share, and the clock on which windows are counted: the database's, as seen here."""
    from ..postgres.clock import DatabaseClock
    from ..postgres.connect import check_installed
    from ..postgres.high_water import of_account
    from ..postgres.ledger import PostgresLedger, ledger_session

    check_installed()
    clock = DatabaseClock(boot_clock, time.time() - boot_clock())
    say = said_in_loop(tell)
    ledger = PostgresLedger(
        ledger_session(address, say, start_s=start_s), account, lambda place: Account(windows, place),
        boot=boot_clock, boot_id=here().boot, clock=clock, say=say, seen=of_account(account),
    )  # fmt: skip
    return LedgerThread(lambda: ledger, hurry=ledger.interrupt), clock.now


def said_in_loop(tell: Callable[[Event], None]) -> Callable[[str], None]:
    """What tells people of words that another thread says.  Nobody hears them before or after the loop."""
    with contextlib.suppress(RuntimeError):
        loop = asyncio.get_running_loop()

        def say(words: str) -> None:
            with contextlib.suppress(RuntimeError):  # it is closed
                loop.call_soon_threadsafe(guarded(tell, unheard), Note(words))

        return say
    return unheard


def here() -> BootPlace:
    """This machine and boot.  Where the system has no name for a boot, each process counts as one of its own."""
    return BootPlace(machine_id(), boot_id() or f"process {secrets.token_hex(8)}")


class SpentNow(NamedTuple):
    """What a ledger says for a forecast: the counts, what throttles have shown, by kind, the time by its clock, and how
    many clients are at work.
    """

    spending: Spending
    learnt: dict[str, Learnt]
    now: float
    clients: int


def spent_so_far(ledger: Path | Address | None, account: str, windows: tuple[QuotaWindow, ...]) -> SpentNow:
    """What the ledger says now.  Raises `LedgerError`.

    By the server's clock, as its replies told it since that clock began; by our own only where none did.
    """
    if isinstance(ledger, Address):
        from ..postgres.ledger import read_postgres

        rows, place, now = read_postgres(ledger, account)
    else:
        rows, place, now = read_ledger(ledger_path(ledger), account), here(), boot_clock()
    spending = spending_in(rows, windows, place, now=now, wall=time.time())
    return SpentNow(spending, known_of(rows.learnt), now, at_work(rows, place, now))
